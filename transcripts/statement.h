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
 * do root_parse, roster_parse, head_parse and release_parse read it.  Byte by
 * byte in doc/formats.md. */
#ifndef TRANSCRIPTS_STATEMENT_H
#define TRANSCRIPTS_STATEMENT_H

#include "common/buf.h"
#include "common/crypto_digest.h"
#include "common/crypto_key.h"
#include "common/limits.h"

/* Highest version of a root or roster and highest serial of a release: so
 * that one more is still a number to every reader of JSON or SQL. */
#define STATEMENT_NUMBER_MAX INT64_MAX

struct statement_signature {
	char id[KEY_ID_HEX];
	uint8_t sig[KEY_SIGNATURE_BYTES];
};

struct statement {
	const char *body; /* borrowed from the bytes split */
	size_t body_len;  /* up to, without, the "--" line */
	struct statement_signature sigs[LIMIT_SIGNATURES];
	size_t sig_count; /* at least 1; sorted by id, unique */
};

/* Splits the whole of `data`.  ERR_FORMAT: no body, no "--" line, no signature
 * line, one malformed, repeated or out of order, trailing bytes. */
MUST_CHECK int statement_split(
    const void *data, size_t len, struct statement *out, struct err *e);

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

/* Ends the body in `text` with "--" and one line a key.  ERR_USAGE: no key, or
 * text that statement_split would not give back; ERR_CONFLICT: a key twice.
 * `text` is as it was after an error. */
MUST_CHECK int statement_sign(struct buf *text, const struct key *const keys[],
    size_t count, struct err *e);
/* Adds one more signature to the whole signed statement in `text`, as the
 * holders of a root's keys do one after the other.  ERR_CONFLICT when the key
 * has signed it already. */
MUST_CHECK int statement_cosign(
    struct buf *text, const struct key *k, struct err *e);

/* The entity tag of a statement with this digest, quotes and NUL included.
 * Half of the digest: it is sent each way each time somebody asks for news. */
#define STATEMENT_ETAG_BYTES 35
void statement_etag(const struct digest *d, char etag[STATEMENT_ETAG_BYTES]);

#endif
