/* gzip streams. */
#include "common/gzip.h"

#include <check.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/fsat.h"

static int
to_buf(void *arg, const void *data, size_t len, struct err *e)
{
	buf_add(arg, data, len);
	return buf_check(arg, "sink", e);
}

/* Compressible text, the same each time. */
static void
make_text(struct buf *text, size_t len)
{
	uint32_t x = 1;

	buf_init(text, len);
	while (text->len < len) {
		x = x * 1664525 + 1013904223;
		buf_add_byte(text, (uint8_t)("etc/nginx \n"[(x >> 24) % 11]));
	}
}

static void
compress(const struct buf *text, size_t piece, struct buf *out)
{
	struct err e = ERR_INIT;
	struct gzip_writer *g;

	buf_init(out, SIZE_MAX - 1);
	ck_assert_int_eq(gzip_writer_new(to_buf, out, &g, &e), 0);
	for (size_t at = 0; at < text->len; at += piece) {
		size_t n = text->len - at < piece ? text->len - at : piece;

		ck_assert_int_eq(
		    gzip_writer_feed(g, text->data + at, n, &e), 0);
	}
	ck_assert_int_eq(gzip_writer_end(g, &e), 0);
	gzip_writer_free(g);
}

static int
file_of(const void *data, size_t len)
{
	int fd = memfd_create("gzip", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fsat_write_all(fd, data, len, NULL), 0);
	ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

/* 0 and the text, or the error; every read asks for `piece`. */
static int
expand(const void *data, size_t len, uint64_t max, size_t piece,
    struct buf *out, struct err *e)
{
	int fd = file_of(data, len), rc;
	struct gzip_reader *g;
	size_t got = 1;

	buf_init(out, SIZE_MAX - 1);
	ck_assert_int_eq(gzip_reader_new(fd, max, &g, e), 0);
	for (rc = 0; rc == 0 && got > 0;) {
		uint8_t *p = buf_reserve(out, piece);

		rc = gzip_reader_read(g, p, piece, &got, e);
		if (rc == 0)
			buf_commit(out, got);
		ck_assert_uint_le(out->len, max);
	}
	gzip_reader_free(g);
	close(fd);
	return rc;
}

static const struct {
	size_t len, write_piece, read_piece;
} trips[] = {
	{ 0, 1, 1 },
	{ 1, 1, 1 },
	{ 1000, 1, 7 },
	{ 300000, 299, 1 << 20 },
	{ 300000, 1 << 20, 4096 },
	{ 5000000, 65536, 65536 },
};

START_TEST(what_is_written_is_read_back)
{
	struct buf text, packed, again;
	struct err e = ERR_INIT;

	make_text(&text, trips[_i].len);
	compress(&text, trips[_i].write_piece, &packed);
	ck_assert_msg(expand(packed.data, packed.len, text.len,
	                  trips[_i].read_piece, &again, &e) == 0,
	    "%s", e.msg);
	ck_assert_uint_eq(again.len, text.len);
	ck_assert(
	    text.len == 0 || memcmp(again.data, text.data, text.len) == 0);
	if (text.len > 1000)
		ck_assert_uint_lt(packed.len, text.len / 2);
	buf_release(&text);
	buf_release(&packed);
	buf_release(&again);
}
END_TEST

START_TEST(the_same_text_gives_the_same_bytes)
{
	static const uint8_t header[10] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0,
		255 };
	struct buf text, a, b;

	make_text(&text, 100000);
	compress(&text, 100000, &a);
	compress(&text, 100000, &b);
	ck_assert_uint_eq(a.len, b.len);
	ck_assert_mem_eq(a.data, b.data, a.len);
	ck_assert_mem_eq(a.data, header, sizeof(header));
	buf_release(&text);
	buf_release(&a);
	buf_release(&b);
}
END_TEST

START_TEST(gzip_itself_reads_it)
{
	struct buf text, packed, again;
	int in, out, status;
	pid_t pid;

	make_text(&text, 100000);
	compress(&text, 777, &packed);
	in = file_of(packed.data, packed.len);
	out = memfd_create("out", MFD_CLOEXEC);
	pid = fork();
	if (pid == 0) {
		dup2(in, 0);
		dup2(out, 1);
		execlp("gzip", "gzip", "-dc", (char *)NULL);
		_exit(127);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	lseek(out, 0, SEEK_SET);
	buf_init(&again, 1 << 20);
	ck_assert_int_eq(fsat_read_all(out, 1 << 20, &again, NULL), 0);
	ck_assert_uint_eq(again.len, text.len);
	ck_assert_mem_eq(again.data, text.data, text.len);
	close(in);
	close(out);
	buf_release(&text);
	buf_release(&packed);
	buf_release(&again);
}
END_TEST

START_TEST(every_truncation_is_refused)
{
	struct buf text, packed, again;

	make_text(&text, 700);
	compress(&text, 700, &packed);
	for (size_t len = 0; len < packed.len; len++) {
		struct err e = ERR_INIT;

		ck_assert_int_eq(
		    expand(packed.data, len, 1 << 20, 512, &again, &e),
		    ERR_FORMAT);
		ck_assert(strstr(e.msg, "cut off") != NULL);
		buf_release(&again);
	}
	buf_release(&text);
	buf_release(&packed);
}
END_TEST

/* Some bits say nothing: the header's time, the last byte's padding. */
START_TEST(a_flipped_bit_is_refused_or_changes_nothing)
{
	struct buf text, packed, again;
	size_t silent = 0;

	make_text(&text, 300);
	compress(&text, 300, &packed);
	for (size_t i = 0; i < packed.len * 8; i++) {
		struct err e = ERR_INIT;
		int rc;

		packed.data[i / 8] ^= (uint8_t)(1u << i % 8);
		rc = expand(packed.data, packed.len, 1 << 20, 64, &again, &e);
		packed.data[i / 8] ^= (uint8_t)(1u << i % 8);
		if (rc == 0) {
			silent++;
			ck_assert_uint_eq(again.len, text.len);
			ck_assert_mem_eq(again.data, text.data, text.len);
		} else {
			ck_assert_msg(
			    rc == ERR_FORMAT, "bit %zu: %s", i, e.msg);
		}
		buf_release(&again);
	}
	ck_assert_uint_le(silent, 56);
	buf_release(&text);
	buf_release(&packed);
}
END_TEST

START_TEST(bytes_behind_the_member_are_refused)
{
	struct buf text, packed, two, again;
	struct err e = ERR_INIT;
	size_t len;

	make_text(&text, 1000);
	compress(&text, 1000, &packed);
	len = packed.len;
	buf_add_byte(&packed, 0);
	ck_assert_int_eq(
	    expand(packed.data, packed.len, 1000, 64, &again, &e), ERR_FORMAT);
	ck_assert(strstr(e.msg, "behind") != NULL);
	buf_release(&again);
	/* A second member, too. */
	buf_init(&two, 2 * len);
	buf_add(&two, packed.data, len);
	buf_add(&two, packed.data, len);
	ck_assert_int_eq(
	    expand(two.data, two.len, 5000, 64, &again, &e), ERR_FORMAT);
	buf_release(&two);
	buf_release(&again);
	buf_release(&text);
	buf_release(&packed);
}
END_TEST

START_TEST(content_past_the_limit_is_refused_before_it_is_given)
{
	static const size_t limits[] = { 0, 1, 4095, 9999999 };
	struct buf text, packed, again;

	buf_init(&text, 10000000);
	memset(buf_reserve(&text, 10000000), 'x', 10000000);
	buf_commit(&text, 10000000);
	compress(&text, 1 << 20, &packed);
	ck_assert_uint_lt(packed.len, 20000);
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		struct err e = ERR_INIT;

		ck_assert_int_eq(expand(packed.data, packed.len, limits[i],
		                     1 << 16, &again, &e),
		    ERR_LIMIT);
		ck_assert_uint_le(again.len, limits[i]);
		buf_release(&again);
	}
	ck_assert_int_eq(
	    expand(packed.data, packed.len, 10000000, 1 << 16, &again, NULL),
	    0);
	ck_assert_uint_eq(again.len, 10000000);
	buf_release(&again);
	buf_release(&text);
	buf_release(&packed);
}
END_TEST

static int
no_sink(void *arg, const void *data, size_t len, struct err *e)
{
	(void)arg;
	(void)data;
	(void)len;
	return err_set(e, ERR_SYS, "disk is full");
}

START_TEST(an_error_of_the_sink_comes_through)
{
	struct err e = ERR_INIT;
	struct gzip_writer *g;

	ck_assert_int_eq(gzip_writer_new(no_sink, NULL, &g, &e), 0);
	/* zlib may hold the header back until the end. */
	if (gzip_writer_feed(g, "x", 1, &e) == 0)
		ck_assert_int_eq(gzip_writer_end(g, &e), ERR_SYS);
	ck_assert_str_eq(e.msg, "disk is full");
	gzip_writer_free(g);
}
END_TEST

int
main(void)
{
	const int trip_count = sizeof(trips) / sizeof(trips[0]);
	Suite *s = suite_create("gzip");
	TCase *t = tcase_create("gzip");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, what_is_written_is_read_back, 0, trip_count);
	tcase_add_test(t, the_same_text_gives_the_same_bytes);
	tcase_add_test(t, gzip_itself_reads_it);
	tcase_add_test(t, every_truncation_is_refused);
	tcase_add_test(t, a_flipped_bit_is_refused_or_changes_nothing);
	tcase_add_test(t, bytes_behind_the_member_are_refused);
	tcase_add_test(t, content_past_the_limit_is_refused_before_it_is_given);
	tcase_add_test(t, an_error_of_the_sink_comes_through);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
