/* The frame that root, roster, head and release share: a text body, "--" and
 * signature lines over the exact bytes before "--".
 *
 *     pecia <kind> 1
 *     key value...
 *     --
 *     sig ed25519 <key id> <base64>
 *
 * Verify first, parse then: statement_split finds the body without looking
 * into it, statement_verify counts unique keys that signed it, and only then
 * do root_parse, roster_parse, head_parse and release_parse read it. */
#ifndef TRANSCRIPTS_STATEMENT_H
#define TRANSCRIPTS_STATEMENT_H

#include "common/buf.h"
#include "common/crypto_key.h"
#include "common/limits.h"

struct statement_signature {
	char id[KEY_ID_HEX];
	uint8_t sig[KEY_SIGNATURE_BYTES];
};

struct statement {
	const char *body; /* borrowed from the bytes split */
	size_t body_len;  /* up to, without, the "--" line */
	struct statement_signature sigs[LIMIT_SIGNATURES];
	size_t sig_count;
};

/* Splits the whole of `data`.  ERR_FORMAT: no "--" line, no or malformed or
 * repeated signature lines, trailing bytes. */
MUST_CHECK int statement_split(const void *data, size_t len,
    struct statement *out, struct err *e);

/* Keys that may sign, and how many different ones must. */
struct statement_signers {
	struct key_public keys[LIMIT_KEYS];
	size_t count;
	unsigned threshold; /* at least 1 */
};

/* 0 when at least threshold keys with different public bytes signed the
 * body; else ERR_VERIFY that says how many did.  Unknown signers are passed
 * over; a wrong signature of a known one is an error. */
MUST_CHECK int statement_verify(const struct statement *s,
    const struct statement_signers *signers, struct err *e);

/* Ends the body in `text` with "--" and one line a key. */
MUST_CHECK int statement_sign(struct buf *text,
    const struct key *const keys[], size_t count, struct err *e);

#endif
