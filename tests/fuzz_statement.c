/* Statements: the frame, then the body as each of the four kinds.  What a
 * parser accepts must be written back byte by byte. */
#include "tests/fuzz.h"

#include "transcripts/head.h"
#include "transcripts/release.h"
#include "transcripts/roster.h"

static void
must_be(struct buf *again, const void *body, size_t len)
{
	if (again->failed != 0 || again->len != len ||
	    memcmp(again->data, body, len) != 0)
		abort();
	buf_clear(again);
}

static void
try_root(const char *body, size_t len, struct buf *again)
{
	struct root r;

	if (root_parse(body, len, &r, NULL) == 0) {
		root_write(again, &r);
		must_be(again, body, len);
	}
}

static void
try_roster(const char *body, size_t len, struct buf *again)
{
	struct roster r;

	if (roster_parse(body, len, &r, NULL) == 0) {
		roster_write(again, &r);
		must_be(again, body, len);
		roster_release(&r);
	}
}

static void
try_head(const char *body, size_t len, struct buf *again)
{
	struct head h;

	if (head_parse(body, len, &h, NULL) == 0) {
		head_write(again, &h);
		must_be(again, body, len);
	}
}

static void
try_release(const char *body, size_t len, struct buf *again)
{
	const struct release_profile *p;
	struct release r;

	if (release_parse(body, len, &r, NULL) == 0) {
		release_write(again, &r);
		must_be(again, body, len);
		if (release_profile_of(&r, "www.example.com", &p, NULL) == 0 &&
		    release_find_profile(&r, p->name) != p)
			abort();
		release_release(&r);
	}
}

static void
try_signatures(const struct statement *s)
{
	struct statement_signers signers = { .count = 1, .threshold = 1 };

	if (statement_verify(s, &signers, NULL) != 0)
		return;
	if (s->sig_count == 0 || s->body_len == 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *body = (const char *)data;
	size_t len = size;
	struct statement s;
	struct buf again;

	if (size > LIMIT_RELEASE_BYTES)
		return 0;
	if (statement_split(data, size, &s, NULL) == 0) {
		body = s.body;
		len = s.body_len;
		try_signatures(&s);
	}
	buf_init(&again, len);
	try_root(body, len, &again);
	try_roster(body, len, &again);
	try_head(body, len, &again);
	try_release(body, len, &again);
	buf_release(&again);
	return 0;
}
