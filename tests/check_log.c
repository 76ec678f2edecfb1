/* Log lines as a reader of stderr or of the journal sees them. */
#include "common/log.h"

#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int ends[2];

static void
set_up(void)
{
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	ck_assert_int_ge(dup2(ends[1], STDERR_FILENO), 0);
	log_start("pecia", LOG_INFO);
}

static void
assert_written(const char *want)
{
	char text[2 * LOG_LINE_BYTES];
	ssize_t n = read(ends[0], text, sizeof(text) - 1);

	text[n < 0 ? 0 : n] = '\0';
	ck_assert_str_eq(text, want);
}

START_TEST(pairs_are_written_after_the_event)
{
	char n[LOG_NUMBER_BYTES];

	log_event(LOG_INFO, "run finished", "serial", log_u64(n, 7), NULL);
	assert_written("pecia: run finished serial=7\n");
	log_start("peciad", LOG_NOTICE);
	log_event(LOG_INFO, "not wanted", NULL);
	assert_written("");
	log_event(LOG_NOTICE, "started", NULL);
	assert_written("peciad: started\n");
	log_event(LOG_WARNING, "slow", "s", "3", NULL);
	assert_written("peciad: warning: slow s=3\n");
}
END_TEST

START_TEST(text_from_outside_is_quoted)
{
	log_event(LOG_INFO, "e", "a", "x y", "b", "", "c", NULL, "d", "q\"\\",
	    "e", "\x1b[2J\n", "f", "\xc3\xa4", "g", "\xff", "h", "a=b", "i",
	    "\xc2\x9b", "j", "/a/b:1", NULL);
	assert_written("pecia: e a=\"x y\" b=\"\" c=\"\" d=\"q\\\"\\\\\" "
	               "e=\"\\033[2J\\012\" f=\"\xc3\xa4\" g=\"\\377\" "
	               "h=\"a=b\" i=\"\\302\\233\" j=/a/b:1\n");
}
END_TEST

START_TEST(errors_carry_their_message)
{
	struct err e = ERR_INIT;

	err_set(&e, ERR_NET, "no route");
	log_err(LOG_ERROR, "fetch failed", &e, "peer", "site-a", NULL);
	assert_written("pecia: error: fetch failed peer=site-a "
	               "error=\"no route\"\n");
}
END_TEST

START_TEST(long_lines_are_cut)
{
	static char text[3 * LOG_LINE_BYTES], got[3 * LOG_LINE_BYTES];
	ssize_t n;

	memset(text, 'x', sizeof(text) - 1);
	log_event(LOG_INFO, "e", "text", text, "more", "1", NULL);
	n = read(ends[0], got, sizeof(got) - 1);
	ck_assert_int_gt(n, 5);
	ck_assert_int_le(n, LOG_LINE_BYTES + 8);
	ck_assert_mem_eq(got + n - 5, " ...\n", 5);
}
END_TEST

START_TEST(the_journal_gets_priorities)
{
	char stream[64];
	struct stat st;

	ck_assert_int_eq(fstat(STDERR_FILENO, &st), 0);
	(void)snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev,
	    (uintmax_t)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_start("pecia", LOG_DEBUG);
	log_event(LOG_DEBUG, "e", "k", "v", NULL);
	log_event(LOG_ERROR, "bad", NULL);
	assert_written("<7>e k=v\n<3>bad\n");
	setenv("JOURNAL_STREAM", "1:1", 1); /* stderr was redirected */
	log_start("pecia", LOG_DEBUG);
	log_event(LOG_DEBUG, "e", NULL);
	assert_written("pecia: e\n");
}
END_TEST

START_TEST(levels_have_names)
{
	enum log_level level = LOG_INFO;

	ck_assert_int_eq(log_parse_level("debug", &level), 0);
	ck_assert_int_eq(level, LOG_DEBUG);
	ck_assert_int_eq(log_parse_level("error", &level), 0);
	ck_assert_int_eq(level, LOG_ERROR);
	ck_assert_int_eq(log_parse_level("crit", &level), ERR_USAGE);
	ck_assert_int_eq(log_parse_level("", &level), ERR_USAGE);
}
END_TEST

START_TEST(peers_cannot_flood)
{
	struct log_limit limit = { .per_minute = 2 };
	uint64_t suppressed = 99;
	int i;

	ck_assert(log_limit_allows(&limit, 600, &suppressed));
	ck_assert_uint_eq(suppressed, 0);
	ck_assert(log_limit_allows(&limit, 601, &suppressed));
	for (i = 0; i < 5; i++)
		ck_assert(!log_limit_allows(&limit, 602, &suppressed));
	ck_assert(log_limit_allows(&limit, 660, &suppressed));
	ck_assert_uint_eq(suppressed, 5);
	ck_assert(log_limit_allows(&limit, 661, &suppressed));
	ck_assert_uint_eq(suppressed, 0);
	ck_assert(!log_limit_allows(&limit, 662, &suppressed));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("log");
	TCase *t = tcase_create("log");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, set_up, NULL);
	tcase_add_test(t, pairs_are_written_after_the_event);
	tcase_add_test(t, text_from_outside_is_quoted);
	tcase_add_test(t, errors_carry_their_message);
	tcase_add_test(t, long_lines_are_cut);
	tcase_add_test(t, the_journal_gets_priorities);
	tcase_add_test(t, levels_have_names);
	tcase_add_test(t, peers_cannot_flood);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
