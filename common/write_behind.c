/* One thread that syncs, once there is something for it. */
#include "common/write_behind.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/fsat.h"
#include "common/pool.h"

struct write_behind {
	int dir;
	pthread_mutex_t lock; /* of the rest */
	struct pool *pool;    /* NULL until there is enough to be synced */
	uint64_t bytes;       /* since the last sync began */
	bool is_syncing;
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
	pthread_mutex_lock(&w->lock);
	w->is_syncing = false;
	pthread_mutex_unlock(&w->lock);
	return rc;
}

/* With the lock held: whether a thread is to sync now. */
static bool
is_due(struct write_behind *w)
{
	if (w->bytes < WRITE_BEHIND_BYTES || w->is_syncing || pool_cpus() == 1)
		return false;
	if (w->pool == NULL && pool_new(1, 1, &w->pool, NULL) != 0)
		w->pool = NULL;
	w->bytes = 0;
	w->is_syncing = w->pool != NULL;
	return w->is_syncing;
}

void
write_behind_note(struct write_behind *w, uint64_t bytes)
{
	pthread_mutex_lock(&w->lock);
	w->bytes += bytes;
	if (is_due(w))
		pool_submit(w->pool, sync_all, w);
	pthread_mutex_unlock(&w->lock);
}

int
write_behind_settle(struct write_behind *w, struct err *e)
{
	return w->pool != NULL ? pool_wait(w->pool, e) : 0;
}
