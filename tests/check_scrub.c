/* Reading stored files again: what is found, what is let alone, and where it
 * goes on. */
#include "server/scrub.h"

#include <check.h>
#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "common/fsat.h"
#include "server/quarantine.h"
#include "server/scrub_statements.h"
#include "tests/sample_repo.h"
#include "transcripts/object.h"

#define OK(call) ck_assert_msg((call) == 0, "%s", e.msg)
/* Two releases, two manifests, two data transcripts, four objects. */
#define FILES 10

static struct sample_repo s;
static struct origin origin;
static struct board *board;
static struct scrub_options options;
static struct scrubbed done;
static struct err e;

static void
setup(void)
{
	err_clear(&e);
	sample_repo_make(&s);
	OK(origin_open(s.dir.path, &origin, &e));
	OK(board_new(&board, &e));
	options = (struct scrub_options){
		.interval_s = 3600, .budget_s = 60, .board = &board->keeping
	};
}

static void
teardown(void)
{
	board_free(board);
	origin_release(&origin);
	sample_repo_remove(&s);
}

static uint64_t
damaged(void)
{
	return board_get(&board->keeping.damaged);
}

static bool
is_there(const char *path)
{
	bool has = false;

	OK(repo_has(s.repo, path, &has, &e));
	return has;
}

static bool
is_quarantined(const char *path)
{
	bool has = false;

	OK(quarantine_has(s.repo, path, &has, &e));
	return has;
}

/* The file as a new one, with one bit in its middle flipped. */
static void
flip(const char *path)
{
	struct buf text;

	buf_init(&text, 1000000);
	OK(fsat_read_file(s.dir.fd, path, 1000000, &text, &e));
	text.data[text.len / 2] ^= 4;
	OK(fsat_write_file(s.dir.fd, path, 0644, text.data, text.len, &e));
	buf_release(&text);
}

static void
expect_moved(const char *path)
{
	ck_assert_msg(!is_there(path), "%s is still there", path);
	ck_assert_msg(is_quarantined(path), "%s is not moved", path);
}

START_TEST(a_round_reads_everything_and_then_rests)
{
	for (int i = 0; i < 2; i++) {
		OK(scrub_some(&origin, &options, &done, &e));
		ck_assert(done.rests);
		ck_assert_uint_eq(
		    board_get(&board->keeping.scrub_files), FILES);
	}
	ck_assert_uint_eq(damaged(), 0);
	ck_assert_uint_ne(board_get(&board->keeping.scrub_round_s), 0);
	ck_assert_uint_gt(board_get(&board->keeping.scrub_bytes), 1000);
	options.interval_s = 0;
	OK(scrub_some(&origin, &options, &done, &e));
	ck_assert_uint_eq(
	    board_get(&board->keeping.scrub_files), (uint64_t)2 * FILES);
}
END_TEST

START_TEST(a_flipped_bit_of_any_kind_of_file_is_found)
{
	char paths[4][REPO_PATH_BYTES];

	repo_path_release(paths[0], &s.release[0]);
	repo_path_manifest(paths[1], &s.manifest[1]);
	repo_path_data(paths[2], &s.data[0]);
	repo_path_object(paths[3], &s.objects[1][2]);
	for (size_t i = 0; i < 4; i++)
		flip(paths[i]);
	OK(scrub_some(&origin, &options, &done, &e));
	ck_assert_uint_eq(damaged(), 4);
	ck_assert_uint_eq(done.wrong, 4);
	for (size_t i = 0; i < 4; i++)
		expect_moved(paths[i]);
	repo_path_object(paths[0], &s.objects[0][0]);
	ck_assert(is_there(paths[0]));
}
END_TEST

START_TEST(lists_are_read_apart_from_the_round)
{
	char path[REPO_PATH_BYTES];

	repo_path_manifest(path, &s.manifest[0]);
	flip(path);
	OK(scrub_lists(&origin, &options, &done, &e));
	expect_moved(path);
	ck_assert_uint_eq(board_get(&board->keeping.scrub_files), 4);
	ck_assert(!is_there("cache/scrub"));
}
END_TEST

/* scrub_options.read that fails so many times. */
struct failing {
	unsigned times;
	int sys;
};

static int
read_fails(void *arg, size_t bytes, struct err *why)
{
	struct failing *f = arg;

	(void)bytes;
	if (f->times == 0)
		return 0;
	f->times--;
	errno = f->sys;
	return err_sys(why, "read");
}

START_TEST(an_error_of_the_disk_counts_when_it_comes_twice)
{
	static const struct {
		struct failing how;
		uint64_t damaged;
	} cases[] = {
		{ { 1, EIO }, 0 }, { { 2, EIO }, 1 },
		{ { 1000, EMFILE }, 0 }, /* not the file's */
	};

	options.interval_s = 0;
	options.read = read_fails;
	for (size_t i = 0; i < 3; i++) {
		struct failing how = cases[i].how;
		uint64_t before = damaged();

		options.arg = &how;
		OK(scrub_some(&origin, &options, &done, &e));
		ck_assert_uint_eq(damaged() - before, cases[i].damaged);
	}
}
END_TEST

START_TEST(it_goes_on_where_it_stopped)
{
	char path[REPO_PATH_BYTES];
	uint64_t first;

	/* What is before that place is not read again: a bit that flips there
	 * is for the next round. */
	OK(scrub_lists(&origin, &options, &done, &e));
	first = board_get(&board->keeping.scrub_files);
	ck_assert_uint_eq(first, 4);
	OK(fsat_write_file(s.dir.fd, "cache/scrub", 0600, "1 0 2 \n", 7, &e));
	repo_path_manifest(path, &s.manifest[0]);
	flip(path);
	OK(scrub_some(&origin, &options, &done, &e));
	ck_assert_uint_eq(
	    board_get(&board->keeping.scrub_files) - first, FILES - 4);
	ck_assert(is_there(path));
	/* It began in 1970: the next is due. */
	OK(scrub_some(&origin, &options, &done, &e));
	expect_moved(path);
}
END_TEST

START_TEST(memory_that_runs_out_ends_it_before_the_file)
{
	struct failing memory = { 1, ENOMEM };

	options.read = read_fails;
	options.arg = &memory;
	ck_assert_int_eq(
	    scrub_some(&origin, &options, &done, &e), ERR_NO_MEMORY);
	OK(scrub_some(&origin, &options, &done, &e));
	ck_assert_uint_eq(board_get(&board->keeping.scrub_files), FILES + 1);
	ck_assert_uint_eq(damaged(), 0);
}
END_TEST

START_TEST(a_place_that_makes_no_sense_is_the_start)
{
	static const char *const texts[] = { "", "x\n", "1 0\n",
		"1 0 99999 x\n", "99999999999999 1 0 x\n", "1 2 0 x\n",
		"01 0 2 x\n" };

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		uint64_t before = board_get(&board->keeping.scrub_files);

		OK(fsat_write_file(s.dir.fd, "cache/scrub", 0600, texts[i],
		    strlen(texts[i]), &e));
		OK(scrub_some(&origin, &options, &done, &e));
		ck_assert(done.rests);
		ck_assert_uint_eq(
		    board_get(&board->keeping.scrub_files) - before, FILES);
	}
}
END_TEST

static int
add(void *arg, const void *data, size_t len, struct err *why)
{
	struct buf *b = arg;

	(void)why;
	buf_add(b, data, len);
	return 0;
}

/* The same content in other bytes. */
static void
compress_otherwise(const struct digest *d, const char *path)
{
	struct object_reader *reader = NULL;
	struct object_writer *writer = NULL;
	struct object o;
	struct buf text;

	buf_init(&text, 1000000);
	OK(object_reader_new(s.repo, &reader, &e));
	OK(object_read(reader, d, 1000000, add, &text, &e));
	object_reader_free(reader);
	OK(fsat_unlink(s.dir.fd, path, &e));
	OK(object_writer_new(s.repo, 19, &writer, &e));
	OK(object_put_bytes(writer, text.data, text.len, &o, &e));
	object_writer_free(writer);
	ck_assert(digest_equal(&o.digest, d));
	buf_release(&text);
}

START_TEST(other_bytes_with_the_right_content_are_written_anew)
{
	const struct repo_verify how = { .threads = 1 };
	struct repo_verified found;
	char path[REPO_PATH_BYTES];
	struct fsat_stat before, after;
	struct buf sums;

	buf_init(&sums, 100000);
	repo_path_object(path, &s.objects[1][2]);
	OK(repo_sync(s.repo, &e));
	OK(fsat_read_file(s.dir.fd, "cache/sums", 100000, &sums, &e));
	compress_otherwise(&s.objects[1][2], path);
	OK(repo_sync(s.repo, &e));
	/* As if only the disk had done it. */
	OK(fsat_write_file(
	    s.dir.fd, "cache/sums", 0600, sums.data, sums.len, &e));
	OK(fsat_stat(s.dir.fd, path, &before, &e));
	ck_assert_int_eq(repo_verify(s.repo, &how, &found, &e), ERR_VERIFY);
	OK(scrub_some(&origin, &options, &done, &e));
	ck_assert_uint_eq(damaged(), 1);
	ck_assert_uint_eq(board_get(&board->keeping.repaired), 1);
	ck_assert(!is_quarantined(path));
	OK(fsat_stat(s.dir.fd, path, &after, &e));
	ck_assert_uint_ne(before.ino, after.ino);
	OK(repo_verify(s.repo, &how, &found, &e));
	buf_release(&sums);
}
END_TEST

START_TEST(a_mirrors_statements_go_and_an_origins_stay)
{
	static const char *const paths[] = { "v1/root/1", "v1/roster",
		"v1/channel/production" };
	struct buf text;

	buf_init(&text, LIMIT_ROOT_BYTES);
	OK(fsat_read_file(s.dir.fd, "v1/root/1", 65536, &text, &e));
	digest_of(text.data, text.len, &options.anchor);
	OK(scrub_statements(&origin, &options, &done, &e));
	ck_assert_uint_eq(damaged(), 0);
	for (size_t i = 3; i-- > 0;) {
		flip(paths[i]);
		options.has_anchor = false;
		OK(scrub_statements(&origin, &options, &done, &e));
		ck_assert(is_there(paths[i]));
		options.has_anchor = true;
		OK(scrub_statements(&origin, &options, &done, &e));
		expect_moved(paths[i]);
	}
	ck_assert_uint_eq(damaged(), 6);
	buf_release(&text);
}
END_TEST

START_TEST(a_file_that_was_replaced_meanwhile_stays)
{
	bool moved = true;
	int fd = -1;

	OK(fsat_open_file(s.dir.fd, "v1/roster", &fd, &e));
	flip("v1/roster");
	OK(quarantine_put(s.repo, "v1/roster", fd, &moved, &e));
	ck_assert(!moved);
	ck_assert(is_there("v1/roster"));
	close(fd);
}
END_TEST

START_TEST(quarantine_is_bounded_and_what_was_replaced_makes_room)
{
	char path[REPO_PATH_BYTES], name[64];

	OK(fsat_mkdir_all(s.dir.fd, "quarantine/v1", 0700, &e));
	for (int i = 0; i < LIMIT_QUARANTINE_FILES; i++) {
		(void)snprintf(name, sizeof(name), "quarantine/v1/%d", i);
		OK(fsat_mknod(s.dir.fd, name, S_IFREG | 0600, 0, &e));
	}
	repo_path_object(path, &s.objects[1][2]);
	flip(path);
	OK(scrub_some(&origin, &options, &done, &e));
	ck_assert(is_there(path));
	ck_assert_uint_eq(damaged(), 0);
	/* One of them is in its place again. */
	OK(fsat_mknod(s.dir.fd, "v1/7", S_IFREG | 0600, 0, &e));
	options.interval_s = 0;
	OK(scrub_some(&origin, &options, &done, &e));
	expect_moved(path);
	ck_assert(!is_quarantined("v1/7"));
	ck_assert(is_quarantined("v1/8"));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("scrub");
	TCase *t = tcase_create("scrub");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_round_reads_everything_and_then_rests);
	tcase_add_test(t, a_flipped_bit_of_any_kind_of_file_is_found);
	tcase_add_test(t, lists_are_read_apart_from_the_round);
	tcase_add_test(t, an_error_of_the_disk_counts_when_it_comes_twice);
	tcase_add_test(t, it_goes_on_where_it_stopped);
	tcase_add_test(t, memory_that_runs_out_ends_it_before_the_file);
	tcase_add_test(t, a_place_that_makes_no_sense_is_the_start);
	tcase_add_test(t, other_bytes_with_the_right_content_are_written_anew);
	tcase_add_test(t, a_mirrors_statements_go_and_an_origins_stay);
	tcase_add_test(t, a_file_that_was_replaced_meanwhile_stays);
	tcase_add_test(
	    t, quarantine_is_bounded_and_what_was_replaced_makes_room);
	suite_add_tcase(suite, t);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
