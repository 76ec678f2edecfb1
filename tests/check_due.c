/* What is due after a commit, and its record around crashes. */
#include "client/due.h"

#include <check.h>
#include <stdlib.h>

#include "common/fsat.h"
#include "tests/scratch.h"

#define OK(call)    ck_assert_msg((call) == 0, "%s: %s", #call, e.msg)
#define COUNT(rows) ((int)(sizeof(rows) / sizeof((rows)[0])))

static struct scratch top;
static struct state state = STATE_INIT;

static void
set_up(void)
{
	struct err e = ERR_INIT;

	scratch_make(&top);
	OK(state_open(&state, top.path, false, &e));
}

static void
tear_down(void)
{
	state_release(&state);
	scratch_remove(&top);
}

static void
add(struct due *d, const char *name)
{
	char program[] = "/bin/x", odd[] = "a b\n", none[] = "";
	char *list[] = { program, odd, none, NULL };
	struct action a = { .timeout_s = 86400, .command = { list, 3 } };
	struct err e = ERR_INIT;

	(void)snprintf(a.name, sizeof(a.name), "%s", name);
	OK(due_add(d, &a, &e));
}

static void
start(struct due *d, uint64_t serial)
{
	due_init(d);
	(void)snprintf(d->channel, sizeof(d->channel), "production");
	d->serial = serial;
}

/* Of the file: its names, one word each, and what it is for. */
static void
must_be(const char *names, uint64_t serial, bool check)
{
	struct err e = ERR_INIT;
	struct due d;
	struct buf got;

	OK(due_read(&state, &d, &e));
	buf_init(&got, 4096);
	for (size_t i = 0; i < d.count; i++)
		buf_addf(&got, "%s%s", i > 0 ? " " : "", d.list[i].name);
	ck_assert_str_eq(buf_str(&got), names);
	ck_assert_uint_eq(d.serial, serial);
	ck_assert_int_eq(d.check, check);
	buf_release(&got);
	due_release(&d);
}

static void
must_be_none(void)
{
	struct err e = ERR_INIT;
	struct due d;

	ck_assert_int_eq(due_read(&state, &d, &e), ERR_NOT_FOUND);
}

START_TEST(counts_from_the_commit_on_and_goes_one_by_one)
{
	struct err e = ERR_INIT;
	struct due d;

	start(&d, 7);
	d.check = true;
	add(&d, "one");
	add(&d, "two");
	add(&d, "one");
	ck_assert_uint_eq(d.count, 2);
	OK(due_prepare(&state, &d, &e));
	must_be_none();
	OK(due_publish(state.dir, &e));
	due_release(&d);
	must_be("one two", 7, true);
	/* A commit may be carried out again from its beginning. */
	OK(due_publish(state.dir, &e));
	OK(due_read(&state, &d, &e));
	ck_assert_str_eq(d.channel, "production");
	ck_assert_uint_eq(d.list[0].timeout_s, 86400);
	ck_assert_uint_eq(d.list[0].command.count, 3);
	ck_assert_str_eq(d.list[0].command.list[1], "a b\n");
	ck_assert_str_eq(d.list[0].command.list[2], "");
	ck_assert_ptr_null(d.list[0].command.list[3]);
	d.list[0].begun = DUE_BEGUN_MAX;
	OK(due_write(&state, &d, &e));
	due_drop_first(&d);
	OK(due_write(&state, &d, &e));
	must_be("two", 7, true);
	due_drop_first(&d);
	due_drop_first(&d);
	OK(due_write(&state, &d, &e));
	must_be("", 7, true);
	d.check = false;
	OK(due_write(&state, &d, &e));
	must_be_none();
	OK(due_write(&state, &d, &e));
	due_release(&d);
}
END_TEST

START_TEST(is_forgotten_without_a_commit)
{
	struct err e = ERR_INIT;
	struct due d;

	start(&d, 7);
	add(&d, "one");
	OK(due_prepare(&state, &d, &e));
	OK(due_discard(state.dir, &e));
	OK(due_discard(state.dir, &e));
	OK(due_publish(state.dir, &e));
	must_be_none();
	due_release(&d);
}
END_TEST

START_TEST(nothing_due_leaves_no_file)
{
	struct err e = ERR_INIT;
	struct fsat_stat st;
	struct due d;

	start(&d, 7);
	OK(due_prepare(&state, &d, &e));
	ck_assert_int_eq(fsat_stat(state.dir, DUE_NEW, &st, &e), ERR_NOT_FOUND);
	due_release(&d);
}
END_TEST

START_TEST(what_an_earlier_commit_left_comes_first)
{
	struct err e = ERR_INIT;
	struct due d;

	start(&d, 7);
	d.check = true;
	add(&d, "a");
	add(&d, "b");
	OK(due_write(&state, &d, &e));
	due_release(&d);
	start(&d, 8);
	add(&d, "c");
	add(&d, "b");
	OK(due_prepare(&state, &d, &e));
	must_be("a b", 7, true);
	OK(due_publish(state.dir, &e));
	must_be("a c b", 8, false);
	due_release(&d);
}
END_TEST

/* A rollback with no trigger ends that the release it left is to be checked. */
START_TEST(nothing_takes_the_place_of_something)
{
	struct err e = ERR_INIT;
	struct due d;

	start(&d, 7);
	d.check = true;
	OK(due_write(&state, &d, &e));
	due_init(&d);
	OK(due_prepare(&state, &d, &e));
	OK(due_publish(state.dir, &e));
	must_be("", 0, false);
	due_release(&d);
}
END_TEST

#define HEAD "pecia due 1\nrelease production 7\ncheck no\n"
#define ONE  HEAD "trigger a 1 0\nargument /x\n"

static const struct {
	const char *text;
	int rc;
} texts[] = {
	{ HEAD, 0 },
	{ ONE, 0 },
	{ "pecia due 1\nrelease - 0\ncheck yes\n", 0 },
	{ ONE "trigger b 86400 2\nargument /x\nargument \\-\n", 0 },
	{ "", ERR_FORMAT },
	{ "pecia due 2\nrelease production 7\ncheck no\n", ERR_FORMAT },
	{ "pecia due 1\nrelease production 0\ncheck no\n", ERR_FORMAT },
	{ "pecia due 1\nrelease - 1\ncheck no\n", ERR_FORMAT },
	{ "pecia due 1\nrelease ../x 1\ncheck no\n", ERR_FORMAT },
	{ "pecia due 1\nrelease production 7\ncheck maybe\n", ERR_FORMAT },
	{ "pecia due 1\nrelease production 7\ncheck\n", ERR_FORMAT },
	{ HEAD "trigger a 1 0\n", ERR_FORMAT },
	{ HEAD "trigger a 1 0\nargument x\n", ERR_FORMAT },
	{ HEAD "trigger a 0 0\nargument /x\n", ERR_FORMAT },
	{ HEAD "trigger a 86401 0\nargument /x\n", ERR_FORMAT },
	{ HEAD "trigger a 1 3\nargument /x\n", ERR_FORMAT },
	{ HEAD "trigger a 1\nargument /x\n", ERR_FORMAT },
	{ HEAD "trigger ../a 1 0\nargument /x\n", ERR_FORMAT },
	{ ONE "trigger a 1 0\nargument /x\n", ERR_FORMAT },
	{ ONE "more\n", ERR_FORMAT },
};

START_TEST(only_what_we_write_is_read)
{
	struct err e = ERR_INIT;
	struct due d;
	int rc = due_parse(texts[_i].text, strlen(texts[_i].text), &d, &e);

	ck_assert_msg(rc == texts[_i].rc, "%d: %s", rc, e.msg);
	if (rc == 0)
		due_release(&d);
}
END_TEST

START_TEST(no_end_of_it_is_read_past)
{
	struct err e = ERR_INIT;
	struct due d;
	size_t whole = 0;

	for (size_t len = 0; len <= strlen(ONE); len++) {
		char *exact = malloc(len + 1);

		ck_assert_ptr_nonnull(exact);
		memcpy(exact, ONE, len);
		if (due_parse(exact, len, &d, &e) == 0) {
			whole++;
			due_release(&d);
		}
		free(exact);
	}
	ck_assert_uint_eq(whole, 2);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("due");
	TCase *t = tcase_create("due");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, counts_from_the_commit_on_and_goes_one_by_one);
	tcase_add_test(t, is_forgotten_without_a_commit);
	tcase_add_test(t, nothing_due_leaves_no_file);
	tcase_add_test(t, what_an_earlier_commit_left_comes_first);
	tcase_add_test(t, nothing_takes_the_place_of_something);
	tcase_add_loop_test(t, only_what_we_write_is_read, 0, COUNT(texts));
	tcase_add_test(t, no_end_of_it_is_read_past);
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
