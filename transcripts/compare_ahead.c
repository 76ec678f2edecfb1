/* Some batches: one is used while others are filled.  They read one layer by
 * turns; names are looked at by several threads, each batch with directories of
 * its own. */
#include "transcripts/compare_ahead.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/dirstack.h"
#include "common/pool.h"

#define BATCHES       6 /* so that neither side waits for the other each time */
#define THREADS_MAX   4
#define BATCH_ENTRIES 256
#define BATCH_BYTES   ((size_t)256 * 1024) /* of texts: then it is full */

/* Where the texts of an entry are; its pointers are set when all are there. */
struct places {
	size_t path, owner, group, target, xattrs;
};

struct batch {
	struct compare_ahead *ahead;
	struct compare_seen seen[BATCH_ENTRIES];
	struct places places[BATCH_ENTRIES];
	struct buf texts;
	size_t count;
	struct dirstack *dirs;
	/* A directory that is not there, or something else; or "". */
	char absent[LIMIT_PATH_BYTES + 1];
	size_t absent_len;
	unsigned number; /* whose turn it is to read */
	bool is_last;
	int rc; /* what came behind its entries */
	struct err e;
	bool is_filled; /* under the lock; the rest is whose turn it is */
};

struct compare_ahead {
	struct layer *want;
	struct pool *pool; /* NULL: there is no use for it */
	pthread_mutex_t lock;
	pthread_cond_t filled, was_read;
	unsigned submitted, reading; /* batches, ever; the one that reads */
	bool
	    has_ended; /* who reads came to the end of `want`, or to an error */
	struct batch *batches[BATCHES];
	unsigned turn;       /* the batch that is used next */
	struct batch *batch; /* the one that is used now, or NULL: none yet */
	size_t next;         /* of it */
};

/* ---- filling ---- */

static size_t
add_text(struct batch *b, const char *text)
{
	size_t at = b->texts.len;

	if (text != NULL)
		buf_add(&b->texts, text, strlen(text) + 1);
	return at;
}

static void
note_absent(struct batch *b, const char *path, size_t len)
{
	memcpy(b->absent, path, len);
	b->absent_len = len;
}

/* Its directory was not there when another entry was looked for. */
static bool
is_absent(const struct batch *b, const char *path)
{
	return b->absent_len > 0 &&
	    strncmp(path, b->absent, b->absent_len) == 0 &&
	    path[b->absent_len] == '/';
}

static void
look(struct batch *b, struct compare_seen *seen)
{
	const struct manifest_entry *m = &seen->entry.m;
	const char *slash = strrchr(m->path, '/'), *name;
	int dir;

	seen->is_seen = false;
	if (is_absent(b, m->path))
		return;
	if (dirstack_at(b->dirs, m->path, &dir, &name, NULL) != 0) {
		if (slash != NULL)
			note_absent(b, m->path, (size_t)(slash - m->path));
		return;
	}
	seen->is_seen = fsat_stat(dir, name, &seen->st, NULL) == 0;
	if (!seen->is_seen && m->type == MANIFEST_DIR)
		note_absent(b, m->path, strlen(m->path));
}

static void
add(struct batch *b, const struct layer_entry *entry)
{
	const struct manifest_entry *m = &entry->m;
	struct places *p = &b->places[b->count];

	b->seen[b->count++].entry = *entry;
	p->path = add_text(b, m->path);
	p->owner = add_text(b, m->owner);
	p->group = add_text(b, m->group);
	p->target = add_text(b, m->target);
	p->xattrs = b->texts.len;
	buf_add(&b->texts, m->xattrs.text, m->xattrs.len);
}

static const char *
text_at(const struct batch *b, const char *was, size_t at)
{
	return was == NULL ? NULL : (const char *)b->texts.data + at;
}

static void
set_texts(struct batch *b)
{
	for (size_t i = 0; i < b->count; i++) {
		struct manifest_entry *m = &b->seen[i].entry.m;
		const struct places *p = &b->places[i];

		m->path = text_at(b, m->path, p->path);
		m->owner = text_at(b, m->owner, p->owner);
		m->group = text_at(b, m->group, p->group);
		m->target = text_at(b, m->target, p->target);
		m->xattrs.text = text_at(b, m->xattrs.text, p->xattrs);
	}
}

/* What goes wrong is kept for its turn. */
static void
read_entries(struct batch *b)
{
	struct compare_ahead *a = b->ahead;
	const struct layer_entry *entry;

	b->count = 0;
	buf_clear(&b->texts);
	b->is_last = a->has_ended;
	while (b->rc == 0 && !b->is_last && b->count < BATCH_ENTRIES &&
	    b->texts.len < BATCH_BYTES) {
		b->rc = layer_next(a->want, &entry, &b->e);
		b->is_last = b->rc == 0 && entry == NULL;
		if (b->rc == 0 && entry != NULL)
			add(b, entry);
	}
	if (b->rc == 0)
		b->rc = buf_check(&b->texts, "entries", &b->e);
	if (b->rc == ERR_NO_MEMORY)
		b->count = 0;
	a->has_ended = b->is_last || b->rc != 0;
	set_texts(b);
}

static void
look_at_all(struct batch *b)
{
	b->absent_len = 0;
	for (size_t i = 0; i < b->count; i++)
		look(b, &b->seen[i]);
}

/* A pool_fn.  Batches are begun in their order, so that the one whose turn it is
 * to read never waits for a thread. */
static int
fill_ahead(void *arg, struct err *e)
{
	struct batch *b = arg;
	struct compare_ahead *a = b->ahead;

	(void)e;
	pthread_mutex_lock(&a->lock);
	while (a->reading != b->number)
		pthread_cond_wait(&a->was_read, &a->lock);
	pthread_mutex_unlock(&a->lock);
	read_entries(b);
	pthread_mutex_lock(&a->lock);
	a->reading++;
	pthread_cond_broadcast(&a->was_read);
	pthread_mutex_unlock(&a->lock);
	look_at_all(b);
	pthread_mutex_lock(&a->lock);
	b->is_filled = true;
	pthread_cond_signal(&a->filled);
	pthread_mutex_unlock(&a->lock);
	return 0;
}

static void
submit(struct compare_ahead *a, struct batch *b)
{
	b->number = a->submitted++;
	pool_submit(a->pool, fill_ahead, b);
}

/* ---- using ---- */

static int
batch_new(struct compare_ahead *a, int root, struct batch **out, struct err *e)
{
	struct batch *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return err_memory(e);
	b->ahead = a;
	buf_init(&b->texts, SIZE_MAX / 2);
	*out = b;
	return dirstack_new(root, &b->dirs, e);
}

static void
batch_free(struct batch *b)
{
	if (b == NULL)
		return;
	dirstack_free(b->dirs);
	buf_release(&b->texts);
	free(b);
}

/* Without threads it works as well. */
static void
start_threads(struct compare_ahead *a)
{
	unsigned cpus = pool_cpus();

	if (cpus > 1 &&
	    pool_new(cpus < THREADS_MAX ? cpus : THREADS_MAX, BATCHES, &a->pool,
	        NULL) != 0)
		a->pool = NULL;
	for (size_t i = 0; i < BATCHES && a->pool != NULL; i++)
		submit(a, a->batches[i]);
}

int
compare_ahead_new(
    struct layer *want, int root, struct compare_ahead **out, struct err *e)
{
	struct compare_ahead *a = calloc(1, sizeof(*a));
	int rc = 0;

	if (a == NULL)
		return err_memory(e);
	a->want = want;
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->filled, NULL);
	pthread_cond_init(&a->was_read, NULL);
	for (size_t i = 0; i < BATCHES && rc == 0; i++)
		rc = batch_new(a, root, &a->batches[i], e);
	if (rc != 0) {
		compare_ahead_free(a);
		return rc;
	}
	start_threads(a);
	*out = a;
	return 0;
}

void
compare_ahead_free(struct compare_ahead *a)
{
	if (a == NULL)
		return;
	pool_free(a->pool);
	for (size_t i = 0; i < BATCHES; i++)
		batch_free(a->batches[i]);
	pthread_cond_destroy(&a->filled);
	pthread_cond_destroy(&a->was_read);
	pthread_mutex_destroy(&a->lock);
	free(a);
}

/* The one that was used is filled again, behind the others. */
static struct batch *
next_batch(struct compare_ahead *a)
{
	struct batch *used = a->batch, *b = a->batches[a->turn];

	a->turn = (a->turn + 1) % BATCHES;
	a->batch = b;
	a->next = 0;
	if (a->pool == NULL) {
		read_entries(b);
		look_at_all(b);
		return b;
	}
	if (used != NULL)
		submit(a, used);
	pthread_mutex_lock(&a->lock);
	while (!b->is_filled)
		pthread_cond_wait(&a->filled, &a->lock);
	b->is_filled = false;
	pthread_mutex_unlock(&a->lock);
	return b;
}

int
compare_ahead_next(
    struct compare_ahead *a, const struct compare_seen **seen, struct err *e)
{
	const struct batch *b = a->batch;

	*seen = NULL;
	if (b == NULL || (a->next == b->count && b->rc == 0 && !b->is_last))
		b = next_batch(a);
	if (a->next < b->count) {
		*seen = &b->seen[a->next++];
		return 0;
	}
	if (b->rc != 0)
		*e = b->e;
	return b->rc;
}
