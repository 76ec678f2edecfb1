/* What each verb on a path does. */
#include "common/fsat.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
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

START_TEST(any_bytes_make_a_name)
{
	struct err e = ERR_INIT;
	char longest[LIMIT_COMPONENT_BYTES + 2], deep[3000];
	const char *const names[] = { "\xff\xfe\x80", " ", "\n", "\\", "a\tb",
		"-rf", "...", "..a", ".a", "\x01", "*", longest };
	size_t i;
	int fd;

	memset(longest, 'n', sizeof(longest));
	longest[LIMIT_COMPONENT_BYTES + 1] = '\0';
	ck_assert_int_eq(fsat_mkdir(pair.in, longest, 0700, &e), ERR_SYS);
	ck_assert_int_eq(e.sys, ENAMETOOLONG);
	longest[LIMIT_COMPONENT_BYTES] = '\0';
	OK(fsat_mkdir(pair.in, "names", 0700, &e));
	for (i = 0; i < COUNT(names); i++) {
		(void)snprintf(deep, sizeof(deep), "names/%s", names[i]);
		OK(fsat_mkdir(pair.in, deep, 0700, &e));
		(void)snprintf(
		    deep, sizeof(deep), "names/%s/%s", names[i], names[i]);
		fsat_pair_write(pair.in, deep, names[i]);
		fsat_pair_check_text(pair.in, deep, names[i]);
	}
	OK(fsat_open_dir(pair.in, "names", &fd, &e));
	ck_assert_uint_eq(fsat_pair_count_names(fd), COUNT(names));
	close(fd);
}
END_TEST

START_TEST(lists_are_sorted_and_complete)
{
	struct err e = ERR_INIT;
	struct fsat_names list;
	char name[32];
	int i, fd, dir;

	OK(fsat_open_dir(pair.in, "dir", &dir, &e));
	OK(fsat_list(dir, &list, &e));
	ck_assert_uint_eq(list.count, 0);
	fsat_names_release(&list);
	for (i = 0; i < 3000; i++) {
		(void)snprintf(
		    name, sizeof(name), "%c%d", (char)(128 + i % 100), i);
		OK(fsat_create(dir, name, 0600, &fd, &e));
		close(fd);
	}
	for (i = 0; i < 2; i++) { /* from the start each time */
		OK(fsat_list(dir, &list, &e));
		ck_assert_uint_eq(list.count, 3000);
		for (size_t j = 1; j < list.count; j++)
			ck_assert_int_lt(
			    strcmp(list.names[j - 1], list.names[j]), 0);
		fsat_names_release(&list);
	}
	close(dir);
	ck_assert_int_eq(fsat_list(-1, &list, &e), ERR_SYS);
}
END_TEST

START_TEST(stat_says_what_stat_says)
{
	static const char *const paths[] = { "file", "dir", "file-link", "fifo",
		"", "." };
	struct err e = ERR_INIT;
	struct fsat_stat st;
	struct stat want;
	size_t i;

	OK(fsat_mknod(pair.in, "fifo", S_IFIFO | 0640, 0, &e));
	for (i = 0; i < COUNT(paths); i++) {
		OK(fsat_stat(pair.in, paths[i], &st, &e));
		ck_assert_int_eq(fstatat(pair.in, paths[i], &want,
		                     AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH),
		    0);
		ck_assert_uint_eq(st.mode, want.st_mode);
		ck_assert_uint_eq(st.uid, want.st_uid);
		ck_assert_uint_eq(st.gid, want.st_gid);
		ck_assert_uint_eq(st.nlink, want.st_nlink);
		ck_assert_uint_eq(st.dev, want.st_dev);
		ck_assert_uint_eq(st.ino, want.st_ino);
		ck_assert_uint_eq(st.size_bytes, (uint64_t)want.st_size);
		ck_assert_int_eq(st.mtime.tv_sec, want.st_mtim.tv_sec);
		ck_assert_int_eq(st.mtime.tv_nsec, want.st_mtim.tv_nsec);
		ck_assert_int_eq(st.ctime.tv_nsec, want.st_ctim.tv_nsec);
	}
	ck_assert_int_eq(fsat_stat(pair.in, "none", &st, &e), ERR_NOT_FOUND);
	ck_assert_int_eq(fsat_stat(pair.in, "no/ne", &st, &e), ERR_NOT_FOUND);
	ck_assert_int_eq(e.sys, ENOENT);
	ck_assert_int_eq(fsat_stat(pair.in, "file/x", &st, &e), ERR_SYS);
	ck_assert_int_eq(e.sys, ENOTDIR);
	ck_assert_int_eq(fsat_stat(pair.in, "dir/", &st, &e), ERR_FORMAT);
	if (getuid() == 0) {
		OK(fsat_mknod(pair.in, "null", S_IFCHR | 0600, 0x103, &e));
		OK(fsat_stat(pair.in, "null", &st, &e));
		ck_assert_uint_eq(st.rdev, 0x103);
	}
}
END_TEST

START_TEST(only_regular_files_are_opened)
{
	static const char *const special[] = { "fifo", "dir", "file-link" };
	struct err e = ERR_INIT;
	struct fsat_stat st;
	size_t i;
	int fd;

	OK(fsat_mknod(pair.in, "fifo", S_IFIFO | 0600, 0, &e));
	for (i = 0; i < COUNT(special); i++)
		ck_assert_int_eq(fsat_open_file(pair.in, special[i], &fd, &e),
		    ERR_UNSUPPORTED);
	ck_assert_int_eq(
	    fsat_open_write(pair.in, "fifo", 0600, &fd, &e), ERR_UNSUPPORTED);
	ck_assert_int_eq(
	    fsat_open_file(pair.in, "none", &fd, &e), ERR_NOT_FOUND);
	ck_assert_int_eq(
	    fsat_open_stat(pair.in, "none", &fd, &st, &e), ERR_NOT_FOUND);
	OK(fsat_open_file(pair.in, "file", &fd, &e));
	ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
	close(fd);
	ck_assert_int_eq(fsat_create(pair.in, "file", 0600, &fd, &e), ERR_SYS);
	ck_assert_int_eq(e.sys, EEXIST);
	OK(fsat_open_write(pair.in, "dir/new", 0600, &fd, &e));
	OK(fsat_write_all(fd, "abc", 3, &e));
	OK(fsat_close(&fd, "new", &e));
	ck_assert_int_eq(fd, -1);
	fsat_pair_check_text(pair.in, "dir/new", "abc");
	OK(fsat_open_stat(pair.in, "dir/new", &fd, &st, &e));
	ck_assert_uint_eq(st.size_bytes, 3);
	close(fd);
}
END_TEST

START_TEST(reading_leaves_no_trace)
{
	const struct timespec times[2] = { { 1000, 0 }, { 2000, 0 } };
	struct err e = ERR_INIT;
	struct stat st;
	struct buf b;

	fsat_pair_write(pair.in, "f", "text");
	ck_assert_int_eq(utimensat(pair.in, "f", times, 0), 0);
	buf_init(&b, 100);
	OK(fsat_read_file(pair.in, "f", 100, &b, &e));
	ck_assert_uint_eq(b.len, 4);
	buf_release(&b);
	ck_assert_int_eq(fstatat(pair.in, "f", &st, 0), 0);
	ck_assert_int_eq(st.st_atim.tv_sec, 1000);
}
END_TEST

START_TEST(reading_stops_at_its_limit)
{
	struct err e = ERR_INIT;
	static char bytes[300000];
	struct buf b;
	size_t i, sizes[] = { 0, 1, 4095, 4096, 4097, 300000 };

	for (i = 0; i < COUNT(sizes); i++) {
		OK(fsat_write_file(pair.in, "f", 0600, bytes, sizes[i], &e));
		buf_init(&b, sizes[i]);
		OK(fsat_read_file(pair.in, "f", sizes[i], &b, &e));
		ck_assert_uint_eq(b.len, sizes[i]);
		buf_release(&b);
		if (sizes[i] == 0)
			continue;
		buf_init(&b, 400000);
		ck_assert_int_eq(
		    fsat_read_file(pair.in, "f", sizes[i] - 1, &b, &e),
		    ERR_LIMIT);
		buf_release(&b);
		buf_init(&b, sizes[i] - 1);
		ck_assert_int_eq(
		    fsat_read_file(pair.in, "f", 400000, &b, &e), ERR_LIMIT);
		buf_release(&b);
	}
}
END_TEST

static int (*const replacers[])(int dir, const char *path, mode_t mode,
    const void *data, size_t len,
    struct err *e) = { fsat_write_file, fsat_replace_file, fsat_write_loosely };

/* However much of it is synced. */
START_TEST(write_file_replaces_as_a_whole)
{
	struct err e = ERR_INIT;
	struct fsat_stat st;
	size_t before = fsat_pair_count_names(pair.in);
	int fd, held;

	umask(077);
	OK(fsat_open_file(pair.in, "file", &fd, &e));
	OK(fsat_hold_dir(pair.in, ".", &held, &e));
	OK(replacers[_i](held, "file", 0664, "new", 3, &e));
	OK(replacers[_i](pair.in, "dir/other", 0604, "", 0, &e));
	fsat_pair_check_text(pair.in, "file", "new");
	OK(fsat_stat(pair.in, "file", &st, &e));
	ck_assert_uint_eq(st.mode & 07777, 0664);
	OK(fsat_stat(pair.in, "dir/other", &st, &e));
	ck_assert_uint_eq(st.mode & 07777, 0604);
	ck_assert_uint_eq(fsat_pair_count_names(pair.in), before);
	OK(fsat_stat_fd(fd, &st, &e)); /* the old one is whole */
	ck_assert_uint_eq(st.size_bytes, 6);
	ck_assert_int_ne(replacers[_i](pair.in, "dir", 0600, "x", 1, &e), 0);
	ck_assert_uint_eq(fsat_pair_count_names(pair.in), before);
	close(fd);
	close(held);
}
END_TEST

START_TEST(links_and_renames_work_across_directories)
{
	struct err e = ERR_INIT;
	struct fsat_stat a, b;
	char target[LIMIT_PATH_BYTES + 1];
	static char longest[LIMIT_PATH_BYTES + 1];

	OK(fsat_link(pair.in, "file", pair.in, "dir/hard", &e));
	OK(fsat_stat(pair.in, "file", &a, &e));
	OK(fsat_stat(pair.in, "dir/hard", &b, &e));
	ck_assert_uint_eq(a.ino, b.ino);
	OK(fsat_rename(pair.in, "dir/hard", pair.out, "dir/moved", &e));
	fsat_pair_check_text(pair.out, "dir/moved", "inside");
	OK(fsat_exchange(pair.in, "dir", pair.out, "dir/moved", &e));
	fsat_pair_check_text(pair.in, "dir", "inside");
	ck_assert_int_eq(
	    fsat_exchange(pair.in, "dir", pair.in, "none", &e), ERR_NOT_FOUND);
	ck_assert_int_eq(
	    fsat_rename(pair.in, "none", pair.in, "x", &e), ERR_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(e.msg, "none"));
	OK(fsat_readlink(pair.in, "file-link", target, sizeof(target), &e));
	ck_assert_str_eq(target, "../out/file");
	ck_assert_int_eq(
	    fsat_readlink(pair.in, "file-link", target, 11, &e), ERR_LIMIT);
	OK(fsat_readlink(pair.in, "file-link", target, 12, &e));
	memset(longest, 'x', LIMIT_PATH_BYTES);
	if (fsat_symlink(longest, pair.in, "long", &e) == 0) {
		OK(fsat_readlink(pair.in, "long", target, sizeof(target), &e));
		ck_assert_str_eq(target, longest);
	}
	OK(fsat_unlink(pair.in, "file-link", &e));
	ck_assert_int_ne(fsat_unlink(pair.out, "dir", &e), 0);
}
END_TEST

START_TEST(mkdir_all_makes_what_is_missing)
{
	struct err e = ERR_INIT;

	OK(fsat_mkdir_all(pair.in, "dir/a/b/c", 0755, &e));
	OK(fsat_mkdir_all(pair.in, "dir/a/b/c", 0755, &e));
	OK(fsat_mkdir_all(pair.in, "dir//a/b/d/", 0755, &e));
	OK(fsat_mkdir_all(pair.in, "", 0755, &e));
	ck_assert(fsat_pair_has(pair.in, "dir/a/b/c"));
	ck_assert(fsat_pair_has(pair.in, "dir/a/b/d"));
	ck_assert_int_ne(fsat_mkdir_all(pair.in, "file/x", 0755, &e), 0);
	ck_assert_int_ne(fsat_mkdir_all(pair.in, "out-link/x/y", 0755, &e), 0);
	fsat_pair_check_outside(&pair, "mkdir_all");
}
END_TEST

START_TEST(trees_are_removed_to_the_last_name)
{
	struct err e = ERR_INIT;
	char path[200];
	int i, j, dir, next;

	for (i = 0; i < 40; i++) {
		(void)snprintf(path, sizeof(path), "dir/%d/x/y", i);
		OK(fsat_mkdir_all(pair.in, path, 0755, &e));
		for (j = 0; j < 10; j++) {
			(void)snprintf(path, sizeof(path), "dir/%d/x/%d", i, j);
			fsat_pair_write(pair.in, path, "");
		}
		(void)snprintf(path, sizeof(path), "dir/%d/x/y/link", i);
		OK(fsat_symlink("../../../../../out", pair.in, path, &e));
	}
	OK(fsat_hold_dir(pair.in, "dir", &dir, &e));
	for (i = 0; i < 1500; i++) {
		OK(fsat_mkdir(dir, "deep", 0755, &e));
		OK(fsat_hold_dir(dir, "deep", &next, &e));
		close(dir);
		dir = next;
	}
	close(dir);
	OK(fsat_remove_tree(pair.in, "dir", &e));
	ck_assert(!fsat_pair_has(pair.in, "dir"));
	OK(fsat_remove_tree(pair.in, "dir", &e));
	OK(fsat_remove_tree(pair.in, "none/at/all", &e));
	OK(fsat_remove_tree(pair.in, "out-link", &e));
	OK(fsat_remove_tree(pair.in, "file", &e));
	ck_assert_uint_eq(fsat_pair_count_names(pair.in), 1);
	fsat_pair_check_outside(&pair, "remove_tree");
	ck_assert_int_eq(fsat_remove_tree(pair.in, "", &e), ERR_FORMAT);
	ck_assert_int_eq(fsat_remove_tree(pair.in, ".", &e), ERR_FORMAT);
}
END_TEST

START_TEST(trees_end_at_another_file_system)
{
	struct err e = ERR_INIT;
	char path[400];
	int in, fd;

	if (unshare(CLONE_NEWNS | (geteuid() == 0 ? 0 : CLONE_NEWUSER)) != 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
		return; /* not allowed here */
	OK(fsat_mkdir(pair.in, "dir/mount", 0755, &e));
	(void)snprintf(path, sizeof(path), "%s/in/dir/mount", pair.s.path);
	if (mount("none", path, "tmpfs", 0, NULL) != 0)
		return;
	/* Descriptors from before see the old mounts. */
	(void)snprintf(path, sizeof(path), "%s/in", pair.s.path);
	OK(fsat_operator_dir(path, false, 0, &in, &e));
	OK(fsat_create(in, "dir/mount/kept", 0600, &fd, &e));
	close(fd);
	ck_assert_int_ne(fsat_remove_tree(in, "dir", &e), 0);
	ck_assert(fsat_pair_has(in, "dir/mount/kept"));
	close(in);
	(void)snprintf(path, sizeof(path), "%s/in/dir/mount", pair.s.path);
	ck_assert_int_eq(umount(path), 0);
}
END_TEST

/* ---- metadata ---- */

START_TEST(metadata_is_of_the_name_or_the_descriptor)
{
	const struct timespec t = { 1000000001, 123456789 };
	struct err e = ERR_INIT;
	struct fsat_stat st;
	int fd;

	if (_i == 1)
		fsat_pair_be_old_kernel();
	OK(fsat_utime(pair.in, "file-link", &t, &e));
	OK(fsat_stat(pair.in, "file-link", &st, &e));
	ck_assert_int_eq(st.mtime.tv_sec, t.tv_sec);
	ck_assert_int_eq(st.mtime.tv_nsec, t.tv_nsec);
	ck_assert_int_eq(
	    fsat_chmod(pair.in, "file-link", 0700, &e), ERR_UNSUPPORTED);
	OK(fsat_chmod(pair.in, "file", 04711, &e));
	OK(fsat_chmod(pair.in, "dir", 01777, &e));
	OK(fsat_stat(pair.in, "file", &st, &e));
	ck_assert_uint_eq(st.mode & 07777, 04711);
	OK(fsat_open_file(pair.in, "file", &fd, &e));
	OK(fsat_chmod(fd, "", 0600, &e));
	OK(fsat_utime(fd, "", &t, &e));
	OK(fsat_chown(fd, "", getuid(), getgid(), &e));
	OK(fsat_stat_fd(fd, &st, &e));
	ck_assert_uint_eq(st.mode & 07777, 0600);
	ck_assert_int_eq(st.mtime.tv_nsec, t.tv_nsec);
	close(fd);
	OK(fsat_hold_dir(pair.in, "dir", &fd, &e));
	OK(fsat_chmod(fd, "", 0711, &e));
	OK(fsat_stat(pair.in, "dir", &st, &e));
	ck_assert_uint_eq(st.mode & 07777, 0711);
	close(fd);
	if (getuid() == 0) {
		OK(fsat_chown(pair.in, "file-link", 12, 34, &e));
		OK(fsat_stat(pair.in, "file-link", &st, &e));
		ck_assert_uint_eq(st.uid, 12);
		ck_assert_uint_eq(st.gid, 34);
	}
	fsat_pair_check_outside(&pair, "metadata");
	ck_assert_int_eq(fsat_chmod(pair.in, "none", 0, &e), ERR_NOT_FOUND);
}
END_TEST

START_TEST(attributes_are_set_listed_read_and_removed)
{
	static uint8_t large[3000];
	struct err e = ERR_INIT;
	struct buf b;
	int fd;

	if (_i == 1)
		fsat_pair_be_old_kernel();
	buf_init(&b, 100000);
	OK(fsat_xattr_list(pair.in, "file", &b, &e));
	ck_assert_uint_eq(b.len, 0);
	if (fsat_xattr_set(pair.in, "file", "user.a", "1\0", 2, &e) ==
	    ERR_UNSUPPORTED)
		return; /* this file system has none */
	OK(fsat_xattr_set(pair.in, "dir", "user.dir", NULL, 0, &e));
	OK(fsat_open_file(pair.in, "file", &fd, &e));
	OK(fsat_xattr_set(fd, "", "user.b", large, sizeof(large), &e));
	OK(fsat_xattr_list(pair.in, "file", &b, &e));
	ck_assert_uint_eq(b.len, 14);
	ck_assert_ptr_nonnull(memmem(b.data, b.len, "user.a", 7));
	ck_assert_ptr_nonnull(memmem(b.data, b.len, "user.b", 7));
	buf_clear(&b);
	OK(fsat_xattr_get(fd, "", "user.a", &b, &e));
	ck_assert_uint_eq(b.len, 2);
	OK(fsat_xattr_get(pair.in, "file", "user.b", &b, &e));
	ck_assert_uint_eq(b.len, 2 + sizeof(large));
	buf_clear(&b);
	OK(fsat_xattr_get(pair.in, "dir", "user.dir", &b, &e));
	ck_assert_uint_eq(b.len, 0);
	ck_assert_int_eq(fsat_xattr_get(pair.in, "file", "user.none", &b, &e),
	    ERR_NOT_FOUND);
	ck_assert_int_eq(e.sys, ENODATA);
	OK(fsat_xattr_remove(pair.in, "file", "user.b", &e));
	ck_assert_int_eq(
	    fsat_xattr_remove(pair.in, "file", "user.b", &e), ERR_NOT_FOUND);
	ck_assert_int_ne(
	    fsat_xattr_set(pair.in, "file-link", "user.a", "1", 1, &e), 0);
	OK(fsat_xattr_list(pair.in, "file-link", &b, &e));
	ck_assert_int_eq(fsat_xattr_set(pair.in, "file", "user.a", large,
	                     LIMIT_XATTR_BYTES + 1, &e),
	    ERR_LIMIT);
	fsat_pair_check_outside(&pair, "attributes");
	close(fd);
	buf_release(&b);
}
END_TEST

START_TEST(attributes_are_reached_through_a_held_name)
{
	struct err e = ERR_INIT;
	struct buf b;
	int fd;

	if (_i == 1)
		fsat_pair_be_old_kernel();
	buf_init(&b, 1000);
	OK(fsat_hold(pair.in, "file", &fd, &e));
	if (fsat_xattr_set(fd, "", "user.a", "1", 1, &e) == ERR_UNSUPPORTED)
		return; /* this file system has none */
	OK(fsat_xattr_list(fd, "", &b, &e));
	ck_assert_ptr_nonnull(memmem(b.data, b.len, "user.a", 7));
	buf_clear(&b);
	OK(fsat_xattr_get(fd, "", "user.a", &b, &e));
	ck_assert_uint_eq(b.len, 1);
	OK(fsat_xattr_remove(fd, "", "user.a", &e));
	close(fd);
	buf_release(&b);
}
END_TEST

/* ---- locks, events, space ---- */

START_TEST(a_lock_is_held_by_one)
{
	struct err e = ERR_INIT;
	int a, b, status, ends[2];
	char byte;
	pid_t pid;

	OK(fsat_open_write(pair.in, "lock", 0600, &a, &e));
	OK(fsat_open_write(pair.in, "lock", 0600, &b, &e));
	OK(fsat_lock(a, 0, &e));
	ck_assert_int_eq(fsat_lock(b, 0, &e), ERR_CONFLICT);
	ck_assert_int_eq(fsat_lock(b, 30, &e), ERR_CONFLICT);
	close(a);
	OK(fsat_lock(b, 0, &e));
	close(b);
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) { /* holds it until the parent is waiting, about */
		if (fsat_open_write(pair.in, "lock", 0600, &a, &e) != 0 ||
		    fsat_lock(a, 0, &e) != 0 || write(ends[1], "x", 1) != 1)
			_exit(1);
		usleep(50000);
		_exit(0);
	}
	ck_assert_int_eq(read(ends[0], &byte, 1), 1);
	OK(fsat_open_write(pair.in, "lock", 0600, &b, &e));
	OK(fsat_lock(b, 20000, &e));
	close(b);
	close(ends[0]);
	close(ends[1]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(a_watch_tells_of_new_names)
{
	struct err e = ERR_INIT;
	struct pollfd p = { .events = POLLIN };
	char events[4096];

	OK(fsat_watch(pair.in, "dir", &p.fd, &e));
	ck_assert_int_eq(poll(&p, 1, 0), 0);
	fsat_pair_write(pair.in, "file", "elsewhere");
	ck_assert_int_eq(poll(&p, 1, 0), 0);
	OK(fsat_rename(pair.in, "file", pair.in, "dir/file", &e));
	ck_assert_int_eq(poll(&p, 1, 10000), 1);
	ck_assert_int_gt(read(p.fd, events, sizeof(events)), 0);
	ck_assert_int_eq(read(p.fd, events, sizeof(events)), -1);
	close(p.fd);
	ck_assert_int_ne(fsat_watch(pair.in, "none", &p.fd, &e), 0);
}
END_TEST

START_TEST(free_space_is_told)
{
	struct err e = ERR_INIT;
	uint64_t bytes = 0, inodes = 0;

	OK(fsat_free_space(pair.in, &bytes, &inodes, &e));
	ck_assert_uint_gt(bytes, 0);
	ck_assert_uint_gt(inodes, 0);
	ck_assert_int_eq(fsat_free_space(-1, &bytes, &inodes, &e), ERR_SYS);
	OK(fsat_syncfs(pair.in, &e));
}
END_TEST

START_TEST(temporaries_can_be_recognised)
{
	struct err e = ERR_INIT;
	char a[FSAT_TMP_BYTES], b[FSAT_TMP_BYTES];
	int fd[2];

	OK(fsat_temporary(pair.in, 0600, a, &fd[0], &e));
	OK(fsat_temporary(pair.in, 0600, b, &fd[1], &e));
	ck_assert_str_ne(a, b);
	ck_assert_uint_eq(strlen(a), FSAT_TMP_BYTES - 1);
	ck_assert_int_eq(
	    strncmp(a, FSAT_TMP_PREFIX, strlen(FSAT_TMP_PREFIX)), 0);
	ck_assert(fsat_pair_has(pair.in, a));
	close(fd[0]);
	close(fd[1]);
}
END_TEST

START_TEST(operators_paths_follow_links)
{
	struct err e = ERR_INIT;
	struct buf b;
	char path[400];
	int fd;

	buf_init(&b, 100);
	(void)snprintf(path, sizeof(path), "%s/in/file-link", pair.s.path);
	OK(fsat_operator_read(path, 100, &b, &e));
	ck_assert_str_eq(buf_str(&b), "outside");
	ck_assert_int_eq(fsat_operator_read(path, 6, &b, &e), ERR_LIMIT);
	ck_assert_ptr_nonnull(strstr(e.msg, path));
	(void)snprintf(
	    path, sizeof(path), "%s/in/out-link/made/a/b", pair.s.path);
	ck_assert_int_eq(
	    fsat_operator_dir(path, false, 0, &fd, &e), ERR_NOT_FOUND);
	OK(fsat_operator_dir(path, true, 0700, &fd, &e));
	close(fd);
	OK(fsat_operator_dir(path, true, 0700, &fd, &e));
	close(fd);
	ck_assert(fsat_pair_has(pair.out, "made/a/b"));
	OK(fsat_operator_hold(path, &fd, &e));
	close(fd);
	buf_release(&b);
}
END_TEST

START_TEST(parents_that_can_only_be_searched_are_enough)
{
	struct err e = ERR_INIT;
	struct fsat_stat st;
	int fd;

	OK(fsat_chmod(pair.in, "dir", 0711, &e));
	OK(fsat_mkdir(pair.in, "dir/x", 0755, &e));
	fsat_pair_write(pair.in, "dir/x/file", "");
	OK(fsat_chmod(pair.in, "dir", 0111, &e));
	if (geteuid() == 0)
		ck_assert_int_eq(seteuid(65534), 0);
	OK(fsat_stat(pair.in, "dir/x/file", &st, &e));
	OK(fsat_open_file(pair.in, "dir/x/file", &fd, &e));
	close(fd);
	OK(fsat_hold_dir(pair.in, "dir", &fd, &e));
	OK(fsat_stat(fd, "x", &st, &e));
	close(fd);
	ck_assert_int_eq(fsat_open_dir(pair.in, "dir", &fd, &e), ERR_SYS);
	if (getuid() == 0)
		ck_assert_int_eq(seteuid(0), 0);
	OK(fsat_chmod(pair.in, "dir", 0755, &e));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("fsat_verbs");
	TCase *t = tcase_create("fsat_verbs");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, any_bytes_make_a_name);
	tcase_add_test(t, lists_are_sorted_and_complete);
	tcase_add_test(t, stat_says_what_stat_says);
	tcase_add_test(t, only_regular_files_are_opened);
	tcase_add_test(t, reading_leaves_no_trace);
	tcase_add_test(t, reading_stops_at_its_limit);
	tcase_add_loop_test(t, write_file_replaces_as_a_whole, 0, 3);
	tcase_add_test(t, links_and_renames_work_across_directories);
	tcase_add_test(t, mkdir_all_makes_what_is_missing);
	tcase_add_test(t, trees_are_removed_to_the_last_name);
	tcase_add_test(t, trees_end_at_another_file_system);
	tcase_add_loop_test(t, metadata_is_of_the_name_or_the_descriptor, 0, 2);
	tcase_add_loop_test(
	    t, attributes_are_set_listed_read_and_removed, 0, 2);
	tcase_add_loop_test(
	    t, attributes_are_reached_through_a_held_name, 0, 2);
	tcase_add_test(t, a_lock_is_held_by_one);
	tcase_add_test(t, a_watch_tells_of_new_names);
	tcase_add_test(t, free_space_is_told);
	tcase_add_test(t, temporaries_can_be_recognised);
	tcase_add_test(t, operators_paths_follow_links);
	tcase_add_test(t, parents_that_can_only_be_searched_are_enough);
	suite_add_tcase(s, t);
	srunner_set_fork_status(r, CK_FORK); /* one test gives up root */
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
