/* Deltas against contents of the release before, made by the pool, kept one
 * after another in a spool until the data transcript is written. */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/fsat.h"
#include "common/fscalls.h"
#include "server/publish_impl.h"
#include "transcripts/delta.h"

#define PIECE_BYTES ((size_t)128 * 1024)

struct delta_job {
	struct publish_tree *t;
	struct publish_wanted *w;
};

/* A delta in the making, and what it would take compressed. */
struct making {
	struct publish_kit *kit;
	int fd;
	uint64_t bytes;
	uint64_t packed_bytes;
};

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

/* A delta_sink. */
static int
keep_piece(void *arg, const void *data, size_t len, struct err *e)
{
	struct making *m = arg;
	int ret = fsat_write_all(m->fd, data, len, e);

	m->bytes += len;
	if (ret == 0)
		ret = zst_feed(m->kit->encoder, data, len, count_packed, m, e);
	return ret;
}

/* Behind what is in the spool; *at gets where. */
static int
spool(
    struct publish_tree *t, int fd, uint64_t bytes, uint64_t *at, struct err *e)
{
	uint8_t *piece = malloc(PIECE_BYTES);
	uint64_t done = 0;
	int ret = piece == NULL ? err_memory(e) : 0;

	pthread_mutex_lock(&t->p->lock);
	while (ret == 0 && done < bytes) {
		ssize_t n = pread(fd, piece, PIECE_BYTES, (off_t)done);

		if (n <= 0)
			ret = err_sys(e, "delta");
		else
			ret = fsat_write_all(t->spool_fd, piece, (size_t)n, e);
		if (ret == 0)
			done += (uint64_t)n;
	}
	*at = t->spool_bytes;
	t->spool_bytes += done;
	pthread_mutex_unlock(&t->p->lock);
	free(piece);
	return ret;
}

static int
frame_bytes(struct publish_tree *t, const struct digest *d, uint64_t *bytes,
    struct err *e)
{
	int fd = -1, ret = repo_open_object(t->p->o->repo, d, &fd, bytes, e);

	if (ret == 0)
		close(fd);
	return ret;
}

static int
delta_file(struct publish_tree *t, uint64_t size_bytes, int *fd, struct err *e)
{
	if (size_bytes > OBJECT_MEMORY_BYTES)
		return repo_temp_nameless(t->p->o->repo, fd, e);
	*fd = memfd_create("delta", MFD_CLOEXEC);
	return *fd >= 0 ? 0 : err_sys(e, "memory file");
}

/* Between two open contents.  *worth: it is smaller than the content is. */
static int
make(struct publish_tree *t, const struct publish_wanted *w,
    struct delta_pair *pair, struct making *m, bool *worth, struct err *e)
{
	uint64_t frame = 0;
	int ret = frame_bytes(t, &w->digest, &frame, e);

	if (ret == 0)
		ret = delta_file(t, w->size_bytes, &m->fd, e);
	if (ret == 0)
		ret = zst_begin(m->kit->encoder, ZST_SIZE_UNKNOWN, e);
	if (ret != 0)
		return ret;
	pair->basis_bytes = w->basis_bytes;
	pair->max_bytes = w->size_bytes;
	ret = delta_make(pair, keep_piece, m, e);
	*worth = false;
	if (ret == ERR_LIMIT)
		return 0;
	if (ret == 0)
		ret = zst_end(m->kit->encoder, count_packed, m, e);
	*worth = m->packed_bytes + PUBLISH_DELTA_COST < frame;
	return ret;
}

static int
delta_of(struct publish_tree *t, struct publish_wanted *w,
    struct publish_kit *kit, struct err *e)
{
	struct delta_pair pair = { .basis_fd = -1, .new_fd = -1 };
	struct making m = { .kit = kit, .fd = -1 };
	bool worth = false;
	int ret = object_open_content(
	    kit->reader, &w->basis, w->basis_bytes, &pair.basis_fd, e);

	if (ret == 0)
		ret = object_open_content(
		    kit->reader, &w->digest, w->size_bytes, &pair.new_fd, e);
	if (ret == 0)
		ret = make(t, w, &pair, &m, &worth, e);
	if (ret == 0 && worth)
		ret = spool(t, m.fd, m.bytes, &w->delta_at, e);
	if (ret == 0 && worth)
		w->delta_bytes = m.bytes;
	if (m.fd >= 0)
		close(m.fd);
	if (pair.basis_fd >= 0)
		close(pair.basis_fd);
	if (pair.new_fd >= 0)
		close(pair.new_fd);
	return ret;
}

/* A pool_fn. */
static int
run_job(void *arg, struct err *e)
{
	struct delta_job *j = arg;
	struct publish *p = j->t->p;
	struct publish_kit *kit = NULL;
	int ret = 0;

	if (!pool_has_failed(p->pool))
		ret = publish_kit_take(p, &kit, e);
	if (kit != NULL) {
		ret = delta_of(j->t, j->w, kit, e);
		publish_kit_give(p, kit);
		progress_add(p->options->progress, 1, j->w->size_bytes);
		if (ret != 0)
			err_prefix(e, "delta for %s", j->w->path);
	}
	free(j);
	return ret;
}

/* A delta_sink. */
static int
keep_manifest_piece(void *arg, const void *data, size_t len, struct err *e)
{
	struct publish_tree *t = arg;

	t->manifest_delta_bytes += len;
	return fsat_write_all(t->spool_fd, data, len, e);
}

static int
manifest_delta(struct publish_tree *t, struct err *e)
{
	struct delta_pair pair = { .basis_fd = t->was_fd,
		.new_fd = t->text_fd,
		.basis_bytes = t->was->manifest_bytes,
		.block_bytes = DELTA_MANIFEST_BLOCK,
		.max_bytes = t->t->manifest_bytes };
	int ret = delta_make(&pair, keep_manifest_piece, t, e);

	if (ret == ERR_LIMIT) {
		t->manifest_delta_bytes = 0;
		ret = fscalls()->ftruncate(t->spool_fd, 0) == 0 &&
		        lseek(t->spool_fd, 0, SEEK_SET) == 0
		    ? 0
		    : err_sys(e, "spool");
	}
	t->spool_bytes = t->manifest_delta_bytes;
	return ret;
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

int
publish_deltas(struct publish_tree *t, struct err *e)
{
	int ret = publish_scratch(t->p, &t->spool_fd, e), done;

	progress_begin(t->p->options->progress, "deltas", t->t->name);
	if (ret == 0)
		ret = manifest_delta(t, e);
	for (size_t i = 0; ret == 0 && i < t->wanted_count; i++) {
		struct publish_wanted *w = t->wanted[i];

		if (w->has_basis && w->basis_bytes > 0 &&
		    w->size_bytes >= PUBLISH_DELTA_MIN)
			ret = submit(t, w, e);
	}
	done = pool_wait(t->p->pool, ret == 0 ? e : NULL);
	return ret == 0 ? done : ret;
}
