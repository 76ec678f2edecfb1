/* Lines of a statement's body, in the order that its format demands:
 *
 *     key value value...
 *
 * Calling sequence: lines_init, then lines_begin for each line and one getter
 * a field, lines_finish at the end.  The error is sticky: after the first one
 * getters leave their results alone, lines_follows and lines_more say false,
 * and lines_finish returns it; its message has kind, line and field.  What a
 * getter would store is valid only where no error is set, so callers zero
 * their results first.  Private to the parsers of statements. */
#ifndef TRANSCRIPTS_LINES_H
#define TRANSCRIPTS_LINES_H

#include "common/buf.h"
#include "common/crypto_digest.h"
#include "common/limits.h"

#include <time.h>

struct lines {
	struct reader in;
	const char *kind;   /* "root", for messages */
	const char *key;    /* of the line being read */
	struct reader line; /* what is left of it */
	size_t number;      /* of the line, from 1 */
	size_t field;       /* of the line, from 1 */
	bool is_list;       /* ',' ends a field too */
	uint8_t lead;       /* the byte that must stand before the next field */
	int failed;         /* 0 or ERR_* */
	struct err *e;
};

void lines_init(struct lines *l, const char *kind, const void *text, size_t len,
    struct err *e);
/* The first line of a body, "pecia <kind> 1". */
void lines_header(struct lines *l);
/* Whether there is a next line and its key is `key`. */
bool lines_follows(const struct lines *l, const char *key);
/* Ends the line before, which must have been read to its end, and begins the
 * next, which must have this key. */
void lines_begin(struct lines *l, const char *key);
/* Whether the line has another field. */
bool lines_more(const struct lines *l);
/* The rest of the line is of fields "a" or "a,b,c": each getter takes one
 * item, and lines_comma says whether its list goes on. */
void lines_list(struct lines *l);
bool lines_comma(struct lines *l);
/* Ends the last line; the text must be at its end.  0 or the first error. */
MUST_CHECK int lines_finish(struct lines *l);

/* Getters.  A word is borrowed from the text; false when there is none. */
bool lines_word(struct lines *l, const char **word, size_t *len);
void lines_literal(struct lines *l, const char *word);
/* Consumes the field and says true when it is "-". */
bool lines_dash(struct lines *l);
void lines_u64(struct lines *l, uint64_t min, uint64_t max, uint64_t *v);
void lines_time(struct lines *l, time_t *t);
void lines_digest(struct lines *l, struct digest *d);
void lines_name(struct lines *l, char name[LIMIT_NAME_BYTES + 1]);
/* Escaped text of at most max bytes (ERR_LIMIT), allocated; *text must be NULL
 * before. */
void lines_text(struct lines *l, size_t max, char **text);

/* An array of `count` items of `size` bytes with room for one more, which is
 * zeroed; `items` as it was after an error.  ERR_LIMIT past max.  For arrays
 * that are grown by this function alone. */
void *lines_room(
    struct lines *l, void *items, size_t count, size_t size, size_t max);
/* `next` must be above `last` in the order of bytes. */
void lines_ascending(struct lines *l, const char *last, const char *next);
/* Records an error at this line and field, unless there is one. */
void lines_fail(struct lines *l, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* What was parsed is written back as it was read: 0 when `text`, made with room
 * for len bytes, holds exactly the body, else ERR_FORMAT.  Releases `text`. */
MUST_CHECK int lines_same(struct buf *text, const char *kind, const void *body,
    size_t len, struct err *e);

#endif
