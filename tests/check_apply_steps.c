/* Staging and committing on real directories: the tree is as wanted after any
 * interruption.
 * run: also as nobody */
#include <check.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "client/syncs.h"
#include "common/fsat.h"
#include "tests/change.h"

#define OK(call) ck_assert_msg((call) == 0, "%s: %s", #call, e.msg)

static void
expect_after(const struct change *c)
{
	specs_expect(c->root, c->after);
}

START_TEST(makes_every_kind_of_change)
{
	struct change c;

	change_begin_all(&c);
	change_make(&c);
	expect_after(&c);
	change_end(&c);
}
END_TEST

START_TEST(makes_devices)
{
	static const struct spec before[] = { D("."), F("x"), F("y"),
		C("z", .minor = 3), END };
	static const struct spec after[] = { D("."),
		C("x", .minor = 5, .mode = 0666, .sec = 4),
		B("y", .minor = 1, .mode = 0660), C("z", .minor = 7), END };
	struct scratch probe;
	struct change c;
	bool can;

	scratch_make(&probe);
	can = spec_has_devices(probe.fd);
	scratch_remove(&probe);
	if (!can)
		return;
	change_begin(&c, before, &(struct source){ .specs = after }, NULL);
	change_make(&c);
	expect_after(&c);
	change_end(&c);
}
END_TEST

START_TEST(sets_owners_and_keeps_setuid_and_attributes)
{
	static const struct spec before[] = { D("."),
		F("old", "1", 04755, .xattr = "v"), END };
	static const struct spec after[] = { D("."),
		D("dir", .owner = "#12", .group = "#34"),
		F("dir/new", "1", 06755, .owner = "#12", .group = "#34",
		    .xattr = "v"),
		L("link", "x", .owner = "#12", .group = "#34"),
		F("old", "1", 04755, .owner = "#12", .group = "#34",
		    .xattr = "v"),
		P("pipe", .owner = "#12", .group = "#34", .mode = 0640), END };
	static const char *const owned[] = { "dir", "dir/new", "link", "old",
		"pipe" };
	struct change c;
	struct stat st;

	if (geteuid() != 0)
		return;
	change_begin(&c, before, &(struct source){ .specs = after }, NULL);
	ck_assert_int_eq(change_item(&c, "old")->op, PLAN_META);
	change_make(&c);
	expect_after(&c);
	for (size_t i = 0; i < sizeof(owned) / sizeof(owned[0]); i++) {
		ck_assert_int_eq(
		    fstatat(c.root, owned[i], &st, AT_SYMLINK_NOFOLLOW), 0);
		ck_assert_uint_eq(st.st_uid, 12);
		ck_assert_uint_eq(st.st_gid, 34);
	}
	change_end(&c);
}
END_TEST

/* From: linux/capability.h, VFS_CAP_REVISION_2: cap_net_raw, effective. */
static const uint8_t capability[20] = { 1, 0, 0, 2, 0, 0x20 };

START_TEST(a_new_owner_leaves_a_file_its_capabilities)
{
	static const struct spec after[] = { D("."),
		F("x", "1", 0755, .owner = "#12"), END };
	static const struct spec before[] = { D("."), F("x", "1", 0755), END };
	struct change c;
	struct buf text;
	uint8_t got[64];
	char path[300];

	if (geteuid() != 0)
		return;
	change_begin(&c, before, &(struct source){ .specs = after }, NULL);
	buf_init(&text, 4096);
	manifest_xattr_add(
	    &text, "security.capability", capability, sizeof(capability));
	(void)snprintf(path, sizeof(path), "%s/root/x", c.top.path);
	ck_assert_int_eq(setxattr(path, "security.capability", capability,
	                     sizeof(capability), 0),
	    0);
	/* They were the same when trees were compared. */
	ck_assert_str_eq(c.plan.items[0].xattrs, "");
	c.plan.items[0].xattrs = buf_str(&text);
	ck_assert_uint_eq(c.plan.items[0].bits, COMPARE_OWNER);
	change_make(&c);
	ck_assert_int_eq(
	    getxattr(path, "security.capability", got, sizeof(got)),
	    (ssize_t)sizeof(capability));
	ck_assert_mem_eq(got, capability, sizeof(capability));
	buf_release(&text);
	change_end(&c);
}
END_TEST

/* From: linux/posix_acl_xattr.h, version 2: user::rwx, user:12:rwx,
 * group::rwx, mask::rwx, other::---. */
static const uint8_t default_acl[] = { 2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255,
	255, 2, 0, 7, 0, 12, 0, 0, 0, 4, 0, 7, 0, 255, 255, 255, 255, 16, 0, 7,
	0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255 };

START_TEST(new_things_inherit_no_acl)
{
	static const struct spec before[] = { D("."), D("shared"), END };
	static const struct spec after[] = { D("."), D("shared"), D("shared/d"),
		F("shared/d/f", "1"), F("shared/f", "1"), P("shared/p"), END };
	struct change c;
	char path[300];

	change_begin(&c, before,
	    &(struct source){ .specs = after, .overlay = true }, NULL);
	(void)snprintf(path, sizeof(path), "%s/root/shared", c.top.path);
	if (setxattr(path, "system.posix_acl_default", default_acl,
	        sizeof(default_acl), 0) == 0) {
		change_make(&c);
		ck_assert_int_eq(
		    removexattr(path, "system.posix_acl_default"), 0);
		expect_after(&c);
	}
	change_end(&c);
}
END_TEST

START_TEST(taking_all_steps_again_changes_nothing)
{
	struct err e = ERR_INIT;
	struct change c;

	change_begin_all(&c);
	change_stage(&c);
	change_journal(&c);
	for (int i = 0; i < 3; i++) {
		OK(change_commit(&c, c.state, &e));
		expect_after(&c);
	}
	change_end(&c);
}
END_TEST

/* ---- crashes ---- */

START_TEST(a_crash_after_any_step_ends_in_the_new_tree)
{
	bool more = true;
	size_t k;

	for (k = 0; more; k++) {
		struct err e = ERR_INIT;
		struct change c;
		int other = -1;

		change_begin_all(&c);
		change_stage(&c);
		change_journal(&c);
		OK(fsat_mkdir(c.top.fd, "other", 0700, &e));
		OK(fsat_open_dir(c.top.fd, "other", &other, &e));
		more = change_cut_journal(c.state, other, k);
		if (more)
			OK(change_commit(&c, other, &e));
		OK(change_commit(&c, c.state, &e));
		expect_after(&c);
		/* Nor does the list of stages do harm now. */
		OK(journal_undo_stages(c.state, c.root, &e));
		expect_after(&c);
		close(other);
		change_end(&c);
	}
	ck_assert_uint_gt(k, 30);
}
END_TEST

/* Ends a process in the middle of staging: the k-th file is half written. */
static void
stage_until(struct change *c, size_t k)
{
	struct stage *s = NULL;
	struct err e = ERR_INIT;

	if (journal_write_stages(c->state, &c->plan, &e) != 0 || k == 0 ||
	    stage_new(c->root, &c->plan, &s, &e) != 0 ||
	    stage_frame(s, &e) != 0)
		_exit(k == 0 ? 0 : 1);
	for (size_t i = 0; i < c->plan.item_count && k > 1; i++) {
		struct plan_item *item = &c->plan.items[i];

		if (item->type != MANIFEST_FILE || item->root == PLAN_NO_ROOT ||
		    item->size_bytes == 0)
			continue;
		if (stage_file_begin(s, item, &e) != 0 ||
		    stage_file_write(s, "half", 4, &e) != 0)
			_exit(1);
		if (--k > 1 && stage_file_end(s, &e) != 0)
			_exit(1);
	}
	_exit(0);
}

START_TEST(a_crash_while_staging_ends_in_the_old_tree)
{
	for (size_t k = 0; k < 20; k++) {
		struct err e = ERR_INIT;
		struct fsat_stat st;
		struct change c;
		int status = -1;
		pid_t pid;

		change_begin_all(&c);
		pid = fork();
		if (pid == 0)
			stage_until(&c, k);
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert_int_eq(status, 0);
		OK(journal_undo_stages(c.state, c.root, &e));
		ck_assert_int_eq(
		    fsat_stat(c.state, JOURNAL_STAGES, &st, &e), ERR_NOT_FOUND);
		OK(journal_undo_stages(c.state, c.root, &e));
		/* But for the times of directories that held stages. */
		specs_make(c.root,
		    (const struct spec[]){ D("."), D("busy"),
		        D("dir-meta", .mode = 0700), D("group"), END });
		specs_expect(c.root, change_before);
		change_end(&c);
	}
}
END_TEST

/* ---- others change the tree between plan and commit ---- */

static const struct spec busy_before[] = { D("."), D("d"), F("d/f", "1"),
	F("ex", "1"), F("gone", "1"), D("gone-dir"), F("meta", "1"),
	F("replaced", "1"), END };
static const struct spec busy_after[] = { D("."), D("d"), F("d/f", "2"),
	F("d/new", "1"), D("ex"), F("ex/f", "1"), F("meta", "1", 0600),
	F("new", "1"), D("new-dir"), F("new-dir/f", "1"), F("replaced", "2"),
	END };

/* Whose steps are taken although somebody did `meddle` after staging. */
static void
commit_after(void (*meddle)(int root))
{
	struct err e = ERR_INIT;
	struct change c;

	change_begin(
	    &c, busy_before, &(struct source){ .specs = busy_after }, NULL);
	change_stage(&c);
	change_journal(&c);
	meddle(c.root);
	OK(change_commit(&c, c.state, &e));
	OK(change_commit(&c, c.state, &e));
	/* What is left to be done a second run does. */
	plan_release(&c.plan);
	wanted_rewind(&c.wanted);
	OK(compare_run(
	    &(struct compare_options){ .root = c.root, .want = c.wanted.layer },
	    plan_add, &c.plan, &(struct compare_totals){ 0 }, &e));
	wanted_rewind(&c.wanted);
	OK(plan_finish(&c.plan, c.wanted.layer, "again", &e));
	change_make(&c);
	expect_after(&c);
	change_end(&c);
}

static void
remove_all(int root)
{
	struct fsat_names names;
	struct err e = ERR_INIT;

	OK(fsat_list(root, &names, &e));
	for (size_t i = 0; i < names.count; i++)
		OK(fsat_remove_tree(root, names.names[i], &e));
	fsat_names_release(&names);
}

static void
remove_old(int root)
{
	static const char *const paths[] = { "d/f", "ex", "gone", "gone-dir",
		"meta", "replaced" };
	struct err e = ERR_INIT;

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		OK(fsat_remove_tree(root, paths[i], &e));
}

static void
make_directories(int root)
{
	static const struct spec dirs[] = { F("d/new/x/y"), F("gone/x"),
		F("gone-dir/x"), F("meta/x"), F("new/x"), F("new-dir/x"),
		F("replaced/x"), END };

	remove_old(root);
	specs_make(root, dirs);
}

static void
make_files(int root)
{
	static const struct spec files[] = { F("ex", "other"), F("gone-dir"),
		F("meta", "other"), F("new", "other"), F("new-dir", "other"),
		END };

	remove_old(root);
	specs_make(root, files);
}

static void
make_links(int root)
{
	static const struct spec links[] = { L("ex", "/"), L("gone-dir", "/"),
		L("meta", "d"), L("new", "/"), L("new-dir", "d"), END };

	remove_old(root);
	specs_make(root, links);
}

static void
move_parent(int root)
{
	static const struct spec link[] = { L("d", "/"), END };
	struct err e = ERR_INIT;

	OK(fsat_rename(root, "d", root, "moved", &e));
	specs_make(root, link);
}

START_TEST(a_commit_gets_past_what_others_did)
{
	commit_after(remove_all);
	commit_after(remove_old);
	commit_after(make_directories);
	commit_after(make_files);
	commit_after(make_links);
	commit_after(move_parent);
}
END_TEST

START_TEST(metadata_go_to_nothing_but_what_was_compared)
{
	static const struct spec before[] = { D("."), F("x", "1"), D("d"),
		END };
	static const struct spec after[] = { D("."), F("x", "1", 0666),
		D("d", .mode = 0777), END };
	static const struct spec other[] = { F("secret", "1", 0600),
		D("secrets", .mode = 0700), END };
	struct err e = ERR_INIT;
	struct change c;
	struct stat st;

	change_begin(&c, before, &(struct source){ .specs = after }, NULL);
	change_stage(&c);
	change_journal(&c);
	specs_make(c.top.fd, other);
	OK(fsat_unlink(c.root, "x", &e));
	OK(fsat_link(c.top.fd, "secret", c.root, "x", &e));
	OK(fsat_rmdir(c.root, "d", &e));
	OK(fsat_symlink("../secrets", c.root, "d", &e));
	OK(change_commit(&c, c.state, &e));
	ck_assert_int_eq(fstatat(c.top.fd, "secret", &st, 0), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	ck_assert_int_eq(fstatat(c.top.fd, "secrets", &st, 0), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0700);
	change_end(&c);
}
END_TEST

START_TEST(what_others_put_into_a_dropped_directory_stays)
{
	static const struct spec before[] = { D("."), F("a/b/f"), F("a/x"),
		END };
	static const struct spec after[] = { D("."), END };
	static const struct spec left[] = { D("."), F("a/b/mine"), END };
	struct err e = ERR_INIT;
	struct change c;

	change_begin(&c, before, &(struct source){ .specs = after }, NULL);
	change_stage(&c);
	change_journal(&c);
	specs_make(c.root, (const struct spec[]){ F("a/b/mine"), END });
	OK(change_commit(&c, c.state, &e));
	specs_expect(c.root, left);
	change_end(&c);
}
END_TEST

/* ---- stages ---- */

START_TEST(undoing_stages_removes_nothing_else)
{
	static const struct {
		const char *text;
		size_t len;
		int code;
	} rows[] = {
		{ "etc/" PLAN_STAGE_PREFIX "1\0", 13, 0 },
		{ "etc\0", 4, ERR_FORMAT },
		{ PLAN_STAGE_PREFIX "1\0etc/passwd\0", 20, ERR_FORMAT },
		{ "etc/" PLAN_STAGE_PREFIX "1", 12, ERR_FORMAT },
		{ "", 0, 0 },
		{ "\0", 1, ERR_FORMAT },
		{ "nowhere/" PLAN_STAGE_PREFIX "1\0", 17, 0 },
		{ "etc/passwd/" PLAN_STAGE_PREFIX "1\0", 20, 0 },
		{ "link/" PLAN_STAGE_PREFIX "1\0", 14, 0 },
	};
	static const struct spec have[] = { D("."), D("etc"),
		F("etc/passwd", "1"), L("link", "etc"), END };
	static const struct spec stage[] = {
		F("etc/" PLAN_STAGE_PREFIX "1/x/y"), END
	};
	struct err e = ERR_INIT;
	struct change c;

	change_begin(&c, have, &(struct source){ .specs = have }, NULL);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fsat_stat st;
		int rc;

		if (i == 0)
			specs_make(c.root, stage);
		OK(fsat_write_file(c.state, JOURNAL_STAGES, 0600, rows[i].text,
		    rows[i].len, &e));
		ck_assert_msg(
		    journal_undo_stages(c.state, c.root, &e) == rows[i].code,
		    "%zu: %s", i, e.msg);
		rc = fsat_stat(c.state, JOURNAL_STAGES, &st, &e);
		ck_assert_int_eq(rc, rows[i].code == 0 ? ERR_NOT_FOUND : 0);
		ck_assert_int_eq(faccessat(c.root, "etc/passwd", F_OK, 0), 0);
		ck_assert_int_ne(
		    faccessat(c.root, "etc/" PLAN_STAGE_PREFIX "1", F_OK, 0),
		    0);
	}
	change_end(&c);
}
END_TEST

START_TEST(stages_on_the_file_system_they_are_for)
{
	static const struct spec before[] = { D("."), D("m"), F("m/old", "1"),
		END };
	static const struct spec after[] = { D("."), F("a", "twice"), D("m"),
		F("m/b", "twice"), D("m/d"), F("m/d/f", "x"), END };
	static const struct spec empty[] = { D("."), D("m"), END };
	struct err e = ERR_INIT;
	struct compare_totals totals;
	struct change c;
	char path[300];

	if (!scratch_own_mounts())
		return;
	change_begin(&c, empty, &(struct source){ .specs = after }, NULL);
	(void)snprintf(path, sizeof(path), "%s/root/m", c.top.path);
	ck_assert_int_eq(mount("none", path, "tmpfs", 0, "mode=0755"), 0);
	specs_make(c.root, before + 1);
	plan_release(&c.plan);
	wanted_rewind(&c.wanted);
	OK(compare_run(
	    &(struct compare_options){ .root = c.root, .want = c.wanted.layer },
	    plan_add, &c.plan, &totals, &e));
	wanted_rewind(&c.wanted);
	OK(plan_finish(&c.plan, c.wanted.layer, CHANGE_RUN, &e));
	change_make(&c);
	/* Nobody listed what was mounted. */
	OK(fsat_unlink(c.root, "m/old", &e));
	specs_make(c.root, (const struct spec[]){ D("m"), END });
	expect_after(&c);
	ck_assert_int_eq(umount(path), 0);
	change_end(&c);
}
END_TEST

START_TEST(notes_each_file_system_once)
{
	struct syncs syncs = SYNCS_INIT;
	struct err e = ERR_INIT;
	struct change c;
	int held = -1;

	change_begin_all(&c);
	OK(syncs_all(&syncs, &e));
	OK(syncs_add(&syncs, c.root, &e));
	OK(fsat_hold_dir(c.root, "busy", &held, &e));
	OK(syncs_add(&syncs, held, &e));
	close(held);
	ck_assert_uint_eq(syncs.count, 1);
	OK(fsat_operator_dir("/proc", false, 0, &held, &e));
	OK(syncs_add(&syncs, held, &e));
	close(held);
	ck_assert_uint_eq(syncs.count, 2);
	OK(syncs_all(&syncs, &e));
	syncs_release(&syncs);
	change_end(&c);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("apply_steps");
	TCase *t = tcase_create("apply_steps");
	SRunner *runner;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_test(t, makes_every_kind_of_change);
	tcase_add_test(t, makes_devices);
	tcase_add_test(t, sets_owners_and_keeps_setuid_and_attributes);
	tcase_add_test(t, a_new_owner_leaves_a_file_its_capabilities);
	tcase_add_test(t, new_things_inherit_no_acl);
	tcase_add_test(t, taking_all_steps_again_changes_nothing);
	tcase_add_test(t, a_crash_after_any_step_ends_in_the_new_tree);
	tcase_add_test(t, a_crash_while_staging_ends_in_the_old_tree);
	tcase_add_test(t, a_commit_gets_past_what_others_did);
	tcase_add_test(t, metadata_go_to_nothing_but_what_was_compared);
	tcase_add_test(t, what_others_put_into_a_dropped_directory_stays);
	tcase_add_test(t, undoing_stages_removes_nothing_else);
	tcase_add_test(t, stages_on_the_file_system_they_are_for);
	tcase_add_test(t, notes_each_file_system_once);
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
