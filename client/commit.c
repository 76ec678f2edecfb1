/* Takes a journal's steps; runs in the applier.  Each step finds out by
 * itself whether it was taken before the crash. */
#include "client/commit.h"

#include <errno.h>

#include "client/meta.h"
#include "common/dirstack.h"
#include "common/fsat.h"

static const char *
base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? path : slash + 1;
}

/* A stage that is gone was renamed, or removed, before. */
static int
missing_is_done(int rc, struct err *e)
{
	if (rc != ERR_NOT_FOUND)
		return rc;
	err_clear(e);
	return 0;
}

static int
exchange(int dir, const struct journal_step *s, const char *name,
    struct err *e)
{
	struct fsat_stat st;
	int rc;

	rc = fsat_stat(dir, name, &st, e);
	if (rc != 0 || st.ino == s->ino)
		return rc;
	return fsat_exchange(dir, base_name(s->stage), dir, name, e);
}

static int
set_meta(int dir, const char *name, const struct journal_step *s,
    struct err *e)
{
	struct meta m = { .type = s->type, .mode = s->mode, .uid = s->uid,
		.gid = s->gid, .mtime = s->mtime, .xattrs = s->xattrs };

	return meta_set_name(dir, name, &m, s->bits, e);
}

static int
remove_dir(int dir, const char *name, struct err *e)
{
	int rc = fsat_rmdir(dir, name, e);

	if (rc == ERR_SYS && (e->sys == ENOTEMPTY || e->sys == EEXIST)) {
		err_clear(e);
		return 0;
	}
	return missing_is_done(rc, e);
}

static int
take_step(int dir, const char *name, const struct journal_step *s,
    struct err *e)
{
	switch (s->kind) {
	case JOURNAL_RENAME:
		return missing_is_done(
		    fsat_rename(dir, base_name(s->stage), dir, name, e), e);
	case JOURNAL_EXCHANGE:
		return exchange(dir, s, name, e);
	case JOURNAL_UNLINK:
		return missing_is_done(fsat_unlink(dir, name, e), e);
	case JOURNAL_RMDIR:
		return remove_dir(dir, name, e);
	case JOURNAL_META:
		return set_meta(dir, name, s, e);
	case JOURNAL_TIME:
		return fsat_utime(dir, name, &s->mtime, e);
	case JOURNAL_LEFTOVER:
		return fsat_remove_tree(dir, base_name(s->stage), e);
	}
	return err_set(e, ERR_FORMAT, "journal: unknown step");
}

int
commit_steps(int root, struct journal *j, struct err *e)
{
	struct dirstack *dirs = NULL;
	struct journal_step s;
	bool more = true;
	int rc;

	if ((rc = dirstack_new(root, &dirs, e)) != 0)
		return rc;
	while ((rc = journal_next(j, &s, &more, e)) == 0 && more) {
		const char *name;
		int dir;

		rc = dirstack_at(dirs, s.path, &dir, &name, e);
		/* The directory of a thing to delete may be gone already. */
		if (rc == ERR_NOT_FOUND &&
		    (s.kind == JOURNAL_UNLINK || s.kind == JOURNAL_RMDIR)) {
			err_clear(e);
			continue;
		}
		if (rc == 0)
			rc = take_step(dir, name, &s, e);
		if (rc != 0) {
			err_prefix(e, "%s", s.path);
			break;
		}
		if (s.kind == JOURNAL_RENAME || s.kind == JOURNAL_EXCHANGE)
			dirstack_forget(dirs, s.path);
	}
	dirstack_free(dirs);
	return rc != 0 ? rc : fsat_syncfs(root, e);
}
