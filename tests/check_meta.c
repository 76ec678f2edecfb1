/* Metadata of one thing, by descriptor and by name.
 * run: also as nobody */
#include "client/meta.h"

#include <check.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fsat.h"
#include "tests/scratch.h"
#include "tests/trees.h"

#define OK(call) ck_assert_msg((call) == 0, "%s: %s", #call, e.msg)

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

static struct meta
plain(uint8_t type, uint32_t mode)
{
	return (struct meta){ .type = type,
		.mode = mode,
		.uid = geteuid(),
		.gid = getegid(),
		.mtime = { 12, 345678901 },
		.xattrs = "" };
}

static void
expect(const struct spec *specs)
{
	specs_expect(top.fd, specs);
}

START_TEST(sets_all_of_a_new_file)
{
	static const struct spec have[] = { F("x", "1", .xattr = "old"), END };
	static const struct spec want[] = {
		F("x", "1", 06750, .sec = 12, .nsec = 345678901), END
	};
	struct meta m = plain(MANIFEST_FILE, 06750);
	struct err e = ERR_INIT;
	int fd = -1;

	specs_make(top.fd, have);
	OK(fsat_open_write(top.fd, "x", 0600, &fd, &e));
	OK(meta_set_fd(fd, &m, "x", &e));
	close(fd);
	expect(want);
}
END_TEST

START_TEST(sets_attributes_and_removes_the_others)
{
	static const struct spec have[] = { F("x", "1"), END };
	static const char *const names[] = { "user.a", "user.ab", "user.b",
		"user.pecia" };
	struct meta m = plain(MANIFEST_FILE, 0644);
	struct err e = ERR_INIT;
	struct buf text, got;
	int fd = -1;

	if (!spec_has_xattrs(top.fd))
		return;
	buf_init(&text, 65536);
	buf_init(&got, 65536);
	manifest_xattr_add(&text, "user.ab", "two", 3);
	manifest_xattr_add(&text, "user.empty", "", 0);
	m.xattrs = buf_str(&text);
	specs_make(top.fd, have);
	for (int by_fd = 0; by_fd < 2; by_fd++) {
		for (size_t i = 0; i < 4; i++)
			OK(fsat_xattr_set(
			    top.fd, "x", names[i], names[i], 6, &e));
		if (by_fd) {
			OK(fsat_open_write(top.fd, "x", 0600, &fd, &e));
			OK(meta_set_fd(fd, &m, "x", &e));
			close(fd);
		} else {
			OK(meta_set_name(top.fd, "x", &m, COMPARE_XATTRS, &e));
		}
		buf_clear(&got);
		OK(fsat_xattr_list(top.fd, "x", &got, &e));
		ck_assert_uint_eq(
		    got.len, sizeof("user.ab") + sizeof("user.empty"));
		buf_clear(&got);
		OK(fsat_xattr_get(top.fd, "x", "user.ab", &got, &e));
		ck_assert_str_eq(buf_str(&got), "two");
		buf_clear(&got);
		OK(fsat_xattr_get(top.fd, "x", "user.empty", &got, &e));
		ck_assert_uint_eq(got.len, 0);
	}
	buf_release(&text);
	buf_release(&got);
}
END_TEST

START_TEST(sets_only_what_differs_and_the_time)
{
	static const struct spec have[] = { F("x", "1", 0600), END };
	static const struct {
		unsigned bits;
		unsigned mode;
	} rows[] = {
		{ COMPARE_MTIME, 0600 },
		{ COMPARE_MODE, 04755 },
		{ COMPARE_OWNER, 04755 },
		{ COMPARE_GROUP | COMPARE_MTIME, 04755 },
		{ COMPARE_XATTRS, 04755 },
		{ ~0u, 04755 },
	};
	struct meta m = plain(MANIFEST_FILE, 04755);
	struct err e = ERR_INIT;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct spec want[] = { F("x", "1", rows[i].mode,
			                         .sec = 12, .nsec = 345678901),
			END };

		specs_make(top.fd, have);
		OK(meta_set_name(top.fd, "x", &m, rows[i].bits, &e));
		expect(want);
		OK(fsat_unlink(top.fd, "x", &e));
	}
}
END_TEST

START_TEST(sets_symlinks_themselves)
{
	static const struct spec have[] = { D("d", .mode = 0700),
		L("dangling", "nowhere"), L("to-dir", "d"), END };
	static const struct spec want[] = { D("d", .mode = 0700),
		L("dangling", "nowhere", .sec = 12, .nsec = 345678901),
		L("to-dir", "d", .sec = 12, .nsec = 345678901), END };
	struct meta m = plain(MANIFEST_SYMLINK, 0777);
	struct err e = ERR_INIT;

	specs_make(top.fd, have);
	OK(meta_set_name(top.fd, "dangling", &m, ~0u, &e));
	OK(meta_set_name(top.fd, "to-dir", &m, ~0u, &e));
	expect(want);
}
END_TEST

START_TEST(sets_what_is_held_by_its_descriptor)
{
	static const struct spec have[] = { D("d"), F("f", "1"), L("l", "d"),
		P("p"), END };
	static const struct spec want[] = { D("d", .mode = 0711, .sec = 12,
		                                .nsec = 345678901),
		F("f", "1", 0711, .sec = 12, .nsec = 345678901),
		L("l", "d", .sec = 12, .nsec = 345678901),
		P("p", .mode = 0711, .sec = 12, .nsec = 345678901), END };
	struct err e = ERR_INIT;

	specs_make(top.fd, have);
	for (const struct spec *s = have; s->type != 0; s++) {
		struct meta m = plain((uint8_t)s->type, 0711);
		int fd = -1;

		OK(fsat_hold(top.fd, s->path, &fd, &e));
		OK(meta_set_name(fd, "", &m, ~0u, &e));
		close(fd);
	}
	expect(want);
}
END_TEST

START_TEST(names_what_fails)
{
	static const struct spec have[] = { F("x", "1"), END };
	struct meta m = plain(MANIFEST_FILE, 0644);
	struct err e = ERR_INIT;
	int fd = -1;

	specs_make(top.fd, have);
	ck_assert_int_eq(
	    meta_set_name(top.fd, "missing", &m, ~0u, &e), ERR_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(e.msg, "missing"));
	m.xattrs = "x user.bad !!!\n";
	ck_assert_int_eq(
	    meta_set_name(top.fd, "x", &m, COMPARE_XATTRS, &e), ERR_FORMAT);
	OK(fsat_open_write(top.fd, "x", 0600, &fd, &e));
	m.xattrs = "x nosuchspace.a YQ==\n";
	ck_assert_int_ne(meta_set_fd(fd, &m, "the/path", &e), 0);
	ck_assert_ptr_nonnull(strstr(e.msg, "the/path"));
	ck_assert_ptr_nonnull(strstr(e.msg, "nosuchspace.a"));
	if (geteuid() != 0) {
		m = plain(MANIFEST_FILE, 0644);
		m.uid = 0;
		ck_assert_int_eq(meta_set_fd(fd, &m, "the/path", &e), ERR_SYS);
		ck_assert_ptr_nonnull(strstr(e.msg, "the/path: owner 0:"));
	}
	close(fd);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("meta");
	TCase *t = tcase_create("meta");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, sets_all_of_a_new_file);
	tcase_add_test(t, sets_attributes_and_removes_the_others);
	tcase_add_test(t, sets_only_what_differs_and_the_time);
	tcase_add_test(t, sets_symlinks_themselves);
	tcase_add_test(t, sets_what_is_held_by_its_descriptor);
	tcase_add_test(t, names_what_fails);
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
