/* Programs that are run, and the command lines that name them. */
#include "common/command.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/limits.h"
#include "common/words.h"

#define OK(call)     ck_assert_msg((call) == 0, "%s: %s", #call, e.msg)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

START_TEST(splits_words_as_a_shell_would)
{
	static const struct {
		const char *text;
		const char *words[5];
	} rows[] = {
		{ "/bin/a", { "/bin/a" } },
		{ " /bin/a \t b  ", { "/bin/a", "b" } },
		{ "a 'b  c' \"d e\"", { "a", "b  c", "d e" } },
		{ "a'b'\"c\"d", { "abcd" } },
		{ "a '' \"\"", { "a", "", "" } },
		{ "a\\ b \\'", { "a b", "'" } },
		{ "'\\' \"\\\\\\\"\\x$y*\"", { "\\", "\\\"\\x$y*" } },
	};
	struct words w = WORDS_INIT;
	struct err e = ERR_INIT;

	for (size_t i = 0; i < COUNT(rows); i++) {
		size_t n = 0;

		OK(words_split(rows[i].text, &w, &e));
		for (; rows[i].words[n] != NULL; n++) {
			ck_assert_uint_lt(n, w.count);
			ck_assert_str_eq(w.list[n], rows[i].words[n]);
		}
		ck_assert_uint_eq(w.count, n);
		ck_assert_ptr_null(w.list[n]);
		words_release(&w);
	}
}
END_TEST

START_TEST(refuses_broken_words)
{
	static const char *const rows[] = { "", "  ", "'a", "\"a", "a\\", "a'",
		"\"\\\"" };
	char many[2 * LIMIT_ARGUMENTS + 4], large[LIMIT_TEXT_BYTES + 2];
	struct words w = WORDS_INIT;
	struct err e = ERR_INIT;

	for (size_t i = 0; i < COUNT(rows); i++)
		ck_assert_msg(
		    words_split(rows[i], &w, &e) == ERR_FORMAT, "%s", rows[i]);
	ck_assert_int_eq(words_command("true", &w, &e), ERR_FORMAT);
	memset(large, 'a', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	ck_assert_int_eq(words_split(large, &w, &e), ERR_LIMIT);
	OK(words_split(large + 1, &w, &e));
	words_release(&w);
	for (size_t i = 0; i < sizeof(many) - 1; i++)
		many[i] = i % 2 == 0 ? 'a' : ' ';
	many[(size_t)2 * LIMIT_ARGUMENTS + 1] = '\0';
	ck_assert_int_eq(words_split(many, &w, &e), ERR_LIMIT);
	many[(size_t)2 * LIMIT_ARGUMENTS] = '\0';
	OK(words_split(many, &w, &e));
	ck_assert_uint_eq(w.count, LIMIT_ARGUMENTS);
	words_release(&w);
}
END_TEST

/* sh -c TEXT */
static struct command_result
shell(const char *text, unsigned timeout_ms, const char *const *env)
{
	char sh[] = "/bin/sh", option[] = "-c", script[1024];
	char *const argv[] = { sh, option, script, NULL };
	const struct command c = { argv, env, timeout_ms };
	struct command_result r;
	struct err e = ERR_INIT;

	(void)snprintf(script, sizeof(script), "%s", text);
	command_result_init(&r);
	OK(command_run(&c, &r, &e));
	return r;
}

static void
expect(const char *text, int status, const char *output)
{
	struct command_result r = shell(text, 20000, NULL);

	ck_assert_int_eq(r.status, status);
	ck_assert_str_eq(buf_str(&r.output), output);
	ck_assert(!r.timed_out && !r.cut);
	command_result_release(&r);
}

START_TEST(tells_how_it_ended)
{
	expect("true", 0, "");
	expect("echo out; echo err >&2; exit 3", 3, "out\nerr\n");
	expect("kill -9 $$", 137, "");
	expect("cat; pwd", 0, "/\n");
}
END_TEST

START_TEST(has_a_clean_environment)
{
	static const char *const env[] = { "PECIA_ROOT=/x y", NULL };
	struct command_result r;

	ck_assert_int_eq(setenv("LEAKED", "1", 1), 0);
	ck_assert(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
	r = shell("echo ${LEAKED-none} $PECIA_ROOT $LANG $HOME; "
	          "grep -c '^SigIgn:.*0$' /proc/self/status; ls /proc/self/fd "
	          "| wc -l",
	    20000, env);
	/* 0, 1, 2 and ls's own. */
	ck_assert_str_eq(buf_str(&r.output), "none /x y C.UTF-8 /\n1\n4\n");
	command_result_release(&r);
}
END_TEST

static bool
is_zombie(int pid)
{
	char path[64], state = '?';
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if ((f = fopen(path, "r")) == NULL)
		return true;
	if (fscanf(f, "%*d %*s %c", &state) != 1)
		state = 'Z';
	(void)fclose(f);
	return state == 'Z';
}

START_TEST(ends_all_of_it_after_its_time)
{
	struct command_result r = shell(
	    "sleep 600 & echo $!; trap '' TERM HUP; sleep 600", 300, NULL);
	int child = (int)strtol(buf_str(&r.output), NULL, 10);
	struct err e = ERR_INIT;
	char name[] = "/bin/sh";
	char *const argv[] = { name, NULL };
	const struct command c = { argv, NULL, 300 };

	ck_assert(r.timed_out);
	ck_assert_int_eq(command_check(&c, &r, "trigger", &e), ERR_CONFLICT);
	ck_assert_ptr_nonnull(strstr(e.msg, "not done"));
	ck_assert_int_gt(child, 1);
	/* Ended, or a zombie of init's by now. */
	for (int i = 0; i < 1000 && kill(child, 0) == 0 && !is_zombie(child);
	     i++)
		usleep(10000);
	ck_assert(kill(child, 0) != 0 || is_zombie(child));
	command_result_release(&r);
}
END_TEST

START_TEST(does_not_wait_for_the_background)
{
	struct command_result r = shell("sleep 5 & echo begun", 20000, NULL);

	ck_assert_int_eq(r.status, 0);
	ck_assert_str_eq(buf_str(&r.output), "begun\n");
	ck_assert(r.seconds < 4);
	command_result_release(&r);
}
END_TEST

START_TEST(keeps_the_first_of_much_output)
{
	struct command_result r = shell("yes | head -c 1000000", 20000, NULL);

	ck_assert_int_eq(r.status, 0);
	ck_assert(r.cut);
	ck_assert_uint_eq(r.output.len, LIMIT_COMMAND_OUTPUT);
	command_result_release(&r);
}
END_TEST

START_TEST(says_what_cannot_be_started)
{
	char missing[] = "/no/such/program", dir[] = "/";
	char *const rows[][2] = { { missing, NULL }, { dir, NULL } };
	struct command_result r;

	command_result_init(&r);
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct command c = { rows[i], NULL, 1000 };
		struct err e = ERR_INIT;

		ck_assert_int_ne(command_run(&c, &r, &e), 0);
		ck_assert_ptr_nonnull(strstr(e.msg, rows[i][0]));
	}
	command_result_release(&r);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("command");
	TCase *t = tcase_create("command");
	SRunner *runner;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_test(t, splits_words_as_a_shell_would);
	tcase_add_test(t, refuses_broken_words);
	tcase_add_test(t, tells_how_it_ended);
	tcase_add_test(t, has_a_clean_environment);
	tcase_add_test(t, ends_all_of_it_after_its_time);
	tcase_add_test(t, does_not_wait_for_the_background);
	tcase_add_test(t, keeps_the_first_of_much_output);
	tcase_add_test(t, says_what_cannot_be_started);
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
