/* Bytes written and read; the only pointer arithmetic on input is here.
 * Every process uses it. */
#include "common/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BYTES 64

void
buf_init(struct buf *b, size_t max_bytes)
{
	*b = (struct buf){ 0 };
	/* One byte stays for the NUL. */
	b->max = max_bytes < SIZE_MAX ? max_bytes : SIZE_MAX - 1;
}

void
buf_release(struct buf *b)
{
	free(b->data);
	buf_init(b, b->max);
}

void
buf_wipe(struct buf *b)
{
	if (b->data != NULL)
		explicit_bzero(b->data, b->cap);
	buf_release(b);
}

void
buf_clear(struct buf *b)
{
	b->len = 0;
	b->failed = 0;
	if (b->data != NULL)
		b->data[0] = '\0';
}

uint8_t *
buf_detach(struct buf *b, size_t *len)
{
	uint8_t *data = b->data;

	if (len != NULL)
		*len = b->len;
	buf_init(b, b->max);
	return data;
}

/* Doubles, so that n bytes added one by one cost O(n). */
static int
grow(struct buf *b, size_t need)
{
	size_t cap = b->cap < FIRST_BYTES ? FIRST_BYTES : b->cap;
	uint8_t *data;

	while (cap < need)
		cap = cap > SIZE_MAX / 2 ? need : cap * 2;
	if (cap > b->max + 1)
		cap = b->max + 1;
	data = realloc(b->data, cap);
	if (data == NULL)
		return ERR_NO_MEMORY;
	b->data = data;
	b->cap = cap;
	return 0;
}

uint8_t *
buf_reserve(struct buf *b, size_t len)
{
	if (b->failed != 0)
		return NULL;
	if (len > b->max - b->len) {
		b->failed = ERR_LIMIT;
		return NULL;
	}
	if (len >= b->cap - b->len) /* the NUL too */
		b->failed = grow(b, b->len + len + 1);
	return b->failed != 0 ? NULL : b->data + b->len;
}

void
buf_commit(struct buf *b, size_t len)
{
	b->len += len;
	b->data[b->len] = '\0';
}

void
buf_add(struct buf *b, const void *data, size_t len)
{
	uint8_t *p = buf_reserve(b, len);

	if (p == NULL)
		return;
	if (len > 0)
		memcpy(p, data, len);
	buf_commit(b, len);
}

void
buf_add_str(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void
buf_add_byte(struct buf *b, uint8_t c)
{
	buf_add(b, &c, 1);
}

void
buf_add_u32(struct buf *b, uint32_t v)
{
	uint8_t p[4];
	int i;

	for (i = 3; i >= 0; i--, v >>= 8)
		p[i] = (uint8_t)v;
	buf_add(b, p, sizeof(p));
}

void
buf_add_u64(struct buf *b, uint64_t v)
{
	buf_add_u32(b, (uint32_t)(v >> 32));
	buf_add_u32(b, (uint32_t)v);
}

size_t
varint_write(uint8_t dst[VARINT_BYTES], uint64_t v)
{
	size_t n = 0;

	for (; v > 0x7f; v >>= 7)
		dst[n++] = (uint8_t)(v | 0x80);
	dst[n++] = (uint8_t)v;
	return n;
}

void
buf_add_varint(struct buf *b, uint64_t v)
{
	uint8_t bytes[VARINT_BYTES];

	buf_add(b, bytes, varint_write(bytes, v));
}

void
buf_add_decimal(struct buf *b, uint64_t v)
{
	char digits[20];
	size_t i = sizeof(digits);

	do {
		digits[--i] = (char)('0' + v % 10);
		v /= 10;
	} while (v > 0);
	buf_add(b, digits + i, sizeof(digits) - i);
}

void
buf_addf(struct buf *b, const char *fmt, ...)
{
	size_t left = b->cap - b->len;
	va_list ap;
	uint8_t *p;
	int n;

	if (b->failed != 0)
		return;
	va_start(ap, fmt);
	n = vsnprintf(
	    left > 0 ? (char *)b->data + b->len : NULL, left, fmt, ap);
	va_end(ap);
	p = n < 0 ? NULL : buf_reserve(b, (size_t)n);
	if (p == NULL) {
		if (b->failed == 0)
			b->failed = ERR_LIMIT; /* longer than INT_MAX */
		if (b->data != NULL)
			b->data[b->len] = '\0';
		return;
	}
	if ((size_t)n >= left) {
		va_start(ap, fmt);
		(void)vsnprintf((char *)p, (size_t)n + 1, fmt, ap);
		va_end(ap);
	}
	buf_commit(b, (size_t)n);
}

int
buf_check(const struct buf *b, const char *what, struct err *e)
{
	switch (b->failed) {
	case 0:
		return 0;
	case ERR_LIMIT:
		return err_set(
		    e, ERR_LIMIT, "%s: more than %zu bytes", what, b->max);
	default:
		return err_set(e, b->failed, "%s: out of memory", what);
	}
}

const char *
buf_str(const struct buf *b)
{
	/* Storage that was only reserved holds no text, and no NUL. */
	return b->len == 0 ? "" : (const char *)b->data;
}

void
reader_init(struct reader *r, const void *data, size_t len)
{
	r->data = data;
	r->len = len;
	r->pos = 0;
}

size_t
reader_left(const struct reader *r)
{
	return r->len - r->pos;
}

int
reader_bytes(struct reader *r, size_t len, const uint8_t **p)
{
	if (len > reader_left(r))
		return ERR_FORMAT;
	*p = len > 0 || r->data != NULL ? r->data + r->pos : NULL;
	r->pos += len;
	return 0;
}

int
reader_copy(struct reader *r, void *dst, size_t len)
{
	const uint8_t *p;

	if (reader_bytes(r, len, &p) != 0)
		return ERR_FORMAT;
	if (len > 0)
		memcpy(dst, p, len);
	return 0;
}

int
reader_u8(struct reader *r, uint8_t *v)
{
	return reader_copy(r, v, 1);
}

/* A big-endian number of len bytes. */
static int
number(struct reader *r, size_t len, uint64_t *v)
{
	const uint8_t *p;
	uint64_t n = 0;
	size_t i;

	if (reader_bytes(r, len, &p) != 0)
		return ERR_FORMAT;
	for (i = 0; i < len; i++)
		n = n << 8 | p[i];
	*v = n;
	return 0;
}

int
reader_u32(struct reader *r, uint32_t *v)
{
	uint64_t n;

	if (number(r, 4, &n) != 0)
		return ERR_FORMAT;
	*v = (uint32_t)n;
	return 0;
}

int
reader_u64(struct reader *r, uint64_t *v)
{
	return number(r, 8, v);
}

int
reader_varint(struct reader *r, uint64_t *v)
{
	uint64_t got = 0;
	uint8_t byte = 0x80;

	for (unsigned shift = 0; (byte & 0x80) != 0; shift += 7) {
		if (reader_u8(r, &byte) != 0 || (shift > 0 && byte == 0) ||
		    (shift == 63 && byte > 1))
			return ERR_FORMAT;
		got |= (uint64_t)(byte & 0x7f) << shift;
	}
	*v = got;
	return 0;
}

int
reader_line(struct reader *r, const char **p, size_t *len)
{
	size_t left = reader_left(r);
	const char *start, *lf;

	if (left == 0)
		return ERR_FORMAT;
	start = (const char *)r->data + r->pos;
	lf = memchr(start, '\n', left);
	if (lf == NULL)
		return ERR_FORMAT;
	*p = start;
	*len = (size_t)(lf - start);
	r->pos += *len + 1;
	return 0;
}
