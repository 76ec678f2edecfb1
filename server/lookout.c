/* Asking mirrors for another origin.  What is heard goes on the board: who signs
 * and who is asked for the state of this server read it there. */
#include "server/lookout.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/fsat.h"
#include "common/log.h"
#include "common/sandbox.h"
#include "server/ahead.h"
#include "transcripts/fetcher.h"

#define AGAIN_S 300
#define STEP_MS 50
#define WAIT_MS (LIMIT_LOOK_MS + 2000)

static int
look(const struct lookout_options *o, struct err *e)
{
	struct ahead found = { 0, 0 };
	struct origin origin;
	int rc;

	rc = origin_open(o->repo, &origin, e);
	if (rc == 0)
		rc = origin_load(&origin, e);
	if (rc == 0)
		rc = ahead_look(&origin, NULL, o->self, &found, e);
	origin_release(&origin);
	return rc;
}

/* What was heard stays until somebody answers otherwise. */
static void
turn(const struct lookout_options *o)
{
	char before[BOARD_TEXT_BYTES];
	struct err why = ERR_INIT;
	int rc = look(o, &why);

	board_read(&o->board->rival, before);
	if (rc == ERR_CONFLICT) {
		board_say(&o->board->rival, why.msg);
		if (strcmp(before, why.msg) != 0)
			log_err(
			    LOG_ERROR, "another origin publishes", &why, NULL);
	} else if (rc != 0) {
		log_err(LOG_WARNING, "mirrors not asked", &why, NULL);
	} else if (before[0] != '\0') {
		board_say(&o->board->rival, "");
		log_event(LOG_INFO, "no other origin publishes", NULL);
	}
	board_set(&o->board->looked_s, (uint64_t)time(NULL));
}

static int
give_up_privileges(const struct lookout_options *o, struct err *e)
{
	struct sandbox box = { .user = o->user,
		.read_paths = fetcher_read_paths(),
		.read_count = 1,
		.parent = getppid() };
	int fd = -1, rc;

	rc = fsat_operator_dir(o->repo, false, 0, &fd, e);
	if (rc != 0)
		return rc;
	box.read_fds = &fd;
	rc = sandbox_enter(&box, e);
	close(fd);
	return rc;
}

int
lookout_run(const struct lookout_options *o, struct err *e)
{
	const struct timespec pause = { AGAIN_S, 0 };
	int rc = give_up_privileges(o, e);

	while (rc == 0 && *o->stop == 0) {
		turn(o);
		if (*o->stop == 0)
			nanosleep(&pause, NULL); /* a signal ends it */
	}
	return rc;
}

bool
lookout_permits(const struct board_lookout *board, char why[BOARD_TEXT_BYTES])
{
	const struct timespec step = { 0, STEP_MS * 1000000L };

	for (int ms = 0; board_get(&board->looked_s) == 0 && ms < WAIT_MS;
	     ms += STEP_MS)
		nanosleep(&step, NULL);
	board_read(&board->rival, why);
	return why[0] == '\0';
}
