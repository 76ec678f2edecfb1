/* Who shows what to whom in a handshake.  Both ends run in this process, over a
 * pair of memory buffers. */
#include "common/crypto_tls.h"

#include <check.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fsat.h"
#include "common/limits.h"
#include "tests/identity.h"

static struct scratch scratch;
static time_t later; /* what libssl and we think the time is, beyond it */

/* In place of the C library's. */
time_t
time(time_t *timer)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	now.tv_sec += later;
	if (timer != NULL)
		*timer = now.tv_sec;
	return now.tv_sec;
}

static struct tls_identity *server_id, *client_id, *other_id;

static void
set_up(void)
{
	scratch_make(&scratch);
	server_id = identity_in(&scratch, "server");
	client_id = identity_in(&scratch, "client");
	other_id = identity_in(&scratch, "other");
}

static void
tear_down(void)
{
	tls_identity_free(server_id);
	tls_identity_free(client_id);
	tls_identity_free(other_id);
	scratch_remove(&scratch);
}

/* Judges every key alike, and counts. */
struct verdict {
	enum tls_verdict say;
	unsigned asked;
	struct digest last;
};

static enum tls_verdict
judge(void *arg, const struct digest *spki)
{
	struct verdict *v = arg;

	v->asked++;
	v->last = *spki;
	return v->say;
}

struct ends {
	SSL_CTX *client_ctx;
	SSL *client, *server;
};

/* A client and a server, connected; nothing sent yet. */
static void
ends_open(struct ends *x, struct tls_client *c, SSL_CTX *server_ctx)
{
	struct err e = ERR_INIT;
	BIO *a = NULL, *b = NULL;

	x->client_ctx = SSL_CTX_new(TLS_client_method());
	ck_assert_ptr_nonnull(x->client_ctx);
	ck_assert_int_eq(tls_client_attach(c, x->client_ctx, &e), 0);
	x->client = SSL_new(x->client_ctx);
	x->server = tls_session_new(server_ctx);
	ck_assert_int_eq(BIO_new_bio_pair(&a, 65536, &b, 65536), 1);
	SSL_set_bio(x->client, a, a);
	SSL_set_bio(x->server, b, b);
	SSL_set_connect_state(x->client);
	SSL_set_accept_state(x->server);
}

static void
ends_close(struct ends *x)
{
	SSL_free(x->client);
	SSL_free(x->server);
	SSL_CTX_free(x->client_ctx);
}

static bool
is_fatal(SSL *ssl, int ret)
{
	return ret <= 0 && SSL_get_error(ssl, ret) != SSL_ERROR_WANT_READ &&
	    SSL_get_error(ssl, ret) != SSL_ERROR_WANT_WRITE;
}

/* Shakes hands and moves one byte each way, so that tickets arrive too. */
static bool
ends_talk(struct ends *x)
{
	char byte = 0;

	for (int turn = 0; turn < 10; turn++) {
		int c = SSL_do_handshake(x->client);
		int s = SSL_do_handshake(x->server);

		if (is_fatal(x->client, c) || is_fatal(x->server, s))
			return false;
		if (c == 1 && s == 1)
			break;
	}
	return SSL_write(x->client, "?", 1) == 1 &&
	    SSL_read(x->server, &byte, 1) == 1 && byte == '?' &&
	    SSL_write(x->server, "!", 1) == 1 &&
	    SSL_read(x->client, &byte, 1) == 1 && byte == '!';
}

static SSL_CTX *
server_context(const struct tls_identity *id)
{
	struct err e = ERR_INIT;
	SSL_CTX *ctx = NULL;

	ck_assert_msg(tls_server_context(id, &ctx, &e) == 0, "%s", e.msg);
	return ctx;
}

static void
assert_digest_of(const struct digest *d, const struct tls_identity *id)
{
	struct digest want;

	tls_identity_digest(id, &want);
	ck_assert(digest_equal(d, &want));
}

static const struct {
	const char *what;
	enum tls_verdict say;
	bool has_identity;
	bool connects, shows;
} cases[] = {
	{ "known", TLS_KNOWN, true, true, true },
	{ "known, nothing to show", TLS_KNOWN, false, true, false },
	{ "stranger", TLS_STRANGER, true, true, false },
	{ "refused", TLS_REFUSE, true, false, false },
};
#define CASES ((int)(sizeof(cases) / sizeof(*cases)))

/* The key to come takes the place of the key, wherever it is interrupted. */
START_TEST(advances_to_the_key_to_come)
{
	struct tls_identity *old = identity_in(&scratch, "rolled"), *next, *now;
	struct digest was, will, is;
	struct err e = ERR_INIT;
	char path[300];

	(void)snprintf(path, sizeof(path), "%s/rolled", scratch.path);
	ck_assert_int_eq(tls_identity_advance(path, &e), ERR_NOT_FOUND);
	err_clear(&e);
	next = identity_in(&scratch, "rolled/next");
	tls_identity_digest(old, &was);
	tls_identity_digest(next, &will);
	ck_assert_int_eq(fsat_unlink(scratch.fd, "rolled/cert.pem", &e), 0);
	now = identity_in(&scratch, "rolled");
	tls_identity_digest(now, &is);
	ck_assert(digest_equal(&is, &was));
	tls_identity_free(now);
	ck_assert_msg(tls_identity_advance(path, &e) == 0, "%s", e.msg);
	now = identity_in(&scratch, "rolled");
	tls_identity_digest(now, &is);
	ck_assert(digest_equal(&is, &will));
	tls_identity_free(now);
	/* The old one can be put back, and a further one made. */
	ck_assert_int_eq(fsat_rename(scratch.fd, "rolled/key.old.pem",
	                     scratch.fd, "rolled/key.pem", &e),
	    0);
	ck_assert_int_eq(fsat_unlink(scratch.fd, "rolled/cert.pem", &e), 0);
	now = identity_in(&scratch, "rolled");
	tls_identity_digest(now, &is);
	ck_assert(digest_equal(&is, &was));
	tls_identity_free(now);
	ck_assert_int_eq(tls_identity_advance(path, &e), ERR_NOT_FOUND);
	tls_identity_free(next);
	tls_identity_free(old);
}
END_TEST

START_TEST(a_certificate_is_shown_to_the_known_alone)
{
	struct verdict v = { .say = cases[_i].say };
	struct tls_client c = { .judge = judge, .arg = &v };
	SSL_CTX *ctx = server_context(server_id);
	struct digest seen;
	struct ends x;

	if (cases[_i].has_identity)
		c.identity = client_id;
	ends_open(&x, &c, ctx);
	ck_assert_msg(
	    ends_talk(&x) == cases[_i].connects, "%s", cases[_i].what);
	ck_assert_int_eq((int)c.verdict, (int)cases[_i].say);
	ck_assert_uint_eq(v.asked, 1);
	assert_digest_of(&c.peer, server_id);
	ck_assert(!c.resumed);
	ck_assert_msg(tls_peer_digest(x.server, &seen) == cases[_i].shows, "%s",
	    cases[_i].what);
	if (cases[_i].shows)
		assert_digest_of(&seen, client_id);
	ck_assert_msg((c.session != NULL) ==
	        (cases[_i].say == TLS_KNOWN && cases[_i].connects),
	    "%s", cases[_i].what);
	tls_client_release(&c);
	ends_close(&x);
	tls_context_free(ctx);
}
END_TEST

/* Leaves a session in c from a visit that went well; whether it took one up. */
static bool
visit(struct tls_client *c, SSL_CTX *ctx)
{
	struct ends x;

	ends_open(&x, c, ctx);
	ck_assert(ends_talk(&x));
	ck_assert_ptr_nonnull(c->session);
	ends_close(&x);
	return c->resumed;
}

START_TEST(a_session_is_taken_up_by_another_context)
{
	struct verdict v = { .say = TLS_KNOWN };
	struct tls_client c = {
		.judge = judge, .arg = &v, .identity = client_id
	};
	SSL_CTX *ctx = server_context(server_id);
	struct digest seen;
	struct ends x;

	visit(&c, ctx);
	for (int i = 0; i < 3; i++) { /* each visit leaves the next ticket */
		v.asked = 0;
		ends_open(&x, &c, ctx);
		ck_assert(ends_talk(&x));
		ck_assert(c.resumed);
		ck_assert_uint_eq(v.asked, 1);
		ck_assert_int_eq((int)c.verdict, (int)TLS_KNOWN);
		assert_digest_of(&c.peer, server_id);
		ck_assert(tls_peer_digest(x.server, &seen));
		assert_digest_of(&seen, client_id);
		ck_assert_ptr_nonnull(c.session);
		ends_close(&x);
	}
	tls_client_release(&c);
	tls_context_free(ctx);
}
END_TEST

START_TEST(a_session_is_not_offered_once_its_key_is_not_known)
{
	static const enum tls_verdict says[] = { TLS_REFUSE, TLS_STRANGER };
	struct verdict v = { .say = TLS_KNOWN };
	struct tls_client c = {
		.judge = judge, .arg = &v, .identity = client_id
	};
	SSL_CTX *ctx = server_context(server_id);
	struct digest seen;
	struct ends x;

	for (size_t i = 0; i < 2; i++) {
		v.say = TLS_KNOWN;
		visit(&c, ctx);
		v.say = says[i];
		ends_open(&x, &c, ctx);
		ck_assert(ends_talk(&x) == (says[i] == TLS_STRANGER));
		ck_assert(!c.resumed);
		ck_assert_int_eq((int)c.verdict, (int)says[i]);
		ck_assert(!tls_peer_digest(x.server, &seen));
		ck_assert_ptr_null(c.session);
		ends_close(&x);
	}
	tls_context_free(ctx);
}
END_TEST

START_TEST(another_server_that_gets_the_ticket_is_judged_by_its_own_key)
{
	struct verdict v = { .say = TLS_KNOWN };
	struct tls_client c = {
		.judge = judge, .arg = &v, .identity = client_id
	};
	SSL_CTX *ctx = server_context(server_id);
	SSL_CTX *other = server_context(other_id);
	struct ends x;

	visit(&c, ctx);
	ends_open(&x, &c, other);
	ck_assert(ends_talk(&x));
	ck_assert(!c.resumed);
	assert_digest_of(&c.peer, other_id);
	assert_digest_of(&v.last, other_id);
	ends_close(&x);
	tls_client_release(&c);
	tls_context_free(ctx);
	tls_context_free(other);
}
END_TEST

START_TEST(a_session_of_another_identity_is_not_offered)
{
	struct verdict v = { .say = TLS_KNOWN };
	struct tls_client c = {
		.judge = judge, .arg = &v, .identity = client_id
	};
	SSL_CTX *ctx = server_context(server_id);
	struct digest seen;
	struct ends x;

	visit(&c, ctx);
	c.identity = other_id;
	ends_open(&x, &c, ctx);
	ck_assert(ends_talk(&x));
	ck_assert(!c.resumed);
	ck_assert(tls_peer_digest(x.server, &seen));
	assert_digest_of(&seen, other_id);
	ends_close(&x);
	tls_client_release(&c);
	tls_context_free(ctx);
}
END_TEST

START_TEST(keys_of_tickets_come_and_go)
{
	const uint64_t step_ms = UINT64_C(1000) * LIMIT_TICKET_KEY_S;
	struct verdict v = { .say = TLS_KNOWN };
	struct tls_client c = {
		.judge = judge, .arg = &v, .identity = client_id
	};
	SSL_CTX *ctx = server_context(server_id);
	uint64_t now = clock_ms();

	visit(&c, ctx);
	tls_server_turn(ctx, now + step_ms);
	ck_assert(visit(&c, ctx));
	tls_server_turn(ctx, now + 3 * step_ms);
	ck_assert(!visit(&c, ctx));
	ck_assert(visit(&c, ctx));
	tls_client_release(&c);
	tls_context_free(ctx);
}
END_TEST

START_TEST(a_server_may_forget_sessions)
{
	struct verdict v = { .say = TLS_KNOWN };
	struct tls_client c = {
		.judge = judge, .arg = &v, .identity = client_id
	};
	SSL_CTX *ctx = server_context(server_id);
	struct ends x;

	visit(&c, ctx);
	tls_server_forget_sessions(ctx);
	ends_open(&x, &c, ctx);
	ck_assert(ends_talk(&x));
	ck_assert(!c.resumed);
	ck_assert_ptr_null(c.session);
	ends_close(&x);
	tls_context_free(ctx);
}
END_TEST

/* Where the bytes of a session say when its peer was proven last. */
static void
set_proven(struct tls_client *c, uint64_t seconds)
{
	for (int i = 0; i < 8; i++)
		c->session[DIGEST_BYTES + i] =
		    (uint8_t)(seconds >> (56 - 8 * i));
}

START_TEST(each_side_wants_the_other_proven_once_a_day)
{
	const time_t most = LIMIT_RESUME_S, turn = LIMIT_TICKET_KEY_S / 2;
	struct verdict v = { .say = TLS_KNOWN };
	struct tls_client c = {
		.judge = judge, .arg = &v, .identity = client_id
	};
	SSL_CTX *ctx = server_context(server_id);

	visit(&c, ctx);
	for (later = turn; later < most; later += turn)
		ck_assert(visit(&c, ctx));
	later = most - 5;
	ck_assert(visit(&c, ctx));
	later = most;
	if (_i == 1) /* as a client that lies */
		set_proven(&c, (uint64_t)time(NULL) - 1);
	ck_assert(!visit(&c, ctx));
	ck_assert(visit(&c, ctx));
	later = -100; /* of the future, when the clock is set back */
	ck_assert(!visit(&c, ctx));
	later = 0;
	tls_client_release(&c);
	tls_context_free(ctx);
}
END_TEST

START_TEST(a_session_past_its_day_is_not_offered)
{
	struct verdict v = { .say = TLS_KNOWN };
	struct tls_client c = {
		.judge = judge, .arg = &v, .identity = client_id
	};
	SSL_CTX *ctx = server_context(server_id);
	uint8_t proven[8];

	visit(&c, ctx);
	set_proven(&c, (uint64_t)time(NULL) - LIMIT_RESUME_S + 30);
	memcpy(proven, c.session + DIGEST_BYTES, sizeof(proven));
	ck_assert(visit(&c, ctx));
	ck_assert_mem_eq(c.session + DIGEST_BYTES, proven, sizeof(proven));
	set_proven(&c, (uint64_t)time(NULL) - LIMIT_RESUME_S);
	ck_assert(!visit(&c, ctx));
	set_proven(&c, UINT64_MAX);
	ck_assert(!visit(&c, ctx));
	tls_client_release(&c);
	tls_context_free(ctx);
}
END_TEST

/* A ticket as large as one message may be. */
static int
bloat(SSL *ssl, void *arg)
{
	static const uint8_t air[15000];
	const size_t *len = arg;

	return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), air, *len);
}

START_TEST(a_huge_session_is_not_kept)
{
	static size_t sizes[] = { 5000, 15000 };
	struct verdict v = { .say = TLS_KNOWN };
	struct tls_client c = {
		.judge = judge, .arg = &v, .identity = client_id
	};
	SSL_CTX *ctx = server_context(server_id);
	struct ends x;

	for (size_t i = 0; i < 2; i++) {
		SSL_CTX_set_session_ticket_cb(ctx, bloat, NULL, &sizes[i]);
		ends_open(&x, &c, ctx);
		ck_assert(ends_talk(&x));
		ck_assert((c.session != NULL) == (i == 0));
		ends_close(&x);
	}
	tls_client_release(&c);
	tls_context_free(ctx);
}
END_TEST

/* What was stored may have been damaged: the visit must still go well. */
static void
visit_with(struct tls_client *c, SSL_CTX *ctx, const uint8_t *bytes, size_t len)
{
	struct ends x;

	tls_client_release(c);
	c->session = malloc(len + 1);
	ck_assert_ptr_nonnull(c->session);
	memcpy(c->session, bytes, len);
	c->session_bytes = len;
	ends_open(&x, c, ctx);
	ck_assert(ends_talk(&x));
	ck_assert_int_eq((int)c->verdict, (int)TLS_KNOWN);
	assert_digest_of(&c->peer, server_id);
	ends_close(&x);
}

START_TEST(damaged_sessions_do_no_harm)
{
	struct verdict v = { .say = TLS_KNOWN };
	struct tls_client c = {
		.judge = judge, .arg = &v, .identity = client_id
	};
	SSL_CTX *ctx = server_context(server_id);
	uint8_t *good, *bad;
	size_t len;

	visit(&c, ctx);
	len = c.session_bytes;
	good = c.session;
	c.session = NULL;
	bad = malloc(len);
	ck_assert_ptr_nonnull(bad);
	for (size_t n = 0; n < len; n += n < 64 ? 1 : 7)
		visit_with(&c, ctx, good, n);
	/* Identity, time and the names of things; flips of the session's secret
	 * end the handshake, as they must: sessions.h has a check sum. */
	for (size_t i = 0; i < 48; i++) {
		memcpy(bad, good, len);
		bad[i] ^= 0x41;
		visit_with(&c, ctx, bad, len);
	}
	visit_with(&c, ctx, good, len);
	ck_assert(c.resumed);
	tls_client_release(&c);
	free(good);
	free(bad);
	tls_context_free(ctx);
}
END_TEST

START_TEST(tls_1_2_is_refused_by_both_sides)
{
	struct verdict v = { .say = TLS_KNOWN };
	struct tls_client c = { .judge = judge, .arg = &v };
	SSL_CTX *ctx = server_context(server_id);
	struct ends x;

	ends_open(&x, &c, ctx);
	SSL_set_min_proto_version(x.client, TLS1_2_VERSION);
	SSL_set_max_proto_version(x.client, TLS1_2_VERSION);
	ck_assert(!ends_talk(&x));
	ends_close(&x);
	ends_open(&x, &c, ctx);
	SSL_set_min_proto_version(x.server, TLS1_2_VERSION);
	SSL_set_max_proto_version(x.server, TLS1_2_VERSION);
	ck_assert(!ends_talk(&x));
	ck_assert_uint_eq(v.asked, 0);
	ck_assert(digest_is_zero(&c.peer));
	ends_close(&x);
	tls_context_free(ctx);
}
END_TEST

/* A server that has the known certificate and not its key. */
START_TEST(a_certificate_without_its_key_is_no_proof)
{
	struct verdict v = { .say = TLS_KNOWN };
	struct tls_client c = {
		.judge = judge, .arg = &v, .identity = client_id
	};
	SSL_CTX *honest = server_context(server_id);
	SSL_CTX *liar = server_context(other_id);
	EVP_PKEY *key = X509_get0_pubkey(SSL_CTX_get0_certificate(honest));
	struct digest seen;
	struct ends x;
	X509 *cert;

	/* OpenSSL takes no such pair, so its certificate is changed later; the
	 * context and the identity share it. */
	ends_open(&x, &c, liar);
	cert = SSL_get_certificate(x.server);
	ck_assert_int_eq(X509_set_pubkey(cert, key), 1);
	ck_assert(!ends_talk(&x));
	assert_digest_of(&v.last, server_id);
	ck_assert(!tls_peer_digest(x.server, &seen));
	ck_assert_ptr_null(c.session);
	ends_close(&x);
	tls_context_free(liar);
	tls_context_free(honest);
}
END_TEST

/* An operator's own key of another kind serves as well. */
START_TEST(a_p256_key_is_an_identity_too)
{
	struct verdict v = { .say = TLS_KNOWN };
	struct tls_client c = { .judge = judge, .arg = &v };
	EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	BIO *bio = BIO_new(BIO_s_mem());
	struct err e = ERR_INIT;
	struct tls_identity *id;
	SSL_CTX *ctx;
	struct ends x;
	char *pem;
	long len;

	PEM_write_bio_PKCS8PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL);
	len = BIO_get_mem_data(bio, &pem);
	ck_assert_int_eq(fsat_mkdir(scratch.fd, "p256", 0700, &e), 0);
	ck_assert_int_eq(fsat_write_file(scratch.fd, "p256/key.pem", 0600, pem,
	                     (size_t)len, &e),
	    0);
	id = identity_in(&scratch, "p256");
	ctx = server_context(id);
	ends_open(&x, &c, ctx);
	ck_assert(ends_talk(&x));
	assert_digest_of(&c.peer, id);
	ends_close(&x);
	tls_client_release(&c);
	tls_context_free(ctx);
	tls_identity_free(id);
	EVP_PKEY_free(pkey);
	BIO_free(bio);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("tls");
	TCase *t = tcase_create("tls");
	SRunner *runner;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_loop_test(
	    t, a_certificate_is_shown_to_the_known_alone, 0, CASES);
	tcase_add_test(t, advances_to_the_key_to_come);
	tcase_add_test(t, a_session_is_taken_up_by_another_context);
	tcase_add_test(t, a_session_is_not_offered_once_its_key_is_not_known);
	tcase_add_test(
	    t, another_server_that_gets_the_ticket_is_judged_by_its_own_key);
	tcase_add_test(t, a_session_of_another_identity_is_not_offered);
	tcase_add_test(t, keys_of_tickets_come_and_go);
	tcase_add_test(t, a_server_may_forget_sessions);
	tcase_add_loop_test(
	    t, each_side_wants_the_other_proven_once_a_day, 0, 2);
	tcase_add_test(t, a_session_past_its_day_is_not_offered);
	tcase_add_test(t, a_huge_session_is_not_kept);
	tcase_add_test(t, damaged_sessions_do_no_harm);
	tcase_add_test(t, tls_1_2_is_refused_by_both_sides);
	tcase_add_test(t, a_certificate_without_its_key_is_no_proof);
	tcase_add_test(t, a_p256_key_is_an_identity_too);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
