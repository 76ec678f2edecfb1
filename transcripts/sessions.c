/* TLS sessions in memory and as bytes.  Runs on both sides of fetching; what is
 * inside a session is for the fetcher alone to parse. */
#include "transcripts/sessions.h"

#include <stdlib.h>
#include <string.h>

#include "common/crypto_digest.h"

static const char magic[] = "pecia sessions 1\n";

struct session {
	char place[SESSIONS_PLACE_BYTES];
	struct buf bytes; /* empty: it was taken */
};

struct sessions {
	struct session list[LIMIT_SESSIONS]; /* the oldest first */
	size_t count;
};

int
sessions_new(struct sessions **out, struct err *e)
{
	*out = calloc(1, sizeof(**out));
	return *out != NULL ? 0 : err_memory(e);
}

void
sessions_clear(struct sessions *s)
{
	for (; s != NULL && s->count > 0; s->count--)
		buf_wipe(&s->list[s->count - 1].bytes);
}

void
sessions_free(struct sessions *s)
{
	sessions_clear(s);
	free(s);
}

bool
sessions_has_any(const struct sessions *s)
{
	for (size_t i = 0; s != NULL && i < s->count; i++)
		if (s->list[i].bytes.len > 0)
			return true;
	return false;
}

static struct session *
find(struct sessions *s, const char *place)
{
	for (size_t i = 0; s != NULL && i < s->count; i++)
		if (strcmp(s->list[i].place, place) == 0)
			return &s->list[i];
	return NULL;
}

uint8_t *
sessions_take(struct sessions *s, const char *place, size_t *len)
{
	struct session *x = find(s, place);

	*len = 0;
	return x != NULL ? buf_detach(&x->bytes, len) : NULL;
}

static void
drop(struct sessions *s, struct session *x)
{
	struct session *end = s->list + s->count--;

	buf_wipe(&x->bytes);
	memmove(x, x + 1, (size_t)(end - x - 1) * sizeof(*x));
}

static void
forget(struct sessions *s, const char *place)
{
	struct session *x = find(s, place);

	if (x != NULL)
		drop(s, x);
}

void
sessions_put(
    struct sessions *s, const char *place, const uint8_t *bytes, size_t len)
{
	struct session *x;

	if (s == NULL || strlen(place) >= SESSIONS_PLACE_BYTES)
		return;
	forget(s, place);
	if (s->count == LIMIT_SESSIONS)
		drop(s, s->list);
	x = &s->list[s->count++];
	memcpy(x->place, place, strlen(place) + 1);
	buf_init(&x->bytes, LIMIT_SESSION_BYTES);
	buf_add(&x->bytes, bytes, len);
	if (x->bytes.failed != 0)
		drop(s, x);
}

void
sessions_write(const struct sessions *s, struct buf *out)
{
	struct digest sum;

	buf_add_str(out, magic);
	for (size_t i = 0; s != NULL && i < s->count; i++) {
		const struct session *x = &s->list[i];

		buf_add_u32(out, (uint32_t)strlen(x->place));
		buf_add(out, x->place, strlen(x->place));
		buf_add_u32(out, (uint32_t)x->bytes.len);
		buf_add(out, x->bytes.data, x->bytes.len);
	}
	digest_of(out->data, out->len, &sum);
	buf_add(out, sum.b, DIGEST_BYTES);
}

/* ---- what was written ---- */

static int
piece(struct reader *r, size_t max, const uint8_t **p, size_t *len)
{
	uint32_t n;

	if (reader_u32(r, &n) != 0 || n > max || reader_bytes(r, n, p) != 0)
		return ERR_FORMAT;
	*len = n;
	return 0;
}

/* Its entries, put into s unless that is NULL. */
static int
walk(struct reader r, struct sessions *s)
{
	char place[SESSIONS_PLACE_BYTES];
	const uint8_t *name, *bytes;
	size_t name_len, len;

	while (reader_left(&r) > 0) {
		if (piece(&r, SESSIONS_PLACE_BYTES - 1, &name, &name_len) !=
		        0 ||
		    memchr(name, '\0', name_len) != NULL ||
		    piece(&r, LIMIT_SESSION_BYTES, &bytes, &len) != 0)
			return ERR_FORMAT;
		memcpy(place, name, name_len);
		place[name_len] = '\0';
		if (len > 0)
			sessions_put(s, place, bytes, len);
		else if (s != NULL)
			forget(s, place);
	}
	return 0;
}

static bool
is_whole(struct reader *r)
{
	const uint8_t *text, *sum;
	struct digest d;

	if (reader_left(r) < DIGEST_BYTES || reader_left(r) > SESSIONS_BYTES)
		return false;
	r->len -= DIGEST_BYTES;
	sum = r->data + r->len;
	digest_of(r->data, r->len, &d);
	return memcmp(sum, d.b, DIGEST_BYTES) == 0 &&
	    reader_bytes(r, sizeof(magic) - 1, &text) == 0 &&
	    memcmp(text, magic, sizeof(magic) - 1) == 0;
}

int
sessions_merge(struct sessions *s, const void *data, size_t len, struct err *e)
{
	struct reader r;

	reader_init(&r, data, len);
	if (!is_whole(&r) || walk(r, NULL) != 0)
		return err_set(e, ERR_FORMAT, "no TLS sessions");
	return walk(r, s);
}
