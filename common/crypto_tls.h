/* Who a peer is: TLS 1.3 with self-signed certificates whose public keys are
 * compared with a signed list inside the handshake.  Names are not looked at. */
#ifndef COMMON_CRYPTO_TLS_H
#define COMMON_CRYPTO_TLS_H

#include "common/crypto_digest.h"

struct ssl_ctx_st; /* OpenSSL's SSL_CTX, passed through by HTTP modules */
struct ssl_st;
struct tls_identity; /* a private key and its self-signed certificate */

/* Reads DIR/key.pem and DIR/cert.pem; with create, makes what is missing
 * (directory 0700, key 0600, Ed25519, certificate valid to 9999-12-31).  From:
 * RFC 5280 4.1.2.5 for the date. */
MUST_CHECK int tls_identity_open(const char *dir, bool create,
    struct tls_identity **out, struct err *e);
void tls_identity_free(struct tls_identity *id);
/* SHA-256 of the public key (SubjectPublicKeyInfo, DER): what rosters list. */
void tls_identity_digest(const struct tls_identity *id, struct digest *out);

/* A server's context: TLS 1.3 only, session tickets, a client's certificate
 * asked for and not demanded.  Made before workers are forked, so that they
 * share ticket keys.  Free with tls_context_free. */
MUST_CHECK int tls_server_context(const struct tls_identity *id,
    struct ssl_ctx_st **out, struct err *e);
void tls_context_free(struct ssl_ctx_st *ctx);
/* A new SSL of a context (libevent's bufferevents take it over), or NULL. */
struct ssl_st *tls_session_new(struct ssl_ctx_st *ctx);
/* SHA-256 of the peer's public key; false when it showed no certificate. */
bool tls_peer_digest(const struct ssl_st *ssl, struct digest *out);

/* What a client decides about a server's key, in the handshake. */
enum tls_verdict {
	TLS_REFUSE,  /* end the handshake */
	TLS_STRANGER, /* go on, but do not show our own certificate */
	TLS_KNOWN,
};
struct tls_client {
	const struct tls_identity *identity; /* shown to TLS_KNOWN; may be NULL */
	enum tls_verdict (*judge)(void *arg, const struct digest *spki);
	void *arg;
	/* Results of the last handshake. */
	enum tls_verdict verdict;
	struct digest peer;
};
/* Sets up an SSL_CTX of libcurl's for this client: TLS 1.3 only, peer judged
 * by its key alone.  `c` must outlive the context. */
MUST_CHECK int tls_client_attach(struct tls_client *c, struct ssl_ctx_st *ctx,
    struct err *e);

#endif
