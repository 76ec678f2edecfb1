/* What releases need, and that collection takes nothing else, whatever happens
 * to the repository meanwhile. */
#include "server/collect.h"

#include <check.h>
#include <unistd.h>

#include "common/fsat.h"
#include "tests/sample_repo.h"

#define OK(call) ck_assert_msg((call) == 0, "%s", e.msg)
/* Not anybody's, and the first that is looked at. */
#define GARBAGE  \
 "v1/object/00/" \
 "0000000000000000000000000000000000000000000000000000000000000001"

static struct sample_repo s;
static struct origin origin;
static struct err e;

static void
setup(void)
{
	err_clear(&e);
	sample_repo_make(&s);
	OK(origin_open(s.dir.path, &origin, &e));
}

static void
teardown(void)
{
	origin_release(&origin);
	sample_repo_remove(&s);
}

static bool
has_object(const struct digest *d)
{
	bool has = false;

	OK(repo_has_object(s.repo, d, &has, &e));
	return has;
}

static void
put_garbage(void)
{
	OK(fsat_mkdir_all(s.dir.fd, "v1/object/00", 0755, &e));
	OK(fsat_write_file(s.dir.fd, GARBAGE, 0644, "x", 1, &e));
}

static void
expect_whole(void)
{
	const struct repo_verify how = { .threads = 1 };
	struct repo_verified found;

	OK(repo_verify(s.repo, &how, &found, &e));
}

/* A third release, of what the first had. */
static void
third_release(struct release *r)
{
	release_init(r);
	OK(retain_read_release(s.repo, &s.release[0], r, &e));
	r->serial = 3;
	r->has_previous = true;
	r->previous = s.release[1];
}

static struct collect_options
newest_only(void)
{
	return (struct collect_options){ .policy = { .releases = 1 } };
}

START_TEST(a_closure_holds_all_that_a_release_needs_and_no_more)
{
	struct closure *c = NULL;
	struct digest other;
	struct release r;
	unsigned absent = 1;

	sample_digest(1, &other);
	release_init(&r);
	OK(retain_read_release(s.repo, &s.release[1], &r, &e));
	OK(closure_new(s.repo, &c, &e));
	OK(closure_add(c, &r, CLOSURE_DATA, NULL, &absent, &e));
	ck_assert(closure_has(c, &s.manifest[1]));
	ck_assert(closure_has(c, &s.data[1]));
	ck_assert(!closure_has(c, &s.objects[1][0]));
	OK(closure_add(c, &r, CLOSURE_WHOLE, NULL, &absent, &e));
	ck_assert_uint_eq(absent, 0);
	for (size_t i = 0; i < SAMPLE_FILES; i++)
		ck_assert(closure_has(c, &s.objects[1][i]));
	ck_assert(!closure_has(c, &s.objects[0][0]));
	ck_assert(!closure_has(c, &s.manifest[0]));
	ck_assert(!closure_has(c, &other));
	/* Twice is once: three objects, manifest, data. */
	ck_assert_uint_eq(closure_count(c), SAMPLE_FILES + 2);
	release_release(&r);
	closure_free(c);
}
END_TEST

static int
count_object(
    void *arg, const struct digest *d, uint64_t size_bytes, struct err *why)
{
	uint64_t *bytes = arg;

	(void)d;
	(void)why;
	*bytes += size_bytes;
	return 0;
}

START_TEST(each_object_is_visited_once_and_missing_manifests_are_counted)
{
	uint64_t bytes = 0;
	const struct closure_visit visit = { count_object, &bytes };
	struct closure *c = NULL;
	char path[REPO_PATH_BYTES];
	struct release r;
	unsigned absent;

	release_init(&r);
	OK(retain_read_release(s.repo, &s.release[0], &r, &e));
	OK(closure_new(s.repo, &c, &e));
	for (int i = 0; i < 2; i++)
		OK(closure_add(c, &r, CLOSURE_WHOLE, &visit, &absent, &e));
	ck_assert_uint_eq(bytes, 600 + 20 + 150000);
	closure_free(c);
	OK(closure_new(s.repo, &c, &e));
	repo_path_manifest(path, &s.manifest[0]);
	OK(fsat_unlink(s.dir.fd, path, &e));
	OK(closure_add(c, &r, CLOSURE_WHOLE, NULL, &absent, &e));
	ck_assert_uint_eq(absent, r.transcript_count);
	release_release(&r);
	closure_free(c);
}
END_TEST

START_TEST(a_manifest_of_another_name_is_no_manifest)
{
	struct closure *c = NULL;
	char path[REPO_PATH_BYTES], other[REPO_PATH_BYTES];
	struct release r;
	unsigned absent;

	repo_path_manifest(path, &s.manifest[0]);
	repo_path_manifest(other, &s.manifest[1]);
	OK(fsat_unlink(s.dir.fd, path, &e));
	OK(fsat_link(s.dir.fd, other, s.dir.fd, path, &e));
	release_init(&r);
	OK(retain_read_release(s.repo, &s.release[0], &r, &e));
	OK(closure_new(s.repo, &c, &e));
	ck_assert_int_eq(
	    closure_add(c, &r, CLOSURE_WHOLE, NULL, &absent, &e), ERR_VERIFY);
	release_release(&r);
	closure_free(c);
}
END_TEST

START_TEST(what_no_kept_release_needs_goes)
{
	struct collect_options options = newest_only();
	struct collected done;

	put_garbage();
	OK(collect_run(&origin, &options, &done, &e));
	ck_assert_uint_eq(done.files, 2);
	ck_assert_uint_eq(done.marked, 1);
	ck_assert(!has_object(&s.objects[0][0]));
	expect_whole();
	/* Statements stay, and manifests and data transcripts of the chain. */
	ck_assert_uint_eq(done.needed, SAMPLE_FILES + 2 + 2);
}
END_TEST

START_TEST(what_is_new_stays_for_the_grace_period)
{
	struct collect_options options = newest_only();
	struct collected done;

	options.policy.grace_s = 3600;
	put_garbage();
	OK(collect_run(&origin, &options, &done, &e));
	ck_assert_uint_eq(done.files, 0);
	ck_assert_uint_eq(done.young, 1);
	ck_assert_uint_eq(done.leaving, 1);
	ck_assert(has_object(&s.objects[0][0]));
}
END_TEST

/* collect_options.removed: somebody publishes after the first slice. */
static void
publish_third(void *arg, const char *path, uint64_t size_bytes)
{
	struct release r;
	bool *done = arg;

	(void)size_bytes;
	if (*done)
		return;
	ck_assert_str_eq(path, GARBAGE);
	*done = true;
	third_release(&r);
	sample_repo_publish(&s, &r);
	release_release(&r);
}

START_TEST(what_a_release_of_the_meantime_found_here_stays)
{
	struct collect_options options = newest_only();
	struct collected done;
	bool published = false;

	put_garbage();
	options.removed = publish_third;
	options.arg = &published;
	OK(collect_run(&origin, &options, &done, &e));
	ck_assert(published);
	ck_assert_uint_eq(done.marked, 2);
	ck_assert(has_object(&s.objects[0][0]));
	expect_whole();
}
END_TEST

START_TEST(what_a_release_that_is_being_fetched_found_here_stays)
{
	struct collect_options options = newest_only();
	struct collected done;
	char path[REPO_PATH_BYTES];
	struct digest d;
	struct release r;
	struct buf text;

	third_release(&r);
	sample_release_text(&text, &r);
	digest_of(text.data, text.len, &d);
	repo_path_release(path, &d);
	OK(repo_put_statement(s.repo, path, text.data, text.len, &e));
	put_garbage();
	OK(collect_run(&origin, &options, &done, &e));
	ck_assert(has_object(&s.objects[0][0]));
	ck_assert_uint_eq(done.files, 1);
	buf_release(&text);
	release_release(&r);
}
END_TEST

START_TEST(a_release_that_was_overtaken_is_not_being_fetched)
{
	struct collect_options options = newest_only();
	struct collected done;
	char path[REPO_PATH_BYTES];
	struct digest d;
	struct release r;
	struct buf text;

	/* As serial 2 again, with what the first one had. */
	third_release(&r);
	r.serial = 2;
	r.previous = s.release[0];
	sample_release_text(&text, &r);
	digest_of(text.data, text.len, &d);
	repo_path_release(path, &d);
	OK(repo_put_statement(s.repo, path, text.data, text.len, &e));
	OK(collect_run(&origin, &options, &done, &e));
	ck_assert(!has_object(&s.objects[0][0]));
	expect_whole();
	buf_release(&text);
	release_release(&r);
}
END_TEST

START_TEST(nothing_goes_while_somebody_else_writes)
{
	struct collect_options options = newest_only();
	struct collected done;

	OK(repo_lock(s.repo, 0, &e));
	ck_assert_int_eq(collect_run(&origin, &options, &done, &e), ERR_BUSY);
	ck_assert(has_object(&s.objects[0][0]));
	repo_unlock(s.repo);
	OK(collect_run(&origin, &options, &done, &e));
	ck_assert(!has_object(&s.objects[0][0]));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("collect");
	TCase *t = tcase_create("collect");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_closure_holds_all_that_a_release_needs_and_no_more);
	tcase_add_test(
	    t, each_object_is_visited_once_and_missing_manifests_are_counted);
	tcase_add_test(t, a_manifest_of_another_name_is_no_manifest);
	tcase_add_test(t, what_no_kept_release_needs_goes);
	tcase_add_test(t, what_is_new_stays_for_the_grace_period);
	tcase_add_test(t, what_a_release_of_the_meantime_found_here_stays);
	tcase_add_test(
	    t, what_a_release_that_is_being_fetched_found_here_stays);
	tcase_add_test(t, a_release_that_was_overtaken_is_not_being_fetched);
	tcase_add_test(t, nothing_goes_while_somebody_else_writes);
	suite_add_tcase(suite, t);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
