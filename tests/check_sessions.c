/* Sessions by place: kept, taken, written and read again. */
#include "transcripts/sessions.h"

#include <check.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "common/crypto_digest.h"

static struct sessions *
empty(void)
{
	struct sessions *s = NULL;
	struct err e = ERR_INIT;

	ck_assert_int_eq(sessions_new(&s, &e), 0);
	return s;
}

static void
put(struct sessions *s, const char *place, const char *text)
{
	sessions_put(s, place, (const uint8_t *)text, strlen(text));
}

/* Takes it, and says whether it was that; NULL: none. */
static bool
took(struct sessions *s, const char *place, const char *text)
{
	size_t len = 1;
	uint8_t *bytes = sessions_take(s, place, &len);
	bool same = text == NULL ? bytes == NULL && len == 0
	                         : bytes != NULL && len == strlen(text) &&
	        memcmp(bytes, text, len) == 0;

	free(bytes);
	return same;
}

static void
written(const struct sessions *s, struct buf *out)
{
	struct err e = ERR_INIT;

	buf_init(out, SESSIONS_BYTES);
	sessions_write(s, out);
	ck_assert_int_eq(buf_check(out, "sessions", &e), 0);
}

START_TEST(a_session_is_taken_once)
{
	struct sessions *s = empty();

	ck_assert(took(s, "a", NULL));
	ck_assert(!sessions_has_any(s));
	put(s, "a", "old");
	put(s, "b", "other");
	put(s, "a", "new");
	ck_assert(sessions_has_any(s));
	ck_assert(took(s, "a", "new"));
	ck_assert(took(s, "a", NULL));
	ck_assert(took(s, "b", "other"));
	ck_assert(!sessions_has_any(s));
	sessions_free(s);
}
END_TEST

START_TEST(without_any_nothing_is_kept)
{
	struct buf b;

	put(NULL, "a", "bytes");
	ck_assert(took(NULL, "a", NULL));
	ck_assert(!sessions_has_any(NULL));
	sessions_clear(NULL);
	sessions_free(NULL);
	written(NULL, &b);
	buf_release(&b);
}
END_TEST

START_TEST(the_oldest_make_room_and_the_huge_get_none)
{
	static const uint8_t huge[LIMIT_SESSION_BYTES + 1];
	struct sessions *s = empty();
	char place[SESSIONS_PLACE_BYTES + 1];

	for (int i = 0; i <= LIMIT_SESSIONS; i++) {
		(void)snprintf(place, sizeof(place), "place %d", i);
		put(s, place, place);
	}
	ck_assert(took(s, "place 0", NULL));
	ck_assert(took(s, "place 1", "place 1"));
	put(s, "place 2", "fits");
	sessions_put(s, "place 2", huge, sizeof(huge));
	ck_assert(took(s, "place 2", NULL));
	memset(place, 'x', SESSIONS_PLACE_BYTES);
	place[SESSIONS_PLACE_BYTES] = '\0';
	put(s, place, "name too long");
	ck_assert(took(s, place, NULL));
	sessions_free(s);
}
END_TEST

START_TEST(as_many_and_large_as_can_be_are_written)
{
	static const uint8_t large[LIMIT_SESSION_BYTES];
	struct sessions *s = empty(), *again = empty();
	struct err e = ERR_INIT;
	char place[SESSIONS_PLACE_BYTES];
	struct buf b;

	for (int i = 0; i < LIMIT_SESSIONS; i++) {
		(void)snprintf(place, sizeof(place), "%063d", i);
		sessions_put(s, place, large, sizeof(large));
	}
	written(s, &b);
	ck_assert_uint_le(b.len, LIMIT_IPC_BYTES);
	ck_assert_int_eq(sessions_merge(again, b.data, b.len, &e), 0);
	for (int i = 0; i < LIMIT_SESSIONS; i++) {
		size_t len = 0;

		(void)snprintf(place, sizeof(place), "%063d", i);
		free(sessions_take(again, place, &len));
		ck_assert_uint_eq(len, sizeof(large));
	}
	buf_release(&b);
	sessions_free(s);
	sessions_free(again);
}
END_TEST

/* One process takes, its parent hears of it and of what came in its place. */
START_TEST(what_another_took_is_gone_here)
{
	struct sessions *here = empty(), *there = empty();
	struct err e = ERR_INIT;
	struct buf b;

	put(here, "a", "first of a");
	put(here, "b", "first of b");
	put(here, "c", "first of c");
	written(here, &b);
	ck_assert_int_eq(sessions_merge(there, b.data, b.len, &e), 0);
	buf_release(&b);
	ck_assert(took(there, "a", "first of a"));
	ck_assert(took(there, "b", "first of b"));
	put(there, "b", "second of b");
	put(there, "d", "first of d");
	put(here, "e", "meanwhile");
	written(there, &b);
	ck_assert_int_eq(sessions_merge(here, b.data, b.len, &e), 0);
	buf_release(&b);
	ck_assert(took(here, "a", NULL));
	ck_assert(took(here, "b", "second of b"));
	ck_assert(took(here, "c", "first of c"));
	ck_assert(took(here, "d", "first of d"));
	ck_assert(took(here, "e", "meanwhile"));
	sessions_free(here);
	sessions_free(there);
}
END_TEST

START_TEST(what_is_damaged_changes_nothing)
{
	struct sessions *s = empty(), *other = empty();
	struct err e = ERR_INIT;
	struct buf b;

	put(other, "a", "session");
	put(other, "b", "another");
	ck_assert(took(other, "b", "another"));
	written(other, &b);
	put(s, "a", "mine");
	put(s, "b", "mine too");
	for (size_t n = 0; n < b.len; n++)
		ck_assert_int_eq(sessions_merge(s, b.data, n, &e), ERR_FORMAT);
	for (size_t i = 0; i < b.len; i++) {
		b.data[i] ^= 0x10;
		ck_assert_int_eq(
		    sessions_merge(s, b.data, b.len, &e), ERR_FORMAT);
		b.data[i] ^= 0x10;
	}
	ck_assert(took(s, "a", "mine"));
	ck_assert(took(s, "b", "mine too"));
	ck_assert_int_eq(sessions_merge(s, b.data, b.len, &e), 0);
	ck_assert(took(s, "a", "session"));
	buf_release(&b);
	sessions_free(s);
	sessions_free(other);
}
END_TEST

/* Its check sum is right, as whoever writes it can see to. */
START_TEST(lengths_that_lie_are_refused)
{
	static const struct {
		uint32_t name, bytes, extra;
	} cases[] = {
		{ SESSIONS_PLACE_BYTES, 1, 0 },
		{ UINT32_MAX, 1, 0 },
		{ 1, LIMIT_SESSION_BYTES + 1, 0 },
		{ 1, UINT32_MAX, 0 },
		{ 1, 1, 3 },
	};
	struct sessions *s = empty();
	struct err e = ERR_INIT;
	struct digest sum;
	struct buf b;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		buf_init(&b, SESSIONS_BYTES);
		buf_add_str(&b, "pecia sessions 1\n");
		buf_add_u32(&b, cases[i].name);
		for (uint32_t n = 0; n < cases[i].name && n < 100; n++)
			buf_add_byte(&b, 'p');
		buf_add_u32(&b, cases[i].bytes);
		for (uint32_t n = 0; n < cases[i].bytes && n < 9000; n++)
			buf_add_byte(&b, 's');
		buf_add(&b, "xxx", cases[i].extra);
		digest_of(b.data, b.len, &sum);
		buf_add(&b, sum.b, DIGEST_BYTES);
		ck_assert_int_eq(
		    sessions_merge(s, b.data, b.len, &e), ERR_FORMAT);
		buf_release(&b);
	}
	ck_assert(!sessions_has_any(s));
	sessions_free(s);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("sessions");
	TCase *t = tcase_create("sessions");
	SRunner *runner;
	int failed;

	tcase_add_test(t, a_session_is_taken_once);
	tcase_add_test(t, without_any_nothing_is_kept);
	tcase_add_test(t, the_oldest_make_room_and_the_huge_get_none);
	tcase_add_test(t, as_many_and_large_as_can_be_are_written);
	tcase_add_test(t, what_another_took_is_gone_here);
	tcase_add_test(t, what_is_damaged_changes_nothing);
	tcase_add_test(t, lengths_that_lie_are_refused);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
