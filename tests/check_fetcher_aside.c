/* What the thread passes on: all of it, in order, and nothing after an error.
 * run: also as nobody */
#include "transcripts/fetcher_aside.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define OK(call) ck_assert_msg((call) == 0, "%s: %s", #call, e.msg)
#define PIECE    ((size_t)128 * 1024)
#define BYTES    (10 * PIECE + 77)

/* Where what is passed on goes. */
struct heard {
	uint8_t *bytes;
	size_t len, calls;
	size_t fails_at; /* the call; 0: none */
};

static uint8_t sent[BYTES];

static int
hear(void *arg, const void *data, size_t len, struct err *e)
{
	struct heard *h = arg;

	if (++h->calls == h->fails_at)
		return err_set(e, ERR_FORMAT, "call %zu", h->calls);
	ck_assert_uint_le(len, BYTES - h->len);
	memcpy(h->bytes + h->len, data, len);
	h->len += len;
	return 0;
}

static void
set_up(void)
{
	for (size_t i = 0; i < BYTES; i++)
		sent[i] = (uint8_t)(i * 31 + i / 253);
}

static struct heard
new_heard(size_t fails_at)
{
	struct heard h = { .bytes = malloc(BYTES), .fails_at = fails_at };

	ck_assert_ptr_nonnull(h.bytes);
	return h;
}

START_TEST(passes_on_all_in_order)
{
	static const size_t steps[] = { 1000, 16384, PIECE - 1, PIECE,
		PIECE + 1, 3 * PIECE, BYTES };
	struct heard h = new_heard(0);
	struct err e = ERR_INIT;
	struct fetcher_aside *a;
	const size_t step = steps[_i];

	OK(fetcher_aside_new(hear, &h, &a, &e));
	for (size_t at = 0; at < BYTES; at += step)
		OK(fetcher_aside_add(
		    a, sent + at, BYTES - at < step ? BYTES - at : step, &e));
	OK(fetcher_aside_end(a, &e));
	ck_assert_uint_eq(h.len, BYTES);
	ck_assert_int_eq(memcmp(h.bytes, sent, BYTES), 0);
	ck_assert_uint_eq(h.calls, 11);
	fetcher_aside_free(a);
	free(h.bytes);
}
END_TEST

START_TEST(a_little_is_passed_on_at_the_end)
{
	struct heard h = new_heard(0);
	struct err e = ERR_INIT;
	struct fetcher_aside *a;

	OK(fetcher_aside_new(hear, &h, &a, &e));
	OK(fetcher_aside_add(a, sent, 5, &e));
	OK(fetcher_aside_end(a, &e));
	ck_assert_uint_eq(h.len, 5);
	fetcher_aside_free(a);
	OK(fetcher_aside_new(hear, &h, &a, &e));
	OK(fetcher_aside_end(a, &e));
	ck_assert_uint_eq(h.calls, 1);
	fetcher_aside_free(a);
	free(h.bytes);
}
END_TEST

/* Whenever it is heard of, it is the first one, and what came behind it is not
 * passed on. */
START_TEST(the_first_error_ends_it)
{
	struct heard h = new_heard(3);
	struct err e = ERR_INIT;
	struct fetcher_aside *a;
	int rc = 0;

	OK(fetcher_aside_new(hear, &h, &a, &e));
	for (int i = 0; i < 1000 && rc == 0; i++)
		rc = fetcher_aside_add(a, sent, PIECE, &e);
	ck_assert_int_eq(rc, ERR_NET);
	ck_assert_int_eq(fetcher_aside_end(a, &e), ERR_FORMAT);
	ck_assert_str_eq(e.msg, "call 3");
	ck_assert_uint_eq(h.calls, 3);
	ck_assert_uint_eq(h.len, 2 * PIECE);
	fetcher_aside_free(a);
	free(h.bytes);
}
END_TEST

START_TEST(an_error_of_the_last_piece_is_told)
{
	struct heard h = new_heard(1);
	struct err e = ERR_INIT;
	struct fetcher_aside *a;

	OK(fetcher_aside_new(hear, &h, &a, &e));
	OK(fetcher_aside_add(a, sent, 5, &e));
	ck_assert_int_eq(fetcher_aside_end(a, &e), ERR_FORMAT);
	fetcher_aside_free(a);
	free(h.bytes);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("fetcher_aside");
	TCase *t = tcase_create("fetcher_aside");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, set_up, NULL);
	tcase_add_loop_test(t, passes_on_all_in_order, 0, 7);
	tcase_add_test(t, a_little_is_passed_on_at_the_end);
	tcase_add_test(t, the_first_error_ends_it);
	tcase_add_test(t, an_error_of_the_last_piece_is_told);
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
