/* One thread that syncs, once there is something for it: even to begin to write
 * a file waits for the disk where its queue is full. */
#include "common/write_behind.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/fsat.h"
#include "common/pool.h"

struct write_behind {
	int dir;
	pthread_mutex_t lock; /* of the rest */
	struct pool *pool;    /* NULL until there is something for it */
	uint64_t bytes;       /* since the last sync began */
	int file;             /* being written out */
	bool is_busy;
};

int
write_behind_new(int dir, struct write_behind **out, struct err *e)
{
	struct write_behind *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return err_memory(e);
	w->dir = dir;
	pthread_mutex_init(&w->lock, NULL);
	*out = w;
	return 0;
}

void
write_behind_free(struct write_behind *w)
{
	if (w == NULL)
		return;
	pool_free(w->pool);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

static void
be_idle(struct write_behind *w)
{
	pthread_mutex_lock(&w->lock);
	w->is_busy = false;
	pthread_mutex_unlock(&w->lock);
}

/* A pool_fn. */
static int
sync_all(void *arg, struct err *e)
{
	struct write_behind *w = arg;
	int fd = -1, rc = fsat_open_dir(w->dir, ".", &fd, e);

	if (rc == 0)
		rc = fsat_syncfs(fd, e);
	if (fd >= 0)
		close(fd);
	be_idle(w);
	return rc;
}

/* A pool_fn. */
static int
write_out(void *arg, struct err *e)
{
	struct write_behind *w = arg;

	(void)e;
	fsat_write_out(w->file);
	close(w->file);
	be_idle(w);
	return 0;
}

/* With the lock held: whether a thread is to be had now. */
static bool
is_free(struct write_behind *w)
{
	if (w->is_busy || pool_cpus() == 1)
		return false;
	if (w->pool == NULL && pool_new(1, 1, &w->pool, NULL) != 0)
		w->pool = NULL;
	return w->pool != NULL;
}

/* With the lock held. */
static void
submit(struct write_behind *w, pool_fn *fn)
{
	w->is_busy = true;
	pool_submit(w->pool, fn, w);
}

void
write_behind_note(struct write_behind *w, uint64_t bytes)
{
	pthread_mutex_lock(&w->lock);
	w->bytes += bytes;
	if (w->bytes >= WRITE_BEHIND_BYTES && is_free(w)) {
		w->bytes = 0;
		submit(w, sync_all);
	}
	pthread_mutex_unlock(&w->lock);
}

void
write_behind_file(struct write_behind *w, int fd)
{
	pthread_mutex_lock(&w->lock);
	if (is_free(w) && (w->file = fcntl(fd, F_DUPFD_CLOEXEC, 0)) >= 0)
		submit(w, write_out);
	pthread_mutex_unlock(&w->lock);
}

int
write_behind_settle(struct write_behind *w, struct err *e)
{
	return w->pool != NULL ? pool_wait(w->pool, e) : 0;
}
