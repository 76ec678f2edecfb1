/* What a process can no longer do after sandbox_enter.  Every test confines a
 * child, which reports by its exit status. */
#include "common/sandbox.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/fsat.h"
#include "tests/scratch.h"

#define OK(call) ck_assert_msg((call) == 0, "%s: %s", #call, e.msg)

static struct scratch scratch;
static int readable, writable;

static void
set_up(void)
{
	struct err e = ERR_INIT;

	scratch_make(&scratch);
	OK(fsat_mkdir_all(scratch.fd, "read/sub", 0755, &e));
	OK(fsat_mkdir_all(scratch.fd, "write/sub", 0777, &e));
	OK(fsat_mkdir_all(scratch.fd, "other", 0777, &e));
	OK(fsat_chmod(scratch.fd, "write", 0777, &e));
	OK(fsat_chmod(scratch.fd, "other", 0777, &e));
	OK(fsat_chmod(scratch.fd, "", 0755, &e));
	OK(fsat_write_file(scratch.fd, "read/file", 0644, "r", 1, &e));
	OK(fsat_write_file(scratch.fd, "other/file", 0666, "o", 1, &e));
	OK(fsat_open_dir(scratch.fd, "read", &readable, &e));
	OK(fsat_open_dir(scratch.fd, "write", &writable, &e));
}

static void
tear_down(void)
{
	close(readable);
	close(writable);
	scratch_remove(&scratch);
}

/* Exit status of a child that is confined as s says and then runs `fn`, which
 * says 0 or the number of what went wrong; 100 when confining failed. */
static int
confined(struct sandbox *s, int (*fn)(void))
{
	struct err e = ERR_INIT;
	int status = 0;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		if (sandbox_enter(s, &e) != 0) {
			(void)fprintf(stderr, "%s\n", e.msg);
			_exit(100);
		}
		_exit(fn());
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int
nothing(void)
{
	return 0;
}

#ifndef PECIA_NO_SANDBOX

static int
reach_files(void)
{
	struct err e = ERR_INIT;
	struct buf b;
	int fd;

	buf_init(&b, 100);
	if (fsat_read_file(readable, "file", 100, &b, &e) != 0)
		return 1;
	if (fsat_read_file(scratch.fd, "other/file", 100, &b, &e) == 0)
		return 2;
	if (fsat_create(readable, "new", 0600, &fd, &e) == 0)
		return 3;
	if (fsat_create(scratch.fd, "other/new", 0600, &fd, &e) == 0)
		return 4;
	if (fsat_write_file(writable, "new", 0600, "x", 1, &e) != 0)
		return 5;
	if (fsat_rename(writable, "new", writable, "sub/new", &e) != 0)
		return 6;
	if (fsat_read_file(writable, "sub/new", 100, &b, &e) != 0)
		return 7;
	if (fsat_rename(writable, "sub/new", readable, "new", &e) == 0)
		return 8;
	if (fsat_remove_tree(writable, "sub", &e) != 0)
		return 9;
	if (fsat_operator_open("/etc/passwd", &fd, &e) == 0)
		return 10;
	buf_release(&b);
	return 0;
}

START_TEST(only_what_is_listed_can_be_reached)
{
	struct sandbox s = { .read_fds = &readable,
		.read_count = 1,
		.write_fds = &writable,
		.write_count = 1 };

	if (sandbox_landlock_abi() == 0)
		return; /* this kernel cannot */
	ck_assert_int_eq(confined(&s, reach_files), 0);
}
END_TEST

static int
reach_paths(void)
{
	struct err e = ERR_INIT;
	int fd;

	if (fsat_operator_open("/etc/passwd", &fd, &e) != 0)
		return 1;
	if (fsat_operator_open("/etc/hostname", &fd, &e) == 0)
		return 2;
	return fsat_operator_dir("/usr/lib", false, 0, &fd, &e) != 0 ? 3 : 0;
}

START_TEST(paths_may_be_files_or_missing)
{
	static const char *const paths[] = { "/etc/passwd", "/usr",
		"/nonexistent/file", NULL };
	struct sandbox s = { .read_paths = paths };

	if (sandbox_landlock_abi() == 0)
		return;
	ck_assert_int_eq(confined(&s, reach_paths), 0);
}
END_TEST

static int
is_confined(void)
{
	void *volatile memory;
	struct rlimit r;

	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return 1;
	if (prctl(PR_GET_DUMPABLE) != 0)
		return 2;
	if (getrlimit(RLIMIT_CORE, &r) != 0 || r.rlim_max != 0)
		return 3;
	if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_max != 20)
		return 4;
	if (getrlimit(RLIMIT_FSIZE, &r) != 0 || r.rlim_cur != 12345)
		return 5;
	if (getrlimit(RLIMIT_AS, &r) != 0 || r.rlim_cur != 1 << 30)
		return 6;
	memory = malloc(1U << 30);
	if (memory == NULL)
		return 0;
	free(memory);
	return 7;
}

START_TEST(limits_hold)
{
	struct sandbox s = { .max_files = 20,
		.max_file_bytes = 12345,
		.max_memory_bytes = 1 << 30 };

	ck_assert_int_eq(confined(&s, is_confined), 0);
}
END_TEST

static int
is_alone(void)
{
	int fd;

	if (fcntl(readable, F_GETFD) < 0 || fcntl(2, F_GETFD) < 0)
		return 1;
	for (fd = 3; fd < 1024; fd++) {
		if (fd != readable && fcntl(fd, F_GETFD) >= 0)
			return 2;
	}
	return 0;
}

START_TEST(other_descriptors_are_closed)
{
	int keep[3] = { STDERR_FILENO, readable, readable }, fd;
	struct sandbox s = {
		.keep_fds = keep, .keep_count = 3, .close_others = true
	};

	for (fd = 0; fd < 10; fd++)
		ck_assert_int_ge(dup(writable), 0);
	ck_assert_int_eq(confined(&s, is_alone), 0);
}
END_TEST

#endif

static int
is_nobody(void)
{
	uid_t r, f, s;
	gid_t groups[10];

	if (getresuid(&r, &f, &s) != 0 || r != 65534 || f != 65534 ||
	    s != 65534)
		return 1;
	if (getgroups(10, groups) != 1 || groups[0] != getgid() ||
	    getgid() == 0)
		return 2;
	if (setuid(0) == 0 || setgid(0) == 0)
		return 3;
	return 0;
}

START_TEST(root_becomes_the_user_for_good)
{
	struct sandbox s = { .user = "nobody" };

	if (geteuid() != 0) { /* stays what he is */
		ck_assert_int_eq(confined(&s, nothing), 0);
		return;
	}
	ck_assert_int_eq(confined(&s, is_nobody), 0);
}
END_TEST

START_TEST(unknown_users_and_root_are_refused)
{
	struct sandbox s = { .user = "no-such-user-here" };
	struct err e = ERR_INIT;

	if (geteuid() != 0)
		return;
	ck_assert_int_eq(sandbox_enter(&s, &e), ERR_USAGE);
	ck_assert_ptr_nonnull(strstr(e.msg, "no-such-user-here"));
	s.user = "root";
	ck_assert_int_eq(sandbox_enter(&s, &e), ERR_USAGE);
	ck_assert_int_eq(geteuid(), 0);
}
END_TEST

static int
sees_little(void)
{
	extern char **environ;
	const char *kept = getenv("PECIA_KEPT");
	size_t count = 0;

	while (environ[count] != NULL)
		count++;
	if (count != 2 || getenv("PATH") == NULL)
		return 1;
	if (kept == NULL || strcmp(kept, "value") != 0)
		return 2;
	return getenv("LD_PRELOAD") != NULL ? 3 : 0;
}

START_TEST(the_environment_is_scrubbed)
{
	static const char *const keep[] = { "PECIA_KEPT", "PECIA_MISSING",
		NULL };
	struct sandbox s = { .keep_env = keep };

	setenv("PECIA_KEPT", "value", 1);
	setenv("PECIA_OTHER", "value", 1);
	ck_assert_int_eq(confined(&s, sees_little), 0);
}
END_TEST

START_TEST(ends_with_its_parent)
{
	struct err e = ERR_INIT;
	int ends[2], ready[2], status;
	char byte = 0;
	pid_t parent;

	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_eq(pipe(ready), 0);
	parent = fork();
	ck_assert_int_ge(parent, 0);
	if (parent == 0) {
		struct sandbox s = { .user = "nobody", .parent = getpid() };

		if (fork() == 0) {
			if (sandbox_enter(&s, &e) != 0)
				_exit(1);
			if (write(ready[1], "x", 1) != 1)
				_exit(1);
			for (;;)
				pause(); /* holds ends[1] */
		}
		_exit(read(ready[0], &byte, 1) == 1 ? 0 : 1);
	}
	close(ends[1]);
	close(ready[1]);
	ck_assert_int_eq(waitpid(parent, &status, 0), parent);
	ck_assert_int_eq(status, 0);
	/* The end of the pipe tells that the grandchild has gone. */
	ck_assert_int_eq(read(ends[0], &byte, 1), 0);
	close(ends[0]);
	close(ready[0]);
}
END_TEST

START_TEST(a_parent_that_went_is_noticed)
{
	struct sandbox s = { .parent = 1 };

	if (getpid() != 1)
		ck_assert_int_eq(confined(&s, nothing), 100);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("sandbox");
	TCase *t = tcase_create("sandbox");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_set_timeout(t, 30);
	tcase_add_checked_fixture(t, set_up, tear_down);
#ifndef PECIA_NO_SANDBOX
	tcase_add_test(t, only_what_is_listed_can_be_reached);
	tcase_add_test(t, paths_may_be_files_or_missing);
	tcase_add_test(t, limits_hold);
	tcase_add_test(t, other_descriptors_are_closed);
#endif
	tcase_add_test(t, root_becomes_the_user_for_good);
	tcase_add_test(t, unknown_users_and_root_are_refused);
	tcase_add_test(t, the_environment_is_scrubbed);
	tcase_add_test(t, ends_with_its_parent);
	tcase_add_test(t, a_parent_that_went_is_noticed);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
