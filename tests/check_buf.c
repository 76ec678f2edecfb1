/* The growable writer and the bounded reader. */
#include "common/buf.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

START_TEST(reserved_room_is_no_text)
{
	struct buf b;
	uint8_t *room;

	buf_init(&b, 100);
	room = buf_reserve(&b, 10);
	ck_assert_ptr_nonnull(room);
	memset(room, 'x', 10);
	ck_assert_str_eq(buf_str(&b), "");
	buf_commit(&b, 3);
	ck_assert_str_eq(buf_str(&b), "xxx");
	buf_release(&b);
}
END_TEST

START_TEST(collects_what_is_added)
{
	struct err e = ERR_INIT;
	struct buf b;
	uint8_t *p;

	buf_init(&b, 1000);
	ck_assert_str_eq(buf_str(&b), "");
	buf_add_str(&b, "ab");
	buf_add_byte(&b, 'c');
	buf_add_decimal(&b, 0);
	buf_add_decimal(&b, UINT64_MAX);
	buf_addf(&b, "<%s>", "x");
	p = buf_reserve(&b, 10);
	ck_assert_ptr_nonnull(p);
	p[0] = 'y';
	p[1] = 'z';
	buf_commit(&b, 2);
	ck_assert_str_eq(buf_str(&b), "abc018446744073709551615<x>yz");
	ck_assert_uint_eq(b.len, strlen(buf_str(&b)));
	ck_assert_int_eq(buf_check(&b, "text", &e), 0);
	buf_release(&b);
}
END_TEST

START_TEST(writes_numbers_big_endian)
{
	static const uint8_t want[] = { 1, 2, 3, 4, 0xf1, 2, 3, 4, 5, 6, 7, 8 };
	struct buf b;

	buf_init(&b, 100);
	buf_add_u32(&b, 0x01020304);
	buf_add_u64(&b, 0xf102030405060708);
	ck_assert_uint_eq(b.len, sizeof(want));
	ck_assert_mem_eq(b.data, want, sizeof(want));
	buf_release(&b);
}
END_TEST

START_TEST(grows_to_its_maximum_and_not_past_it)
{
	struct err e = ERR_INIT;
	struct buf b;
	size_t max, i;

	for (max = 0; max < 300; max++) {
		buf_init(&b, max);
		for (i = 0; i < max; i++)
			buf_add_byte(&b, (uint8_t)i);
		ck_assert_int_eq(b.failed, 0);
		ck_assert_uint_eq(b.len, max);
		ck_assert_uint_le(b.cap, max + 1 > 64 ? max + 1 : 64);
		buf_add(&b, NULL, 0);
		ck_assert_int_eq(b.failed, 0);
		buf_add_byte(&b, 0);
		ck_assert_int_eq(b.failed, ERR_LIMIT);
		ck_assert_uint_eq(b.len, max);
		ck_assert_int_eq(buf_check(&b, "it", &e), ERR_LIMIT);
		buf_release(&b);
	}
	ck_assert_str_eq(e.msg, "it: more than 299 bytes");
}
END_TEST

START_TEST(remembers_the_first_error)
{
	struct buf b;

	buf_init(&b, 4);
	buf_add_str(&b, "abc");
	buf_addf(&b, "%s", "12");
	ck_assert_int_eq(b.failed, ERR_LIMIT);
	ck_assert_str_eq(buf_str(&b), "abc");
	buf_add_str(&b, "d");
	ck_assert_uint_eq(b.len, 3);
	ck_assert_ptr_null(buf_reserve(&b, 0));
	buf_clear(&b);
	ck_assert_str_eq(buf_str(&b), "");
	buf_addf(&b, "%s", "1234");
	ck_assert_int_eq(b.failed, 0);
	ck_assert_str_eq(buf_str(&b), "1234");
	buf_release(&b);
}
END_TEST

START_TEST(refuses_lengths_that_wrap)
{
	struct buf b;

	buf_init(&b, SIZE_MAX);
	buf_add_str(&b, "x");
	ck_assert_ptr_null(buf_reserve(&b, SIZE_MAX));
	ck_assert_int_eq(b.failed, ERR_LIMIT);
	ck_assert_str_eq(buf_str(&b), "x");
	buf_release(&b);
}
END_TEST

START_TEST(gives_its_storage_away)
{
	struct buf b;
	uint8_t *p;
	size_t len;

	buf_init(&b, 10);
	buf_add_str(&b, "abc");
	p = buf_detach(&b, &len);
	ck_assert_uint_eq(len, 3);
	ck_assert_str_eq((char *)p, "abc");
	free(p);
	ck_assert_ptr_null(b.data);
	buf_add_str(&b, "again");
	ck_assert_str_eq(buf_str(&b), "again");
	buf_release(&b);
}
END_TEST

START_TEST(reader_converts_and_consumes)
{
	static const uint8_t in[] = { 9, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 3,
		'a', 'b', '\n', '\n', 'c' };
	struct reader r;
	const uint8_t *p;
	const char *line;
	uint64_t u64;
	uint32_t u32;
	uint8_t u8, two[2];
	size_t len;

	reader_init(&r, in, sizeof(in));
	ck_assert_int_eq(reader_u8(&r, &u8), 0);
	ck_assert_int_eq(reader_u32(&r, &u32), 0);
	ck_assert_int_eq(reader_u64(&r, &u64), 0);
	ck_assert_uint_eq(u8, 9);
	ck_assert_uint_eq(u32, 0x102);
	ck_assert_uint_eq(u64, 3);
	ck_assert_int_eq(reader_line(&r, &line, &len), 0);
	ck_assert_uint_eq(len, 2);
	ck_assert_mem_eq(line, "ab", 2);
	ck_assert_int_eq(reader_line(&r, &line, &len), 0);
	ck_assert_uint_eq(len, 0);
	ck_assert_int_eq(reader_line(&r, &line, &len), ERR_FORMAT);
	ck_assert_int_eq(reader_copy(&r, two, 2), ERR_FORMAT);
	ck_assert_int_eq(reader_bytes(&r, SIZE_MAX, &p), ERR_FORMAT);
	ck_assert_uint_eq(reader_left(&r), 1);
	ck_assert_int_eq(reader_bytes(&r, 1, &p), 0);
	ck_assert_uint_eq(p[0], 'c');
	ck_assert_uint_eq(reader_left(&r), 0);
	ck_assert_int_eq(reader_u8(&r, &u8), ERR_FORMAT);
}
END_TEST

START_TEST(reader_stops_at_every_truncation)
{
	static const uint8_t in[8] = { 0 };
	struct reader r;
	uint64_t u64 = 77;
	uint32_t u32 = 77;
	size_t len;

	for (len = 0; len < 8; len++) {
		reader_init(&r, len == 0 ? NULL : in, len);
		ck_assert_int_eq(reader_u64(&r, &u64), ERR_FORMAT);
		ck_assert_uint_eq(u64, 77);
		ck_assert_uint_eq(reader_left(&r), len);
		ck_assert_int_eq(
		    reader_u32(&r, &u32), len < 4 ? ERR_FORMAT : 0);
	}
}
END_TEST

static const struct {
	uint64_t v;
	size_t len;
	uint8_t bytes[VARINT_BYTES + 1];
} varints[] = {
	{ 0, 1, { 0 } },
	{ 127, 1, { 0x7f } },
	{ 128, 2, { 0x80, 1 } },
	{ 131072, 3, { 0x80, 0x80, 8 } },
	{ UINT64_MAX, 10, { 255, 255, 255, 255, 255, 255, 255, 255, 255, 1 } },
};

START_TEST(numbers_of_7_bits_a_byte_are_read_as_written)
{
	for (size_t i = 0; i < sizeof(varints) / sizeof(varints[0]); i++) {
		struct reader r;
		struct buf b;
		uint64_t v = 0;

		buf_init(&b, 100);
		buf_add_varint(&b, varints[i].v);
		ck_assert_uint_eq(b.len, varints[i].len);
		ck_assert_mem_eq(b.data, varints[i].bytes, b.len);
		reader_init(&r, b.data, b.len);
		ck_assert_int_eq(reader_varint(&r, &v), 0);
		ck_assert_uint_eq(v, varints[i].v);
		ck_assert_uint_eq(reader_left(&r), 0);
		for (size_t len = 0; len < b.len; len++) {
			reader_init(&r, b.data, len);
			ck_assert_int_eq(reader_varint(&r, &v), ERR_FORMAT);
		}
		buf_release(&b);
	}
}
END_TEST

START_TEST(numbers_too_long_or_with_a_byte_too_many_are_refused)
{
	static const uint8_t rows[][VARINT_BYTES + 1] = {
		{ 0x80, 0 },
		{ 0x81, 0x80, 0 },
		{ 255, 255, 255, 255, 255, 255, 255, 255, 255, 2 },
		{ 255, 255, 255, 255, 255, 255, 255, 255, 255, 0x81, 1 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct reader r;
		uint64_t v;

		reader_init(&r, rows[i], sizeof(rows[i]));
		ck_assert_int_eq(reader_varint(&r, &v), ERR_FORMAT);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("buf");
	TCase *t = tcase_create("buf");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, reserved_room_is_no_text);
	tcase_add_test(t, collects_what_is_added);
	tcase_add_test(t, writes_numbers_big_endian);
	tcase_add_test(t, grows_to_its_maximum_and_not_past_it);
	tcase_add_test(t, remembers_the_first_error);
	tcase_add_test(t, refuses_lengths_that_wrap);
	tcase_add_test(t, gives_its_storage_away);
	tcase_add_test(t, reader_converts_and_consumes);
	tcase_add_test(t, reader_stops_at_every_truncation);
	tcase_add_test(t, numbers_of_7_bits_a_byte_are_read_as_written);
	tcase_add_test(t, numbers_too_long_or_with_a_byte_too_many_are_refused);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
