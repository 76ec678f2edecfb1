/* Who a peer is: TLS 1.3 with self-signed certificates whose public keys are
 * compared with a signed list inside the handshake.  Names and dates are not
 * looked at, nor any certificate but the first. */
#ifndef COMMON_CRYPTO_TLS_H
#define COMMON_CRYPTO_TLS_H

#include "common/crypto_digest.h"
#include "common/crypto_identity.h"

struct ssl_ctx_st; /* OpenSSL's SSL_CTX, passed through by HTTP modules */
struct ssl_st;

/* A server's context: TLS 1.3 only, one session ticket a handshake, a client's
 * certificate asked for and not demanded; which keys may do what is for the
 * caller to decide by tls_peer_digest.  Made before workers are forked, so that
 * they share the keys of tickets (crypto_tickets.h), which are nowhere but in
 * memory.  A ticket holds the client's certificate, so that a session that is
 * taken up has the peer that it had at first, for LIMIT_RESUME_S from when that
 * proved its key.  The ticket waits in the kernel (TCP_CORK) for what is written
 * first, 200 ms at most, unless the caller ends that.  Free with tls_context_free, after all its SSLs; the identity
 * may be freed before it. */
MUST_CHECK int tls_server_context(
    const struct tls_identity *id, struct ssl_ctx_st **out, struct err *e);
/* From now on it gives no tickets and takes none. */
void tls_server_forget_sessions(struct ssl_ctx_st *ctx);
/* To be called now and then, and before a fork; now_ms is of clock_ms.  Older
 * keys of tickets leave the memory when they are due. */
void tls_server_turn(struct ssl_ctx_st *ctx, uint64_t now_ms);
void tls_context_free(struct ssl_ctx_st *ctx);
/* A new SSL of a context (see crypto_socket.h), or NULL. */
struct ssl_st *tls_session_new(struct ssl_ctx_st *ctx);
/* Tells the peer that no more will be sent (close_notify); does not wait. */
void tls_session_end(struct ssl_st *ssl);
/* SHA-256 of the peer's public key, also when its session was resumed; false
 * when it showed no certificate. */
bool tls_peer_digest(const struct ssl_st *ssl, struct digest *out);
/* Whether this is a session that was taken up again. */
bool tls_session_is_resumed(const struct ssl_st *ssl);

/* What a client decides about a server's key, in the handshake. */
enum tls_verdict {
	TLS_REFUSE,   /* end the handshake */
	TLS_STRANGER, /* go on, but do not show our own certificate */
	TLS_KNOWN,
};

/* One client, one handshake at a time. */
struct tls_client {
	const struct tls_identity
	    *identity; /* shown to TLS_KNOWN; may be NULL */
	enum tls_verdict (*judge)(void *arg, const struct digest *spki);
	void *arg;

	/* Results of the last handshake, reset when one begins.  A key that was
	 * refused is TLS_REFUSE and its digest; no key seen is TLS_REFUSE and
	 * zeroes. */
	enum tls_verdict verdict;
	struct digest peer;
	bool resumed;

	/* The newest session that a TLS_KNOWN peer gave, or NULL: opaque and
	 * secret bytes that may be kept in a file (0600) and put here, from
	 * malloc, before a later connection.  Offered once and only if the judge
	 * still says TLS_KNOWN of the key that gave it, `identity` is the same,
	 * and that key was proven less than LIMIT_RESUME_S ago; bytes that make
	 * no sense are dropped.  Release with tls_client_release. */
	uint8_t *session;
	size_t session_bytes; /* at most LIMIT_SESSION_BYTES */

	uint64_t proven_s; /* the module's own: when the peer signed last */
};

/* Sets up a fresh SSL_CTX (libcurl's, handed over by CURLOPT_SSL_CTX_FUNCTION,
 * or a test's) for this client: TLS 1.3 only, peer judged by its key alone.
 * `c` must outlive the context's last handshake and read.  libcurl's own
 * session cache must be off: a session taken from there is not judged. */
MUST_CHECK int tls_client_attach(
    struct tls_client *c, struct ssl_ctx_st *ctx, struct err *e);
/* Cleanses and frees the session. */
void tls_client_release(struct tls_client *c);

#endif
