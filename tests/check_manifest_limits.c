/* Manifests that are long in one way or another, and where they come from. */
#include <check.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/fsat.h"
#include "common/gzip.h"
#include "transcripts/manifest.h"

#define SUM_0 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define TOP   "d 0755 root root 1718000000.000000000 .\n"
#define ETC   "d 0755 root root 1718000000.000000001 etc\n"
#define F     "f 0644 root root 1.000000000 0 " SUM_0 " "

static const char sample[] =
    "pecia manifest 1\n" TOP "x user.comment aGVsbG8=\n" ETC F "etc/a\n" F
    "etc/b\n"
    "h etc/a etc/c\n";

struct memory {
	const char *data;
	size_t len, piece;
};

static int
from_memory(void *arg, void *dst, size_t size, size_t *got, struct err *e)
{
	struct memory *m = arg;

	(void)e;
	size = size < m->piece ? size : m->piece;
	size = size < m->len ? size : m->len;
	memcpy(dst, m->data, size);
	m->data += size;
	m->len -= size;
	*got = size;
	return 0;
}

static int
to_buf(void *arg, const void *data, size_t len, struct err *e)
{
	buf_add(arg, data, len);
	return buf_check(arg, "text", e);
}

/* Reads all; with `again` not NULL writes it too.  The first error. */
static int
copy(const char *text, size_t len, size_t piece, struct buf *again,
    struct err *e)
{
	struct memory source = { text, len, piece };
	const struct manifest_entry *m = NULL;
	struct manifest_reader *r = NULL;
	struct manifest_writer *w = NULL;
	struct manifest_totals totals;
	int rc = manifest_reader_new(from_memory, &source, &r, e);

	if (rc == 0 && again != NULL)
		rc = manifest_writer_new(to_buf, again, &w, e);
	while (rc == 0) {
		rc = manifest_reader_next(r, &m, e);
		if (rc != 0 || m == NULL)
			break;
		if (w != NULL)
			ck_assert_msg(manifest_writer_add(w, m, e) == 0,
			    "the writer refuses: %s", e->msg);
	}
	if (rc == 0 && w != NULL)
		ck_assert_int_eq(manifest_writer_end(w, &totals, e), 0);
	manifest_reader_free(r);
	manifest_writer_free(w);
	return rc;
}

static void
must_be_same(const struct buf *again, const char *text, size_t len)
{
	ck_assert_uint_eq(again->len, len);
	ck_assert_mem_eq(again->data, text, len);
}

/* A directory of `depth` components of `len` bytes, each with its line. */
static void
add_depth(struct buf *text, size_t depth, size_t len, struct buf *path)
{
	for (size_t i = 0; i < depth; i++) {
		if (i > 0)
			buf_add_byte(path, '/');
		for (size_t k = 0; k < len; k++)
			buf_add_byte(path, 'a');
		buf_add_str(text, "d 0755 root root 1.000000000 ");
		buf_add_str(text, buf_str(path));
		buf_add_byte(text, '\n');
	}
}

static const struct {
	size_t depth, len, last; /* and one more component of `last` bytes */
	int rc;
} lengths[] = {
	{ 0, 0, 255, 0 },
	{ 0, 0, 256, ERR_FORMAT },
	{ 15, 255, 255, 0 },
	{ 2047, 1, 1, 0 },
	{ 2047, 1, 2, ERR_FORMAT },
	{ 2047, 1, 1000, ERR_FORMAT },
};

START_TEST(paths_and_components_have_a_length)
{
	struct buf text, path, again;
	struct err e = ERR_INIT;

	buf_init(&text, 32 << 20);
	buf_init(&path, 8192);
	buf_init(&again, 32 << 20);
	buf_add_str(&text, "pecia manifest 1\n" TOP);
	add_depth(&text, lengths[_i].depth, lengths[_i].len, &path);
	buf_addf(&text, F "%s%s", buf_str(&path), path.len > 0 ? "/" : "");
	for (size_t i = 0; i < lengths[_i].last; i++)
		buf_add_byte(&text, 'b');
	buf_add_byte(&text, '\n');
	ck_assert_msg(copy(buf_str(&text), text.len, 1 << 20, &again, &e) ==
	        lengths[_i].rc,
	    "%s", e.msg);
	if (lengths[_i].rc == 0)
		must_be_same(&again, buf_str(&text), text.len);
	buf_release(&text);
	buf_release(&path);
	buf_release(&again);
}
END_TEST

static const struct {
	size_t count, len; /* of xattrs, bytes of each value */
	int rc;
} amounts[] = {
	{ 1, 0, 0 },
	{ 1, 65536, 0 },
	{ 1, 65537, ERR_FORMAT },
	{ 11, 65536, 0 },
	{ 13, 65536, ERR_LIMIT },
	{ 256, 1, 0 },
	{ 257, 1, ERR_FORMAT },
	{ 1, 400000, ERR_LIMIT },
};

START_TEST(xattrs_have_a_length_and_a_number)
{
	struct buf text, value, again;
	struct err e = ERR_INIT;
	char name[32];
	int rc;

	buf_init(&text, 32 << 20);
	buf_init(&value, 1 << 20);
	buf_init(&again, 32 << 20);
	memset(buf_reserve(&value, amounts[_i].len), 'v', amounts[_i].len);
	buf_commit(&value, amounts[_i].len);
	buf_add_str(&text, "pecia manifest 1\n" TOP);
	for (size_t i = 0; i < amounts[_i].count; i++) {
		(void)snprintf(name, sizeof(name), "user.%05zu", i);
		manifest_xattr_add(&text, name, value.data, value.len);
	}
	buf_add_str(&text, ETC);
	rc = copy(buf_str(&text), text.len, 1 << 20, &again, &e);
	ck_assert_msg(rc == amounts[_i].rc, "%d %s", rc, e.msg);
	if (rc == 0)
		must_be_same(&again, buf_str(&text), text.len);
	buf_release(&text);
	buf_release(&value);
	buf_release(&again);
}
END_TEST

START_TEST(xattrs_come_back_as_they_were)
{
	static const uint8_t value[] = { 0, 1, 0xff, '\n', ' ' };
	struct manifest_xattr x;
	struct manifest_xattrs all;
	struct buf text;
	bool more;

	buf_init(&text, 4096);
	buf_init(&x.value, LIMIT_XATTR_BYTES);
	manifest_xattr_add(&text, "user.a b\\", value, sizeof(value));
	manifest_xattr_add(&text, "user.b", NULL, 0);
	all.text = buf_str(&text);
	all.len = text.len;
	ck_assert_int_eq(manifest_xattr_next(&all, &x, &more, NULL), 0);
	ck_assert(more);
	ck_assert_str_eq(x.name, "user.a b\\");
	ck_assert_uint_eq(x.value.len, sizeof(value));
	ck_assert_mem_eq(x.value.data, value, sizeof(value));
	ck_assert_int_eq(manifest_xattr_next(&all, &x, &more, NULL), 0);
	ck_assert(more);
	ck_assert_str_eq(x.name, "user.b");
	ck_assert_uint_eq(x.value.len, 0);
	ck_assert_int_eq(manifest_xattr_next(&all, &x, &more, NULL), 0);
	ck_assert(!more);
	all.text = "x user.a AAAA";
	all.len = strlen(all.text);
	ck_assert_int_eq(
	    manifest_xattr_next(&all, &x, &more, NULL), ERR_FORMAT);
	buf_release(&x.value);
	buf_release(&text);
}
END_TEST

/* Gives one line that never ends. */
static int
endless(void *arg, void *dst, size_t size, size_t *got, struct err *e)
{
	uint64_t *given = arg;
	static const char first[] = "pecia manifest 1\n";

	(void)e;
	memset(dst, 'd', size);
	if (*given == 0) {
		memcpy(dst, first, strlen(first));
		size = strlen(first);
	}
	*given += size;
	*got = size;
	return 0;
}

START_TEST(an_endless_line_is_not_read_to_its_end)
{
	const struct manifest_entry *m;
	struct manifest_reader *r;
	uint64_t given = 0;

	ck_assert_int_eq(manifest_reader_new(endless, &given, &r, NULL), 0);
	ck_assert_int_eq(manifest_reader_next(r, &m, NULL), ERR_LIMIT);
	ck_assert_uint_lt(given, (uint64_t)4 * LIMIT_MANIFEST_LINE);
	manifest_reader_free(r);
}
END_TEST

static int
file_of(const void *data, size_t len)
{
	int fd = memfd_create("manifest", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fsat_write_all(fd, data, len, NULL), 0);
	ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static int
to_end(struct manifest_reader *r, struct err *e)
{
	const struct manifest_entry *m = NULL;
	int rc;

	do {
		rc = manifest_reader_next(r, &m, e);
	} while (rc == 0 && m != NULL);
	return rc;
}

START_TEST(a_descriptor_gives_no_more_than_allowed)
{
	struct manifest_reader *r = NULL;
	struct digest digest, zero = { { 0 } };
	uint64_t len = strlen(sample), got;
	int fd = file_of(sample, len);

	ck_assert_int_eq(manifest_reader_open(fd, len, &r, NULL), 0);
	manifest_reader_skip_digest(r);
	ck_assert_int_eq(to_end(r, NULL), 0);
	manifest_reader_digest(r, &digest, &got);
	ck_assert_uint_eq(got, len);
	ck_assert(digest_equal(&digest, &zero));
	manifest_reader_free(r);
	r = NULL;
	lseek(fd, 0, SEEK_SET);
	if (manifest_reader_open(fd, len - 1, &r, NULL) == 0)
		ck_assert_int_eq(to_end(r, NULL), ERR_LIMIT);
	manifest_reader_free(r);
	close(fd);
}
END_TEST

START_TEST(gzip_is_read_as_the_text_is)
{
	struct manifest_reader *r = NULL;
	struct digest digest, wanted_digest;
	uint64_t len = strlen(sample), got;
	struct gzip_writer *g;
	struct buf packed;
	int fd;

	buf_init(&packed, 1 << 20);
	ck_assert_int_eq(gzip_writer_new(to_buf, &packed, &g, NULL), 0);
	ck_assert_int_eq(gzip_writer_feed(g, sample, len, NULL), 0);
	ck_assert_int_eq(gzip_writer_end(g, NULL), 0);
	gzip_writer_free(g);
	fd = file_of(packed.data, packed.len);
	ck_assert_int_eq(manifest_reader_open_gzip(fd, len, &r, NULL), 0);
	ck_assert_int_eq(to_end(r, NULL), 0);
	manifest_reader_digest(r, &digest, &got);
	digest_of(sample, len, &wanted_digest);
	ck_assert(digest_equal(&digest, &wanted_digest));
	ck_assert_uint_eq(got, len);
	manifest_reader_free(r);
	r = NULL;
	lseek(fd, 0, SEEK_SET);
	if (manifest_reader_open_gzip(fd, len - 1, &r, NULL) == 0)
		ck_assert_int_eq(to_end(r, NULL), ERR_LIMIT);
	manifest_reader_free(r);
	close(fd);
	fd = file_of(packed.data, packed.len - 1);
	r = NULL;
	if (manifest_reader_open_gzip(fd, len, &r, NULL) == 0)
		ck_assert_int_eq(to_end(r, NULL), ERR_FORMAT);
	manifest_reader_free(r);
	close(fd);
	buf_release(&packed);
}
END_TEST

/* Lines of all lengths, so that every one lies across the ends of buffers. */
START_TEST(lines_across_buffers_are_whole)
{
	struct err e = ERR_INIT;
	struct buf text, again;

	buf_init(&text, 64 << 20);
	buf_init(&again, 64 << 20);
	buf_add_str(&text, "pecia manifest 1\n" TOP ETC);
	for (unsigned i = 0; i < 20000; i++) {
		buf_addf(&text, F "etc/%06u", i);
		for (unsigned k = 0; k < i * 7919 % 200; k++)
			buf_add_byte(&text, k % 50 == 9 ? 'b' : 'c');
		buf_add_byte(&text, '\n');
		if (i % 97 == 0)
			manifest_xattr_add(&text, "user.x", text.data, i % 999);
	}
	ck_assert_msg(copy(buf_str(&text), text.len, 65521, &again, &e) == 0,
	    "%s", e.msg);
	must_be_same(&again, buf_str(&text), text.len);
	buf_release(&text);
	buf_release(&again);
}
END_TEST

int
main(void)
{
#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))
	Suite *s = suite_create("manifest limits");
	TCase *t = tcase_create("manifest limits");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_loop_test(
	    t, paths_and_components_have_a_length, 0, COUNT(lengths));
	tcase_add_loop_test(
	    t, xattrs_have_a_length_and_a_number, 0, COUNT(amounts));
	tcase_add_test(t, xattrs_come_back_as_they_were);
	tcase_add_test(t, an_endless_line_is_not_read_to_its_end);
	tcase_add_test(t, a_descriptor_gives_no_more_than_allowed);
	tcase_add_test(t, gzip_is_read_as_the_text_is);
	tcase_add_test(t, lines_across_buffers_are_whole);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
