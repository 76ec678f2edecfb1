/* [trigger NAME] and [check NAME] of release files. */
#include "server/releasefile.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))
#define BASE                                         \
 "[transcript base]\nsource = tree\ntarget = /\n"    \
 "[profile www]\ntranscripts = base\n[profile db]\n" \
 "transcripts = base\n[host *]\nprofile = www\n"
#define T "[trigger t]\n"
#define C "[check c]\ncommand = /bin/true\n"

static int
parse(const char *text, struct releasefile *f, struct err *e)
{
	struct buf all;
	int rc;

	buf_init(&all, LIMIT_CONFIG_BYTES);
	buf_addf(&all, "%s%s", BASE, text);
	releasefile_init(f);
	err_clear(e);
	rc = releasefile_parse("site.conf", buf_str(&all), all.len, f, e);
	buf_release(&all);
	return rc;
}

START_TEST(every_key_arrives)
{
	struct err e = ERR_INIT;
	const struct action *a;
	struct releasefile f;
	struct release again;
	struct buf text;

	ck_assert_msg(
	    parse("[trigger z]\npaths = /etc/nginx /etc/*.d\npaths = /srv\n"
	          "command = /usr/bin/x 'a b' \"\"\nphase = before\n"
	          "timeout = 5m\nprofile = www db\n"
	          "[check c]\ncommand = /c\nattempts = 7\ninterval = 1m\n"
	          "timeout = 9\nprofile = db\n"
	          "[trigger a]\npaths = /\\*\ncommand = /y\n"
	          "[check d]\ncommand = /d\n",
	        &f, &e) == 0,
	    "%s", e.msg);
	ck_assert_uint_eq(f.release.triggers.count, 2);
	a = &f.release.triggers.list[0];
	ck_assert_str_eq(a->name, "z");
	ck_assert_int_eq(a->kind, ACTION_BEFORE);
	ck_assert_uint_eq(a->path_count, 3);
	ck_assert_str_eq(a->paths[2], "/srv");
	ck_assert_uint_eq(a->command.count, 3);
	ck_assert_str_eq(a->command.list[1], "a b");
	ck_assert_uint_eq(a->timeout_s, 300);
	ck_assert_uint_eq(a->profile_count, 2);
	ck_assert_uint_eq(a->profiles[0], 0);
	a = &f.release.triggers.list[1];
	ck_assert_int_eq(a->kind, ACTION_AFTER);
	ck_assert_uint_eq(a->timeout_s, 300);
	ck_assert_uint_eq(a->profile_count, 0);
	a = &f.release.checks.list[0];
	ck_assert_uint_eq(a->attempts, 7);
	ck_assert_uint_eq(a->interval_s, 60);
	ck_assert_uint_eq(a->timeout_s, 9);
	ck_assert_str_eq(f.release.profiles[a->profiles[0]].name, "db");
	a = &f.release.checks.list[1];
	ck_assert_uint_eq(a->attempts, 3);
	ck_assert_uint_eq(a->interval_s, 5);
	ck_assert_uint_eq(a->timeout_s, 60);

	/* A publisher parses what it writes. */
	f.release.serial = 1;
	(void)snprintf(f.release.channel, sizeof(f.release.channel), "c");
	f.release.transcripts[0].manifest_bytes = 1;
	buf_init(&text, LIMIT_RELEASE_BYTES);
	release_write(&text, &f.release);
	ck_assert_msg(release_parse(buf_str(&text), text.len, &again, &e) == 0,
	    "%s", e.msg);
	release_release(&again);
	buf_release(&text);
	releasefile_release(&f);
}
END_TEST

static const struct {
	const char *text, *says;
} refused[] = {
	{ T "paths = /x\n", "site.conf:10: command: missing in [trigger t]" },
	{ T "command = /x\n", "paths: missing in [trigger t]" },
	{ T "command = x\npaths = /x\n", "not the absolute path" },
	{ T "command = /x 'a\npaths = /x\n", "site.conf:11: command: a ' is" },
	{ T "command = /x\npaths = x\n", "x: not a pattern of absolute" },
	{ T "command = /x\npaths = //\n", "not a pattern of absolute" },
	{ T "command = /x\npaths = /x\nphase = during\n",
	    "\"during\" is neither before nor after" },
	{ T "command = /x\npaths = /x\ntimeout = 0\n", "not 1 to 86400" },
	{ T "command = /x\npaths = /x\ntimeout = 2d\n", "not 1 to 86400" },
	{ T "command = /x\npaths = /x\nprofile = no\n", "no [profile no]" },
	{ T "command = /x\npaths = /x\nprofile = www www\n", "www is there" },
	{ T "command = /x\npaths = /x\nattempts = 1\n", "attempts" },
	{ T "command = /x\ncommand = /y\npaths = /x\n", "already given" },
	{ T "command = /x\npaths = /x\n" T, "[trigger t]" },
	{ "[trigger]\ncommand = /x\npaths = /x\n", "trigger" },
	{ "[trigger ../x]\ncommand = /x\npaths = /x\n", "needs a name" },
	{ C "paths = /x\n", "paths" },
	{ C "phase = after\n", "phase" },
	{ C "attempts = 0\n", "not 1 to 100" },
	{ C "attempts = 101\n", "attempts" },
	{ C "interval = 2h\n", "not 0 to 3600" },
	{ "[check c]\ntimeout = 1\n", "command: missing in [check c]" },
};

START_TEST(what_makes_no_sense_is_refused)
{
	struct err e = ERR_INIT;
	struct releasefile f;

	ck_assert_int_ne(parse(refused[_i].text, &f, &e), 0);
	ck_assert_msg(strstr(e.msg, refused[_i].says) != NULL, "%s", e.msg);
}
END_TEST

START_TEST(as_many_as_the_limit_and_no_more)
{
	struct err e = ERR_INIT;
	struct releasefile f;
	struct buf text;

	buf_init(&text, LIMIT_CONFIG_BYTES);
	for (int i = 0; i < LIMIT_ACTIONS; i++)
		buf_addf(&text, "[check c%d]\ncommand = /x\n", i);
	ck_assert_int_eq(parse(buf_str(&text), &f, &e), 0);
	releasefile_release(&f);
	buf_add_str(&text, "[check more]\ncommand = /x\n");
	ck_assert_int_ne(parse(buf_str(&text), &f, &e), 0);
	ck_assert_ptr_nonnull(strstr(e.msg, "more than 256 sections [check]"));
	buf_clear(&text);
	buf_add_str(&text, "[trigger t]\ncommand = /x\n");
	for (int i = 0; i <= LIMIT_TRIGGER_PATHS; i++)
		buf_addf(&text, "paths = /p%d\n", i);
	ck_assert_int_ne(parse(buf_str(&text), &f, &e), 0);
	ck_assert_ptr_nonnull(strstr(e.msg, "paths: more than 256"));
	buf_release(&text);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("releasefile_actions");
	TCase *t = tcase_create("releasefile_actions");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, every_key_arrives);
	tcase_add_loop_test(
	    t, what_makes_no_sense_is_refused, 0, COUNT(refused));
	tcase_add_test(t, as_many_as_the_limit_and_no_more);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
