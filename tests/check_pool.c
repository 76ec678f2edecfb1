/* Worker threads: every job once, a bounded queue, the first error. */
#include "common/pool.h"

#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#define OK(call) ck_assert_msg((call) == 0, "%s: %s", #call, e.msg)

static atomic_uint done, busy, most_busy;

static int
count_one(void *arg, struct err *e)
{
	unsigned now = atomic_fetch_add(&busy, 1) + 1;
	unsigned seen = atomic_load(&most_busy);

	(void)arg;
	(void)e;
	while (
	    now > seen && !atomic_compare_exchange_weak(&most_busy, &seen, now))
		continue;
	atomic_fetch_sub(&busy, 1);
	atomic_fetch_add(&done, 1);
	return 0;
}

START_TEST(runs_every_job_once)
{
	static const unsigned threads[] = { 1, 2, 7 };
	struct err e = ERR_INIT;
	struct pool *p = NULL;
	unsigned i, j;

	for (i = 0; i < 3; i++) {
		atomic_store(&done, 0);
		atomic_store(&most_busy, 0);
		OK(pool_new(threads[i], 3, &p, &e));
		for (j = 0; j < 5000; j++)
			(j % 3 == 0 ? pool_submit : pool_submit_short)(
			    p, count_one, NULL);
		OK(pool_wait(p, &e));
		ck_assert_uint_eq(atomic_load(&done), 5000);
		pool_submit(p, count_one, NULL); /* pool_free waits for it */
		pool_free(p);
		ck_assert_uint_eq(atomic_load(&done), 5001);
		ck_assert_uint_le(atomic_load(&most_busy), threads[i]);
	}
	pool_free(NULL);
}
END_TEST

static int
fail_at(void *arg, struct err *e)
{
	const int *n = arg;

	atomic_fetch_add(&done, 1);
	if (*n % 10 == 3)
		return err_set(e, ERR_FORMAT, "job %d", *n);
	return 0;
}

START_TEST(keeps_the_first_error_and_goes_on)
{
	struct err e = ERR_INIT;
	struct pool *p = NULL;
	int n[40], i;

	atomic_store(&done, 0);
	OK(pool_new(1, 5, &p, &e));
	for (i = 0; i < 40; i++) {
		n[i] = i;
		pool_submit(p, fail_at, &n[i]);
	}
	ck_assert_int_eq(pool_wait(p, &e), ERR_FORMAT);
	ck_assert_str_eq(e.msg, "job 3");
	ck_assert_int_eq(e.code, ERR_FORMAT);
	ck_assert_uint_eq(atomic_load(&done), 40);
	ck_assert(!pool_has_failed(p));
	OK(pool_wait(p, &e));
	pool_submit(p, fail_at, &n[13]);
	while (!pool_has_failed(p))
		sched_yield();
	ck_assert_int_eq(pool_wait(p, NULL), ERR_FORMAT);
	pool_free(p);
}
END_TEST

struct gate {
	pthread_mutex_t lock;
	pthread_cond_t open;
	bool is_open;
};

static int
wait_at(void *arg, struct err *e)
{
	struct gate *g = arg;

	(void)e;
	pthread_mutex_lock(&g->lock);
	while (!g->is_open)
		pthread_cond_wait(&g->open, &g->lock);
	pthread_mutex_unlock(&g->lock);
	return 0;
}

static void
open_gate(struct gate *g)
{
	pthread_mutex_lock(&g->lock);
	g->is_open = true;
	pthread_cond_broadcast(&g->open);
	pthread_mutex_unlock(&g->lock);
}

struct submitter {
	struct pool *pool;
	struct gate *gate;
	atomic_uint submitted;
};

static void *
submit_ten(void *arg)
{
	struct submitter *s = arg;
	int i;

	for (i = 0; i < 10; i++) {
		pool_submit(s->pool, wait_at, s->gate);
		atomic_fetch_add(&s->submitted, 1);
	}
	return NULL;
}

START_TEST(a_full_queue_holds_the_submitter)
{
	struct gate g = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER,
		false };
	struct submitter s = { .gate = &g };
	struct err e = ERR_INIT;
	pthread_t t;

	OK(pool_new(2, 3, &s.pool, &e));
	ck_assert_int_eq(pthread_create(&t, NULL, submit_ten, &s), 0);
	while (atomic_load(&s.submitted) < 3)
		sched_yield();
	usleep(20000); /* all that go in are in by now */
	/* Two run and three wait; a queue that was full takes more only when
	 * half of it is free, so it may be less. */
	ck_assert_uint_le(atomic_load(&s.submitted), 5);
	open_gate(&g);
	pthread_join(t, NULL);
	OK(pool_wait(s.pool, &e));
	ck_assert_uint_eq(atomic_load(&s.submitted), 10);
	pool_free(s.pool);
}
END_TEST

START_TEST(short_jobs_need_no_others_to_be_run)
{
	struct gate g = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER,
		false };
	struct err e = ERR_INIT;
	struct pool *p = NULL;

	atomic_store(&done, 0);
	OK(pool_new(2, 64, &p, &e));
	pool_submit_short(p, count_one, NULL);
	while (atomic_load(&done) < 1)
		sched_yield();
	/* Many do not wait for the one thread that is awake. */
	pool_submit(p, wait_at, &g);
	for (int i = 0; i < 50; i++)
		pool_submit_short(p, count_one, NULL);
	while (atomic_load(&done) < 30)
		sched_yield();
	open_gate(&g);
	OK(pool_wait(p, &e));
	ck_assert_uint_eq(atomic_load(&done), 51);
	pool_free(p);
}
END_TEST

/* pool_wait calls them all. */
static void *
wait_for_all(void *arg)
{
	struct err e = ERR_INIT;

	OK(pool_wait(arg, &e));
	return NULL;
}

START_TEST(few_short_jobs_are_shared_once_somebody_waits)
{
	struct gate g = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER,
		false };
	struct err e = ERR_INIT;
	struct pool *p = NULL;
	pthread_t t;

	atomic_store(&done, 0);
	OK(pool_new(2, 64, &p, &e));
	pool_submit(p, wait_at, &g);
	for (int i = 0; i < 3; i++)
		pool_submit_short(p, count_one, NULL);
	ck_assert_int_eq(pthread_create(&t, NULL, wait_for_all, p), 0);
	while (atomic_load(&done) < 3)
		sched_yield();
	open_gate(&g);
	pthread_join(t, NULL);
	pool_free(p);
}
END_TEST

START_TEST(there_is_a_processor)
{
	ck_assert_uint_ge(pool_cpus(), 1);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("pool");
	TCase *t = tcase_create("pool");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_test(t, runs_every_job_once);
	tcase_add_test(t, keeps_the_first_error_and_goes_on);
	tcase_add_test(t, a_full_queue_holds_the_submitter);
	tcase_add_test(t, short_jobs_need_no_others_to_be_run);
	tcase_add_test(t, few_short_jobs_are_shared_once_somebody_waits);
	tcase_add_test(t, there_is_a_processor);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
