/* resolver_query: the order of SRV records, and answers that are damaged or
 * made to do damage. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/buf.h"
#include "common/resolver_query.h"

static unsigned
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (unsigned)((uint64_t)t.tv_sec * 1000 +
	    (uint64_t)t.tv_nsec / 1000000);
}

/* -- RFC 2782 -- */

static uint32_t
fixed(void *arg, uint32_t last)
{
	const uint32_t *v = arg;

	return *v <= last ? *v : last;
}

/* 60/20/0 must give .741/.247/.0123: of the 81 numbers 0..80, 60, 20, 1. */
START_TEST(weights_give_their_share)
{
	unsigned first[3] = { 0, 0, 0 };

	for (uint32_t v = 0; v <= 80; v++) {
		struct resolver_srv s[] = { { 1, 60, 0, "a" },
			{ 1, 20, 1, "b" }, { 1, 0, 2, "c" } };

		resolver_srv_order(s, 3, fixed, &v);
		first[s[0].port]++;
		ck_assert_uint_eq(
		    (unsigned)(s[0].port + s[1].port + s[2].port), 3);
	}
	ck_assert_uint_eq(first[0], 60);
	ck_assert_uint_eq(first[1], 20);
	ck_assert_uint_eq(first[2], 1);
}
END_TEST

START_TEST(priority_comes_before_weight)
{
	for (uint32_t v = 0; v < 200; v++) {
		struct resolver_srv s[] = { { 9, 65535, 1, "" },
			{ 2, 0, 2, "" }, { 9, 0, 3, "" }, { 0, 0, 4, "" },
			{ 2, 65535, 5, "" } };

		resolver_srv_order(s, 5, fixed, &v);
		ck_assert_uint_eq(s[0].priority, 0);
		ck_assert_uint_eq(s[1].priority, 2);
		ck_assert_uint_eq(s[2].priority, 2);
		ck_assert_uint_eq((unsigned)(s[1].port + s[2].port), 7);
		ck_assert_uint_eq((unsigned)(s[3].port + s[4].port), 4);
	}
	resolver_srv_order(NULL, 0, fixed, NULL);
}
END_TEST

/* -- answers -- */

static void
add_u16(struct buf *b, unsigned v)
{
	buf_add_byte(b, (uint8_t)(v >> 8));
	buf_add_byte(b, (uint8_t)v);
}

/* An answer to _pecia._tcp.a.test SRV: an alias, then two records owned by
 * what it stands for, with compressed names. */
static void
sample_answer(struct buf *b)
{
	static const char question[] = "\6_pecia\4_tcp\1a\4test";
	static const char target[] = "\1m\xc0\x1a"; /* test: offset 26 */

	buf_init(b, 1024);
	add_u16(b, 0x1234);
	add_u16(b, 0x8180);
	add_u16(b, 1);
	add_u16(b, 3);
	add_u16(b, 0);
	add_u16(b, 0);
	buf_add(b, question, sizeof(question));
	add_u16(b, 33);
	add_u16(b, 1);
	for (unsigned i = 0; i < 3; i++) {
		buf_add(b, i == 0 ? "\xc0\x0c" : "\1s\xc0\x1a", i == 0 ? 2 : 4);
		add_u16(b, i == 0 ? 5 : 33);
		add_u16(b, 1);
		buf_add_u32(b, 60);
		add_u16(b, i == 0 ? 4 : 10);
		if (i > 0) {
			add_u16(b, i);
			add_u16(b, 0);
			add_u16(b, 7000 + i);
		}
		buf_add(b, i == 0 ? "\1s\xc0\x1a" : target, 4);
	}
}

START_TEST(damaged_answers_are_survived)
{
	static const char name[] = "_pecia._tcp.a.test";
	struct resolver_answer *a = calloc(1, sizeof(*a));
	struct buf b;

	ck_assert_ptr_nonnull(a);
	sample_answer(&b);
	resolver_answer_parse(a, b.data, b.len, name, RESOLVER_SRV, 0);
	ck_assert_int_eq(a->status, RESOLVER_FOUND);
	ck_assert_uint_eq(a->count, 2);
	ck_assert_str_eq(a->srv[1].target, "m.test");
	ck_assert_uint_eq(a->srv[1].port, 7002);
	for (size_t len = 0; len < b.len; len++) {
		uint8_t *copy = malloc(len + 1);

		ck_assert_ptr_nonnull(copy);
		memcpy(copy, b.data, len);
		resolver_answer_parse(a, copy, len, name, RESOLVER_SRV, 0);
		ck_assert_int_eq(a->status, RESOLVER_MALFORMED);
		free(copy);
	}
	for (size_t bit = 0; bit < 8 * b.len; bit++) {
		b.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
		for (int type = RESOLVER_A; type <= RESOLVER_SRV; type++)
			resolver_answer_parse(a, b.data, b.len, name,
			    (enum resolver_type)type, 0);
		b.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
	buf_release(&b);
	free(a);
}
END_TEST

/* Names that are a long way through pointers, in as many records as fit. */
START_TEST(an_answer_made_to_be_slow_is_cut_short)
{
	struct resolver_answer *a = calloc(1, sizeof(*a));
	unsigned start, records = 2500, at;
	struct buf b;

	ck_assert_ptr_nonnull(a);
	buf_init(&b, LIMIT_DNS_BYTES);
	add_u16(&b, 0x1234);
	add_u16(&b, 0x8180);
	add_u16(&b, 1);
	add_u16(&b, records);
	buf_add_u32(&b, 0);
	buf_add(&b, "\1a\0\0\5\0\1", 7);
	/* The data of the first record is one chain of pointers. */
	buf_add(&b, "\xc0\x0c\0\5\0\1\0\0\0\0", 10);
	add_u16(&b, 16000);
	at = (unsigned)b.len;
	add_u16(&b, 0xc00c);
	for (unsigned i = 1; i < 8000; i++)
		add_u16(&b, 0xc000 | ((at + 2 * (i - 1)) & 0x3fff));
	for (unsigned i = 1; i < records; i++) {
		add_u16(&b, 0xc000 | ((at + 15998) & 0x3fff));
		buf_add(&b, "\0\5\0\1\0\0\0\0\0\2\xc0\x0c", 12);
	}
	ck_assert_int_eq(b.failed, 0);
	start = now_ms();
	resolver_answer_parse(a, b.data, b.len, "a", RESOLVER_A, 0);
	ck_assert_uint_lt(now_ms() - start, 2000);
	ck_assert_int_ne(a->status, RESOLVER_FOUND);
	buf_release(&b);
	free(a);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("resolver_query");
	TCase *t = tcase_create("bytes");
	SRunner *runner;
	int failed;

	tcase_add_test(t, weights_give_their_share);
	tcase_add_test(t, priority_comes_before_weight);
	tcase_add_test(t, damaged_answers_are_survived);
	tcase_add_test(t, an_answer_made_to_be_slow_is_cut_short);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
