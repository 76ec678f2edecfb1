/* Bytes: one growable writer with a hard maximum, one bounded reader.
 *
 * A writer's error is sticky: add as much as there is, then ask buf_check
 * once.  A reader never moves past its end; each getter checks, consumes and
 * converts, and says 0 or ERR_FORMAT. */
#ifndef COMMON_BUF_H
#define COMMON_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct buf {
	uint8_t *
	    data; /* len bytes, and a NUL behind them once anything was added */
	size_t len;
	size_t cap;
	size_t max; /* len never passes this */
	int failed; /* 0, ERR_LIMIT or ERR_NO_MEMORY */
};

/* An empty writer that will hold at most max_bytes. */
void buf_init(struct buf *b, size_t max_bytes);
/* Frees the storage; the writer may be used again. */
void buf_release(struct buf *b);
/* The same, of what nobody may find in memory afterwards. */
void buf_wipe(struct buf *b);
/* Forgets the content and the error; keeps the storage. */
void buf_clear(struct buf *b);
/* Gives the storage to the caller (free() it); b is empty afterwards. */
uint8_t *buf_detach(struct buf *b, size_t *len);

void buf_add(struct buf *b, const void *data, size_t len);
void buf_add_str(struct buf *b, const char *s);
void buf_add_byte(struct buf *b, uint8_t c);
void buf_add_u32(struct buf *b, uint32_t v); /* big endian */
void buf_add_u64(struct buf *b, uint64_t v); /* big endian */
/* 7 bits a byte, the lowest first, all but the last with the high bit set. */
#define VARINT_BYTES 10
size_t varint_write(uint8_t dst[VARINT_BYTES], uint64_t v); /* its length */
void buf_add_varint(struct buf *b, uint64_t v);
void buf_add_decimal(struct buf *b, uint64_t v);
void buf_addf(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Room for len more bytes at the end, to be filled by the caller and counted
 * with buf_commit.  NULL when it would pass max (the error is then set). */
uint8_t *buf_reserve(struct buf *b, size_t len);
void buf_commit(struct buf *b, size_t len);

/* 0, or the first error with `what` named. */
MUST_CHECK int buf_check(const struct buf *b, const char *what, struct err *e);

/* The text added so far, "" when there is none. */
const char *buf_str(const struct buf *b);

struct reader {
	const uint8_t *data;
	size_t len;
	size_t pos;
};

void reader_init(struct reader *r, const void *data, size_t len);
size_t reader_left(const struct reader *r);
MUST_CHECK int reader_u8(struct reader *r, uint8_t *v);
MUST_CHECK int reader_u32(struct reader *r, uint32_t *v);
MUST_CHECK int reader_u64(struct reader *r, uint64_t *v);
/* Also ERR_FORMAT for more than 64 bits, and for more bytes than needed. */
MUST_CHECK int reader_varint(struct reader *r, uint64_t *v);
/* Borrowed: valid as long as the bytes read from. */
MUST_CHECK int reader_bytes(struct reader *r, size_t len, const uint8_t **p);
MUST_CHECK int reader_copy(struct reader *r, void *dst, size_t len);
/* The bytes before the next LF, which is consumed; ERR_FORMAT when no LF is
 * left. */
MUST_CHECK int reader_line(struct reader *r, const char **p, size_t *len);

#endif
