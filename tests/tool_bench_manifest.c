/* tool_bench_manifest [ENTRIES]: nanoseconds an entry to write and to read a
 * manifest and a stat cache of a synthetic tree.  Best of five, one thread. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "transcripts/manifest.h"
#include "transcripts/statcache.h"

#define ROUNDS       5
#define FILES_IN_DIR 20

static double
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void
must(int rc, const struct err *e)
{
	if (rc == 0)
		return;
	(void)fprintf(stderr, "%s\n", e->msg);
	exit(1);
}

/* Entry i of a tree like /usr/share: directories of 20 files. */
static void
synthetic(uint64_t i, char *path, size_t size, struct manifest_entry *m)
{
	uint64_t dir = i / (FILES_IN_DIR + 1), file = i % (FILES_IN_DIR + 1);

	*m = (struct manifest_entry){ .type = MANIFEST_DIR,
		.mode = 0755,
		.owner = "root",
		.group = "root",
		.path = path };
	m->mtime.tv_sec = 1718000000 + (time_t)(i % 100000);
	m->mtime.tv_nsec = (long)(i * 7919 % 1000000000);
	if (file == 0) {
		(void)snprintf(path, size, "share/doc/package-%07" PRIu64, dir);
		return;
	}
	(void)snprintf(path, size,
	    "share/doc/package-%07" PRIu64 "/file-%03" PRIu64 ".txt", dir,
	    file);
	m->type = MANIFEST_FILE;
	m->mode = 0644;
	m->size_bytes = i * 37 % 100000;
	memset(m->digest.b, (int)(i % 251), sizeof(m->digest.b));
	memcpy(m->digest.b, &i, sizeof(i));
}

static int
add_to_buf(void *arg, const void *data, size_t len, struct err *e)
{
	buf_add(arg, data, len);
	return buf_check(arg, "text", e);
}

static double
write_all(uint64_t entries, struct buf *text, struct err *e)
{
	static const char *const tops[] = { ".", "share", "share/doc" };
	struct manifest_writer *w;
	struct manifest_totals totals;
	struct manifest_entry m;
	char path[256];
	double began, spent = 0;

	must(manifest_writer_new(add_to_buf, text, &w, e), e);
	for (size_t i = 0; i < 3; i++) {
		synthetic(0, path, sizeof(path), &m);
		m.path = tops[i];
		must(manifest_writer_add(w, &m, e), e);
	}
	for (uint64_t i = 0; i < entries; i++) {
		synthetic(i, path, sizeof(path), &m);
		began = now_ns();
		must(manifest_writer_add(w, &m, e), e);
		spent += now_ns() - began;
	}
	must(manifest_writer_end(w, &totals, e), e);
	manifest_writer_free(w);
	return spent;
}

struct memory {
	const struct buf *text;
	size_t pos;
};

static int
from_memory(void *arg, void *dst, size_t size, size_t *got, struct err *e)
{
	struct memory *m = arg;

	(void)e;
	if (size > m->text->len - m->pos)
		size = m->text->len - m->pos;
	memcpy(dst, m->text->data + m->pos, size);
	m->pos += size;
	*got = size;
	return 0;
}

static double
read_all(const struct buf *text, bool skip_digest, struct err *e)
{
	struct memory source = { text, 0 };
	const struct manifest_entry *m;
	struct manifest_reader *r;
	double began = now_ns();

	must(manifest_reader_new(from_memory, &source, &r, e), e);
	if (skip_digest)
		manifest_reader_skip_digest(r);
	do {
		must(manifest_reader_next(r, &m, e), e);
	} while (m != NULL);
	manifest_reader_free(r);
	return now_ns() - began;
}

static void
fill_stat(uint64_t i, const struct manifest_entry *m, struct fsat_stat *st)
{
	*st = (struct fsat_stat){ .dev = 64769,
		.ino = 1000000 + i,
		.size_bytes = m->size_bytes,
		.mtime = m->mtime,
		.ctime = m->mtime };
}

static void
write_cache(int fd, uint64_t entries, struct err *e)
{
	struct timespec started = { 2000000000, 0 };
	struct statcache_record record;
	struct statcache_writer *w;
	struct manifest_entry m;
	struct fsat_stat st;
	char path[256];

	must(statcache_writer_new(fd, &started, &w, e), e);
	for (uint64_t i = 0; i < entries; i++) {
		synthetic(i, path, sizeof(path), &m);
		fill_stat(i, &m, &st);
		statcache_record_init(&record, path, &st);
		record.digest = m.digest;
		must(statcache_writer_add(w, &record, e), e);
	}
	must(statcache_writer_end(w, e), e);
	statcache_writer_free(w);
}

/* Asks for one path behind the last: all records are decoded and passed. */
static double
pass_cache(int fd, struct err *e)
{
	const struct statcache_record *record;
	struct statcache_reader *r;
	struct fsat_stat st = { 0 };
	double began = now_ns();

	if (lseek(fd, 0, SEEK_SET) != 0)
		exit(1);
	must(statcache_reader_new(fd, &r, e), e);
	must(statcache_reader_find(r, "z", &st, &record, e), e);
	statcache_reader_free(r);
	return now_ns() - began;
}

static double
least(double a, double b)
{
	return a == 0 || b < a ? b : a;
}

int
main(int argc, char **argv)
{
	uint64_t entries = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
	double wrote = 0, parsed = 0, hashed = 0, cached = 0;
	struct err e = ERR_INIT;
	struct buf text;
	int fd = memfd_create("statcache", MFD_CLOEXEC);

	buf_init(&text, SIZE_MAX - 1);
	write_cache(fd, entries, &e);
	for (int i = 0; i < ROUNDS; i++) {
		buf_clear(&text);
		wrote = least(wrote, write_all(entries, &text, &e));
		parsed = least(parsed, read_all(&text, true, &e));
		hashed = least(hashed, read_all(&text, false, &e));
		cached = least(cached, pass_cache(fd, &e));
	}
	(void)printf("entries %" PRIu64
	             " text_bytes %zu statcache_bytes %lld\n",
	    entries, text.len, (long long)lseek(fd, 0, SEEK_END));
	(void)printf(
	    "manifest write %.1f ns an entry (with its clock and digest)\n",
	    wrote / (double)entries);
	(void)printf("manifest read %.1f ns an entry, %.1f with digest\n",
	    parsed / (double)entries, hashed / (double)entries);
	(void)printf("statcache read %.1f ns a record, %.1f ms in all\n",
	    cached / (double)entries, cached / 1e6);
	buf_release(&text);
	close(fd);
	return 0;
}
