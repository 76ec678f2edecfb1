/* Takes a journal's steps; runs in the applier.  Each step finds out by
 * itself whether it was taken before the crash.  A step must not fail for what
 * somebody else did to its path meanwhile, or no later run would get past it:
 * such a path is left, and the next run compares it again. */
#include "client/commit.h"

#include <errno.h>
#include <unistd.h>

#include "client/meta.h"
#include "client/syncs.h"
#include "common/dirstack.h"
#include "common/fsat.h"

static const char *
base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? path : slash + 1;
}

static bool
is_sys(int rc, const struct err *e, const int *list, size_t count)
{
	if (rc != ERR_SYS)
		return false;
	for (size_t i = 0; i < count; i++)
		if (e->sys == list[i])
			return true;
	return false;
}
#define IS_SYS(rc, e, ...)                   \
 is_sys(rc, e, (const int[]){ __VA_ARGS__ }, \
     sizeof((const int[]){ __VA_ARGS__ }) / sizeof(int))

/* Not there, or below what is no directory any more. */
static int
gone_is_done(int rc, struct err *e)
{
	if (rc != ERR_NOT_FOUND && !IS_SYS(rc, e, ENOTDIR, ELOOP))
		return rc;
	err_clear(e);
	return 0;
}

/* A stage that is gone was renamed before. */
static int
rename_stage(int dir, const char *stage, const char *name, struct err *e)
{
	int rc = fsat_rename(dir, stage, dir, name, e);

	/* A directory was made there, or a file where one was. */
	if (IS_SYS(rc, e, EISDIR, ENOTDIR, ENOTEMPTY, EEXIST)) {
		err_clear(e);
		rc = fsat_remove_tree(dir, name, e);
		if (rc == 0)
			rc = fsat_rename(dir, stage, dir, name, e);
	}
	if (IS_SYS(rc, e, EBUSY)) { /* mounted there meanwhile */
		err_clear(e);
		rc = fsat_remove_tree(dir, stage, e);
	}
	return gone_is_done(rc, e);
}

/* Under the stage's name is what was staged until the exchange is made. */
static int
exchange(int dir, const struct journal_step *s, const char *name, struct err *e)
{
	const char *stage = base_name(s->stage);
	struct fsat_stat st;
	int rc;

	rc = fsat_stat(dir, stage, &st, e);
	if (rc != 0)
		return gone_is_done(rc, e);
	if (st.ino != s->ino)
		return 0;
	rc = fsat_exchange(dir, stage, dir, name, e);
	if (IS_SYS(rc, e, EBUSY)) {
		err_clear(e);
		return 0;
	}
	if (rc != ERR_NOT_FOUND)
		return rc;
	err_clear(e);
	return rename_stage(dir, stage, name, e);
}

static bool
is_type(uint8_t type, uint32_t mode)
{
	switch (type) {
	case MANIFEST_DIR:
		return S_ISDIR(mode);
	case MANIFEST_FILE:
		return S_ISREG(mode);
	case MANIFEST_SYMLINK:
		return S_ISLNK(mode);
	default:
		return !S_ISDIR(mode) && !S_ISREG(mode) && !S_ISLNK(mode);
	}
}

/* Holds on to what was compared, so that no other thing gets its metadata. */
static int
set_meta(int dir, const char *name, const struct journal_step *s, struct err *e)
{
	struct meta m = { .type = s->type,
		.mode = s->mode,
		.uid = s->uid,
		.gid = s->gid,
		.mtime = s->mtime,
		.xattrs = s->xattrs };
	struct fsat_stat st;
	int fd = -1, rc;

	rc = fsat_hold(dir, name, &fd, e);
	if (rc != 0)
		return gone_is_done(rc, e);
	rc = fsat_stat_fd(fd, &st, e);
	if (rc == 0 && st.ino == s->ino && is_type(s->type, st.mode))
		rc = meta_set_name(fd, "", &m, s->bits, e);
	close(fd);
	return rc;
}

static int
set_flags_or_mode(
    int dir, const char *name, const struct journal_step *s, struct err *e)
{
	struct fsat_stat st;
	int fd = -1, rc;

	rc = fsat_hold(dir, name, &fd, e);
	if (rc != 0)
		return gone_is_done(rc, e);
	rc = fsat_stat_fd(fd, &st, e);
	if (rc == 0 && st.ino == s->ino) {
		if (s->kind == JOURNAL_MODE)
			rc = fsat_chmod(fd, "", s->mode, e);
		else if (st.flags != s->bits)
			rc = fsat_set_flags(fd, "", s->bits, e);
	}
	close(fd);
	return rc;
}

static int
set_time(int dir, const char *name, const struct journal_step *s, struct err *e)
{
	int fd = -1, rc;

	rc = fsat_hold_dir(dir, name, &fd, e);
	if (rc != 0)
		return gone_is_done(rc, e);
	rc = fsat_utime(fd, "", &s->mtime, e);
	close(fd);
	return rc;
}

static int
unlink_name(int dir, const char *name, struct err *e)
{
	int rc = fsat_unlink(dir, name, e);

	if (IS_SYS(rc, e, EISDIR, EBUSY)) {
		err_clear(e);
		return 0;
	}
	return gone_is_done(rc, e);
}

static int
remove_dir(int dir, const char *name, struct err *e)
{
	int rc = fsat_rmdir(dir, name, e);

	if (IS_SYS(rc, e, ENOTEMPTY, EEXIST, EBUSY)) {
		err_clear(e);
		return 0;
	}
	return gone_is_done(rc, e);
}

static int
take_step(
    int dir, const char *name, const struct journal_step *s, struct err *e)
{
	switch (s->kind) {
	case JOURNAL_RENAME:
		return rename_stage(dir, base_name(s->stage), name, e);
	case JOURNAL_EXCHANGE:
		return exchange(dir, s, name, e);
	case JOURNAL_UNLINK:
		return unlink_name(dir, name, e);
	case JOURNAL_RMDIR:
		return remove_dir(dir, name, e);
	case JOURNAL_META:
		return set_meta(dir, name, s, e);
	case JOURNAL_TIME:
		return set_time(dir, name, s, e);
	case JOURNAL_LEFTOVER:
		return fsat_remove_tree(dir, base_name(s->stage), e);
	case JOURNAL_FLAGS:
	case JOURNAL_MODE:
		return set_flags_or_mode(dir, name, s, e);
	}
	return err_set(e, ERR_FORMAT, "journal: unknown step");
}

static int
place_and_take(struct dirstack *dirs, struct syncs *syncs,
    const struct journal_step *s, struct err *e)
{
	const char *name;
	int dir, rc;

	rc = dirstack_at(dirs, s->path, &dir, &name, e);
	if (rc != 0)
		return gone_is_done(rc, e);
	rc = syncs_add(syncs, dir, e);
	if (rc == 0)
		rc = take_step(dir, name, s, e);
	/* The name may stand for another directory now. */
	dirstack_forget(dirs, s->path);
	return rc;
}

/* The last steps make unchangeable again.  After a power cut between, none of
 * them may be on the disk without what was changed before: it could not be. */
static bool
is_closing(const struct journal_step *s)
{
	return s->kind == JOURNAL_MODE ||
	    (s->kind == JOURNAL_FLAGS && s->bits != 0);
}

int
commit_steps(
    int root, struct journal *j, struct progress *progress, struct err *e)
{
	struct dirstack *dirs = NULL;
	struct syncs syncs = { NULL, 0 };
	struct journal_step s;
	bool more = true, closing = false;
	int rc;

	rc = dirstack_new(root, &dirs, e);
	while (rc == 0) {
		rc = journal_next(j, &s, &more, e);
		if (rc != 0 || !more)
			break;
		if (!closing && is_closing(&s)) {
			closing = true;
			rc = syncs_all(&syncs, e);
		}
		if (rc == 0)
			rc = place_and_take(dirs, &syncs, &s, e);
		if (rc != 0)
			err_prefix(e, "%s", s.path);
		progress_add(progress, 1, 0);
	}
	if (rc == 0)
		rc = syncs_all(&syncs, e);
	syncs_release(&syncs);
	dirstack_free(dirs);
	return rc;
}
