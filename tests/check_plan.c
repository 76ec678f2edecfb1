/* The plan: what is staged where, what goes when, whose time is set last. */
#include "client/plan.h"

#include <check.h>

#include "common/text.h"
#include "tests/change.h"

#define STAGE    PLAN_STAGE_PREFIX CHANGE_RUN
#define OK(call) ck_assert_msg((call) == 0, "%s: %s", #call, e.msg)

static void
expect_stage(const struct change *c, const char *path, const char *stage)
{
	const struct plan_item *item = change_item(c, path);
	char got[LIMIT_PATH_BYTES + 1];
	struct err e = ERR_INIT;

	OK(plan_stage_path(&c->plan, item, got, sizeof(got), &e));
	ck_assert_str_eq(got, stage);
}

/* The one of this number among the items. */
static void
expect_root(const struct change *c, const char *path, bool is_root)
{
	const struct plan_item *item = change_item(c, path);

	ck_assert_msg(
	    (&c->plan.items[item->root] == item) == is_root, "%s", path);
}

START_TEST(stages_a_new_subtree_as_one)
{
	static const struct spec before[] = { D("."), D("old"), F("old/f"),
		END };
	static const struct spec after[] = { D("."), F("!", "x"), D("a"),
		D("a/b"), F("a/b/c", "1"), L("a/l", "x"), F("a!", "x"),
		D("old"), F("old/f"), D("old/new"), F("old/new/f", "2"), END };
	struct change c;

	change_begin(&c, before, &(struct source){ .specs = after }, NULL);
	ck_assert_uint_eq(c.plan.item_count, 8);
	expect_root(&c, "!", true);
	expect_root(&c, "a", true);
	expect_root(&c, "a/b", false);
	expect_root(&c, "a/b/c", false);
	expect_root(&c, "a/l", false);
	expect_root(&c, "a!", true);
	expect_root(&c, "old/new", true);
	expect_root(&c, "old/new/f", false);
	/* Numbers are those of the items. */
	expect_stage(&c, "!", STAGE "-0");
	expect_stage(&c, "a", STAGE "-1");
	expect_stage(&c, "a/b/c", STAGE "-1/b/c");
	expect_stage(&c, "a!", STAGE "-5");
	expect_stage(&c, "old/new/f", "old/" STAGE "-6/f");
	ck_assert_uint_eq(c.plan.write_bytes, 4);
	change_end(&c);
}
END_TEST

START_TEST(stages_what_takes_another_s_place)
{
	struct change c;
	static const struct {
		const char *path;
		enum plan_op op;
		bool root;
	} rows[] = {
		{ "-dash", PLAN_CREATE, true },
		{ "content", PLAN_REPLACE, true },
		{ "dir-to-file", PLAN_EXCHANGE, true },
		{ "dir-to-link", PLAN_EXCHANGE, true },
		{ "fifo-to-file", PLAN_REPLACE, true },
		{ "file-to-dir", PLAN_EXCHANGE, true },
		{ "file-to-dir/f", PLAN_CREATE, false },
		{ "group/1", PLAN_REPLACE, true },
		{ "group/2", PLAN_REPLACE, true },
		{ "link", PLAN_REPLACE, true },
		{ "link-to-dir", PLAN_EXCHANGE, true },
		{ "link-to-dir/l", PLAN_CREATE, false },
		{ "new/sub/hard", PLAN_CREATE, false },
		{ "zlink", PLAN_CREATE, true },
	};
	static const char *const meta[] = { ".", "attr", "busy", "dir-meta",
		"meta" };

	change_begin_all(&c);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ck_assert_msg(change_item(&c, rows[i].path)->op == rows[i].op,
		    "%s", rows[i].path);
		expect_root(&c, rows[i].path, rows[i].root);
	}
	for (size_t i = 0; i < sizeof(meta) / sizeof(meta[0]); i++) {
		const struct plan_item *item = change_item(&c, meta[i]);

		ck_assert_int_eq(item->op, PLAN_META);
		ck_assert(item->root == PLAN_NO_ROOT);
	}
	ck_assert_ptr_null(plan_find(&c.plan, "same"));
	ck_assert_ptr_null(plan_find(&c.plan, "quiet"));
	for (size_t i = 1; i < c.plan.item_count; i++)
		ck_assert_int_lt(compare_paths(c.plan.items[i - 1].path,
		                     c.plan.items[i].path),
		    0);
	change_end(&c);
}
END_TEST

START_TEST(deletes_once_and_children_first)
{
	static const struct spec before[] = { D("."), D("a"), D("a/b"),
		F("a/b/c"), F("a/b!"), F("a!"), F("z"), END };
	static const struct spec after[] = { D("."), F("new"), END };
	static const struct source was = { .specs = before };
	static const char *const order[] = { "z", "a!", "a/b!", "a/b/c", "a/b",
		"a" };
	struct change c;

	/* Told by exact mode and by the former release. */
	change_begin(&c, before, &(struct source){ .specs = after }, &was);
	ck_assert_uint_eq(c.plan.delete_count, 6);
	for (size_t i = 0; i < 6; i++) {
		ck_assert_str_eq(c.plan.deletes[i].path, order[i]);
		ck_assert_int_eq(c.plan.deletes[i].is_dir, i == 4 || i == 5);
		ck_assert(!c.plan.deletes[i].inside);
	}
	change_end(&c);
}
END_TEST

START_TEST(knows_what_goes_with_a_directory)
{
	static const struct spec before[] = { D("."), D("a"), D("a/b"),
		F("a/b/c"), F("a/d"), F("a!"), END };
	static const struct spec after[] = { D("."), F("a"), END };
	static const struct source was = { .specs = before };
	struct change c;

	change_begin(&c, before, &(struct source){ .specs = after }, &was);
	ck_assert_uint_eq(c.plan.delete_count, 4);
	for (size_t i = 0; i < 4; i++)
		ck_assert_msg(c.plan.deletes[i].inside ==
		        (strcmp(c.plan.deletes[i].path, "a!") != 0),
		    "%s", c.plan.deletes[i].path);
	change_end(&c);
}
END_TEST

START_TEST(touches_directories_whose_content_changes)
{
	static const struct spec before[] = { D("."), D("add"), D("both"),
		F("both/old"), D("deep"), D("deep/er"), F("deep/er/old"),
		D("meta"), F("meta/f"), D("mode"), F("mode/old"), D("quiet"),
		F("quiet/f"), END };
	static const struct spec after[] = { D("."), D("add", .nsec = 5),
		F("add/1"), F("add/2"), D("both"), F("both/new"), D("deep"),
		D("deep/er"), D("meta"), F("meta/f", .mode = 0600),
		D("mode", .mode = 0700), D("new"), F("new/f"), D("quiet"),
		F("quiet/f"), END };
	static const char *const touched[] = { ".", "both", "deep/er" };
	struct change c;

	change_begin(&c, before, &(struct source){ .specs = after }, NULL);
	ck_assert_uint_eq(c.plan.touch_count, 3);
	for (size_t i = 0; i < 3; i++) {
		ck_assert_str_eq(c.plan.touches[i].path, touched[i]);
		ck_assert_int_eq(c.plan.touches[i].mtime.tv_sec, SPEC_SEC);
	}
	/* Those set their time themselves. */
	ck_assert_int_eq(change_item(&c, "add")->op, PLAN_META);
	ck_assert_int_eq(change_item(&c, "mode")->op, PLAN_META);
	change_end(&c);
}
END_TEST

START_TEST(touches_nothing_that_no_transcript_lists)
{
	static const struct spec before[] = { D("srv"), D("srv/a"), END };
	static const struct spec after[] = { F("f"), END };
	struct change c;

	change_begin(
	    &c, before, &(struct source){ .specs = after, "/srv/a/b" }, NULL);
	ck_assert_uint_eq(c.plan.item_count, 2);
	ck_assert_uint_eq(c.plan.touch_count, 0);
	change_end(&c);
}
END_TEST

START_TEST(touches_beside_names_that_sort_before_the_root)
{
	static const struct spec before[] = { D("."), D(" "), F(" /old"),
		D("-x"), F("-x/old"), D("z"), F("z/old"), F("old"), END };
	static const struct spec after[] = { D("."), D(" "), D("-x"), D("z"),
		END };
	static const char *const touched[] = { ".", " ", "-x", "z" };
	struct change c;

	change_begin(&c, before, &(struct source){ .specs = after }, NULL);
	ck_assert_uint_eq(c.plan.touch_count, 4);
	for (size_t i = 0; i < 4; i++)
		ck_assert_str_eq(c.plan.touches[i].path, touched[i]);
	change_end(&c);
}
END_TEST

START_TEST(an_empty_plan_has_nothing_to_do)
{
	static const struct spec same[] = { D("."), F("x", "1"), END };
	struct change c;

	change_begin(&c, same, &(struct source){ .specs = same }, NULL);
	ck_assert(plan_is_empty(&c.plan));
	ck_assert_uint_eq(c.plan.touch_count, 0);
	ck_assert_ptr_null(plan_find(&c.plan, "x"));
	change_end(&c);
}
END_TEST

START_TEST(describes_each_item)
{
	static const struct {
		const char *path, *text;
	} rows[] = {
		{ ".", "change directory . (time)" },
		{ "attr", "change file attr (attributes)" },
		{ "content", "change file content (content, time)" },
		{ "dir-to-file", "change file dir-to-file (type)" },
		{ "group/2", "change hard link group/2 (link)" },
		{ "link", "change symlink link (target)" },
		{ "meta", "change file meta (mode, time)" },
		{ "new", "create directory new" },
		{ "new/p", "create fifo new/p" },
	};
	struct change c;
	struct buf text;

	change_begin_all(&c);
	buf_init(&text, 4096);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		buf_clear(&text);
		plan_describe(&text, change_item(&c, rows[i].path));
		ck_assert_str_eq(buf_str(&text), rows[i].text);
	}
	buf_release(&text);
	change_end(&c);
}
END_TEST

START_TEST(refuses_a_path_too_long_to_stage)
{
	static const struct spec before[] = { D("."), END };
	static const struct spec after[] = { D("."), F("x"), END };
	struct err e = ERR_INIT;
	struct change c;
	char small[8];

	change_begin(&c, before, &(struct source){ .specs = after }, NULL);
	ck_assert_int_eq(plan_stage_path(&c.plan, change_item(&c, "x"), small,
	                     sizeof(small), &e),
	    ERR_LIMIT);
	ck_assert_ptr_nonnull(strstr(e.msg, "x: "));
	change_end(&c);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("plan");
	TCase *t = tcase_create("plan");
	SRunner *runner;
	int failed;

	tcase_add_test(t, stages_a_new_subtree_as_one);
	tcase_add_test(t, stages_what_takes_another_s_place);
	tcase_add_test(t, deletes_once_and_children_first);
	tcase_add_test(t, knows_what_goes_with_a_directory);
	tcase_add_test(t, touches_directories_whose_content_changes);
	tcase_add_test(t, touches_nothing_that_no_transcript_lists);
	tcase_add_test(t, touches_beside_names_that_sort_before_the_root);
	tcase_add_test(t, an_empty_plan_has_nothing_to_do);
	tcase_add_test(t, describes_each_item);
	tcase_add_test(t, refuses_a_path_too_long_to_stage);
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
