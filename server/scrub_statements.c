/* Signed files that are replaced, or found by a number; runs in the keeper. */
#include "server/scrub_statements.h"

#include <errno.h>
#include <unistd.h>

#include "common/fsat.h"
#include "common/log.h"
#include "server/quarantine.h"
#include "transcripts/repo_check.h"

struct judging {
	struct origin *o;
	const struct scrub_options *options;
	struct scrubbed *out;
	struct root root; /* of the chain so far, version 0: none */
	const char *channel;
	/* An origin's stay: without a head or roster its publisher would begin
	 * again from the first; and who has no anchor cannot judge a root that
	 * comes in its place. */
	bool stays;
};

/* 0, or why the file at `path` is wrong. */
typedef int (*judge_fn)(struct judging *j, const char *path, struct err *e);

bool
scrub_is_damage(int ret, const struct err *e)
{
	return repo_check_is_damage(ret) || ret == ERR_ROLLBACK ||
	    (ret == ERR_SYS && e->sys == EIO);
}

static int
judge_root(struct judging *j, const char *path, struct err *e)
{
	struct root next = { .version = 0 };
	struct digest own;
	struct buf text;
	int ret;

	buf_init(&text, LIMIT_ROOT_BYTES);
	ret = repo_read_statement(j->o->repo, path, LIMIT_ROOT_BYTES, &text, e);
	if (ret == 0 && j->root.version == 0) {
		digest_of(text.data, text.len, &own);
		ret = root_first(text.data, text.len,
		    j->options->has_anchor ? &j->options->anchor : &own, &next,
		    e);
	} else if (ret == 0) {
		ret = root_next(text.data, text.len, &j->root, &next, e);
	}
	buf_release(&text);
	if (ret == 0)
		j->root = next;
	return ret;
}

/* The roots are right, so that what does not load is the roster. */
static int
judge_roster(struct judging *j, const char *path, struct err *e)
{
	(void)path;
	return origin_load(j->o, e);
}

/* Loads the roots for what comes, where a roster is missing or wrong. */
static int
judge_without_roster(struct judging *j, struct err *e)
{
	struct err why = ERR_INIT;
	int ret = origin_load(j->o, &why);

	if (ret == 0 || (scrub_is_damage(ret, &why) && j->o->root_count > 0))
		return 0;
	*e = why;
	return ret;
}

static int
judge_head(struct judging *j, const char *path, struct err *e)
{
	struct head head;

	(void)path;
	return origin_head(j->o, j->channel, &head, e);
}

static int
put_away(struct judging *j, const char *path, int fd, const struct err *why,
    struct err *e)
{
	bool moved = false;
	int ret = 0;

	if (!j->stays) {
		ret = repo_lock(j->o->repo, j->options->wait_ms, e);
		if (ret == 0)
			ret = quarantine_put(j->o->repo, path, fd, &moved, e);
		repo_unlock(j->o->repo);
	}
	if (ret != 0)
		return ret;
	if (!moved && !j->stays)
		return 0; /* it was replaced meanwhile */
	j->out->wrong++;
	board_add(&j->options->board->damaged, 1);
	log_event(LOG_WARNING, "damaged file", "path", path, "why", why->msg,
	    "now", moved ? "in quarantine" : "to be replaced by hand", NULL);
	return 0;
}

/* *right: it is there, and what it should be. */
static int
judge(struct judging *j, const char *path, judge_fn fn, bool *right,
    struct err *e)
{
	struct err why = ERR_INIT;
	struct fsat_stat st;
	int fd = -1, ret;

	*right = false;
	ret = fsat_open_file(repo_fd(j->o->repo), path, &fd, &why);
	if (ret == ERR_NOT_FOUND)
		return 0;
	if (ret != 0) {
		*e = why;
		return ret;
	}
	/* Twice: memory errs, too, and it may just be replaced. */
	for (int i = 0; i < 2 && ret == 0 && !*right; i++) {
		err_clear(&why);
		*right = fn(j, path, &why) == 0;
		if (!*right && !scrub_is_damage(why.code, &why))
			ret = why.code;
	}
	board_add(&j->options->board->scrub_files, 1);
	if (fsat_stat_fd(fd, &st, NULL) == 0)
		board_add(&j->options->board->scrub_bytes, st.size_bytes);
	if (ret != 0)
		*e = why;
	else if (!*right)
		ret = put_away(j, path, fd, &why, e);
	close(fd);
	return ret;
}

static int
judge_roots(struct judging *j, bool *right, struct err *e)
{
	char path[REPO_PATH_BYTES];
	uint64_t newest = 0;
	int ret = repo_newest_root(j->o->repo, &newest, e);

	*right = newest > 0;
	for (uint64_t n = 1; ret == 0 && *right && n <= newest; n++) {
		repo_path_root(path, n);
		ret = judge(j, path, judge_root, right, e);
	}
	return ret;
}

static int
judge_heads(struct judging *j, struct err *e)
{
	struct fsat_names names = { NULL, 0 };
	char path[REPO_PATH_BYTES];
	bool right;
	int ret = repo_channels(j->o->repo, &names, e);

	for (size_t i = 0; ret == 0 && i < names.count; i++) {
		j->channel = names.names[i];
		if (repo_path_channel(path, j->channel, NULL) == 0)
			ret = judge(j, path, judge_head, &right, e);
	}
	fsat_names_release(&names);
	return ret;
}

int
scrub_statements(struct origin *o, const struct scrub_options *options,
    struct scrubbed *out, struct err *e)
{
	struct judging j = { .o = o,
		.options = options,
		.out = out,
		.stays = !options->has_anchor };
	char path[REPO_PATH_BYTES];
	bool right = false;
	int ret = judge_roots(&j, &right, e);

	if (ret != 0 || !right)
		return ret;
	repo_path_roster(path);
	ret = judge(&j, path, judge_roster, &right, e);
	if (ret == 0 && !right)
		ret = judge_without_roster(&j, e);
	return ret == 0 ? judge_heads(&j, e) : ret;
}
