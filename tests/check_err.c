/* Error records: codes, messages, escaping. */
#include "common/err.h"

#include <check.h>
#include <errno.h>
#include <string.h>

START_TEST(records_code_and_message)
{
	struct err e = ERR_INIT;

	ck_assert_int_eq(
	    err_set(&e, ERR_FORMAT, "line %d: %s", 7, "bad"), ERR_FORMAT);
	ck_assert_int_eq(e.code, ERR_FORMAT);
	ck_assert_int_eq(e.sys, 0);
	ck_assert_str_eq(e.msg, "line 7: bad");
	err_clear(&e);
	ck_assert_int_eq(e.code, 0);
	ck_assert_str_eq(e.msg, "");
}
END_TEST

START_TEST(makes_control_bytes_visible)
{
	struct err e = ERR_INIT;

	err_set(&e, ERR_NET, "peer says %s", "\x1b[2J\n\x7f\xc3\xa4");
	ck_assert_str_eq(e.msg, "peer says \\033[2J\\012\\177\xc3\xa4");
}
END_TEST

START_TEST(turns_errno_into_code_and_text)
{
	static const struct {
		int sys, code;
	} cases[] = { { ENOENT, ERR_NOT_FOUND }, { ENOMEM, ERR_NO_MEMORY },
		{ EACCES, ERR_SYS }, { EIO, ERR_SYS } };
	struct err e = ERR_INIT;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		errno = cases[i].sys;
		ck_assert_int_eq(err_sys(&e, "open x"), cases[i].code);
		ck_assert_int_eq(errno, cases[i].sys);
		ck_assert_int_eq(e.sys, cases[i].sys);
		ck_assert_ptr_nonnull(strstr(e.msg, strerror(cases[i].sys)));
		ck_assert_int_eq(strncmp(e.msg, "open x: ", 8), 0);
	}
}
END_TEST

START_TEST(prefixes_say_what_was_done)
{
	struct err e = ERR_INIT;

	err_set(&e, ERR_LIMIT, "more than 3 bytes");
	ck_assert_int_eq(err_prefix(&e, "read %s", "a\tb"), ERR_LIMIT);
	ck_assert_str_eq(e.msg, "read a\\011b: more than 3 bytes");
}
END_TEST

START_TEST(cuts_long_messages_off)
{
	struct err e = ERR_INIT;
	char text[3000];
	int i;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	err_set(&e, ERR_FORMAT, "%s", text);
	ck_assert_uint_lt(strlen(e.msg), ERR_MSG_BYTES);
	for (i = 0; i < 50; i++)
		err_prefix(&e, "%.100s", text);
	ck_assert_uint_lt(strlen(e.msg), ERR_MSG_BYTES);
	ck_assert_int_eq(e.code, ERR_FORMAT);
	memset(text, '\n', sizeof(text) - 1);
	err_set(&e, ERR_FORMAT, "%s", text);
	ck_assert_uint_lt(strlen(e.msg), ERR_MSG_BYTES);
}
END_TEST

START_TEST(takes_null_for_nobody_listens)
{
	errno = ENOENT;
	ck_assert_int_eq(err_sys(NULL, "x"), ERR_NOT_FOUND);
	ck_assert_int_eq(err_set(NULL, ERR_VERIFY, "x"), ERR_VERIFY);
	ck_assert_int_eq(err_prefix(NULL, "x"), ERR_SYS);
	ck_assert_int_eq(err_memory(NULL), ERR_NO_MEMORY);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("err");
	TCase *t = tcase_create("err");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, records_code_and_message);
	tcase_add_test(t, makes_control_bytes_visible);
	tcase_add_test(t, turns_errno_into_code_and_text);
	tcase_add_test(t, prefixes_say_what_was_done);
	tcase_add_test(t, cuts_long_messages_off);
	tcase_add_test(t, takes_null_for_nobody_listens);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
