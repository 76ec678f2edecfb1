/* Ed25519 keys and signatures (RFC 8032), as PEM files and as raw bytes. */
#ifndef COMMON_CRYPTO_KEY_H
#define COMMON_CRYPTO_KEY_H

#include "common/buf.h"
#include "common/crypto_digest.h"

#define KEY_PUBLIC_BYTES    32
#define KEY_SIGNATURE_BYTES 64
#define KEY_ID_HEX          33 /* with the NUL */

struct key_public {
	uint8_t b[KEY_PUBLIC_BYTES];
};

struct key; /* a private key */

/* The first 16 bytes of SHA-256 over the raw public key, in hex: what
 * signature lines and trust roots call the key by. */
void key_id(const struct key_public *pub, char id[KEY_ID_HEX]);

/* A new random key. */
MUST_CHECK int key_generate(struct key **out, struct err *e);
/* From and to PEM text (PKCS #8, unencrypted). */
MUST_CHECK int key_from_pem(
    const char *pem, size_t len, struct key **out, struct err *e);
MUST_CHECK int key_to_pem(const struct key *k, struct buf *pem, struct err *e);
/* Cleanses and frees. */
void key_free(struct key *k);

void key_public_of(const struct key *k, struct key_public *pub);
MUST_CHECK int key_sign(const struct key *k, const void *msg, size_t len,
    uint8_t sig[KEY_SIGNATURE_BYTES], struct err *e);
/* 0, or ERR_VERIFY with a message. */
MUST_CHECK int key_verify(const struct key_public *pub, const void *msg,
    size_t len, const uint8_t sig[KEY_SIGNATURE_BYTES], struct err *e);

/* Standard base64 (RFC 4648 section 4, padded, one line).  The decoder takes
 * the canonical spelling only; ERR_FORMAT, or ERR_LIMIT past size. */
void base64_add(struct buf *b, const void *data, size_t len);
MUST_CHECK int base64_decode(
    const char *s, size_t len, uint8_t *dst, size_t size, size_t *out_len);

/* Cryptographic random bytes. */
MUST_CHECK int random_bytes(void *dst, size_t len, struct err *e);

#endif
