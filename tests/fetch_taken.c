/* Objects to be fetched, and a taker that checks what comes. */
#include "tests/fetch_taken.h"

#include <check.h>

#include "common/zst.h"

struct buf contents[CONTENTS], frames[CONTENTS];
struct fetch_want wants[CONTENTS];

struct site site;
struct fetch_visit visit;

static void
fill(struct buf *b, size_t len, uint32_t seed)
{
	uint8_t *p = buf_reserve(b, len + 1);

	/* Does not compress. */
	for (size_t i = 0; i < len; i++) {
		seed = seed * 1664525 + 1013904223;
		p[i] = (uint8_t)(seed >> 24);
	}
	buf_commit(b, len);
}

int
contents_gather(void *arg, const void *data, size_t len, struct err *e)
{
	buf_add(arg, data, len);
	return buf_check(arg, "test", e);
}

static void
encode(struct buf *content, struct buf *frame)
{
	struct zst_encoder *z = NULL;
	struct err e = ERR_INIT;

	ck_assert_int_eq(zst_encoder_new(1, &z, &e), 0);
	ck_assert_int_eq(zst_begin(z, content->len, &e), 0);
	if (content->len > 0)
		ck_assert_int_eq(zst_feed(z, content->data, content->len,
		                     contents_gather, frame, &e),
		    0);
	ck_assert_int_eq(zst_end(z, contents_gather, frame, &e), 0);
	zst_encoder_free(z);
}

void
contents_set_up(void)
{
	static const size_t sizes[CONTENTS] = { 0, 5, 131040, 700000, 5 };

	visit_set_up();
	memset(&site, 0, sizeof(site));
	for (int i = 0; i < CONTENTS; i++) {
		buf_init(&contents[i], 1 << 20);
		buf_init(&frames[i], 2 << 20);
		fill(&contents[i], sizes[i], (uint32_t)i);
		encode(&contents[i], &frames[i]);
		digest_of(contents[i].data, sizes[i], &wants[i].digest);
		wants[i].size_bytes = sizes[i];
	}
}

void
contents_tear_down(void)
{
	for (int i = 0; i < CONTENTS; i++) {
		buf_release(&contents[i]);
		buf_release(&frames[i]);
	}
	visit_tear_down();
}

void
contents_start(void)
{
	site_open(&site);
	fetch_visit_start(&visit, &site, 1, true);
}

void
contents_stop(void)
{
	fetch_visit_stop(&visit);
	site_close(&site);
}

/* ---- what a taker is told ---- */

size_t
contents_index(const struct digest *digest)
{
	for (size_t i = 0; i < CONTENTS; i++)
		if (digest_equal(&wants[i].digest, digest))
			return i;
	ck_abort_msg("an object that nobody wants");
}

static int
count_call(struct taken *t, struct err *e)
{
	return ++t->calls == t->fail_at ? err_set(e, ERR_CONFLICT, "enough")
	                                : 0;
}

int
taken_begin(void *arg, const struct fetch_want *want, struct err *e)
{
	struct taken *t = arg;

	(void)want;
	buf_clear(&t->got);
	return count_call(t, e);
}

int
taken_data(void *arg, const void *data, size_t len, struct err *e)
{
	struct taken *t = arg;

	buf_add(&t->got, data, len);
	return count_call(t, e);
}

int
taken_end(
    void *arg, const struct fetch_want *want, const char *bad, struct err *e)
{
	struct taken *t = arg;
	size_t i = contents_index(&want->digest);
	const struct buf *whole = t->frames ? &frames[i] : &contents[i];

	buf_addf(&t->text, "%zu%s%s ", i, bad != NULL ? "!" : "",
	    bad != NULL ? bad : "");
	if (bad == NULL) {
		ck_assert_uint_eq(t->got.len, whole->len);
		ck_assert(whole->len == 0 ||
		    memcmp(t->got.data, whole->data, whole->len) == 0);
	} else {
		ck_assert_uint_le(t->got.len, wants[i].size_bytes + (2 << 20));
	}
	return count_call(t, e);
}

int
taken_missing(void *arg, const struct fetch_want *want, struct err *e)
{
	struct taken *t = arg;

	buf_addf(&t->text, "%zu- ", contents_index(&want->digest));
	return count_call(t, e);
}

int
taken_rest(void *arg, const struct fetch_want *want, struct err *e)
{
	struct taken *t = arg;

	buf_addf(&t->text, "%zu+ ", contents_index(&want->digest));
	return count_call(t, e);
}

void
taken_init(struct taken *t)
{
	memset(t, 0, sizeof(*t));
	buf_init(&t->text, 65536);
	buf_init(&t->got, 4 << 20);
}

void
taken_release(struct taken *t)
{
	buf_release(&t->text);
	buf_release(&t->got);
}
