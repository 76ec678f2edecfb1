/* Sealing: few bytes encrypted and authenticated under a passphrase.  scrypt
 * (RFC 7914) makes two keys from it; AES-256-CTR encrypts, HMAC-SHA256 over
 * all that a file holds authenticates.
 *
 * From: encrypt-then-MAC is as good as an AEAD, and stock `openssl kdf`,
 * `openssl mac` and `openssl enc` can undo it, which no AEAD of theirs can. */
#ifndef COMMON_CRYPTO_SEAL_H
#define COMMON_CRYPTO_SEAL_H

#include <stdbool.h>

#include "common/buf.h"

#define SEAL_SALT_BYTES 32
#define SEAL_MAC_BYTES  32
#define SEAL_SCRYPT_R   8

/* What a guess costs: 128 * SEAL_SCRYPT_R * 2^log_n bytes of memory, p
 * times. */
struct seal_cost {
	unsigned log_n; /* 1..LIMIT_SCRYPT_LOG */
	unsigned p;     /* 1..LIMIT_SCRYPT_PARALLEL */
};
/* From: OWASP's password storage guide (2024), for passphrases: 128 MiB. */
#define SEAL_COST_PASSPHRASE \
 (struct seal_cost)          \
 {                           \
  17, 1                      \
 }
/* Of key files, which nobody guesses. */
#define SEAL_COST_KEY_FILE \
 (struct seal_cost)        \
 {                         \
  14, 1                    \
 }

struct seal_keys {
	uint8_t cipher[32], mac[32];
};

/* ERR_LIMIT, before anything is allocated, for a cost out of range. */
MUST_CHECK int seal_keys_derive(const void *secret, size_t len,
    const uint8_t salt[SEAL_SALT_BYTES], const struct seal_cost *cost,
    struct seal_keys *out, struct err *e);
void seal_keys_wipe(struct seal_keys *k);

/* Encrypts and decrypts, in place.  Keys are used for one text only. */
MUST_CHECK int seal_crypt(
    const struct seal_keys *k, void *data, size_t len, struct err *e);
MUST_CHECK int seal_mac(const struct seal_keys *k, const void *data, size_t len,
    uint8_t mac[SEAL_MAC_BYTES], struct err *e);
/* In a time that does not depend on where they differ. */
bool seal_mac_equal(
    const uint8_t a[SEAL_MAC_BYTES], const uint8_t b[SEAL_MAC_BYTES]);

#endif
