/* Strict lines of signed statements.  Runs after the signature was checked,
 * but holds what it reads to be hostile all the same. */
#include "transcripts/lines.h"

#include <stdarg.h>

#include "common/text.h"

#define SHOWN_BYTES 64 /* of a refused field, in messages */

void
lines_init(struct lines *l, const char *kind, const void *text, size_t len,
    struct err *e)
{
	memset(l, 0, sizeof(*l));
	reader_init(&l->in, text, len);
	reader_init(&l->line, "", 0);
	l->kind = kind;
	l->e = e;
}

void
lines_fail(struct lines *l, int code, const char *fmt, ...)
{
	char why[512];
	va_list ap;

	if (l->failed != 0)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	if (l->key == NULL)
		l->failed =
		    err_set(l->e, code, "%s statement: %s", l->kind, why);
	else if (l->field == 0)
		l->failed =
		    err_set(l->e, code, "%s statement, line %zu (%s): %s",
		        l->kind, l->number, l->key, why);
	else
		l->failed = err_set(l->e, code,
		    "%s statement, line %zu (%s), field %zu: %s", l->kind,
		    l->number, l->key, l->field, why);
}

/* "not <what>", with as much of the field as fits a message. */
static void
refuse(struct lines *l, const char *word, size_t len, const char *what)
{
	bool is_long = len > SHOWN_BYTES;

	lines_fail(l, ERR_FORMAT, "'%.*s%s' is not %s",
	    (int)(is_long ? SHOWN_BYTES : len), word, is_long ? "..." : "",
	    what);
}

static void
end_line(struct lines *l)
{
	if (l->failed == 0 && reader_left(&l->line) != 0)
		lines_fail(l, ERR_FORMAT, "more than the line may hold");
}

bool
lines_follows(const struct lines *l, const char *key)
{
	struct reader ahead = l->in;
	size_t len, key_len = strlen(key);
	const char *p;

	return l->failed == 0 && reader_line(&ahead, &p, &len) == 0 &&
	    len > key_len && memcmp(p, key, key_len) == 0 && p[key_len] == ' ';
}

void
lines_begin(struct lines *l, const char *key)
{
	const char *p;
	size_t len;

	end_line(l);
	if (l->failed != 0)
		return;
	l->key = key;
	l->number++;
	l->field = 0;
	l->is_list = false;
	l->lead = ' ';
	if (!lines_follows(l, key)) {
		lines_fail(
		    l, ERR_FORMAT, "a line '%s ...' is missing here", key);
		return;
	}
	l->failed = reader_line(&l->in, &p, &len);
	reader_init(&l->line, p, len);
	l->line.pos = strlen(key);
}

void
lines_header(struct lines *l)
{
	lines_begin(l, "pecia");
	lines_literal(l, l->kind);
	lines_literal(l, "1");
}

bool
lines_more(const struct lines *l)
{
	return l->failed == 0 && reader_left(&l->line) != 0;
}

void
lines_list(struct lines *l)
{
	l->is_list = true;
}

bool
lines_comma(struct lines *l)
{
	struct reader ahead = l->line;
	uint8_t c;

	if (l->failed != 0 || reader_u8(&ahead, &c) != 0 || c != ',')
		return false;
	l->lead = ',';
	return true;
}

int
lines_finish(struct lines *l)
{
	end_line(l);
	if (l->failed == 0 && reader_left(&l->in) != 0)
		lines_fail(l, ERR_FORMAT,
		    "what follows is unknown, repeated or out of order");
	return l->failed;
}

/* Length of the field that starts where `r` stands. */
static size_t
field_length(const struct lines *l, struct reader r)
{
	size_t start = r.pos;
	uint8_t c;

	while (reader_u8(&r, &c) == 0) {
		if (c == ' ' || (l->is_list && c == ','))
			return r.pos - 1 - start;
	}
	return r.pos - start;
}

bool
lines_word(struct lines *l, const char **word, size_t *len)
{
	const uint8_t *p;
	uint8_t lead;
	size_t n;

	if (l->failed != 0)
		return false;
	l->field++;
	if (reader_u8(&l->line, &lead) != 0) {
		lines_fail(l, ERR_FORMAT, "missing");
		return false;
	}
	n = field_length(l, l->line);
	if (lead != l->lead || n == 0 || reader_bytes(&l->line, n, &p) != 0) {
		lines_fail(l, ERR_FORMAT,
		    "fields must be parted by one '%c' each", l->lead);
		return false;
	}
	l->lead = ' ';
	*word = (const char *)p;
	*len = n;
	return true;
}

void
lines_literal(struct lines *l, const char *word)
{
	const char *p = NULL;
	size_t len = 0;

	if (lines_word(l, &p, &len) &&
	    (len != strlen(word) || memcmp(p, word, len) != 0))
		refuse(l, p, len, word);
}

bool
lines_dash(struct lines *l)
{
	struct reader ahead = l->line;
	uint8_t lead, c;

	if (l->failed != 0 || reader_u8(&ahead, &lead) != 0 ||
	    lead != l->lead || field_length(l, ahead) != 1 ||
	    reader_u8(&ahead, &c) != 0 || c != '-')
		return false;
	l->field++;
	l->line = ahead;
	return true;
}

void
lines_u64(struct lines *l, uint64_t min, uint64_t max, uint64_t *v)
{
	const char *p = NULL;
	size_t len = 0;
	uint64_t n = 0;

	if (!lines_word(l, &p, &len))
		return;
	if (text_u64(p, len, max, &n) == 0 && n >= min) {
		*v = n;
		return;
	}
	lines_fail(l, ERR_FORMAT, "not a plain number from %llu to %llu",
	    (unsigned long long)min, (unsigned long long)max);
}

void
lines_time(struct lines *l, time_t *t)
{
	const char *p = NULL;
	size_t len = 0;

	if (lines_word(l, &p, &len) && text_untime(p, len, t) != 0)
		refuse(l, p, len, "a time like 2026-11-23T06:22:24Z");
}

void
lines_digest(struct lines *l, struct digest *d)
{
	const char *p = NULL;
	size_t len = 0;

	if (lines_word(l, &p, &len) && digest_parse(p, len, d) != 0)
		refuse(l, p, len, "a SHA-256 digest of 64 lower-case digits");
}

void
lines_name(struct lines *l, char name[LIMIT_NAME_BYTES + 1])
{
	const char *p = NULL;
	size_t len = 0;

	if (!lines_word(l, &p, &len))
		return;
	if (len > LIMIT_NAME_BYTES || !text_is_name(p, len)) {
		refuse(l, p, len, "a name (1 to 64 of A-Za-z0-9._-)");
		return;
	}
	memcpy(name, p, len);
	name[len] = '\0';
}

void
lines_text(struct lines *l, size_t max, char **text)
{
	const char *p = NULL;
	size_t len = 0, n = 0;
	char *copy;
	int rc;

	if (!lines_word(l, &p, &len))
		return;
	/* Escaped text never grows when it is read back. */
	copy = malloc((len < max ? len : max) + 1);
	if (copy == NULL) {
		l->failed = err_memory(l->e);
		return;
	}
	rc = text_unescape(copy, (len < max ? len : max) + 1, p, len, &n);
	if (rc == 0) {
		*text = copy;
		return;
	}
	free(copy);
	if (rc == ERR_LIMIT)
		lines_fail(l, rc, "longer than %zu bytes", max);
	else
		refuse(l, p, len, "text in its escaped form");
}

void *
lines_room(struct lines *l, void *items, size_t count, size_t size, size_t max)
{
	size_t cap = count == 0 ? 1 : 2 * count;
	uint8_t *grown = items;

	if (l->failed != 0)
		return items;
	if (count >= max) {
		lines_fail(l, ERR_LIMIT, "more than %zu of these", max);
		return items;
	}
	/* Storage always holds the next power of two of items. */
	if ((count & (count - 1)) == 0) {
		grown = reallocarray(items, cap, size);
		if (grown == NULL) {
			l->failed = err_memory(l->e);
			return items;
		}
	}
	memset(grown + count * size, 0, size);
	return grown;
}

void
lines_ascending(struct lines *l, const char *last, const char *next)
{
	if (l->failed == 0 && strcmp(last, next) >= 0)
		lines_fail(
		    l, ERR_FORMAT, "'%.64s' is repeated or out of order", next);
}

int
lines_same(struct buf *text, const char *kind, const void *body, size_t len,
    struct err *e)
{
	int rc = 0;

	/* The caller gave it room for len bytes and no more. */
	if (text->failed == ERR_NO_MEMORY)
		rc = err_memory(e);
	else if (text->failed != 0 || text->len != len ||
	    memcmp(buf_str(text), body, len) != 0)
		rc = err_set(e, ERR_FORMAT,
		    "%s statement: not in its one canonical form", kind);
	buf_release(text);
	return rc;
}
