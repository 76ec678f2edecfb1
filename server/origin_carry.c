/* Going on where another origin ended: whose repository it is, the highest
 * serial it knows of, and its content once more under the next. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/fsat.h"
#include "common/text.h"
#include "server/origin.h"
#include "server/repo_anchor.h"

#define EVIDENCE "evidence/channel"

int
origin_is_mirror(struct origin *o, bool *is_mirror, struct err *e)
{
	return repo_has(o->repo, REPO_ANCHOR, is_mirror, e);
}

int
origin_check_own(struct origin *o, struct err *e)
{
	bool is_mirror = false;
	int ret = origin_is_mirror(o, &is_mirror, e);

	if (ret == 0 && is_mirror)
		ret = err_set(e, ERR_CONFLICT,
		    "%s is a mirror's repository, where nothing is signed: "
		    "peciactl promote makes an origin of it",
		    repo_name(o->repo));
	return ret;
}

/* "CHANNEL.SERIAL.kept" and ".other"; 0 for all else. */
static uint64_t
serial_of_evidence(const char *file, const char *channel)
{
	size_t len = strlen(channel);
	uint64_t serial = 0;

	if (strncmp(file, channel, len) != 0 || file[len] != '.')
		return 0;
	file += len + 1;
	len = strcspn(file, ".");
	if (strcmp(file + len, ".kept") != 0 &&
	    strcmp(file + len, ".other") != 0)
		return 0;
	if (text_u64(file, len, STATEMENT_NUMBER_MAX, &serial) != 0)
		return 0;
	return serial;
}

static int
look_at_evidence(
    struct origin *o, const char *channel, uint64_t *serial, struct err *e)
{
	struct fsat_names names = { NULL, 0 };
	struct err why = ERR_INIT;
	int fd = -1, ret;

	ret = fsat_open_dir(repo_fd(o->repo), EVIDENCE, &fd, &why);
	if (ret == ERR_NOT_FOUND)
		return 0;
	if (ret == 0)
		ret = fsat_list(fd, &names, &why);
	for (size_t i = 0; ret == 0 && i < names.count; i++) {
		uint64_t n = serial_of_evidence(names.names[i], channel);

		*serial = n > *serial ? n : *serial;
	}
	fsat_names_release(&names);
	if (fd >= 0)
		close(fd);
	if (ret != 0 && e != NULL)
		*e = why;
	return ret;
}

/* *out, and *serial, as they are when there is no head of that kind. */
typedef int (*head_fn)(
    struct origin *o, const char *channel, struct head *out, struct err *e);

static int
raise_to(struct origin *o, const char *channel, head_fn get, struct head *out,
    uint64_t *serial, struct err *e)
{
	struct err why = ERR_INIT;
	struct head head;
	int ret = get(o, channel, &head, &why);

	if (ret == ERR_NOT_FOUND)
		return 0;
	if (ret != 0) {
		if (e != NULL)
			*e = why;
		return ret;
	}
	if (head.serial > *serial) {
		*out = head;
		*serial = head.serial;
	}
	return 0;
}

int
origin_highest(struct origin *o, const char *channel, struct head *out,
    uint64_t *serial, struct err *e)
{
	struct head top = { .serial = 0 };
	uint64_t highest = 0;
	int ret = raise_to(o, channel, origin_head, &top, &highest, e);

	if (ret == 0)
		ret = raise_to(o, channel, origin_seen_head, &top, &highest, e);
	if (ret == 0 && highest == 0)
		return err_set(
		    e, ERR_NOT_FOUND, "channel %s has no head", channel);
	if (ret == 0)
		ret = look_at_evidence(o, channel, &highest, e);
	if (ret != 0)
		return ret;
	*out = top;
	*serial = highest;
	return 0;
}

static int
put_again(struct origin *o, const struct release *was, const struct head *top,
    uint64_t highest, const struct origin_signers *by, struct err *e)
{
	struct release now = *was;
	char author[LIMIT_TEXT_BYTES + 1], message[LIMIT_TEXT_BYTES + 1];
	struct head head = { .serial = 0 };
	int ret;

	if (highest >= STATEMENT_NUMBER_MAX)
		return err_set(e, ERR_LIMIT,
		    "channel %s: serial %llu was seen, and none is above it",
		    was->channel, (unsigned long long)highest);
	now.transcripts =
	    calloc(was->transcript_count + 1, sizeof(*now.transcripts));
	if (now.transcripts == NULL)
		return err_memory(e);
	for (size_t i = 0; i < was->transcript_count; i++) {
		now.transcripts[i] = was->transcripts[i];
		now.transcripts[i].has_data = false;
		now.transcripts[i].data_bytes = 0;
	}
	(void)snprintf(author, sizeof(author), "%s", by->author);
	(void)snprintf(message, sizeof(message), "%s", by->message);
	now.author = author;
	now.message = message;
	now.serial = highest + 1;
	now.created = time(NULL);
	now.has_previous = top->serial == highest;
	now.previous = top->release;
	ret = origin_put_release(o, by->release, &now, &head, e);
	if (ret == 0)
		ret = origin_put_head(o, by->head, &head, by->lifetime_s, e);
	free(now.transcripts);
	return ret;
}

int
origin_carry_on(struct origin *o, const char *channel,
    const struct origin_signers *by, uint64_t *serial, struct err *e)
{
	struct head head, top;
	struct release was;
	uint64_t highest = 0;
	int ret = origin_head(o, channel, &head, e);

	release_init(&was);
	if (ret == 0)
		ret = origin_highest(o, channel, &top, &highest, e);
	if (ret == 0)
		ret = origin_release_of(o, &head, &was, e);
	if (ret == 0 && by->above > highest)
		highest = by->above;
	if (ret == 0)
		ret = put_again(o, &was, &top, highest, by, e);
	release_release(&was);
	if (ret == 0)
		*serial = highest + 1;
	return ret;
}
