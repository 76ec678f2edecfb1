/* TLS contexts of servers and clients.  Runs in the processes that talk to the
 * network: peciad's workers and the fetcher. */
#include "common/crypto_tls.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <time.h>

#include "common/clock.h"
#include "common/crypto_openssl.h"
#include "common/crypto_tickets.h"
#include "common/limits.h"

/* AES-128 first: as strong as X25519 and Ed25519 are, and the fastest. */
#define CIPHERSUITES                              \
 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:" \
 "TLS_CHACHA20_POLY1305_SHA256"
#define CERT_LIST_BYTES 16384 /* of a peer; ours is 250 bytes */

/* What a server may prove itself and agree on a secret with: all that is strong,
 * but not OpenSSL's long lists, as they are sent in every hello. */
#define SIGNATURES                          \
 "ed25519:ECDSA+SHA256:ECDSA+SHA384:ed448:" \
 "ECDSA+SHA512:RSA-PSS+SHA256:rsa_pss_pss_sha256"
#define GROUPS "X25519:P-256:P-384"

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

/* ---- tickets ---- */

/* OpenSSL asks for the key of a ticket to be made (`enc`), or of one that came:
 * 0 for none, which means a full handshake, else 2, a new ticket to follow.  CTR
 * needs no padding, and what it makes is authenticated. */
static int
key_ticket(SSL *ssl, unsigned char name[16], unsigned char *iv,
    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int enc)
{
	struct ticket_keys *keys = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	const struct ticket_key *k;
	OSSL_PARAM params[3];
	char sha256[] = "SHA256";
	uint8_t mac_key[sizeof(k->mac)];
	int ok;

	ticket_keys_turn(keys, clock_ms());
	k = enc != 0 ? ticket_keys_newest(keys) : ticket_keys_find(keys, name);
	if (k == NULL)
		return 0;
	if (enc != 0) {
		memcpy(name, k->name, sizeof(k->name));
		if (RAND_bytes(
		        iv, EVP_CIPHER_get_iv_length(EVP_aes_128_cbc())) != 1)
			return -1;
	}
	memcpy(mac_key, k->mac, sizeof(mac_key));
	params[0] = OSSL_PARAM_construct_octet_string(
	    OSSL_MAC_PARAM_KEY, mac_key, sizeof(mac_key));
	params[1] =
	    OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, sha256, 0);
	params[2] = OSSL_PARAM_construct_end();
	ok = EVP_CipherInit_ex(
	         cipher, EVP_aes_128_cbc(), NULL, k->cipher, iv, enc) == 1 &&
	    EVP_MAC_CTX_set_params(mac, params) == 1;
	OPENSSL_cleanse(mac_key, sizeof(mac_key));
	return ok ? 2 : -1;
}

static uint32_t
now_s(void)
{
	return (uint32_t)time(NULL); /* enough until 2106 */
}

/* The ticket goes with what is said next: a packet less, and one that need not
 * be acknowledged.  The kernel holds it back for 200 ms at most. */
static void
hold_back(const SSL *ssl)
{
	const int on = 1;

	/* There are none for tests in memory. */
	(void)setsockopt(
	    SSL_get_fd(ssl), IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
}

/* Before a ticket is sealed.  It says when its peer was proven by a full
 * handshake; that of a session that was taken up inherits it, so that no chain
 * of them is endless.  Its session's id, of 32 bytes, is of no use in one. */
static int
date_ticket(SSL *ssl, void *arg)
{
	SSL_SESSION *session = SSL_get_session(ssl);
	uint32_t proven_s = now_s();

	(void)arg;
	hold_back(ssl);
	if (SSL_SESSION_set1_id(session, (const uint8_t *)"", 0) != 1)
		return 0;
	return SSL_session_reused(ssl) == 1 ||
	    SSL_SESSION_set1_ticket_appdata(
	        session, &proven_s, sizeof(proven_s)) == 1;
}

static SSL_TICKET_RETURN
judge_ticket(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
    size_t name_len, SSL_TICKET_STATUS status, void *arg)
{
	uint32_t proven_s = 0;
	void *data = NULL;
	size_t len = 0;

	(void)ssl;
	(void)name;
	(void)name_len;
	(void)arg;
	if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	if (SSL_SESSION_get0_ticket_appdata(session, &data, &len) != 1 ||
	    len != sizeof(proven_s))
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	memcpy(&proven_s, data, sizeof(proven_s));
	/* Wraps for one of the future, which is none either. */
	return now_s() - proven_s < LIMIT_RESUME_S
	    ? SSL_TICKET_RETURN_USE_RENEW
	    : SSL_TICKET_RETURN_IGNORE_RENEW;
}

static bool
set_tickets(SSL_CTX *ctx, struct err *e)
{
	struct ticket_keys *keys = NULL;

	if (ticket_keys_new(clock_ms(), &keys, e) != 0)
		return false;
	if (SSL_CTX_set_app_data(ctx, keys) != 1) {
		ticket_keys_free(keys);
		return false;
	}
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_timeout(ctx, LIMIT_RESUME_S);
	return SSL_CTX_set_num_tickets(ctx, 1) == 1 &&
	    SSL_CTX_set_session_id_context(
	        ctx, session_context, sizeof(session_context) - 1) == 1 &&
	    SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, key_ticket) == 1 &&
	    SSL_CTX_set_session_ticket_cb(
	        ctx, date_ticket, judge_ticket, NULL) == 1;
}

void
tls_server_forget_sessions(struct ssl_ctx_st *ctx)
{
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
	(void)SSL_CTX_set_num_tickets(ctx, 0);
}

void
tls_server_turn(struct ssl_ctx_st *ctx, uint64_t now_ms)
{
	ticket_keys_turn(SSL_CTX_get_app_data(ctx), now_ms);
}

/* ---- servers ---- */

int
tls_server_context(
    const struct tls_identity *id, struct ssl_ctx_st **out, struct err *e)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (ctx == NULL || !set_protocol(ctx) ||
	    SSL_CTX_use_certificate(ctx, id->cert) != 1 ||
	    SSL_CTX_use_PrivateKey(ctx, id->pkey) != 1 ||
	    !set_tickets(ctx, e)) {
		tls_context_free(ctx);
		return openssl_err(e, ERR_USAGE, "TLS server");
	}
	/* Requests have an end of their own; without this the end of a
	 * connection would be answered by an alert that nobody hears. */
	SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
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
	struct ticket_keys *keys =
	    ctx != NULL ? SSL_CTX_get_app_data(ctx) : NULL;

	SSL_CTX_free(ctx);
	ticket_keys_free(keys);
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

bool
tls_session_is_resumed(const struct ssl_st *ssl)
{
	return SSL_session_reused(ssl) == 1;
}

/* ---- clients ---- */

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
 * none), when its peer signed last, then OpenSSL's DER, which has the peer's
 * certificate in it. */
static void
own_digest(const struct tls_client *c, struct digest *out)
{
	memset(out, 0, sizeof(*out));
	if (c->identity != NULL)
		tls_identity_digest(c->identity, out);
}

static SSL_SESSION *
parse_session(struct tls_client *c)
{
	struct digest own, made_with;
	const unsigned char *der;
	struct reader r;
	uint64_t now = now_s();

	if (c->session == NULL || c->session_bytes > LIMIT_SESSION_BYTES)
		return NULL;
	own_digest(c, &own);
	reader_init(&r, c->session, c->session_bytes);
	if (reader_copy(&r, made_with.b, DIGEST_BYTES) != 0 ||
	    reader_u64(&r, &c->proven_s) != 0 ||
	    !digest_equal(&made_with, &own) || c->proven_s > now ||
	    now - c->proven_s >= LIMIT_RESUME_S)
		return NULL;
	der = r.data + r.pos;
	return d2i_SSL_SESSION(NULL, &der, (long)reader_left(&r));
}

/* The verify callback does not run when a session is resumed, so its key is
 * judged here, before it is offered: there is no other that OpenSSL could take
 * up.  A stranger is met afresh: our session would tell it who we are. */
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
	unsigned char *der;
	struct digest own;
	struct buf b;

	if (c->verdict != TLS_KNOWN || len <= 0)
		return 0;
	if (!c->resumed)
		c->proven_s = now_s();
	own_digest(c, &own);
	buf_init(&b, LIMIT_SESSION_BYTES);
	buf_add(&b, own.b, DIGEST_BYTES);
	buf_add_u64(&b, c->proven_s);
	der = buf_reserve(&b, (size_t)len);
	if (der == NULL) { /* too large, or no memory: there is none, then */
		buf_release(&b);
		return 0;
	}
	buf_commit(&b, (size_t)i2d_SSL_SESSION(session, &der));
	tls_client_release(c);
	c->session = buf_detach(&b, &c->session_bytes);
	return 0;
}

int
tls_client_attach(struct tls_client *c, struct ssl_ctx_st *ctx, struct err *e)
{
	char signatures[] = SIGNATURES, groups[] = GROUPS;

	forget_results(c);
	if (!set_protocol(ctx) ||
	    SSL_CTX_set1_sigalgs_list(ctx, signatures) != 1 ||
	    SSL_CTX_set1_groups_list(ctx, groups) != 1 ||
	    SSL_CTX_set_app_data(ctx, c) != 1)
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
