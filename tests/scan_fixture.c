/* Scans of scratch trees to test with. */
#include "tests/scan_fixture.h"

#include <check.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int
run_add_text(void *arg, const void *data, size_t len, struct err *e)
{
	buf_add(arg, data, len);
	return buf_check(arg, "text", e);
}

int
run_take_entry(void *arg, const struct manifest_entry *m, struct err *e)
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

void
run_init(struct run *r)
{
	*r = (struct run){ .o = { .entry = run_take_entry,
		               .want = take_job,
		               .skipped = take_skipped } };
	scratch_make(&r->scratch);
	r->o.dir = r->scratch.fd;
	buf_init(&r->text, 64 << 20);
	buf_init(&r->listing, 64 << 20);
	buf_init(&r->skipped, 1 << 20);
	buf_init(&r->wanted, 1 << 20);
}

void
run_release(struct run *r)
{
	manifest_writer_free(r->writer);
	buf_release(&r->text);
	buf_release(&r->listing);
	buf_release(&r->skipped);
	buf_release(&r->wanted);
	scratch_remove(&r->scratch);
}

int
run_scan(struct run *r)
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
	    manifest_writer_new(run_add_text, &r->text, &r->writer, NULL), 0);
	rc = scan_run(&r->o, &r->totals, &r->e);
	if (rc == 0)
		ck_assert_int_eq(
		    manifest_writer_end(r->writer, &totals, NULL), 0);
	return rc;
}

int
run_scan_cached(struct run *r, int fd, bool has_cache, int seconds)
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
	rc = run_scan(r);
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

void
put_file(const struct run *r, const char *path, const char *content)
{
	int fd;

	ck_assert_int_eq(
	    fsat_open_write(r->scratch.fd, path, 0644, &fd, NULL), 0);
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	ck_assert_int_eq(fsat_write_all(fd, content, strlen(content), NULL), 0);
	close(fd);
}

void
put_dir(const struct run *r, const char *path)
{
	ck_assert_int_eq(fsat_mkdir(r->scratch.fd, path, 0755, NULL), 0);
}

void
put_symlink(const struct run *r, const char *target, const char *path)
{
	ck_assert_int_eq(fsat_symlink(target, r->scratch.fd, path, NULL), 0);
}

void
put_link(const struct run *r, const char *from, const char *path)
{
	ck_assert_int_eq(
	    fsat_link(r->scratch.fd, from, r->scratch.fd, path, NULL), 0);
}

void
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

void
run_must_scan(struct run *r)
{
	ck_assert_msg(run_scan(r) == 0, "%s", r->e.msg);
}
