/* Both contents pass through windows.  As long as they agree, the walk only
 * compares.  Where they part, it looks for the place where they meet again:
 * with the same shift, or wherever the index finds 16 bytes of the basis. */
#include "transcripts/delta_walk.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "transcripts/delta_commands.h"

#define NEW_WINDOW ((size_t)256 * 1024)
#define BEHIND     (DELTA_WALK_WINDOW / 4) /* of the basis, kept while it slides */
#define STEP       ((size_t)256 * 1024)    /* read at once while both agree */
#define BLOCK      16                      /* bytes of an entry of the index */
#define AHEAD      ((size_t)4096)          /* looked at for a match */
#define LITERAL    ((size_t)32 * 1024)     /* longest that is held back */
/* Shortest match worth a command: its own bytes hardly compress, and those of
 * a literal do. */
#define MATCH      32
#define MATCH_SAME 24 /* with the shift of the match before */
#define MATCH_SURE 128
#define NEAR       256  /* bytes in which such a one makes the index needless */
#define ANCHOR     4096 /* a match as long as this, or as near to the anchor */

struct window {
	const struct delta_stream *stream;
	uint8_t *data;
	size_t room, len;
	uint64_t at; /* of data[0] in the content */
	bool ended;
};

struct walk {
	struct window old, new;
	struct delta_commands out;
	uint64_t pos;     /* in the new content: up to here all was looked at */
	uint64_t literal; /* from here to pos nothing was found */
	/* Places in the basis less those in the new, wrapping: of the last match,
	 * and of the last that cannot be chance.  That one moves the basis. */
	uint64_t shift, anchor;
	/* Numbers of blocks of the basis by hash, modulo 2^32. */
	uint32_t *index;
	unsigned index_bits;
	uint64_t indexed; /* place in the basis up to which it goes */
};

struct match {
	uint64_t pos, old, bytes; /* bytes 0: none */
};

static int
window_init(struct window *w, const struct delta_stream *stream, size_t max,
    struct err *e)
{
	w->stream = stream;
	/* One more, to see the end. */
	w->room = stream->bytes < max ? (size_t)stream->bytes + 1 : max;
	w->data = malloc(w->room);
	return w->data != NULL ? 0 : err_memory(e);
}

static uint64_t
window_end(const struct window *w)
{
	return w->at + w->len;
}

static const uint8_t *
window_byte(const struct window *w, uint64_t at)
{
	return w->data + (at - w->at);
}

/* Bytes there are from `at` on, 0 outside. */
static size_t
window_from(const struct window *w, uint64_t at)
{
	return at < w->at || at > window_end(w) ? 0
	                                        : (size_t)(window_end(w) - at);
}

static void
window_drop(struct window *w, uint64_t before)
{
	size_t gone = (size_t)(before - w->at);

	w->len -= gone;
	w->at = before;
	memmove(w->data, w->data + gone, w->len);
}

static int
window_read(struct window *w, struct err *e)
{
	size_t room = w->room - w->len, got = 0;
	int ret = w->stream->source(w->stream->arg, w->data + w->len,
	    room < STEP ? room : STEP, &got, e);

	if (ret != 0)
		return ret;
	w->len += got;
	w->ended = got == 0;
	return window_end(w) <= w->stream->bytes
	    ? 0
	    : err_set(e, ERR_CHANGED, "delta: a content is longer than said");
}

/* Reads until there are `bytes` from `at` on, or no more come, or no more fit
 * even without what is before `keep`. */
static int
window_fill(
    struct window *w, uint64_t keep, uint64_t at, size_t bytes, struct err *e)
{
	uint64_t rest = w->stream->bytes - window_end(w) + 1;
	int ret = 0;

	if (w->ended || window_from(w, at) >= bytes)
		return 0;
	if (w->room - w->len < (rest < bytes ? rest : bytes) && keep > w->at)
		window_drop(w, keep);
	while (ret == 0 && !w->ended && w->len < w->room &&
	    window_from(w, at) < bytes)
		ret = window_read(w, e);
	return ret;
}

static uint64_t
load(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static size_t
same_bytes(const uint8_t *a, const uint8_t *b, size_t max)
{
	size_t n = 0;

	while (max - n >= 4096 && memcmp(a + n, b + n, 4096) == 0)
		n += 4096;
	while (max - n >= 8 && load(a + n) == load(b + n))
		n += 8;
	while (n < max && a[n] == b[n])
		n++;
	return n;
}

/* Takes these places for *best if more bytes are the same there, both ways and
 * as far as that matters; of the new content none that were decided already. */
static void
consider(const struct walk *w, uint64_t pos, uint64_t old, size_t least,
    struct match *best)
{
	size_t a = window_from(&w->new, pos), b = window_from(&w->old, old);
	const uint8_t *p = window_byte(&w->new, pos);
	const uint8_t *q = window_byte(&w->old, old);
	size_t bytes, back = 0;

	a = a < b ? a : b;
	bytes = same_bytes(p, q, a < AHEAD ? a : AHEAD);
	while (pos - back > w->literal && old - back > w->old.at &&
	    p[-(ptrdiff_t)back - 1] == q[-(ptrdiff_t)back - 1])
		back++;
	bytes += back;
	if (bytes >= least && bytes > best->bytes)
		*best = (struct match){ pos - back, old - back, bytes };
}

static unsigned
hash(const struct walk *w, const uint8_t *p)
{
	uint64_t h = load(p) * 0x9e3779b97f4a7c15U;

	h = (h ^ h >> 29 ^ load(p + 8)) * 0xbf58476d1ce4e5b9U;
	return (unsigned)(h >> (64 - w->index_bits));
}

/* A block number as if it were one of the window. */
static uint64_t
block_place(const struct walk *w, uint32_t number)
{
	uint64_t first = (w->old.at + BLOCK - 1) / BLOCK;

	return (first + (uint32_t)(number - (uint32_t)first)) * BLOCK;
}

/* Whether a whole block of the window is there. */
static bool
is_block(const struct walk *w, uint64_t place)
{
	return place + BLOCK <= w->indexed && place >= w->old.at;
}

/* Of blocks that are alike the first counts: a run goes on from there. */
static int
index_window(struct walk *w, struct err *e)
{
	uint64_t at = w->old.at, end = window_end(&w->old);

	if (w->index == NULL) {
		w->index_bits = 8;
		while ((size_t)BLOCK << w->index_bits < w->old.room)
			w->index_bits++;
		w->index = malloc(sizeof(*w->index) << w->index_bits);
		if (w->index == NULL)
			return err_memory(e);
		memset(w->index, 0xff, sizeof(*w->index) << w->index_bits);
	}
	at = at > w->indexed ? at : w->indexed;
	at = (at + BLOCK - 1) / BLOCK * BLOCK;
	for (; at + BLOCK <= end; at += BLOCK) {
		uint32_t *slot = &w->index[hash(w, window_byte(&w->old, at))];

		if (!is_block(w, block_place(w, *slot)))
			*slot = (uint32_t)(at / BLOCK);
		w->indexed = at + BLOCK;
	}
	return 0;
}

/* Where in the basis the anchor is; 0 before its begin. */
static uint64_t
anchor_place(const struct walk *w)
{
	uint64_t place = w->pos + w->anchor;

	return place > UINT64_MAX / 2 ? 0 : place;
}

/* What of the basis must stay when its window slides. */
static uint64_t
keep_from(const struct walk *w)
{
	uint64_t keep = anchor_place(w), end = window_end(&w->old);

	keep = keep > BEHIND ? keep - BEHIND : 0;
	return keep < end ? keep : end;
}

/* Windows around pos, for a search. */
static int
look_around(struct walk *w, struct err *e)
{
	uint64_t old = anchor_place(w);
	int ret = window_fill(&w->new, w->literal, w->pos, AHEAD, e);

	if (ret == 0 && window_from(&w->old, old) < BEHIND)
		ret = window_fill(
		    &w->old, keep_from(w), old, DELTA_WALK_WINDOW - BEHIND, e);
	return ret;
}

static void
try_shift(
    const struct walk *w, uint64_t pos, uint64_t shift, struct match *best)
{
	uint64_t old = pos + shift;

	if (window_from(&w->old, old) >= 8 && window_from(&w->new, pos) >= 8 &&
	    load(window_byte(&w->old, old)) == load(window_byte(&w->new, pos)))
		consider(w, pos, old, MATCH_SAME, best);
}

static void
try_shifts(const struct walk *w, uint64_t pos, struct match *best)
{
	try_shift(w, pos, w->anchor, best);
	if (w->shift != w->anchor)
		try_shift(w, pos, w->shift, best);
}

static void
try_index(const struct walk *w, uint64_t pos, struct match *best)
{
	const uint8_t *p = window_byte(&w->new, pos);
	uint64_t place;

	if (window_from(&w->new, pos) < BLOCK)
		return;
	place = block_place(w, w->index[hash(w, p)]);
	if (is_block(w, place) && load(p) == load(window_byte(&w->old, place)))
		consider(w, pos, place, MATCH, best);
}

/* A few bytes were replaced: no index is needed for that. */
static bool
is_near(const struct walk *w, struct match *m)
{
	for (uint64_t pos = w->pos; pos < w->pos + NEAR; pos++) {
		m->bytes = 0;
		try_shifts(w, pos, m);
		if (m->bytes >= MATCH_SURE)
			return true;
	}
	return false;
}

static int
put_literal(struct walk *w, uint64_t end, struct err *e)
{
	size_t len = (size_t)(end - w->literal);
	int ret = delta_commands_literal(
	    &w->out, window_byte(&w->new, w->literal), len, e);

	w->literal = end;
	return ret;
}

/* From pos on, as far as the window goes but for what is looked at ahead. */
static bool
search_window(struct walk *w, struct match *m)
{
	uint64_t end = window_end(&w->new);

	if (!w->new.ended)
		end = end > w->pos + AHEAD ? end - AHEAD + 1 : w->pos + 1;
	m->bytes = 0;
	while (w->pos < end && w->pos - w->literal < LITERAL) {
		try_shifts(w, w->pos, m);
		try_index(w, w->pos, m);
		if (m->bytes > 0)
			return true;
		w->pos++;
	}
	return false;
}

/* Where both meet again: moves pos there, or to the end. */
static int
search(struct walk *w, bool *found, struct err *e)
{
	struct match m = { .bytes = 0 };
	int ret = look_around(w, e);

	*found = ret == 0 && is_near(w, &m);
	while (ret == 0 && !*found &&
	    !(w->new.ended && w->pos == window_end(&w->new))) {
		ret = index_window(w, e);
		*found = ret == 0 && search_window(w, &m);
		if (ret == 0 && !*found && w->pos - w->literal >= LITERAL)
			ret = put_literal(w, w->pos, e);
		if (ret == 0 && !*found)
			ret = look_around(w, e);
	}
	if (*found) {
		w->pos = m.pos;
		w->shift = m.old - m.pos;
	}
	return ret == 0 ? put_literal(w, w->pos, e) : ret;
}

/* Repetitive contents match in many places: following each such match, the
 * window would leave what is needed behind. */
static void
follow(struct walk *w, uint64_t run)
{
	uint64_t jump = w->shift - w->anchor;

	if (run >= ANCHOR || jump + ANCHOR <= (uint64_t)2 * ANCHOR)
		w->anchor = w->shift;
}

/* As long as both agree. */
static int
go_on(struct walk *w, struct err *e)
{
	uint64_t begin = w->pos, old;
	size_t a, b, n = 1;
	int ret = 0;

	while (ret == 0 && n > 0) {
		old = w->pos + w->shift;
		ret = window_fill(&w->new, w->pos, w->pos, 1, e);
		if (ret == 0)
			ret = window_fill(&w->old, keep_from(w), old, 1, e);
		if (ret != 0)
			break;
		a = window_from(&w->new, w->pos);
		b = window_from(&w->old, old);
		if (a == 0 || b == 0)
			break;
		n = same_bytes(window_byte(&w->new, w->pos),
		    window_byte(&w->old, old), a < b ? a : b);
		ret = delta_commands_copy(&w->out, old, n, e);
		w->pos += n;
		w->literal = w->pos;
		follow(w, w->pos - begin);
	}
	return ret;
}

int
delta_walk(const struct delta_stream *basis, const struct delta_stream *content,
    uint64_t max_bytes, delta_sink sink, void *arg, struct err *e)
{
	struct walk w = { .pos = 0 };
	bool more = true;
	int ret = window_init(&w.old, basis, DELTA_WALK_WINDOW, e);

	delta_commands_init(&w.out, sink, arg, max_bytes);
	if (ret == 0)
		ret = window_init(&w.new, content, NEW_WINDOW, e);
	while (ret == 0 && more) {
		ret = go_on(&w, e);
		if (ret == 0)
			ret = search(&w, &more, e);
	}
	if (ret == 0)
		ret = delta_commands_end(&w.out, e);
	delta_commands_release(&w.out);
	free(w.old.data);
	free(w.new.data);
	free(w.index);
	return ret;
}
