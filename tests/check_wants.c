/* What a mirror seeks is found by the beginning of its digest, once each.
 * run: also as nobody */
#include "server/wants.h"

#include <check.h>
#include <stdio.h>

#define OK(call) ck_assert_msg((call) == 0, "%s: %s", #call, e.msg)
#define COUNT    3000

static struct digest
digest_of_number(unsigned i)
{
	struct digest d;
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", i);

	digest_of(text, (size_t)len, &d);
	return d;
}

START_TEST(each_is_found_with_its_size)
{
	struct wants w = WANTS_INIT;
	struct err e = ERR_INIT;

	for (unsigned i = 0; i < COUNT; i++) {
		const uint64_t size = 7ULL * i;
		struct digest d = digest_of_number(i);

		OK(wants_add(&w, &d, size, &e));
		if (i % 3 == 0)
			OK(wants_add(&w, &d, size, &e));
	}
	wants_sort(&w);
	ck_assert_uint_eq(w.count, COUNT);
	for (unsigned i = 0; i < 2 * COUNT; i++) {
		const struct digest d = digest_of_number(i);
		const struct want *found = wants_find(&w, &d);

		ck_assert_int_eq(found != NULL, i < COUNT);
		if (found != NULL)
			ck_assert_uint_eq(found->size_bytes, 7ULL * i);
	}
	wants_release(&w);
	ck_assert_uint_eq(w.count, 0);
}
END_TEST

START_TEST(nothing_is_found_in_nothing)
{
	struct wants w = WANTS_INIT;
	const struct digest d = digest_of_number(1);

	wants_sort(&w);
	ck_assert_ptr_null(wants_find(&w, &d));
	wants_release(&w);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("wants");
	TCase *t = tcase_create("wants");
	SRunner *runner;
	int failed;

	tcase_add_test(t, each_is_found_with_its_size);
	tcase_add_test(t, nothing_is_found_in_nothing);
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
