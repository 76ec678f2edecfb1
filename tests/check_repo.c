/* The files of a repository: names, and writing that is all or nothing. */
#include "transcripts/repo.h"

#include <check.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/fsat.h"
#include "tests/sample_repo.h"

#define OK(call) ck_assert_msg((call) == 0, "%s", e.msg)

static struct sample_repo s;

static void
setup(void)
{
	sample_repo_make(&s);
}

static void
teardown(void)
{
	sample_repo_remove(&s);
}

static void
slurp(const char *path, struct buf *out)
{
	struct err e = ERR_INIT;

	buf_init(out, 1U << 20);
	OK(fsat_read_file(s.dir.fd, path, 1U << 20, out, &e));
}

/* As a disk or an administrator would, past all of our functions. */
static void
overwrite(const char *path, const void *data, size_t len)
{
	struct err e = ERR_INIT;
	int fd = -1;

	OK(fsat_open_write(s.dir.fd, path, 0644, &fd, &e));
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	if (len > 0)
		OK(fsat_write_all(fd, data, len, &e));
	close(fd);
}

#define D1 "0101010101010101010101010101010101010101010101010101010101010101"

START_TEST(what_is_no_repository_is_not_opened)
{
	struct repo *r = NULL;
	struct err e = ERR_INIT;
	char path[300];

	(void)snprintf(path, sizeof(path), "%s/nothing", s.dir.path);
	ck_assert_int_eq(repo_open(path, &r, &e), ERR_NOT_FOUND);
	OK(fsat_remove_tree(s.dir.fd, "v1/manifest", &e));
	ck_assert_int_eq(repo_open(s.dir.path, &r, &e), ERR_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(e.msg, "it has no folder v1/manifest"));
	/* Making it again leaves what is there. */
	OK(repo_create(s.dir.path, &e));
	OK(repo_open(s.dir.path, &r, &e));
	ck_assert_str_eq(repo_name(r), s.dir.path);
	repo_close(r);
	repo_close(NULL);
}
END_TEST

START_TEST(one_writer_at_a_time_has_the_lock)
{
	struct repo *other = NULL;
	struct err e = ERR_INIT;

	OK(repo_open(s.dir.path, &other, &e));
	OK(repo_lock(s.repo, 0, &e));
	ck_assert_int_eq(repo_lock(other, 0, &e), ERR_CONFLICT);
	ck_assert_ptr_nonnull(strstr(e.msg, s.dir.path));
	repo_unlock(s.repo);
	OK(repo_lock(other, 0, &e));
	repo_close(other);
	OK(repo_lock(s.repo, 0, &e));
}
END_TEST

START_TEST(a_claim_is_one_processes_and_says_whose)
{
	struct repo *other = NULL;
	struct err e = ERR_INIT;
	int mine = -1, keeper = -1, theirs = -1;
	char who[64];

	OK(repo_open(s.dir.path, &other, &e));
	OK(repo_claim(s.repo, "replicator", &mine, &e));
	/* Neither another job nor writing is kept from others. */
	OK(repo_claim(other, "keeper", &keeper, &e));
	OK(repo_lock(other, 0, &e));
	ck_assert_int_eq(
	    repo_claim(other, "replicator", &theirs, &e), ERR_CONFLICT);
	(void)snprintf(who, sizeof(who),
	    "has a replicator already, process %ld", (long)getpid());
	ck_assert_msg(strstr(e.msg, who) != NULL, "%s", e.msg);
	ck_assert_int_eq(theirs, -1);
	close(mine);
	OK(repo_claim(other, "replicator", &theirs, &e));
	close(theirs);
	close(keeper);
	repo_close(other);
}
END_TEST

/* A writer whose unfinished work another one settled marks its next anew. */
START_TEST(each_turn_of_writing_marks_what_is_not_durable)
{
	struct repo_temp t = REPO_TEMP_INIT;
	struct repo *other = NULL;
	struct err e = ERR_INIT;
	bool marked = false;

	OK(repo_open(s.dir.path, &other, &e));
	for (int turn = 0; turn < 2; turn++) {
		OK(repo_lock(s.repo, 0, &e));
		OK(repo_temp_new(s.repo, &t, &e));
		OK(repo_temp_write(&t, "x", 1, &e));
		OK(repo_temp_install(s.repo, &t, "v1/data/" D1, &e));
		OK(repo_has(s.repo, "unsynced", &marked, &e));
		ck_assert(marked);
		repo_unlock(s.repo);
		OK(repo_lock(other, 0, &e));
		OK(repo_clean(other, &e));
		OK(repo_has(s.repo, "unsynced", &marked, &e));
		ck_assert(!marked);
		repo_unlock(other);
	}
	repo_close(other);
}
END_TEST

/* As the fetcher of a replicator may, before it closes what it inherited. */
START_TEST(a_child_does_not_keep_the_lock)
{
	struct repo *other = NULL;
	struct err e = ERR_INIT;
	int ends[2];
	pid_t child;

	OK(repo_open(s.dir.path, &other, &e));
	OK(repo_lock(s.repo, 0, &e));
	ck_assert_int_eq(pipe(ends), 0);
	if ((child = fork()) == 0) {
		char byte;

		close(ends[1]);
		_exit(read(ends[0], &byte, 1) == 0 ? 0 : 1);
	}
	close(ends[0]);
	repo_unlock(s.repo);
	OK(repo_lock(other, 0, &e));
	close(ends[1]);
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
	repo_close(other);
}
END_TEST

START_TEST(paths_are_those_of_the_layout)
{
	char path[REPO_PATH_BYTES];
	struct digest d;
	struct err e = ERR_INIT;
	static const char *const bad[] = { "", "..", ".", "a/b", "../root/1",
		"-x" };

	sample_digest(1, &d);
	repo_path_root(path, UINT64_MAX);
	ck_assert_str_eq(path, "v1/root/18446744073709551615");
	repo_path_roster(path);
	ck_assert_str_eq(path, "v1/roster");
	repo_path_release(path, &d);
	ck_assert_str_eq(path, "v1/release/" D1);
	repo_path_manifest(path, &d);
	ck_assert_str_eq(path, "v1/manifest/" D1);
	repo_path_data(path, &d);
	ck_assert_str_eq(path, "v1/data/" D1);
	repo_path_object(path, &d);
	ck_assert_str_eq(path, "v1/object/01/" D1);
	OK(repo_path_channel(path, "testing", &e));
	ck_assert_str_eq(path, "v1/channel/testing");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_int_eq(
		    repo_path_channel(path, bad[i], &e), ERR_USAGE);
}
END_TEST

START_TEST(roots_and_channels_are_listed)
{
	struct fsat_names names = { NULL, 0 };
	struct err e = ERR_INIT;
	uint64_t version = 9;

	OK(repo_newest_root(s.repo, &version, &e));
	ck_assert_uint_eq(version, 1);
	overwrite("v1/root/10", "x", 1);
	overwrite("v1/root/9", "x", 1);
	overwrite("v1/root/011", "x", 1);
	OK(repo_newest_root(s.repo, &version, &e));
	ck_assert_uint_eq(version, 10);
	OK(repo_channels(s.repo, &names, &e));
	ck_assert_uint_eq(names.count, 1);
	ck_assert_str_eq(names.names[0], SAMPLE_CHANNEL);
	fsat_names_release(&names);
}
END_TEST

static size_t
names_in(const char *folder)
{
	struct fsat_names names = { NULL, 0 };
	struct err e = ERR_INIT;
	size_t count;
	int fd = -1;

	OK(fsat_open_dir(s.dir.fd, folder, &fd, &e));
	OK(fsat_list(fd, &names, &e));
	count = names.count;
	fsat_names_release(&names);
	close(fd);
	return count;
}

START_TEST(a_temporary_is_installed_or_leaves_nothing)
{
	struct repo_temp t = REPO_TEMP_INIT;
	char path[REPO_PATH_BYTES];
	struct err e = ERR_INIT;
	struct digest d;
	struct buf b;

	sample_digest(1, &d);
	repo_temp_discard(s.repo, &t);
	OK(repo_temp_new(s.repo, &t, &e));
	OK(repo_temp_write(&t, "abc", 3, &e));
	ck_assert_uint_eq(names_in("tmp"), 1);
	repo_temp_discard(s.repo, &t);
	ck_assert_uint_eq(names_in("tmp"), 0);
	OK(repo_temp_new(s.repo, &t, &e));
	OK(repo_temp_write(&t, "abc", 3, &e));
	repo_path_data(path, &d);
	OK(repo_temp_install(s.repo, &t, path, &e));
	repo_temp_discard(s.repo, &t);
	slurp(path, &b);
	ck_assert_str_eq(buf_str(&b), "abc");
	buf_release(&b);
	OK(repo_temp_new(s.repo, &t, &e));
	ck_assert_int_eq(
	    repo_temp_install(s.repo, &t, "v1/nowhere/x", &e), ERR_NOT_FOUND);
	ck_assert_uint_eq(names_in("tmp"), 0);
}
END_TEST

static void
put_data(const char *text, const struct digest *d)
{
	struct repo_temp t = REPO_TEMP_INIT;
	char path[REPO_PATH_BYTES];
	struct err e = ERR_INIT;

	repo_path_data(path, d);
	OK(repo_temp_new(s.repo, &t, &e));
	OK(repo_temp_write(&t, text, strlen(text), &e));
	OK(repo_temp_install(s.repo, &t, path, &e));
}

START_TEST(what_a_crash_cut_short_is_not_believed)
{
	char path[REPO_PATH_BYTES];
	struct err e = ERR_INIT;
	struct digest d;
	bool has;

	digest_of("whole", 5, &d);
	repo_path_data(path, &d);
	put_data("who", &d);
	OK(repo_has(s.repo, "unsynced", &has, &e));
	ck_assert(has);
	OK(repo_clean(s.repo, &e));
	OK(repo_has(s.repo, path, &has, &e));
	ck_assert(!has);
	OK(repo_has(s.repo, "unsynced", &has, &e));
	ck_assert(!has);
	put_data("whole", &d);
	OK(repo_clean(s.repo, &e));
	OK(repo_has(s.repo, path, &has, &e));
	ck_assert(has);
	put_data("whole", &d);
	OK(repo_sync(s.repo, &e));
	OK(repo_has(s.repo, "unsynced", &has, &e));
	ck_assert(!has);
}
END_TEST

/* What is marked already stays so. */
START_TEST(a_cache_neither_sets_nor_takes_the_mark)
{
	struct repo_temp t = REPO_TEMP_INIT;
	struct err e = ERR_INIT;
	struct digest d;
	bool has;

	OK(repo_sync(s.repo, &e));
	for (int marked = 0; marked < 2; marked++) {
		OK(repo_temp_new(s.repo, &t, &e));
		OK(repo_temp_write(&t, "x", 1, &e));
		OK(repo_temp_install(s.repo, &t, "cache/x", &e));
		OK(repo_has(s.repo, "cache/x", &has, &e));
		ck_assert(has);
		OK(repo_has(s.repo, "unsynced", &has, &e));
		ck_assert_int_eq(has, marked);
		digest_of("whole", 5, &d);
		put_data("whole", &d);
	}
	OK(repo_sync(s.repo, &e));
	OK(repo_has(s.repo, "unsynced", &has, &e));
	ck_assert(!has);
}
END_TEST

START_TEST(a_partial_file_goes_on_where_it_stopped)
{
	char path[REPO_PATH_BYTES];
	struct err e = ERR_INIT;
	uint64_t size = 99;
	struct buf b;
	struct digest d;
	int fd = -1;

	OK(repo_partial_open(s.repo, "data-" D1, &fd, &size, &e));
	ck_assert_uint_eq(size, 0);
	OK(fsat_write_all(fd, "one", 3, &e));
	close(fd);
	OK(repo_clean(s.repo, &e));
	OK(repo_partial_open(s.repo, "data-" D1, &fd, &size, &e));
	ck_assert_uint_eq(size, 3);
	OK(fsat_write_all(fd, "two", 3, &e));
	close(fd);
	sample_digest(1, &d);
	repo_path_data(path, &d);
	OK(repo_partial_install(s.repo, "data-" D1, path, &e));
	slurp(path, &b);
	ck_assert_str_eq(buf_str(&b), "onetwo");
	buf_release(&b);
	ck_assert_uint_eq(names_in("tmp"), 0);
	OK(repo_partial_open(s.repo, "data-x", &fd, &size, &e));
	close(fd);
	repo_partial_discard(s.repo, "data-x");
	ck_assert_uint_eq(names_in("tmp"), 0);
	ck_assert_int_eq(
	    repo_partial_open(s.repo, "../v1/root/1", &fd, &size, &e),
	    ERR_USAGE);
}
END_TEST

START_TEST(what_dead_processes_left_is_cleaned)
{
	static const struct timespec old = { SAMPLE_NOW - 30 * SAMPLE_DAY, 0 };
	struct err e = ERR_INIT;
	uint64_t size = 0;
	int fd = -1;

	overwrite("tmp/t-1-0", "x", 1);
	overwrite("tmp/t-99999-17", "x", 1);
	OK(repo_partial_open(s.repo, "new", &fd, &size, &e));
	close(fd);
	OK(repo_partial_open(s.repo, "old", &fd, &size, &e));
	close(fd);
	OK(fsat_utime(s.dir.fd, "tmp/partial-old", &old, &e));
	OK(repo_clean(s.repo, &e));
	ck_assert_uint_eq(names_in("tmp"), 1);
	OK(repo_partial_open(s.repo, "new", &fd, &size, &e));
	close(fd);
}
END_TEST

START_TEST(a_name_of_tmp_that_is_taken_is_passed_over)
{
	struct repo_temp t = REPO_TEMP_INIT;
	struct repo *fresh = NULL;
	struct err e = ERR_INIT;
	char path[64];

	OK(repo_open(s.dir.path, &fresh, &e));
	(void)snprintf(path, sizeof(path), "tmp/t-%ld-0", (long)getpid());
	overwrite(path, "x", 1);
	OK(repo_temp_new(fresh, &t, &e));
	ck_assert_str_ne(t.name, path + 4);
	repo_temp_discard(fresh, &t);
	repo_close(fresh);
}
END_TEST

START_TEST(statements_are_replaced_as_a_whole_and_bounded)
{
	struct err e = ERR_INIT;
	struct buf b;

	buf_init(&b, 100);
	OK(repo_put_statement(s.repo, "seen/x", "first", 5, &e));
	OK(repo_put_statement(s.repo, "seen/x", "2", 1, &e));
	OK(repo_read_statement(s.repo, "seen/x", 100, &b, &e));
	ck_assert_str_eq(buf_str(&b), "2");
	buf_clear(&b);
	OK(repo_put_statement(s.repo, "seen/x", "123456", 6, &e));
	ck_assert_int_eq(
	    repo_read_statement(s.repo, "seen/x", 5, &b, &e), ERR_LIMIT);
	ck_assert_int_eq(
	    repo_read_statement(s.repo, "seen/y", 5, &b, &e), ERR_NOT_FOUND);
	ck_assert_int_eq(
	    repo_put_statement(s.repo, "../x", "1", 1, &e), ERR_FORMAT);
	ck_assert_uint_eq(names_in("tmp"), 0);
	ck_assert_int_eq(
	    repo_switch_head(s.repo, "../x", "1", 1, &e), ERR_USAGE);
	buf_release(&b);
}
END_TEST

START_TEST(without_a_cache_folder_all_goes_on)
{
	struct repo *r = NULL;
	struct err e = ERR_INIT;

	OK(fsat_remove_tree(s.dir.fd, "cache", &e));
	OK(repo_open(s.dir.path, &r, &e));
	OK(repo_put_statement(r, "seen/x", "1", 1, &e));
	repo_close(r);
}
END_TEST

START_TEST(files_are_found_and_opened)
{
	char path[REPO_PATH_BYTES];
	struct err e = ERR_INIT;
	struct digest other;
	uint64_t size = 0;
	bool has = false;
	int fd = -1;

	repo_path_data(path, &s.data[0]);
	OK(repo_has(s.repo, path, &has, &e));
	ck_assert(has);
	OK(repo_open_file(s.repo, path, &fd, &size, &e));
	ck_assert_uint_gt(size, 20);
	close(fd);
	sample_digest(1, &other);
	repo_path_data(path, &other);
	OK(repo_has(s.repo, path, &has, &e));
	ck_assert(!has);
	ck_assert_int_eq(
	    repo_open_file(s.repo, path, &fd, &size, &e), ERR_NOT_FOUND);
	OK(repo_has_object(s.repo, &s.objects[0][2], &has, &e));
	ck_assert(has);
	OK(repo_has_object(s.repo, &other, &has, &e));
	ck_assert(!has);
	ck_assert_int_eq(
	    repo_open_object(s.repo, &other, &fd, &size, &e), ERR_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(e.msg, "object " D1));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("repo");
	TCase *t = tcase_create("repo");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, what_is_no_repository_is_not_opened);
	tcase_add_test(t, one_writer_at_a_time_has_the_lock);
	tcase_add_test(t, a_claim_is_one_processes_and_says_whose);
	tcase_add_test(t, each_turn_of_writing_marks_what_is_not_durable);
	tcase_add_test(t, a_child_does_not_keep_the_lock);
	tcase_add_test(t, paths_are_those_of_the_layout);
	tcase_add_test(t, roots_and_channels_are_listed);
	tcase_add_test(t, a_temporary_is_installed_or_leaves_nothing);
	tcase_add_test(t, what_a_crash_cut_short_is_not_believed);
	tcase_add_test(t, a_cache_neither_sets_nor_takes_the_mark);
	tcase_add_test(t, a_partial_file_goes_on_where_it_stopped);
	tcase_add_test(t, what_dead_processes_left_is_cleaned);
	tcase_add_test(t, a_name_of_tmp_that_is_taken_is_passed_over);
	tcase_add_test(t, statements_are_replaced_as_a_whole_and_bounded);
	tcase_add_test(t, without_a_cache_folder_all_goes_on);
	tcase_add_test(t, files_are_found_and_opened);
	suite_add_tcase(suite, t);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
