/* Attributes that are waived by name. */
#include "transcripts/waived.h"

#include <check.h>

START_TEST(names_and_beginnings_of_names_match)
{
	static const struct {
		const char *patterns, *name;
		bool waived;
	} rows[] = {
		{ NULL, "user.a", false },
		{ "", "user.a", false },
		{ "user.a", "user.a", true },
		{ "user.a", "user.ab", false },
		{ "user.ab", "user.a", false },
		{ "user.*", "user.a", true },
		{ "user.*", "user.", true },
		{ "user.*", "trusted.user.a", false },
		{ "*", "anything", true },
		{ "user.b user.a", "user.a", true },
		{ "user.b security.*", "security.selinux", true },
		{ "user.b security.*", "user.", false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ck_assert_msg(waived_xattr(rows[i].patterns, rows[i].name) ==
		        rows[i].waived,
		    "%s: %s", rows[i].patterns, rows[i].name);
}
END_TEST

START_TEST(patterns_have_their_star_at_the_end)
{
	ck_assert_ptr_null(waived_fault("user.a"));
	ck_assert_ptr_null(waived_fault("user.*"));
	ck_assert_ptr_nonnull(waived_fault(""));
	ck_assert_ptr_nonnull(waived_fault("*.a"));
	ck_assert_ptr_nonnull(waived_fault("user.**"));
	ck_assert_ptr_nonnull(waived_fault("a b"));
}
END_TEST

START_TEST(waived_lines_are_left_out)
{
	static const char text[] =
	    "x security.selinux AAAA\nx user.a AAAA\nx user.b\\040c \\-\n";
	const struct manifest_xattrs x = { text, strlen(text) };
	struct buf out;

	buf_init(&out, 4096);
	waived_filter("security.* user.b*", x, &out);
	ck_assert_str_eq(buf_str(&out), "x user.a AAAA\n");
	buf_clear(&out);
	waived_filter(NULL, x, &out);
	ck_assert_str_eq(buf_str(&out), text);
	buf_clear(&out);
	waived_filter("*", x, &out);
	waived_filter("*", (struct manifest_xattrs){ NULL, 0 }, &out);
	ck_assert_uint_eq(out.len, 0);
	buf_release(&out);
}
END_TEST

START_TEST(the_line_of_waivers_is_taken_off_again)
{
	struct err e = ERR_INIT;
	char patterns[32];
	const char *rest;
	struct buf text;

	buf_init(&text, 4096);
	waived_line("user.* b", &text);
	buf_add_str(&text, "x user.a AAAA\n");
	ck_assert_int_eq(waived_take_line(buf_str(&text), patterns,
	                     sizeof(patterns), &rest, &e),
	    0);
	ck_assert_str_eq(patterns, "user.* b");
	ck_assert_str_eq(rest, "x user.a AAAA\n");
	ck_assert_int_eq(
	    waived_take_line(rest, patterns, sizeof(patterns), &rest, &e), 0);
	ck_assert_str_eq(patterns, "");
	ck_assert_str_eq(rest, "x user.a AAAA\n");
	ck_assert_int_eq(
	    waived_take_line(buf_str(&text), patterns, 8, &rest, &e),
	    ERR_LIMIT);
	buf_release(&text);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("waived");
	TCase *t = tcase_create("waived");
	SRunner *r;
	int failed;

	tcase_add_test(t, names_and_beginnings_of_names_match);
	tcase_add_test(t, patterns_have_their_star_at_the_end);
	tcase_add_test(t, waived_lines_are_left_out);
	tcase_add_test(t, the_line_of_waivers_is_taken_off_again);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
