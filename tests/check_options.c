/* The command line of pecia. */
#include "client/options.h"

#include <check.h>

#include "common/limits.h"

#define WORDS 8

struct row {
	const char *words[WORDS]; /* behind "pecia" */
	const char *told;         /* part of the error; NULL: accepted */
};

static int
parse(const char *const words[WORDS], struct options *out, struct err *e)
{
	char name[] = "pecia", text[WORDS][128], *argv[WORDS + 2] = { name };
	int argc = 1;

	for (; argc <= WORDS && words[argc - 1] != NULL; argc++) {
		(void)snprintf(
		    text[argc - 1], sizeof(text[0]), "%s", words[argc - 1]);
		argv[argc] = text[argc - 1];
	}
	argv[argc] = NULL;
	return options_parse(argc, argv, out, e);
}
#define PARSE(out, e, ...) \
 parse((const char *const[WORDS]){ __VA_ARGS__ }, out, e)

START_TEST(knows_each_command)
{
	static const struct {
		const char *word;
		enum verb verb;
	} rows[] = { { "run", VERB_RUN }, { "status", VERB_STATUS },
		{ "verify", VERB_VERIFY }, { "rollback", VERB_ROLLBACK },
		{ "bucket", VERB_BUCKET }, { "diff", VERB_DIFF },
		{ "help", VERB_HELP }, { "--help", VERB_HELP },
		{ "-h", VERB_HELP }, { "--version", VERB_VERSION } };
	struct options o;
	struct err e = ERR_INIT;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ck_assert_int_eq(PARSE(&o, &e, rows[i].word), 0);
		ck_assert_int_eq(o.verb, rows[i].verb);
	}
	ck_assert_int_eq(PARSE(&o, &e, "init", "--anchor", "sha256:00"), 0);
	ck_assert_int_eq(o.verb, VERB_INIT);
}
END_TEST

/* optarg points into argv, so the texts are compared here. */
START_TEST(takes_each_flag)
{
	char a[] = "pecia", b[] = "run", c[] = "--config=C", d[] = "--root",
	     dd[] = "R", f[] = "--state=S", g[] = "--server=V",
	     h[] = "--channel=N", i[] = "--host=H", k[] = "--noop",
	     l[] = "--detailed-exitcodes", m[] = "--json",
	     n[] = "--waitforlock=5", p[] = "--color=never", v[] = "-v";
	char *argv[] = { a, b, c, d, dd, f, g, h, i, k, l, m, n, p, v, NULL };
	struct options o;
	struct err e = ERR_INIT;

	ck_assert_int_eq(options_parse(15, argv, &o, &e), 0);
	ck_assert_str_eq(o.config, "C");
	ck_assert_str_eq(o.root, "R");
	ck_assert_str_eq(o.state, "S");
	ck_assert_str_eq(o.server, "V");
	ck_assert_str_eq(o.channel, "N");
	ck_assert_str_eq(o.host, "H");
	ck_assert(o.noop && o.detailed_exitcodes && o.json && o.verbose);
	ck_assert(o.wait_given && o.wait_ms == 5000);
	ck_assert_int_eq(o.color, TERMINAL_NEVER);
}
END_TEST

START_TEST(leaves_out_what_is_not_given)
{
	struct options o;
	struct err e = ERR_INIT;

	ck_assert_int_eq(PARSE(&o, &e, "run"), 0);
	ck_assert(o.config == NULL && o.root == NULL && o.state == NULL &&
	    o.anchor == NULL && o.server == NULL && o.channel == NULL &&
	    o.host == NULL);
	ck_assert(!o.noop && !o.detailed_exitcodes && !o.json && !o.verbose &&
	    !o.wait_given && o.color == TERMINAL_AUTO);
}
END_TEST

START_TEST(accepts_what_makes_sense)
{
	static const char *const rows[][WORDS] = {
		{ "--verbose", "run" },
		{ "run", "--environment", "testing" },
		{ "run", "--" },
		{ "--help", "run", "nonsense" },
		{ "run", "-h" },
		{ "help", "run" },
		{ "--version", "--noop" },
		{ "run", "--waitforlock", "0" },
		{ "run", "--waitforlock", "86400" },
		{ "run", "--confirm", "0" },
		{ "run", "--confirm", "86400" },
		{ "confirm", "--json" },
		{ "verify", "--json" },
		{ "--root", "a", "run", "--root", "b" },
		{ "rollback", "--to", "7", "--noop" },
		{ "run", "--retry" },
		{ "bucket" },
		{ "bucket", "list", "/etc" },
		{ "bucket", "get", "/etc/motd", "--kept", "3" },
		{ "bucket", "restore", "x", "--to", "file" },
		{ "diff" },
		{ "diff", "etc" },
		{ "which", "etc" },
	};
	struct options o;
	struct err e = ERR_INIT;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ck_assert_msg(
		    parse(rows[i], &o, &e) == 0, "row %zu: %s", i, e.msg);
}
END_TEST

START_TEST(says_what_is_wrong)
{
	static const struct row rows[] = {
		{ { NULL }, "no command given" },
		{ { "--json" }, "no command given" },
		{ { "--" }, "no command given" },
		{ { "walk" }, "unknown command walk" },
		{ { "" }, "unknown command" },
		{ { "--nope", "run" }, "unknown option --nope" },
		{ { "run", "--nope=3" }, "unknown option --nope=3" },
		{ { "-x", "run" }, "unknown option -x" },
		{ { "run", "-vx" }, "unknown option -x" },
		{ { "run", "-xv" }, "unknown option -x" },
		{ { "run", "--noop=yes" }, "--noop=yes" },
		{ { "run", "--ver" }, "unknown option --ver" },
		{ { "run", "--server" }, "--server needs a value" },
		{ { "run", "--waitforlock" }, "--waitforlock needs a value" },
		{ { "run", "--waitforlock", "" }, "not a number of seconds" },
		{ { "run", "--waitforlock", "-1" }, "--waitforlock -1" },
		{ { "run", "--waitforlock", "1s" }, "--waitforlock 1s" },
		{ { "run", "--waitforlock", "01" }, "--waitforlock 01" },
		{ { "run", "--waitforlock", "86401" }, "up to a day" },
		{ { "run", "run" }, "run: unexpected" },
		{ { "run", "--", "--noop" }, "--noop: unexpected" },
		{ { "init" }, "init needs --anchor" },
		{ { "run", "--confirm", "5m" }, "--confirm 5m" },
		{ { "run", "--confirm", "86401" }, "up to 86400" },
		{ { "plan", "--confirm", "5" }, "--confirm belongs to run" },
		{ { "confirm", "now" }, "now: unexpected" },
		{ { "run", "--anchor", "x" }, "--anchor belongs to init" },
		{ { "status", "--noop" }, "--noop belongs to run" },
		{ { "init", "--anchor", "x", "--noop" },
		    "--noop belongs to run" },
		{ { "rollback", "--to", "seven" }, "--to seven: not a number" },
		{ { "rollback", "etc" }, "etc: unexpected" },
		{ { "rollback", "--kept", "1" }, "--kept belongs to bucket" },
		{ { "status", "--retry" }, "--retry belongs to run" },
		{ { "run", "--to", "3" }, "--to belongs to rollback" },
		{ { "bucket", "list", "--to", "3" }, "--to belongs to" },
		{ { "bucket", "--kept", "-1" }, "--kept -1: not a number" },
		{ { "run", "--serial", "1" }, "--serial belongs to bucket" },
		{ { "bucket", "throw" }, "bucket throw: unknown" },
		{ { "bucket", "get" }, "bucket get needs a path" },
		{ { "which" }, "which needs PATH" },
		{ { "diff", "a", "b" }, "b: unexpected" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct options o = { .verb = VERB_STATUS, .json = true };
		struct err e = ERR_INIT;

		ck_assert_msg(
		    parse(rows[i].words, &o, &e) == ERR_USAGE, "row %zu", i);
		ck_assert_msg(strstr(e.msg, rows[i].told) != NULL, "%s: \"%s\"",
		    rows[i].told, e.msg);
		/* Written on success only. */
		ck_assert(o.verb == VERB_STATUS && o.json);
	}
}
END_TEST

START_TEST(the_help_names_every_option)
{
	static const char *const words[] = { "init", "run", "status", "verify",
		"--config", "--root", "--state", "--anchor", "--server",
		"--channel", "--host", "--noop", "--detailed-exitcodes",
		"--json", "--waitforlock", "rollback", "bucket", "diff",
		"which", "--to", "--retry", "--serial", "--kept", "--verbose",
		"--help", "--version" };
	struct buf text;

	buf_init(&text, LIMIT_CONFIG_BYTES);
	options_help(&text);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		ck_assert_msg(
		    strstr(buf_str(&text), words[i]) != NULL, "%s", words[i]);
	for (const char *s = buf_str(&text); *s != '\0';) {
		size_t len = strcspn(s, "\n");

		ck_assert_msg(len <= 80, "%.*s", (int)len, s);
		s += len + (s[len] == '\n');
	}
	buf_release(&text);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("options");
	TCase *t = tcase_create("options");
	SRunner *runner;
	int failed;

	tcase_add_test(t, knows_each_command);
	tcase_add_test(t, takes_each_flag);
	tcase_add_test(t, leaves_out_what_is_not_given);
	tcase_add_test(t, accepts_what_makes_sense);
	tcase_add_test(t, says_what_is_wrong);
	tcase_add_test(t, the_help_names_every_option);
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
