/* Small files by the batch; runs in the applier, and in threads of it. */
#include "client/stage_small.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/meta.h"
#include "common/fsat.h"
#include "common/pool.h"

#define BATCH_FILES 64
#define BATCH_BYTES ((size_t)256 * 1024)
#define QUEUE_DEPTH 4 /* batches that wait for a thread */

struct file {
	const struct plan_item *item;
	size_t at, len; /* of the batch's bytes */
};

struct batch {
	const struct stage_small *owner;
	int dir;
	uint64_t place;
	size_t count, len;
	struct file files[BATCH_FILES];
	uint8_t bytes[BATCH_BYTES];
};

struct stage_small {
	const struct plan *plan;
	struct pool *pool;   /* NULL until there is a second batch */
	struct batch *batch; /* being gathered, or NULL */
	size_t begun;        /* bytes of the file that was begun */
	size_t unsynced;     /* of those passed on */
};

int
stage_small_new(
    const struct plan *plan, struct stage_small **out, struct err *e)
{
	struct stage_small *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return err_memory(e);
	s->plan = plan;
	*out = s;
	return 0;
}

static void
free_batch(struct batch *b)
{
	if (b == NULL)
		return;
	close(b->dir);
	free(b);
}

void
stage_small_free(struct stage_small *s)
{
	if (s == NULL)
		return;
	pool_free(s->pool);
	free_batch(s->batch);
	free(s);
}

bool
stage_small_takes(const struct plan_item *item)
{
	return item->size_bytes <= STAGE_SMALL_BYTES &&
	    (item->flags & MANIFEST_SPARSE) == 0;
}

/* ---- making ---- */

/* Its own, where nobody can open it meanwhile who may not later: the directory
 * may give it another group than it gets. */
static mode_t
first_mode(uint32_t mode)
{
	uint32_t others = mode & 07;

	return (mode & 0700) | (mode & 070 & others << 3) | others;
}

static int
make_file(const struct batch *b, const struct file *f, struct err *e)
{
	const struct meta m = meta_of_item(f->item);
	const char *path = f->item->path, *slash;
	char stage[PLAN_STAGE_BYTES];
	int fd = -1, rc;

	rc = plan_stage_path(b->owner->plan, f->item, stage, sizeof(stage), e);
	if (rc != 0)
		return rc;
	slash = strrchr(stage, '/');
	rc = fsat_create(b->dir, slash != NULL ? slash + 1 : stage,
	    first_mode(m.mode), &fd, e);
	if (rc == 0)
		rc = fsat_write_all(fd, b->bytes + f->at, f->len, e);
	if (rc != 0)
		(void)err_prefix(e, "%s", path);
	else if ((rc = meta_set_fd(fd, &m, path, e)) == 0)
		rc = fsat_close(&fd, path, e);
	if (fd >= 0)
		close(fd);
	return rc;
}

/* A pool_fn. */
static int
make_batch(void *arg, struct err *e)
{
	struct batch *b = arg;
	int rc = 0;

	for (size_t i = 0; i < b->count && rc == 0; i++)
		rc = make_file(b, &b->files[i], e);
	free_batch(b);
	return rc;
}

static void
start_threads(struct stage_small *s)
{
	unsigned cpus = pool_cpus();

	if (s->pool == NULL && cpus > 1 &&
	    pool_new(cpus < STAGE_SMALL_THREADS ? cpus : STAGE_SMALL_THREADS,
	        QUEUE_DEPTH, &s->pool, NULL) != 0)
		s->pool = NULL;
}

/* Threads are worth it when there is more than what is gathered now. */
static int
pass_on(struct stage_small *s, struct err *e)
{
	struct batch *b = s->batch;

	s->batch = NULL;
	start_threads(s);
	if (s->pool == NULL)
		return make_batch(b, e);
	if (pool_has_failed(s->pool)) {
		free_batch(b);
		return pool_wait(s->pool, e);
	}
	pool_submit(s->pool, make_batch, b);
	return 0;
}

/* ---- gathering ---- */

static bool
has_room(const struct batch *b, uint64_t place)
{
	return b->place == place && b->count < BATCH_FILES &&
	    BATCH_BYTES - b->len >= STAGE_SMALL_BYTES;
}

static int
new_batch(struct stage_small *s, int dir, uint64_t place, struct err *e)
{
	struct batch *b = malloc(sizeof(*b));

	if (b == NULL)
		return err_memory(e);
	b->owner = s;
	b->place = place;
	b->count = b->len = 0;
	b->dir = fcntl(dir, F_DUPFD_CLOEXEC, 0);
	if (b->dir < 0) {
		free(b);
		return err_sys(e, "directory of stages");
	}
	s->batch = b;
	return 0;
}

int
stage_small_begin(struct stage_small *s, int dir, uint64_t place, struct err *e)
{
	int rc = 0;

	s->begun = 0;
	if (s->batch != NULL && !has_room(s->batch, place))
		rc = pass_on(s, e);
	return rc != 0 || s->batch != NULL ? rc : new_batch(s, dir, place, e);
}

int
stage_small_write(
    struct stage_small *s, const void *data, size_t len, struct err *e)
{
	struct batch *b = s->batch;

	if (len > STAGE_SMALL_BYTES - s->begun)
		return err_set(e, ERR_LIMIT, "longer than a small file");
	memcpy(b->bytes + b->len + s->begun, data, len);
	s->begun += len;
	return 0;
}

void
stage_small_end(struct stage_small *s, const struct plan_item *item)
{
	struct batch *b = s->batch;

	b->files[b->count++] = (struct file){ item, b->len, s->begun };
	b->len += s->begun;
	s->begun = 0;
}

int
stage_small_settle(struct stage_small *s, struct err *e)
{
	struct batch *last = s->batch;
	int rc = 0, made = 0;

	/* One batch is no work for a thread. */
	s->batch = NULL;
	if (last != NULL)
		rc = make_batch(last, e);
	if (s->pool != NULL)
		made = pool_wait(s->pool, rc == 0 ? e : NULL);
	return rc != 0 ? rc : made;
}
