/* Held directories: the right one for each path, few system calls, no more
 * descriptors than promised. */
#include "common/dirstack.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/fsat.h"
#include "common/limits.h"
#include "tests/scratch.h"

#define OK(call) ck_assert_msg((call) == 0, "%s: %s", #call, e.msg)

static struct scratch scratch;

static void
set_up(void)
{
	scratch_make(&scratch);
}

static void
tear_down(void)
{
	scratch_remove(&scratch);
}

static size_t
open_descriptors(void)
{
	struct err e = ERR_INIT;
	struct fsat_names names;
	size_t count;
	int fd;

	OK(fsat_operator_dir("/proc/self/fd", false, 0, &fd, &e));
	OK(fsat_list(fd, &names, &e));
	count = names.count - 1;
	fsat_names_release(&names);
	close(fd);
	return count;
}

/* That the stack gives the directory which a path names. */
static void
assert_same(struct dirstack *ds, const char *path)
{
	struct err e = ERR_INIT;
	struct fsat_stat direct, held;
	const char *name;
	int dir;

	OK(fsat_stat(scratch.fd, path, &direct, &e));
	OK(dirstack_at(ds, path, &dir, &name, &e));
	OK(fsat_stat(dir, name, &held, &e));
	ck_assert_uint_eq(direct.ino, held.ino);
}

START_TEST(gives_parent_and_name)
{
	static const char *const paths[] = { "a", "a/b", "a/b/c", "a/b/c/d",
		"a/b/x", "a/bb", "a/bb/c", "a/c", "aa", "aa/b", "b", "a/b/c/d",
		"aa/b", "a/b/c" };
	struct dirstack *ds = NULL;
	struct err e = ERR_INIT;
	size_t i, round, before = open_descriptors();

	for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		OK(fsat_mkdir_all(scratch.fd, paths[i], 0755, &e));
	OK(dirstack_new(scratch.fd, &ds, &e));
	for (round = 0; round < 3; round++) {
		for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
			assert_same(ds, paths[i]);
		ck_assert_uint_le(open_descriptors(), before + 4);
	}
	dirstack_free(ds);
	ck_assert_uint_eq(open_descriptors(), before);
}
END_TEST

START_TEST(is_held_while_the_parent_stays)
{
	struct dirstack *ds = NULL;
	struct err e = ERR_INIT;
	const char *name;
	uint64_t moves;
	int first, dir;

	OK(fsat_mkdir_all(scratch.fd, "a/b", 0755, &e));
	OK(dirstack_new(scratch.fd, &ds, &e));
	OK(dirstack_at(ds, "top", &dir, &name, &e));
	ck_assert_int_eq(dir, scratch.fd);
	ck_assert_str_eq(name, "top");
	OK(dirstack_at(ds, "a/b/1", &first, &name, &e));
	moves = dirstack_moves(ds);
	OK(dirstack_at(ds, "a/b/2", &dir, &name, &e));
	ck_assert_int_eq(first, dir);
	ck_assert_str_eq(name, "2");
	ck_assert_uint_ne(dirstack_moves(ds), 0);
	ck_assert_uint_eq(dirstack_moves(ds), moves);
	OK(dirstack_at(ds, "a/1", &dir, &name, &e));
	ck_assert_uint_ne(dirstack_moves(ds), moves);
	dirstack_free(ds);
	dirstack_free(NULL);
}
END_TEST

/* What is between is not opened. */
START_TEST(comes_to_a_deep_directory_in_one_step)
{
	struct dirstack *ds = NULL;
	struct err e = ERR_INIT;
	size_t before = open_descriptors();

	OK(fsat_mkdir_all(scratch.fd, "a/b/c/d/e", 0755, &e));
	OK(fsat_mkdir_all(scratch.fd, "a/b/x/y/z", 0755, &e));
	OK(dirstack_new(scratch.fd, &ds, &e));
	assert_same(ds, "a/b/c/d/e");
	ck_assert_uint_eq(open_descriptors(), before + 1);
	assert_same(ds, "a/b/x/y/z");
	ck_assert_uint_eq(open_descriptors(), before + 1);
	assert_same(ds, "a/b/x");
	assert_same(ds, "a/b/x/y/z");
	ck_assert_uint_eq(open_descriptors(), before + 2);
	dirstack_free(ds);
}
END_TEST

START_TEST(forgets_what_was_replaced)
{
	struct dirstack *ds = NULL;
	struct err e = ERR_INIT;

	OK(fsat_mkdir_all(scratch.fd, "a/b/c", 0755, &e));
	OK(fsat_mkdir_all(scratch.fd, "n/c", 0755, &e));
	OK(dirstack_new(scratch.fd, &ds, &e));
	assert_same(ds, "a/b/c");
	OK(fsat_exchange(scratch.fd, "a/b", scratch.fd, "n", &e));
	dirstack_forget(ds, "a/bb");
	dirstack_forget(ds, "other");
	dirstack_forget(ds, "a/b");
	assert_same(ds, "a/b/c");
	OK(fsat_exchange(scratch.fd, "a", scratch.fd, "n", &e));
	dirstack_forget(ds, "");
	OK(fsat_mkdir_all(scratch.fd, "a/b/c", 0755, &e));
	assert_same(ds, "a/b/c");
	dirstack_free(ds);
}
END_TEST

START_TEST(says_why_there_is_no_parent)
{
	struct dirstack *ds = NULL;
	struct err e = ERR_INIT;
	const char *name;
	int dir;

	OK(fsat_mkdir_all(scratch.fd, "a/b", 0755, &e));
	OK(fsat_symlink("a", scratch.fd, "link", &e));
	OK(fsat_write_file(scratch.fd, "file", 0600, "", 0, &e));
	OK(dirstack_new(scratch.fd, &ds, &e));
	ck_assert_int_eq(
	    dirstack_at(ds, "a/none/x", &dir, &name, &e), ERR_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(e.msg, "a/none/x"));
	assert_same(ds, "a/b");
	ck_assert_int_eq(dirstack_at(ds, "link/b", &dir, &name, &e), ERR_SYS);
	ck_assert(e.sys == ELOOP || e.sys == ENOTDIR);
	ck_assert_int_eq(dirstack_at(ds, "file/b", &dir, &name, &e), ERR_SYS);
	ck_assert_int_eq(e.sys, ENOTDIR);
	ck_assert_int_eq(
	    dirstack_at(ds, "a/../b/x", &dir, &name, &e), ERR_FORMAT);
	ck_assert_int_eq(dirstack_at(ds, "/a/b", &dir, &name, &e), ERR_FORMAT);
	ck_assert_int_eq(dirstack_at(ds, "/a", &dir, &name, &e), ERR_FORMAT);
	assert_same(ds, "a/b");
	dirstack_free(ds);
}
END_TEST

START_TEST(holds_a_bounded_number)
{
	char path[LIMIT_PATH_BYTES + 100];
	struct dirstack *ds = NULL;
	struct err e = ERR_INIT;
	size_t len, before = open_descriptors();
	const char *name;
	int dir, depth;
	char *slash;

	OK(dirstack_new(scratch.fd, &ds, &e));
	for (depth = 1; depth <= 300; depth++) {
		len = 0;
		for (int i = 0; i < depth; i++)
			len += (size_t)snprintf(path + len, sizeof(path) - len,
			    "%sd%d", i == 0 ? "" : "/", i);
		OK(dirstack_at(ds, path, &dir, &name, &e));
		OK(fsat_mkdir(dir, name, 0755, &e));
		assert_same(ds, path);
		ck_assert_uint_le(
		    open_descriptors(), before + DIRSTACK_HELD + 1);
	}
	slash = strrchr(path, '/');
	for (; slash != NULL; slash = strrchr(path, '/')) { /* up again */
		*slash = '\0';
		assert_same(ds, path);
	}
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	path[LIMIT_PATH_BYTES + 10] = '/';
	ck_assert_int_eq(dirstack_at(ds, path, &dir, &name, &e), ERR_LIMIT);
	dirstack_free(ds);
	ck_assert_uint_eq(open_descriptors(), before);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("dirstack");
	TCase *t = tcase_create("dirstack");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, gives_parent_and_name);
	tcase_add_test(t, is_held_while_the_parent_stays);
	tcase_add_test(t, comes_to_a_deep_directory_in_one_step);
	tcase_add_test(t, forgets_what_was_replaced);
	tcase_add_test(t, says_why_there_is_no_parent);
	tcase_add_test(t, holds_a_bounded_number);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
