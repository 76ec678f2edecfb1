/* What a run may not do: bounds on deletions, and paths that stay out of the
 * plan. */
#include "client/guard.h"

#include <check.h>
#include <sys/stat.h>

#include "client/protect.h"

#define OK(call)     ck_assert_msg((call) == 0, "%s: %s", #call, e.msg)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

START_TEST(reads_bounds)
{
	static const struct {
		const char *text;
		struct guard_max want;
	} rows[] = {
		{ "none", { .has_percent = false } },
		{ "0", { .has_count = true } },
		{ "1000", { .has_count = true, .count = 1000 } },
		{ "0%", { .has_percent = true } },
		{ "100%", { .has_percent = true, .percent = 100 } },
		{ " 5%  70", { true, true, 5, 70 } },
		{ "70 5%", { true, true, 5, 70 } },
	};
	struct guard_max got;
	struct err e = ERR_INIT;

	for (size_t i = 0; i < COUNT(rows); i++) {
		OK(guard_max_parse(rows[i].text, &got, &e));
		ck_assert_msg(got.has_percent == rows[i].want.has_percent &&
		        got.has_count == rows[i].want.has_count &&
		        got.percent == rows[i].want.percent &&
		        got.count == rows[i].want.count,
		    "%s", rows[i].text);
	}
}
END_TEST

START_TEST(refuses_what_is_no_bound)
{
	static const char *const rows[] = { "", " ", "101%", "-1", "05", "%",
		"5 %", "5% 6%", "5 6", "none 5", "5 none", "half",
		"99999999999999999999" };
	struct guard_max got = { .percent = 7 };

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct err e = ERR_INIT;

		ck_assert_msg(guard_max_parse(rows[i], &got, &e) == ERR_USAGE,
		    "%s", rows[i]);
		ck_assert_uint_eq(got.percent, 7);
	}
}
END_TEST

START_TEST(stops_at_either_bound)
{
	static const struct {
		const char *max;
		uint64_t deletes, stays;
		bool stops;
	} rows[] = {
		{ "none", 1000000, 0, false },
		{ "50%", 0, 0, false },
		{ "50%", GUARD_FEW, 0, false },
		{ "50%", GUARD_FEW + 1, 0, true },
		{ "50%", 100, 100, false },
		{ "50%", 101, 100, true },
		{ "100%", 1000, 0, false },
		{ "0%", GUARD_FEW + 1, 1000000, true },
		{ "0", 1, 1000000, true },
		{ "0", 0, 1000000, false },
		{ "10", 10, 0, false },
		{ "10", 11, 1000000, true },
		{ "50% 1000", 1001, 1000000, true },
		{ "50% 1000", 999, 100, true },
		{ "50% 1000", 999, 999, false },
	};
	struct guard_max max;

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct err e = ERR_INIT;
		int rc;

		OK(guard_max_parse(rows[i].max, &max, &e));
		rc = guard_max_check(&max, rows[i].deletes, rows[i].stays, &e);
		ck_assert_msg(
		    (rc == ERR_CONFLICT) == rows[i].stops, "row %zu", i);
		ck_assert(rows[i].stops || rc == 0);
		ck_assert(
		    !rows[i].stops || strstr(e.msg, "--max-delete") != NULL);
	}
}
END_TEST

/* ---- protected paths ---- */

struct told {
	enum compare_kind kind;
	const char *path;
	enum manifest_type want; /* but for COMPARE_DELETE */
	mode_t have;             /* but for COMPARE_CREATE */
};

static struct plan plan;

/* Tells all of it, and ends. */
static int
tell(const char *const *globs, size_t glob_count, const struct told *told,
    size_t count, struct err *e)
{
	char texts[4][32], *list[4];
	struct guard guard = { .protect = list, .protect_count = glob_count };
	struct protect p = { &guard, &plan };
	int rc = 0;

	for (size_t i = 0; i < glob_count; i++) {
		(void)snprintf(texts[i], sizeof(texts[i]), "%s", globs[i]);
		list[i] = texts[i];
	}
	plan_init(&plan);
	for (size_t i = 0; i < count && rc == 0; i++) {
		const struct fsat_stat have = { .mode = told[i].have };
		const struct layer_entry want = { .m.type = told[i].want };
		const struct compare_diff diff = { .kind = told[i].kind,
			.bits = COMPARE_TYPE,
			.path = told[i].path,
			.want = told[i].kind == COMPARE_DELETE ? NULL : &want,
			.have = told[i].kind == COMPARE_CREATE ? NULL : &have };

		rc = protect_add(&p, &diff, e);
	}
	return rc != 0 ? rc : protect_finish(&p, e);
}

START_TEST(keeps_protected_paths_out_of_the_plan)
{
	static const char *const globs[] = { "/etc/host*", "keep", "srv/data" };
	static const struct told told[] = {
		{ COMPARE_CHANGE, "etc/hostname", MANIFEST_FILE, S_IFREG },
		{ COMPARE_CHANGE, "etc/motd", MANIFEST_FILE, S_IFREG },
		{ COMPARE_CREATE, "etc/hosts.d/a", MANIFEST_FILE, 0 },
		{ COMPARE_DELETE, "opt/keep/below", MANIFEST_FILE, S_IFREG },
		{ COMPARE_DELETE, "opt/other", MANIFEST_FILE, S_IFREG },
		{ COMPARE_CREATE, "srv/data2", MANIFEST_DIR, 0 },
		{ COMPARE_CREATE, "srv/data", MANIFEST_DIR, 0 },
	};
	struct err e = ERR_INIT;

	OK(tell(globs, COUNT(globs), told, COUNT(told), &e));
	ck_assert_uint_eq(plan.item_count, 2);
	ck_assert_str_eq(plan.items[0].path, "etc/motd");
	ck_assert_str_eq(plan.items[1].path, "srv/data2");
	ck_assert_uint_eq(plan.delete_count, 1);
	ck_assert_str_eq(plan.deletes[0].path, "opt/other");
	ck_assert_uint_eq(plan.spared_count, 4);
	ck_assert_str_eq(plan.spared[0].path, "etc/hostname");
	ck_assert(plan.spared[0].is_there);
	ck_assert_str_eq(plan.spared[1].path, "etc/hosts.d/a");
	ck_assert(!plan.spared[1].is_there);
	plan_release(&plan);
}
END_TEST

START_TEST(keeps_what_leads_to_them)
{
	static const char *const globs[] = { "*.pem" };
	static const struct told told[] = {
		{ COMPARE_DELETE, "a/b/x.pem", MANIFEST_FILE, S_IFREG },
		{ COMPARE_DELETE, "a/b/y", MANIFEST_FILE, S_IFREG },
		{ COMPARE_DELETE, "a/b", MANIFEST_FILE, S_IFDIR },
		{ COMPARE_DELETE, "a/b!", MANIFEST_FILE, S_IFDIR },
		{ COMPARE_DELETE, "a/c", MANIFEST_FILE, S_IFDIR },
		{ COMPARE_DELETE, "a", MANIFEST_FILE, S_IFDIR },
	};
	struct err e = ERR_INIT;

	OK(tell(globs, COUNT(globs), told, COUNT(told), &e));
	ck_assert_uint_eq(plan.delete_count, 3);
	ck_assert_str_eq(plan.deletes[0].path, "a/b/y");
	ck_assert_str_eq(plan.deletes[1].path, "a/b!");
	ck_assert_str_eq(plan.deletes[2].path, "a/c");
	plan_release(&plan);
}
END_TEST

START_TEST(refuses_to_put_something_in_their_place)
{
	static const char *const globs[] = { "a/b/key" };
	static const struct told told[] = {
		{ COMPARE_DELETE, "a/b/key", MANIFEST_FILE, S_IFREG },
		{ COMPARE_CHANGE, "a", MANIFEST_FILE, S_IFDIR },
	};
	struct err e = ERR_INIT;

	ck_assert_int_eq(
	    tell(globs, COUNT(globs), told, COUNT(told), &e), ERR_UNSUPPORTED);
	ck_assert_ptr_nonnull(strstr(e.msg, "a/b/key is protected"));
	plan_release(&plan);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("guard");
	TCase *t = tcase_create("guard");
	SRunner *runner;
	int failed;

	tcase_add_test(t, reads_bounds);
	tcase_add_test(t, refuses_what_is_no_bound);
	tcase_add_test(t, stops_at_either_bound);
	tcase_add_test(t, keeps_protected_paths_out_of_the_plan);
	tcase_add_test(t, keeps_what_leads_to_them);
	tcase_add_test(t, refuses_to_put_something_in_their_place);
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
