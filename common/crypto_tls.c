/* TLS contexts of servers and clients.  Runs in the processes that talk to the
 * network: peciad's workers and the fetcher. */
#include "common/crypto_tls.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "common/crypto_openssl.h"

/* AES-128 first: as strong as X25519 and Ed25519 are, and the fastest. */
#define CIPHERSUITES                              \
 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:" \
 "TLS_CHACHA20_POLY1305_SHA256"
#define TICKET_LIFE_S   86400
#define CERT_LIST_BYTES 16384 /* of a peer; ours is 250 bytes */

static const unsigned char session_context[] = "pecia";

/* What both sides have in common. */
static bool
set_protocol(SSL_CTX *ctx)
{
	SSL_CTX_set_max_cert_list(ctx, CERT_LIST_BYTES);
	return SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) == 1 &&
	    SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) == 1 &&
	    SSL_CTX_set_ciphersuites(ctx, CIPHERSUITES) == 1;
}

/* Any key may come in: possession is proven by the handshake, and what the key
 * may do is looked up at each request. */
static int
accept_any(X509_STORE_CTX *store, void *arg)
{
	(void)arg;
	X509_STORE_CTX_set_error(store, X509_V_OK);
	return 1;
}

int
tls_server_context(
    const struct tls_identity *id, struct ssl_ctx_st **out, struct err *e)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (ctx == NULL || !set_protocol(ctx) ||
	    SSL_CTX_use_certificate(ctx, id->cert) != 1 ||
	    SSL_CTX_use_PrivateKey(ctx, id->pkey) != 1 ||
	    SSL_CTX_set_num_tickets(ctx, 1) != 1 ||
	    SSL_CTX_set_session_id_context(
	        ctx, session_context, sizeof(session_context) - 1) != 1) {
		SSL_CTX_free(ctx);
		return openssl_err(e, ERR_USAGE, "TLS server");
	}
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_timeout(ctx, TICKET_LIFE_S);
	/* Long polls are idle connections: 34 KB less each. */
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, accept_any, NULL);
	*out = ctx;
	return 0;
}

void
tls_context_free(struct ssl_ctx_st *ctx)
{
	SSL_CTX_free(ctx);
}

struct ssl_st *
tls_session_new(struct ssl_ctx_st *ctx)
{
	SSL *ssl = SSL_new(ctx);

	ERR_clear_error();
	return ssl;
}

void
tls_session_end(struct ssl_st *ssl)
{
	(void)SSL_shutdown(ssl);
	ERR_clear_error();
}

bool
tls_peer_digest(const struct ssl_st *ssl, struct digest *out)
{
	const X509 *cert = SSL_get0_peer_certificate(ssl);

	return cert != NULL && openssl_spki_digest(cert, out);
}

static struct tls_client *
client_of(const SSL *ssl)
{
	return SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
}

/* Takes the place of chain building: one key, one judgement. */
static int
judge_peer(X509_STORE_CTX *store, void *arg)
{
	const X509 *leaf = X509_STORE_CTX_get0_cert(store);
	struct tls_client *c = arg;
	struct digest spki;

	c->verdict = TLS_REFUSE;
	if (leaf != NULL && openssl_spki_digest(leaf, &spki)) {
		c->peer = spki;
		c->verdict = c->judge(c->arg, &spki);
	}
	if (c->verdict == TLS_REFUSE) {
		X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
		return 0;
	}
	X509_STORE_CTX_set_error(store, X509_V_OK);
	return 1;
}

/* Called when the server asked for a certificate, after its own was judged. */
static int
show_certificate(SSL *ssl, X509 **cert, EVP_PKEY **pkey)
{
	const struct tls_client *c = client_of(ssl);

	if (c->verdict != TLS_KNOWN || c->identity == NULL)
		return 0;
	if (X509_up_ref(c->identity->cert) != 1)
		return 0;
	if (EVP_PKEY_up_ref(c->identity->pkey) != 1) {
		X509_free(c->identity->cert);
		return 0;
	}
	*cert = c->identity->cert;
	*pkey = c->identity->pkey;
	return 1;
}

void
tls_client_release(struct tls_client *c)
{
	if (c->session != NULL)
		OPENSSL_cleanse(c->session, c->session_bytes);
	free(c->session);
	c->session = NULL;
	c->session_bytes = 0;
}

/* A session's bytes: digest of the identity it was made with (zeroes for
 * none), then OpenSSL's DER, which has the peer's certificate in it. */
static void
own_digest(const struct tls_client *c, struct digest *out)
{
	memset(out, 0, sizeof(*out));
	if (c->identity != NULL)
		tls_identity_digest(c->identity, out);
}

static SSL_SESSION *
parse_session(const struct tls_client *c)
{
	const unsigned char *der;
	struct digest own;

	if (c->session == NULL || c->session_bytes <= DIGEST_BYTES ||
	    c->session_bytes > TLS_SESSION_BYTES)
		return NULL;
	own_digest(c, &own);
	if (memcmp(c->session, own.b, DIGEST_BYTES) != 0)
		return NULL;
	der = c->session + DIGEST_BYTES;
	return d2i_SSL_SESSION(
	    NULL, &der, (long)(c->session_bytes - DIGEST_BYTES));
}

/* The verify callback does not run when a session is resumed, so its key is
 * judged here, before it is offered.  A stranger is met afresh: our session
 * would tell it who we are. */
static void
offer_session(struct tls_client *c, SSL *ssl)
{
	SSL_SESSION *session = parse_session(c);
	const X509 *cert =
	    session != NULL ? SSL_SESSION_get0_peer(session) : NULL;
	struct digest peer;

	if (cert != NULL && openssl_spki_digest(cert, &peer) &&
	    SSL_SESSION_get_protocol_version(session) == TLS1_3_VERSION &&
	    c->judge(c->arg, &peer) == TLS_KNOWN)
		SSL_set_session(ssl, session);
	SSL_SESSION_free(session);
	ERR_clear_error();
	tls_client_release(c); /* RFC 8446 C.4: a ticket is used once */
}

static void
forget_results(struct tls_client *c)
{
	c->verdict = TLS_REFUSE;
	c->resumed = false;
	memset(&c->peer, 0, sizeof(c->peer));
}

/* The only callback that comes before the first message is built, with a
 * libcurl that does not show its SSL. */
static void
follow_handshake(const SSL *ssl, int where, int ret)
{
	struct tls_client *c = client_of(ssl);

	(void)ret;
	if ((where & SSL_CB_HANDSHAKE_START) != 0) {
		forget_results(c);
		/* const in name only */
		offer_session(c, (SSL *)(uintptr_t)ssl);
	}
	if ((where & SSL_CB_HANDSHAKE_DONE) == 0 || !SSL_session_reused(ssl))
		return;
	c->resumed = true;
	if (tls_peer_digest(ssl, &c->peer))
		c->verdict = TLS_KNOWN;
}

/* A new ticket came.  Returns 0: OpenSSL keeps the session. */
static int
keep_session(SSL *ssl, SSL_SESSION *session)
{
	struct tls_client *c = client_of(ssl);
	int len = i2d_SSL_SESSION(session, NULL);
	unsigned char *bytes, *der;
	struct digest own;

	if (c->verdict != TLS_KNOWN || len <= 0 ||
	    len > TLS_SESSION_BYTES - DIGEST_BYTES)
		return 0;
	bytes = malloc(DIGEST_BYTES + (size_t)len);
	if (bytes == NULL)
		return 0;
	own_digest(c, &own);
	memcpy(bytes, own.b, DIGEST_BYTES);
	der = bytes + DIGEST_BYTES;
	tls_client_release(c);
	c->session_bytes =
	    DIGEST_BYTES + (size_t)i2d_SSL_SESSION(session, &der);
	c->session = bytes;
	return 0;
}

int
tls_client_attach(struct tls_client *c, struct ssl_ctx_st *ctx, struct err *e)
{
	forget_results(c);
	if (!set_protocol(ctx) || SSL_CTX_set_app_data(ctx, c) != 1)
		return openssl_err(e, ERR_NO_MEMORY, "TLS client");
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, judge_peer, c);
	SSL_CTX_set_client_cert_cb(ctx, show_certificate);
	SSL_CTX_set_session_cache_mode(
	    ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, keep_session);
	SSL_CTX_set_info_callback(ctx, follow_handshake);
	return 0;
}
