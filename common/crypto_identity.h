/* A host's TLS identity: a private key and a self-signed certificate, kept as
 * two PEM files in one directory.  A peer is known by the digest of its public
 * key; what else the certificate says is not looked at. */
#ifndef COMMON_CRYPTO_IDENTITY_H
#define COMMON_CRYPTO_IDENTITY_H

#include <stdbool.h>

#include "common/crypto_digest.h"

struct tls_identity; /* a private key and its self-signed certificate */

/* Reads DIR/key.pem and DIR/cert.pem; with create, makes what is missing
 * (directory 0700, key 0600, Ed25519, certificate valid to 9999-12-31; two
 * callers at once end with the same identity).  Any kind of key that TLS 1.3
 * can use is read.  ERR_NOT_FOUND: missing and not to be created; ERR_USAGE:
 * everybody may read or write the key file; ERR_VERIFY: the certificate is for
 * another key.  From: RFC 5280 4.1.2.5 for the date. */
MUST_CHECK int tls_identity_open(
    const char *dir, bool create, struct tls_identity **out, struct err *e);
/* Makes DIR/next the identity of DIR, and keeps the old key as DIR/key.old.pem.
 * The certificate is made anew when it is opened with create.  Whole after a
 * crash at any instant: whoever opens it finds the old key or the new one.  ERR_NOT_FOUND:
 * there is no DIR/next. */
#define TLS_IDENTITY_NEXT "next"
MUST_CHECK int tls_identity_advance(const char *dir, struct err *e);
void tls_identity_free(struct tls_identity *id);
/* SHA-256 of the public key (SubjectPublicKeyInfo, DER): what rosters list. */
void tls_identity_digest(const struct tls_identity *id, struct digest *out);

#endif
