/* Deltas: they rebuild the new content, are small where little changed, and
 * give no more than is allowed whatever they say. */
#include "transcripts/delta.h"

#include <check.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/fsat.h"
#include "common/zst.h"
#include "tests/delta_apply.h"
#include "tests/feed.h"

#define OK(call) ck_assert_msg((call) == 0, "%s", e.msg)

static int
file_of(const struct buf *b)
{
	struct err e = ERR_INIT;
	int fd = memfd_create("check", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	if (b->len > 0)
		OK(fsat_write_all(fd, b->data, b->len, &e));
	return fd;
}

static uint32_t
next(uint32_t *x)
{
	uint32_t v;

	/* A counter, well mixed: streams of different seeds share nothing. */
	*x += 0x9e3779b9U;
	v = (*x ^ *x >> 16) * 0x21f0aaadU;
	v = (v ^ v >> 15) * 0x735a2d97U;
	return v ^ v >> 15;
}

static void
fill(struct buf *b, size_t len, uint32_t seed)
{
	buf_init(b, 64U << 20);
	seed *= 0x10000001U;
	for (size_t i = 0; i < len; i++)
		buf_add_byte(b, (uint8_t)next(&seed));
}

static int
make(const struct buf *basis, const struct buf *content, uint32_t block,
    uint64_t max, struct buf *delta)
{
	struct err e = ERR_INIT;
	struct delta_pair pair = { .basis_fd = file_of(basis),
		.new_fd = file_of(content),
		.basis_bytes = basis->len,
		.block_bytes = block,
		.max_bytes = max };
	int ret;

	buf_init(delta, 64U << 20);
	ret = delta_make(&pair, feed_collect, delta, &e);
	close(pair.basis_fd);
	close(pair.new_fd);
	return ret;
}

static int
apply(const struct buf *basis, const void *delta, size_t len, uint64_t max,
    struct buf *out)
{
	struct err e = ERR_INIT;
	struct feed feed = { delta, len, 0, 1000 };
	struct delta_apply patch = { .basis_fd = file_of(basis),
		.source = feed_give,
		.source_arg = &feed,
		.sink = feed_collect,
		.sink_arg = out,
		.max_bytes = max };
	int ret;

	buf_init(out, 64U << 20);
	ret = delta_apply(&patch, &e);
	close(patch.basis_fd);
	if (ret != 0)
		ck_assert_str_ne(e.msg, "");
	return ret;
}

static const struct {
	const char *name;
	size_t basis, keep; /* bytes; how many of them stay, from the front */
	size_t add;         /* new ones behind */
} pairs[] = {
	{ "both empty", 0, 0, 0 },
	{ "from nothing", 0, 0, 5000 },
	{ "to nothing", 5000, 0, 0 },
	{ "the same", 5000, 5000, 0 },
	{ "one byte more", 100000, 100000, 1 },
	{ "one byte less", 100000, 99999, 0 },
	{ "a log that grew", 300000, 300000, 40000 },
	{ "something else", 200000, 0, 250000 },
	{ "larger than the buffers", 3000000, 1500000, 1000000 },
};

START_TEST(new_content_comes_back)
{
	struct buf basis, content, delta, out;

	fill(&basis, pairs[_i].basis, 1);
	fill(&content, pairs[_i].add, 2);
	buf_init(&out, 64U << 20);
	if (pairs[_i].keep > 0)
		buf_add(&out, basis.data, pairs[_i].keep);
	if (content.len > 0)
		buf_add(&out, content.data, content.len);
	buf_release(&content);
	content = out;
	ck_assert_int_eq(make(&basis, &content, 0, UINT64_MAX, &delta), 0);
	ck_assert_int_eq(
	    apply(&basis, delta.data, delta.len, content.len, &out), 0);
	ck_assert_uint_eq(out.len, content.len);
	if (out.len > 0)
		ck_assert_mem_eq(out.data, content.data, out.len);
	ck_assert_uint_le(delta.len, pairs[_i].add + 256);
	buf_release(&basis);
	buf_release(&content);
	buf_release(&delta);
	buf_release(&out);
}
END_TEST

START_TEST(every_block_length_works)
{
	static const uint32_t blocks[] = { 16, 31, 64, 100, 128, 1000, 4096,
		65536, 300000 };
	struct buf basis, content, delta, out;

	fill(&basis, 250000, 1);
	fill(&content, 250000, 1);
	memset(content.data + 100000, 'x', 10);
	ck_assert_int_eq(
	    make(&basis, &content, blocks[_i], UINT64_MAX, &delta), 0);
	ck_assert_int_eq(
	    apply(&basis, delta.data, delta.len, content.len, &out), 0);
	ck_assert_uint_eq(out.len, content.len);
	ck_assert_mem_eq(out.data, content.data, out.len);
	buf_release(&basis);
	buf_release(&content);
	buf_release(&delta);
	buf_release(&out);
}
END_TEST

/* Lines like a manifest's; generation of one line in a hundred differs. */
static void
fill_manifest(struct buf *b, unsigned generation)
{
	buf_init(b, 64U << 20);
	for (uint32_t i = 0; i < 20000; i++) {
		uint32_t x = i % 100 == 50 ? i + generation * 100000 : i;

		buf_addf(b, "f 0644 root root 17%08u", next(&x) % 1000);
		buf_addf(b, ".%09u", next(&x) % 1000000000);
		buf_addf(b, " %u ", next(&x) % 100000);
		for (int j = 0; j < 8; j++)
			buf_addf(b, "%08x", next(&x));
		buf_addf(b, " etc/app%03u/file-%02u.conf\n", i / 50, i % 50);
	}
	ck_assert_int_eq(b->failed, 0);
}

START_TEST(a_manifest_of_which_a_percent_changed_is_a_small_delta)
{
	struct buf basis, content, delta, out, frame;
	struct zst_encoder *z = NULL;
	struct err e = ERR_INIT;

	fill_manifest(&basis, 0);
	fill_manifest(&content, 1);
	ck_assert_int_eq(
	    make(&basis, &content, DELTA_MANIFEST_BLOCK, UINT64_MAX, &delta),
	    0);
	ck_assert_int_eq(
	    apply(&basis, delta.data, delta.len, content.len, &out), 0);
	ck_assert_mem_eq(out.data, content.data, content.len);
	buf_init(&frame, zst_bound(delta.len));
	OK(zst_encoder_new(19, &z, &e));
	OK(zst_encode(z, delta.data, delta.len, &frame, &e));
	/* 200 lines, of which digest, time and size are new: 8.5 kB. */
	ck_assert_uint_lt(frame.len, 16000);
	zst_encoder_free(z);
	buf_release(&frame);
	buf_release(&basis);
	buf_release(&content);
	buf_release(&delta);
	buf_release(&out);
}
END_TEST

START_TEST(a_delta_larger_than_it_may_be_is_given_up)
{
	struct buf basis, content, delta;

	fill(&basis, 2000000, 1);
	fill(&content, 2000000, 2);
	ck_assert_int_eq(make(&basis, &content, 0, 500000, &delta), ERR_LIMIT);
	ck_assert_uint_le(delta.len, 500000);
	buf_release(&basis);
	buf_release(&content);
	buf_release(&delta);
}
END_TEST

/* Commands of the delta format (librsync's doc/format.md). */
static void
start_delta(struct buf *b)
{
	buf_init(b, 1U << 20);
	buf_add_u32(b, 0x72730236);
}

static void
add_copy(struct buf *b, uint64_t from, uint64_t len)
{
	buf_add_byte(b, 0x54); /* eight bytes each */
	buf_add_u64(b, from);
	buf_add_u64(b, len);
}

/* 1000 times 8 MB from 17 kB. */
START_TEST(a_delta_that_explodes_is_cut_off_at_the_allowed_size)
{
	static const uint64_t allowed[] = { 0, 1, 100000, 20000000 };
	struct buf basis, delta, out;

	fill(&basis, 8U << 20, 1);
	start_delta(&delta);
	for (int i = 0; i < 1000; i++)
		add_copy(&delta, 0, basis.len);
	buf_add_byte(&delta, 0);
	ck_assert_uint_lt(delta.len, 17500);
	ck_assert_int_eq(
	    apply(&basis, delta.data, delta.len, allowed[_i], &out), ERR_LIMIT);
	ck_assert_uint_le(out.len, allowed[_i]);
	buf_release(&basis);
	buf_release(&delta);
	buf_release(&out);
}
END_TEST

static const struct {
	const char *name;
	uint64_t from, len;
	int error;
} copies[] = {
	{ "one byte past the end", 0, 1001, ERR_FORMAT },
	{ "all past the end", 1000, 1, ERR_FORMAT },
	{ "far past the end", 1ULL << 40, 10, ERR_FORMAT },
	{ "endless", 0, UINT64_MAX >> 1, ERR_LIMIT },
	{ "a negative length", 0, UINT64_MAX, ERR_FORMAT },
	{ "a negative place", UINT64_MAX, 10, ERR_FORMAT },
	{ "past all files", UINT64_MAX >> 1, 1, ERR_FORMAT },
	{ "nothing", 0, 0, ERR_FORMAT },
};

START_TEST(a_copy_from_outside_the_basis_is_refused)
{
	struct buf basis, delta, out;

	fill(&basis, 1000, 1);
	start_delta(&delta);
	add_copy(&delta, copies[_i].from, copies[_i].len);
	buf_add_byte(&delta, 0);
	ck_assert_msg(apply(&basis, delta.data, delta.len, 1U << 20, &out) ==
	        copies[_i].error,
	    "%s", copies[_i].name);
	buf_release(&basis);
	buf_release(&delta);
	buf_release(&out);
}
END_TEST

START_TEST(every_cut_delta_and_every_added_byte_is_refused)
{
	struct buf basis, content, delta, out;

	fill(&basis, 3000, 1);
	fill(&content, 3000, 1);
	memset(content.data + 1000, 'x', 100);
	ck_assert_int_eq(make(&basis, &content, 64, UINT64_MAX, &delta), 0);
	for (size_t len = 0; len < delta.len; len++) {
		ck_assert_int_eq(
		    apply(&basis, delta.data, len, 3000, &out), ERR_FORMAT);
		buf_release(&out);
	}
	buf_add_byte(&delta, 0);
	ck_assert_int_eq(
	    apply(&basis, delta.data, delta.len, 3000, &out), ERR_FORMAT);
	buf_release(&out);
	buf_release(&basis);
	buf_release(&content);
	buf_release(&delta);
}
END_TEST

START_TEST(a_flipped_bit_gives_an_error_or_no_more_than_allowed)
{
	struct buf basis, content, delta, out;

	fill(&basis, 3000, 1);
	fill(&content, 3000, 1);
	memset(content.data + 1000, 'x', 100);
	ck_assert_int_eq(make(&basis, &content, 64, UINT64_MAX, &delta), 0);
	for (size_t bit = 0; bit < delta.len * 8; bit++) {
		int ret;

		delta.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
		ret = apply(&basis, delta.data, delta.len, 3000, &out);
		ck_assert(ret == 0 || ret == ERR_FORMAT || ret == ERR_LIMIT);
		ck_assert_uint_le(out.len, 3000);
		delta.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
		buf_release(&out);
	}
	buf_release(&basis);
	buf_release(&content);
	buf_release(&delta);
}
END_TEST

/* A sink or source that fails. */
static int
fail_write(void *arg, const void *data, size_t len, struct err *e)
{
	(void)arg;
	(void)data;
	(void)len;
	return err_set(e, ERR_SYS, "disk full");
}

static int
fail_read(void *arg, void *dst, size_t size, size_t *got, struct err *e)
{
	(void)arg;
	(void)dst;
	(void)size;
	(void)got;
	return err_set(e, ERR_NET, "gone");
}

START_TEST(errors_of_source_and_sink_are_passed_on)
{
	struct err e = ERR_INIT;
	struct buf basis, delta;
	struct feed feed = { NULL, 0, 0, 1000 };
	struct delta_pair pair;
	struct delta_apply patch = {
		.source = fail_read, .sink = fail_write, .max_bytes = 1000
	};

	fill(&basis, 1000, 1);
	ck_assert_int_eq(make(&basis, &basis, 64, UINT64_MAX, &delta), 0);
	pair = (struct delta_pair){ .basis_fd = file_of(&basis),
		.new_fd = file_of(&basis),
		.max_bytes = UINT64_MAX };
	ck_assert_int_eq(delta_make(&pair, fail_write, NULL, &e), ERR_SYS);
	ck_assert_str_eq(e.msg, "disk full");
	patch.basis_fd = pair.basis_fd;
	ck_assert_int_eq(delta_apply(&patch, &e), ERR_NET);
	ck_assert_str_eq(e.msg, "gone");
	feed.data = delta.data;
	feed.len = delta.len;
	patch.source = feed_give;
	patch.source_arg = &feed;
	ck_assert_int_eq(delta_apply(&patch, &e), ERR_SYS);
	ck_assert_str_eq(e.msg, "disk full");
	close(pair.basis_fd);
	close(pair.new_fd);
	buf_release(&basis);
	buf_release(&delta);
}
END_TEST

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

int
main(void)
{
	Suite *s = suite_create("delta");
	TCase *t = tcase_create("delta");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(t, new_content_comes_back, 0, COUNT(pairs));
	tcase_add_loop_test(t, every_block_length_works, 0, 9);
	tcase_add_test(
	    t, a_manifest_of_which_a_percent_changed_is_a_small_delta);
	tcase_add_test(t, a_delta_larger_than_it_may_be_is_given_up);
	tcase_add_loop_test(
	    t, a_delta_that_explodes_is_cut_off_at_the_allowed_size, 0, 4);
	tcase_add_loop_test(
	    t, a_copy_from_outside_the_basis_is_refused, 0, COUNT(copies));
	tcase_add_test(t, every_cut_delta_and_every_added_byte_is_refused);
	tcase_add_test(t, a_flipped_bit_gives_an_error_or_no_more_than_allowed);
	tcase_add_test(t, errors_of_source_and_sink_are_passed_on);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
