/* Scans of trees. */
#include "transcripts/scan.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/scratch.h"

#define HELLO_SUM \
 "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"

/* A scan of a scratch directory and what came of it. */
struct run {
	struct scratch scratch;
	struct scan_options o;
	struct scan_totals totals;
	struct manifest_writer
	    *writer;        /* holds entries to the format's rules */
	struct buf text;    /* the manifest */
	struct buf listing; /* "f path\n", "h first path\n" */
	struct buf skipped, wanted;
	struct err e;
	void (*on_entry)(struct run *r, const struct manifest_entry *m);
	void (*on_want)(struct run *r, const struct scan_job *job);
};

static int
to_buf(void *arg, const void *data, size_t len, struct err *e)
{
	buf_add(arg, data, len);
	return buf_check(arg, "text", e);
}

static int
take_entry(void *arg, const struct manifest_entry *m, struct err *e)
{
	struct run *r = arg;

	buf_addf(&r->listing, "%c ", m->type);
	if (m->target != NULL)
		buf_addf(&r->listing, "%s ", m->target);
	buf_addf(&r->listing, "%s\n", m->path);
	if (r->on_entry != NULL)
		r->on_entry(r, m);
	return manifest_writer_add(r->writer, m, e);
}

static int
take_job(void *arg, struct scan_job *job, struct err *e)
{
	struct run *r = arg;

	(void)e;
	buf_addf(&r->wanted, "%s\n", job->path);
	if (r->on_want != NULL)
		r->on_want(r, job);
	scan_job_hash(job);
	return 0;
}

static void
take_skipped(void *arg, const char *path, const char *why)
{
	struct run *r = arg;

	buf_addf(&r->skipped, "%s: %s\n", path, why);
}

static void
run_init(struct run *r)
{
	*r = (struct run){ .o = { .entry = take_entry,
		               .want = take_job,
		               .skipped = take_skipped } };
	scratch_make(&r->scratch);
	r->o.dir = r->scratch.fd;
	buf_init(&r->text, 64 << 20);
	buf_init(&r->listing, 64 << 20);
	buf_init(&r->skipped, 1 << 20);
	buf_init(&r->wanted, 1 << 20);
}

static void
run_release(struct run *r)
{
	manifest_writer_free(r->writer);
	buf_release(&r->text);
	buf_release(&r->listing);
	buf_release(&r->skipped);
	buf_release(&r->wanted);
	scratch_remove(&r->scratch);
}

static int
scan(struct run *r)
{
	struct manifest_totals totals;
	int rc;

	r->o.arg = r;
	buf_clear(&r->text);
	buf_clear(&r->listing);
	buf_clear(&r->skipped);
	buf_clear(&r->wanted);
	manifest_writer_free(r->writer);
	ck_assert_int_eq(
	    manifest_writer_new(to_buf, &r->text, &r->writer, NULL), 0);
	rc = scan_run(&r->o, &r->totals, &r->e);
	if (rc == 0)
		ck_assert_int_eq(
		    manifest_writer_end(r->writer, &totals, NULL), 0);
	return rc;
}

/* Scans with the stat cache in fd, and leaves there that of this scan, as if
 * the scan had begun `seconds` from now. */
static int
scan_cached(struct run *r, int fd, bool has_cache, int seconds)
{
	int next = memfd_create("cache", MFD_CLOEXEC), rc;
	struct timespec started;
	struct buf text;

	clock_gettime(CLOCK_REALTIME, &started);
	started.tv_sec += seconds;
	lseek(fd, 0, SEEK_SET);
	if (has_cache)
		ck_assert_int_eq(statcache_reader_new(fd, &r->o.was, NULL), 0);
	ck_assert_int_eq(
	    statcache_writer_new(next, &started, &r->o.now, NULL), 0);
	rc = scan(r);
	ck_assert_int_eq(statcache_writer_end(r->o.now, NULL), 0);
	statcache_reader_free(r->o.was);
	statcache_writer_free(r->o.now);
	r->o.was = NULL;
	r->o.now = NULL;
	buf_init(&text, 64 << 20);
	lseek(next, 0, SEEK_SET);
	ck_assert_int_eq(fsat_read_all(next, 64 << 20, &text, NULL), 0);
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	lseek(fd, 0, SEEK_SET);
	ck_assert_int_eq(fsat_write_all(fd, text.data, text.len, NULL), 0);
	buf_release(&text);
	close(next);
	return rc;
}

static void
put(const struct run *r, const char *path, const char *content)
{
	int fd;

	ck_assert_int_eq(
	    fsat_open_write(r->scratch.fd, path, 0644, &fd, NULL), 0);
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	ck_assert_int_eq(fsat_write_all(fd, content, strlen(content), NULL), 0);
	close(fd);
}

static void
put_dir(const struct run *r, const char *path)
{
	ck_assert_int_eq(fsat_mkdir(r->scratch.fd, path, 0755, NULL), 0);
}

static void
put_symlink(const struct run *r, const char *target, const char *path)
{
	ck_assert_int_eq(fsat_symlink(target, r->scratch.fd, path, NULL), 0);
}

static void
put_link(const struct run *r, const char *from, const char *path)
{
	ck_assert_int_eq(
	    fsat_link(r->scratch.fd, from, r->scratch.fd, path, NULL), 0);
}

static void
put_socket(const struct run *r, const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_lt(snprintf(address.sun_path, sizeof(address.sun_path),
	                     "%s/%s", r->scratch.path, name),
	    (int)sizeof(address.sun_path));
	ck_assert_int_eq(
	    bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
}

static void
must_scan(struct run *r)
{
	ck_assert_msg(scan(r) == 0, "%s", r->e.msg);
}

START_TEST(entries_come_in_the_order_of_manifests)
{
	struct run r;

	run_init(&r);
	put_dir(&r, "etc");
	put(&r, "etc/b", "hello");
	put(&r, "etc/a", "");
	put_dir(&r, "etc/deep");
	put(&r, "etc/deep/x", "");
	put(&r, "etc-old", "");
	put(&r, "\001 \\\xff", "");
	put_symlink(&r, "../nowhere else", "etc/link");
	ck_assert_int_eq(
	    fsat_mknod(r.scratch.fd, "pipe", S_IFIFO | 0600, 0, NULL), 0);
	put_socket(&r, "socket");
	must_scan(&r);
	ck_assert_str_eq(buf_str(&r.listing),
	    "d .\nf \001 \\\xff\nd etc\nf etc/a\nf etc/b\nd etc/deep\n"
	    "f etc/deep/x\nl ../nowhere else etc/link\nf etc-old\np pipe\n");
	ck_assert_str_eq(buf_str(&r.skipped), "socket: socket\n");
	ck_assert_ptr_nonnull(
	    strstr(buf_str(&r.text), " 5 " HELLO_SUM " etc/b\n"));
	ck_assert_uint_eq(r.totals.entries, 10);
	ck_assert_uint_eq(r.totals.files, 5);
	ck_assert_uint_eq(r.totals.content_bytes, 5);
	ck_assert_uint_eq(r.totals.wanted, 5);
	ck_assert_uint_eq(r.totals.skipped, 1);
	run_release(&r);
}
END_TEST

START_TEST(metadata_is_that_of_the_file)
{
	const struct timespec mtime = { -5, 123456789 };
	char wanted[256];
	struct run r;

	run_init(&r);
	put(&r, "f", "hello");
	ck_assert_int_eq(fsat_chmod(r.scratch.fd, "f", 04751, NULL), 0);
	ck_assert_int_eq(fsat_utime(r.scratch.fd, "f", &mtime, NULL), 0);
	r.o.numeric_owner = true;
	must_scan(&r);
	snprintf(wanted, sizeof(wanted),
	    "f 4751 #%u #%u -5.123456789 5 " HELLO_SUM " f\n", geteuid(),
	    getegid());
	ck_assert_ptr_nonnull(strstr(buf_str(&r.text), wanted));
	run_release(&r);
}
END_TEST

START_TEST(owners_are_names_where_there_are_any)
{
	struct run r;

	if (geteuid() != 0)
		return;
	run_init(&r);
	put(&r, "a", "");
	put(&r, "b", "");
	ck_assert_int_eq(
	    fsat_chown(r.scratch.fd, "b", 3999999999, 3999999998, NULL), 0);
	must_scan(&r);
	ck_assert_ptr_nonnull(strstr(buf_str(&r.text), " root root "));
	ck_assert_ptr_nonnull(
	    strstr(buf_str(&r.text), " #3999999999 #3999999998 "));
	run_release(&r);
}
END_TEST

START_TEST(names_of_one_file_are_hard_links)
{
	struct run r;

	run_init(&r);
	put_dir(&r, "a");
	put(&r, "z", "hello");
	put_link(&r, "z", "a/1");
	put_link(&r, "z", "b");
	put(&r, "c", "");
	put_link(&r, "c", "left-out");
	must_scan(&r);
	ck_assert_str_eq(buf_str(&r.listing),
	    "d .\nd a\nf a/1\nh a/1 b\nf c\nh c left-out\nh a/1 z\n");
	ck_assert_str_eq(buf_str(&r.wanted), "a/1\nc\n");
	run_release(&r);
}
END_TEST

static const struct {
	char *patterns[3];
	const char *listing;
} excludes[] = {
	{ { NULL }, "d .\nd a\nd a/b\nf a/b/x\nf a/x.tmp\nf x\n" },
	{ { (char *)(uintptr_t) "*.tmp" }, "d .\nd a\nd a/b\nf a/b/x\nf x\n" },
	{ { (char *)(uintptr_t) "x" }, "d .\nd a\nd a/b\nf a/x.tmp\n" },
	{ { (char *)(uintptr_t) "/x" },
	    "d .\nd a\nd a/b\nf a/b/x\nf a/x.tmp\n" },
	{ { (char *)(uintptr_t) "a/b" }, "d .\nd a\nf a/x.tmp\nf x\n" },
	{ { (char *)(uintptr_t) "a", (char *)(uintptr_t) "x" }, "d .\n" },
	{ { (char *)(uintptr_t) "b", (char *)(uintptr_t) "a/*.tmp" },
	    "d .\nd a\nf x\n" },
};

START_TEST(excluded_names_are_left_out_with_all_below)
{
	struct run r;

	run_init(&r);
	put_dir(&r, "a");
	put_dir(&r, "a/b");
	put(&r, "a/b/x", "");
	put(&r, "a/x.tmp", "");
	put(&r, "x", "");
	r.o.excludes = excludes[_i].patterns;
	while (excludes[_i].patterns[r.o.exclude_count] != NULL)
		r.o.exclude_count++;
	must_scan(&r);
	ck_assert_str_eq(buf_str(&r.listing), excludes[_i].listing);
	run_release(&r);
}
END_TEST

START_TEST(xattrs_are_sorted_and_remembered)
{
	int cache = memfd_create("cache", MFD_CLOEXEC);
	struct buf first;
	struct run r;

	run_init(&r);
	put(&r, "f", "hello");
	put_dir(&r, "g");
	if (fsat_xattr_set(r.scratch.fd, "f", "user.b", "\0", 1, NULL) != 0) {
		run_release(&r);
		return; /* a file system without */
	}
	ck_assert_int_eq(
	    fsat_xattr_set(r.scratch.fd, "f", "user.a b", "", 0, NULL), 0);
	ck_assert_int_eq(
	    fsat_xattr_set(r.scratch.fd, "g", "user.dir", "abc", 3, NULL), 0);
	ck_assert_int_eq(scan_cached(&r, cache, false, 10), 0);
	ck_assert_ptr_nonnull(strstr(
	    buf_str(&r.text), " f\nx user.a\\040b \\-\nx user.b AA==\n"));
	ck_assert_ptr_nonnull(
	    strstr(buf_str(&r.text), " g\nx user.dir YWJj\n"));
	first = r.text;
	buf_init(&r.text, 1 << 20);
	ck_assert_int_eq(scan_cached(&r, cache, true, 10), 0);
	ck_assert_uint_eq(r.totals.wanted, 0);
	ck_assert_str_eq(buf_str(&r.text), buf_str(&first));
	buf_release(&first);
	close(cache);
	run_release(&r);
}
END_TEST

START_TEST(only_what_changed_is_read_again)
{
	int cache = memfd_create("cache", MFD_CLOEXEC);
	const struct timespec old = { 1600000000, 0 };
	struct run r;

	run_init(&r);
	put_dir(&r, "d");
	put(&r, "d/a", "hello");
	put(&r, "d/b", "hello");
	put(&r, "d/c", "hello");
	ck_assert_int_eq(scan_cached(&r, cache, false, 10), 0);
	ck_assert_uint_eq(r.totals.wanted, 3);
	ck_assert_int_eq(scan_cached(&r, cache, true, 10), 0);
	ck_assert_uint_eq(r.totals.wanted, 0);
	ck_assert_ptr_nonnull(
	    strstr(buf_str(&r.text), " 5 " HELLO_SUM " d/c\n"));
	/* Content, though size and mtime are what they were; and a new one. */
	ck_assert_int_eq(fsat_utime(r.scratch.fd, "d/b", &old, NULL), 0);
	ck_assert_int_eq(scan_cached(&r, cache, true, 10), 0);
	ck_assert_str_eq(buf_str(&r.wanted), "d/b\n");
	put(&r, "d/b", "HELLO");
	ck_assert_int_eq(fsat_utime(r.scratch.fd, "d/b", &old, NULL), 0);
	put(&r, "d/new", "");
	ck_assert_int_eq(scan_cached(&r, cache, true, 0), 0);
	ck_assert_str_eq(buf_str(&r.wanted), "d/b\nd/new\n");
	/* That scan was no 2 s after the changes: nothing of it is trusted. */
	ck_assert_int_eq(scan_cached(&r, cache, true, 0), 0);
	ck_assert_uint_eq(r.totals.wanted, 4);
	close(cache);
	run_release(&r);
}
END_TEST

START_TEST(a_damaged_stat_cache_is_done_without)
{
	int cache = memfd_create("cache", MFD_CLOEXEC);
	struct run r;

	run_init(&r);
	put(&r, "a", "hello");
	ck_assert_int_eq(scan_cached(&r, cache, false, 10), 0);
	ck_assert_int_eq(pwrite(cache, "x", 1, 100), 1);
	ck_assert_int_eq(scan_cached(&r, cache, true, 10), 0);
	ck_assert_str_eq(buf_str(&r.wanted), "a\n");
	ck_assert_int_eq(scan_cached(&r, cache, true, 10), 0);
	ck_assert_str_eq(buf_str(&r.wanted), "");
	close(cache);
	run_release(&r);
}
END_TEST

/* Threads that take jobs, the last of those waiting first. */
struct crew {
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct scan_job *jobs[SCAN_OPEN_JOBS];
	size_t waiting, most, done;
	bool is_over;
	const char *hold; /* path of a job not begun before `until` are done */
	size_t until;
	const char *fail; /* path of a job that fails */
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
			pthread_cond_wait(&c->more, &c->lock);
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

	return take_entry(c->run, m, e);
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
	    manifest_writer_new(to_buf, &r->text, &r->writer, NULL), 0);
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
		snprintf(path, sizeof(path), "%05u", i);
		snprintf(content, sizeof(content), "content %u", i);
		put(r, path, content);
	}
}

START_TEST(jobs_may_end_in_any_order)
{
	struct crew c = { .hold = NULL };
	struct buf alone;
	struct run r;

	run_init(&r);
	put_many(&r, 3000);
	put_link(&r, "00000", "00000-again");
	put_dir(&r, "a");
	put_symlink(&r, "to", "a/link");
	must_scan(&r);
	alone = r.text;
	buf_init(&r.text, 64 << 20);
	manifest_writer_free(r.writer);
	ck_assert_int_eq(scan_with_crew(&r, &c), 0);
	ck_assert_str_eq(buf_str(&r.text), buf_str(&alone));
	buf_release(&alone);
	run_release(&r);
}
END_TEST

/* The first job ends only after thousands of others: the window fills up, and
 * what is behind it waits without a file held open. */
START_TEST(one_slow_job_holds_back_the_order_only)
{
	struct crew c = { .hold = "00000", .until = SCAN_WINDOW_ENTRIES - 1 };
	struct buf alone;
	struct run r;

	run_init(&r);
	put_many(&r, SCAN_WINDOW_ENTRIES + 500);
	must_scan(&r);
	alone = r.text;
	buf_init(&r.text, 64 << 20);
	manifest_writer_free(r.writer);
	ck_assert_int_eq(scan_with_crew(&r, &c), 0);
	ck_assert_str_eq(buf_str(&r.text), buf_str(&alone));
	buf_release(&alone);
	run_release(&r);
}
END_TEST

START_TEST(a_job_that_fails_ends_the_scan)
{
	struct crew c = { .fail = "01000" };
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
	put(&r, "a", "");
	r.o.want = refuse_job;
	ck_assert_int_eq(scan(&r), ERR_NO_MEMORY);
	ck_assert_str_eq(r.e.msg, "a: no room");
	run_release(&r);
}
END_TEST

/* Changes the file once, before it is read. */
static void
change_once(struct run *r, const struct scan_job *job)
{
	put(r, job->path, "hello");
	ck_assert_int_eq(fsat_chmod(r->scratch.fd, job->path, 0600, NULL), 0);
}

START_TEST(a_file_that_changes_is_read_again)
{
	struct run r;

	run_init(&r);
	put(&r, "f", "something else");
	r.on_want = change_once;
	must_scan(&r);
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
		put(arg, job->path, times++ % 2 == 0 ? "a" : "bb");
		rc = scan_job_settled(job, &settled, &mine);
	}
	scan_job_done(job, NULL, rc, &mine);
	return 0;
}

START_TEST(a_file_that_never_settles_is_named)
{
	struct run r;

	run_init(&r);
	put(&r, "f", "something else");
	r.o.want = always_change;
	ck_assert_int_eq(scan(&r), ERR_CHANGED);
	ck_assert_ptr_nonnull(strstr(r.e.msg, "f: changed each"));
	run_release(&r);
}
END_TEST

static void
remove_next(struct run *r, const struct manifest_entry *m)
{
	if (strcmp(m->path, "d/a") == 0)
		ck_assert_int_eq(fsat_unlink(r->scratch.fd, "d/b", NULL), 0);
}

static void
replace_dir(struct run *r, const struct manifest_entry *m)
{
	if (strcmp(m->path, "d") != 0)
		return;
	ck_assert_int_eq(
	    fsat_rename(r->scratch.fd, "d", r->scratch.fd, "old", NULL), 0);
	put_symlink(r, "old", "d");
}

static void
swap_dir(struct run *r, const struct manifest_entry *m)
{
	if (strcmp(m->path, "d") != 0)
		return;
	ck_assert_int_eq(
	    fsat_rename(r->scratch.fd, "d", r->scratch.fd, "old", NULL), 0);
	put_dir(r, "d");
}

static const struct {
	void (*on_entry)(struct run *r, const struct manifest_entry *m);
	const char *path;
} vanishings[] = {
	{ remove_next, "d/b: " },
	{ replace_dir, "d: " },
	{ swap_dir, "d: " },
};

START_TEST(what_vanishes_or_is_replaced_is_named)
{
	struct run r;

	run_init(&r);
	put_dir(&r, "d");
	put_symlink(&r, "to", "d/a");
	put(&r, "d/b", "");
	r.on_entry = vanishings[_i].on_entry;
	ck_assert_int_eq(scan(&r), ERR_CHANGED);
	ck_assert_msg(strncmp(r.e.msg, vanishings[_i].path,
	                  strlen(vanishings[_i].path)) == 0,
	    "%s", r.e.msg);
	run_release(&r);
}
END_TEST

START_TEST(devices_are_taken_when_asked_for)
{
	struct run r;

	run_init(&r);
	if (fsat_mknod(r.scratch.fd, "null", S_IFCHR | 0666, makedev(1, 3),
	        NULL) != 0) {
		run_release(&r);
		return; /* not allowed here */
	}
	ck_assert_int_eq(scan(&r), ERR_UNSUPPORTED);
	ck_assert_ptr_nonnull(strstr(r.e.msg, "null: is a device"));
	r.o.devices = true;
	must_scan(&r);
	ck_assert_ptr_nonnull(strstr(buf_str(&r.text), " 1 3 null\n"));
	run_release(&r);
}
END_TEST

START_TEST(a_file_that_cannot_be_read_is_named)
{
	uid_t uid = geteuid();
	struct run r;
	int rc;

	run_init(&r);
	put_dir(&r, "d");
	put(&r, "d/secret", "");
	ck_assert_int_eq(fsat_chmod(r.scratch.fd, ".", 0755, NULL), 0);
	ck_assert_int_eq(fsat_chmod(r.scratch.fd, "d/secret", 0, NULL), 0);
	if (uid == 0)
		ck_assert_int_eq(seteuid(65534), 0);
	rc = scan(&r);
	if (uid == 0)
		ck_assert_int_eq(seteuid(0), 0);
	ck_assert_int_eq(rc, ERR_SYS);
	ck_assert_int_eq(r.e.sys, EACCES);
	ck_assert_ptr_nonnull(strstr(r.e.msg, "d/secret: "));
	run_release(&r);
}
END_TEST

START_TEST(other_file_systems_are_entered_unless_told_not_to)
{
	struct run r;
	char mount_point[300];

	run_init(&r);
	put_dir(&r, "mnt");
	snprintf(mount_point, sizeof(mount_point), "%s/mnt", r.scratch.path);
	if (unshare(CLONE_NEWNS) != 0 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("none", mount_point, "tmpfs", 0, NULL) != 0) {
		run_release(&r);
		return; /* not allowed here */
	}
	/* The descriptor of before sees the mounts of before. */
	close(r.scratch.fd);
	ck_assert_int_eq(
	    fsat_operator_dir(r.scratch.path, false, 0, &r.scratch.fd, NULL),
	    0);
	r.o.dir = r.scratch.fd;
	put(&r, "mnt/f", "");
	put(&r, "z", "");
	must_scan(&r);
	ck_assert_str_eq(buf_str(&r.listing), "d .\nd mnt\nf mnt/f\nf z\n");
	r.o.one_file_system = true;
	must_scan(&r);
	ck_assert_str_eq(buf_str(&r.listing), "d .\nd mnt\nf z\n");
	ck_assert_str_eq(buf_str(&r.skipped), "mnt: mount point\n");
	ck_assert_int_eq(umount(mount_point), 0);
	run_release(&r);
}
END_TEST

/* Directories "d" one below the other, a file behind each; the last, open. */
static int
put_depth(const struct run *r, size_t depth)
{
	int dir = dup(r->scratch.fd), next, fd;

	for (size_t i = 0; i < depth; i++) {
		ck_assert_int_eq(fsat_mkdir(dir, "d", 0755, NULL), 0);
		ck_assert_int_eq(fsat_create(dir, "e", 0644, &fd, NULL), 0);
		close(fd);
		ck_assert_int_eq(fsat_open_dir(dir, "d", &next, NULL), 0);
		close(dir);
		dir = next;
	}
	return dir;
}

START_TEST(deep_trees_take_few_descriptors)
{
	const struct rlimit few = { 100, 100 };
	struct run r;

	run_init(&r);
	close(put_depth(&r, 1000));
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	must_scan(&r);
	ck_assert_uint_eq(r.totals.entries, 2001);
	run_release(&r);
}
END_TEST

START_TEST(a_path_too_long_is_an_error)
{
	struct run r;
	int dir, fd;

	run_init(&r);
	dir = put_depth(&r, 2040); /* 4,079 bytes */
	ck_assert_int_eq(
	    fsat_create(dir, "0123456789abcde", 0644, &fd, NULL), 0);
	close(fd);
	must_scan(&r);
	ck_assert_int_eq(
	    fsat_create(dir, "0123456789abcdef", 0644, &fd, NULL), 0);
	close(fd);
	close(dir);
	ck_assert_msg(scan(&r) == ERR_LIMIT, "%s", r.e.msg);
	ck_assert_ptr_nonnull(strstr(r.e.msg, "4095"));
	run_release(&r);
}
END_TEST

int
main(void)
{
#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))
	Suite *s = suite_create("scan");
	TCase *t = tcase_create("scan");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 120);
	tcase_add_test(t, entries_come_in_the_order_of_manifests);
	tcase_add_test(t, metadata_is_that_of_the_file);
	tcase_add_test(t, owners_are_names_where_there_are_any);
	tcase_add_test(t, names_of_one_file_are_hard_links);
	tcase_add_loop_test(
	    t, excluded_names_are_left_out_with_all_below, 0, COUNT(excludes));
	tcase_add_test(t, xattrs_are_sorted_and_remembered);
	tcase_add_test(t, only_what_changed_is_read_again);
	tcase_add_test(t, a_damaged_stat_cache_is_done_without);
	tcase_add_test(t, jobs_may_end_in_any_order);
	tcase_add_test(t, one_slow_job_holds_back_the_order_only);
	tcase_add_test(t, a_job_that_fails_ends_the_scan);
	tcase_add_test(t, a_job_that_is_refused_ends_the_scan);
	tcase_add_test(t, a_file_that_changes_is_read_again);
	tcase_add_test(t, a_file_that_never_settles_is_named);
	tcase_add_loop_test(
	    t, what_vanishes_or_is_replaced_is_named, 0, COUNT(vanishings));
	tcase_add_test(t, devices_are_taken_when_asked_for);
	tcase_add_test(t, a_file_that_cannot_be_read_is_named);
	tcase_add_test(t, other_file_systems_are_entered_unless_told_not_to);
	tcase_add_test(t, deep_trees_take_few_descriptors);
	tcase_add_test(t, a_path_too_long_is_an_error);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
