/* The refresher: holds the head key, reads nothing but the repository. */
#include "server/refresh.h"

#include <time.h>
#include <unistd.h>

#include "common/fsat.h"
#include "common/log.h"
#include "common/sandbox.h"
#include "server/keys.h"
#include "server/lookout.h"
#include "server/origin.h"

#define LOCK_MS 10000
#define TURN_S  30 /* between two looks */

/* Whether any head has less than half its life left, or names an old root or
 * roster. */
static int
is_due(struct origin *o, uint64_t lifetime_s, bool *due, struct err *e)
{
	time_t now = time(NULL);
	int rc = 0;

	*due = false;
	for (size_t i = 0; i < o->roster.channel_count && rc == 0; i++) {
		struct head head;

		rc = origin_head(o, o->roster.channels[i], &head, e);
		if (rc == ERR_NOT_FOUND) {
			err_clear(e); /* nothing was published to it yet */
			rc = 0;
			continue;
		}
		if (rc == 0 &&
		    (head.expires - now < (time_t)lifetime_s / 2 ||
		        head.root_version < origin_root(o)->version ||
		        head.roster_version < o->roster.version))
			*due = true;
	}
	return rc;
}

static int
sign_again(
    struct origin *o, const struct key *key, uint64_t lifetime_s, struct err *e)
{
	struct origin_wait wait = { .wait_ms = LOCK_MS,
		.what = "signing heads again" };
	size_t count = 0;
	int rc;

	if ((rc = origin_lock(o, &wait, e)) != 0 ||
	    (rc = origin_check_own(o, e)) != 0)
		return rc;
	rc = origin_refresh(o, key, lifetime_s, false, &count, e);
	if (rc == 0)
		log_event(LOG_INFO, "heads signed again", "count",
		    log_u64((char[LOG_NUMBER_BYTES]){ 0 }, count), NULL);
	return rc;
}

static int
turn(
    const struct refresh_options *options, const struct key *key, struct err *e)
{
	char rival[BOARD_TEXT_BYTES];
	struct origin o;
	bool due = false;
	int rc;

	rc = origin_open(options->repo, &o, e);
	if (rc == 0)
		rc = origin_load(&o, e);
	if (rc == 0)
		rc = is_due(&o, options->lifetime_s, &due, e);
	if (rc == 0 && due && !lookout_permits(options->lookout, rival))
		rc = err_set(
		    e, ERR_CONFLICT, "%s: another origin publishes", rival);
	if (rc == 0 && due)
		rc = sign_again(&o, key, options->lifetime_s, e);
	origin_release(&o);
	return rc;
}

static int
give_up_privileges(const struct refresh_options *options, struct err *e)
{
	int fd = -1, rc;

	rc = fsat_operator_dir(options->repo, false, 0, &fd, e);
	if (rc == 0) {
		struct sandbox box = { .user = options->user,
			.write_fds = &fd,
			.write_count = 1,
			.no_tcp = true,
			.parent = getppid() };

		rc = sandbox_enter(&box, e);
		close(fd);
	}
	return rc;
}

int
refresh_run(const struct refresh_options *options, struct err *e)
{
	const struct timespec pause = { TURN_S, 0 };
	struct key *key = NULL;
	int rc;

	rc = keys_open(options->keys, KEYS_HEAD, &key, e);
	if (rc == 0)
		rc = give_up_privileges(options, e);
	while (rc == 0 && *options->stop == 0) {
		struct err why = ERR_INIT;

		if (turn(options, key, &why) != 0)
			log_err(
			    LOG_WARNING, "heads not signed again", &why, NULL);
		if (*options->stop == 0)
			nanosleep(&pause, NULL); /* a signal ends it */
	}
	key_free(key);
	return rc;
}
