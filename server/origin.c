/* Reading what is signed in a repository, and the lock.  Runs in peciactl and
 * in the process of peciad that signs heads. */
#include "server/origin.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/fsat.h"
#include "common/fscalls.h"
#include "common/text.h"

#define HOLDER_BYTES 256 /* of the lock file's text */

int
origin_open(const char *path, struct origin *o, struct err *e)
{
	memset(o, 0, sizeof(*o));
	roster_init(&o->roster);
	o->roster.version = 0;
	return repo_open(path, &o->repo, e);
}

void
origin_release(struct origin *o)
{
	roster_release(&o->roster);
	free(o->roots);
	o->roots = NULL;
	o->root_count = 0;
	repo_close(o->repo);
	o->repo = NULL;
}

/* Whoever held the lock before may have left its text, and a holder of another
 * program writes none: the text counts while its process lives. */
static bool
is_alive(const char *holder)
{
	uint64_t pid;

	return text_u64(holder, strcspn(holder, " "), INT32_MAX, &pid) == 0 &&
	    pid > 0 && (kill((pid_t)pid, 0) == 0 || errno == EPERM);
}

/* What the holder wrote into the lock file: "PID WHAT since TIME". */
static void
read_holder(struct origin *o, char holder[HOLDER_BYTES])
{
	struct buf text;

	buf_init(&text, HOLDER_BYTES - 1);
	if (fsat_read_file(
	        repo_fd(o->repo), "lock", HOLDER_BYTES - 1, &text, NULL) == 0 &&
	    is_alive(buf_str(&text)))
		(void)snprintf(holder, HOLDER_BYTES, "process %.*s",
		    (int)strcspn(buf_str(&text), "\n"), buf_str(&text));
	else
		(void)snprintf(holder, HOLDER_BYTES, "another process");
	buf_release(&text);
}

/* Only others read it, so that failing to write it is no failure. */
static void
write_holder(struct origin *o, const char *what)
{
	char when[TEXT_TIME_BYTES], text[HOLDER_BYTES];
	int fd = -1, len;

	text_time(when, time(NULL));
	len = snprintf(text, sizeof(text), "%ld %s since %s\n", (long)getpid(),
	    what, when);
	if (len < 0 || (size_t)len >= sizeof(text) ||
	    fsat_open_write(repo_fd(o->repo), "lock", 0600, &fd, NULL) != 0)
		return;
	if (fscalls()->ftruncate(fd, 0) != 0 ||
	    fsat_write_all(fd, text, (size_t)len, NULL) != 0)
		errno = 0;
	close(fd);
}

int
origin_lock(struct origin *o, const struct origin_wait *wait, struct err *e)
{
	char holder[HOLDER_BYTES];
	int ret = repo_lock(o->repo, 0, e);

	if (ret == ERR_CONFLICT && wait->wait_ms > 0) {
		read_holder(o, holder);
		if (wait->waiting != NULL)
			wait->waiting(wait->arg, holder);
		ret = repo_lock(o->repo, wait->wait_ms, e);
	}
	if (ret == ERR_CONFLICT) {
		read_holder(o, holder);
		return err_set(e, ERR_CONFLICT, "repository %s is locked by %s",
		    repo_name(o->repo), holder);
	}
	if (ret == 0)
		write_holder(o, wait->what);
	return ret;
}

static int
load_root(struct origin *o, const struct buf *text, struct err *e)
{
	struct root *more;
	struct root *next;
	int ret;

	more = realloc(o->roots, (o->root_count + 1) * sizeof(*more));
	if (more == NULL)
		return err_memory(e);
	o->roots = more;
	next = &more[o->root_count];
	if (o->root_count == 0) {
		digest_of(text->data, text->len, &o->anchor);
		ret = root_first(text->data, text->len, &o->anchor, next, e);
	} else {
		ret = root_next(text->data, text->len, next - 1, next, e);
	}
	if (ret == 0)
		o->root_count++;
	return ret;
}

static int
load_roots(struct origin *o, struct err *e)
{
	char path[REPO_PATH_BYTES];
	struct buf text;
	int ret = 0;

	o->root_count = 0;
	while (ret == 0 && o->root_count < LIMIT_ROOT_VERSIONS) {
		repo_path_root(path, o->root_count + 1);
		buf_init(&text, LIMIT_ROOT_BYTES);
		ret = repo_read_statement(
		    o->repo, path, LIMIT_ROOT_BYTES, &text, e);
		if (ret == 0 && load_root(o, &text, e) != 0)
			ret = err_prefix(e, "%s", path);
		else if (ret == ERR_NOT_FOUND && o->root_count > 0)
			ret = 1;
		buf_release(&text);
	}
	if (ret == ERR_NOT_FOUND)
		return err_set(e, ERR_NOT_FOUND,
		    "%s has no trust root yet: run peciactl init",
		    repo_name(o->repo));
	return ret > 0 ? 0 : ret;
}

/* Calls read with each root from the newest on, until one's keys signed it: a
 * statement may be older than the newest root. */
typedef int (*reader_fn)(
    void *arg, const struct root *root, const struct buf *text, struct err *e);

static int
read_signed(struct origin *o, const char *path, size_t max_bytes,
    reader_fn read, void *arg, struct err *e)
{
	struct err first = ERR_INIT, other = ERR_INIT;
	struct buf text;
	int ret;

	buf_init(&text, max_bytes);
	ret = repo_read_statement(o->repo, path, max_bytes, &text, e);
	if (ret == 0)
		ret = read(arg, origin_root(o), &text, &first);
	else
		first = *e;
	for (size_t i = o->root_count - 1; i > 0 && ret == ERR_VERIFY; i--)
		ret = read(arg, &o->roots[i - 1], &text, &other);
	buf_release(&text);
	if (ret == 0)
		return 0;
	if (e != NULL)
		*e = first;
	return err_prefix(e, "%s/%s", repo_name(o->repo), path);
}

/* A reader_fn. */
static int
parse_roster(
    void *arg, const struct root *root, const struct buf *text, struct err *e)
{
	return roster_read(root, text->data, text->len, arg, e);
}

static int
load_roster(struct origin *o, struct err *e)
{
	char path[REPO_PATH_BYTES];
	struct roster r;
	int ret;

	repo_path_roster(path);
	ret = read_signed(o, path, LIMIT_ROSTER_BYTES, parse_roster, &r, e);
	if (ret == ERR_NOT_FOUND)
		return 0;
	if (ret != 0)
		return ret;
	roster_release(&o->roster);
	o->roster = r;
	return 0;
}

int
origin_load(struct origin *o, struct err *e)
{
	int ret = load_roots(o, e);

	return ret == 0 ? load_roster(o, e) : ret;
}

const struct root *
origin_root(const struct origin *o)
{
	return &o->roots[o->root_count - 1];
}

struct wanted_head {
	const char *channel;
	struct head *out;
};

/* A reader_fn. */
static int
parse_head(
    void *arg, const struct root *root, const struct buf *text, struct err *e)
{
	struct wanted_head *w = arg;

	return head_read(root, w->channel, text->data, text->len, w->out, e);
}

int
origin_head_at(struct origin *o, const char *path, const char *channel,
    struct head *out, struct err *e)
{
	struct wanted_head w = { channel, out };

	return read_signed(o, path, LIMIT_HEAD_BYTES, parse_head, &w, e);
}

int
origin_head(
    struct origin *o, const char *channel, struct head *out, struct err *e)
{
	char path[REPO_PATH_BYTES];
	int ret = repo_path_channel(path, channel, e);

	return ret == 0 ? origin_head_at(o, path, channel, out, e) : ret;
}

int
origin_seen_head(
    struct origin *o, const char *channel, struct head *out, struct err *e)
{
	char path[REPO_PATH_BYTES];

	(void)snprintf(path, sizeof(path), "seen/%s", channel);
	return origin_head_at(o, path, channel, out, e);
}

struct wanted_release {
	const struct head *head;    /* what names it, or */
	const struct release *next; /* the one after it */
	struct release *out;
};

/* A reader_fn. */
static int
parse_release(
    void *arg, const struct root *root, const struct buf *text, struct err *e)
{
	struct wanted_release *w = arg;

	if (w->head != NULL)
		return release_read(
		    root, w->head, text->data, text->len, w->out, e);
	return release_read_previous(
	    root, w->next, text->data, text->len, w->out, e);
}

int
origin_release_of(struct origin *o, const struct head *head,
    struct release *out, struct err *e)
{
	struct wanted_release w = { head, NULL, out };
	char path[REPO_PATH_BYTES];

	repo_path_release(path, &head->release);
	return read_signed(o, path, LIMIT_RELEASE_BYTES, parse_release, &w, e);
}

int
origin_release_before(struct origin *o, const struct release *next,
    struct release *out, struct err *e)
{
	struct wanted_release w = { NULL, next, out };
	char path[REPO_PATH_BYTES];

	if (!next->has_previous)
		return err_set(
		    e, ERR_NOT_FOUND, "release 1 has none before it");
	repo_path_release(path, &next->previous);
	return read_signed(o, path, LIMIT_RELEASE_BYTES, parse_release, &w, e);
}
