/* Worker threads; used where content is hashed, compressed and written. */
#include "common/pool.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

/* Short jobs that wait before one more thread is woken for them. */
#define SHORT_JOBS 16
/* That are open at the same time: held directories are most of them. */
#define DESCRIPTORS 512

struct job {
	pool_fn *fn;
	void *arg;
};

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t work; /* a job was queued, or the end has come */
	pthread_cond_t room; /* a job was taken */
	pthread_cond_t idle; /* nothing queued or running */
	struct job *ring;
	size_t depth, first, queued;
	unsigned running, threads;
	unsigned sleeping; /* threads that wait for work and were not called */
	bool ending;
	int ret; /* of the first job that failed */
	struct err e;
	pthread_t ids[];
};

static void
record(struct pool *p, int ret, const struct err *e)
{
	if (ret == 0 || p->ret != 0)
		return;
	p->ret = ret;
	p->e = *e;
}

/* Called and returns with the lock held. */
static void
work_one(struct pool *p)
{
	struct job job = p->ring[p->first];
	struct err e = ERR_INIT;
	int ret;

	p->first = (p->first + 1) % p->depth;
	p->queued--;
	p->running++;
	/* Not at once: who submits would be woken for each job. */
	if (p->queued <= p->depth / 2)
		pthread_cond_signal(&p->room);
	pthread_mutex_unlock(&p->lock);
	ret = job.fn(job.arg, &e);
	pthread_mutex_lock(&p->lock);
	record(p, ret, &e);
	if (--p->running == 0 && p->queued == 0)
		pthread_cond_broadcast(&p->idle);
}

static void *
work(void *arg)
{
	struct pool *p = arg;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		while (p->queued == 0 && !p->ending) {
			p->sleeping++;
			pthread_cond_wait(&p->work, &p->lock);
		}
		if (p->queued == 0)
			break;
		work_one(p);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* A process of several threads waits for all processors each time its table of
 * descriptors grows: so it grows before. */
static void
make_room_for_descriptors(void)
{
	int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, DESCRIPTORS - 1);

	if (fd >= 0)
		close(fd);
}

static int
start_threads(struct pool *p, unsigned threads, struct err *e)
{
	int sys;

	make_room_for_descriptors();
	while (p->threads < threads) {
		sys = pthread_create(&p->ids[p->threads], NULL, work, p);
		if (sys != 0)
			return err_set(e, ERR_NO_MEMORY,
			    "cannot start thread %u of %u", p->threads + 1,
			    threads);
		p->threads++;
	}
	return 0;
}

int
pool_new(unsigned threads, size_t queue_depth, struct pool **out, struct err *e)
{
	struct pool *p;
	int ret;

	p = calloc(1, sizeof(*p) + threads * sizeof(p->ids[0]));
	if (p == NULL)
		return err_memory(e);
	p->depth = queue_depth;
	p->ring = calloc(queue_depth, sizeof(*p->ring));
	if (p->ring == NULL) {
		free(p);
		return err_memory(e);
	}
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, NULL);
	pthread_cond_init(&p->room, NULL);
	pthread_cond_init(&p->idle, NULL);
	ret = start_threads(p, threads, e);
	if (ret != 0)
		pool_free(p);
	else
		*out = p;
	return ret;
}

void
pool_free(struct pool *p)
{
	unsigned i;

	if (p == NULL)
		return;
	pthread_mutex_lock(&p->lock);
	p->ending = true;
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->lock);
	for (i = 0; i < p->threads; i++)
		pthread_join(p->ids[i], NULL);
	pthread_cond_destroy(&p->idle);
	pthread_cond_destroy(&p->room);
	pthread_cond_destroy(&p->work);
	pthread_mutex_destroy(&p->lock);
	free(p->ring);
	free(p);
}

/* One that woke by itself is counted still: it may be called once more, but
 * none that sleeps is taken for awake. */
static void
call_thread(struct pool *p)
{
	if (p->sleeping == 0)
		return;
	p->sleeping--;
	pthread_cond_signal(&p->work);
}

/* Returns with the lock held. */
static void
enqueue(struct pool *p, pool_fn *fn, void *arg)
{
	pthread_mutex_lock(&p->lock);
	while (p->queued == p->depth) {
		call_thread(p);
		pthread_cond_wait(&p->room, &p->lock);
	}
	p->ring[(p->first + p->queued) % p->depth] = (struct job){ fn, arg };
	p->queued++;
}

void
pool_submit(struct pool *p, pool_fn *fn, void *arg)
{
	enqueue(p, fn, arg);
	call_thread(p);
	pthread_mutex_unlock(&p->lock);
}

void
pool_submit_short(struct pool *p, pool_fn *fn, void *arg)
{
	enqueue(p, fn, arg);
	if (p->sleeping >= p->threads || p->queued >= SHORT_JOBS)
		call_thread(p);
	pthread_mutex_unlock(&p->lock);
}

bool
pool_has_failed(struct pool *p)
{
	bool failed;

	pthread_mutex_lock(&p->lock);
	failed = p->ret != 0;
	pthread_mutex_unlock(&p->lock);
	return failed;
}

int
pool_wait(struct pool *p, struct err *e)
{
	int ret;

	pthread_mutex_lock(&p->lock);
	if (p->queued > 0)
		call_thread(p);
	while (p->queued > 0 || p->running > 0)
		pthread_cond_wait(&p->idle, &p->lock);
	ret = p->ret;
	if (ret != 0 && e != NULL)
		*e = p->e;
	p->ret = 0;
	err_clear(&p->e);
	pthread_mutex_unlock(&p->lock);
	return ret;
}

unsigned
pool_cpus(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return 1;
	return (unsigned)CPU_COUNT(&set) > 0 ? (unsigned)CPU_COUNT(&set) : 1;
}
