/* What the files common/crypto_*.c share, and nobody else includes. */
#ifndef COMMON_CRYPTO_OPENSSL_H
#define COMMON_CRYPTO_OPENSSL_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "common/buf.h"
#include "common/crypto_digest.h"
#include "common/err.h"

struct tls_identity {
	EVP_PKEY *pkey;
	X509 *cert;
	struct digest spki;
};

/* Records `code` with "<what>: <OpenSSL's own reason>" and empties OpenSSL's
 * error queue.  Returns code. */
int openssl_err(struct err *e, int code, const char *what);
/* A new Ed25519 key pair; EVP_PKEY_free it. */
MUST_CHECK int openssl_keygen(EVP_PKEY **out, struct err *e);
/* From and to PEM text, any kind of key.  An encrypted key is an error: its
 * passphrase is never asked for. */
MUST_CHECK int openssl_key_from_pem(
    const char *pem, size_t len, EVP_PKEY **out, struct err *e);
MUST_CHECK int openssl_key_to_pem(
    const EVP_PKEY *pkey, struct buf *pem, struct err *e);
/* SHA-256 of a certificate's SubjectPublicKeyInfo; false when it has none. */
bool openssl_spki_digest(const X509 *cert, struct digest *out);

#endif
