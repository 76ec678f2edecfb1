/* Mark and sweep; runs in the keeper and in peciactl. */
#include "server/collect.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fsat.h"

/* A slice: how long the lock is held. */
#define SLICE_S     0.05
#define SLICE_FILES 500
#define MARKS_MAX   20
#define SHELVES     256

struct collection {
	struct origin *o;
	const struct collect_options *options;
	struct collected *out;
	struct retained retained;
	struct digest stamp; /* of what was marked */
	time_t now;
	/* The folder that is swept. */
	char folder[REPO_PATH_BYTES];
	int dir;
	struct fsat_names names;
	size_t next;
};

/* ---- has anything changed? ---- */

static int
stamp_file(struct digest_state *s, int dir, const char *name, struct err *e)
{
	struct buf text;
	int ret;

	buf_init(&text, LIMIT_HEAD_BYTES);
	ret = fsat_read_file(dir, name, LIMIT_HEAD_BYTES, &text, e);
	if (ret == 0)
		digest_add(s, text.data, text.len);
	buf_release(&text);
	return ret == ERR_NOT_FOUND ? 0 : ret;
}

static int
stamp_folder(struct digest_state *s, struct repo *r, const char *path,
    bool contents, struct err *e)
{
	struct fsat_names names = { NULL, 0 };
	int fd = -1, ret = fsat_open_dir(repo_fd(r), path, &fd, e);

	if (ret == ERR_NOT_FOUND)
		return 0;
	if (ret == 0)
		ret = fsat_list(fd, &names, e);
	for (size_t i = 0; ret == 0 && i < names.count; i++) {
		const char *name = names.names[i];

		digest_add(s, name, strlen(name) + 1);
		if (contents)
			ret = stamp_file(s, fd, name, e);
	}
	fsat_names_release(&names);
	if (fd >= 0)
		close(fd);
	return ret;
}

static int
take_stamp(struct repo *r, struct digest *out, struct err *e)
{
	static const struct {
		const char *path;
		bool contents;
	} folders[] = { { "v1/channel", true }, { "v1/release", false },
		{ "v1/manifest", false } };
	struct digest_state *s = NULL;
	int ret = digest_new(&s, e);

	for (size_t i = 0; ret == 0 && i < sizeof(folders) / sizeof(folders[0]);
	     i++)
		ret =
		    stamp_folder(s, r, folders[i].path, folders[i].contents, e);
	if (ret == 0)
		digest_end(s, out);
	digest_free(s);
	return ret;
}

static int
lock(struct collection *c, struct err *e)
{
	int ret = repo_lock(c->o->repo, c->options->wait_ms, e);

	if (ret == ERR_CONFLICT)
		e->code = ERR_BUSY;
	return ret == ERR_CONFLICT ? ERR_BUSY : ret;
}

/* ---- mark ---- */

/* The stamp is older than what is marked by it: a change in between shows at
 * the first slice. */
static int
mark(struct collection *c, struct err *e)
{
	const struct retain_options options = { .policy = c->options->policy,
		.now = c->now };
	int ret;

	if (c->out->marked++ == MARKS_MAX)
		return err_set(e, ERR_BUSY,
		    "the repository changed %d times while it was looked "
		    "through",
		    MARKS_MAX);
	ret = lock(c, e);
	if (ret == 0) {
		ret = take_stamp(c->o->repo, &c->stamp, e);
		repo_unlock(c->o->repo);
	}
	retained_release(&c->retained);
	if (ret == 0)
		ret = origin_load(c->o, e);
	if (ret == 0)
		ret = retain_mark(c->o, &options, &c->retained, e);
	if (ret != 0)
		return ret;
	c->out->kept = c->retained.kept;
	c->out->leaving = c->retained.leaving;
	c->out->needed = closure_count(c->retained.closure);
	return 0;
}

/* ---- sweep ---- */

static bool
is_ours(const struct collection *c, const char *name, struct digest *d)
{
	size_t len = strlen(c->folder);

	return digest_parse(name, strlen(name), d) == 0 &&
	    (strncmp(c->folder, "v1/object/", 10) != 0 ||
	        strncmp(c->folder + len - 2, name, 2) == 0);
}

static bool
is_candidate(const struct collection *c, const char *name)
{
	struct digest d;

	return is_ours(c, name, &d) && !closure_has(c->retained.closure, &d);
}

/* What came a moment ago may be for a release that nobody knows of yet.  Times
 * far ahead are of a clock that was wrong. */
static bool
is_young(const struct collection *c, const struct fsat_stat *st)
{
	int64_t grace = (int64_t)c->options->policy.grace_s;
	int64_t written = c->now - st->mtime.tv_sec;
	int64_t named = c->now - st->ctime.tv_sec;

	return (written < grace && written > -grace) ||
	    (named < grace && named > -grace);
}

static int
sweep_file(struct collection *c, const char *name, struct err *e)
{
	char path[REPO_PATH_BYTES + NAME_MAX];
	struct fsat_stat st;
	int ret = fsat_stat(c->dir, name, &st, e);

	if (ret == ERR_NOT_FOUND)
		return 0;
	if (ret != 0 || (st.mode & S_IFMT) != S_IFREG)
		return ret;
	if (is_young(c, &st)) {
		c->out->young++;
		return 0;
	}
	if (!c->options->noop)
		ret = fsat_unlink(c->dir, name, e);
	if (ret != 0)
		return err_prefix(e, "%s", c->folder);
	c->out->files++;
	c->out->bytes += st.size_bytes;
	(void)snprintf(path, sizeof(path), "%s/%s", c->folder, name);
	if (c->options->removed != NULL)
		c->options->removed(c->options->arg, path, st.size_bytes);
	return 0;
}

static bool
is_stopped(const struct collection *c)
{
	return c->options->stop != NULL && *c->options->stop != 0;
}

/* With the lock held.  Our own unlinking of manifests is no news. */
static int
sweep_some(struct collection *c, struct err *e)
{
	struct timespec begun;
	bool removed = false;
	unsigned looked = 0;
	int ret = 0;

	clock_gettime(CLOCK_MONOTONIC, &begun);
	while (ret == 0 && c->next < c->names.count && looked < SLICE_FILES &&
	    clock_seconds_since(&begun) < SLICE_S) {
		const char *name = c->names.names[c->next++];

		if (!is_candidate(c, name))
			continue;
		looked++;
		removed = true;
		ret = sweep_file(c, name, e);
	}
	if (ret == 0 && removed && strcmp(c->folder, "v1/manifest") == 0)
		ret = take_stamp(c->o->repo, &c->stamp, e);
	return ret;
}

static void
pause_between(const struct collection *c)
{
	struct timespec t = { c->options->pause_ms / 1000,
		(long)(c->options->pause_ms % 1000) * 1000000L };

	nanosleep(&t, NULL);
}

/* *changed: nothing was removed, as the marks are out of date. */
static int
slice(struct collection *c, bool *changed, struct err *e)
{
	struct digest now;
	int ret = lock(c, e);

	if (ret != 0)
		return ret;
	ret = take_stamp(c->o->repo, &now, e);
	*changed = ret == 0 && !digest_equal(&now, &c->stamp);
	if (ret == 0 && !*changed)
		ret = sweep_some(c, e);
	repo_unlock(c->o->repo);
	return ret;
}

static bool
skip_needed(struct collection *c)
{
	while (c->next < c->names.count &&
	    !is_candidate(c, c->names.names[c->next]))
		c->next++;
	return c->next < c->names.count;
}

static int
sweep_names(struct collection *c, struct err *e)
{
	bool changed = false;
	int ret = 0;

	c->next = 0;
	while (ret == 0 && !is_stopped(c) && skip_needed(c)) {
		ret = slice(c, &changed, e);
		if (ret == 0 && changed)
			ret = mark(c, e);
		pause_between(c);
	}
	return ret;
}

static int
sweep_folder(struct collection *c, struct err *e)
{
	int ret = fsat_open_dir(repo_fd(c->o->repo), c->folder, &c->dir, e);

	if (ret == ERR_NOT_FOUND) {
		err_clear(e);
		return 0;
	}
	if (ret == 0)
		ret = fsat_list(c->dir, &c->names, e);
	if (ret == 0)
		ret = sweep_names(c, e);
	fsat_names_release(&c->names);
	if (c->dir >= 0)
		close(c->dir);
	c->dir = -1;
	return ret;
}

/* Objects first, as they are most of it.  In which order does not matter to
 * whoever comes after a crash. */
static int
sweep(struct collection *c, struct err *e)
{
	static const char *const last[] = { "v1/data", "v1/manifest" };
	int ret = 0;

	for (unsigned i = 0; ret == 0 && i < SHELVES; i++) {
		(void)snprintf(
		    c->folder, sizeof(c->folder), "v1/object/%02x", i);
		ret = sweep_folder(c, e);
	}
	for (size_t i = 0; ret == 0 && i < 2; i++) {
		(void)snprintf(c->folder, sizeof(c->folder), "%s", last[i]);
		ret = sweep_folder(c, e);
	}
	return ret;
}

int
collect_run(struct origin *o, const struct collect_options *options,
    struct collected *out, struct err *e)
{
	struct collection c = {
		.o = o, .options = options, .out = out, .dir = -1
	};
	struct err ignored = ERR_INIT;
	int ret;

	*out = (struct collected){ .files = 0 };
	c.now = time(NULL);
	ret = mark(&c, e);
	/* A full disk must not keep us from making room: then what ceases to
	 * be kept is noticed the next time. */
	if (ret == 0 && !options->noop &&
	    retain_list_save(o->repo, &c.retained.list, &ignored) != 0)
		err_clear(&ignored);
	if (ret == 0)
		ret = sweep(&c, e);
	retained_release(&c.retained);
	return ret;
}
