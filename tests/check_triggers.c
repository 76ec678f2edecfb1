/* Which triggers a plan calls for, and how what is due is run. */
#include "client/triggers.h"

#include <check.h>
#include <stdlib.h>

#include "common/fsat.h"
#include "tests/scratch.h"

#define OK(call)    ck_assert_msg((call) == 0, "%s: %s", #call, e.msg)
#define COUNT(rows) ((int)(sizeof(rows) / sizeof((rows)[0])))

static struct scratch top;
static struct state state = STATE_INIT;
static struct release release;
static struct triggers_of of;

static const char body[] =
    "pecia release 1\nchannel production\nserial 7\nprevious -\n"
    "created 2026-11-23T04:02:24Z\nauthor \\-\nmessage \\-\nsource \\-\n"
    "transcript base overlay "
    "1111111111111111111111111111111111111111111111111111111111111111 1 0 0 "
    "- 0 /\n"
    "profile db base\nprofile www base\nhost * www -\n"
    "trigger z after 9 -\npath /etc/*.conf\npath /srv\nargument /bin/true\n"
    "trigger b before 9 -\npath /srv\nargument /bin/true\n"
    "trigger a after 9 www\npath /srv/x\nargument /bin/true\n"
    "trigger d after 9 db\npath /*\nargument /bin/true\n"
    "trigger e before 9 db www\npath /etc\nargument /bin/false\n"
    "check c 9 1 0 db\nargument /bin/true\n";

static void
set_up(void)
{
	struct err e = ERR_INIT;

	scratch_make(&top);
	OK(state_open(&state, top.path, false, &e));
	OK(release_parse(body, strlen(body), &release, &e));
	of = (struct triggers_of){ &release,
		release_find_profile(&release, "www"), "/some/root" };
}

static void
tear_down(void)
{
	release_release(&release);
	state_release(&state);
	scratch_remove(&top);
}

/* A plan of one path. */
struct one {
	struct plan plan;
	struct plan_item item;
	struct plan_delete delete;
	char path[64];
};

static void
one_init(struct one *o, enum plan_op op, bool deletes, const char *path)
{
	memset(o, 0, sizeof(*o));
	(void)snprintf(o->path, sizeof(o->path), "%s", path);
	o->item.op = op;
	o->item.path = o->delete.path = o->path;
	o->plan.items = &o->item;
	o->plan.deletes = &o->delete;
	o->plan.item_count = deletes ? 0 : 1;
	o->plan.delete_count = deletes ? 1 : 0;
}

static const struct {
	enum plan_op op;
	bool deletes;
	const char *path, *due, *foreseen;
} calls[] = {
	{ PLAN_CREATE, false, "etc/a.conf", "z", "z e" },
	{ PLAN_REPLACE, false, "etc/a.conf", "z", "z e" },
	{ PLAN_EXCHANGE, false, "srv", "z", "z b" },
	{ PLAN_META, false, "srv/x", "z a", "z b a" },
	{ PLAN_CREATE, true, "srv/x/y", "z a", "z b a" },
	{ PLAN_CREATE, false, "etc/a.con", "", "e" },
	{ PLAN_CREATE, false, "etc/d/a.conf", "", "e" },
	{ PLAN_CREATE, false, "srv2", "", "" },
	{ PLAN_CREATE, false, ".", "", "" },
};

START_TEST(are_called_for_by_what_a_plan_changes)
{
	struct outcomes o = OUTCOMES_INIT;
	struct err e = ERR_INIT;
	struct one one;
	struct due due;
	struct buf names;

	buf_init(&names, 4096);
	due_init(&due);
	one_init(&one, calls[_i].op, calls[_i].deletes, calls[_i].path);
	OK(triggers_find(&of, &one.plan, &due, &e));
	for (size_t i = 0; i < due.count; i++)
		buf_addf(&names, "%s%s", i > 0 ? " " : "", due.list[i].name);
	ck_assert_str_eq(buf_str(&names), calls[_i].due);
	OK(triggers_foresee(&of, &one.plan, &o, &e));
	buf_clear(&names);
	for (size_t i = 0; i < o.count; i++) {
		ck_assert(o.list[i].foreseen);
		buf_addf(&names, "%s%s", i > 0 ? " " : "", o.list[i].name);
	}
	ck_assert_str_eq(buf_str(&names), calls[_i].foreseen);
	buf_release(&names);
	due_release(&due);
	outcomes_release(&o);
}
END_TEST

START_TEST(checks_are_for_their_profiles)
{
	ck_assert(!triggers_has_checks(&of));
	of.profile = release_find_profile(&release, "db");
	ck_assert(triggers_has_checks(&of));
}
END_TEST

START_TEST(one_before_that_fails_is_an_error)
{
	struct outcomes o = OUTCOMES_INIT;
	struct err e = ERR_INIT;
	struct one one;

	one_init(&one, PLAN_CREATE, false, "srv/file");
	OK(triggers_before(&of, &one.plan, &o, &e));
	ck_assert_uint_eq(o.count, 1);
	ck_assert_ptr_null(o.list[0].why);
	one_init(&one, PLAN_CREATE, false, "etc/file");
	ck_assert_int_eq(triggers_before(&of, &one.plan, &o, &e), ERR_CONFLICT);
	ck_assert_ptr_nonnull(
	    strstr(e.msg, "nothing was changed: trigger e /bin/false"));
	outcomes_release(&o);
}
END_TEST

static void
add(struct due *d, const char *name, const char *script)
{
	char shell[] = "/bin/sh", option[] = "-c", copy[512];
	char *list[] = { shell, option, copy, NULL };
	struct action a = { .timeout_s = 20, .command = { list, 3 } };
	struct err e = ERR_INIT;

	(void)snprintf(copy, sizeof(copy), "%s", script);
	(void)snprintf(a.name, sizeof(a.name), "%s", name);
	OK(due_add(d, &a, &e));
}

START_TEST(what_is_due_is_cleared_one_by_one)
{
	struct triggers_failed failed;
	struct outcomes o = OUTCOMES_INIT;
	struct err e = ERR_INIT;
	struct due d, left;
	char script[512];

	due_init(&d);
	d.check = true;
	d.serial = 7;
	(void)snprintf(d.channel, sizeof(d.channel), "production");
	/* Each looks at the record. */
	(void)snprintf(
	    script, sizeof(script), "grep ^trigger %s/due", top.path);
	add(&d, "one", script);
	add(&d, "two", "echo no; exit 3");
	add(&d, "three", script);
	add(&d, "four",
	    "echo $PECIA_TRIGGER $PECIA_CHANNEL $PECIA_SERIAL $PECIA_ROOT "
	    "$PECIA_CHECK$USER");
	d.list[2].begun = 1;
	OK(due_write(&state, &d, &e));
	OK(triggers_after(&state, &d, "/some/root", &o, &failed, &e));
	ck_assert_uint_eq(o.count, 4);
	ck_assert_str_eq(buf_str(&o.list[0].result.output),
	    "trigger one 20 1\ntrigger two 20 0\ntrigger three 20 1\n"
	    "trigger four 20 0\n");
	ck_assert_ptr_nonnull(strstr(o.list[1].why, "exit status 3"));
	ck_assert_str_eq(buf_str(&o.list[2].result.output),
	    "trigger three 20 2\ntrigger four 20 0\n");
	ck_assert_str_eq(buf_str(&o.list[3].result.output),
	    "four production 7 /some/root\n");
	ck_assert_uint_eq(failed.count, 1);
	ck_assert_ptr_nonnull(strstr(failed.first.msg, "it said: no"));
	/* The checks are not its business. */
	OK(due_read(&state, &left, &e));
	ck_assert(left.check);
	ck_assert_uint_eq(left.count, 0);
	due_release(&d);
	outcomes_release(&o);
}
END_TEST

START_TEST(one_that_never_ends_is_given_up)
{
	struct triggers_failed failed;
	struct outcomes o = OUTCOMES_INIT;
	struct err e = ERR_INIT;
	struct fsat_stat st;
	struct due d;
	char script[512];

	due_init(&d);
	(void)snprintf(script, sizeof(script), "touch %s/ran", top.path);
	add(&d, "one", script);
	add(&d, "two", "exit 0");
	d.list[0].begun = DUE_BEGUN_MAX;
	OK(triggers_after(&state, &d, "/", &o, &failed, &e));
	ck_assert_uint_eq(failed.count, 1);
	ck_assert_ptr_nonnull(strstr(failed.first.msg, "trigger one: begun 2"));
	ck_assert_uint_eq(o.count, 2);
	ck_assert_uint_eq(o.list[0].attempts, 0);
	ck_assert_uint_eq(o.list[1].attempts, 1);
	ck_assert_int_eq(fsat_stat(state.dir, "ran", &st, &e), ERR_NOT_FOUND);
	due_release(&d);
	outcomes_release(&o);
}
END_TEST

START_TEST(a_check_has_its_attempts)
{
	char shell[] = "/bin/sh", option[] = "-c", script[1024];
	char *list[] = { shell, option, script, NULL };
	const struct words command = { list, 3 };
	struct outcome_run run = { .name = "c",
		.kind = ACTION_CHECK,
		.command = &command,
		.timeout_s = 20,
		.attempts = 3,
		.root = "/",
		.channel = "production",
		.serial = 7 };
	struct err e = ERR_INIT, why = ERR_INIT;
	struct outcomes o = OUTCOMES_INIT;
	bool ended_well = false;

	(void)snprintf(script, sizeof(script),
	    "echo x >>%s/tries; test $(wc -l <%s/tries) = 3", top.path,
	    top.path);
	OK(outcomes_run(&o, &run, &ended_well, &why, &e));
	ck_assert(ended_well);
	ck_assert_int_eq(why.code, 0);
	ck_assert_uint_eq(o.list[0].attempts, 3);
	OK(outcomes_run(&o, &run, &ended_well, &why, &e));
	ck_assert(!ended_well);
	ck_assert_uint_eq(o.list[1].attempts, 3);
	ck_assert_ptr_nonnull(strstr(why.msg, "check c /bin/sh: exit"));
	outcomes_release(&o);
}
END_TEST

START_TEST(json_has_what_was_printed_whatever_it_is)
{
	char shell[] = "/bin/sh", option[] = "-c";
	char script[] = "printf 'a\\n\\377\\000\\033[1m'; "
	                "head -c 70000 /dev/zero | tr '\\0' x";
	char *list[] = { shell, option, script, NULL };
	const struct words command = { list, 3 };
	struct outcome_run run = { .name = "t",
		.kind = ACTION_AFTER,
		.command = &command,
		.timeout_s = 20,
		.root = "/",
		.channel = "" };
	struct err e = ERR_INIT, why = ERR_INIT;
	struct outcomes o = OUTCOMES_INIT;
	struct json *j = json_object_new();
	bool ended_well = false;
	struct buf text;

	OK(outcomes_run(&o, &run, &ended_well, &why, &e));
	outcomes_json(&o, j);
	buf_init(&text, 1 << 20);
	OK(json_write(j, JSON_ONE_LINE, &text, &e));
	ck_assert_uint_eq(o.list[0].result.output.len, LIMIT_COMMAND_OUTPUT);
	ck_assert_ptr_nonnull(strstr(buf_str(&text), "\"output_cut\":true"));
	ck_assert_ptr_nonnull(strstr(buf_str(&text), "\"checks\":[]"));
	ck_assert_ptr_null(memchr(text.data, '\033', text.len));
	buf_release(&text);
	json_free(j);
	outcomes_release(&o);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("triggers");
	TCase *t = tcase_create("triggers");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_loop_test(
	    t, are_called_for_by_what_a_plan_changes, 0, COUNT(calls));
	tcase_add_test(t, checks_are_for_their_profiles);
	tcase_add_test(t, one_before_that_fails_is_an_error);
	tcase_add_test(t, what_is_due_is_cleared_one_by_one);
	tcase_add_test(t, one_that_never_ends_is_given_up);
	tcase_add_test(t, a_check_has_its_attempts);
	tcase_add_test(t, json_has_what_was_printed_whatever_it_is);
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
