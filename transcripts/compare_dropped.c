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

int
compare_dropped(int root, struct layer *was, struct layer *want, compare_fn fn,
    void *arg, struct err *e)
{
	const struct layer_entry *old, *new = NULL;
	struct dirstack *dirs = NULL;
	bool more = true;
	int order, rc;

	if ((rc = dirstack_new(root, &dirs, e)) != 0)
		return rc;
	while ((rc = layer_next(was, &old, e)) == 0 && old != NULL) {
		order = 1;
		while (more && (new == NULL ||
		    (order = compare_paths(new->m.path, old->m.path)) < 0)) {
			if ((rc = layer_next(want, &new, e)) != 0)
				goto out;
			more = new != NULL;
		}
		if (!more)
			order = 1;
		if (order == 0 || old->implied ||
		    strcmp(old->m.path, ".") == 0 ||
		    layer_is_excluded(want, old->m.path))
			continue;
		rc = report_dropped(dirs, old->m.path, fn, arg, e);
		if (rc != 0)
			goto out;
	}
out:
	dirstack_free(dirs);
	return rc;
}
