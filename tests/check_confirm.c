/* The record of a change that waits to be confirmed: what it may say, and which
 * clock counts.
 * run: also as nobody */
#include "client/confirm.h"

#include <check.h>
#include <stdlib.h>

#include "common/fsat.h"
#include "tests/scratch.h"

#define OK(call) ck_assert_msg((call) == 0, "%s: %s", #call, e.msg)

#define HEAD "pecia confirm 1\n"
#define KEPT "kept 7\n"
#define REL  "release production 5\n"
#define TIME "time 2026-11-24T19:00:00Z 2026-11-24T19:05:00Z\n"
#define BOOT "boot 0a1b-2c 1000 301000\n"

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
keep(const char *const names[])
{
	struct err e = ERR_INIT;

	for (size_t i = 0; names[i] != NULL; i++)
		OK(fsat_mkdir_all(top.fd, names[i], 0700, &e));
}

static void
put(const char *text)
{
	struct err e = ERR_INIT;

	OK(fsat_write_file(top.fd, "confirm", 0600, text, strlen(text), &e));
}

static struct confirm
sample(const struct confirm_clock *clock, unsigned seconds)
{
	const struct kept_release now = {
		.is_any = true, .channel = "production", .serial = 5
	};
	struct confirm c;

	confirm_init(&c, &now, clock, seconds);
	c.kept = 7;
	return c;
}

/* ---- the record ---- */

START_TEST(gives_back_what_was_written)
{
	const struct confirm_clock clock = { 1000, "boot-1", 50000 };
	static const enum confirm_stage stages[] = { CONFIRM_WAITING,
		CONFIRM_UNDOING, CONFIRM_UNDONE };
	struct confirm c = sample(&clock, 300), back;
	struct err e = ERR_INIT;

	keep((const char *const[]){ "kept/7", NULL });
	for (size_t i = 0; i < 3; i++) {
		c.stage = stages[i];
		OK(confirm_write(&state, &c, &e));
		OK(confirm_read(&state, &back, &e));
		ck_assert_int_eq(back.stage, stages[i]);
		ck_assert_uint_eq(back.kept, 7);
		ck_assert_uint_eq(back.newest, 7);
		ck_assert_str_eq(back.channel, "production");
		ck_assert_uint_eq(back.serial, 5);
		ck_assert_int_eq(back.since, 1000);
		ck_assert_int_eq(back.until, 1300);
		ck_assert_str_eq(back.boot, "boot-1");
		ck_assert_uint_eq(back.since_ms, 50000);
		ck_assert_uint_eq(back.until_ms, 350000);
	}
	OK(confirm_forget(&state, &e));
	OK(confirm_read(&state, &back, &e));
	ck_assert_int_eq(back.stage, CONFIRM_NONE);
	ck_assert_uint_eq(back.kept, 0);
	OK(confirm_forget(&state, &e));
}
END_TEST

START_TEST(refuses_what_makes_no_sense)
{
	static const char *const texts[] = {
		"",
		"\n",
		HEAD,
		"pecia confirm 2\nstage waiting\n" KEPT REL TIME BOOT,
		"pecia held 1\nstage waiting\n" KEPT REL TIME BOOT,
		HEAD "stage begun\n" KEPT REL TIME BOOT,
		HEAD "stage \n" KEPT REL TIME BOOT,
		HEAD "stage waitin\n" KEPT REL TIME BOOT,
		HEAD "stage waiting undone\n" KEPT REL TIME BOOT,
		HEAD KEPT "stage waiting\n" REL TIME BOOT,
		HEAD "stage waiting\nkept 0\n" REL TIME BOOT,
		HEAD "stage waiting\nkept -1\n" REL TIME BOOT,
		HEAD "stage waiting\nkept 07\n" REL TIME BOOT,
		HEAD "stage waiting\nkept 99999999999999999999\n" REL TIME BOOT,
		HEAD "stage waiting\n" KEPT "release ../x 5\n" TIME BOOT,
		HEAD "stage waiting\n" KEPT "release production 0\n" TIME BOOT,
		HEAD "stage waiting\n" KEPT REL "time x y\n" BOOT,
		HEAD "stage waiting\n" KEPT REL
		     "time 2026-11-24T19:00:00Z\n" BOOT,
		HEAD "stage waiting\n" KEPT REL TIME "boot a/b 1 2\n",
		HEAD "stage waiting\n" KEPT REL TIME "boot - 1 2\n",
		HEAD "stage waiting\n" KEPT REL TIME "boot a 2 1\n",
		HEAD "stage waiting\n" KEPT REL TIME "boot a 1\n",
		HEAD "stage waiting\n" KEPT REL TIME
		     "boot a 1 99999999999999999999\n",
		HEAD "stage waiting\n" KEPT REL TIME BOOT "\n",
		HEAD "stage waiting\n" KEPT REL TIME BOOT BOOT,
		HEAD "stage waiting\r\n" KEPT REL TIME BOOT,
	};
	struct confirm c;
	struct err e;

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		e = (struct err)ERR_INIT;
		ck_assert_msg(confirm_parse(texts[i], strlen(texts[i]), &c,
		                  &e) == ERR_FORMAT ||
		        e.code == ERR_LIMIT,
		    "row %zu: %s", i, e.msg);
		put(texts[i]);
		ck_assert_msg(confirm_read(&state, &c, &e) != 0, "row %zu", i);
	}
}
END_TEST

START_TEST(takes_no_part_for_the_whole)
{
	static const char whole[] = HEAD "stage waiting\n" KEPT REL TIME BOOT;
	struct err e = ERR_INIT;
	struct confirm c;

	OK(confirm_parse(whole, strlen(whole), &c, &e));
	for (size_t len = 0; len < strlen(whole); len++)
		ck_assert_msg(
		    confirm_parse(whole, len, &c, &e) != 0, "%zu bytes", len);
}
END_TEST

START_TEST(is_damaged_when_too_long)
{
	char large[8192];
	struct confirm c;
	struct err e = ERR_INIT;

	memset(large, 'x', sizeof(large));
	OK(fsat_write_file(top.fd, "confirm", 0600, large, sizeof(large), &e));
	ck_assert_int_eq(confirm_read(&state, &c, &e), ERR_FORMAT);
}
END_TEST

/* ---- beside the kept runs ---- */

START_TEST(belongs_to_the_newest_kept_run)
{
	static const struct {
		const char *stage;
		const char *const kept[3];
		enum confirm_stage is;
	} rows[] = {
		{ "waiting", { NULL }, CONFIRM_BEGUN },
		{ "waiting", { "kept/6", NULL }, CONFIRM_BEGUN },
		{ "waiting", { "kept/new", "kept/6", NULL }, CONFIRM_BEGUN },
		{ "waiting", { "kept/6", "kept/7", NULL }, CONFIRM_WAITING },
		{ "waiting", { "kept/8", NULL }, CONFIRM_NONE },
		{ "waiting", { "kept/10", NULL }, CONFIRM_NONE },
		{ "undoing", { "kept/7", NULL }, CONFIRM_UNDOING },
		{ "undoing", { "kept/8", NULL }, CONFIRM_UNDOING },
		{ "undone", { "kept/9", NULL }, CONFIRM_UNDONE },
	};
	char text[512];
	struct confirm c;
	struct err e = ERR_INIT;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		OK(fsat_remove_tree(top.fd, "kept", &e));
		keep(rows[i].kept);
		(void)snprintf(text, sizeof(text),
		    HEAD "stage %s\n" KEPT REL TIME BOOT, rows[i].stage);
		put(text);
		OK(confirm_read(&state, &c, &e));
		ck_assert_msg(
		    c.stage == rows[i].is, "row %zu: %d", i, (int)c.stage);
		ck_assert_uint_eq(c.kept, 7);
	}
}
END_TEST

START_TEST(names_the_kept_run_to_come)
{
	struct err e = ERR_INIT;
	uint64_t n = 0;

	OK(confirm_next_kept(&state, &n, &e));
	ck_assert_uint_eq(n, 1);
	keep((const char *const[]){ "kept/9", "kept/10", "kept/new", NULL });
	OK(confirm_next_kept(&state, &n, &e));
	ck_assert_uint_eq(n, 11);
}
END_TEST

/* ---- time ---- */

START_TEST(counts_the_time_since_boot_alone)
{
	const struct confirm_clock start = { 1000000, "boot-1", 50000 };
	static const struct {
		struct confirm_clock now;
		uint64_t left;
	} rows[] = {
		{ { 1000000, "boot-1", 50000 }, 300000 },
		{ { 1000300, "boot-1", 349999 }, 1 },
		{ { 1000300, "boot-1", 350000 }, 0 },
		{ { 1000300, "boot-1", UINT64_MAX }, 0 },
		/* The wall clock was set. */
		{ { 0, "boot-1", 60000 }, 290000 },
		{ { 4000000000, "boot-1", 60000 }, 290000 },
		{ { 1000000, "boot-1", 350000 }, 0 },
		/* The machine was restarted. */
		{ { 1000010, "boot-2", 60000 }, 0 },
		{ { 1000010, "boot-2", 10 }, 0 },
		{ { 1000010, "boot-", 60000 }, 0 },
		{ { 1000010, "", 60000 }, 0 },
		/* Or restored, or copied from another one. */
		{ { 1000010, "boot-1", 49999 }, 0 },
	};
	struct confirm c = sample(&start, 300);

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		ck_assert_msg(confirm_left_ms(&c, &rows[i].now) == rows[i].left,
		    "row %zu", i);
}
END_TEST

START_TEST(reads_a_clock_that_goes_on)
{
	struct confirm_clock a, b;
	struct err e = ERR_INIT;

	OK(confirm_clock_read(&a, &e));
	OK(confirm_clock_read(&b, &e));
	ck_assert_str_eq(a.boot, b.boot);
	ck_assert_uint_eq(strlen(a.boot), 36);
	ck_assert_uint_ge(b.ms, a.ms);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("confirm");
	TCase *t = tcase_create("confirm");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, gives_back_what_was_written);
	tcase_add_test(t, refuses_what_makes_no_sense);
	tcase_add_test(t, takes_no_part_for_the_whole);
	tcase_add_test(t, is_damaged_when_too_long);
	tcase_add_test(t, belongs_to_the_newest_kept_run);
	tcase_add_test(t, names_the_kept_run_to_come);
	tcase_add_test(t, counts_the_time_since_boot_alone);
	tcase_add_test(t, reads_a_clock_that_goes_on);
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
