/* Flags of chattr and read-only directories: in nobody's way while a tree
 * changes, and as they are wanted afterwards.
 * run: also as nobody */
#include "client/lift.h"

#include <check.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/dirtimes.h"
#include "common/fsat.h"
#include "tests/change.h"

#define OK(call) ck_assert_msg((call) == 0, "%s: %s", #call, e.msg)
#define A        MANIFEST_APPEND
#define I        MANIFEST_IMMUTABLE

static const struct spec flagged_before[] = {
	D(".", .flags = I),
	F("becomes", "1"),
	D("dir-to-file", .flags = I),
	F("dir-to-file/x", "1", .flags = A),
	F("first", "linked", .flags = I),
	D("gone", .flags = A),
	D("gone/deep", .flags = I),
	F("gone/deep/x", "1", .flags = A | I),
	D("holds", .flags = I),
	F("holds/old", "1"),
	F("loses", "1", .flags = A),
	F("meta", "1", .flags = I),
	F("replaced", "1", .flags = I),
	F("same", "1", .flags = I),
	F("to-dir", "1", .flags = A),
	END,
};
static const struct spec flagged_after[] = {
	D(".", .flags = I),
	F("becomes", "1", .flags = A | I),
	F("dir-to-file", "1", .flags = I),
	F("first", "linked", .flags = I),
	D("holds", .flags = I),
	F("holds/new", "1", .flags = A),
	H("link", "first"),
	F("loses", "1"),
	F("meta", "1", 0600, .flags = I),
	D("new", .flags = I),
	F("new/in", "1", .flags = A),
	F("replaced", "2", .flags = I),
	F("same", "1", .flags = I),
	D("to-dir", .flags = A),
	F("to-dir/x", "1"),
	END,
};

static bool
has_flags(void)
{
	struct scratch probe;
	bool has;

	scratch_make(&probe);
	has = spec_has_flags(probe.fd);
	scratch_remove(&probe);
	return has;
}

static void
begin(struct change *c)
{
	change_begin(c, flagged_before,
	    &(struct source){ .specs = flagged_after }, NULL);
}

static void
end(struct change *c)
{
	specs_unflag(c->root, flagged_before);
	specs_unflag(c->root, flagged_after);
	change_end(c);
}

START_TEST(flags_are_in_no_change_s_way_and_set_last)
{
	struct change c;

	if (!has_flags())
		return;
	begin(&c);
	ck_assert_uint_eq(change_item(&c, "becomes")->bits, COMPARE_FLAGS);
	change_make(&c);
	specs_expect(c.root, flagged_after);
	end(&c);
}
END_TEST

/* Flags are tried out with a file beside it. */
START_TEST(flags_are_set_in_a_directory_that_may_not_change)
{
	static const struct spec before[] = { D("."), D("keeps", .flags = I),
		F("keeps/x", "1"), END };
	static const struct spec after[] = { D("."), D("keeps", .flags = I),
		F("keeps/x", "1", .flags = A), END };
	struct change c;

	if (!has_flags())
		return;
	change_begin(&c, before, &(struct source){ .specs = after }, NULL);
	change_make(&c);
	specs_expect(c.root, after);
	specs_unflag(c.root, after);
	change_end(&c);
}
END_TEST

START_TEST(a_crash_after_any_step_ends_in_the_new_flags)
{
	bool more = true;
	size_t k;

	if (!has_flags())
		return;
	for (k = 0; more; k++) {
		struct err e = ERR_INIT;
		struct change c;
		int other = -1;

		begin(&c);
		change_stage(&c);
		change_journal(&c);
		OK(fsat_mkdir(c.top.fd, "other", 0700, &e));
		OK(fsat_open_dir(c.top.fd, "other", &other, &e));
		more = change_cut_journal(c.state, other, k);
		if (more)
			OK(change_commit(&c, other, &e));
		OK(change_commit(&c, c.state, &e));
		specs_expect(c.root, flagged_after);
		close(other);
		end(&c);
	}
	ck_assert_uint_gt(k, 30);
}
END_TEST

START_TEST(what_is_undone_has_its_flags_again)
{
	struct err e = ERR_INIT;
	struct fsat_stat st;
	struct change c;

	if (!has_flags())
		return;
	begin(&c);
	OK(dirtimes_note(c.state, c.root, &c.plan, &e));
	change_stage(&c);
	OK(fsat_stat(c.root, "replaced", &st, &e));
	ck_assert_uint_eq(st.flags, 0);
	for (int i = 0; i < 2; i++) {
		OK(journal_undo_stages(c.state, c.root, &e));
		OK(dirtimes_restore(c.state, c.root, &e));
		OK(lift_restore(c.state, c.root, &e));
		specs_expect(c.root, flagged_before);
	}
	ck_assert_int_eq(fsat_stat(c.state, LIFT_NAME, &st, &e), ERR_NOT_FOUND);
	end(&c);
}
END_TEST

/* ---- read-only directories, which stop everybody but root ---- */

static const struct spec closed_before[] = { D("."), D("d", .mode = 0555),
	F("d/new-content", "1"), F("d/gone", "1"), D("d/sub", .mode = 0500),
	F("d/sub/gone", "1"), D("gone", .mode = 0555),
	D("gone/in", .mode = 0555), F("gone/in/x", "1"),
	D("to-file", .mode = 0555), D("to-file/in", .mode = 0500),
	F("to-file/in/x", "1"), END };
static const struct spec closed_after[] = { D("."), D("d", .mode = 0555),
	F("d/new-content", "2"), D("d/sub", .mode = 0500),
	D("new", .mode = 0555), D("new/in", .mode = 0511),
	F("new/in/x", "1", 0400), F("to-file", "1"), END };

START_TEST(a_read_only_directory_changes_and_stays_read_only)
{
	struct change c;

	change_begin(
	    &c, closed_before, &(struct source){ .specs = closed_after }, NULL);
	change_make(&c);
	specs_expect(c.root, closed_after);
	change_end(&c);
}
END_TEST

START_TEST(a_directory_is_read_only_again_when_nothing_comes_of_it)
{
	struct err e = ERR_INIT;
	struct change c;

	change_begin(
	    &c, closed_before, &(struct source){ .specs = closed_after }, NULL);
	OK(dirtimes_note(c.state, c.root, &c.plan, &e));
	change_stage(&c);
	OK(journal_undo_stages(c.state, c.root, &e));
	OK(dirtimes_restore(c.state, c.root, &e));
	OK(lift_restore(c.state, c.root, &e));
	specs_expect(c.root, closed_before);
	for (const struct spec *s = closed_before; s->type != 0; s++)
		if (s->type == 'd')
			ck_assert_int_eq(fchmodat(c.root, s->path, 0755, 0), 0);
	change_end(&c);
}
END_TEST

START_TEST(a_damaged_note_is_an_error)
{
	struct err e = ERR_INIT;
	struct scratch top;

	scratch_make(&top);
	OK(fsat_write_file(top.fd, LIFT_NAME, 0600, "too short", 9, &e));
	ck_assert_int_eq(lift_restore(top.fd, top.fd, &e), ERR_FORMAT);
	scratch_remove(&top);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("lift");
	TCase *t = tcase_create("lift");
	SRunner *r;
	int failed;

	tcase_add_test(t, flags_are_in_no_change_s_way_and_set_last);
	tcase_add_test(t, flags_are_set_in_a_directory_that_may_not_change);
	tcase_add_test(t, a_crash_after_any_step_ends_in_the_new_flags);
	tcase_add_test(t, what_is_undone_has_its_flags_again);
	tcase_add_test(t, a_read_only_directory_changes_and_stays_read_only);
	tcase_add_test(
	    t, a_directory_is_read_only_again_when_nothing_comes_of_it);
	tcase_add_test(t, a_damaged_note_is_an_error);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
