/* The filter before the plan; pure bookkeeping. */
#include "client/protect.h"

#include "common/text.h"

static bool
is_protected(const struct guard *g, const char *path)
{
	for (size_t i = 0; i < g->protect_count; i++)
		if (text_path_match(g->protect[i], path))
			return true;
	return false;
}

int
protect_add(void *protect, const struct compare_diff *diff, struct err *e)
{
	struct protect *p = protect;

	return is_protected(p->guard, diff->path) ? plan_spare(p->plan, diff, e)
	                                          : plan_add(p->plan, diff, e);
}

static int
spared_cmp(const void *a, const void *b)
{
	const struct plan_spared *x = a, *y = b;

	return compare_paths(x->path, y->path);
}

/* The first that is there below the directory, or NULL: what is below stands
 * right behind its directory. */
static const char *
spared_below(const struct plan *p, const char *dir)
{
	size_t lo = 0, hi = p->spared_count, len = strlen(dir);

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (compare_paths(p->spared[mid].path, dir) <= 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < p->spared_count; lo++) {
		const struct plan_spared *s = &p->spared[lo];

		if (strncmp(s->path, dir, len) != 0 || s->path[len] != '/')
			return NULL;
		if (s->is_there)
			return s->path;
	}
	return NULL;
}

static int
in_the_way(const struct plan_item *item, const char *path, struct err *e)
{
	return err_set(e, ERR_UNSUPPORTED,
	    "%s is protected here, and %s is to take the place of the "
	    "directory that leads to it: take it out of protect, or the "
	    "directory out of the release",
	    path, item->path);
}

int
protect_finish(struct protect *p, struct err *e)
{
	struct plan *plan = p->plan;
	const char *path;
	size_t kept = 0;

	if (plan->spared_count == 0)
		return 0;
	qsort(plan->spared, plan->spared_count, sizeof(*plan->spared),
	    spared_cmp);
	for (size_t i = 0; i < plan->item_count; i++) {
		const struct plan_item *item = plan_item(plan, i);

		if (item->op == PLAN_EXCHANGE && item->type != MANIFEST_DIR &&
		    (path = spared_below(plan, item->path)) != NULL)
			return in_the_way(item, path, e);
	}
	for (size_t i = 0; i < plan->delete_count; i++) {
		if (!plan->deletes[i].is_dir ||
		    spared_below(plan, plan->deletes[i].path) == NULL)
			plan->deletes[kept++] = plan->deletes[i];
	}
	plan->delete_count = kept;
	return 0;
}
