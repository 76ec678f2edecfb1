/* SHA-256, the one digest of every format.  OpenSSL is included by the files
 * common/crypto_*.c alone. */
#ifndef COMMON_CRYPTO_DIGEST_H
#define COMMON_CRYPTO_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define DIGEST_BYTES 32
#define DIGEST_HEX   65 /* with the NUL */

struct digest {
	uint8_t b[DIGEST_BYTES];
};

struct digest_state; /* a digest being computed */

MUST_CHECK int digest_new(struct digest_state **out, struct err *e);
void digest_free(struct digest_state *d);
/* Starts over; a state may be used for any number of digests. */
void digest_reset(struct digest_state *d);
void digest_add(struct digest_state *d, const void *data, size_t len);
/* The digest of what was added; the state must be reset before it is used
 * again. */
void digest_end(struct digest_state *d, struct digest *out);

/* Of one piece of memory. */
void digest_of(const void *data, size_t len, struct digest *out);
/* Of what remains to be read from fd, at most max_bytes (ERR_LIMIT past it);
 * *size (may be NULL) gets the bytes read. */
MUST_CHECK int digest_of_fd(int fd, uint64_t max_bytes, struct digest *out,
    uint64_t *size, struct err *e);

bool digest_equal(const struct digest *a, const struct digest *b);
bool digest_is_zero(const struct digest *d);
void digest_hex(const struct digest *d, char hex[DIGEST_HEX]);
/* 64 lower-case hex digits. */
MUST_CHECK int digest_parse(const char *s, size_t len, struct digest *out);

#endif
