/* Compare with a stat cache, and with the tree that was applied before.
 * run: also as nobody */
#include <check.h>
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
expect_with(
    const struct source *source, struct compare_options o, const char *told)
{
	diffs_expect(top.fd, source, 1, o, told);
}

/* ---- the stat cache ---- */

struct cached {
	int fd;
	struct statcache_reader *reader;
};

/* A cache that says of x what the arguments do. */
static void
make_cache(struct cached *c, const char *content, time_t started)
{
	struct timespec start = { started, 0 };
	struct statcache_writer *w = NULL;
	struct statcache_record record;
	struct err e = ERR_INIT;
	struct fsat_stat st;

	OK(fsat_open_write(top.fd, "cache", 0600, &c->fd, &e));
	ck_assert_int_eq(ftruncate(c->fd, 0), 0);
	OK(statcache_writer_new(c->fd, &start, &w, &e));
	OK(fsat_stat(top.fd, "t/x", &st, &e));
	statcache_record_init(&record, "t/x", &st);
	digest_of(content, strlen(content), &record.digest);
	OK(statcache_writer_add(w, &record, &e));
	OK(statcache_writer_end(w, &e));
	statcache_writer_free(w);
	ck_assert_int_eq(lseek(c->fd, 0, SEEK_SET), 0);
	OK(statcache_reader_new(c->fd, &c->reader, &e));
}

static void
close_cache(struct cached *c)
{
	statcache_reader_free(c->reader);
	close(c->fd);
}

START_TEST(believes_the_stat_cache_and_reads_what_it_does_not_have)
{
	static const struct spec have[] = { D("t"), F("t/w", "12"),
		F("t/x", "real"), END };
	static const struct spec want[] = { F("w", "12"), F("x", "fake"), END };
	static const struct source source = { .specs = want, "/t" };
	/* What the cache says, from when on it doubts, what is read. */
	static const struct {
		const char *content;
		time_t ahead;
		const char *told;
		uint64_t read_bytes;
	} rows[] = {
		{ .content = "fake", 100, "", 2 },
		{ .content = "else", 100, "~C t/x\n", 2 },
		{ .content = "fake", -100, "~C t/x\n", 6 },
	};
	struct err e = ERR_INIT;
	struct cached c;
	struct diffs d;

	specs_make(top.fd, have);
	buf_init(&d.text, 4096);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct compare_options o = { 0 };

		make_cache(&c, rows[i].content, time(NULL) + rows[i].ahead);
		o.cache = c.reader;
		buf_clear(&d.text);
		OK(diffs_run(top.fd, &source, 1, &o, &d, &e));
		ck_assert_str_eq(buf_str(&d.text), rows[i].told);
		ck_assert_uint_eq(d.totals.read_bytes, rows[i].read_bytes);
		close_cache(&c);
	}
	buf_release(&d.text);
}
END_TEST

START_TEST(reads_again_what_was_touched_since)
{
	static const struct spec have[] = { D("t"), F("t/x", "real"), END };
	static const struct spec want[] = { F("x", "fake"), END };
	static const struct source source = { .specs = want, "/t" };
	static const struct spec again[] = { F("t/x", "real"), END };
	struct compare_options o = { 0 };
	struct err e = ERR_INIT;
	struct cached c;

	specs_make(top.fd, have);
	make_cache(&c, "fake", time(NULL) + 100);
	/* The same size and time, another inode. */
	OK(fsat_rename(top.fd, "t/x", top.fd, "old", &e));
	specs_make(top.fd, again);
	specs_make(top.fd, (const struct spec[]){ D("t"), END });
	o.cache = c.reader;
	expect_with(&source, o, "~C t/x\n");
	close_cache(&c);
}
END_TEST

START_TEST(goes_on_without_a_damaged_stat_cache)
{
	static const struct spec have[] = { D("t"), F("t/x", "real"), END };
	static const struct spec want[] = { F("x", "real"), END };
	static const struct source source = { .specs = want, "/t" };
	struct err e = ERR_INIT;
	struct cached c;
	off_t size;

	specs_make(top.fd, have);
	make_cache(&c, "fake", time(NULL) + 100);
	size = lseek(c.fd, 0, SEEK_END);
	for (off_t at = 40; at < size; at++) {
		struct compare_options o = { 0 };
		uint8_t byte;

		ck_assert_int_eq(pread(c.fd, &byte, 1, at), 1);
		byte ^= 1;
		ck_assert_int_eq(pwrite(c.fd, &byte, 1, at), 1);
		ck_assert_int_eq(lseek(c.fd, 0, SEEK_SET), 0);
		statcache_reader_free(c.reader);
		OK(statcache_reader_new(c.fd, &c.reader, &e));
		o.cache = c.reader;
		/* The record is right, or there is none: "fake" is wanted by
		 * nobody, so it would be told. */
		if (at < size - 16)
			expect_with(&source, o, "");
		byte ^= 1;
		ck_assert_int_eq(pwrite(c.fd, &byte, 1, at), 1);
	}
	close_cache(&c);
}
END_TEST

/* ---- what was dropped ---- */

/* Deletions alone, in the order in which they are told. */
static void
expect_dropped(
    const struct source *was, const struct source *want, const char *told)
{
	struct compare_options o = { 0 };
	struct err e = ERR_INIT;
	struct wanted listed;
	struct diffs d;
	struct buf text;

	buf_init(&d.text, 1 << 20);
	buf_init(&text, 1 << 20);
	wanted_open(&listed, was, 1);
	o.was = listed.layer;
	OK(diffs_run(top.fd, want, 1, &o, &d, &e));
	for (const char *line = buf_str(&d.text); *line != '\0';
	     line = strchr(line, '\n') + 1)
		if (*line == '-')
			buf_add(&text, line,
			    (size_t)(strchr(line, '\n') - line) + 1);
	ck_assert_str_eq(buf_str(&text), told);
	wanted_close(&listed);
	buf_release(&d.text);
	buf_release(&text);
}

START_TEST(drops_what_only_the_former_tree_lists_and_is_there)
{
	static const struct spec have[] = { TOP, F("-x"), D("a"), F("a/1"),
		F("a/2"), F("a/mine"), F("b"), D("c"), F("c/f"), L("l", "c"),
		F("z"), END };
	static const struct spec was[] = { F("-x"), F("!gone"), D("a"),
		F("a/1"), F("a/2"), F("b"), D("c"), F("c/f"), D("l"), F("l/f"),
		F("z"), END };
	static const struct spec want[] = { F("-x"), D("a"), F("a/2"), F("b"),
		F("new"), END };
	static const struct spec none[] = { END };

	specs_make(top.fd, have);
	expect_dropped(&(struct source){ .specs = was, .overlay = true },
	    &(struct source){ .specs = want, .overlay = true },
	    "-a/1\n-c\n-c/f\n-l\n-z\n");
	expect_dropped(&(struct source){ .specs = was, .overlay = true },
	    &(struct source){ .specs = was, .overlay = true }, "");
	expect_dropped(&(struct source){ .specs = was, .overlay = true },
	    &(struct source){ .specs = none, .overlay = true },
	    "--x\n-a\n-a/1\n-a/2\n-b\n-c\n-c/f\n-l\n-z\n");
	expect_dropped(&(struct source){ .specs = none, .overlay = true },
	    &(struct source){ .specs = was, .overlay = true }, "");
}
END_TEST

START_TEST(drops_no_parent_of_a_target_and_nothing_excluded)
{
	static const struct spec have[] = { F("srv/a/f"), F("srv/a/g.log"),
		END };
	static const struct spec was[] = { F("f"), F("g.log"), END };
	static const struct spec none[] = { END };

	specs_make(top.fd, have);
	expect_dropped(&(struct source){ .specs = was, "/srv/a", true },
	    &(struct source){ .specs = none, "/etc" },
	    "-srv/a/f\n-srv/a/g.log\n");
	/* Once as unlisted in an exact directory. */
	expect_dropped(&(struct source){ .specs = was, "/srv/a", true },
	    &(struct source){
	        .specs = none, "/srv/a", .excludes = { "*.log" } },
	    "-srv/a/f\n-srv/a/f\n");
	/* An exact target is listed itself. */
	expect_dropped(&(struct source){ .specs = was, "/srv/a" },
	    &(struct source){ .specs = none, "/etc" },
	    "-srv/a\n-srv/a/f\n-srv/a/g.log\n");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("compare_known");
	TCase *t = tcase_create("compare_known");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(
	    t, believes_the_stat_cache_and_reads_what_it_does_not_have);
	tcase_add_test(t, reads_again_what_was_touched_since);
	tcase_add_test(t, goes_on_without_a_damaged_stat_cache);
	tcase_add_test(t, drops_what_only_the_former_tree_lists_and_is_there);
	tcase_add_test(t, drops_no_parent_of_a_target_and_nothing_excluded);
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
