/* Kept runs: their records, how many stay, and several as one tree. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/held.h"
#include "client/keep.h"
#include "client/past.h"
#include "common/fsat.h"
#include "tests/scratch.h"

#define OK(call)  ck_assert_msg((call) == 0, "%s: %s", #call, e.msg)
#define DAY       86400
#define NOW       1700000000
#define FACTS_MAX 65536

static struct scratch top;
static struct settings settings;
static struct session session;

static void
set_up(void)
{
	struct err e = ERR_INIT;
	char path[300];

	scratch_make(&top);
	(void)snprintf(path, sizeof(path), "%s/state", top.path);
	session = (struct session){
		.state = STATE_INIT, .settings = &settings, .now = NOW
	};
	settings = (struct settings){
		.keep_runs = 10, .keep_age_days = 90, .keep_bytes = 1000
	};
	OK(state_open(&session.state, path, true, &e));
}

static void
tear_down(void)
{
	state_release(&session.state);
	scratch_remove(&top);
}

/* ---- records ---- */

/* One thing as it was; no path ends a list. */
struct was {
	enum kept_state state;
	char type; /* 0: it was not there */
	const char *path, *target;
	char content; /* what its digest is made of */
};

static struct kept_release
release_of(uint64_t serial)
{
	struct kept_release r = { .is_any = serial > 0, .serial = serial };

	if (serial > 0) {
		(void)snprintf(r.channel, sizeof(r.channel), "production");
		(void)snprintf(r.profile, sizeof(r.profile), "web");
		memset(r.release.b, (int)serial, sizeof(r.release.b));
	}
	return r;
}

static void
add(struct kept_writer *w, const struct was *x)
{
	struct manifest_entry m = { .type = (enum manifest_type)x->type,
		.path = x->path,
		.mode = 0755,
		.owner = "#1",
		.group = "#2",
		.mtime = { 5, 6 },
		.target = x->target };
	struct kept_item item = { .state = x->state,
		.path = x->path,
		.index = (uint64_t)(unsigned char)x->content };
	struct err e = ERR_INIT;

	memset(m.digest.b, x->content, sizeof(m.digest.b));
	m.size_bytes = 3;
	if (x->type != 0)
		item.m = &m;
	OK(kept_writer_add(w, &item, &e));
}

/* Makes one kept run with the content of its files. */
static void
keep(uint64_t from, uint64_t to, time_t when, uint64_t bytes,
    const struct was *list)
{
	struct kept_facts f = {
		.when = when, .was = release_of(from), .now = release_of(to)
	};
	struct kept_writer *w = NULL;
	struct err e = ERR_INIT;
	char name[32];
	int dir = -1, fd = -1;

	OK(fsat_mkdir_all(session.state.dir, KEPT_NEW "/f", 0700, &e));
	OK(fsat_open_dir(session.state.dir, KEPT_NEW, &dir, &e));
	OK(kept_writer_new(dir, &f, &w, &e));
	for (; list->path != NULL; list++) {
		add(w, list);
		if (list->state != KEPT_CONTENT)
			continue;
		(void)snprintf(name, sizeof(name), "f/%d", list->content);
		OK(fsat_create(dir, name, 0600, &fd, &e));
		OK(fsat_write_all(fd, "abc", 3, &e));
		close(fd);
		/* As a link to the file would have it. */
		OK(fsat_utime(dir, name, &(struct timespec){ 5, 6 }, &e));
	}
	OK(kept_writer_end(w, bytes, &e));
	kept_writer_free(w);
	close(dir);
	OK(keep_publish(session.state.dir, &e));
}

static const struct was all_kinds[] = {
	{ KEPT_CONTEXT, 'd', ".", NULL, 0 },
	{ KEPT_CHANGED, 'd', "a b", NULL, 0 },
	{ KEPT_CONTENT, 'f', "a b/c", NULL, 7 },
	{ KEPT_CHANGED, 'h', "a b/d", "a b/c", 0 },
	{ KEPT_ABSENT, 0, "a b/new", NULL, 0 },
	{ KEPT_CHANGED, 'l', "link", "to", 0 },
	{ KEPT_CONTEXT, 0, NULL, NULL, 0 },
};

/* Facts alone say what they say with the paths. */
static void
expect_facts(const struct kept *k)
{
	const struct kept_facts *want = kept_facts(k);
	struct err e = ERR_INIT;
	struct kept_facts f;

	OK(kept_read_facts(session.state.dir, want->number, &f, &e));
	ck_assert_uint_eq(f.number, want->number);
	ck_assert_int_eq(f.when, want->when);
	ck_assert_uint_eq(f.was.serial, want->was.serial);
	ck_assert_str_eq(f.now.profile, want->now.profile);
	ck_assert_uint_eq(f.content_bytes, want->content_bytes);
}

START_TEST(a_record_is_read_back_as_it_was_written)
{
	const struct was *want = all_kinds;
	struct kept_item item;
	struct err e = ERR_INIT;
	struct kept *k = NULL;
	bool more = true;

	keep(3, 4, NOW, 3, all_kinds);
	OK(kept_open(session.state.dir, 1, &k, &e));
	ck_assert_uint_eq(kept_facts(k)->number, 1);
	ck_assert_int_eq(kept_facts(k)->when, NOW);
	ck_assert_uint_eq(kept_facts(k)->was.serial, 3);
	ck_assert_str_eq(kept_facts(k)->now.profile, "web");
	ck_assert_uint_eq(kept_facts(k)->content_bytes, 3);
	expect_facts(k);
	for (; want->path != NULL; want++) {
		OK(kept_next(k, &item, &more, &e));
		ck_assert(more);
		ck_assert_str_eq(item.path, want->path);
		ck_assert_int_eq(item.state, want->state);
		ck_assert_int_eq(item.m == NULL, want->type == 0);
		if (item.m != NULL)
			ck_assert_int_eq((char)item.m->type, want->type);
		if (want->state == KEPT_CONTENT)
			ck_assert_uint_eq(item.index, 7);
	}
	OK(kept_next(k, &item, &more, &e));
	ck_assert(!more);
	kept_free(k);
}
END_TEST

/* More than is looked at in one go, with a path as long as one can be. */
START_TEST(a_long_record_is_read_back_too)
{
	enum {
		COUNT = 4000
	};
	static char paths[COUNT][40], longest[4 * 1001];
	static struct was list[COUNT + 3];
	struct kept_item item;
	struct err e = ERR_INIT;
	struct kept *k = NULL;
	bool more = true;

	list[0] = (struct was){ KEPT_CONTEXT, 'd', ".", NULL, 0 };
	for (size_t i = 0; i < COUNT; i++) {
		(void)snprintf(
		    paths[i], sizeof(paths[i]), "f %04zu of many", i);
		list[i + 1] = (struct was){ KEPT_ABSENT, 0, paths[i], NULL, 0 };
		if (i % 2 == 1)
			list[i + 1] = (struct was){ KEPT_CHANGED, 'l', paths[i],
				"to", 0 };
	}
	for (size_t i = 0; i + 1 < sizeof(longest); i++)
		longest[i] = i % 16 == 15 ? '/' : '\n';
	longest[0] = 'x';
	list[COUNT + 1] = (struct was){ KEPT_ABSENT, 0, longest, NULL, 0 };
	keep(3, 4, NOW, 99, list);
	OK(kept_open(session.state.dir, 1, &k, &e));
	ck_assert_uint_eq(kept_facts(k)->content_bytes, 99);
	expect_facts(k);
	for (size_t i = 0; i < COUNT + 2; i++) {
		OK(kept_next(k, &item, &more, &e));
		ck_assert(more);
		ck_assert_str_eq(item.path, list[i].path);
		ck_assert_int_eq(item.state, list[i].state);
	}
	OK(kept_next(k, &item, &more, &e));
	ck_assert(!more);
	kept_free(k);
}
END_TEST

static void
read_facts(struct buf *text)
{
	struct err e = ERR_INIT;

	buf_init(text, FACTS_MAX);
	OK(fsat_read_file(
	    session.state.dir, "kept/1/facts", FACTS_MAX - 1, text, &e));
}

START_TEST(every_truncation_and_every_flipped_byte_is_refused)
{
	struct err e = ERR_INIT;
	struct kept_facts f;
	struct buf text;

	keep(3, 4, NOW, 3, all_kinds);
	read_facts(&text);
	OK(kept_parse(text.data, text.len, &f, &e));
	for (size_t len = 0; len < text.len; len++)
		ck_assert_msg(
		    kept_parse(text.data, len, &f, &e) != 0, "%zu", len);
	for (size_t i = 0; i < text.len; i++) {
		text.data[i] ^= 1;
		ck_assert_msg(
		    kept_parse(text.data, text.len, &f, &e) != 0, "%zu", i);
		text.data[i] ^= 1;
	}
	buf_release(&text);
}
END_TEST

START_TEST(facts_alone_are_refused_when_cut_off)
{
	struct err e = ERR_INIT;
	struct kept_facts f;
	struct fsat_stat st;
	int fd = -1;

	keep(3, 4, NOW, 3, all_kinds);
	OK(fsat_stat(session.state.dir, "kept/1/facts", &st, &e));
	OK(kept_read_facts(session.state.dir, 1, &f, &e));
	OK(fsat_open_write(session.state.dir, "kept/1/facts", 0, &fd, &e));
	for (off_t len = (off_t)st.size_bytes - 1; len >= 0; len--) {
		ck_assert_int_eq(ftruncate(fd, len), 0);
		ck_assert_int_ne(
		    kept_read_facts(session.state.dir, 1, &f, &e), 0);
	}
	close(fd);
	ck_assert_ptr_nonnull(strstr(e.msg, "kept/1/facts: "));
}
END_TEST

START_TEST(a_damaged_manifest_is_refused)
{
	struct err e = ERR_INIT;
	struct kept *k = NULL;
	struct fsat_stat st;
	int fd = -1;

	keep(3, 4, NOW, 3, all_kinds);
	OK(fsat_stat(session.state.dir, "kept/1/before", &st, &e));
	OK(fsat_open_write(session.state.dir, "kept/1/before", 0, &fd, &e));
	for (off_t len = (off_t)st.size_bytes - 1; len >= 0; len--) {
		ck_assert_int_eq(ftruncate(fd, len), 0);
		ck_assert_int_ne(kept_open(session.state.dir, 1, &k, &e), 0);
		ck_assert_ptr_null(k);
	}
	close(fd);
	ck_assert_ptr_nonnull(strstr(e.msg, "kept/1/before: damaged"));
}
END_TEST

/* Facts with a right sum that say something else than the manifest. */
static void
put_facts(const char *text, const char *from, const char *to)
{
	const char *at = strstr(text, from);
	struct err e = ERR_INIT;
	char hex[DIGEST_HEX];
	struct digest sum;
	struct buf b;

	ck_assert_ptr_nonnull(at);
	buf_init(&b, FACTS_MAX);
	buf_add(&b, text, (size_t)(at - text));
	buf_add_str(&b, to);
	at += strlen(from);
	buf_add(&b, at, (size_t)(strstr(at, "sum ") - at));
	digest_of(b.data, b.len, &sum);
	digest_hex(&sum, hex);
	buf_addf(&b, "sum %s\n", hex);
	OK(fsat_write_file(
	    session.state.dir, "kept/1/facts", 0600, b.data, b.len, &e));
	buf_release(&b);
}

static int
read_all(void)
{
	struct kept_item item;
	struct err e = ERR_INIT;
	struct kept *k = NULL;
	bool more = true;
	int rc = kept_open(session.state.dir, 1, &k, &e);

	while (rc == 0 && more)
		rc = kept_next(k, &item, &more, &e);
	kept_free(k);
	return rc;
}

START_TEST(facts_that_contradict_the_manifest_are_refused)
{
	static const char *const rows[][2] = {
		{ "n a\\040b/new\n", "c a\\040b/new\n" },
		{ "c a\\040b/d\n", "n a\\040b/d\n" },
		{ "c link\n", "f 9 link\n" },
		{ "c link\n", "c link\nc link\n" },
		{ "c link\n", "c /link\n" },
		{ "c link\n", "c a/../b\n" },
		{ "c a\\040b\n", "c zzz\n" },
		{ "by run\n", "by\n" },
		{ "by run\n", "by hand\n" },
		{ "was production 3 ", "was production 0 " },
		{ "f 7 ", "f 07 " },
		{ "content 3\n", "content 3\nmore\n" },
	};
	struct buf text;

	keep(3, 4, NOW, 3, all_kinds);
	read_facts(&text);
	ck_assert_int_eq(read_all(), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		put_facts(buf_str(&text), rows[i][0], rows[i][1]);
		ck_assert_msg(read_all() != 0, "%s", rows[i][1]);
	}
	put_facts(buf_str(&text), "by run\n", "by rollback\n");
	ck_assert_int_eq(read_all(), 0);
	buf_release(&text);
}
END_TEST

/* ---- how many ---- */

static const struct was nothing[] = {
	{ KEPT_CONTEXT, 'd', ".", NULL, 0 },
	{ KEPT_CONTEXT, 0, NULL, NULL, 0 },
};

static void
expect_numbers(uint64_t first, uint64_t last)
{
	uint64_t *numbers = NULL;
	struct err e = ERR_INIT;
	size_t count = 0;

	OK(kept_list(session.state.dir, &numbers, &count, &e));
	ck_assert_uint_eq(count, last + 1 - first);
	for (size_t i = 0; i < count; i++)
		ck_assert_uint_eq(numbers[i], first + i);
	free(numbers);
}

START_TEST(runs_are_numbered_upwards_and_only_whole_ones)
{
	struct err e = ERR_INIT;

	expect_numbers(1, 0);
	OK(keep_publish(session.state.dir, &e)); /* none: no error */
	keep(0, 1, NOW, 0, nothing);
	keep(1, 2, NOW, 0, nothing);
	OK(keep_publish(session.state.dir, &e));
	expect_numbers(1, 2);
	OK(fsat_mkdir_all(session.state.dir, KEPT_NEW "/f", 0700, &e));
	expect_numbers(1, 2);
	OK(keep_discard(session.state.dir, &e));
	OK(keep_discard(session.state.dir, &e));
	OK(keep_publish(session.state.dir, &e));
	expect_numbers(1, 2);
}
END_TEST

START_TEST(the_oldest_go_by_number_age_and_bytes)
{
	struct err e = ERR_INIT;

	for (uint64_t n = 1; n <= 8; n++)
		keep(n, n + 1, NOW - (time_t)(9 - n) * DAY, 100, nothing);
	OK(keep_prune(&session, &e));
	expect_numbers(1, 8);
	settings.keep_runs = 7;
	OK(keep_prune(&session, &e));
	expect_numbers(2, 8);
	settings.keep_age_days = 6; /* the third is six days old */
	OK(keep_prune(&session, &e));
	expect_numbers(4, 8);
	settings.keep_bytes = 399;
	OK(keep_prune(&session, &e));
	expect_numbers(6, 8);
	settings.keep_bytes = 1;
	OK(keep_prune(&session, &e));
	expect_numbers(8, 8);
	settings.keep_runs = 0;
	OK(keep_prune(&session, &e));
	expect_numbers(1, 0);
}
END_TEST

START_TEST(one_that_is_damaged_goes_with_what_is_older)
{
	struct err e = ERR_INIT;

	for (uint64_t n = 1; n <= 4; n++)
		keep(n, n + 1, NOW, 1, nothing);
	OK(fsat_write_file(
	    session.state.dir, "kept/2/facts", 0600, "x\n", 2, &e));
	OK(keep_prune(&session, &e));
	expect_numbers(3, 4);
}
END_TEST

/* ---- several as one ---- */

static void
expect_layer(struct past *p, const char *const *paths)
{
	const struct layer_entry *entry;
	struct err e = ERR_INIT;
	struct layer *l = NULL;

	OK(past_layer(p, &l, &e));
	for (; *paths != NULL; paths++) {
		OK(layer_next(l, &entry, &e));
		ck_assert_ptr_nonnull(entry);
		ck_assert_str_eq(entry->m.path, *paths);
		ck_assert(!entry->implied);
	}
	OK(layer_next(l, &entry, &e));
	ck_assert_ptr_null(entry);
}

START_TEST(for_a_path_the_oldest_change_counts)
{
	static const struct was first[] = {
		{ KEPT_CONTEXT, 'd', ".", NULL, 0 },
		{ KEPT_CONTENT, 'f', "file", NULL, 1 },
		{ KEPT_ABSENT, 0, "made", NULL, 0 },
		{ KEPT_CHANGED, 'f', "mode", NULL, 3 },
		{ KEPT_CONTEXT, 0, NULL, NULL, 0 },
	};
	static const struct was second[] = {
		{ KEPT_CONTEXT, 'd', ".", NULL, 0 },
		{ KEPT_CONTENT, 'f', "file", NULL, 2 },
		{ KEPT_CONTEXT, 'd', "made", NULL, 0 },
		{ KEPT_CONTENT, 'f', "made/in", NULL, 4 },
		{ KEPT_CONTENT, 'f', "mode", NULL, 3 },
		{ KEPT_CHANGED, 'd', "other", NULL, 0 },
		{ KEPT_CONTEXT, 0, NULL, NULL, 0 },
	};
	static const char *const both[] = { ".", "file", "mode", "other",
		NULL };
	static const char *const last[] = { ".", "file", "made", "made/in",
		"mode", "other", NULL };
	struct err e = ERR_INIT;
	struct past *p = NULL;

	keep(1, 2, NOW, 3, first);
	keep(2, 3, NOW, 9, second);
	OK(past_open(&session, 1, &p, &e));
	ck_assert_uint_eq(past_release(p)->serial, 1);
	expect_layer(p, both);
	expect_layer(p, both); /* from its beginning again */
	ck_assert_int_eq(past_state(p, "file"), PAST_CONTENT);
	ck_assert_int_eq(past_state(p, "made"), PAST_ABSENT);
	/* Its content went with the second run. */
	ck_assert_int_eq(past_state(p, "mode"), PAST_CONTENT);
	ck_assert_int_eq(past_state(p, "."), PAST_UNTOUCHED);
	ck_assert_int_eq(past_state(p, "unknown"), PAST_UNTOUCHED);
	past_free(p);
	OK(past_open(&session, 2, &p, &e));
	ck_assert_uint_eq(past_release(p)->serial, 2);
	expect_layer(p, last);
	ck_assert_int_eq(past_state(p, "made"), PAST_UNTOUCHED);
	past_free(p);
}
END_TEST

START_TEST(content_that_no_run_took_away_is_known_as_such)
{
	static const struct was meta[] = {
		{ KEPT_CONTEXT, 'd', ".", NULL, 0 },
		{ KEPT_CHANGED, 'f', "mode", NULL, 3 },
		{ KEPT_CONTEXT, 0, NULL, NULL, 0 },
	};
	struct err e = ERR_INIT;
	struct past *p = NULL;

	keep(1, 2, NOW, 0, meta);
	OK(past_open(&session, 1, &p, &e));
	ck_assert_int_eq(past_state(p, "mode"), PAST_META);
	past_free(p);
}
END_TEST

START_TEST(what_a_run_only_mended_does_not_come_back)
{
	static const struct was drift[] = {
		{ KEPT_CONTEXT, 'd', ".", NULL, 0 },
		{ KEPT_CONTENT, 'f', "drift", NULL, 3 },
		{ KEPT_CONTEXT, 0, NULL, NULL, 0 },
	};
	struct err e = ERR_INIT;
	struct past *p = NULL;

	keep(1, 2, NOW, 0, nothing);
	keep(2, 2, NOW, 3, drift);
	OK(past_open(&session, 1, &p, &e));
	ck_assert_int_eq(past_state(p, "drift"), PAST_UNTOUCHED);
	past_free(p);
	/* Unless that is what was asked for. */
	OK(past_open(&session, 2, &p, &e));
	ck_assert_int_eq(past_state(p, "drift"), PAST_CONTENT);
	past_free(p);
}
END_TEST

/* ---- held ---- */

START_TEST(a_held_release_is_read_back_strictly)
{
	static const char *const wrong[] = { "", "pecia held 1\n",
		"pecia held 2\nrelease production 7\n",
		"pecia held 1\nrelease production 07\n",
		"pecia held 1\nrelease production 0\n",
		"pecia held 1\nrelease ../x 7\n",
		"pecia held 1\nrelease production 7\n\n",
		"pecia held 1\nrelease production 7\nwhy a b\n",
		"pecia held 1\nwhy a\nrelease production 7\n",
		"pecia held 1\nrelease production 7" };
	struct held h = { .channel = "production", .serial = 7 }, got;
	struct err e = ERR_INIT;

	ck_assert_int_eq(held_read(&session.state, &got, &e), ERR_NOT_FOUND);
	OK(held_write(&session.state, &h, &e));
	OK(held_read(&session.state, &got, &e));
	ck_assert_str_eq(got.channel, "production");
	ck_assert_uint_eq(got.serial, 7);
	ck_assert_str_eq(got.why, "");
	OK(held_explain(&session.state, "check web: \"no\"", &e));
	OK(held_read(&session.state, &got, &e));
	ck_assert_uint_eq(got.serial, 7);
	ck_assert_str_eq(got.why, "check web: \"no\"");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		ck_assert_msg(
		    held_parse(wrong[i], strlen(wrong[i]), &got, &e) != 0, "%s",
		    wrong[i]);
	OK(held_forget(&session.state, &e));
	OK(held_forget(&session.state, &e));
	OK(held_explain(&session.state, "of none", &e));
	ck_assert_int_eq(held_read(&session.state, &got, &e), ERR_NOT_FOUND);
}
END_TEST

START_TEST(a_release_is_held_only_while_an_older_one_is_applied)
{
	static const struct {
		uint64_t applied, head, held; /* held: what is expected */
	} rows[] = {
		{ 5, 7, 7 },
		{ 5, 6, 7 }, /* another server's: older still */
		{ 5, 8, 0 },
		{ 7, 7, 0 },
		{ 0, 7, 7 }, /* nothing is applied */
		{ 8, 7, 0 },
	};
	struct held h = { .channel = "production", .serial = 7 };
	struct head head = { .channel = "production" };
	struct err e = ERR_INIT;

	OK(held_write(&session.state, &h, &e));
	(void)snprintf(session.applied.channel, sizeof(session.applied.channel),
	    "production");
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		session.has_applied = rows[i].applied > 0;
		session.applied.serial = rows[i].applied;
		head.serial = rows[i].head;
		ck_assert_msg(
		    held_serial(&session, &head) == rows[i].held, "row %zu", i);
	}
	(void)snprintf(head.channel, sizeof(head.channel), "other");
	head.serial = 7;
	session.applied.serial = 5;
	session.has_applied = true;
	ck_assert_uint_eq(held_serial(&session, &head), 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("keep");
	TCase *t = tcase_create("keep");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, a_record_is_read_back_as_it_was_written);
	tcase_add_test(t, a_long_record_is_read_back_too);
	tcase_add_test(t, every_truncation_and_every_flipped_byte_is_refused);
	tcase_add_test(t, facts_alone_are_refused_when_cut_off);
	tcase_add_test(t, a_damaged_manifest_is_refused);
	tcase_add_test(t, facts_that_contradict_the_manifest_are_refused);
	tcase_add_test(t, runs_are_numbered_upwards_and_only_whole_ones);
	tcase_add_test(t, the_oldest_go_by_number_age_and_bytes);
	tcase_add_test(t, one_that_is_damaged_goes_with_what_is_older);
	tcase_add_test(t, for_a_path_the_oldest_change_counts);
	tcase_add_test(t, content_that_no_run_took_away_is_known_as_such);
	tcase_add_test(t, what_a_run_only_mended_does_not_come_back);
	tcase_add_test(t, a_held_release_is_read_back_strictly);
	tcase_add_test(t, a_release_is_held_only_while_an_older_one_is_applied);
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
