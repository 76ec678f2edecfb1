/* Jobs of scans: files whose content other threads read. */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "tests/scan_fixture.h"

/* Threads that take jobs, the last of those waiting first. */
struct crew {
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct scan_job *jobs[SCAN_OPEN_JOBS];
	size_t waiting, most, done;
	bool is_over;
	/* Path of a job not begun before `until` are done, or nothing has come
	 * or been done for a while. */
	const char *hold;
	size_t until;
	int patience_s;
	size_t wanted, emitted; /* files */
	size_t lead;            /* the most that these were apart */
	const char *fail;       /* path of a job that fails */
	struct scan_job *held;
	struct run *run;
};

static void
work(struct crew *c, struct scan_job *job)
{
	struct err e = ERR_INIT;

	if (c->fail != NULL && strcmp(job->path, c->fail) == 0)
		scan_job_done(job, NULL,
		    err_set(&e, ERR_LIMIT, "%s: store is full", job->path), &e);
	else
		scan_job_hash(job);
}

/* Waits for something to do; the job held back is to be done when nothing
 * comes. */
static void
wait_for_more(struct crew *c)
{
	size_t wanted = c->wanted, done = c->done;
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += c->patience_s;
	if (pthread_cond_timedwait(&c->more, &c->lock, &end) == ETIMEDOUT &&
	    c->wanted == wanted && c->done == done)
		c->until = 0;
}

static void *
crew_main(void *arg)
{
	struct crew *c = arg;

	pthread_mutex_lock(&c->lock);
	for (;;) {
		struct scan_job *job = NULL;

		if (c->held != NULL && (c->done >= c->until || c->is_over)) {
			job = c->held;
			c->held = NULL;
		} else if (c->waiting > 0) {
			job = c->jobs[--c->waiting];
		}
		if (job == NULL && c->is_over)
			break;
		if (job == NULL) {
			wait_for_more(c);
			continue;
		}
		pthread_mutex_unlock(&c->lock);
		work(c, job);
		pthread_mutex_lock(&c->lock);
		c->done++;
		pthread_cond_broadcast(&c->more);
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

static int
give_to_crew(void *arg, struct scan_job *job, struct err *e)
{
	struct crew *c = arg;

	(void)e;
	pthread_mutex_lock(&c->lock);
	c->wanted++;
	if (c->wanted - c->emitted > c->lead)
		c->lead = c->wanted - c->emitted;
	if (c->hold != NULL && strcmp(job->path, c->hold) == 0) {
		c->held = job;
	} else {
		ck_assert_uint_lt(c->waiting, SCAN_OPEN_JOBS);
		c->jobs[c->waiting++] = job;
	}
	if (c->waiting > c->most)
		c->most = c->waiting;
	pthread_cond_broadcast(&c->more);
	pthread_mutex_unlock(&c->lock);
	return 0;
}

static int
entry_of_crew(void *arg, const struct manifest_entry *m, struct err *e)
{
	struct crew *c = arg;

	pthread_mutex_lock(&c->lock);
	c->emitted += m->type == MANIFEST_FILE;
	pthread_mutex_unlock(&c->lock);
	return run_take_entry(c->run, m, e);
}

static int
scan_with_crew(struct run *r, struct crew *c)
{
	struct manifest_totals totals;
	pthread_t threads[3];
	int rc;

	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->more, NULL);
	c->run = r;
	r->o.want = give_to_crew;
	r->o.entry = entry_of_crew;
	r->o.skipped = NULL;
	r->o.arg = c;
	ck_assert_int_eq(
	    manifest_writer_new(run_add_text, &r->text, &r->writer, NULL), 0);
	for (size_t i = 0; i < 3; i++)
		ck_assert_int_eq(
		    pthread_create(&threads[i], NULL, crew_main, c), 0);
	rc = scan_run(&r->o, &r->totals, &r->e);
	if (rc == 0)
		ck_assert_int_eq(
		    manifest_writer_end(r->writer, &totals, NULL), 0);
	pthread_mutex_lock(&c->lock);
	c->is_over = true;
	ck_assert_uint_eq(c->waiting, 0);
	pthread_cond_broadcast(&c->more);
	pthread_mutex_unlock(&c->lock);
	for (size_t i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	pthread_cond_destroy(&c->more);
	pthread_mutex_destroy(&c->lock);
	return rc;
}

static void
put_many(const struct run *r, unsigned count)
{
	char path[32], content[32];

	for (unsigned i = 0; i < count; i++) {
		(void)snprintf(path, sizeof(path), "%05u", i);
		(void)snprintf(content, sizeof(content), "content %u", i);
		put_file(r, path, content);
	}
}

static void
scan_both_ways(struct run *r, struct crew *c)
{
	struct buf alone;

	run_must_scan(r);
	alone = r->text;
	buf_init(&r->text, 64 << 20);
	manifest_writer_free(r->writer);
	ck_assert_int_eq(scan_with_crew(r, c), 0);
	ck_assert_str_eq(buf_str(&r->text), buf_str(&alone));
	buf_release(&alone);
}

START_TEST(jobs_may_end_in_any_order)
{
	struct crew c = { .patience_s = 20 };
	struct run r;

	run_init(&r);
	put_many(&r, 3000);
	put_link(&r, "00000", "00000-again");
	put_dir(&r, "a");
	put_symlink(&r, "to", "a/link");
	scan_both_ways(&r, &c);
	run_release(&r);
}
END_TEST

/* The first job ends only after all others: entries wait, and no file is held
 * open for them. */
START_TEST(one_slow_job_holds_back_the_order_only)
{
	const unsigned files = 6000;
	struct crew c = {
		.hold = "00000", .until = files - 1, .patience_s = 20
	};
	struct run r;

	run_init(&r);
	put_many(&r, files);
	scan_both_ways(&r, &c);
	ck_assert_uint_eq(c.until, files - 1);
	ck_assert_uint_ge(c.lead, files - 1);
	run_release(&r);
}
END_TEST

/* Paths of 3,000 bytes, so that what waits for the first job takes more memory
 * than it may. */
START_TEST(what_waits_for_a_slow_job_is_bounded)
{
	const unsigned files = 1600, fit = SCAN_WINDOW_BYTES / 3000;
	struct crew c = { .hold = "00000", .until = SIZE_MAX, .patience_s = 1 };
	char path[LIMIT_PATH_BYTES + 1];
	struct run r;
	size_t len = 0;

	run_init(&r);
	put_file(&r, "00000", "");
	while (len < 3000) {
		memset(path + len, 'd', 250);
		path[len + 250] = '\0';
		put_dir(&r, path);
		path[len + 250] = '/';
		len += 251;
	}
	for (unsigned i = 0; i < files; i++) {
		(void)snprintf(path + len, sizeof(path) - len, "%05u", i);
		put_file(&r, path, "");
	}
	scan_both_ways(&r, &c);
	ck_assert_uint_eq(r.totals.files, files + 1);
	ck_assert_uint_le(c.lead, fit + 2);
	run_release(&r);
}
END_TEST

START_TEST(a_job_that_fails_ends_the_scan)
{
	struct crew c = { .fail = "01000", .patience_s = 20 };
	struct run r;

	run_init(&r);
	put_many(&r, 2000);
	ck_assert_int_eq(scan_with_crew(&r, &c), ERR_LIMIT);
	ck_assert_str_eq(r.e.msg, "01000: store is full");
	run_release(&r);
}
END_TEST

static int
refuse_job(void *arg, struct scan_job *job, struct err *e)
{
	(void)arg;
	return err_set(e, ERR_NO_MEMORY, "%s: no room", job->path);
}

START_TEST(a_job_that_is_refused_ends_the_scan)
{
	struct run r;

	run_init(&r);
	put_file(&r, "a", "");
	r.o.want = refuse_job;
	ck_assert_int_eq(run_scan(&r), ERR_NO_MEMORY);
	ck_assert_str_eq(r.e.msg, "a: no room");
	run_release(&r);
}
END_TEST

/* Changes the file once, before it is read. */
static void
change_once(struct run *r, const struct scan_job *job)
{
	put_file(r, job->path, "hello");
	ck_assert_int_eq(fsat_chmod(r->scratch.fd, job->path, 0600, NULL), 0);
}

START_TEST(a_file_that_changes_is_read_again)
{
	struct run r;

	run_init(&r);
	put_file(&r, "f", "something else");
	r.on_want = change_once;
	run_must_scan(&r);
	ck_assert_ptr_nonnull(strstr(buf_str(&r.text), "f 0600 "));
	ck_assert_ptr_nonnull(strstr(buf_str(&r.text), " 5 " HELLO_SUM " f\n"));
	ck_assert_uint_eq(r.totals.content_bytes, 5);
	run_release(&r);
}
END_TEST

static int
always_change(void *arg, struct scan_job *job, struct err *e)
{
	struct err mine = ERR_INIT;
	bool settled = false;
	int rc = 0, times = 0;

	(void)e;
	while (rc == 0 && !settled) {
		ck_assert_int_lt(times, 10);
		put_file(arg, job->path, times++ % 2 == 0 ? "a" : "bb");
		rc = scan_job_settled(job, &settled, &mine);
	}
	scan_job_done(job, NULL, rc, &mine);
	return 0;
}

START_TEST(a_file_that_never_settles_is_named)
{
	struct run r;

	run_init(&r);
	put_file(&r, "f", "something else");
	r.o.want = always_change;
	ck_assert_int_eq(run_scan(&r), ERR_CHANGED);
	ck_assert_ptr_nonnull(strstr(r.e.msg, "f: changed each"));
	run_release(&r);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("scan jobs");
	TCase *t = tcase_create("scan jobs");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 120);
	tcase_add_test(t, jobs_may_end_in_any_order);
	tcase_add_test(t, one_slow_job_holds_back_the_order_only);
	tcase_add_test(t, what_waits_for_a_slow_job_is_bounded);
	tcase_add_test(t, a_job_that_fails_ends_the_scan);
	tcase_add_test(t, a_job_that_is_refused_ends_the_scan);
	tcase_add_test(t, a_file_that_changes_is_read_again);
	tcase_add_test(t, a_file_that_never_settles_is_named);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
