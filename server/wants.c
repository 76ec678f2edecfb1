#include "server/wants.h"

#include <stdlib.h>
#include <string.h>

void
wants_release(struct wants *w)
{
	free(w->list);
	memset(w, 0, sizeof(*w));
}

static uint64_t
beginning_of(const struct digest *digest)
{
	uint64_t v;

	memcpy(&v, digest->b, sizeof(v));
	return v;
}

int
wants_add(struct wants *w, const struct digest *digest, uint64_t size_bytes,
    struct err *e)
{
	struct want *list;

	if (w->count == w->room) {
		w->room = w->room == 0 ? 256 : 2 * w->room;
		list = reallocarray(w->list, w->room, sizeof(*list));
		if (list == NULL)
			return err_memory(e);
		w->list = list;
	}
	w->list[w->count].beginning = beginning_of(digest);
	w->list[w->count++].size_bytes = size_bytes;
	return 0;
}

static int
want_cmp(const void *a, const void *b)
{
	const struct want *x = a, *y = b;

	return (x->beginning > y->beginning) - (x->beginning < y->beginning);
}

void
wants_sort(struct wants *w)
{
	size_t kept = 0;

	if (w->count == 0)
		return;
	qsort(w->list, w->count, sizeof(*w->list), want_cmp);
	for (size_t i = 1; i < w->count; i++)
		if (want_cmp(&w->list[i], &w->list[kept]) != 0)
			w->list[++kept] = w->list[i];
	w->count = kept + 1;
}

const struct want *
wants_find(const struct wants *w, const struct digest *digest)
{
	const struct want sought = { .beginning = beginning_of(digest) };

	return w->count == 0
	    ? NULL
	    : bsearch(&sought, w->list, w->count, sizeof(*w->list), want_cmp);
}
