/* Hard links around a change; runs in the applier. */
#include "client/keep_links.h"

#include <stdlib.h>

#include "client/tree.h"

/* One name of a group: `path` is another name of `first`, or first itself. */
struct member {
	char *first, *path;
};
struct members {
	struct member *list;
	size_t count, room;
};

static void
members_release(struct members *m)
{
	for (size_t i = 0; i < m->count; i++) {
		free(m->list[i].first);
		free(m->list[i].path);
	}
	free(m->list);
}

static int
add_member(
    struct members *m, const char *first, const char *path, struct err *e)
{
	struct member *p;

	if (m->count == m->room) {
		size_t room = m->room == 0 ? 64 : 2 * m->room;

		p = reallocarray(m->list, room, sizeof(*p));
		if (p == NULL)
			return err_memory(e);
		m->list = p;
		m->room = room;
	}
	p = &m->list[m->count];
	p->first = strdup(first);
	p->path = strdup(path);
	m->count++;
	return p->first != NULL && p->path != NULL ? 0 : err_memory(e);
}

static int
read_members(struct session *s, struct members *m, struct err *e)
{
	const struct layer_entry *entry;
	struct tree *t = NULL;
	int rc = tree_open(&s->state, &s->was, s->was_profile, &t, e);

	while (rc == 0 && (rc = layer_next(tree_layer(t), &entry, e)) == 0 &&
	    entry != NULL) {
		if (entry->m.type != MANIFEST_HARDLINK)
			continue;
		rc = add_member(m, entry->m.target, entry->m.path, e);
		if (rc == 0)
			rc = add_member(m, entry->m.target, entry->m.target, e);
	}
	tree_free(t);
	return rc;
}

static int
member_cmp(const void *a, const void *b)
{
	const struct member *x = a, *y = b;
	int order = strcmp(x->first, y->first);

	return order != 0 ? order : compare_paths(x->path, y->path);
}

static int
delete_cmp(const void *key, const void *element)
{
	const struct plan_delete *d = element;

	return compare_paths(d->path, key); /* sorted backwards */
}

static bool
is_touched(const struct plan *p, const char *path)
{
	return plan_find(p, path) != NULL ||
	    (p->delete_count > 0 &&
	        bsearch(path, p->deletes, p->delete_count, sizeof(*p->deletes),
	            delete_cmp) != NULL);
}

static int
add_path(struct keep_links *l, char **path, struct err *e)
{
	if (l->count == l->room) {
		size_t room = l->room == 0 ? 64 : 2 * l->room;
		char **list = reallocarray(l->paths, room, sizeof(*list));

		if (list == NULL)
			return err_memory(e);
		l->paths = list;
		l->room = room;
	}
	l->paths[l->count++] = *path;
	*path = NULL;
	return 0;
}

/* One group, [from, to) of the sorted members; paths are taken over. */
static int
take_group(struct members *m, size_t from, size_t to, const struct plan *p,
    struct keep_links *out, struct err *e)
{
	const char *last = "";
	bool any = false;
	int rc = 0;

	for (size_t i = from; i < to && !any; i++)
		any = is_touched(p, m->list[i].path);
	for (size_t i = from; any && i < to && rc == 0; i++) {
		char **path = &m->list[i].path;
		bool again = strcmp(*path, last) == 0;

		last = *path;
		if (!again && !is_touched(p, *path))
			rc = add_path(out, path, e);
	}
	return rc;
}

static int
path_cmp(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return compare_paths(*x, *y);
}

int
keep_links_find(struct session *s, const struct plan *p, struct keep_links *out,
    struct err *e)
{
	struct members m = { NULL, 0, 0 };
	struct err mine = ERR_INIT;
	int rc;

	if (!s->has_applied)
		return 0;
	rc = read_members(s, &m, &mine);
	/* Manifests that were lost say nothing about links. */
	if (rc == ERR_NOT_FOUND || rc == ERR_VERIFY)
		rc = 0;
	if (m.count > 0)
		qsort(m.list, m.count, sizeof(*m.list), member_cmp);
	for (size_t from = 0, to; rc == 0 && from < m.count; from = to) {
		for (to = from + 1; to < m.count &&
		     strcmp(m.list[to].first, m.list[from].first) == 0;
		     to++)
			;
		rc = take_group(&m, from, to, p, out, &mine);
	}
	members_release(&m);
	if (out->count > 0)
		qsort(out->paths, out->count, sizeof(*out->paths), path_cmp);
	if (rc != 0)
		*e = mine;
	return rc;
}

void
keep_links_release(struct keep_links *l)
{
	for (size_t i = 0; i < l->count; i++)
		free(l->paths[i]);
	free(l->paths);
	*l = (struct keep_links){ NULL, 0, 0 };
}
