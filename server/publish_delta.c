/* Deltas against contents of the release before, made by the pool, kept one
 * after another in a spool until the data transcript is written. */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/fsat.h"
#include "server/publish_impl.h"
#include "transcripts/delta.h"
#include "transcripts/delta_walk.h"

#define PIECE_BYTES ((size_t)128 * 1024)
/* A delta of a long content is small up to a share of it, or so many bytes. */
#define FAR_SHARE 32
#define FAR_MIN   ((uint64_t)256 * 1024)

struct delta_job {
	struct publish_tree *t;
	struct publish_wanted *w;
};

static bool
is_far(const struct publish_wanted *w)
{
	return w->basis_bytes > DELTA_WALK_WINDOW;
}

/* A delta in the making, and what it would take compressed. */
struct making {
	struct publish_kit *kit;
	int fd;
	uint64_t bytes;
	uint64_t packed_bytes;
	bool holds_far; /* publish.far */
};

/* A delta_sink. */
static int
keep_piece(void *arg, const void *data, size_t len, struct err *e)
{
	struct making *m = arg;

	m->bytes += len;
	return fsat_write_all(m->fd, data, len, e);
}

/* A zst_sink. */
static int
count_packed(void *arg, const void *data, size_t len, struct err *e)
{
	struct making *m = arg;

	(void)data;
	(void)e;
	m->packed_bytes += len;
	return 0;
}

/* A zst_sink. */
static int
write_spool(void *arg, const void *data, size_t len, struct err *e)
{
	const struct publish_tree *t = arg;

	return fsat_write_all(t->spool_fd, data, len, e);
}

/* All of the delta, to where arg goes. */
static int
read_delta(const struct making *m, zst_sink sink, void *arg, struct err *e)
{
	uint8_t *piece = malloc(PIECE_BYTES);
	uint64_t done = 0;
	int ret = piece == NULL ? err_memory(e) : 0;

	while (ret == 0 && done < m->bytes) {
		ssize_t n = pread(m->fd, piece, PIECE_BYTES, (off_t)done);

		if (n <= 0)
			ret = err_sys(e, "delta");
		else
			ret = sink(arg, piece, (size_t)n, e);
		if (ret == 0)
			done += (uint64_t)n;
	}
	free(piece);
	return ret;
}

/* A zst_sink. */
static int
pack_piece(void *arg, const void *data, size_t len, struct err *e)
{
	struct making *m = arg;

	return zst_feed(m->kit->encoder, data, len, count_packed, m, e);
}

/* Whether it is smaller than the frame of the content is. */
static int
is_worth(struct making *m, uint64_t frame_bytes, bool *worth, struct err *e)
{
	int ret = 0;

	*worth = m->bytes + PUBLISH_DELTA_COST < frame_bytes;
	if (*worth)
		return 0;
	ret = zst_begin(m->kit->encoder, m->bytes, e);
	if (ret == 0)
		ret = read_delta(m, pack_piece, m, e);
	if (ret == 0)
		ret = zst_end(m->kit->encoder, count_packed, m, e);
	*worth = m->packed_bytes + PUBLISH_DELTA_COST < frame_bytes;
	return ret;
}

/* Behind what is in the spool. */
static int
spool(struct publish_tree *t, const struct making *m,
    struct publish_spooled *out, struct err *e)
{
	int ret;

	pthread_mutex_lock(&t->p->lock);
	ret = read_delta(m, write_spool, t, e);
	if (ret == 0) {
		*out = (struct publish_spooled){ t->spool_bytes, m->bytes };
		t->spool_bytes += m->bytes;
	}
	pthread_mutex_unlock(&t->p->lock);
	return ret;
}

static int
delta_file(
    struct publish_tree *t, struct making *m, uint64_t max_bytes, struct err *e)
{
	if (m->fd >= 0)
		close(m->fd);
	m->bytes = 0;
	if (max_bytes > OBJECT_MEMORY_BYTES) {
		m->fd = -1;
		return repo_temp_nameless(t->p->o->repo, &m->fd, e);
	}
	m->fd = memfd_create("delta", MFD_CLOEXEC);
	return m->fd >= 0 ? 0 : err_sys(e, "memory file");
}

/* By walking along both.  Of contents that are longer than what a walk can
 * look around in, a delta that is not small calls for librsync. */
static int
walk(struct publish_tree *t, const struct publish_wanted *w, struct making *m,
    const struct delta_stream *content, struct err *e)
{
	struct delta_stream basis = { object_stream_read, m->kit->basis,
		w->basis_bytes };
	uint64_t max = w->size_bytes;
	int ret = object_stream_open(
	    m->kit->basis, &w->basis, w->basis_bytes, NULL, e);

	if (is_far(w))
		max = max / FAR_SHARE > FAR_MIN ? max / FAR_SHARE : FAR_MIN;
	if (ret == 0)
		ret = delta_file(t, m, max, e);
	if (ret == 0)
		ret = delta_walk(&basis, content, max, keep_piece, m, e);
	return ret;
}

/* *done: the file still was what the object was made from. */
static int
walk_original(struct publish_tree *t, const struct publish_wanted *w,
    struct making *m, bool *done, struct err *e)
{
	struct publish_file file;
	struct delta_stream content = { publish_read_part, &file.part,
		w->size_bytes };
	int ret;

	*done = publish_open_original(t, w, &file);
	if (!*done)
		return 0;
	ret = walk(t, w, m, &content, e);
	*done = publish_close_original(&file);
	return ret;
}

/* What needs a window for the content beside that of its basis waits until no
 * other does. */
static void
hold_far(struct publish *p, const struct publish_wanted *w, struct making *m)
{
	if (!is_far(w) || m->holds_far)
		return;
	pthread_mutex_lock(&p->far);
	m->holds_far = true;
}

static int
walk_either(struct publish_tree *t, const struct publish_wanted *w,
    struct making *m, uint64_t *frame_bytes, struct err *e)
{
	struct delta_stream content = { object_stream_read, m->kit->content,
		w->size_bytes };
	bool done = false;
	int ret = object_stream_open(
	    m->kit->content, &w->digest, w->size_bytes, frame_bytes, e);

	if (ret != 0)
		return ret;
	ret = walk_original(t, w, m, &done, e);
	if (done)
		return ret;
	hold_far(t->p, w, m);
	return walk(t, w, m, &content, e);
}

/* What moved far is found by block sums of all of the basis. */
static int
sum_blocks(struct publish_tree *t, const struct publish_wanted *w,
    struct making *m, struct err *e)
{
	struct delta_pair pair = { .basis_fd = -1,
		.new_fd = -1,
		.basis_bytes = w->basis_bytes,
		.max_bytes = w->size_bytes };
	struct object_reader *reader = m->kit->reader;
	int ret = object_open_content(
	    reader, &w->basis, w->basis_bytes, &pair.basis_fd, e);

	if (ret == 0)
		ret = object_open_content(
		    reader, &w->digest, w->size_bytes, &pair.new_fd, e);
	if (ret == 0)
		ret = delta_file(t, m, pair.max_bytes, e);
	if (ret == 0)
		ret = delta_make(&pair, keep_piece, m, e);
	if (pair.basis_fd >= 0)
		close(pair.basis_fd);
	if (pair.new_fd >= 0)
		close(pair.new_fd);
	return ret;
}

/* Takes a kit, and gives it back. */
static int
delta_of(struct publish_tree *t, struct publish_wanted *w, struct err *e)
{
	struct making m = { .kit = NULL, .fd = -1 };
	uint64_t frame_bytes = 0;
	bool worth = false;
	int ret = publish_kit_take(t->p, &m.kit, e);

	if (ret == 0)
		ret = walk_either(t, w, &m, &frame_bytes, e);
	if (ret == ERR_LIMIT && is_far(w)) {
		hold_far(t->p, w, &m);
		publish_kit_free(m.kit);
		m.kit = NULL;
		ret = publish_kit_take(t->p, &m.kit, e);
		if (ret == 0)
			ret = sum_blocks(t, w, &m, e);
	}
	if (ret == 0)
		ret = is_worth(&m, frame_bytes, &worth, e);
	else if (ret == ERR_LIMIT)
		ret = 0;
	if (ret == 0 && worth)
		ret = spool(t, &m, &w->delta, e);
	if (m.fd >= 0)
		close(m.fd);
	if (is_far(w))
		publish_kit_free(m.kit);
	else if (m.kit != NULL)
		publish_kit_give(t->p, m.kit);
	if (m.holds_far)
		pthread_mutex_unlock(&t->p->far);
	return ret;
}

/* A pool_fn. */
static int
run_job(void *arg, struct err *e)
{
	struct delta_job *j = arg;
	struct publish *p = j->t->p;
	int ret = 0;

	if (!pool_has_failed(p->pool)) {
		ret = delta_of(j->t, j->w, e);
		progress_add(p->options->progress, 1, j->w->size_bytes);
		if (ret != 0)
			err_prefix(e, "delta for %s", j->w->path);
	}
	free(j);
	return ret;
}

int
publish_manifest_delta(void *tree, struct err *e)
{
	struct publish_tree *t = tree;
	struct publish_part old = { t->was_fd, 0, t->was->manifest_bytes };
	struct publish_part new = { t->text_fd, 0, t->t->manifest_bytes };
	struct delta_stream was = { publish_read_part, &old, old.left };
	struct delta_stream now = { publish_read_part, &new, new.left };
	struct making m = { .fd = -1 };
	int ret = delta_file(t, &m, now.bytes, e);

	if (ret == 0)
		ret = delta_walk(&was, &now, now.bytes, keep_piece, &m, e);
	if (ret == 0)
		ret = spool(t, &m, &t->manifest_delta, e);
	if (m.fd >= 0)
		close(m.fd);
	return ret == ERR_LIMIT ? 0 : ret;
}

static int
submit(struct publish_tree *t, struct publish_wanted *w, struct err *e)
{
	struct delta_job *j = malloc(sizeof(*j));

	if (j == NULL)
		return err_memory(e);
	*j = (struct delta_job){ t, w };
	pool_submit(t->p->pool, run_job, j);
	return 0;
}

struct ranked {
	struct publish_wanted *w;
};

static int
largest_first(const void *x, const void *y)
{
	const struct ranked *a = x, *b = y;

	return (a->w->size_bytes < b->w->size_bytes) -
	    (a->w->size_bytes > b->w->size_bytes);
}

/* The largest first, so that no thread is left alone with one in the end. */
static int
submit_all(struct publish_tree *t, struct err *e)
{
	struct ranked *jobs;
	size_t count = 0;
	int ret = 0;

	jobs = calloc(t->wanted_count + 1, sizeof(*jobs));
	if (jobs == NULL)
		return err_memory(e);
	for (size_t i = 0; i < t->wanted_count; i++) {
		struct publish_wanted *w = t->wanted[i];

		if (w->has_basis && w->basis_bytes > 0 &&
		    w->size_bytes >= PUBLISH_DELTA_MIN)
			jobs[count++].w = w;
	}
	qsort(jobs, count, sizeof(*jobs), largest_first);
	for (size_t i = 0; ret == 0 && i < count; i++)
		ret = submit(t, jobs[i].w, e);
	free(jobs);
	return ret;
}

int
publish_deltas(struct publish_tree *t, struct err *e)
{
	int ret, done;

	/* Nobody works with them now, and they may have met long contents. */
	publish_kits_free(t->p);
	progress_begin(t->p->options->progress, "deltas", t->t->name);
	ret = submit_all(t, e);
	done = pool_wait(t->p->pool, ret == 0 ? e : NULL);
	return ret == 0 ? done : ret;
}
