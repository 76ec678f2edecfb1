/* Sketches: alike contents are found among many, unlike ones are not. */
#include "transcripts/resemble.h"

#include <check.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/fsat.h"

#define OK(call) ck_assert_msg((call) == 0, "%s", e.msg)

static uint32_t
next(uint32_t *x)
{
	uint32_t v;

	*x += 0x9e3779b9U;
	v = (*x ^ *x >> 16) * 0x21f0aaadU;
	v = (v ^ v >> 15) * 0x735a2d97U;
	return v ^ v >> 15;
}

/* Words, as text has them: `len` bytes of a seed. */
static void
fill(struct buf *b, size_t len, uint32_t seed)
{
	uint32_t x = seed * 0x10000001U;

	buf_init(b, 64U << 20);
	while (b->len + 16 < len) {
		buf_addf(b, "%x ", next(&x) % 50000);
		if (next(&x) % 8 == 0)
			buf_add_byte(b, '\n');
	}
	while (b->len < len)
		buf_add_byte(b, '.');
}

static void
sketch(const void *data, size_t len, struct resemble_candidate *c)
{
	struct resemble_state s;

	resemble_init(&s);
	resemble_add(&s, data, len);
	c->sketch = s.sketch;
	c->size_bytes = len;
	c->path = "some/file";
}

START_TEST(pieces_and_files_give_the_sketch_of_the_whole)
{
	struct resemble_candidate whole;
	struct resemble_sketch of_file;
	struct resemble_state s;
	struct err e = ERR_INIT;
	struct buf b;
	int fd = memfd_create("check", MFD_CLOEXEC);

	fill(&b, 600000, 1);
	sketch(b.data, b.len, &whole);
	resemble_init(&s);
	for (size_t at = 0; at < b.len; at += 1001)
		resemble_add(
		    &s, b.data + at, b.len - at < 1001 ? b.len - at : 1001);
	ck_assert_uint_eq(whole.sketch.count, RESEMBLE_VALUES);
	ck_assert_uint_eq(s.sketch.count, RESEMBLE_VALUES);
	ck_assert_mem_eq(
	    s.sketch.values, whole.sketch.values, sizeof(whole.sketch.values));
	OK(fsat_write_all(fd, b.data, b.len, &e));
	OK(resemble_file(fd, &of_file, &e));
	ck_assert_mem_eq(
	    of_file.values, whole.sketch.values, sizeof(of_file.values));
	close(fd);
	ck_assert_int_eq(resemble_file(fd, &of_file, &e), ERR_SYS);
	buf_release(&b);
}
END_TEST

static const struct {
	size_t size;
	size_t drop, insert; /* bytes in the middle */
	unsigned low, high;  /* percent */
} edits[] = {
	{ 100000, 0, 0, 100, 100 },
	{ 100000, 0, 1, 90, 100 },
	{ 100000, 1, 0, 90, 100 },
	{ 100000, 0, 10000, 75, 100 },
	{ 100000, 50000, 0, 25, 75 },
	{ 100000, 63000, 0, 20, 55 },
	{ 2000, 0, 50, 70, 100 },
	{ 20, 0, 0, 0, 0 },
	{ 0, 0, 0, 0, 0 },
};

START_TEST(the_share_in_common_is_estimated)
{
	struct resemble_candidate old, new;
	struct buf a, b, added;
	size_t at = edits[_i].size / 3;
	unsigned percent;

	fill(&a, edits[_i].size, 1);
	fill(&added, edits[_i].insert, 2);
	buf_init(&b, 1U << 20);
	if (a.len > 0)
		buf_add(&b, a.data, at);
	if (added.len > 0)
		buf_add(&b, added.data, added.len);
	if (a.len > 0)
		buf_add(&b, a.data + at,
		    edits[_i].drop < a.len - at ? a.len - at - edits[_i].drop
		                                : 0);
	sketch(a.data, a.len, &old);
	sketch(b.data, b.len, &new);
	percent = resemble_percent(&old.sketch, &new.sketch);
	ck_assert_uint_ge(percent, edits[_i].low);
	ck_assert_uint_le(percent, edits[_i].high);
	ck_assert_uint_eq(percent, resemble_percent(&new.sketch, &old.sketch));
	buf_release(&a);
	buf_release(&b);
	buf_release(&added);
}
END_TEST

START_TEST(a_run_of_one_byte_is_one_value)
{
	struct resemble_candidate c;
	uint8_t *zeros = calloc(1, 1U << 20);

	ck_assert_ptr_nonnull(zeros);
	sketch(zeros, 1U << 20, &c);
	ck_assert_uint_le(c.sketch.count, RESEMBLE_VALUES);
	free(zeros);
}
END_TEST

#define OLD 2000

/* 2,000 files that all begin with the same licence. */
static struct resemble_candidate *
library(struct buf *licence)
{
	struct resemble_candidate *all = calloc(OLD, sizeof(*all));

	ck_assert_ptr_nonnull(all);
	fill(licence, 1500, 999);
	for (uint32_t i = 0; i < OLD; i++) {
		struct buf b;

		fill(&b, 4000, i + 1000);
		memcpy(b.data, licence->data, licence->len);
		sketch(b.data, b.len, &all[i]);
		buf_release(&b);
	}
	return all;
}

START_TEST(a_renamed_and_edited_file_is_found_among_many)
{
	struct resemble_index *index = NULL;
	struct resemble_candidate *all, wanted;
	struct err e = ERR_INIT;
	struct buf licence, b;
	size_t best = 0;

	all = library(&licence);
	OK(resemble_index_new(all, OLD, &index, &e));
	for (uint32_t i = 0; i < OLD; i += 37) {
		fill(&b, 4000, i + 1000);
		memcpy(b.data, licence.data, licence.len);
		memset(b.data + 2000, '#', 300);
		sketch(b.data, b.len, &wanted);
		resemble_index_best(index, &wanted, &best);
		ck_assert_uint_eq(best, i);
		buf_release(&b);
	}
	resemble_index_free(index);
	buf_release(&licence);
	free(all);
}
END_TEST

START_TEST(a_file_like_none_gets_none)
{
	struct resemble_index *index = NULL;
	struct resemble_candidate *all, wanted;
	struct err e = ERR_INIT;
	struct buf licence, b;
	size_t best = 0;

	all = library(&licence);
	OK(resemble_index_new(all, OLD, &index, &e));
	fill(&b, 4000, 7);
	sketch(b.data, b.len, &wanted);
	resemble_index_best(index, &wanted, &best);
	ck_assert(best == RESEMBLE_NONE);
	sketch(b.data, 0, &wanted);
	resemble_index_best(index, &wanted, &best);
	ck_assert(best == RESEMBLE_NONE);
	resemble_index_free(index);
	OK(resemble_index_new(all, 0, &index, &e));
	resemble_index_best(index, &wanted, &best);
	ck_assert(best == RESEMBLE_NONE);
	resemble_index_free(index);
	resemble_index_free(NULL);
	buf_release(&licence);
	buf_release(&b);
	free(all);
}
END_TEST

START_TEST(of_equals_name_then_size_then_order_decides)
{
	static const struct {
		const char *paths[3];
		uint64_t sizes[3];
		size_t best;
	} rows[] = {
		{ { "a/x", "b/y", "c/x" }, { 9, 10, 10 }, 1 },
		{ { "a/x", "b/x", "c/x" }, { 20, 10, 9 }, 1 },
		{ { "a/x", "b/x", "y" }, { 1, 2, 3 }, 2 },
		{ { "a/x", "b/x", "c/x" }, { 11, 9, 10 }, 2 },
		{ { "a/y", "b/y", "c/y" }, { 11, 9, 11 }, 0 },
	};
	struct resemble_candidate all[3], wanted;
	struct resemble_index *index = NULL;
	struct err e = ERR_INIT;
	struct buf b;
	size_t best = 99;

	fill(&b, 4000, 7);
	sketch(b.data, b.len, &wanted);
	wanted.path = "new/y";
	wanted.size_bytes = 10;
	for (size_t i = 0; i < 3; i++) {
		all[i] = wanted;
		all[i].path = rows[_i].paths[i];
		all[i].size_bytes = rows[_i].sizes[i];
	}
	OK(resemble_index_new(all, 3, &index, &e));
	resemble_index_best(index, &wanted, &best);
	ck_assert_uint_eq(best, rows[_i].best);
	resemble_index_free(index);
	buf_release(&b);
}
END_TEST

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

int
main(void)
{
	Suite *s = suite_create("resemble");
	TCase *t = tcase_create("resemble");
	SRunner *sr;
	int failed;

	tcase_add_test(t, pieces_and_files_give_the_sketch_of_the_whole);
	tcase_add_loop_test(
	    t, the_share_in_common_is_estimated, 0, COUNT(edits));
	tcase_add_test(t, a_run_of_one_byte_is_one_value);
	tcase_add_test(t, a_renamed_and_edited_file_is_found_among_many);
	tcase_add_test(t, a_file_like_none_gets_none);
	tcase_add_loop_test(
	    t, of_equals_name_then_size_then_order_decides, 0, 5);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
