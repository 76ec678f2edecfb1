/* zstd frames: what goes in comes out, and no more than was allowed. */
#include "common/zst.h"

#include <check.h>
#include <stdbool.h>

#include "common/limits.h"
#include "tests/feed.h"

#define OK(call) ck_assert_msg((call) == 0, "%s", e.msg)

static void
fill(struct buf *b, size_t len, bool random)
{
	uint32_t x = 1;

	buf_init(b, len);
	for (size_t i = 0; i < len; i++) {
		x = x * 1664525 + 1013904223;
		buf_add_byte(b, (uint8_t)(random ? x >> 24 : i / 7));
	}
}

static void
encode(const struct buf *content, int level, struct buf *frame)
{
	struct zst_encoder *z = NULL;
	struct err e = ERR_INIT;

	buf_init(frame, zst_bound(content->len));
	OK(zst_encoder_new(level, &z, &e));
	OK(zst_encode(z, content->data, content->len, frame, &e));
	zst_encoder_free(z);
}

/* Fed in pieces of `step` bytes. */
static int
decode(const void *data, size_t len, size_t step, uint64_t max, struct buf *out,
    struct err *e)
{
	struct zst_decoder *z = NULL;
	const uint8_t *p = data;
	int ret = zst_decoder_new(&z, e);

	buf_init(out, 64U << 20);
	if (ret == 0)
		ret = zst_decode_begin(z, max, e);
	for (size_t at = 0; ret == 0 && at < len; at += step)
		ret = zst_decode_feed(z, p + at,
		    step < len - at ? step : len - at, feed_collect, out, e);
	if (ret == 0)
		ret = zst_decode_end(z, e);
	zst_decoder_free(z);
	return ret;
}

static const size_t sizes[] = { 0, 1, 100, 131072, 131073, 3000000 };

START_TEST(content_of_any_size_comes_back_from_pieces_of_any_size)
{
	static const size_t steps[] = { 1, 1000, SIZE_MAX };
	struct err e = ERR_INIT;
	struct buf content, frame, out;

	for (size_t j = 0; j < 3; j++) {
		if (sizes[_i] > 200000 && steps[j] == 1)
			continue;
		fill(&content, sizes[_i], j == 1);
		encode(&content, 3, &frame);
		OK(decode(
		    frame.data, frame.len, steps[j], content.len, &out, &e));
		ck_assert_uint_eq(out.len, content.len);
		if (content.len > 0)
			ck_assert_mem_eq(out.data, content.data, content.len);
		buf_release(&content);
		buf_release(&frame);
		buf_release(&out);
	}
}
END_TEST

START_TEST(streamed_content_comes_back)
{
	struct zst_encoder *z = NULL;
	struct err e = ERR_INIT;
	struct buf content, frame, out;

	fill(&content, sizes[_i], true);
	buf_init(&frame, zst_bound(content.len) + 1024);
	OK(zst_encoder_new(3, &z, &e));
	OK(zst_encoder_set_window(z, 22, &e));
	/* Twice, as a failed stream must leave the encoder usable. */
	OK(zst_begin(z, 7, &e));
	ck_assert_int_eq(
	    zst_feed(z, "12345678", 8, feed_collect, &frame, &e), ERR_CHANGED);
	OK(zst_begin(z, _i % 2 == 0 ? content.len : ZST_SIZE_UNKNOWN, &e));
	for (size_t at = 0; at < content.len; at += 70000)
		OK(zst_feed(z, content.data + at,
		    content.len - at < 70000 ? content.len - at : 70000,
		    feed_collect, &frame, &e));
	OK(zst_end(z, feed_collect, &frame, &e));
	OK(decode(frame.data, frame.len, 4096, content.len, &out, &e));
	ck_assert_uint_eq(out.len, content.len);
	if (content.len > 0)
		ck_assert_mem_eq(out.data, content.data, content.len);
	zst_encoder_free(z);
	buf_release(&content);
	buf_release(&frame);
	buf_release(&out);
}
END_TEST

START_TEST(content_shorter_than_announced_is_told)
{
	struct zst_encoder *z = NULL;
	struct err e = ERR_INIT;
	struct buf frame;

	buf_init(&frame, 1024);
	OK(zst_encoder_new(3, &z, &e));
	OK(zst_begin(z, 9, &e));
	OK(zst_feed(z, "12345678", 8, feed_collect, &frame, &e));
	ck_assert_int_eq(zst_end(z, feed_collect, &frame, &e), ERR_CHANGED);
	ck_assert_str_eq(e.msg, "content of 8 bytes was announced as 9");
	zst_encoder_free(z);
	buf_release(&frame);
}
END_TEST

START_TEST(not_a_byte_more_than_allowed_is_given)
{
	struct err e = ERR_INIT;
	struct buf content, frame, out;

	fill(&content, 3000000, false);
	encode(&content, 3, &frame);
	ck_assert_uint_lt(frame.len, 100000);
	ck_assert_int_eq(
	    decode(frame.data, frame.len, 512, 2999999, &out, &e), ERR_LIMIT);
	ck_assert_uint_le(out.len, 2999999);
	buf_release(&content);
	buf_release(&frame);
	buf_release(&out);
}
END_TEST

START_TEST(every_cut_frame_is_refused)
{
	struct err e = ERR_INIT;
	struct buf content, frame, out;

	fill(&content, 1000, _i == 1);
	encode(&content, 3, &frame);
	for (size_t len = 0; len < frame.len; len++) {
		ck_assert_int_eq(
		    decode(frame.data, len, 100, 1000, &out, &e), ERR_FORMAT);
		buf_release(&out);
	}
	buf_release(&content);
	buf_release(&frame);
}
END_TEST

/* A few flips decode to the same content; none may give another. */
START_TEST(a_flipped_bit_never_gives_other_content)
{
	struct err e = ERR_INIT;
	struct buf content, frame, out;
	size_t same = 0;

	fill(&content, 2000, false);
	encode(&content, 19, &frame);
	for (size_t bit = 0; bit < frame.len * 8; bit++) {
		frame.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
		if (decode(frame.data, frame.len, 100, 4000, &out, &e) == 0) {
			ck_assert_uint_eq(out.len, content.len);
			ck_assert_mem_eq(out.data, content.data, out.len);
			same++;
		}
		frame.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
		buf_release(&out);
	}
	ck_assert_uint_lt(same, frame.len / 4);
	buf_release(&content);
	buf_release(&frame);
}
END_TEST

static const struct {
	const char *name;
	size_t len;
	uint8_t bytes[20];
} strange[] = {
	{ "nothing", 0, { 0 } },
	{ "text", 6, { 'p', 'e', 'c', 'i', 'a', '\n' } },
	{ "gzip", 4, { 0x1f, 0x8b, 8, 0 } },
	{ "a skippable frame", 9, { 0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 'x' } },
	{ "an old zstd", 4, { 0x27, 0xb5, 0x2f, 0xfd } },
	{ "a frame that wants a window of 2 GiB", 9,
	    { 0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0x00, 0x00 } },
	{ "a frame that wants a dictionary", 10,
	    { 0x28, 0xb5, 0x2f, 0xfd, 0x21, 0x07, 0x00, 0x01, 0x00, 0x00 } },
};

START_TEST(what_is_no_frame_of_ours_is_refused)
{
	struct err e = ERR_INIT;
	struct buf out;

	ck_assert_msg(decode(strange[_i].bytes, strange[_i].len, 1, 1000, &out,
	                  &e) == ERR_FORMAT,
	    "%s", strange[_i].name);
	ck_assert_uint_eq(out.len, 0);
	buf_release(&out);
}
END_TEST

/* Pulled in pieces of `piece` bytes. */
static int
pull(struct feed *feed, size_t piece, uint64_t max, struct buf *out,
    struct err *e)
{
	const struct zst_source source = { feed_give, feed };
	struct zst_decoder *z = NULL;
	size_t got = 1;
	int ret = zst_decoder_new(&z, e);

	buf_init(out, 64U << 20);
	if (ret == 0)
		ret = zst_decode_begin(z, max, e);
	while (ret == 0 && got > 0) {
		uint8_t *p = buf_reserve(out, piece);

		ck_assert_ptr_nonnull(p);
		got = 0;
		ret = zst_decode_read(z, &source, p, piece, &got, e);
		ck_assert_uint_le(got, piece);
		buf_commit(out, got);
	}
	/* And the end stays the end. */
	if (ret == 0)
		ret = zst_decode_read(z, &source, out->data, 1, &got, e);
	if (ret == 0)
		ck_assert_uint_eq(got, 0);
	zst_decoder_free(z);
	return ret;
}

START_TEST(what_is_pulled_is_what_went_in)
{
	static const size_t lengths[] = { 0, 1, 1000, 200000, 1000000 };
	static const size_t steps[] = { 1, 4093, 1U << 20 };
	struct err e = ERR_INIT;
	struct buf content, frame, out;

	for (size_t i = 0; i < 5; i++) {
		for (size_t j = 0; j < 9; j++) {
			struct feed feed = { .step = steps[j % 3] };

			fill(&content, lengths[i], j % 2 == 0);
			encode(&content, 1, &frame);
			feed.data = frame.data;
			feed.len = frame.len;
			ck_assert_int_eq(pull(&feed, j < 3 ? 777 : 300000,
			                     content.len, &out, &e),
			    0);
			ck_assert_uint_eq(out.len, content.len);
			if (out.len > 0)
				ck_assert_mem_eq(
				    out.data, content.data, out.len);
			buf_release(&content);
			buf_release(&frame);
			buf_release(&out);
		}
	}
}
END_TEST

START_TEST(pulling_refuses_what_feeding_refuses)
{
	struct err e = ERR_INIT;
	struct buf content, frame, out;
	struct feed feed = { .step = 100 };

	fill(&content, 3000, true);
	encode(&content, 1, &frame);
	feed.data = frame.data;
	for (feed.len = 0; feed.len < frame.len; feed.len++) {
		feed.pos = 0;
		ck_assert_int_eq(pull(&feed, 500, 3000, &out, &e), ERR_FORMAT);
		buf_release(&out);
	}
	feed.pos = 0;
	ck_assert_int_eq(pull(&feed, 500, 2999, &out, &e), ERR_LIMIT);
	buf_release(&out);
	buf_init(&out, 2 * frame.len);
	buf_add(&out, frame.data, frame.len);
	buf_add_byte(&out, 0);
	buf_release(&frame);
	frame = out;
	feed.data = frame.data;
	for (feed.step = 1; feed.step <= frame.len; feed.step *= 2) {
		feed.len = frame.len;
		feed.pos = 0;
		ck_assert_int_eq(pull(&feed, 500, 4000, &out, &e), ERR_FORMAT);
		buf_release(&out);
	}
	frame.data[0]++;
	feed.pos = 0;
	ck_assert_int_eq(pull(&feed, 500, 3000, &out, &e), ERR_FORMAT);
	buf_release(&out);
	buf_release(&frame);
	buf_release(&content);
}
END_TEST

START_TEST(a_frame_says_how_long_its_content_is)
{
	struct err e = ERR_INIT;
	struct buf content, frame;
	uint64_t size = 0;

	fill(&content, 70000, true);
	encode(&content, 3, &frame);
	OK(zst_content_size(frame.data, ZST_HEADER_BYTES, &size, &e));
	ck_assert_uint_eq(size, 70000);
	ck_assert_int_eq(
	    zst_content_size(frame.data, 3, &size, &e), ERR_FORMAT);
	ck_assert_int_eq(
	    zst_content_size(content.data, ZST_HEADER_BYTES, &size, &e),
	    ERR_FORMAT);
	buf_release(&content);
	buf_release(&frame);
}
END_TEST

/* A frame of what there is, with what begin may change before. */
static void
encode_with(const struct buf *content, bool window, bool omit_checksum,
    struct buf *frame)
{
	struct zst_encoder *z = NULL;
	struct err e = ERR_INIT;

	buf_init(frame, zst_bound(content->len));
	OK(zst_encoder_new(1, &z, &e));
	if (window)
		OK(zst_encoder_set_fast_window(z, 24, &e));
	if (omit_checksum)
		OK(zst_encoder_omit_checksum(z, &e));
	OK(zst_encode(z, content->data, content->len, frame, &e));
	zst_encoder_free(z);
}

START_TEST(a_fast_window_finds_what_is_far_back)
{
	const size_t half = 3000000;
	struct err e = ERR_INIT;
	struct buf content, plain, frame, out;

	fill(&content, half, true);
	content.max = 2 * half;
	ck_assert_ptr_nonnull(buf_reserve(&content, half));
	buf_add(&content, content.data, half);
	encode_with(&content, false, false, &plain);
	encode_with(&content, true, false, &frame);
	ck_assert_uint_gt(plain.len, half / 100 * 199);
	ck_assert_uint_lt(frame.len, half / 100 * 101);
	OK(decode(frame.data, frame.len, 65536, content.len, &out, &e));
	ck_assert_uint_eq(out.len, content.len);
	ck_assert_mem_eq(out.data, content.data, content.len);
	buf_release(&content);
	buf_release(&plain);
	buf_release(&frame);
	buf_release(&out);
}
END_TEST

START_TEST(a_checksum_can_be_left_out)
{
	struct err e = ERR_INIT;
	struct buf content, with, without, out;

	fill(&content, 5000, true);
	encode_with(&content, false, false, &with);
	encode_with(&content, false, true, &without);
	ck_assert_uint_eq(without.len + 4, with.len);
	OK(decode(without.data, without.len, 100, content.len, &out, &e));
	ck_assert_uint_eq(out.len, content.len);
	ck_assert_mem_eq(out.data, content.data, content.len);
	buf_release(&content);
	buf_release(&with);
	buf_release(&without);
	buf_release(&out);
}
END_TEST

START_TEST(bytes_behind_a_frame_are_refused)
{
	struct err e = ERR_INIT;
	struct buf content, frame, twice, out;

	fill(&content, 1000, false);
	encode(&content, 3, &frame);
	buf_init(&twice, 10000);
	buf_add(&twice, frame.data, frame.len);
	if (_i == 0)
		buf_add_byte(&twice, 0);
	else
		buf_add(&twice, frame.data, frame.len);
	for (size_t step = 1; step <= twice.len; step++) {
		ck_assert_int_eq(
		    decode(twice.data, twice.len, step, 5000, &out, &e),
		    ERR_FORMAT);
		buf_release(&out);
	}
	buf_release(&content);
	buf_release(&frame);
	buf_release(&twice);
}
END_TEST

START_TEST(a_level_or_window_out_of_range_is_usage)
{
	struct zst_encoder *z = NULL;
	struct err e = ERR_INIT;

	OK(zst_encoder_new(1, &z, &e));
	ck_assert_int_eq(zst_encoder_set_window(z, 19, &e), ERR_USAGE);
	ck_assert_int_eq(
	    zst_encoder_set_window(z, LIMIT_ZSTD_WINDOW_LOG + 1, &e),
	    ERR_USAGE);
	zst_encoder_free(z);
	zst_encoder_free(NULL);
	zst_decoder_free(NULL);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("zst");
	TCase *t = tcase_create("zst");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(
	    t, content_of_any_size_comes_back_from_pieces_of_any_size, 0, 6);
	tcase_add_loop_test(t, streamed_content_comes_back, 0, 6);
	tcase_add_test(t, content_shorter_than_announced_is_told);
	tcase_add_test(t, not_a_byte_more_than_allowed_is_given);
	tcase_add_loop_test(t, every_cut_frame_is_refused, 0, 2);
	tcase_add_test(t, a_flipped_bit_never_gives_other_content);
	tcase_add_loop_test(t, what_is_no_frame_of_ours_is_refused, 0,
	    sizeof(strange) / sizeof(strange[0]));
	tcase_add_loop_test(t, bytes_behind_a_frame_are_refused, 0, 2);
	tcase_add_test(t, what_is_pulled_is_what_went_in);
	tcase_add_test(t, pulling_refuses_what_feeding_refuses);
	tcase_add_test(t, a_frame_says_how_long_its_content_is);
	tcase_add_test(t, a_fast_window_finds_what_is_far_back);
	tcase_add_test(t, a_checksum_can_be_left_out);
	tcase_add_test(t, a_level_or_window_out_of_range_is_usage);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
