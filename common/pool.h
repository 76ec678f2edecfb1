/* A fixed number of threads that work off a bounded queue.
 *
 *     pool_new(pool_cpus(), 64, &pool, e);
 *     pool_submit(pool, job, arg);      as often as there is work
 *     ret = pool_wait(pool, e);         until all of it is done
 *
 * Every job that was submitted is run, also after one failed; a job may ask
 * pool_has_failed and only free what it was given. */
#ifndef COMMON_POOL_H
#define COMMON_POOL_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

struct pool;

/* Runs on any of the threads; 0 or ERR_* with e set. */
typedef int pool_fn(void *arg, struct err *e);

/* threads and queue_depth at least 1. */
MUST_CHECK int pool_new(
    unsigned threads, size_t queue_depth, struct pool **out, struct err *e);
/* Waits for all jobs; their errors are lost. */
void pool_free(struct pool *p);

/* Waits while the queue is full, and then until half of it is free. */
void pool_submit(struct pool *p, pool_fn *fn, void *arg);
/* The same of a job that takes less time than waking a thread for it does: one
 * that is awake takes it when it gets there, and sleeping ones are woken when
 * there are many. */
void pool_submit_short(struct pool *p, pool_fn *fn, void *arg);
/* Whether a job failed since the last pool_wait; from any thread. */
bool pool_has_failed(struct pool *p);
/* Waits until nothing is queued or running.  0, or the error of the first job
 * that failed, which is then forgotten. */
MUST_CHECK int pool_wait(struct pool *p, struct err *e);

/* Processors this process may run on, at least 1. */
unsigned pool_cpus(void);

#endif
