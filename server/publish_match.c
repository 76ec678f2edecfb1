/* Renamed and edited files: contents without a basis at their own path against
 * the files that went away. */
#include <stdlib.h>

#include "server/publish_impl.h"
#include "transcripts/resemble.h"

#define NEW_MAX   16384
#define NEW_BYTES ((uint64_t)256 * 1024 * 1024)

/* A content to be looked at, and what was seen. */
struct sketching {
	struct publish *p;
	const struct digest *digest;
	struct resemble_candidate *out;
};

struct match {
	struct publish_tree *t;
	struct resemble_candidate *old, *new;
	struct publish_wanted **for_new; /* whom each of new is */
	size_t new_count;
	struct sketching *jobs;
};

/* An object_sink. */
static int
sketch_piece(void *arg, const void *data, size_t len, struct err *e)
{
	(void)e;
	resemble_add(arg, data, len);
	return 0;
}

/* A pool_fn. */
static int
sketch(void *arg, struct err *e)
{
	struct sketching *s = arg;
	struct publish_kit *kit = NULL;
	struct resemble_state state;
	int ret;

	if (pool_has_failed(s->p->pool))
		return 0;
	ret = publish_kit_take(s->p, &kit, e);
	if (ret != 0)
		return ret;
	resemble_init(&state);
	ret = object_read(kit->reader, s->digest, s->out->size_bytes,
	    sketch_piece, &state, e);
	publish_kit_give(s->p, kit);
	s->out->sketch = state.sketch;
	progress_add(s->p->options->progress, 1, s->out->size_bytes);
	return ret;
}

static void
submit(struct match *m, size_t job, const struct digest *d,
    struct resemble_candidate *out)
{
	m->jobs[job] = (struct sketching){ m->t->p, d, out };
	pool_submit(m->t->p->pool, sketch, &m->jobs[job]);
}

static void
list_new(struct match *m)
{
	struct publish_tree *t = m->t;

	for (size_t i = 0; i < t->wanted_count && m->new_count < NEW_MAX; i++) {
		struct publish_wanted *w = t->wanted[i];

		if (w->has_basis || w->size_bytes < PUBLISH_DELTA_MIN ||
		    w->size_bytes > NEW_BYTES)
			continue;
		m->new[m->new_count].size_bytes = w->size_bytes;
		m->new[m->new_count].path = w->path;
		m->for_new[m->new_count++] = w;
	}
}

static int
sketch_all(struct match *m, struct err *e)
{
	struct publish_tree *t = m->t;
	size_t n = t->removed_count;

	for (size_t i = 0; i < n; i++) {
		m->old[i].size_bytes = t->removed[i].size_bytes;
		m->old[i].path = t->removed[i].path;
		submit(m, i, &t->removed[i].digest, &m->old[i]);
	}
	for (size_t i = 0; i < m->new_count; i++)
		submit(m, n + i, &m->for_new[i]->digest, &m->new[i]);
	return pool_wait(t->p->pool, e);
}

static int
choose(struct match *m, struct err *e)
{
	struct resemble_index *index = NULL;
	int ret = resemble_index_new(m->old, m->t->removed_count, &index, e);

	for (size_t i = 0; ret == 0 && i < m->new_count; i++) {
		struct publish_wanted *w = m->for_new[i];
		size_t best = RESEMBLE_NONE;

		resemble_index_best(index, &m->new[i], &best);
		if (best == RESEMBLE_NONE)
			continue;
		w->has_basis = true;
		w->basis = m->t->removed[best].digest;
		w->basis_bytes = m->t->removed[best].size_bytes;
	}
	resemble_index_free(index);
	return ret;
}

int
publish_match(struct publish_tree *t, struct err *e)
{
	size_t wanted = t->wanted_count < NEW_MAX ? t->wanted_count : NEW_MAX;
	struct match m = { .t = t };
	int ret = 0;

	if (t->removed_count == 0 || wanted == 0)
		return 0;
	progress_begin(t->p->options->progress, "matching", t->t->name);
	m.old = calloc(t->removed_count, sizeof(*m.old));
	m.new = calloc(wanted, sizeof(*m.new));
	m.for_new = calloc(wanted, sizeof(struct publish_wanted *));
	m.jobs = calloc(t->removed_count + wanted, sizeof(*m.jobs));
	if (m.old == NULL || m.new == NULL || m.for_new == NULL ||
	    m.jobs == NULL)
		ret = err_memory(e);
	if (ret == 0)
		list_new(&m);
	if (ret == 0 && m.new_count > 0)
		ret = sketch_all(&m, e);
	if (ret == 0 && m.new_count > 0)
		ret = choose(&m, e);
	free(m.old);
	free(m.new);
	free(m.for_new);
	free(m.jobs);
	return ret;
}
