/* Triggers and checks in releases. */
#include "transcripts/actions.h"

#include <check.h>
#include <fcntl.h>

#include "common/fsat.h"
#include "tests/samples.h"
#include "transcripts/release.h"

#define COUNT(rows) ((int)(sizeof(rows) / sizeof((rows)[0])))
#define SAMPLE      "tests/corpus/statement/release-actions"

static struct buf body;

static void
set_up(void)
{
	struct err e = ERR_INIT;

	buf_init(&body, LIMIT_RELEASE_BYTES);
	ck_assert_msg(fsat_read_file(AT_FDCWD, SAMPLE, LIMIT_RELEASE_BYTES,
	                  &body, &e) == 0,
	    "%s", e.msg);
}

static void
tear_down(void)
{
	buf_release(&body);
}

START_TEST(are_read_in_order_and_written_as_they_were)
{
	const struct action *a;
	struct err e = ERR_INIT;
	struct release r;
	struct buf again;

	ck_assert_msg(
	    release_parse(buf_str(&body), body.len, &r, &e) == 0, "%s", e.msg);
	ck_assert_uint_eq(r.triggers.count, 2);
	ck_assert_uint_eq(r.checks.count, 2);
	a = &r.triggers.list[0];
	ck_assert_str_eq(a->name, "stop");
	ck_assert_int_eq(a->kind, ACTION_BEFORE);
	ck_assert_uint_eq(a->timeout_s, 30);
	ck_assert_uint_eq(a->command.count, 3);
	ck_assert_str_eq(a->command.list[2], "web server");
	ck_assert_ptr_null(a->command.list[3]);
	ck_assert(!action_is_for(a, 0));
	ck_assert(action_is_for(a, 1));
	a = actions_find(&r.triggers, "reload");
	ck_assert_ptr_eq(a, &r.triggers.list[1]);
	ck_assert_uint_eq(a->path_count, 2);
	ck_assert_uint_eq(a->profile_count, 2);
	ck_assert_str_eq(a->command.list[1], "");
	a = actions_find(&r.checks, "web");
	ck_assert_int_eq(a->kind, ACTION_CHECK);
	ck_assert_uint_eq(a->attempts, 100);
	ck_assert_uint_eq(a->interval_s, 3600);
	ck_assert(action_is_for(a, 0));
	ck_assert_ptr_null(actions_find(&r.checks, "reload"));
	buf_init(&again, LIMIT_RELEASE_BYTES);
	release_write(&again, &r);
	ck_assert_str_eq(buf_str(&again), buf_str(&body));
	buf_release(&again);
	release_release(&r);
}
END_TEST

static const struct {
	const char *old, *new;
	const char *says;
} refused[] = {
	{ "trigger stop before", "trigger stop Before", "neither before" },
	{ "trigger stop before", "trigger stop", "neither before" },
	{ "trigger stop", "trigger ../stop", "is not a name" },
	{ "trigger reload", "trigger stop", "repeated" },
	{ "before 30 ", "before 0 ", "plain number" },
	{ "before 30 ", "before 86401 ", "plain number" },
	{ "before 30 ", "before 030 ", "plain number" },
	{ "before 30 www", "before 30", "missing" },
	{ "before 30 www", "before 30 - www", "more than" },
	{ "before 30 www", "before 30 web", "not in the release" },
	{ "db www\npath", "db db\npath", "repeated" },
	{ "db www\npath", "www db\npath", "out of order" },
	{ "path /srv/www\n", "", "'path ...' is missing" },
	{ "path /srv/www\n", "path srv/www\n", "absolute" },
	{ "path /srv/www\n", "path //\n", "absolute" },
	{ "path /srv/www\n", "path \\-\n", "absolute" },
	{ "path /srv/www\n", "path /srv /www\n", "more than" },
	{ "argument /bin/true\nargument \\-\n", "",
	    "'argument ...' is missing" },
	{ "argument /usr/bin/systemctl\n", "", "absolute path of a program" },
	{ "argument web\\040server", "argument web server", "more than" },
	{ "argument web\\040server", "argument web\\000server", "escaped" },
	{ "argument /usr/bin/curl\n", "", "'argument ...' is missing" },
	{ "argument /usr/bin/curl\n", "path /x\n",
	    "'argument ...' is missing" },
	{ "check db", "check web", "repeated" },
	{ " 100 3600 ", " 101 3600 ", "plain number" },
	{ " 100 3600 ", " 0 3600 ", "plain number" },
	{ " 100 3600 ", " 100 3601 ", "plain number" },
	{ " 100 3600 ", " 100 ", "plain number" },
	{ " 1 1 0 db", " 1 1 0 dc", "not in the release" },
	{ "check web", "trigger x after 1 -\npath /\ncheck web", "absolute" },
	{ "trigger stop", "check x 1 1 1 -\nargument /bin/true\ntrigger stop",
	    "what follows" },
};

START_TEST(what_is_not_canonical_is_refused)
{
	struct err e = ERR_INIT;
	struct release r;
	struct buf bad;

	sample_replace(&bad, &body, refused[_i].old, refused[_i].new);
	ck_assert_int_eq(
	    release_parse(buf_str(&bad), bad.len, &r, &e), ERR_FORMAT);
	ck_assert_msg(strstr(e.msg, refused[_i].says) != NULL, "%s", e.msg);
	buf_release(&bad);
}
END_TEST

/* Cut behind an argument, a body is one that has fewer. */
START_TEST(truncations_are_refused_or_canonical)
{
	struct err e = ERR_INIT;
	struct release r;
	size_t whole = 0;

	for (size_t len = 0; len < body.len; len++) {
		if (release_parse(buf_str(&body), len, &r, &e) != 0)
			continue;
		whole++;
		release_release(&r);
	}
	/* After each line but the first of an action. */
	ck_assert_uint_eq(whole, 11);
}
END_TEST

/* `count` times the text, with a number in its place of %zu. */
static int
parse_many(const char *head, const char *form, size_t count, const char *tail)
{
	struct err e = ERR_INIT;
	struct release r;
	struct buf text;
	char *cut = strstr((char *)body.data, "trigger stop");
	int rc;

	buf_init(&text, LIMIT_RELEASE_BYTES);
	buf_add(&text, body.data, (size_t)(cut - (char *)body.data));
	buf_add_str(&text, head);
	for (size_t i = 0; i < count; i++) {
		const char *at = strstr(form, "%");

		if (at != NULL)
			buf_addf(&text, "%.*s%zu%s", (int)(at - form), form, i,
			    at + 1);
		else
			buf_add_str(&text, form);
	}
	buf_add_str(&text, tail);
	rc = release_parse(buf_str(&text), text.len, &r, &e);
	if (rc == 0)
		release_release(&r);
	buf_release(&text);
	return rc;
}

START_TEST(limits_are_held)
{
	static const struct {
		const char *head, *form, *tail;
		size_t max;
	} rows[] = {
		{ "", "trigger t% after 1 -\npath /x\nargument /x\n", "",
		    LIMIT_ACTIONS },
		{ "", "check c% 1 1 0 -\nargument /x\n", "", LIMIT_ACTIONS },
		{ "trigger t after 1 -\n", "path /x%\n", "argument /x\n",
		    LIMIT_TRIGGER_PATHS },
		{ "check c 1 1 0 -\n", "argument /x\n", "", LIMIT_ARGUMENTS },
	};

	for (int i = 0; i < COUNT(rows); i++) {
		ck_assert_int_eq(parse_many(rows[i].head, rows[i].form,
		                     rows[i].max, rows[i].tail),
		    0);
		ck_assert_int_eq(parse_many(rows[i].head, rows[i].form,
		                     rows[i].max + 1, rows[i].tail),
		    ERR_LIMIT);
	}
}
END_TEST

static const struct {
	const char *pattern, *path;
	bool names;
} matches[] = {
	{ "/etc/nginx", "etc/nginx", true },
	{ "/etc/nginx", "etc/nginx/a/b", true },
	{ "/etc/nginx/", "etc/nginx/a", true },
	{ "/etc/nginx", "etc/nginx2", false },
	{ "/etc/*.conf", "etc/a.conf", true },
	{ "/etc/*.conf", "etc/a/b.conf", false },
	{ "/nginx", "etc/nginx", false },
	{ "/*", "etc/nginx", true },
};

START_TEST(paths_are_matched_from_the_top)
{
	char text[64], *list[] = { text };
	struct action a = { .paths = list, .path_count = 1 };

	(void)snprintf(text, sizeof(text), "%s", matches[_i].pattern);
	ck_assert(action_is_pattern(text));
	ck_assert_int_eq(action_names(&a, matches[_i].path), matches[_i].names);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("actions");
	TCase *tc = tcase_create("actions");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, are_read_in_order_and_written_as_they_were);
	tcase_add_loop_test(
	    tc, what_is_not_canonical_is_refused, 0, COUNT(refused));
	tcase_add_test(tc, truncations_are_refused_or_canonical);
	tcase_add_test(tc, limits_are_held);
	tcase_add_loop_test(
	    tc, paths_are_matched_from_the_top, 0, COUNT(matches));
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
