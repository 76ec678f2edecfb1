/* Scans of trees. */
#include <check.h>
#include <errno.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "tests/scan_fixture.h"

START_TEST(entries_come_in_the_order_of_manifests)
{
	struct run r;

	run_init(&r);
	put_dir(&r, "etc");
	put_file(&r, "etc/b", "hello");
	put_file(&r, "etc/a", "");
	put_dir(&r, "etc/deep");
	put_file(&r, "etc/deep/x", "");
	put_file(&r, "etc-old", "");
	put_file(&r, "\001 \\\xff", "");
	put_symlink(&r, "../nowhere else", "etc/link");
	ck_assert_int_eq(
	    fsat_mknod(r.scratch.fd, "pipe", S_IFIFO | 0600, 0, NULL), 0);
	put_socket(&r, "socket");
	run_must_scan(&r);
	ck_assert_str_eq(buf_str(&r.listing),
	    "d .\nf \001 \\\xff\nd etc\nf etc/a\nf etc/b\nd etc/deep\n"
	    "f etc/deep/x\nl ../nowhere else etc/link\nf etc-old\np pipe\n");
	ck_assert_str_eq(buf_str(&r.skipped), "socket: socket\n");
	ck_assert_ptr_nonnull(
	    strstr(buf_str(&r.text), " 5 " HELLO_SUM " etc/b\n"));
	ck_assert_uint_eq(r.totals.entries, 10);
	ck_assert_uint_eq(r.totals.files, 5);
	ck_assert_uint_eq(r.totals.content_bytes, 5);
	ck_assert_uint_eq(r.totals.wanted, 5);
	ck_assert_uint_eq(r.totals.skipped, 1);
	run_release(&r);
}
END_TEST

/* Where the file system of the test has them. */
START_TEST(holes_and_flags_are_told_after_the_object)
{
	struct fsat_stat st;
	char page[4096] = "";
	int fd = -1;
	struct run r;

	run_init(&r);
	ck_assert_int_eq(
	    fsat_create(r.scratch.fd, "holes", 0644, &fd, NULL), 0);
	ck_assert_int_eq(fsat_skip(fd, 1 << 20, NULL), 0);
	ck_assert_int_eq(fsat_end_hole(fd, NULL), 0);
	ck_assert_int_eq(fsat_stat_fd(fd, &st, NULL), 0);
	close(fd);
	ck_assert_int_eq(fsat_write_file(r.scratch.fd, "zeros", 0644, page,
	                     sizeof(page), NULL),
	    0);
	put_file(&r, "kept", "");
	(void)!fsat_set_flags(r.scratch.fd, "kept", FSAT_FLAG_APPEND, NULL);
	run_must_scan(&r);
	if (st.stored_bytes == 0)
		ck_assert_ptr_nonnull(
		    strstr(buf_str(&r.text), " holes\na s\n"));
	ck_assert_ptr_nonnull(strstr(buf_str(&r.text), " zeros\n"));
	ck_assert_ptr_null(strstr(buf_str(&r.text), " zeros\na"));
	ck_assert_int_eq(fsat_stat(r.scratch.fd, "kept", &st, NULL), 0);
	ck_assert(st.flags ==
	    (strstr(buf_str(&r.text), " kept\na a\n") != NULL ? FSAT_FLAG_APPEND
	                                                      : 0));
	(void)!fsat_set_flags(r.scratch.fd, "kept", 0, NULL);
	run_release(&r);
}
END_TEST

START_TEST(metadata_is_that_of_the_file)
{
	const struct timespec mtime = { -5, 123456789 };
	char wanted[256];
	struct run r;

	run_init(&r);
	put_file(&r, "f", "hello");
	ck_assert_int_eq(fsat_chmod(r.scratch.fd, "f", 04751, NULL), 0);
	ck_assert_int_eq(fsat_utime(r.scratch.fd, "f", &mtime, NULL), 0);
	r.o.numeric_owner = true;
	run_must_scan(&r);
	(void)snprintf(wanted, sizeof(wanted),
	    "f 4751 #%u #%u -5.123456789 5 " HELLO_SUM " f\n", geteuid(),
	    getegid());
	ck_assert_ptr_nonnull(strstr(buf_str(&r.text), wanted));
	run_release(&r);
}
END_TEST

START_TEST(owners_are_names_where_there_are_any)
{
	struct run r;

	if (geteuid() != 0)
		return;
	run_init(&r);
	put_file(&r, "a", "");
	put_file(&r, "b", "");
	ck_assert_int_eq(
	    fsat_chown(r.scratch.fd, "b", 3999999999, 3999999998, NULL), 0);
	run_must_scan(&r);
	ck_assert_ptr_nonnull(strstr(buf_str(&r.text), " root root "));
	ck_assert_ptr_nonnull(
	    strstr(buf_str(&r.text), " #3999999999 #3999999998 "));
	run_release(&r);
}
END_TEST

START_TEST(names_of_one_file_are_hard_links)
{
	struct run r;

	run_init(&r);
	put_dir(&r, "a");
	put_file(&r, "z", "hello");
	put_link(&r, "z", "a/1");
	put_link(&r, "z", "b");
	put_file(&r, "c", "");
	put_link(&r, "c", "left-out");
	run_must_scan(&r);
	ck_assert_str_eq(buf_str(&r.listing),
	    "d .\nd a\nf a/1\nh a/1 b\nf c\nh c left-out\nh a/1 z\n");
	ck_assert_str_eq(buf_str(&r.wanted), "a/1\nc\n");
	run_release(&r);
}
END_TEST

static const struct {
	char *patterns[3];
	const char *listing;
} excludes[] = {
	{ { NULL }, "d .\nd a\nd a/b\nf a/b/x\nf a/x.tmp\nf x\n" },
	{ { (char *)(uintptr_t) "*.tmp" }, "d .\nd a\nd a/b\nf a/b/x\nf x\n" },
	{ { (char *)(uintptr_t) "x" }, "d .\nd a\nd a/b\nf a/x.tmp\n" },
	{ { (char *)(uintptr_t) "/x" },
	    "d .\nd a\nd a/b\nf a/b/x\nf a/x.tmp\n" },
	{ { (char *)(uintptr_t) "a/b" }, "d .\nd a\nf a/x.tmp\nf x\n" },
	{ { (char *)(uintptr_t) "a", (char *)(uintptr_t) "x" }, "d .\n" },
	{ { (char *)(uintptr_t) "b", (char *)(uintptr_t) "a/*.tmp" },
	    "d .\nd a\nf x\n" },
};

START_TEST(excluded_names_are_left_out_with_all_below)
{
	struct run r;

	run_init(&r);
	put_dir(&r, "a");
	put_dir(&r, "a/b");
	put_file(&r, "a/b/x", "");
	put_file(&r, "a/x.tmp", "");
	put_file(&r, "x", "");
	r.o.excludes = excludes[_i].patterns;
	while (excludes[_i].patterns[r.o.exclude_count] != NULL)
		r.o.exclude_count++;
	run_must_scan(&r);
	ck_assert_str_eq(buf_str(&r.listing), excludes[_i].listing);
	run_release(&r);
}
END_TEST

START_TEST(xattrs_are_sorted_and_remembered)
{
	int cache = memfd_create("cache", MFD_CLOEXEC);
	struct buf first;
	struct run r;

	run_init(&r);
	put_file(&r, "f", "hello");
	put_dir(&r, "g");
	if (fsat_xattr_set(r.scratch.fd, "f", "user.b", "\0", 1, NULL) != 0) {
		run_release(&r);
		return; /* a file system without */
	}
	ck_assert_int_eq(
	    fsat_xattr_set(r.scratch.fd, "f", "user.a b", "", 0, NULL), 0);
	ck_assert_int_eq(
	    fsat_xattr_set(r.scratch.fd, "g", "user.dir", "abc", 3, NULL), 0);
	ck_assert_int_eq(run_scan_cached(&r, cache, false, 10), 0);
	ck_assert_ptr_nonnull(strstr(
	    buf_str(&r.text), " f\nx user.a\\040b \\-\nx user.b AA==\n"));
	ck_assert_ptr_nonnull(
	    strstr(buf_str(&r.text), " g\nx user.dir YWJj\n"));
	first = r.text;
	buf_init(&r.text, 1 << 20);
	ck_assert_int_eq(run_scan_cached(&r, cache, true, 10), 0);
	ck_assert_uint_eq(r.totals.wanted, 0);
	ck_assert_str_eq(buf_str(&r.text), buf_str(&first));
	buf_release(&first);
	close(cache);
	run_release(&r);
}
END_TEST

START_TEST(only_what_changed_is_read_again)
{
	int cache = memfd_create("cache", MFD_CLOEXEC);
	const struct timespec old = { 1600000000, 0 };
	struct run r;

	run_init(&r);
	put_dir(&r, "d");
	put_file(&r, "d/a", "hello");
	put_file(&r, "d/b", "hello");
	put_file(&r, "d/c", "hello");
	ck_assert_int_eq(run_scan_cached(&r, cache, false, 10), 0);
	ck_assert_uint_eq(r.totals.wanted, 3);
	ck_assert_int_eq(run_scan_cached(&r, cache, true, 10), 0);
	ck_assert_uint_eq(r.totals.wanted, 0);
	ck_assert_ptr_nonnull(
	    strstr(buf_str(&r.text), " 5 " HELLO_SUM " d/c\n"));
	/* Content, though size and mtime are what they were; and a new one. */
	ck_assert_int_eq(fsat_utime(r.scratch.fd, "d/b", &old, NULL), 0);
	ck_assert_int_eq(run_scan_cached(&r, cache, true, 10), 0);
	ck_assert_str_eq(buf_str(&r.wanted), "d/b\n");
	put_file(&r, "d/b", "HELLO");
	ck_assert_int_eq(fsat_utime(r.scratch.fd, "d/b", &old, NULL), 0);
	put_file(&r, "d/new", "");
	ck_assert_int_eq(run_scan_cached(&r, cache, true, 0), 0);
	ck_assert_str_eq(buf_str(&r.wanted), "d/b\nd/new\n");
	/* That scan was no 2 s after the changes: nothing of it is trusted. */
	ck_assert_int_eq(run_scan_cached(&r, cache, true, 0), 0);
	ck_assert_uint_eq(r.totals.wanted, 4);
	close(cache);
	run_release(&r);
}
END_TEST

START_TEST(a_damaged_stat_cache_is_done_without)
{
	int cache = memfd_create("cache", MFD_CLOEXEC);
	struct run r;

	run_init(&r);
	put_file(&r, "a", "hello");
	ck_assert_int_eq(run_scan_cached(&r, cache, false, 10), 0);
	ck_assert_int_eq(pwrite(cache, "x", 1, 100), 1);
	ck_assert_int_eq(run_scan_cached(&r, cache, true, 10), 0);
	ck_assert_str_eq(buf_str(&r.wanted), "a\n");
	ck_assert_int_eq(run_scan_cached(&r, cache, true, 10), 0);
	ck_assert_str_eq(buf_str(&r.wanted), "");
	close(cache);
	run_release(&r);
}
END_TEST

static void
remove_next(struct run *r, const struct manifest_entry *m)
{
	if (strcmp(m->path, "d/a") == 0)
		ck_assert_int_eq(fsat_unlink(r->scratch.fd, "d/b", NULL), 0);
}

static void
replace_dir(struct run *r, const struct manifest_entry *m)
{
	if (strcmp(m->path, "d") != 0)
		return;
	ck_assert_int_eq(
	    fsat_rename(r->scratch.fd, "d", r->scratch.fd, "old", NULL), 0);
	put_symlink(r, "old", "d");
}

static void
swap_dir(struct run *r, const struct manifest_entry *m)
{
	if (strcmp(m->path, "d") != 0)
		return;
	ck_assert_int_eq(
	    fsat_rename(r->scratch.fd, "d", r->scratch.fd, "old", NULL), 0);
	put_dir(r, "d");
}

static const struct {
	void (*on_entry)(struct run *r, const struct manifest_entry *m);
	const char *path;
} vanishings[] = {
	{ remove_next, "d/b: " },
	{ replace_dir, "d: " },
	{ swap_dir, "d: " },
};

START_TEST(what_vanishes_or_is_replaced_is_named)
{
	struct run r;

	run_init(&r);
	put_dir(&r, "d");
	put_symlink(&r, "to", "d/a");
	put_file(&r, "d/b", "");
	r.on_entry = vanishings[_i].on_entry;
	ck_assert_int_eq(run_scan(&r), ERR_CHANGED);
	ck_assert_msg(strncmp(r.e.msg, vanishings[_i].path,
	                  strlen(vanishings[_i].path)) == 0,
	    "%s", r.e.msg);
	run_release(&r);
}
END_TEST

START_TEST(devices_are_taken_when_asked_for)
{
	struct run r;

	run_init(&r);
	if (fsat_mknod(r.scratch.fd, "null", S_IFCHR | 0666, makedev(1, 3),
	        NULL) != 0) {
		run_release(&r);
		return; /* not allowed here */
	}
	ck_assert_int_eq(run_scan(&r), ERR_UNSUPPORTED);
	ck_assert_ptr_nonnull(strstr(r.e.msg, "null: is a device"));
	r.o.devices = true;
	run_must_scan(&r);
	ck_assert_ptr_nonnull(strstr(buf_str(&r.text), " 1 3 null\n"));
	run_release(&r);
}
END_TEST

START_TEST(a_file_that_cannot_be_read_is_named)
{
	uid_t uid = geteuid();
	struct run r;
	int rc;

	run_init(&r);
	put_dir(&r, "d");
	put_file(&r, "d/secret", "");
	ck_assert_int_eq(fsat_chmod(r.scratch.fd, ".", 0755, NULL), 0);
	ck_assert_int_eq(fsat_chmod(r.scratch.fd, "d/secret", 0, NULL), 0);
	if (uid == 0)
		ck_assert_int_eq(seteuid(65534), 0);
	rc = run_scan(&r);
	if (uid == 0)
		ck_assert_int_eq(seteuid(0), 0);
	ck_assert_int_eq(rc, ERR_SYS);
	ck_assert_int_eq(r.e.sys, EACCES);
	ck_assert_ptr_nonnull(strstr(r.e.msg, "d/secret: "));
	run_release(&r);
}
END_TEST

START_TEST(other_file_systems_are_entered_unless_told_not_to)
{
	struct run r;
	char mount_point[300];

	run_init(&r);
	put_dir(&r, "mnt");
	(void)snprintf(
	    mount_point, sizeof(mount_point), "%s/mnt", r.scratch.path);
	if (!scratch_own_mounts() ||
	    mount("none", mount_point, "tmpfs", 0, NULL) != 0) {
		run_release(&r);
		return; /* not allowed here */
	}
	/* The descriptor of before sees the mounts of before. */
	close(r.scratch.fd);
	ck_assert_int_eq(
	    fsat_operator_dir(r.scratch.path, false, 0, &r.scratch.fd, NULL),
	    0);
	r.o.dir = r.scratch.fd;
	put_file(&r, "mnt/f", "");
	put_file(&r, "z", "");
	run_must_scan(&r);
	ck_assert_str_eq(buf_str(&r.listing), "d .\nd mnt\nf mnt/f\nf z\n");
	r.o.one_file_system = true;
	run_must_scan(&r);
	ck_assert_str_eq(buf_str(&r.listing), "d .\nd mnt\nf z\n");
	ck_assert_str_eq(buf_str(&r.skipped), "mnt: mount point\n");
	ck_assert_int_eq(umount(mount_point), 0);
	run_release(&r);
}
END_TEST

/* Directories "d" one below the other, a file behind each; the last, open. */
static int
put_depth(const struct run *r, size_t depth)
{
	int dir = dup(r->scratch.fd), next, fd;

	for (size_t i = 0; i < depth; i++) {
		ck_assert_int_eq(fsat_mkdir(dir, "d", 0755, NULL), 0);
		ck_assert_int_eq(fsat_create(dir, "e", 0644, &fd, NULL), 0);
		close(fd);
		ck_assert_int_eq(fsat_open_dir(dir, "d", &next, NULL), 0);
		close(dir);
		dir = next;
	}
	return dir;
}

START_TEST(deep_trees_take_few_descriptors)
{
	const struct rlimit few = { 100, 100 };
	struct run r;

	run_init(&r);
	close(put_depth(&r, 1000));
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	run_must_scan(&r);
	ck_assert_uint_eq(r.totals.entries, 2001);
	run_release(&r);
}
END_TEST

START_TEST(a_path_too_long_is_an_error)
{
	struct run r;
	int dir, fd;

	run_init(&r);
	dir = put_depth(&r, 2040); /* 4,079 bytes */
	ck_assert_int_eq(
	    fsat_create(dir, "0123456789abcde", 0644, &fd, NULL), 0);
	close(fd);
	run_must_scan(&r);
	ck_assert_int_eq(
	    fsat_create(dir, "0123456789abcdef", 0644, &fd, NULL), 0);
	close(fd);
	close(dir);
	ck_assert_msg(run_scan(&r) == ERR_LIMIT, "%s", r.e.msg);
	ck_assert_ptr_nonnull(strstr(r.e.msg, "4095"));
	run_release(&r);
}
END_TEST

int
main(void)
{
#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))
	Suite *s = suite_create("scan");
	TCase *t = tcase_create("scan");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 120);
	tcase_add_test(t, entries_come_in_the_order_of_manifests);
	tcase_add_test(t, holes_and_flags_are_told_after_the_object);
	tcase_add_test(t, metadata_is_that_of_the_file);
	tcase_add_test(t, owners_are_names_where_there_are_any);
	tcase_add_test(t, names_of_one_file_are_hard_links);
	tcase_add_loop_test(
	    t, excluded_names_are_left_out_with_all_below, 0, COUNT(excludes));
	tcase_add_test(t, xattrs_are_sorted_and_remembered);
	tcase_add_test(t, only_what_changed_is_read_again);
	tcase_add_test(t, a_damaged_stat_cache_is_done_without);
	tcase_add_loop_test(
	    t, what_vanishes_or_is_replaced_is_named, 0, COUNT(vanishings));
	tcase_add_test(t, devices_are_taken_when_asked_for);
	tcase_add_test(t, a_file_that_cannot_be_read_is_named);
	tcase_add_test(t, other_file_systems_are_entered_unless_told_not_to);
	tcase_add_test(t, deep_trees_take_few_descriptors);
	tcase_add_test(t, a_path_too_long_is_an_error);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
