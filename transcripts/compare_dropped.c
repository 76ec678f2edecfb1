/* What a former tree listed and the present one does not; runs in the client. */
#include <errno.h>

#include "common/dirstack.h"
#include "transcripts/compare.h"

int
compare_paths(const char *a, const char *b)
{
	return manifest_path_cmp(a, strlen(a), b, strlen(b));
}

/* Nothing is there, or its directory is something else by now. */
static bool
is_gone(int rc, const struct err *e)
{
	return rc == ERR_NOT_FOUND ||
	    (rc == ERR_SYS && (e->sys == ENOTDIR || e->sys == ELOOP));
}

static int
report_dropped(struct dirstack *dirs, const char *path, compare_fn fn,
    void *arg, struct err *e)
{
	struct compare_diff diff = { .kind = COMPARE_DELETE, .path = path };
	struct err mine = ERR_INIT;
	struct fsat_stat st;
	const char *name;
	int dir, rc;

	rc = dirstack_at(dirs, path, &dir, &name, &mine);
	if (rc == 0)
		rc = fsat_stat(dir, name, &st, &mine);
	if (is_gone(rc, &mine))
		return 0;
	if (rc != 0) {
		*e = mine;
		return rc;
	}
	diff.have = &st;
	return fn(arg, &diff, e);
}

/* Moves *entry, of a layer that did not end, to the first that is not before
 * `old`; *same says whether it is of the same path. */
static int
catch_up(struct layer *want, const struct layer_entry **entry,
    const struct layer_entry *old, bool *same, struct err *e)
{
	int order, rc;

	*same = false;
	while (*entry != NULL) {
		order = compare_paths((*entry)->m.path, old->m.path);
		if (order >= 0) {
			*same = order == 0;
			return 0;
		}
		rc = layer_next(want, entry, e);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static bool
may_go(const struct layer *want, const struct layer_entry *old)
{
	return !old->implied && strcmp(old->m.path, ".") != 0 &&
	    !layer_is_excluded(want, old->m.path);
}

int
compare_dropped(int root, struct layer *was, struct layer *want, compare_fn fn,
    void *arg, struct err *e)
{
	const struct layer_entry *old, *entry = NULL;
	struct dirstack *dirs = NULL;
	bool same;
	int rc;

	rc = dirstack_new(root, &dirs, e);
	if (rc == 0)
		rc = layer_next(want, &entry, e);
	while (rc == 0) {
		rc = layer_next(was, &old, e);
		if (rc != 0 || old == NULL)
			break;
		rc = catch_up(want, &entry, old, &same, e);
		if (rc == 0 && !same && may_go(want, old))
			rc = report_dropped(dirs, old->m.path, fn, arg, e);
	}
	dirstack_free(dirs);
	return rc;
}
