/* Manifests against real directories: what is told to differ.
 * run: also as nobody */
#include <check.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/diffs.h"
#include "tests/scratch.h"

#define OK(call) ck_assert_msg((call) == 0, "%s: %s", #call, e.msg)
#define TOP      D(".")

static struct scratch top;

static void
set_up(void)
{
	umask(022);
	scratch_make(&top);
}

static void
tear_down(void)
{
	scratch_remove(&top);
}

static void
expect_with(const struct source *sources, size_t count,
    struct compare_options o, const char *told)
{
	diffs_expect(top.fd, sources, count, o, told);
}

static void
expect(const struct source *source, const char *told)
{
	expect_with(source, 1, (struct compare_options){ 0 }, told);
}

static void
expect_exact(const struct spec *want, const char *told)
{
	expect(&(struct source){ .specs = want }, told);
}

static void
expect_overlay(const struct spec *want, const char *told)
{
	expect(&(struct source){ .specs = want, .overlay = true }, told);
}

static void
expect_error(const struct source *source, struct compare_options o, int code,
    const char *word)
{
	diffs_error(top.fd, source, o, code, word);
}

/* ---- one thing ---- */

START_TEST(tells_each_difference_alone)
{
	static const struct {
		struct spec have, want;
		const char *told;
		bool root, xattrs;
	} rows[] = {
		{ F("x", "one"), F("x", "one"), .told = "" },
		{ F("x", "one"), F("x", "two"), .told = "~C x\n" },
		{ F("x", "one"), F("x", "longer"), .told = "~C x\n" },
		{ F("x", "one"), F("x", ""), .told = "~C x\n" },
		{ F("x", "one"), F("x", "one", 0600), .told = "~M x\n" },
		{ F("x", "one"), F("x", "one", 04755), .told = "~M x\n" },
		{ F("x", "one"), F("x", "one", .sec = 1), .told = "~t x\n" },
		{ F("x", "one"), F("x", "one", .nsec = 1), .told = "~t x\n" },
		{ F("x", "one"), F("x", "one", .owner = "#12345"),
		    .told = "~O x\n" },
		{ F("x", "one"), F("x", "one", .group = "#12345"),
		    .told = "~G x\n" },
		{ F("x", "one"),
		    F("x", "two", 0600, .sec = 7, .owner = "#1", .group = "#1"),
		    .told = "~COGMt x\n" },
		{ F("x", "one"), F("x", "one", .xattr = "v"), .told = "~X x\n",
		    .xattrs = true },
		{ F("x", "one", .xattr = "v"), F("x", "one"), .told = "~X x\n",
		    .xattrs = true },
		{ F("x", "one", .xattr = "v"), F("x", "one", .xattr = "w"),
		    .told = "~X x\n", .xattrs = true },
		{ F("x", "one", .xattr = "v"), F("x", "one", .xattr = "v"),
		    .told = "", .xattrs = true },
		{ D("x"), D("x"), .told = "" },
		{ D("x"), D("x", .mode = 0700), .told = "~M x\n" },
		{ D("x"), D("x", .sec = 1), .told = "~t x\n" },
		{ D("x", .xattr = "v"), D("x"), .told = "~X x\n",
		    .xattrs = true },
		{ L("x", "to"), L("x", "to"), .told = "" },
		{ L("x", "to"), L("x", "t"), .told = "~S x\n" },
		{ L("x", "to"), L("x", "too"), .told = "~S x\n" },
		{ L("x", "to"), L("x", "to", .sec = 1), .told = "~t x\n" },
		{ L("x", "to"), L("x", "to", .owner = "#12345"),
		    .told = "~O x\n" },
		/* A symlink's mode says nothing. */
		{ L("x", "to"), L("x", "to", 0700), .told = "" },
		{ P("x"), P("x"), .told = "" },
		{ P("x"), P("x", .mode = 0600), .told = "~M x\n" },
		{ C("x", .minor = 3), C("x", .minor = 3), .told = "",
		    .root = true },
		{ C("x", .minor = 3), C("x", .minor = 5), .told = "~D x\n",
		    .root = true },
		{ B("x", .minor = 3), B("x", .minor = 5), .told = "~D x\n",
		    .root = true },
	};
	bool xattrs = spec_has_xattrs(top.fd);
	bool devices = spec_has_devices(top.fd);
	struct err e = ERR_INIT;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct spec have[] = { TOP, rows[i].have, END };
		const struct spec want[] = { rows[i].want, END };

		if ((rows[i].root && !devices) || (rows[i].xattrs && !xattrs))
			continue;
		specs_make(top.fd, have);
		expect_exact(want, rows[i].told);
		OK(fsat_remove_tree(top.fd, "x", &e));
	}
}
END_TEST

START_TEST(tells_every_change_of_type)
{
	static const struct spec kinds[] = { F("x", "one"), D("x"),
		L("x", "to"), P("x"), C("x", .minor = 3), B("x", .minor = 3) };
	const size_t count = spec_has_devices(top.fd) ? 6 : 4;
	struct err e = ERR_INIT;

	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < count; k++) {
			const struct spec have[] = { TOP, kinds[i], END };
			const struct spec want[] = { kinds[k], END };

			specs_make(top.fd, have);
			expect_exact(want, i == k ? "" : "~T x\n");
			OK(fsat_remove_tree(top.fd, "x", &e));
		}
}
END_TEST

START_TEST(creates_what_is_missing_in_path_order)
{
	static const struct spec want[] = { D("a"), F("a/f", "1"), D("a/d"),
		L("a/d/l", "x"), F("a b"), P("p"), H("q", "a/f"), END };
	static const struct spec top_only[] = { TOP, END };

	specs_make(top.fd, top_only);
	expect_exact(want, "+a\n+a/d\n+a/d/l\n+a/f\n+a\\040b\n+p\n+q\n");
}
END_TEST

START_TEST(tells_what_takes_a_directory_s_place_and_what_goes_with_it)
{
	static const struct spec have[] = { TOP, F("x/deep/file", "1"),
		F("x/own", "1"), F("x/zz", "1"), END };
	static const struct spec want[] = { F("x", "1"), END };

	specs_make(top.fd, have);
	expect_overlay(want, "-x/deep/file\n-x/deep\n-x/own\n-x/zz\n~T x\n");
	expect_exact(want, "-x/deep/file\n-x/deep\n-x/own\n-x/zz\n~T x\n");
}
END_TEST

START_TEST(makes_all_below_a_file_that_becomes_a_directory)
{
	static const struct spec have[] = { TOP, F("x", "1"), L("y", "x"),
		END };
	static const struct spec want[] = { D("x"), F("x/f", "1"), D("y"),
		D("y/d"), F("y/d/f"), END };

	specs_make(top.fd, have);
	expect_exact(want, "~T x\n+x/f\n~T y\n+y/d\n+y/d/f\n");
}
END_TEST

/* ---- exact and overlay ---- */

START_TEST(deletes_what_is_not_listed_children_first)
{
	static const struct spec have[] = { TOP, F("!first"), F("a/b/c/d/e"),
		L("a/b/link", "/etc"), F("a/b!"), F("keep/file", "1"),
		D("keep"), F("keep/other"), P("keep/zz"), D("zz"), END };
	static const struct spec want[] = { D("keep"), F("keep/file", "1"),
		END };

	specs_make(top.fd, have);
	expect_exact(want,
	    "-!first\n-a/b/c/d/e\n-a/b/c/d\n-a/b/c\n-a/b/link\n"
	    "-a/b\n-a/b!\n-a\n-keep/other\n-keep/zz\n-zz\n");
	expect_overlay(want, "");
}
END_TEST

START_TEST(walks_deep_and_wide_unlisted_trees)
{
	static const struct spec want[] = { TOP, END };
	struct err e = ERR_INIT;
	struct diffs told;
	struct buf path;
	size_t lines = 0;

	/* As deep as a path can be: 1,000 directories of three bytes each. */
	buf_init(&path, LIMIT_PATH_BYTES + 1);
	for (int i = 0; i < 1000; i++)
		buf_addf(&path, "%sabc", i == 0 ? "" : "/");
	OK(fsat_mkdir_all(top.fd, buf_str(&path), 0755, &e));
	for (int i = 0; i < 300; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "abc/%d", i);
		OK(fsat_mkdir(top.fd, name, 0755, &e));
	}
	specs_make(top.fd, want);
	buf_init(&told.text, 1 << 24);
	OK(diffs_run(top.fd, &(struct source){ .specs = want }, 1,
	    &(struct compare_options){ 0 }, &told, &e));
	for (const char *s = buf_str(&told.text); *s != '\0'; s++)
		lines += *s == '\n';
	ck_assert_uint_eq(lines, 1300);
	buf_release(&told.text);
	buf_release(&path);
}
END_TEST

START_TEST(spares_what_is_excluded_and_what_leads_there)
{
	static const struct spec have[] = { TOP, F("a/b/c.log"), F("a/b/gone"),
		F("a/gone"), F("tmp/x/y"), F("var/run/pid"), F("var/gone"),
		F("listed.log", "old"), END };
	static const struct spec want[] = { F("listed.log", "new"), END };
	static const struct source source = { .specs = want,
		.excludes = { "*.log", "tmp", "var/run" } };

	specs_make(top.fd, have);
	expect(&source, "-a/b/gone\n-a/gone\n~C listed.log\n-var/gone\n");
}
END_TEST

START_TEST(applies_excludes_below_their_target_only)
{
	static const struct spec have[] = { TOP, D("one"), F("one/a.log"),
		D("two"), F("two/a.log"), END };
	static const struct spec none[] = { END };
	static const struct source sources[] = {
		{ .specs = none, "/one", .excludes = { "*.log" } },
		{ .specs = none, "/two" },
	};

	specs_make(top.fd, have);
	expect_with(sources, 2, (struct compare_options){ 0 }, "-two/a.log\n");
}
END_TEST

START_TEST(never_deletes_what_is_kept)
{
	static const struct spec have[] = { TOP, F("var/lib/own/state"),
		F("var/lib/other"), F("var/lib/own.not"), END };
	static const struct spec want[] = { TOP, END };
	static const char *const keep[] = { "var/lib/own", "nowhere/at/all" };
	const struct source source = { .specs = want };
	struct fsat_stat st;
	struct err e = ERR_INIT;

	specs_make(top.fd, have);
	expect_with(&source, 1,
	    (struct compare_options){ .keep = keep, .keep_count = 2 },
	    "-var/lib/other\n-var/lib/own.not\n");
	/* The same by what it is and not by its path. */
	OK(fsat_stat(top.fd, "var/lib/own", &st, &e));
	expect_with(&source, 1, (struct compare_options){ .keep_dir = &st },
	    "-var/lib/other\n-var/lib/own.not\n");
}
END_TEST

START_TEST(refuses_to_replace_a_directory_that_holds_what_must_stay)
{
	static const struct spec have[] = { TOP, F("var/own/state"),
		F("var/x.log"), END };
	static const struct spec want[] = { F("var"), END };
	static const char *const keep[] = { "var/own" };
	static const struct source plain = { .specs = want };
	static const struct source excluding = { .specs = want,
		.excludes = { "*.log" } };

	specs_make(top.fd, have);
	expect_error(&plain,
	    (struct compare_options){ .keep = keep, .keep_count = 1 },
	    ERR_UNSUPPORTED, "var: ");
	expect_error(&plain,
	    (struct compare_options){ .keep = keep, .keep_count = 1 },
	    ERR_UNSUPPORTED, "var/own");
	expect_error(&excluding, (struct compare_options){ 0 }, ERR_UNSUPPORTED,
	    "var/x.log is excluded");
}
END_TEST

/* ---- targets ---- */

START_TEST(makes_parents_of_targets_where_they_are_missing)
{
	static const struct spec want[] = { F("index"), END };
	static const struct spec have[] = { D("srv"), END };
	static const struct source source = {
		.specs = want, "/srv/a/b", .overlay = true
	};

	expect(&source, "+srv\n+srv/a\n+srv/a/b\n+srv/a/b/index\n");
	specs_make(top.fd, have);
	expect(&source, "+srv/a\n+srv/a/b\n+srv/a/b/index\n");
}
END_TEST

START_TEST(leaves_parents_of_targets_as_they_are)
{
	static const struct spec have[] = { TOP,
		D("srv", .mode = 0700, .sec = 5), F("srv/mine"),
		D("srv/a", .mode = 0711, .sec = 7), F("srv/a/mine"), END };
	static const struct spec want[] = { END };

	specs_make(top.fd, have);
	expect(
	    &(struct source){ .specs = want, "/srv/a", .overlay = true }, "");
	expect(&(struct source){ .specs = want, "/srv/a" },
	    "~Mt srv/a\n-srv/a/mine\n");
}
END_TEST

START_TEST(says_what_stands_in_a_target_s_way)
{
	static const struct spec have[] = { TOP, D("real/b"), L("link", "real"),
		F("file"), END };
	static const struct spec want[] = { F("f"), END };
	static const struct compare_options none = { 0 };

	specs_make(top.fd, have);
	expect_error(&(struct source){ .specs = want, "/link/b" }, none,
	    ERR_UNSUPPORTED,
	    "link: on the way to a target, but not a "
	    "directory (a symlink");
	expect_error(
	    &(struct source){ .specs = want, "/link", .overlay = true }, none,
	    ERR_UNSUPPORTED, "symlink");
	expect_error(
	    &(struct source){ .specs = want, "/file/x", .overlay = true }, none,
	    ERR_UNSUPPORTED,
	    "file: on the way to a target, but not a "
	    "directory");
}
END_TEST

START_TEST(needs_no_right_to_list_what_only_leads_to_a_target)
{
	static const struct spec have[] = { F("srv/a/f", "1"), D("srv/a"),
		D("srv", .mode = 0311), END };
	static const struct spec want[] = { F("f", "1"), END };
	static const struct spec back[] = { D("srv"), END };

	specs_make(top.fd, have);
	expect(&(struct source){ .specs = want, "/srv/a" }, "");
	specs_make(top.fd, back);
}
END_TEST

START_TEST(compares_the_root_itself)
{
	static const struct spec have[] = { D(".", .mode = 0711), END };
	static const struct spec want[] = { D(".", .mode = 0755, .sec = 9),
		END };

	specs_make(top.fd, have);
	expect_exact(want, "~Mt .\n");
	expect_overlay(want, "");
}
END_TEST

START_TEST(layers_overlays_over_an_exact_tree)
{
	static const struct spec have[] = { TOP, D("etc"), F("etc/a", "base"),
		F("etc/b", "web"), F("etc/c"), END };
	static const struct spec base[] = { D("etc"), F("etc/a", "base"),
		F("etc/b", "base"), END };
	static const struct spec web[] = { F("b", "web"), END };
	static const struct source sources[] = { { .specs = base, "/" },
		{ .specs = web, "/etc", .overlay = true } };

	specs_make(top.fd, have);
	expect_with(sources, 2, (struct compare_options){ 0 }, "-etc/c\n");
}
END_TEST

START_TEST(takes_names_of_any_bytes)
{
	static const struct spec have[] = { TOP, F("-x", "1"),
		F("a\nb/c\\d", "1"), D("a\nb"), F("\xff\xfe\x01", "1"),
		F(" ", "1"), F("...", "1"), F("gone\t"), END };
	static const struct spec want[] = { F("-x", "2"), D("a\nb"),
		F("a\nb/c\\d", "1"), F("\xff\xfe\x01", "2"), F(" ", "1"),
		F("...", "2"), F("a\nb-"), END };

	specs_make(top.fd, have);
	expect_exact(
	    want, "~C -x\n~C ...\n+a\\012b-\n-gone\\011\n~C \xff\xfe\\001\n");
}
END_TEST

/* ---- hard links ---- */

START_TEST(knows_hard_links)
{
	static const struct spec have[] = { TOP, F("a", "1"), H("b", "a"),
		F("c", "1"), L("d", "a"), END };
	static const struct spec want[] = { F("a", "1"), H("b", "a"),
		H("c", "a"), H("d", "a"), H("e", "a"), END };

	specs_make(top.fd, have);
	expect_exact(want, "~L c\n~T d\n+e\n");
}
END_TEST

START_TEST(renews_a_group_with_its_first_name)
{
	static const struct spec have[] = { TOP, F("a", "1"), H("b", "a"),
		F("p/a", "1"), H("p/b", "p/a"), F("q", "1"), END };
	static const struct spec content[] = { F("a", "2"), H("b", "a"), D("p"),
		F("p/a", "1", 0600), H("p/b", "p/a"), F("p/x", "1"),
		H("q", "p/x"), END };

	specs_make(top.fd, have);
	/* Metadata are of the inode: the other name has them too. */
	expect_exact(content, "~C a\n~L b\n~t p\n~M p/a\n+p/x\n~L q\n");
}
END_TEST

/* ---- owners ---- */

START_TEST(refuses_owners_that_are_unknown_here)
{
	static const struct spec user[] = {
		F("x", .owner = "nobody-is-called-so"), END
	};
	static const struct spec group[] = {
		F("x", .group = "nobody-is-called-so"), END
	};
	static const struct compare_options none = { 0 };
	static const struct spec have[] = { F("x"), END };

	expect_error(&(struct source){ .specs = user }, none, ERR_UNSUPPORTED,
	    "x: no user is called nobody-is-called-so here");
	expect_error(&(struct source){ .specs = group }, none, ERR_UNSUPPORTED,
	    "x: no group is called nobody-is-called-so here");
	specs_make(top.fd, have);
	expect_error(&(struct source){ .specs = user }, none, ERR_UNSUPPORTED,
	    "x: no user is called");
}
END_TEST

static int
check_ids(void *arg, const struct compare_diff *d, struct err *e)
{
	const uint32_t *want = arg;

	(void)e;
	ck_assert_uint_eq(d->uid, want[0]);
	ck_assert_uint_eq(d->gid, want[1]);
	return 0;
}

START_TEST(gives_owners_as_numbers)
{
	static const struct {
		struct spec have, want;
		bool ignore;
		uint32_t ids[2];
	} rows[] = {
		{ END, F("x", .owner = "root", .group = "root"),
		    .ids = { 0, 0 } },
		{ END, F("x", .owner = "#4294967294", .group = "#7"),
		    .ids = { 4294967294, 7 } },
		{ END, F("x", .owner = "who", .group = "who"), true,
		    .ids = { UINT32_MAX, UINT32_MAX } },
		{ F("x"), F("x", .owner = "who", .group = "who", .sec = 1),
		    true, .ids = { UINT32_MAX, UINT32_MAX } },
	};
	struct err e = ERR_INIT;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct spec have[] = { TOP, rows[i].have, END };
		const struct spec want[] = { rows[i].want, END };
		const struct source source = { .specs = want, .overlay = true };
		uint32_t ids[2] = { geteuid(), getegid() };
		struct compare_totals totals;
		struct wanted w;

		if (rows[i].ids[0] != UINT32_MAX)
			memcpy(ids, rows[i].ids, sizeof(ids));
		specs_make(top.fd, have);
		wanted_open(&w, &source, 1);
		OK(compare_run(&(struct compare_options){ .root = top.fd,
		                   .want = w.layer,
		                   .ignore_owner = rows[i].ignore },
		    check_ids, ids, &totals, &e));
		wanted_close(&w);
		OK(fsat_remove_tree(top.fd, "x", &e));
	}
}
END_TEST

START_TEST(one_file_where_two_are_wanted_differs)
{
	static const struct spec have[] = { TOP, F("a", "1"), H("b", "a"),
		H("c", "a"), H("d", "a"), END };
	static const struct spec want[] = { F("a", "1", 0600), F("b", "1"),
		H("c", "b"), H("d", "a"), END };

	specs_make(top.fd, have);
	expect_exact(want, "~M a\n~L b\n~L c\n");
}
END_TEST

START_TEST(what_is_waived_by_name_does_not_differ)
{
	static const struct spec have[] = { TOP, F("x", "1", .xattr = "v"),
		END };
	static const struct spec want[] = { F("x", "1", .flags = 1), END };
	static const struct spec moved[] = { F("x", "1", 0600, .xattr = "w"),
		END };
	const struct source source = { .specs = want },
	                    other = { .specs = moved };
	struct compare_options o = { .ignore_flags = true };

	if (!spec_has_xattrs(top.fd))
		return;
	specs_make(top.fd, have);
	expect_with(&source, 1, o, "~X x\n");
	o.ignore_xattrs = "user.pecia";
	expect_with(&source, 1, o, "");
	expect_with(&other, 1, o, "~M x\n");
	o.ignore_xattrs = "trusted.*";
	expect_with(&other, 1, o, "~MX x\n");
	o.ignore_flags = false;
	o.ignore_xattrs = "*";
	expect_with(&source, 1, o, "~A x\n");
}
END_TEST

/* ---- mounts ---- */

static void
mount_over(const char *name)
{
	char path[300];

	(void)snprintf(path, sizeof(path), "%s/%s", top.path, name);
	ck_assert_int_eq(mount("/dev/null", path, NULL, MS_BIND, NULL), 0);
}

static void
mount_gone(const char *name)
{
	char path[300];

	(void)snprintf(path, sizeof(path), "%s/%s", top.path, name);
	ck_assert_int_eq(umount(path), 0);
}

START_TEST(stays_off_what_is_mounted)
{
	static const struct spec have[] = { TOP, D("m"), D("deep/m"),
		F("deep/x"), END };
	static const struct spec none[] = { TOP, END };
	static const struct spec file[] = { F("m"), END };
	static const struct spec changed[] = { D("deep"), F("deep/x", "2"),
		END };
	static const struct spec tree[] = { D("m", .mode = 0700), F("m/f"),
		END };
	struct err e = ERR_INIT;
	char path[300];

	if (!scratch_own_mounts())
		return;
	/* Held before, it would lead to the other mounts. */
	close(top.fd);
	OK(fsat_operator_dir(top.path, false, 0, &top.fd, &e));
	specs_make(top.fd, have);
	(void)snprintf(path, sizeof(path), "%s/m", top.path);
	ck_assert_int_eq(mount("none", path, "tmpfs", 0, "mode=0755"), 0);
	(void)snprintf(path, sizeof(path), "%s/deep/m", top.path);
	ck_assert_int_eq(mount("none", path, "tmpfs", 0, "mode=0755"), 0);
	expect_exact(none, "-deep/x\n");
	expect_error(&(struct source){ .specs = file },
	    (struct compare_options){ 0 }, ERR_UNSUPPORTED, "m: a mount point");
	/* A directory that is wanted may well be one; what else is in it stays. */
	expect_exact(tree, "-deep/x\n~Mt m\n+m/f\n");
	specs_make(top.fd, (const struct spec[]){ F("m/own"), END });
	expect_exact(tree, "-deep/x\n~Mt m\n+m/f\n");
	mount_over("deep/x");
	expect_exact(none, "");
	expect_error(&(struct source){ .specs = changed },
	    (struct compare_options){ 0 }, ERR_UNSUPPORTED,
	    "deep/x: a mount point");
	mount_gone("deep/x");
	(void)snprintf(path, sizeof(path), "%s/m", top.path);
	ck_assert_int_eq(umount(path), 0);
	(void)snprintf(path, sizeof(path), "%s/deep/m", top.path);
	ck_assert_int_eq(umount(path), 0);
}
END_TEST

START_TEST(an_error_of_the_taker_ends_it)
{
	static const struct spec want[] = { F("x"), END };
	const struct source source = { .specs = want };
	struct err e = ERR_INIT;
	struct diffs full;

	buf_init(&full.text, 1);
	ck_assert_int_eq(diffs_run(top.fd, &source, 1,
	                     &(struct compare_options){ 0 }, &full, &e),
	    ERR_LIMIT);
	buf_release(&full.text);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("compare");
	TCase *t = tcase_create("compare");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, tells_each_difference_alone);
	tcase_add_test(t, tells_every_change_of_type);
	tcase_add_test(t, creates_what_is_missing_in_path_order);
	tcase_add_test(
	    t, tells_what_takes_a_directory_s_place_and_what_goes_with_it);
	tcase_add_test(t, makes_all_below_a_file_that_becomes_a_directory);
	tcase_add_test(t, deletes_what_is_not_listed_children_first);
	tcase_add_test(t, walks_deep_and_wide_unlisted_trees);
	tcase_add_test(t, spares_what_is_excluded_and_what_leads_there);
	tcase_add_test(t, applies_excludes_below_their_target_only);
	tcase_add_test(t, never_deletes_what_is_kept);
	tcase_add_test(
	    t, refuses_to_replace_a_directory_that_holds_what_must_stay);
	tcase_add_test(t, makes_parents_of_targets_where_they_are_missing);
	tcase_add_test(t, leaves_parents_of_targets_as_they_are);
	tcase_add_test(t, says_what_stands_in_a_target_s_way);
	tcase_add_test(t, needs_no_right_to_list_what_only_leads_to_a_target);
	tcase_add_test(t, compares_the_root_itself);
	tcase_add_test(t, layers_overlays_over_an_exact_tree);
	tcase_add_test(t, takes_names_of_any_bytes);
	tcase_add_test(t, knows_hard_links);
	tcase_add_test(t, renews_a_group_with_its_first_name);
	tcase_add_test(t, refuses_owners_that_are_unknown_here);
	tcase_add_test(t, gives_owners_as_numbers);
	tcase_add_test(t, one_file_where_two_are_wanted_differs);
	tcase_add_test(t, what_is_waived_by_name_does_not_differ);
	tcase_add_test(t, stays_off_what_is_mounted);
	tcase_add_test(t, an_error_of_the_taker_ends_it);
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
