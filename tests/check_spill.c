/* Memory that goes into a file: what is put there stays, wherever it is. */
#include "client/spill.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "tests/scratch.h"

#define OK(call) ck_assert_msg((call) == 0, "%s: %s", #call, e.msg)

#define MORE (SPILL_MEMORY_BYTES + 100000)

static struct scratch top;
static struct spill spill;

static void
begin(void)
{
	scratch_make(&top);
	spill_init(&spill, top.fd);
}

static void
end(void)
{
	spill_release(&spill);
	scratch_remove(&top);
}

/* Every 1000th number is one that tells where it is. */
static void
put(uint64_t *list, size_t bytes)
{
	for (size_t i = 0; i < bytes / sizeof(*list); i += 1000)
		list[i] = i * 7 + 1;
}

static void
expect(const uint64_t *list, size_t bytes)
{
	for (size_t i = 0; i < bytes / sizeof(*list); i += 1000)
		ck_assert_uint_eq(list[i], i * 7 + 1);
}

START_TEST(an_array_grows_from_memory_into_a_file)
{
	const size_t sizes[] = { 8000, SPILL_MEMORY_BYTES, MORE, 4 * MORE };
	struct err e = ERR_INIT;
	size_t before = 0;
	void *list = NULL;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		OK(spill_resize(&spill, sizes[i], &list, &e));
		expect(list, before);
		put(list, sizes[i]);
		spill_ease(&spill);
		expect(list, sizes[i]);
		before = sizes[i];
		ck_assert_int_eq(spill.fd >= 0, sizes[i] > SPILL_MEMORY_BYTES);
	}
}
END_TEST

START_TEST(pieces_stay_where_they_are)
{
	uint64_t *pieces[64];
	struct err e = ERR_INIT;

	for (size_t i = 0; i < 64; i++) {
		void *p = NULL;

		OK(spill_add(&spill, 65536, &p, &e));
		pieces[i] = p;
		put(p, 65536);
	}
	ck_assert_int_ge(spill.fd, 0);
	spill_ease(&spill);
	for (size_t i = 0; i < 64; i++)
		expect(pieces[i], 65536);
}
END_TEST

START_TEST(without_a_directory_all_is_in_memory)
{
	struct err e = ERR_INIT;
	void *list = NULL;

	spill_init(&spill, -1);
	OK(spill_resize(&spill, 2 * MORE, &list, &e));
	put(list, 2 * MORE);
	OK(spill_add(&spill, MORE, &list, &e));
	ck_assert_int_lt(spill.fd, 0);
}
END_TEST

/* A file that may not become longer is like a disk that is full. */
START_TEST(no_room_is_an_error_and_loses_nothing)
{
	struct rlimit was, tight;
	struct err e = ERR_INIT;
	void *list = NULL, *more = NULL;

	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &was), 0);
	OK(spill_resize(&spill, MORE, &list, &e));
	put(list, MORE);
	(void)signal(SIGXFSZ, SIG_IGN);
	tight = was;
	tight.rlim_cur = MORE + 200000;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &tight), 0);
	ck_assert_int_eq(spill_resize(&spill, 2 * MORE, &more, &e), ERR_SYS);
	ck_assert_int_eq(e.sys, EFBIG);
	ck_assert_int_eq(spill_add(&spill, MORE, &more, &e), ERR_SYS);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &was), 0);
	(void)signal(SIGXFSZ, SIG_DFL);
	ck_assert_ptr_null(more);
	expect(list, MORE);
	OK(spill_resize(&spill, 2 * MORE, &list, &e));
	expect(list, MORE);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("spill");
	TCase *t = tcase_create("spill");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, begin, end);
	tcase_add_test(t, an_array_grows_from_memory_into_a_file);
	tcase_add_test(t, pieces_stay_where_they_are);
	tcase_add_test(t, without_a_directory_all_is_in_memory);
	tcase_add_test(t, no_room_is_an_error_and_loses_nothing);
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
