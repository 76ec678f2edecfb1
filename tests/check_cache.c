/* The client's manifests and stat cache: believed when they are whole. */
#include "client/cache.h"

#include <check.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/tree.h"
#include "common/fsat.h"
#include "tests/scratch.h"
#include "tests/trees.h"
#include "transcripts/compare.h"

#define OK(call) ck_assert_msg((call) == 0, "%s: %s", #call, e.msg)

static const struct spec tree[] = { D("."), D("d"), F("d/a", "12345"),
	F("d/b", "123"), L("l", "d"), F("-x", "1"), H("z", "d/a"), END };

static struct scratch top;
static struct session session;
static struct settings settings;
static struct release_transcript transcript;
static struct release release;
static struct release_profile profile;
static uint16_t first;
static char target[] = "/";
static char manifest[STATE_PATH_BYTES];

static void
set_up(void)
{
	struct err e = ERR_INIT;
	struct buf text;
	char path[300];

	umask(022);
	scratch_make(&top);
	(void)snprintf(path, sizeof(path), "%s/state", top.path);
	settings = (struct settings){ .root = NULL };
	session =
	    (struct session){ .state = STATE_INIT, .settings = &settings };
	OK(state_open(&session.state, path, true, &e));
	OK(fsat_mkdir(top.fd, "root", 0755, &e));
	OK(fsat_open_dir(top.fd, "root", &session.root, &e));
	specs_make(session.root, tree);
	buf_init(&text, 1 << 20);
	specs_manifest(tree, &text);
	(void)snprintf(transcript.name, sizeof(transcript.name), "base");
	transcript.mode = RELEASE_EXACT;
	digest_of(text.data, text.len, &transcript.manifest);
	transcript.manifest_bytes = text.len;
	transcript.target = target;
	release.transcripts = &transcript;
	release.transcript_count = 1;
	profile.transcripts = &first;
	profile.count = 1;
	state_manifest_path(manifest, &transcript.manifest);
	OK(fsat_write_file(
	    session.state.dir, manifest, 0600, text.data, text.len, &e));
	buf_release(&text);
}

static void
tear_down(void)
{
	close(session.root);
	state_release(&session.state);
	scratch_remove(&top);
}

static int
count(void *arg, const struct compare_diff *d, struct err *e)
{
	size_t *n = arg;

	(void)d;
	(void)e;
	++*n;
	return 0;
}

#define ANY UINT64_MAX

/* Compares with the cache; how many differ, and what was read. */
static void
expect(size_t differ, uint64_t read_bytes)
{
	struct compare_totals totals;
	struct compare_options o = { 0 };
	struct tree *t = NULL;
	struct cache cache;
	struct err e = ERR_INIT;
	size_t n = 0;

	OK(cache_open(&session.state, settings.ignore_xattrs, &cache, &e));
	OK(tree_open(&session.state, &release, &profile, &t, &e));
	o.root = session.root;
	o.want = tree_layer(t);
	o.cache = cache.reader;
	OK(compare_run(&o, count, &n, &totals, &e));
	ck_assert_uint_eq(n, differ);
	if (read_bytes != ANY)
		ck_assert_uint_eq(totals.read_bytes, read_bytes);
	tree_free(t);
	cache_close(&cache);
}

START_TEST(saves_reading_at_once)
{
	struct err e = ERR_INIT;

	expect(0, 9);
	OK(cache_write(&session, &release, &profile, NULL, &e));
	expect(0, 0);
	OK(cache_write(&session, &release, &profile, NULL, &e));
	expect(0, 0);
}
END_TEST

START_TEST(does_not_hide_a_change)
{
	static const struct timespec back[2] = { { .tv_nsec = UTIME_OMIT },
		{ SPEC_SEC, 0 } };
	struct err e = ERR_INIT;
	int fd;

	OK(cache_write(&session, &release, &profile, NULL, &e));
	/* The same size and time as before. */
	fd = openat(session.root, "d/b", O_WRONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, "124", 3), 3);
	close(fd);
	ck_assert_int_eq(utimensat(session.root, "d/b", back, 0), 0);
	expect(1, 3);
}
END_TEST

START_TEST(remembers_nothing_that_changed_before_it_was_written)
{
	struct err e = ERR_INIT;

	OK(fsat_utime(session.root, "d/b", &(struct timespec){ 5, 5 }, &e));
	OK(fsat_unlink(session.root, "-x", &e));
	OK(cache_write(&session, &release, &profile, NULL, &e));
	/* d/b's time and -x; of the times of directories, the root's. */
	expect(3, 3);
}
END_TEST

/* A new inode with the same content, size and time. */
static void
replace(const char *path, const char *content)
{
	struct err e = ERR_INIT;

	OK(fsat_write_file(
	    session.root, "new", 0644, content, strlen(content), &e));
	OK(fsat_utime(
	    session.root, "new", &(struct timespec){ SPEC_SEC, 0 }, &e));
	OK(fsat_rename(session.root, "new", session.root, path, &e));
}

START_TEST(looks_only_at_what_was_changed)
{
	static char b[] = "d/b";
	struct plan_item item = { .path = b, .type = MANIFEST_FILE };
	struct plan plan = { .items = &item };
	struct err e = ERR_INIT;

	OK(cache_write(&session, &release, &profile, NULL, &e));
	replace("d/b", "123");
	replace("-x", "1");
	OK(fsat_utime(
	    session.root, ".", &(struct timespec){ SPEC_SEC, 0 }, &e));
	OK(fsat_utime(
	    session.root, "d", &(struct timespec){ SPEC_SEC, 0 }, &e));
	/* What is known of files stays, and is true of what they were. */
	OK(cache_write(&session, &release, &profile, &plan, &e));
	expect(0, 4);
	plan.item_count = 1;
	OK(cache_write(&session, &release, &profile, &plan, &e));
	expect(0, 1);
	replace("-x", "2");
	expect(2, 1);
	replace("-x", "1");
	OK(cache_write(&session, &release, &profile, NULL, &e));
	expect(1, 0);
}
END_TEST

START_TEST(goes_without_one_that_is_missing_or_damaged)
{
	struct err e = ERR_INIT;
	struct cache cache;
	struct buf whole;

	OK(cache_open(&session.state, settings.ignore_xattrs, &cache, &e));
	ck_assert_ptr_null(cache.reader);
	cache_close(&cache);
	cache_close(&cache);
	OK(cache_write(&session, &release, &profile, NULL, &e));
	buf_init(&whole, 1 << 20);
	OK(fsat_read_file(session.state.dir, "cache", 1 << 20, &whole, &e));
	for (size_t n = 0; n < whole.len; n += 3) {
		OK(fsat_write_file(
		    session.state.dir, "cache", 0600, whole.data, n, &e));
		/* What is whole of it may be used. */
		expect(0, ANY);
	}
	buf_release(&whole);
}
END_TEST

START_TEST(leaves_no_file_of_an_attempt_before)
{
	struct err e = ERR_INIT;
	struct fsat_stat st;

	OK(fsat_write_file(
	    session.state.dir, "cache.new", 0600, "half", 4, &e));
	OK(cache_write(&session, &release, &profile, NULL, &e));
	ck_assert_int_eq(
	    fsat_stat(session.state.dir, "cache.new", &st, &e), ERR_NOT_FOUND);
	OK(fsat_unlink(session.state.dir, manifest, &e));
	ck_assert_int_eq(
	    cache_write(&session, &release, &profile, NULL, &e), ERR_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(e.msg, "transcript base"));
}
END_TEST

START_TEST(refuses_and_removes_a_damaged_manifest)
{
	struct err e = ERR_INIT;
	struct fsat_stat st;
	struct tree *t = NULL;
	struct buf whole;

	buf_init(&whole, 1 << 20);
	OK(fsat_read_file(session.state.dir, manifest, 1 << 20, &whole, &e));
	buf_add_byte(&whole, '\n');
	for (int i = 0; i < 4; i++) {
		size_t len = i == 0 ? whole.len : whole.len - 1 - (i == 1);

		if (i == 2)
			whole.data[len - 2] ^= 1;
		OK(fsat_write_file(
		    session.state.dir, manifest, 0600, whole.data, len, &e));
		ck_assert_int_eq(
		    tree_open(&session.state, &release, &profile, &t, &e),
		    ERR_VERIFY);
		ck_assert_ptr_nonnull(strstr(e.msg, "transcript base"));
		ck_assert_int_eq(
		    fsat_stat(session.state.dir, manifest, &st, &e),
		    ERR_NOT_FOUND);
		ck_assert_int_eq(
		    tree_open(&session.state, &release, &profile, &t, &e),
		    ERR_NOT_FOUND);
	}
	buf_release(&whole);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("cache");
	TCase *t = tcase_create("cache");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, saves_reading_at_once);
	tcase_add_test(t, does_not_hide_a_change);
	tcase_add_test(t, remembers_nothing_that_changed_before_it_was_written);
	tcase_add_test(t, looks_only_at_what_was_changed);
	tcase_add_test(t, goes_without_one_that_is_missing_or_damaged);
	tcase_add_test(t, leaves_no_file_of_an_attempt_before);
	tcase_add_test(t, refuses_and_removes_a_damaged_manifest);
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
