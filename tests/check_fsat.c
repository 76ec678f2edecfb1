/* Paths below a held directory: no verb can be led out of it by links, "..",
 * absolute paths or names swapped meanwhile. */
#include "common/fsat.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/limits.h"
#include "tests/fsat_pair.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define OK(call) ck_assert_msg((call) == 0, "%s: %s", #call, e.msg)

static struct fsat_pair pair;

static void
set_up(void)
{
	fsat_pair_make(&pair);
}

static void
tear_down(void)
{
	fsat_pair_remove(&pair);
}

/* ---- every verb, as one shape ---- */

static int
close_opened(int ret, int *fd)
{
	if (ret == 0)
		close(*fd);
	return ret;
}

#define OPENER(name, call)                                      \
 static int do_##name(int dir, const char *path, struct err *e) \
 {                                                              \
  int fd = -1;                                                  \
  return close_opened(call, &fd);                               \
 }
#define VERB(name, call)                                        \
 static int do_##name(int dir, const char *path, struct err *e) \
 {                                                              \
  return call;                                                  \
 }

OPENER(open_dir, fsat_open_dir(dir, path, &fd, e))
OPENER(hold_dir, fsat_hold_dir(dir, path, &fd, e))
OPENER(open_file, fsat_open_file(dir, path, &fd, e))
OPENER(create, fsat_create(dir, path, 0600, &fd, e))
OPENER(open_write, fsat_open_write(dir, path, 0600, &fd, e))
OPENER(watch, fsat_watch(dir, path, &fd, e))
VERB(mkdir, fsat_mkdir(dir, path, 0700, e))
VERB(mkdir_all, fsat_mkdir_all(dir, path, 0700, e))
VERB(symlink, fsat_symlink("x", dir, path, e))
VERB(link_from, fsat_link(dir, path, dir, "new", e))
VERB(link_to, fsat_link(dir, "file", dir, path, e))
VERB(mknod, fsat_mknod(dir, path, S_IFIFO | 0600, 0, e))
VERB(rename_from, fsat_rename(dir, path, dir, "new", e))
VERB(rename_to, fsat_rename(dir, "file", dir, path, e))
VERB(exchange_from, fsat_exchange(dir, path, dir, "file", e))
VERB(exchange_to, fsat_exchange(dir, "file", dir, path, e))
VERB(unlink, fsat_unlink(dir, path, e))
VERB(rmdir, fsat_rmdir(dir, path, e))
VERB(remove_tree, fsat_remove_tree(dir, path, e))
VERB(chown, fsat_chown(dir, path, getuid(), getgid(), e))
VERB(chmod, fsat_chmod(dir, path, 0777, e))
VERB(write_file, fsat_write_file(dir, path, 0600, "x", 1, e))

static int
do_stat(int dir, const char *path, struct err *e)
{
	struct fsat_stat st;

	return fsat_stat(dir, path, &st, e);
}

static int
do_readlink(int dir, const char *path, struct err *e)
{
	char target[LIMIT_PATH_BYTES + 1];

	return fsat_readlink(dir, path, target, sizeof(target), e);
}

static int
do_utime(int dir, const char *path, struct err *e)
{
	const struct timespec t = { 1, 2 };

	return fsat_utime(dir, path, &t, e);
}

static int
do_read_file(int dir, const char *path, struct err *e)
{
	struct buf b;
	int ret;

	buf_init(&b, 100);
	ret = fsat_read_file(dir, path, 100, &b, e);
	buf_release(&b);
	return ret;
}

static int
do_xattr_list(int dir, const char *path, struct err *e)
{
	struct buf b;
	int ret;

	buf_init(&b, 1000);
	ret = fsat_xattr_list(dir, path, &b, e);
	buf_release(&b);
	return ret;
}

static int
do_xattr_get(int dir, const char *path, struct err *e)
{
	struct buf b;
	int ret;

	buf_init(&b, 1000);
	ret = fsat_xattr_get(dir, path, "user.test", &b, e);
	buf_release(&b);
	return ret;
}

VERB(xattr_set, fsat_xattr_set(dir, path, "user.test", "1", 1, e))
VERB(xattr_remove, fsat_xattr_remove(dir, path, "user.test", e))

static const struct verb {
	const char *name;
	int (*call)(int dir, const char *path, struct err *e);
} verbs[] = {
	{ "open_dir", do_open_dir },
	{ "hold_dir", do_hold_dir },
	{ "open_file", do_open_file },
	{ "create", do_create },
	{ "open_write", do_open_write },
	{ "watch", do_watch },
	{ "stat", do_stat },
	{ "readlink", do_readlink },
	{ "mkdir", do_mkdir },
	{ "mkdir_all", do_mkdir_all },
	{ "symlink", do_symlink },
	{ "link_from", do_link_from },
	{ "link_to", do_link_to },
	{ "mknod", do_mknod },
	{ "rename_from", do_rename_from },
	{ "rename_to", do_rename_to },
	{ "exchange_from", do_exchange_from },
	{ "exchange_to", do_exchange_to },
	{ "unlink", do_unlink },
	{ "rmdir", do_rmdir },
	{ "remove_tree", do_remove_tree },
	{ "chown", do_chown },
	{ "chmod", do_chmod },
	{ "utime", do_utime },
	{ "xattr_list", do_xattr_list },
	{ "xattr_get", do_xattr_get },
	{ "xattr_set", do_xattr_set },
	{ "xattr_remove", do_xattr_remove },
	{ "read_file", do_read_file },
	{ "write_file", do_write_file },
};

START_TEST(no_verb_leaves_the_directory)
{
	static const char *const paths[] = { "..", "../out", "../out/file",
		"../out/new", "dir/..", "dir/../../out/file", "dir/../file",
		"/etc/passwd", "/", "//", "./../out/file", "out-link/file",
		"out-link/new", "out-link/dir", "out-link/dir/x", "dir/..//x" };
	struct err e = ERR_INIT;
	size_t v, i;
	int ret;

	if (_i == 1)
		fsat_pair_be_old_kernel();
	for (v = 0; v < COUNT(verbs); v++) {
		for (i = 0; i < COUNT(paths); i++) {
			ret = verbs[v].call(pair.in, paths[i], &e);
			ck_assert_msg(
			    ret != 0, "%s %s", verbs[v].name, paths[i]);
			ck_assert_msg(ret == ERR_FORMAT ||
			        (e.sys == ELOOP || e.sys == ENOTDIR),
			    "%s %s: %s", verbs[v].name, paths[i], e.msg);
			ck_assert_msg(strstr(e.msg, paths[i]) != NULL, "%s: %s",
			    verbs[v].name, e.msg);
		}
		fsat_pair_check_outside(&pair, verbs[v].name);
		fsat_pair_check_text(pair.in, "file", "inside");
	}
}
END_TEST

START_TEST(no_verb_follows_a_link_at_the_end)
{
	static const char *const refused[] = { "open_dir", "hold_dir",
		"open_file", "create", "open_write", "watch", "mkdir",
		"mkdir_all", "symlink", "mknod", "link_to", "rmdir", "chmod",
		"read_file" };
	struct err e = ERR_INIT;
	size_t v, i;
	int ret;

	if (_i == 1)
		fsat_pair_be_old_kernel();
	for (v = 0; v < COUNT(verbs); v++) {
		ret = verbs[v].call(pair.in, "file-link", &e);
		for (i = 0; i < COUNT(refused); i++) {
			if (strcmp(verbs[v].name, refused[i]) == 0)
				ck_assert_msg(ret != 0, "%s", refused[i]);
		}
		fsat_pair_check_outside(&pair, verbs[v].name);
		/* Whatever became of the link, there is a new one. */
		OK(fsat_remove_tree(pair.in, "file-link", &e));
		OK(fsat_remove_tree(pair.in, "new", &e));
		OK(fsat_symlink("../out/file", pair.in, "file-link", &e));
		fsat_pair_write(pair.in, "file", "inside");
	}
}
END_TEST

/* The name `swap` is a directory and a link to outside, in turn. */
static void *
swap_names(void *arg)
{
	const bool *end = arg;

	while (!__atomic_load_n(end, __ATOMIC_RELAXED))
		(void)!renameat2(
		    pair.in, "swap", pair.in, "swap-link", RENAME_EXCHANGE);
	return NULL;
}

START_TEST(names_swapped_meanwhile_lead_nowhere)
{
	static const char *const paths[] = { "swap/x", "swap/y/z", "swap" };
	struct err e = ERR_INIT;
	struct fsat_stat st;
	size_t v, i, round;
	int dir;
	bool end = false;
	pthread_t t;

	OK(fsat_mkdir(pair.in, "swap", 0755, &e));
	OK(fsat_symlink("../out/dir", pair.in, "swap-link", &e));
	OK(fsat_mkdir_all(pair.out, "dir/y", 0755, &e));
	OK(fsat_open_dir(pair.out, "dir", &dir, &e));
	ck_assert_int_eq(pthread_create(&t, NULL, swap_names, &end), 0);
	for (round = 0; round < 150; round++) {
		for (v = 0; v < COUNT(verbs); v++) {
			for (i = 0; i < COUNT(paths); i++) {
				(void)!verbs[v].call(pair.in, paths[i], &e);
				ck_assert_msg(fsat_pair_count_names(dir) == 1,
				    "%s %s", verbs[v].name, paths[i]);
			}
			if (!fsat_pair_has(pair.in, "swap"))
				(void)!mkdirat(pair.in, "swap", 0755);
		}
	}
	__atomic_store_n(&end, true, __ATOMIC_RELAXED);
	pthread_join(t, NULL);
	fsat_pair_check_outside(&pair, "swapping");
	OK(fsat_stat_fd(dir, &st, &e));
	ck_assert_uint_eq(st.mode & 07777, 0755);
	close(dir);
	OK(fsat_rmdir(pair.out, "dir/y", &e));
}
END_TEST

START_TEST(magic_links_are_not_followed)
{
	struct err e = ERR_INIT;
	char path[64];
	int proc, fd;

	OK(fsat_operator_dir("/proc", false, 0, &proc, &e));
	(void)snprintf(path, sizeof(path), "%d/cwd", getpid());
	ck_assert_int_eq(fsat_open_dir(proc, path, &fd, &e), ERR_SYS);
	(void)snprintf(path, sizeof(path), "%d/root/etc/passwd", getpid());
	ck_assert_int_eq(fsat_open_file(proc, path, &fd, &e), ERR_SYS);
	ck_assert_int_eq(e.sys, ELOOP);
	(void)snprintf(path, sizeof(path), "%d/fd/%d", getpid(), pair.in);
	ck_assert_int_eq(fsat_open_dir(proc, path, &fd, &e), ERR_SYS);
	close(proc);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("fsat");
	TCase *t = tcase_create("fsat");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_loop_test(t, no_verb_leaves_the_directory, 0, 2);
	tcase_add_loop_test(t, no_verb_follows_a_link_at_the_end, 0, 2);
	tcase_add_test(t, names_swapped_meanwhile_lead_nowhere);
	tcase_add_test(t, magic_links_are_not_followed);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
