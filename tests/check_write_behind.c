/* When a file system is synced behind its writers: a directory that is none
 * shows when it is tried.
 * run: also as nobody */
#include "common/write_behind.h"

#include <check.h>
#include <fcntl.h>
#include <unistd.h>

#include "common/fsat.h"
#include "common/pool.h"
#include "tests/processors.h"
#include "tests/scratch.h"

#define OK(call) ck_assert_msg((call) == 0, "%s: %s", #call, e.msg)

static struct write_behind *
new_behind(int dir)
{
	struct write_behind *w = NULL;
	struct err e = ERR_INIT;

	OK(write_behind_new(dir, &w, &e));
	return w;
}

START_TEST(syncs_when_much_was_written)
{
	struct write_behind *w;
	struct err e = ERR_INIT;

	if (pool_cpus() == 1)
		return;
	w = new_behind(-1);
	for (int i = 0; i < 2; i++) {
		write_behind_note(w, WRITE_BEHIND_BYTES / 2);
		OK(write_behind_settle(w, &e));
		write_behind_note(w, WRITE_BEHIND_BYTES / 2);
		ck_assert_int_eq(write_behind_settle(w, &e), ERR_SYS);
		OK(write_behind_settle(w, NULL));
	}
	write_behind_free(w);
}
END_TEST

START_TEST(succeeds_with_a_directory)
{
	struct scratch top;
	struct write_behind *w;
	struct err e = ERR_INIT;

	scratch_make(&top);
	w = new_behind(top.fd);
	for (int i = 0; i < 4; i++)
		write_behind_note(w, WRITE_BEHIND_BYTES);
	OK(write_behind_settle(w, &e));
	write_behind_note(w, WRITE_BEHIND_BYTES);
	write_behind_free(w);
	scratch_remove(&top);
}
END_TEST

static int
open_descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
	return n;
}

START_TEST(a_file_may_be_closed_at_once)
{
	struct scratch top;
	struct write_behind *w;
	struct err e = ERR_INIT;
	int fd = -1, before;

	scratch_make(&top);
	w = new_behind(top.fd);
	before = open_descriptors();
	for (int i = 0; i < 100; i++) {
		OK(fsat_create(top.fd, "file", 0600, &fd, &e));
		OK(fsat_write_all(fd, "content", 7, &e));
		write_behind_file(w, fd);
		close(fd);
		OK(fsat_unlink(top.fd, "file", &e));
	}
	/* One that is no file any more, and what is not open. */
	write_behind_file(w, fd);
	write_behind_file(w, -1);
	OK(write_behind_settle(w, &e));
	ck_assert_int_eq(open_descriptors(), before);
	write_behind_free(w);
	scratch_remove(&top);
}
END_TEST

/* While a thread writes a file out, the sync that is due waits for its turn. */
START_TEST(a_sync_that_is_due_is_made_after_a_file)
{
	struct scratch top;
	struct write_behind *w;
	struct err e = ERR_INIT;
	int fd = -1;

	if (pool_cpus() == 1)
		return;
	scratch_make(&top);
	OK(fsat_create(top.fd, "file", 0600, &fd, &e));
	w = new_behind(-1);
	write_behind_file(w, fd);
	write_behind_note(w, WRITE_BEHIND_BYTES - 1);
	OK(write_behind_settle(w, &e));
	write_behind_note(w, 1);
	ck_assert_int_eq(write_behind_settle(w, &e), ERR_SYS);
	ck_assert_int_eq(close(fd), 0);
	write_behind_free(w);
	scratch_remove(&top);
}
END_TEST

START_TEST(does_nothing_on_one_processor)
{
	struct write_behind *w = new_behind(-1);
	struct err e = ERR_INIT;
	const cpu_set_t all = processors_one();

	write_behind_note(w, WRITE_BEHIND_BYTES);
	write_behind_file(w, STDERR_FILENO);
	OK(write_behind_settle(w, &e));
	processors_use(&all);
	write_behind_free(w);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("write_behind");
	TCase *t = tcase_create("write_behind");
	SRunner *runner;
	int failed;

	tcase_add_test(t, syncs_when_much_was_written);
	tcase_add_test(t, succeeds_with_a_directory);
	tcase_add_test(t, a_file_may_be_closed_at_once);
	tcase_add_test(t, a_sync_that_is_due_is_made_after_a_file);
	tcase_add_test(t, does_nothing_on_one_processor);
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
