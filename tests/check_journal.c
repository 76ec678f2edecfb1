/* The journal's file: what is written is read back, and damage is refused. */
#include "client/journal.h"

#include <check.h>
#include <unistd.h>

#include "common/fsat.h"
#include "tests/change.h"

#define OK(call) ck_assert_msg((call) == 0, "%s: %s", #call, e.msg)
#define STAGE    PLAN_STAGE_PREFIX CHANGE_RUN

/* A line a step. */
static void
describe(struct buf *text, const struct journal_step *s)
{
	static const char *const words[] = { NULL, "rename", "exchange",
		"unlink", "rmdir", "meta", "time", "leftover" };

	buf_addf(text, "%s %s", words[s->kind], s->path);
	if (s->stage[0] != '\0')
		buf_addf(text, " %s", s->stage);
	if (s->kind == JOURNAL_META)
		buf_addf(text, " %x %c %o %u:%u %s", s->bits, s->type, s->mode,
		    s->uid, s->gid, s->xattrs);
	if (s->kind == JOURNAL_META || s->kind == JOURNAL_TIME)
		buf_addf(text, " %lld.%09ld", (long long)s->mtime.tv_sec,
		    s->mtime.tv_nsec);
	buf_add_str(text, "\n");
}

/* All steps as lines. */
static int
read_all(int state, struct buf *text, struct err *e)
{
	struct journal_header h;
	struct journal *j = NULL;
	struct journal_step step;
	bool more = true;
	int rc;

	journal_header_init(&h);
	rc = journal_open(state, &j, &h, e);
	while (rc == 0) {
		rc = journal_next(j, &step, &more, e);
		if (rc != 0 || !more)
			break;
		describe(text, &step);
	}
	journal_free(j);
	journal_header_release(&h);
	return rc;
}

static void
expect_steps(const struct change *c, const char *want)
{
	struct err e = ERR_INIT;
	struct buf text;

	buf_init(&text, 1 << 20);
	OK(read_all(c->state, &text, &e));
	ck_assert_str_eq(buf_str(&text), want);
	buf_release(&text);
}

static const struct spec before[] = { D("."), D("busy"), F("busy/old"),
	F("dir-to-file/x"), F("file-to-dir"), D("gone"), F("gone/x"),
	F("meta", "1", .xattr = "v"), END };
static const struct spec after[] = { D("."), D("busy", .sec = SPEC_SEC),
	F("dir-to-file", "1"), D("file-to-dir"), F("file-to-dir/f", "1"),
	F("meta", "1", 0600, .sec = -7, .nsec = 999999999), F("new", "1"),
	END };

static void
begin(struct change *c)
{
	change_begin(c, before, &(struct source){ .specs = after }, NULL);
}

START_TEST(reads_back_every_kind_of_step)
{
	struct change c;
	char want[1024];

	begin(&c);
	change_stage(&c);
	change_journal(&c);
	(void)snprintf(want, sizeof(want),
	    "exchange dir-to-file " STAGE "-0\n"
	    "exchange file-to-dir " STAGE "-1\n"
	    "rename new " STAGE "-4\n"
	    "leftover dir-to-file " STAGE "-0\n"
	    "leftover file-to-dir " STAGE "-1\n"
	    "unlink gone/x\n"
	    "rmdir gone\n"
	    "unlink busy/old\n"
	    "meta meta %x f 600 %u:%u  -7.999999999\n"
	    "time busy 1500000000.000000000\n"
	    "time . 1500000000.000000000\n",
	    (unsigned)(COMPARE_MODE | COMPARE_MTIME | COMPARE_XATTRS),
	    geteuid(), getegid());
	expect_steps(&c, want);
	change_end(&c);
}
END_TEST

START_TEST(tells_the_inodes_that_steps_are_for)
{
	struct journal_header h;
	struct journal *j = NULL;
	struct journal_step step;
	struct err e = ERR_INIT;
	struct fsat_stat st;
	struct change c;
	bool more = true;

	begin(&c);
	change_stage(&c);
	change_journal(&c);
	journal_header_init(&h);
	OK(journal_open(c.state, &j, &h, &e));
	for (;;) {
		OK(journal_next(j, &step, &more, &e));
		if (!more)
			break;
		if (step.kind == JOURNAL_EXCHANGE) {
			OK(fsat_stat(c.root, step.stage, &st, &e));
			ck_assert_uint_eq(step.ino, st.ino);
		} else if (step.kind == JOURNAL_META) {
			OK(fsat_stat(c.root, step.path, &st, &e));
			ck_assert_uint_eq(step.ino, st.ino);
		}
	}
	journal_free(j);
	journal_header_release(&h);
	change_end(&c);
}
END_TEST

START_TEST(there_may_be_none)
{
	struct err e = ERR_INIT;
	struct change c;
	struct buf text;

	begin(&c);
	buf_init(&text, 4096);
	ck_assert_int_eq(read_all(c.state, &text, &e), ERR_NOT_FOUND);
	change_stage(&c);
	change_journal(&c);
	/* Once more, over what is there. */
	change_journal(&c);
	OK(journal_remove(c.state, &e));
	ck_assert_int_eq(read_all(c.state, &text, &e), ERR_NOT_FOUND);
	OK(journal_remove(c.state, &e));
	buf_release(&text);
	change_end(&c);
}
END_TEST

START_TEST(refuses_every_damage)
{
	struct err e = ERR_INIT;
	struct change c;
	struct buf whole, text;

	begin(&c);
	change_stage(&c);
	change_journal(&c);
	buf_init(&whole, 1 << 20);
	buf_init(&text, 1 << 20);
	OK(fsat_read_file(c.state, JOURNAL_NAME, 1 << 20, &whole, &e));
	for (size_t n = 0; n <= whole.len; n++) {
		int fd = -1;

		/* One file, for speed: cut off, then with one bit changed. */
		OK(fsat_open_write(c.state, JOURNAL_NAME, 0600, &fd, &e));
		ck_assert_int_eq(ftruncate(fd, (off_t)n), 0);
		if (n < whole.len)
			ck_assert_msg(
			    read_all(c.state, &text, &e) == ERR_FORMAT,
			    "cut at %zu", n);
		ck_assert_int_eq(ftruncate(fd, 0), 0);
		if (n < whole.len)
			whole.data[n] ^= (uint8_t)(1u << n % 8);
		OK(fsat_write_all(fd, whole.data, whole.len, &e));
		if (n < whole.len) {
			ck_assert_msg(
			    read_all(c.state, &text, &e) == ERR_FORMAT,
			    "bit flip at %zu", n);
			whole.data[n] ^= (uint8_t)(1u << n % 8);
		}
		ck_assert_uint_eq(text.len, 0);
		OK(fsat_close(&fd, "journal", &e));
	}
	OK(read_all(c.state, &text, &e));
	ck_assert_uint_gt(text.len, 0);
	buf_release(&whole);
	buf_release(&text);
	change_end(&c);
}
END_TEST

/* Bytes after the last step, or lengths past the end, under a right digest. */
START_TEST(refuses_nonsense_under_a_right_digest)
{
	static const struct {
		const char *bytes;
		size_t len;
	} rows[] = {
		{ "pecia journal 2\n\0\0\0\0\0\0\0\0\0\0\0\0\0", 29 },
		{ "pecia journal 1\n", 16 },
		{ "pecia journal 1\n\0\0\0\0\0\0\0\0\0\0\0\0", 28 },
		{ "pecia journal 1\n\0\0\0\0\0\0\0\0\0\0\0\0\x09", 29 },
		{ "pecia journal 1\n\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0", 31 },
		{ "pecia journal 1\n\0\0\0\0\0\0\0\0\0\0\0\0\1\xff\xff\xff\xff",
		    33 },
		{ "pecia journal 1\n\0\0\0\0\0\0\0\1", 24 },
	};
	struct err e = ERR_INIT;
	struct change c;
	struct buf file, text;

	begin(&c);
	buf_init(&file, 4096);
	buf_init(&text, 4096);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct digest sum;

		buf_clear(&file);
		buf_add(&file, rows[i].bytes, rows[i].len);
		digest_of(file.data, file.len, &sum);
		buf_add(&file, sum.b, sizeof(sum.b));
		OK(fsat_write_file(
		    c.state, JOURNAL_NAME, 0600, file.data, file.len, &e));
		ck_assert_msg(
		    read_all(c.state, &text, &e) == ERR_FORMAT, "row %zu", i);
	}
	buf_release(&file);
	buf_release(&text);
	change_end(&c);
}
END_TEST

START_TEST(holds_many_steps)
{
	struct change c;
	struct err e = ERR_INIT;
	struct plan p;
	struct buf text;
	size_t lines = 0;
	char path[4200];

	begin(&c);
	plan_init(&p);
	memset(path, 'x', sizeof(path));
	for (int i = 0; i < 2000; i++) {
		struct fsat_stat st = { .mode = i % 2 ? S_IFDIR : S_IFREG };
		struct compare_diff d = {
			.kind = COMPARE_DELETE, .path = path, .have = &st
		};

		(void)snprintf(path + 4000, 100, "%d", i);
		OK(plan_add(&p, &d, &e));
	}
	wanted_rewind(&c.wanted);
	OK(plan_finish(&p, c.wanted.layer, "x", &e));
	ck_assert_uint_eq(p.delete_count, 2000);
	plan_release(&c.plan);
	c.plan = p;
	change_journal(&c);
	buf_init(&text, 1 << 24);
	OK(read_all(c.state, &text, &e));
	for (size_t i = 0; i < text.len; i++)
		lines += text.data[i] == '\n';
	/* And the time of the root. */
	ck_assert_uint_eq(lines, 2001);
	buf_release(&text);
	change_end(&c);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("journal");
	TCase *t = tcase_create("journal");
	SRunner *runner;
	int failed;

	tcase_add_test(t, reads_back_every_kind_of_step);
	tcase_add_test(t, tells_the_inodes_that_steps_are_for);
	tcase_add_test(t, there_may_be_none);
	tcase_add_test(t, refuses_every_damage);
	tcase_add_test(t, refuses_nonsense_under_a_right_digest);
	tcase_add_test(t, holds_many_steps);
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
