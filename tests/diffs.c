/* What compare tells, as text. */
#include "tests/diffs.h"

#include <check.h>

#include "common/text.h"

#define OK(call) ck_assert_msg((call) == 0, "%s: %s", #call, e.msg)

int
diffs_record(void *arg, const struct compare_diff *d, struct err *e)
{
	static const char letters[] = "TCSLDOGMtXA";
	struct buf *text = arg;

	if (d->kind == COMPARE_CHANGE) {
		buf_add_byte(text, '~');
		for (unsigned i = 0; letters[i] != '\0'; i++)
			if ((d->bits & 1u << i) != 0)
				buf_add_byte(text, (uint8_t)letters[i]);
		buf_add_byte(text, ' ');
	} else {
		buf_add_byte(text, d->kind == COMPARE_CREATE ? '+' : '-');
	}
	ck_assert_int_eq(d->want == NULL, d->kind == COMPARE_DELETE);
	ck_assert_int_eq(d->have == NULL, d->kind == COMPARE_CREATE);
	if (d->want != NULL)
		ck_assert_str_eq(d->want->m.path, d->path);
	text_escape(text, d->path, strlen(d->path));
	buf_add_byte(text, '\n');
	return buf_check(text, "record", e);
}

int
diffs_run(int root, const struct source *sources, size_t count,
    struct compare_options *o, struct diffs *out, struct err *e)
{
	struct wanted w;
	int rc;

	wanted_open(&w, sources, count);
	o->root = root;
	o->want = w.layer;
	rc = compare_run(o, diffs_record, &out->text, &out->totals, e);
	wanted_close(&w);
	return rc;
}

void
diffs_expect(int root, const struct source *sources, size_t count,
    struct compare_options o, const char *told)
{
	struct err e = ERR_INIT;
	struct diffs d;

	buf_init(&d.text, 1 << 24);
	OK(diffs_run(root, sources, count, &o, &d, &e));
	ck_assert_str_eq(buf_str(&d.text), told);
	buf_release(&d.text);
}

void
diffs_error(int root, const struct source *source, struct compare_options o,
    int code, const char *word)
{
	struct err e = ERR_INIT;
	struct diffs d;

	buf_init(&d.text, 1 << 20);
	ck_assert_int_eq(diffs_run(root, source, 1, &o, &d, &e), code);
	ck_assert_msg(
	    strstr(e.msg, word) != NULL, "%s: not in \"%s\"", word, e.msg);
	buf_release(&d.text);
}
