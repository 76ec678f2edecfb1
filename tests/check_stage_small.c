/* Small files that other threads make.
 * run: also as nobody */
#include "client/stage_small.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fsat.h"
#include "common/pool.h"
#include "tests/processors.h"
#include "tests/scratch.h"
#include "tests/trees.h"

#define OK(call) ck_assert_msg((call) == 0, "%s: %s", #call, e.msg)

#define DIRS  3
#define FILES 300 /* several batches of each directory */

static struct scratch top;
static struct plan plan;
static struct plan_item items[FILES];
static char paths[FILES][32];
static int dirs[DIRS];
static cpu_set_t all;

/* Of the two rounds of a test, the first one has no threads. */
static void
use_one_at_first(int round)
{
	if (round == 0)
		(void)processors_one();
}

/* Each is renamed by itself; the directories are there. */
static void
set_up(void)
{
	umask(022);
	ck_assert_int_eq(sched_getaffinity(0, sizeof(all), &all), 0);
	scratch_make(&top);
	plan = (struct plan){ .items = items,
		.item_count = FILES,
		.run_id = "0123456789abcdef0123456789abcdef" };
	for (size_t i = 0; i < DIRS; i++) {
		char name[2] = { (char)('a' + i), '\0' };

		ck_assert_int_eq(mkdirat(top.fd, name, 0755), 0);
		dirs[i] = openat(top.fd, name, O_PATH | O_DIRECTORY);
	}
	for (size_t i = 0; i < FILES; i++) {
		(void)snprintf(paths[i], sizeof(paths[i]), "%c/%zu",
		    (int)('a' + i * DIRS / FILES), i);
		items[i] = (struct plan_item){ .type = MANIFEST_FILE,
			.path = paths[i],
			.xattrs = "",
			.mode = i % 2 == 0 ? 0644 : 0600,
			.uid = geteuid(),
			.gid = getegid(),
			.mtime = { 12, (long)i },
			.size_bytes = i,
			.root = i };
	}
}

static void
tear_down(void)
{
	for (size_t i = 0; i < DIRS; i++)
		close(dirs[i]);
	scratch_remove(&top);
	processors_use(&all);
}

static struct stage_small *
new_small(void)
{
	struct stage_small *s = NULL;
	struct err e = ERR_INIT;

	OK(stage_small_new(&plan, &s, &e));
	return s;
}

/* Its content is its path, over and over. */
static int
add(struct stage_small *s, size_t i, size_t bytes, struct err *e)
{
	size_t dir = i * DIRS / FILES, len = strlen(paths[i]);
	int rc = stage_small_begin(s, dirs[dir], dir + 1, e);

	for (size_t at = 0; rc == 0 && at < bytes; at += len)
		rc = stage_small_write(
		    s, paths[i], bytes - at < len ? bytes - at : len, e);
	if (rc == 0)
		stage_small_end(s, &items[i]);
	return rc;
}

static void
expect_file(size_t i, size_t bytes)
{
	char name[128], got[FILES];
	struct stat st;
	int fd;

	(void)snprintf(name, sizeof(name), "%c/" PLAN_STAGE_PREFIX "%s-%zu",
	    paths[i][0], plan.run_id, i);
	fd = openat(top.fd, name, O_RDONLY);
	ck_assert_msg(fd >= 0, "%s is not there", name);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, items[i].mode);
	ck_assert_uint_eq(st.st_uid, items[i].uid);
	ck_assert_uint_eq(st.st_gid, items[i].gid);
	ck_assert_int_eq(st.st_mtim.tv_sec, 12);
	ck_assert_int_eq(st.st_mtim.tv_nsec, (long)i);
	ck_assert_int_eq(read(fd, got, sizeof(got)), (ssize_t)bytes);
	for (size_t at = 0; at < bytes; at++)
		ck_assert_int_eq(got[at], paths[i][at % strlen(paths[i])]);
	close(fd);
}

START_TEST(makes_what_was_ended)
{
	struct stage_small *s;
	struct err e = ERR_INIT;

	use_one_at_first(_i);
	s = new_small();
	for (size_t i = 0; i < FILES; i++)
		OK(add(s, i, i, &e));
	OK(stage_small_settle(s, &e));
	for (size_t i = 0; i < FILES; i++)
		expect_file(i, i);
	stage_small_free(s);
}
END_TEST

START_TEST(forgets_what_was_begun_and_not_ended)
{
	struct stage_small *s = new_small();
	struct err e = ERR_INIT;

	OK(add(s, 4, 4, &e));
	OK(stage_small_begin(s, dirs[0], 1, &e));
	OK(stage_small_write(s, "bad", 3, &e));
	OK(add(s, 5, 5, &e));
	OK(stage_small_settle(s, &e));
	expect_file(4, 4);
	expect_file(5, 5);
	stage_small_free(s);
}
END_TEST

START_TEST(goes_on_after_settling)
{
	struct stage_small *s = new_small();
	struct err e = ERR_INIT;

	OK(stage_small_settle(s, &e));
	for (size_t i = 100; i < 102; i++) {
		OK(add(s, i, i, &e));
		OK(stage_small_settle(s, &e));
		expect_file(i, i);
	}
	stage_small_free(s);
}
END_TEST

START_TEST(takes_what_is_small_and_has_no_holes)
{
	struct plan_item item = items[0];

	item.size_bytes = STAGE_SMALL_BYTES;
	ck_assert(stage_small_takes(&item));
	item.flags = MANIFEST_SPARSE;
	ck_assert(!stage_small_takes(&item));
	item.flags = 0;
	item.size_bytes++;
	ck_assert(!stage_small_takes(&item));
}
END_TEST

/* Its size was checked before; the batch has no room for more all the same. */
START_TEST(refuses_more_than_a_small_file)
{
	static const char zeros[1024];
	struct stage_small *s = new_small();
	struct err e = ERR_INIT;

	OK(stage_small_begin(s, dirs[0], 1, &e));
	for (size_t n = 0; n < STAGE_SMALL_BYTES; n += sizeof(zeros))
		OK(stage_small_write(s, zeros, sizeof(zeros), &e));
	ck_assert_int_eq(stage_small_write(s, zeros, 1, &e), ERR_LIMIT);
	stage_small_free(s);
}
END_TEST

/* Until what failed is told. */
static int
add_until_told(struct stage_small *s, size_t bytes, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; i < FILES && rc == 0; i++)
		rc = add(s, i, bytes, e);
	return rc != 0 ? rc : stage_small_settle(s, e);
}

START_TEST(tells_what_failed)
{
	char name[128];
	struct stage_small *s;
	struct err e = ERR_INIT;

	use_one_at_first(_i);
	s = new_small();
	(void)snprintf(
	    name, sizeof(name), "a/" PLAN_STAGE_PREFIX "%s-7", plan.run_id);
	ck_assert_int_eq(mknodat(top.fd, name, S_IFREG | 0600, 0), 0);
	ck_assert_int_eq(add_until_told(s, 9, &e), ERR_SYS);
	ck_assert_int_eq(e.sys, EEXIST);
	ck_assert_ptr_nonnull(strstr(e.msg, "a/7"));
	stage_small_free(s);
}
END_TEST

/* Not only when all is settled: what follows would be made in vain. */
START_TEST(ends_soon_after_a_failure)
{
	char name[128];
	struct stage_small *s = new_small();
	struct err e = ERR_INIT;
	int rc = 0;

	(void)snprintf(
	    name, sizeof(name), "a/" PLAN_STAGE_PREFIX "%s-7", plan.run_id);
	ck_assert_int_eq(mknodat(top.fd, name, S_IFREG | 0600, 0), 0);
	for (size_t n = 0; n < 100000 && rc == 0; n++)
		rc = add(s, n % FILES, 9, &e);
	ck_assert_int_eq(rc, ERR_SYS);
	ck_assert_ptr_nonnull(strstr(e.msg, "a/7"));
	stage_small_free(s);
}
END_TEST

START_TEST(tells_of_a_full_disk)
{
	static char zeros[STAGE_SMALL_BYTES];
	struct stage_small *s;
	struct err e = ERR_INIT;
	int rc = 0;

	use_one_at_first(_i);
	if (!scratch_own_mounts())
		return;
	ck_assert_int_eq(
	    mount("none", top.path, "tmpfs", 0, "size=1m,mode=755"), 0);
	close(dirs[0]);
	dirs[0] = open(top.path, O_PATH | O_DIRECTORY);
	s = new_small();
	for (size_t i = 0; i < 40 && rc == 0; i++) {
		if ((rc = stage_small_begin(s, dirs[0], 1, &e)) == 0)
			rc = stage_small_write(s, zeros, sizeof(zeros), &e);
		if (rc == 0)
			stage_small_end(s, &items[i]);
	}
	if (rc == 0)
		rc = stage_small_settle(s, &e);
	ck_assert_int_eq(rc, ERR_SYS);
	ck_assert_int_eq(e.sys, ENOSPC);
	stage_small_free(s);
	ck_assert_int_eq(umount2(top.path, MNT_DETACH), 0);
}
END_TEST

/* A directory's group is not that of the file: its members may not read it,
 * now or later. */
START_TEST(gives_no_group_more_than_it_gets)
{
	struct stage_small *s;
	struct err e = ERR_INIT;

	if (geteuid() != 0)
		return;
	s = new_small();
	ck_assert_int_eq(fchownat(top.fd, "a", 0, 12, 0), 0);
	ck_assert_int_eq(fchmodat(top.fd, "a", 02775, 0), 0);
	items[3].mode = 0640;
	items[4].mode = 06755;
	items[5].uid = 34;
	OK(add(s, 3, 3, &e));
	OK(add(s, 4, 4, &e));
	OK(add(s, 5, 5, &e));
	OK(stage_small_settle(s, &e));
	for (size_t i = 3; i <= 5; i++)
		expect_file(i, i);
	stage_small_free(s);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("stage_small");
	TCase *t = tcase_create("stage_small");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_loop_test(t, makes_what_was_ended, 0, 2);
	tcase_add_test(t, forgets_what_was_begun_and_not_ended);
	tcase_add_test(t, goes_on_after_settling);
	tcase_add_test(t, takes_what_is_small_and_has_no_holes);
	tcase_add_test(t, refuses_more_than_a_small_file);
	tcase_add_loop_test(t, tells_what_failed, 0, 2);
	tcase_add_test(t, ends_soon_after_a_failure);
	tcase_add_loop_test(t, tells_of_a_full_disk, 0, 2);
	tcase_add_test(t, gives_no_group_more_than_it_gets);
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
