/* Stat caches. */
#include "transcripts/statcache.h"

#include <check.h>
#include <endian.h>
#include <sys/mman.h>
#include <unistd.h>

#define STARTED 1700000000

static int
empty_file(void)
{
	int fd = memfd_create("statcache", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

/* Entry i: path, what stat says, and the record of it. */
static void
make(uint64_t i, char path[64], struct fsat_stat *st,
    struct statcache_record *record)
{
	(void)snprintf(path, 64, "usr/share/doc/package-%03u/file-%05u",
	    (unsigned)(i / 50), (unsigned)i);
	*st = (struct fsat_stat){ .dev = 1 + i % 3,
		.ino = UINT64_MAX - i,
		.size_bytes = i * i,
		.mtime = { -1 - (time_t)i, 999999999 },
		.ctime = { STARTED - 100, (long)i } };
	statcache_record_init(record, path, st);
	memset(record->digest.b, (int)(i % 255 + 1), DIGEST_BYTES);
	record->xattrs.text = "x user.a AAAA\n";
	record->xattrs.len = i % 7 == 0 ? 14 : 0;
}

static void
write_cache(int fd, uint64_t count)
{
	const struct timespec started = { STARTED, 500 };
	struct statcache_record record;
	struct statcache_writer *w;
	struct fsat_stat st;
	char path[64];

	ck_assert_int_eq(statcache_writer_new(fd, &started, &w, NULL), 0);
	for (uint64_t i = 0; i < count; i++) {
		make(i, path, &st, &record);
		ck_assert_int_eq(statcache_writer_add(w, &record, NULL), 0);
	}
	ck_assert_int_eq(statcache_writer_end(w, NULL), 0);
	statcache_writer_free(w);
	ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
}

static void
must_be_same(const struct statcache_record *a, const struct statcache_record *b)
{
	ck_assert_ptr_nonnull(a);
	ck_assert_str_eq(a->path, b->path);
	ck_assert(digest_equal(&a->digest, &b->digest));
	ck_assert_uint_eq(a->xattrs.len, b->xattrs.len);
	ck_assert(memcmp(a->xattrs.text, b->xattrs.text, b->xattrs.len) == 0);
}

static const uint64_t counts[] = { 0, 1, 2, 700, 20000 };

START_TEST(what_was_remembered_is_found)
{
	struct statcache_record wanted;
	const struct statcache_record *found;
	struct statcache_reader *r;
	struct fsat_stat st = { 0 };
	int fd = empty_file();
	char path[64];

	write_cache(fd, counts[_i]);
	ck_assert_int_eq(statcache_reader_new(fd, &r, NULL), 0);
	for (uint64_t i = 0; i < counts[_i]; i++) {
		make(i, path, &st, &wanted);
		ck_assert_int_eq(
		    statcache_reader_find(r, path, &st, &found, NULL), 0);
		must_be_same(found, &wanted);
	}
	ck_assert_int_eq(statcache_reader_find(r, "z", &st, &found, NULL), 0);
	ck_assert_ptr_null(found);
	statcache_reader_free(r);
	close(fd);
}
END_TEST

START_TEST(records_in_between_are_passed_over)
{
	struct statcache_record wanted;
	const struct statcache_record *found;
	struct statcache_reader *r;
	struct fsat_stat st;
	int fd = empty_file();
	char path[64];

	write_cache(fd, 5000);
	ck_assert_int_eq(statcache_reader_new(fd, &r, NULL), 0);
	for (uint64_t i = 0; i < 5000; i += 1 + i % 997) {
		make(i, path, &st, &wanted);
		ck_assert_int_eq(
		    statcache_reader_find(r, path, &st, &found, NULL), 0);
		must_be_same(found, &wanted);
		/* A name that was not there, just behind. */
		memcpy(path + strlen(path), "x", 2);
		ck_assert_int_eq(
		    statcache_reader_find(r, path, &st, &found, NULL), 0);
		ck_assert_ptr_null(found);
	}
	statcache_reader_free(r);
	close(fd);
}
END_TEST

/* What stat says now, where it said otherwise before. */
static const struct {
	uint64_t dev, ino, size;
	struct timespec mtime, ctime;
	bool trusted;
} changes[] = {
	{ 0, 0, 0, { 0, 0 }, { 0, 0 }, true },
	{ 1, 0, 0, { 0, 0 }, { 0, 0 }, false },
	{ 0, 1, 0, { 0, 0 }, { 0, 0 }, false },
	{ 0, 0, 1, { 0, 0 }, { 0, 0 }, false },
	{ 0, 0, 0, { 1, 0 }, { 0, 0 }, false },
	{ 0, 0, 0, { 0, 1 }, { 0, 0 }, false },
	{ 0, 0, 0, { 0, 0 }, { 1, 0 }, false },
	{ 0, 0, 0, { 0, 0 }, { 0, 1 }, false },
};

/* Writes one record, of "f", and asks for it. */
static bool
is_found(const struct fsat_stat *then, const struct fsat_stat *now)
{
	const struct timespec started = { STARTED, 500 };
	const struct statcache_record *found;
	struct statcache_record record;
	struct statcache_writer *w;
	struct statcache_reader *r;
	int fd = empty_file();
	bool is_there;

	statcache_record_init(&record, "f", then);
	ck_assert_int_eq(statcache_writer_new(fd, &started, &w, NULL), 0);
	ck_assert_int_eq(statcache_writer_add(w, &record, NULL), 0);
	ck_assert_int_eq(statcache_writer_end(w, NULL), 0);
	statcache_writer_free(w);
	ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
	ck_assert_int_eq(statcache_reader_new(fd, &r, NULL), 0);
	ck_assert_int_eq(statcache_reader_find(r, "f", now, &found, NULL), 0);
	is_there = found != NULL;
	statcache_reader_free(r);
	close(fd);
	return is_there;
}

START_TEST(a_change_of_what_stat_says_ends_trust)
{
	const struct fsat_stat then = { .dev = 7,
		.ino = 8,
		.size_bytes = 9,
		.mtime = { 1600000000, 5 },
		.ctime = { 1600000000, 6 } };
	struct fsat_stat now = then;

	now.dev += changes[_i].dev;
	now.ino += changes[_i].ino;
	now.size_bytes += changes[_i].size;
	now.mtime.tv_sec += changes[_i].mtime.tv_sec;
	now.mtime.tv_nsec += changes[_i].mtime.tv_nsec;
	now.ctime.tv_sec += changes[_i].ctime.tv_sec;
	now.ctime.tv_nsec += changes[_i].ctime.tv_nsec;
	ck_assert(is_found(&then, &now) == changes[_i].trusted);
}
END_TEST

static const struct {
	struct timespec mtime, ctime;
	bool trusted;
} times[] = {
	{ { STARTED - 2, 499 }, { STARTED - 2, 499 }, true },
	{ { STARTED - 2, 500 }, { STARTED - 2, 499 }, false },
	{ { STARTED - 2, 499 }, { STARTED - 2, 500 }, false },
	{ { STARTED, 0 }, { 0, 0 }, false },
	{ { 0, 0 }, { STARTED, 0 }, false },
	{ { 0, 0 }, { STARTED + 1000, 0 }, false },
	{ { -5, 0 }, { 0, 0 }, true },
	/* No write has stamped that: it was set. */
	{ { 4102444800, 0 }, { 0, 0 }, true },
	{ { 4102444800, 0 }, { 4102444800, 0 }, false },
};

/* Else a file that changed right after it was read would be taken for what it
 * was. */
START_TEST(what_changed_about_when_it_was_read_is_not_trusted)
{
	const struct fsat_stat st = { .dev = 7,
		.ino = 8,
		.mtime = times[_i].mtime,
		.ctime = times[_i].ctime };

	ck_assert(is_found(&st, &st) == times[_i].trusted);
}
END_TEST

/* Asks for three records and the end; what is found must be right.  The first
 * error. */
static int
ask_all(const void *data, size_t len, struct err *e)
{
	const struct statcache_record *found;
	struct statcache_record wanted;
	struct statcache_reader *r = NULL;
	struct fsat_stat st = { 0 };
	int fd = empty_file(), rc;
	char path[64];

	ck_assert_int_eq(fsat_write_all(fd, data, len, NULL), 0);
	ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
	rc = statcache_reader_new(fd, &r, e);
	for (uint64_t i = 0; i < 3 && rc == 0; i++) {
		make(i, path, &st, &wanted);
		rc = statcache_reader_find(r, path, &st, &found, e);
		if (rc == 0 && found != NULL)
			must_be_same(found, &wanted);
	}
	if (rc == 0)
		rc = statcache_reader_find(r, "z", &st, &found, e);
	if (rc != 0 && r != NULL)
		ck_assert_int_eq(
		    statcache_reader_find(r, "zz", &st, &found, NULL),
		    ERR_FORMAT);
	statcache_reader_free(r);
	close(fd);
	return rc;
}

static void
small_cache(struct buf *text)
{
	int fd = empty_file();

	buf_init(text, 1 << 20);
	write_cache(fd, 3);
	ck_assert_int_eq(fsat_read_all(fd, 1 << 20, text, NULL), 0);
	close(fd);
	ck_assert_int_eq(ask_all(text->data, text->len, NULL), 0);
}

START_TEST(every_truncation_is_refused)
{
	struct buf text;

	small_cache(&text);
	for (size_t len = 0; len < text.len; len++) {
		struct err e = ERR_INIT;

		ck_assert_int_eq(ask_all(text.data, len, &e), ERR_FORMAT);
		ck_assert_ptr_nonnull(strstr(e.msg, "stat cache: cut off"));
	}
	buf_add_byte(&text, 0);
	ck_assert_int_eq(ask_all(text.data, text.len, NULL), ERR_FORMAT);
	buf_release(&text);
}
END_TEST

START_TEST(every_flipped_bit_is_refused)
{
	struct buf text;

	small_cache(&text);
	for (size_t i = 0; i < text.len * 8; i++) {
		text.data[i / 8] ^= (uint8_t)(1u << i % 8);
		ck_assert_int_eq(
		    ask_all(text.data, text.len, NULL), ERR_FORMAT);
		text.data[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	buf_release(&text);
}
END_TEST

/* Blocks with right checksums that are not where they were written. */
START_TEST(blocks_do_not_change_places)
{
	int fd = empty_file();
	struct buf text, swapped;
	size_t at = 40, len;
	uint32_t n;

	write_cache(fd, 2000);
	buf_init(&text, 1 << 20);
	buf_init(&swapped, 1 << 20);
	ck_assert_int_eq(fsat_read_all(fd, 1 << 20, &text, NULL), 0);
	memcpy(&n, text.data + at, sizeof(n));
	len = 16 + (size_t)le32toh(n);
	buf_add(&swapped, text.data, at);
	buf_add(&swapped, text.data + at + len, text.len - at - len);
	ck_assert_int_eq(ask_all(text.data, text.len, NULL), 0);
	ck_assert_int_eq(ask_all(swapped.data, swapped.len, NULL), ERR_FORMAT);
	buf_release(&text);
	buf_release(&swapped);
	close(fd);
}
END_TEST

START_TEST(records_come_in_order_and_within_limits)
{
	const struct timespec started = { STARTED, 0 };
	const struct fsat_stat st = { .ino = 1 };
	struct statcache_record record;
	struct statcache_writer *w;
	struct buf text;
	int fd = empty_file();

	buf_init(&text, (size_t)2 << 20);
	memset(buf_reserve(&text, (size_t)2 << 20), 'x', 2 << 20);
	buf_commit(&text, (size_t)2 << 20);
	text.data[LIMIT_PATH_BYTES + 1] = '\0';
	ck_assert_int_eq(statcache_writer_new(fd, &started, &w, NULL), 0);
	statcache_record_init(&record, ".", &st);
	ck_assert_int_eq(statcache_writer_add(w, &record, NULL), 0);
	ck_assert_int_eq(statcache_writer_add(w, &record, NULL), ERR_USAGE);
	record.path = "-x";
	ck_assert_int_eq(statcache_writer_add(w, &record, NULL), 0);
	record.path = buf_str(&text);
	ck_assert_int_eq(statcache_writer_add(w, &record, NULL), ERR_USAGE);
	record.path++;
	record.xattrs.text = buf_str(&text);
	record.xattrs.len = LIMIT_XATTR_TEXT + 1;
	ck_assert_int_eq(statcache_writer_add(w, &record, NULL), ERR_USAGE);
	record.xattrs.len = LIMIT_XATTR_TEXT;
	ck_assert_int_eq(statcache_writer_add(w, &record, NULL), 0);
	ck_assert_int_eq(statcache_writer_end(w, NULL), 0);
	statcache_writer_free(w);
	buf_release(&text);
	close(fd);
}
END_TEST

int
main(void)
{
#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))
	Suite *s = suite_create("statcache");
	TCase *t = tcase_create("statcache");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, what_was_remembered_is_found, 0, COUNT(counts));
	tcase_add_test(t, records_in_between_are_passed_over);
	tcase_add_loop_test(
	    t, a_change_of_what_stat_says_ends_trust, 0, COUNT(changes));
	tcase_add_loop_test(t,
	    what_changed_about_when_it_was_read_is_not_trusted, 0,
	    COUNT(times));
	tcase_add_test(t, every_truncation_is_refused);
	tcase_add_test(t, every_flipped_bit_is_refused);
	tcase_add_test(t, blocks_do_not_change_places);
	tcase_add_test(t, records_come_in_order_and_within_limits);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
