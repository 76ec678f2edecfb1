/* Deltas by walking along: librsync's own patching rebuilds the new content
 * from them, they hold little more than what is new, and memory stays small. */
#include "transcripts/delta_walk.h"

#include <check.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/fsat.h"
#include "tests/delta_apply.h"
#include "tests/feed.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define ROOM     (64U << 20)

static int
walk(const struct buf *basis, const struct buf *content, size_t step,
    uint64_t max_bytes, struct buf *delta)
{
	struct err e = ERR_INIT;
	struct feed was = { basis->data, basis->len, 0, step };
	struct feed now = { content->data, content->len, 0, step };
	struct delta_stream old = { feed_give, &was, basis->len };
	struct delta_stream new = { feed_give, &now, content->len };
	int ret;

	buf_init(delta, ROOM);
	ret = delta_walk(&old, &new, max_bytes, feed_collect, delta, &e);
	if (ret != 0)
		ck_assert_str_ne(e.msg, "");
	return ret;
}

static void
assert_rebuilds(
    const struct buf *basis, const struct buf *content, const struct buf *delta)
{
	struct err e = ERR_INIT;
	struct buf out;
	struct feed feed = { delta->data, delta->len, 0, 10000 };
	struct delta_apply patch = { .source = feed_give,
		.source_arg = &feed,
		.sink = feed_collect,
		.sink_arg = &out,
		.max_bytes = content->len };

	buf_init(&out, ROOM);
	patch.basis_fd = memfd_create("check", MFD_CLOEXEC);
	ck_assert_int_ge(patch.basis_fd, 0);
	if (basis->len > 0)
		ck_assert_int_eq(
		    fsat_write_all(patch.basis_fd, basis->data, basis->len, &e),
		    0);
	ck_assert_msg(delta_apply(&patch, &e) == 0, "%s", e.msg);
	ck_assert_uint_eq(out.len, content->len);
	if (out.len > 0)
		ck_assert_mem_eq(out.data, content->data, out.len);
	close(patch.basis_fd);
	buf_release(&out);
}

static uint32_t
next(uint32_t *x)
{
	uint32_t v;

	*x += 0x9e3779b9U;
	v = (*x ^ *x >> 16) * 0x21f0aaadU;
	v = (v ^ v >> 15) * 0x735a2d97U;
	return v ^ v >> 15;
}

/* Bytes that repeat after `period`, or never where it is 0. */
static void
add_bytes(struct buf *b, size_t len, uint32_t seed, size_t period)
{
	uint32_t x = seed * 0x10000001U;
	size_t begin = b->len;

	for (size_t i = 0; i < len; i++)
		buf_add_byte(b,
		    period > 0 && i >= period ? b->data[begin + i - period]
		                              : (uint8_t)next(&x));
}

/* The new content is the basis up to `at`, without the `gone` bytes from there
 * and with `more` new ones instead. */
static const struct {
	const char *name;
	size_t bytes, period, at, gone, more;
} edits[] = {
	{ "both empty", 0, 0, 0, 0, 0 },
	{ "from nothing", 0, 0, 0, 0, 5000 },
	{ "to nothing", 5000, 0, 0, 5000, 0 },
	{ "the same", 100000, 0, 0, 0, 0 },
	{ "one byte the same", 1, 0, 0, 0, 0 },
	{ "one byte another", 1, 0, 0, 1, 1 },
	{ "inserted at the start", 300000, 0, 0, 0, 37 },
	{ "inserted in the middle", 300000, 0, 123457, 0, 70000 },
	{ "appended", 300000, 0, 300000, 0, 999 },
	{ "the start removed", 300000, 0, 0, 4097, 0 },
	{ "removed in the middle", 300000, 0, 99999, 12345, 0 },
	{ "the end removed", 300000, 0, 299990, 10, 0 },
	{ "a byte replaced", 300000, 0, 150001, 1, 1 },
	{ "a region replaced", 300000, 0, 150001, 9000, 9000 },
	{ "replaced by less", 300000, 0, 150001, 9000, 10 },
	{ "replaced by more", 300000, 0, 150001, 10, 9000 },
	{ "zeros, more of them", 300000, 1, 1000, 0, 7 },
	{ "zeros, fewer of them", 300000, 1, 1000, 7, 0 },
	{ "a period removed", 300000, 7, 14, 7, 0 },
	{ "half a period removed", 300000, 40, 15000, 20, 0 },
	{ "into a period", 300000, 40, 15000, 0, 20 },
	{ "long: at the start", 7000000, 0, 100, 0, 70000 },
	{ "long: removed", 7000000, 0, 3000000, 300000, 0 },
	{ "long: removed, as far as it looks", 7000000, 0, 3000000, 1500000,
	    0 },
	{ "long: replaced", 7000000, 0, 3000000, 3000000, 3000000 },
	{ "long: a period removed", 7000000, 1000, 3000500, 1000, 0 },
	{ "long: the end", 7000000, 0, 6999999, 1, 2 },
};

static void
make_edit(int i, struct buf *basis, struct buf *content)
{
	size_t at = edits[i].at, rest = at + edits[i].gone;

	buf_init(basis, ROOM);
	buf_init(content, ROOM);
	add_bytes(basis, edits[i].bytes, 1, edits[i].period);
	if (at > 0)
		buf_add(content, basis->data, at);
	add_bytes(content, edits[i].more, 2, 0);
	if (rest < basis->len)
		buf_add(content, basis->data + rest, basis->len - rest);
}

START_TEST(a_delta_holds_what_is_new_and_rebuilds)
{
	static const size_t steps[] = { 1000, 65536, ROOM };
	struct buf basis, content, delta;

	make_edit(_i, &basis, &content);
	for (size_t j = 0; j < COUNT(steps); j++) {
		ck_assert_int_eq(
		    walk(&basis, &content, steps[j], UINT64_MAX, &delta), 0);
		assert_rebuilds(&basis, &content, &delta);
		/* A literal of 32 KiB has 3 bytes before it, a copy has 9. */
		ck_assert_msg(
		    delta.len <= edits[_i].more + edits[_i].more / 1000 + 32,
		    "%s: %zu bytes", edits[_i].name, delta.len);
		buf_release(&delta);
	}
	buf_release(&basis);
	buf_release(&content);
}
END_TEST

/* Lines that have most in common with many others. */
static void
add_line(struct buf *b, uint32_t i, uint32_t generation)
{
	uint32_t x = i + generation * 1000000;

	buf_addf(b, "f 0644 root root 17%08u.%09u %u ", next(&x) % 1000,
	    next(&x) % 1000000000, next(&x) % 100000);
	for (int j = 0; j < 8; j++)
		buf_addf(b, "%08x", next(&x));
	buf_addf(
	    b, " srv/data/of-the-department/projects/%02u/%06u\n", i / 1000, i);
}

START_TEST(a_long_list_of_like_lines_is_followed)
{
	struct buf basis, content, delta;

	buf_init(&basis, ROOM);
	buf_init(&content, ROOM);
	for (uint32_t i = 0; i < 40000; i++) {
		add_line(&basis, i, 0);
		if (i % 100 == 33)
			continue;
		add_line(&content, i, i % 100 == 50);
		if (i % 200 == 60)
			add_line(&content, i, 2);
	}
	ck_assert_uint_gt(basis.len, 2 * DELTA_WALK_WINDOW);
	ck_assert_int_eq(walk(&basis, &content, ROOM, UINT64_MAX, &delta), 0);
	assert_rebuilds(&basis, &content, &delta);
	/* 600 new lines of 100 bytes that nothing else has, 1,000 breaks. */
	ck_assert_uint_lt(delta.len, 100000);
	buf_release(&basis);
	buf_release(&content);
	buf_release(&delta);
}
END_TEST

START_TEST(parts_in_another_order_are_found)
{
	struct buf basis, content, delta;

	buf_init(&basis, ROOM);
	buf_init(&content, ROOM);
	add_bytes(&basis, 1500000, 1, 0);
	for (size_t part = 15; part > 0; part--)
		buf_add(&content, basis.data + (part - 1) * 100000, 100000);
	ck_assert_int_eq(walk(&basis, &content, ROOM, UINT64_MAX, &delta), 0);
	assert_rebuilds(&basis, &content, &delta);
	ck_assert_uint_lt(delta.len, 300);
	buf_release(&basis);
	buf_release(&content);
	buf_release(&delta);
}
END_TEST

/* Pieces of the basis and others, in few letters, so that much is alike. */
static void
scramble(const struct buf *basis, struct buf *content, uint32_t *x)
{
	size_t room = basis->len * 2 + 10;

	buf_init(content, ROOM);
	while (content->len < room && next(x) % 16 != 0) {
		size_t at = next(x) % (basis->len + 1);
		size_t len = next(x) % (basis->len + 1 - at);

		if (len > 0 && next(x) % 3 != 0)
			buf_add(content, basis->data + at, len);
		for (size_t n = next(x) % 40; n > 0; n--)
			buf_add_byte(content, (uint8_t)(next(x) % 3));
	}
}

START_TEST(anything_comes_back)
{
	struct buf basis, content, delta;
	uint32_t x = 7;

	for (int i = 0; i < 400; i++) {
		size_t bytes = next(&x) % (i % 4 == 0 ? 20000 : 300);
		size_t letters = 1 + next(&x) % 4;

		buf_init(&basis, ROOM);
		for (size_t j = 0; j < bytes; j++)
			buf_add_byte(&basis, (uint8_t)(next(&x) % letters));
		scramble(&basis, &content, &x);
		ck_assert_int_eq(walk(&basis, &content, 1 + next(&x) % 9999,
		                     UINT64_MAX, &delta),
		    0);
		assert_rebuilds(&basis, &content, &delta);
		buf_release(&basis);
		buf_release(&content);
		buf_release(&delta);
	}
}
END_TEST

START_TEST(a_delta_longer_than_allowed_is_given_up)
{
	struct buf basis, content, delta;

	buf_init(&basis, ROOM);
	buf_init(&content, ROOM);
	add_bytes(&basis, 100000, 1, 0);
	add_bytes(&content, 500000, 2, 0);
	ck_assert_int_eq(
	    walk(&basis, &content, ROOM, 200000, &delta), ERR_LIMIT);
	ck_assert_uint_le(delta.len, 200000);
	buf_release(&delta);
	buf_release(&basis);
	buf_release(&content);
}
END_TEST

/* A delta_source: numbers, as many as `left`; watches memory. */
struct numbers {
	uint32_t next;
	size_t left;
	size_t *most;
};

static size_t
memory(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

static int
count_on(void *arg, void *dst, size_t size, size_t *got, struct err *e)
{
	struct numbers *n = arg;
	uint8_t *p = dst;
	size_t used = memory();

	(void)e;
	*n->most = used > *n->most ? used : *n->most;
	*got = 0;
	while (n->left > 0 && size - *got >= 4) {
		uint32_t x = n->next++, v = next(&x);

		memcpy(p + *got, &v, 4);
		*got += 4;
		n->left -= 4;
	}
	return 0;
}

/* A delta_sink. */
static int
count(void *arg, const void *data, size_t len, struct err *e)
{
	size_t *bytes = arg;

	(void)data;
	(void)e;
	*bytes += len;
	return 0;
}

START_TEST(memory_does_not_grow_with_the_contents)
{
	struct err e = ERR_INIT;
	size_t before = memory(), most = before, bytes = 0;
	struct numbers was = { 10000, 16U << 20, &most };
	struct numbers now = { 0, 16U << 20, &most };
	struct delta_stream old = { count_on, &was, was.left };
	struct delta_stream new = { count_on, &now, now.left };

	ck_assert_int_eq(
	    delta_walk(&old, &new, UINT64_MAX, count, &bytes, &e), 0);
	ck_assert_uint_ge(bytes, 40000);
	ck_assert_uint_lt(bytes, 40100);
	ck_assert_uint_lt(most - before, (size_t)3 << 20);
	ck_assert_uint_le(memory(), before);
}
END_TEST

static int
fail_read(void *arg, void *dst, size_t size, size_t *got, struct err *e)
{
	(void)arg;
	(void)dst;
	(void)size;
	(void)got;
	return err_set(e, ERR_SYS, "no more");
}

static int
fail_write(void *arg, const void *data, size_t len, struct err *e)
{
	(void)arg;
	(void)data;
	(void)len;
	return err_set(e, ERR_SYS, "no room");
}

START_TEST(errors_end_the_walk)
{
	struct err e = ERR_INIT;
	uint8_t some[100] = { 1 };
	struct feed feed = { some, sizeof(some), 0, 10 };
	struct feed other = { some, sizeof(some), 0, 10 };
	struct delta_stream good = { feed_give, &feed, sizeof(some) };
	struct delta_stream more = { feed_give, &other, sizeof(some) - 1 };
	struct delta_stream bad = { fail_read, NULL, 5000 };
	size_t bytes = 0;

	ck_assert_int_eq(
	    delta_walk(&bad, &good, UINT64_MAX, count, &bytes, &e), ERR_SYS);
	feed.pos = 0;
	ck_assert_int_eq(
	    delta_walk(&good, &bad, UINT64_MAX, count, &bytes, &e), ERR_SYS);
	feed.pos = 0;
	ck_assert_int_eq(
	    delta_walk(&good, &more, UINT64_MAX, count, &bytes, &e),
	    ERR_CHANGED);
	feed.pos = other.pos = 0;
	more.bytes++;
	ck_assert_int_eq(
	    delta_walk(&good, &more, UINT64_MAX, fail_write, NULL, &e),
	    ERR_SYS);
	ck_assert_str_eq(e.msg, "no room");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("delta_walk");
	TCase *t = tcase_create("walks");
	SRunner *sr;
	int failed;

	tcase_set_timeout(t, 120);
	tcase_add_loop_test(
	    t, a_delta_holds_what_is_new_and_rebuilds, 0, COUNT(edits));
	tcase_add_test(t, a_long_list_of_like_lines_is_followed);
	tcase_add_test(t, parts_in_another_order_are_found);
	tcase_add_test(t, anything_comes_back);
	tcase_add_test(t, a_delta_longer_than_allowed_is_given_up);
	tcase_add_test(t, memory_does_not_grow_with_the_contents);
	tcase_add_test(t, errors_end_the_walk);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
