/* Data transcripts: what a writer put in comes out, stock tar reads it, and
 * anything else than one is refused. */
#include "transcripts/data.h"

#include <archive.h>
#include <archive_entry.h>
#include <check.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/fsat.h"
#include "tests/feed.h"
#include "tests/samples.h"

#define OK(call) ck_assert_msg((call) == 0, "%s", e.msg)

static struct data_member
member(enum data_kind kind, uint8_t digest, uint8_t basis, uint64_t size_bytes)
{
	struct data_member m = { .kind = kind, .size_bytes = size_bytes };

	sample_digest(digest, &m.digest);
	if (kind == DATA_MANIFEST_DELTA || kind == DATA_DELTA)
		sample_digest(basis, &m.basis);
	return m;
}

static int
add(struct data_writer *w, struct data_member m, size_t really, struct err *e)
{
	uint8_t *bytes = malloc(really + 1);
	struct feed f = { bytes, really, 0, 10000 };
	int ret;

	ck_assert_ptr_nonnull(bytes);
	memset(bytes, m.digest.b[0], really);
	ret = data_writer_add(w, &m, feed_give, &f, e);
	free(bytes);
	return ret;
}

static struct data_writer *
writer(int *fd, int level)
{
	struct data_options options = {
		.level = level, .mtime = SAMPLE_NOW, .content_bytes = 100000
	};
	struct data_writer *w = NULL;
	struct err e = ERR_INIT;

	options.fd = *fd = memfd_create("check", MFD_CLOEXEC);
	OK(data_writer_new(&options, &w, &e));
	return w;
}

static const struct {
	enum data_kind kind;
	uint8_t digest, basis;
	uint64_t size_bytes;
} sample[] = {
	{ DATA_MANIFEST_DELTA, 1, 2, 700 },
	{ DATA_DELTA, 3, 4, 1 },
	{ DATA_DELTA, 5, 4, 513 },
	{ DATA_OBJECT, 6, 0, 0 },
	{ DATA_OBJECT, 7, 0, 512 },
	{ DATA_OBJECT, 8, 0, 20000 },
};
#define SAMPLES (sizeof(sample) / sizeof(sample[0]))

static struct data_member
sample_member(size_t i)
{
	return member(sample[i].kind, sample[i].digest, sample[i].basis,
	    sample[i].size_bytes);
}

/* The whole sample file. */
static void
write_sample(struct buf *file)
{
	struct err e = ERR_INIT;
	struct digest said, is;
	uint64_t size_bytes = 0;
	int fd = -1;
	struct data_writer *w = writer(&fd, 19);

	for (size_t i = 0; i < SAMPLES; i++)
		OK(add(w, sample_member(i), (size_t)sample[i].size_bytes, &e));
	OK(data_writer_end(w, &said, &size_bytes, &e));
	data_writer_free(w);
	ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
	buf_init(file, 1U << 20);
	OK(fsat_read_all(fd, 1U << 20, file, &e));
	close(fd);
	digest_of(file->data, file->len, &is);
	ck_assert(digest_equal(&said, &is));
	ck_assert_uint_eq(size_bytes, file->len);
}

/* Reads all members; `skip` every other one. */
static int
read_members(struct data_reader *r, bool skip, size_t *count, struct err *e)
{
	struct data_member m = { .kind = DATA_OBJECT };
	uint8_t piece[5000];
	bool more = true;
	int ret;

	for (*count = 0;; ++*count) {
		uint64_t len = 0;
		size_t got = 1;
		bool right = true;

		ret = data_reader_next(r, &m, &more, e);
		if (ret != 0 || !more)
			return ret;
		while (got > 0 && !(skip && *count % 2 == 0)) {
			ret =
			    data_reader_read(r, piece, sizeof(piece), &got, e);
			if (ret != 0)
				return ret;
			for (size_t i = 0; i < got; i++)
				right &= piece[i] == m.digest.b[0];
			len += got;
		}
		ck_assert(right);
		if (!skip)
			ck_assert_uint_eq(len, m.size_bytes);
	}
}

static int
read_file(const void *data, size_t len, uint64_t said, size_t step,
    size_t *count, struct err *e)
{
	struct data_reader *r = NULL;
	struct feed f = { data, len, 0, step };
	int ret = data_reader_new(feed_give, &f, said, &r, e);

	*count = 0;
	if (ret == 0)
		ret = read_members(r, false, count, e);
	data_reader_free(r);
	return ret;
}

START_TEST(members_come_back_as_they_were_added)
{
	struct data_reader *r = NULL;
	struct err e = ERR_INIT;
	struct data_member m, expected;
	struct buf file;
	size_t count = 0;
	bool more = false;
	int fd = memfd_create("check", MFD_CLOEXEC);

	write_sample(&file);
	OK(fsat_write_all(fd, file.data, file.len, &e));
	ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
	OK(data_reader_open(fd, file.len, &r, &e));
	for (size_t i = 0; i < SAMPLES; i++) {
		OK(data_reader_next(r, &m, &more, &e));
		expected = sample_member(i);
		ck_assert(more);
		ck_assert_int_eq((int)m.kind, (int)expected.kind);
		ck_assert(digest_equal(&m.digest, &expected.digest));
		ck_assert(digest_equal(&m.basis, &expected.basis));
		ck_assert_uint_eq(m.size_bytes, expected.size_bytes);
	}
	OK(data_reader_next(r, &m, &more, &e));
	ck_assert(!more);
	data_reader_free(r);
	close(fd);
	OK(read_file(file.data, file.len, file.len, 100, &count, &e));
	ck_assert_uint_eq(count, SAMPLES);
	buf_release(&file);
}
END_TEST

START_TEST(members_may_be_passed_over)
{
	struct data_reader *r = NULL;
	struct err e = ERR_INIT;
	struct feed f = { .step = 4096 };
	struct buf file;
	size_t count = 0;

	write_sample(&file);
	f.data = file.data;
	f.len = file.len;
	OK(data_reader_new(feed_give, &f, file.len, &r, &e));
	OK(read_members(r, true, &count, &e));
	ck_assert_uint_eq(count, SAMPLES);
	data_reader_free(r);
	buf_release(&file);
}
END_TEST

/* Larger than what is compressed as a whole. */
START_TEST(large_members_are_streamed)
{
	struct data_reader *r = NULL;
	struct err e = ERR_INIT;
	struct digest d;
	uint64_t size_bytes = 0;
	size_t count = 0;
	int fd = -1;
	struct data_writer *w = writer(&fd, 1);

	for (uint8_t i = 1; i <= 4; i++)
		OK(add(w, member(DATA_OBJECT, i, 0, 3000001), 3000001, &e));
	OK(data_writer_end(w, &d, &size_bytes, &e));
	data_writer_free(w);
	ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
	OK(data_reader_open(fd, size_bytes, &r, &e));
	OK(read_members(r, false, &count, &e));
	ck_assert_uint_eq(count, 4);
	data_reader_free(r);
	close(fd);
}
END_TEST

START_TEST(the_same_members_give_the_same_bytes)
{
	struct buf a, b;

	write_sample(&a);
	write_sample(&b);
	ck_assert_uint_eq(a.len, b.len);
	ck_assert_mem_eq(a.data, b.data, a.len);
	buf_release(&a);
	buf_release(&b);
}
END_TEST

START_TEST(an_empty_one_is_one)
{
	struct err e = ERR_INIT;
	struct digest d;
	uint64_t size_bytes = 0;
	struct data_reader *r = NULL;
	size_t count = 9;
	int fd = -1;
	struct data_writer *w = writer(&fd, 3);

	OK(data_writer_end(w, &d, &size_bytes, &e));
	ck_assert_int_eq(data_writer_end(w, &d, &size_bytes, &e), ERR_USAGE);
	data_writer_free(w);
	ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
	OK(data_reader_open(fd, size_bytes, &r, &e));
	OK(read_members(r, false, &count, &e));
	ck_assert_uint_eq(count, 0);
	data_reader_free(r);
	close(fd);
}
END_TEST

static const struct {
	enum data_kind first, second;
	bool allowed;
} orders[] = {
	{ DATA_MANIFEST, DATA_MANIFEST, false },
	{ DATA_MANIFEST, DATA_MANIFEST_DELTA, false },
	{ DATA_MANIFEST_DELTA, DATA_MANIFEST, false },
	{ DATA_MANIFEST, DATA_DELTA, true },
	{ DATA_MANIFEST_DELTA, DATA_OBJECT, true },
	{ DATA_DELTA, DATA_MANIFEST, false },
	{ DATA_DELTA, DATA_DELTA, true },
	{ DATA_DELTA, DATA_OBJECT, true },
	{ DATA_OBJECT, DATA_MANIFEST_DELTA, false },
	{ DATA_OBJECT, DATA_DELTA, false },
	{ DATA_OBJECT, DATA_OBJECT, true },
};

START_TEST(the_order_of_members_is_kept)
{
	struct err e = ERR_INIT;
	int fd = -1;
	struct data_writer *w = writer(&fd, 3);

	OK(add(w, member(orders[_i].first, 1, 2, 10), 10, &e));
	ck_assert_int_eq(add(w, member(orders[_i].second, 3, 4, 10), 10, &e),
	    orders[_i].allowed ? 0 : ERR_USAGE);
	data_writer_free(w);
	close(fd);
}
END_TEST

START_TEST(a_source_of_another_size_than_said_is_told)
{
	static const size_t really[] = { 0, 999, 1001, 2000 };
	struct err e = ERR_INIT;
	struct digest d;
	uint64_t size_bytes = 0;
	int fd = -1;
	struct data_writer *w = writer(&fd, 3);

	ck_assert_int_eq(
	    add(w, member(DATA_OBJECT, 1, 0, 1000), really[_i], &e),
	    ERR_CHANGED);
	ck_assert_ptr_nonnull(strstr(e.msg, "data transcript: object/0101"));
	ck_assert_int_eq(data_writer_end(w, &d, &size_bytes, &e), ERR_USAGE);
	data_writer_free(w);
	close(fd);
}
END_TEST

START_TEST(a_full_disk_is_told)
{
	struct data_options options = { .level = 1, .mtime = SAMPLE_NOW };
	struct data_writer *w = NULL;
	struct err e = ERR_INIT;
	struct digest d;
	uint64_t size_bytes = 0;
	int ret;

	ck_assert_int_eq(fsat_operator_open("/dev/full", &options.fd, &e), 0);
	OK(data_writer_new(&options, &w, &e));
	ret = add(w, member(DATA_OBJECT, 1, 0, 1000), 1000, &e);
	if (ret == 0)
		ret = data_writer_end(w, &d, &size_bytes, &e);
	ck_assert_int_eq(ret, ERR_SYS);
	ck_assert_str_ne(e.msg, "");
	data_writer_free(w);
	close(options.fd);
}
END_TEST

START_TEST(every_cut_file_is_refused)
{
	struct err e = ERR_INIT;
	struct buf file;
	size_t count = 0;

	write_sample(&file);
	for (size_t len = 0; len < file.len; len++)
		ck_assert_msg(read_file(file.data, len, file.len, 100, &count,
		                  &e) == ERR_FORMAT,
		    "%zu of %zu bytes", len, file.len);
	buf_release(&file);
}
END_TEST

START_TEST(a_file_longer_than_signed_is_refused)
{
	struct err e = ERR_INIT;
	struct buf file;
	size_t count = 0;

	write_sample(&file);
	ck_assert_int_eq(
	    read_file(file.data, file.len, file.len - 1, 100, &count, &e),
	    ERR_FORMAT);
	ck_assert_str_eq(e.msg, "data transcript is longer than signed");
	buf_release(&file);
}
END_TEST

/* The digest was checked before: here it must only not do any harm. */
START_TEST(a_flipped_bit_is_an_error_or_other_content)
{
	struct err e = ERR_INIT;
	struct data_reader *r = NULL;
	struct feed f = { .step = 4096 };
	struct buf file;
	size_t count = 0;

	write_sample(&file);
	for (size_t bit = 0; bit < file.len * 8; bit += 7) {
		int ret;

		file.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
		f = (struct feed){ file.data, file.len, 0, 4096 };
		ret = data_reader_new(feed_give, &f, file.len, &r, &e);
		if (ret == 0) {
			ret = read_members(r, true, &count, &e);
			data_reader_free(r);
		}
		ck_assert(ret == 0 || ret == ERR_FORMAT);
		file.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
	buf_release(&file);
}
END_TEST

#define D1 "0101010101010101010101010101010101010101010101010101010101010101"
#define D2 "0202020202020202020202020202020202020202020202020202020202020202"

static const char *const bad_names[] = {
	"",
	"object",
	"object/",
	"/object/" D1,
	"./object/" D1,
	"object/../object/" D1,
	"object/" D1 "/",
	"object/" D1 "-" D2,
	"object/" D1 "0",
	"object/01",
	"OBJECT/" D1,
	"objects/" D1,
	"delta/" D1,
	"delta/" D1 "-",
	"delta/" D1 "+" D2,
	"delta/" D1 "-" D2 "-" D2,
	"manifest/" D1 "-",
	"manifest/g1" D1,
	"../../etc/passwd",
	"/etc/passwd",
};

START_TEST(unknown_names_are_refused)
{
	struct data_member m = { .size_bytes = 5 };

	ck_assert_int_eq(data_name_parse(bad_names[_i], &m), ERR_FORMAT);
}
END_TEST

/* How an archive that is not ours was made. */
struct foreign {
	const char *what;
	const char *name, *second; /* of members */
	const char *link;
	unsigned type; /* AE_IF... */
	int (*format)(struct archive *);
	int (*filter)(struct archive *);
	int (*filter_below)(struct archive *);
	int expected;
};

#define ZSTD archive_write_add_filter_zstd
#define PAX  archive_write_set_format_pax

static const struct foreign foreigns[] = {
	{ "pax", "object/" D1, NULL, NULL, AE_IFREG, PAX, ZSTD, NULL, 0 },
	{ "ustar", "object/" D1, NULL, NULL, AE_IFREG,
	    archive_write_set_format_ustar, ZSTD, NULL, 0 },
	{ "twice an object", "object/" D1, "object/" D1, NULL, AE_IFREG, PAX,
	    ZSTD, NULL, 0 },
	{ "two manifests", "manifest/" D1, "manifest/" D2, NULL, AE_IFREG, PAX,
	    ZSTD, NULL, ERR_FORMAT },
	{ "out of order", "object/" D1, "delta/" D1 "-" D2, NULL, AE_IFREG, PAX,
	    ZSTD, NULL, ERR_FORMAT },
	{ "a path upwards", "../object/" D1, NULL, NULL, AE_IFREG, PAX, ZSTD,
	    NULL, ERR_FORMAT },
	{ "an absolute path", "/etc/passwd", NULL, NULL, AE_IFREG, PAX, ZSTD,
	    NULL, ERR_FORMAT },
	{ "a directory", "object/" D1, NULL, NULL, AE_IFDIR, PAX, ZSTD, NULL,
	    ERR_FORMAT },
	{ "a device", "object/" D1, NULL, NULL, AE_IFCHR, PAX, ZSTD, NULL,
	    ERR_FORMAT },
	{ "a symbolic link", "object/" D1, NULL, "/etc/passwd", AE_IFLNK, PAX,
	    ZSTD, NULL, ERR_FORMAT },
	{ "a hard link", "object/" D1, NULL, "object/" D2, AE_IFREG, PAX, ZSTD,
	    NULL, ERR_FORMAT },
	{ "no compression", "object/" D1, NULL, NULL, AE_IFREG, PAX,
	    archive_write_add_filter_none, NULL, ERR_FORMAT },
	{ "gzip", "object/" D1, NULL, NULL, AE_IFREG, PAX,
	    archive_write_add_filter_gzip, NULL, ERR_FORMAT },
	{ "zstd in zstd", "object/" D1, NULL, NULL, AE_IFREG, PAX, ZSTD, ZSTD,
	    ERR_FORMAT },
	{ "gzip in zstd", "object/" D1, NULL, NULL, AE_IFREG, PAX,
	    archive_write_add_filter_gzip, ZSTD, ERR_FORMAT },
	{ "cpio", "object/" D1, NULL, NULL, AE_IFREG,
	    archive_write_set_format_cpio_newc, ZSTD, NULL, ERR_FORMAT },
};

static void
put_foreign(struct archive *a, const struct foreign *f, const char *name)
{
	struct archive_entry *entry = archive_entry_new();

	archive_entry_set_pathname(entry, name);
	archive_entry_set_perm(entry, 0644);
	archive_entry_set_filetype(entry, f->type);
	archive_entry_set_size(
	    entry, f->type == AE_IFREG && f->link == NULL ? 4 : 0);
	if (f->link != NULL && f->type == AE_IFLNK)
		archive_entry_set_symlink(entry, f->link);
	else if (f->link != NULL)
		archive_entry_set_hardlink(entry, f->link);
	ck_assert_int_eq(archive_write_header(a, entry), ARCHIVE_OK);
	if (archive_entry_size(entry) > 0)
		ck_assert_int_eq(archive_write_data(a, "\1\1\1\1", 4), 4);
	archive_entry_free(entry);
}

START_TEST(only_plain_files_in_tar_in_zstd_are_read)
{
	const struct foreign *f = &foreigns[_i];
	struct archive *a = archive_write_new();
	struct err e = ERR_INIT;
	size_t len = 0, count = 0;
	uint8_t bytes[65536];

	ck_assert_int_eq(f->format(a), ARCHIVE_OK);
	ck_assert_int_eq(f->filter(a), ARCHIVE_OK);
	if (f->filter_below != NULL)
		ck_assert_int_eq(f->filter_below(a), ARCHIVE_OK);
	ck_assert_int_eq(archive_write_set_bytes_in_last_block(a, 1), 0);
	ck_assert_int_eq(
	    archive_write_open_memory(a, bytes, sizeof(bytes), &len),
	    ARCHIVE_OK);
	put_foreign(a, f, f->name);
	if (f->second != NULL)
		put_foreign(a, f, f->second);
	ck_assert_int_eq(archive_write_free(a), ARCHIVE_OK);
	ck_assert_msg(
	    read_file(bytes, len, len, 4096, &count, &e) == f->expected,
	    "%s: %s", f->what, e.msg);
}
END_TEST

/* A data_source that fails. */
static int
refuse(void *arg, void *dst, size_t size, size_t *got, struct err *e)
{
	(void)arg;
	(void)dst;
	(void)size;
	(void)got;
	return err_set(e, ERR_NET, "gone");
}

START_TEST(an_error_of_the_source_is_passed_on)
{
	struct data_member m = member(DATA_OBJECT, 1, 0, 10);
	struct data_reader *r = NULL;
	struct err e = ERR_INIT;
	int fd = -1;
	struct data_writer *w = writer(&fd, 3);

	ck_assert_int_eq(data_reader_new(refuse, NULL, 1000, &r, &e), ERR_NET);
	ck_assert_str_eq(e.msg, "gone");
	ck_assert_int_eq(data_writer_add(w, &m, refuse, NULL, &e), ERR_NET);
	ck_assert_ptr_nonnull(strstr(e.msg, ": gone"));
	data_writer_free(w);
	data_writer_free(NULL);
	data_reader_free(NULL);
	close(fd);
}
END_TEST

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

int
main(void)
{
	Suite *s = suite_create("data");
	TCase *t = tcase_create("data");
	SRunner *sr;
	int failed;

	tcase_add_test(t, members_come_back_as_they_were_added);
	tcase_add_test(t, members_may_be_passed_over);
	tcase_add_test(t, large_members_are_streamed);
	tcase_add_test(t, the_same_members_give_the_same_bytes);
	tcase_add_test(t, an_empty_one_is_one);
	tcase_add_loop_test(t, the_order_of_members_is_kept, 0, COUNT(orders));
	tcase_add_loop_test(
	    t, a_source_of_another_size_than_said_is_told, 0, 4);
	tcase_add_test(t, a_full_disk_is_told);
	tcase_add_test(t, every_cut_file_is_refused);
	tcase_add_test(t, a_file_longer_than_signed_is_refused);
	tcase_add_test(t, a_flipped_bit_is_an_error_or_other_content);
	tcase_add_loop_test(t, unknown_names_are_refused, 0, COUNT(bad_names));
	tcase_add_loop_test(
	    t, only_plain_files_in_tar_in_zstd_are_read, 0, COUNT(foreigns));
	tcase_add_test(t, an_error_of_the_source_is_passed_on);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
