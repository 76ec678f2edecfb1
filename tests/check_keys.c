/* The origin's key files. */
#include "server/keys.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fsat.h"
#include "tests/scratch.h"

static struct scratch scratch;
static char dir[320];

static void
set_up(void)
{
	scratch_make(&scratch);
	(void)snprintf(dir, sizeof(dir), "%s/new/keys", scratch.path);
}

static void
tear_down(void)
{
	scratch_remove(&scratch);
}

static uint32_t
mode_of(const char *path)
{
	struct err e = ERR_INIT;
	struct fsat_stat st;

	ck_assert_msg(fsat_stat(scratch.fd, path, &st, &e) == 0, "%s", e.msg);
	return st.mode & 07777;
}

START_TEST(a_new_key_is_private_and_read_back)
{
	struct key *made = NULL, *read = NULL;
	struct key_public a, b;
	struct err e = ERR_INIT;
	bool has = true;

	ck_assert_int_eq(keys_has(dir, KEYS_ROOT, &has, &e), 0);
	ck_assert(!has);
	ck_assert_msg(keys_create(dir, KEYS_ROOT, &made, &e) == 0, "%s", e.msg);
	ck_assert_uint_eq(mode_of("new/keys"), 0700);
	ck_assert_uint_eq(mode_of("new/keys/root.pem"), 0600);
	ck_assert_int_eq(keys_has(dir, KEYS_ROOT, &has, &e), 0);
	ck_assert(has);
	ck_assert_int_eq(keys_has(dir, KEYS_HEAD, &has, &e), 0);
	ck_assert(!has);
	ck_assert_msg(keys_open(dir, KEYS_ROOT, &read, &e) == 0, "%s", e.msg);
	key_public_of(made, &a);
	key_public_of(read, &b);
	ck_assert_mem_eq(&a, &b, sizeof(a));
	key_free(made);
	key_free(read);
}
END_TEST

START_TEST(a_key_is_never_overwritten)
{
	struct key *first = NULL, *second = NULL, *read = NULL;
	struct key_public a, b;
	struct fsat_names names;
	struct err e = ERR_INIT;
	int fd = -1;

	ck_assert_int_eq(keys_create(dir, KEYS_HEAD, &first, &e), 0);
	ck_assert_int_eq(
	    keys_create(dir, KEYS_HEAD, &second, &e), ERR_CONFLICT);
	ck_assert_ptr_nonnull(strstr(e.msg, "head.pem"));
	ck_assert_ptr_null(second);
	ck_assert_int_eq(keys_open(dir, KEYS_HEAD, &read, &e), 0);
	key_public_of(first, &a);
	key_public_of(read, &b);
	ck_assert_mem_eq(&a, &b, sizeof(a));
	/* Nor is anything left beside it. */
	ck_assert_int_eq(fsat_operator_dir(dir, false, 0, &fd, &e), 0);
	ck_assert_int_eq(fsat_list(fd, &names, &e), 0);
	ck_assert_uint_eq(names.count, 1);
	fsat_names_release(&names);
	close(fd);
	key_free(first);
	key_free(read);
}
END_TEST

START_TEST(a_key_that_others_may_touch_is_refused)
{
	static const struct {
		uint32_t mode;
		int want;
	} cases[] = {
		{ 0600, 0 },
		{ 0400, 0 },
		{ 0640, 0 },
		{ 0644, ERR_USAGE },
		{ 0604, ERR_USAGE },
		{ 0660, ERR_USAGE },
		{ 0602, ERR_USAGE },
	};
	struct key *key = NULL;
	struct err e = ERR_INIT;

	ck_assert_int_eq(keys_create(dir, KEYS_HEAD, &key, &e), 0);
	key_free(key);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		key = NULL;
		ck_assert_int_eq(fsat_chmod(scratch.fd, "new/keys/head.pem",
		                     cases[i].mode, &e),
		    0);
		ck_assert_int_eq(
		    keys_open(dir, KEYS_HEAD, &key, &e), cases[i].want);
		key_free(key);
	}
}
END_TEST

START_TEST(what_is_no_key_is_refused_by_name)
{
	struct key *key = NULL;
	struct err e = ERR_INIT;

	ck_assert_int_eq(keys_open(dir, KEYS_RELEASE, &key, &e), ERR_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(e.msg, "release.pem"));
	ck_assert_int_eq(fsat_mkdir_all(scratch.fd, "new/keys", 0700, &e), 0);
	ck_assert_int_eq(fsat_write_file(scratch.fd, "new/keys/release.pem",
	                     0600, "no key", 6, &e),
	    0);
	ck_assert_int_ne(keys_open(dir, KEYS_RELEASE, &key, &e), 0);
	ck_assert_ptr_nonnull(strstr(e.msg, "release.pem"));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("keys");
	TCase *t = tcase_create("keys");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, a_new_key_is_private_and_read_back);
	tcase_add_test(t, a_key_is_never_overwritten);
	tcase_add_test(t, a_key_that_others_may_touch_is_refused);
	tcase_add_test(t, what_is_no_key_is_refused_by_name);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
