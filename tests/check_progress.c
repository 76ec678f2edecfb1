/* The line of long work, and what a stream may be coloured. */
#include "common/progress.h"

#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MB           UINT64_C(1000000)

static void
expect_line(const struct progress_state *s, unsigned columns, const char *want)
{
	struct buf b;

	buf_init(&b, 4096);
	progress_line(&b, s, columns);
	ck_assert_str_eq(buf_str(&b), want);
	buf_release(&b);
}

START_TEST(says_how_much_how_fast_how_long)
{
	static const struct {
		struct progress_state s;
		const char *want;
	} rows[] = {
		{ { "comparing", 0, 0, 0, 0, 0 }, "comparing" },
		{ { "comparing", 0, 0, 0, 0, 9000 }, "comparing" },
		{ { "comparing", 7, 0, 0, 0, 9000 }, "comparing: 7 files" },
		{ { "comparing", 50, 0, 200, 0, 2000 },
		    "comparing: 50 of 200 files, 6 s left" },
		{ { "fetching", 12, 2 * MB, 90, 8 * MB, 4000 },
		    "fetching: 12 of 90 files, 2.0 MB of 8.0 MB, 500.0 kB/s, "
		    "12 s left" },
		/* Too early to tell. */
		{ { "fetching", 12, 2 * MB, 90, 8 * MB, 900 },
		    "fetching: 12 of 90 files, 2.0 MB of 8.0 MB, 2.2 MB/s" },
		{ { "fetching", 0, 0, 90, 8 * MB, 0 },
		    "fetching: 0 of 90 files" },
		{ { "fetching", 0, 0, 90, 8 * MB, 3000 },
		    "fetching: 0 of 90 files, 0 B of 8.0 MB, 0 B/s" },
		/* Done, and more than was expected. */
		{ { "fetching", 90, 8 * MB, 90, 8 * MB, 4000 },
		    "fetching: 90 of 90 files, 8.0 MB of 8.0 MB, 2.0 MB/s" },
		{ { "fetching", 91, 9 * MB, 90, 8 * MB, 3000 },
		    "fetching: 91 of 90 files, 9.0 MB of 8.0 MB, 3.0 MB/s" },
		{ { "fetching transcript a", 0, 2 * MB, 0, 4 * MB, 4000 },
		    "fetching transcript a: 2.0 MB of 4.0 MB, 500.0 kB/s, "
		    "4 s left" },
		{ { "reading base", 3, 5000, 0, 0, 1000 },
		    "reading base: 3 files, 5.0 kB, 5.0 kB/s" },
		{ { "fetching", 1, 1, 2, UINT64_MAX, 1000 },
		    "fetching: 1 of 2 files, 1 B of 18.4 EB, 1 B/s" },
	};

	for (size_t i = 0; i < COUNT(rows); i++)
		expect_line(&rows[i].s, 200, rows[i].want);
}
END_TEST

START_TEST(is_cut_to_the_width)
{
	struct progress_state s = { "reading b\xc3\xa4ume", 3, 5000, 0, 0,
		1000 };

	expect_line(&s, 200, "reading b\xc3\xa4ume: 3 files, 5.0 kB, 5.0 kB/s");
	expect_line(&s, 20, "reading b\xc3\xa4ume: 3 fil");
	expect_line(&s, 10, "reading b\xc3\xa4");
	expect_line(&s, 9, "reading b");
	expect_line(&s, 1, "r");
	expect_line(&s, 0, "");
}
END_TEST

START_TEST(times_are_read_at_a_glance)
{
	static const struct {
		uint64_t seconds;
		const char *want;
	} rows[] = {
		{ 0, "0 s" },
		{ 59, "59 s" },
		{ 60, "1 min 0 s" },
		{ 3599, "59 min 59 s" },
		{ 3600, "1 h 0 min" },
		{ 100000, "27 h 46 min" },
	};
	struct buf b;

	buf_init(&b, 64);
	for (size_t i = 0; i < COUNT(rows); i++) {
		buf_clear(&b);
		progress_time(&b, rows[i].seconds);
		ck_assert_str_eq(buf_str(&b), rows[i].want);
	}
	buf_release(&b);
}
END_TEST

/* stderr is a pipe here, with the line of a first stage due at once. */
START_TEST(a_pipe_gets_nothing_or_log_lines)
{
	struct progress *p;
	char text[256];
	int ends[2];

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	ck_assert_int_ge(dup2(ends[1], STDERR_FILENO), 0);
	ck_assert_ptr_null(progress_new(false, TERMINAL_ALWAYS));
	progress_begin(NULL, "fetching", "");
	progress_expect(NULL, 1, 1);
	progress_add(NULL, 1, 1);
	progress_set(NULL, 1, 1);
	progress_end(NULL);
	progress_free(NULL);
	log_start("pecia", LOG_INFO);
	p = progress_new(true, TERMINAL_ALWAYS);
	ck_assert_ptr_nonnull(p);
	progress_begin(p, "fetching", "a");
	progress_add(p, 1, 1);
	progress_free(p);
	ck_assert_int_lt(read(ends[0], text, sizeof(text)), 0);
}
END_TEST

START_TEST(colour_is_for_terminals_that_want_it)
{
	static const struct {
		enum terminal_color when;
		bool is_terminal;
		const char *no_color, *term;
		bool want;
	} rows[] = {
		{ TERMINAL_AUTO, true, NULL, "xterm", true },
		{ TERMINAL_AUTO, false, NULL, "xterm", false },
		{ TERMINAL_AUTO, true, "", "xterm", true },
		{ TERMINAL_AUTO, true, "1", "xterm", false },
		{ TERMINAL_AUTO, true, NULL, "dumb", false },
		{ TERMINAL_AUTO, true, NULL, "", false },
		{ TERMINAL_AUTO, true, NULL, NULL, false },
		{ TERMINAL_ALWAYS, false, "1", "dumb", true },
		{ TERMINAL_ALWAYS, false, NULL, NULL, true },
		{ TERMINAL_NEVER, true, NULL, "xterm", false },
	};
	enum terminal_color when;
	struct err e = ERR_INIT;

	for (size_t i = 0; i < COUNT(rows); i++)
		ck_assert_msg(
		    terminal_may_color(rows[i].when, rows[i].is_terminal,
		        rows[i].no_color, rows[i].term) == rows[i].want,
		    "row %zu", i);
	ck_assert_int_eq(terminal_parse_color("never", &when, &e), 0);
	ck_assert_int_eq(when, TERMINAL_NEVER);
	ck_assert_int_eq(terminal_parse_color("always", &when, &e), 0);
	ck_assert_int_eq(when, TERMINAL_ALWAYS);
	ck_assert_int_eq(terminal_parse_color("auto", &when, &e), 0);
	ck_assert_int_eq(when, TERMINAL_AUTO);
	ck_assert_int_eq(terminal_parse_color("", &when, &e), ERR_USAGE);
	ck_assert_int_eq(terminal_parse_color("Never", &when, &e), ERR_USAGE);
	ck_assert_int_eq(when, TERMINAL_AUTO);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("progress");
	TCase *t = tcase_create("progress");
	SRunner *r;
	int failed;

	tcase_add_test(t, says_how_much_how_fast_how_long);
	tcase_add_test(t, is_cut_to_the_width);
	tcase_add_test(t, times_are_read_at_a_glance);
	tcase_add_test(t, a_pipe_gets_nothing_or_log_lines);
	tcase_add_test(t, colour_is_for_terminals_that_want_it);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
