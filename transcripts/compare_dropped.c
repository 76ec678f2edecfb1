/* What a former tree listed and the present one does not; runs in the client. */
#include "transcripts/compare_dropped.h"

#include <errno.h>
#include <stdlib.h>

#include "common/dirstack.h"

struct compare_dropped {
	const struct compare_options *o;
	compare_fn fn;
	void *arg;
	struct dirstack *dirs;
	const struct layer_entry *old; /* the next; NULL at the end */
};

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
report(const struct compare_dropped *d, const char *path, struct err *e)
{
	struct compare_diff diff = { .kind = COMPARE_DELETE, .path = path };
	struct err mine = ERR_INIT;
	struct fsat_stat st;
	const char *name;
	int dir, rc;

	rc = dirstack_at(d->dirs, path, &dir, &name, &mine);
	if (rc == 0)
		rc = fsat_stat(dir, name, &st, &mine);
	if (is_gone(rc, &mine))
		return 0;
	if (rc != 0) {
		*e = mine;
		return rc;
	}
	diff.have = &st;
	return d->fn(d->arg, &diff, e);
}

static bool
may_go(const struct layer *want, const struct layer_entry *old)
{
	return !old->implied && strcmp(old->m.path, ".") != 0 &&
	    !layer_is_excluded(want, old->m.path);
}

int
compare_dropped_new(const struct compare_options *options, compare_fn fn,
    void *arg, struct compare_dropped **out, struct err *e)
{
	struct compare_dropped *d = calloc(1, sizeof(*d));
	int rc;

	if (d == NULL)
		return err_memory(e);
	d->o = options;
	d->fn = fn;
	d->arg = arg;
	rc = dirstack_new(options->root, &d->dirs, e);
	if (rc == 0)
		rc = layer_next(options->was, &d->old, e);
	if (rc == 0)
		*out = d;
	else
		compare_dropped_free(d);
	return rc;
}

void
compare_dropped_free(struct compare_dropped *d)
{
	if (d == NULL)
		return;
	dirstack_free(d->dirs);
	free(d);
}

int
compare_dropped_pass(struct compare_dropped *d, const char *path, struct err *e)
{
	int order = -1, rc = 0;

	while (rc == 0 && d->old != NULL) {
		if (path != NULL)
			order = compare_paths(d->old->m.path, path);
		if (order > 0)
			break;
		if (order < 0 && may_go(d->o->want, d->old))
			rc = report(d, d->old->m.path, e);
		if (rc == 0)
			rc = layer_next(d->o->was, &d->old, e);
	}
	return rc;
}
