/* The HTTP server against well-behaved, slow and hostile peers. */
#include "common/http_server.h"

#include <check.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/crypto_tls.h"
#include "common/limits.h"
#include "tests/web.h"
#include "tests/peer.h"
#include "tests/scratch.h"

static void
expect(uint16_t at, const char *line, const char *fields, unsigned status)
{
	unsigned got = peer_status(at, line, fields);

	ck_assert_msg(got == status, "%s [%s]: %u instead of %u", line, fields,
	    got, status);
}

START_TEST(answers_a_request)
{
	struct peer_reply r;
	struct peer p;

	web_start((struct http_options){ 0 });
	peer_connect(&p, web_port);
	peer_get(&p, "/hello", "", &r);
	ck_assert_uint_eq(r.status, 200);
	ck_assert_str_eq(buf_str(&r.body), "hello\n");
	ck_assert_str_eq(peer_field(&r, "X-Test"), "yes");
	ck_assert_str_eq(peer_field(&r, "Content-Type"), "text/plain");
	ck_assert_str_ne(peer_field(&r, "Date"), "");
	ck_assert_uint_lt(r.head.len, 250);
	peer_reply_release(&r);
	peer_get(&p, "/unchanged", "", &r);
	ck_assert_uint_eq(r.status, 304);
	ck_assert_str_eq(peer_field(&r, "Content-Length"), "");
	peer_reply_release(&r);
	peer_ask(&p, "HEAD /big HTTP/1.1", "");
	peer_read(&p, true, &r);
	ck_assert_str_eq(peer_field(&r, "Content-Length"), "67108864");
	peer_reply_release(&r);
	peer_get(&p, "/part", "", &r);
	ck_assert_uint_eq(r.body.len, 100);
	ck_assert_int_eq(memcmp(r.body.data, "56789", 6), 0);
	peer_reply_release(&r);
	peer_get(&p, "/peer", "", &r);
	ck_assert_int_eq(strncmp(buf_str(&r.body), "127.0.0.1:", 10), 0);
	ck_assert_ptr_nonnull(strstr(buf_str(&r.body), " none\n"));
	peer_reply_release(&r);
	peer_get(&p, "/forgotten", "", &r);
	ck_assert_uint_eq(r.status, 500);
	peer_reply_release(&r);
	peer_close(&p);
	peer_stop(web_pid);
	ck_assert_uint_eq(web_shared->done, 6);
	ck_assert_uint_eq(web_shared->broken, 0);
}
END_TEST

START_TEST(keeps_a_connection_for_a_thousand_requests)
{
	struct peer_reply r;
	struct peer p;

	web_start((struct http_options){ 0 });
	peer_connect(&p, web_port);
	for (int i = 0; i < 1000; i++) {
		peer_get(&p, "/hello", "", &r);
		ck_assert_uint_eq(r.status, 200);
		peer_reply_release(&r);
	}
	ck_assert_uint_eq(web_shared->counters.accepted, 1);
	peer_close(&p);
	peer_stop(web_pid);
	ck_assert_uint_eq(web_shared->done, 1000);
	ck_assert_uint_eq(web_shared->counters.closed, 1);
}
END_TEST

START_TEST(answers_pipelined_requests_in_order)
{
	struct peer_reply r;
	struct peer p;
	struct buf all;

	web_start((struct http_options){ 0 });
	buf_init(&all, 1 << 20);
	for (int i = 0; i < 500; i++)
		buf_addf(&all,
		    "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: "
		    "4\r\n\r\n%04d\r\n",
		    i); /* with an empty line that is to be passed over */
	peer_connect(&p, web_port);
	peer_send(&p, all.data, all.len);
	for (int i = 0; i < 500; i++) {
		char want[16];

		peer_read(&p, false, &r);
		(void)snprintf(want, sizeof(want), "%04d", i);
		ck_assert_str_eq(buf_str(&r.body), want);
		peer_reply_release(&r);
	}
	buf_release(&all);
	peer_close(&p);
	peer_stop(web_pid);
}
END_TEST

START_TEST(accepts_a_request_byte_by_byte)
{
	static const char text[] =
	    "POST /echo HTTP/1.1\r\nhost: t\r\nContent-Length: 3\r\n\r\nabc";
	struct peer_reply r;
	struct peer p;

	web_start((struct http_options){ 0 });
	peer_connect(&p, web_port);
	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		peer_send(&p, text + i, 1);
		peer_nap();
	}
	peer_read(&p, false, &r);
	ck_assert_str_eq(buf_str(&r.body), "abc");
	peer_reply_release(&r);
	peer_close(&p);
	peer_stop(web_pid);
}
END_TEST

START_TEST(streams_what_has_no_length)
{
	struct peer_reply r;
	struct peer p;

	web_start((struct http_options){ 0 });
	peer_connect(&p, web_port);
	peer_get(&p, "/stream", "", &r);
	ck_assert(r.whole && r.chunked);
	ck_assert_uint_eq(r.body.len, 1000000);
	peer_reply_release(&r);
	peer_get(&p, "/empty", "", &r);
	ck_assert(r.whole && r.chunked);
	ck_assert_uint_eq(r.body.len, 0);
	peer_reply_release(&r);
	peer_ask(&p, "HEAD /stream HTTP/1.1", "");
	peer_read(&p, true, &r);
	ck_assert(r.whole && r.chunked);
	peer_reply_release(&r);
	/* HTTP/1.0 knows no chunks: the body ends with the connection. */
	peer_ask(&p, "GET /stream HTTP/1.0", "");
	peer_read(&p, false, &r);
	ck_assert(!r.chunked);
	ck_assert_uint_eq(r.body.len, 1000000);
	peer_reply_release(&r);
	peer_close(&p);
	peer_stop(web_pid);
	ck_assert_uint_eq(web_shared->released, 4);
}
END_TEST

START_TEST(breaks_off_rather_than_end_a_part)
{
	static const char *const paths[] = { "/broken", "/short" };
	struct peer_reply r;
	struct peer p;

	web_start((struct http_options){ 0 });
	for (size_t i = 0; i < 2; i++) {
		peer_connect(&p, web_port);
		peer_get(&p, paths[i], "", &r);
		ck_assert(!r.whole);
		peer_reply_release(&r);
		peer_close(&p);
	}
	peer_stop(web_pid);
	ck_assert_uint_eq(web_shared->broken, 2);
	ck_assert_uint_eq(web_shared->released, 1);
}
END_TEST

START_TEST(takes_a_body_up_to_its_limit)
{
	static uint8_t body[LIMIT_HTTP_BODY_BYTES];
	struct peer_reply r;
	struct peer p;

	web_start((struct http_options){ 0 });
	peer_connect(&p, web_port);
	memset(body, 'b', sizeof(body));
	peer_ask(&p, "POST /echo HTTP/1.1",
	    "Content-Length: 262144\r\nExpect: 100-continue\r\n");
	peer_read(&p, false, &r);
	ck_assert_uint_eq(r.status, 100);
	peer_reply_release(&r);
	peer_send(&p, body, sizeof(body));
	peer_read(&p, false, &r);
	ck_assert_uint_eq(r.status, 200);
	ck_assert_uint_eq(r.body.len, sizeof(body));
	ck_assert_int_eq(memcmp(r.body.data, body, sizeof(body)), 0);
	peer_reply_release(&r);
	/* One more byte is refused before it is sent ... */
	peer_ask(&p, "POST /echo HTTP/1.1",
	    "Content-Length: 262145\r\nExpect: 100-continue\r\n");
	peer_read(&p, false, &r);
	ck_assert_uint_eq(r.status, 413);
	peer_reply_release(&r);
	peer_close(&p);
	/* ... and one who sends it all the same hears why. */
	peer_connect(&p, web_port);
	peer_ask(&p, "POST /echo HTTP/1.1", "Content-Length: 99999999\r\n");
	for (int i = 0; i < 8; i++)
		peer_send(&p, body, sizeof(body));
	peer_read(&p, false, &r);
	ck_assert_uint_eq(r.status, 413);
	peer_reply_release(&r);
	peer_close(&p);
	peer_stop(web_pid);
}
END_TEST

START_TEST(bounds_a_flood_of_header_bytes_and_lines)
{
	struct peer_reply r;
	struct peer p;
	struct buf flood;

	web_start((struct http_options){ 0 });
	buf_init(&flood, 4 << 20);
	buf_add_str(&flood, "GET /hello HTTP/1.1\r\nHost: t\r\nX: ");
	while (flood.len < 1 << 20)
		buf_add_byte(&flood, 'y');
	peer_connect(&p, web_port);
	peer_send(&p, flood.data, flood.len);
	peer_read(&p, false, &r);
	ck_assert_uint_eq(r.status, 431);
	peer_reply_release(&r);
	peer_close(&p);
	buf_clear(&flood);
	for (int i = 0; i < HTTP_HEADERS; i++)
		buf_add_str(&flood, "X: y\r\n");
	expect(web_port, "GET /hello HTTP/1.1", buf_str(&flood), 431);
	buf_clear(&flood);
	for (int i = 0; i < HTTP_HEADERS - 1; i++)
		buf_add_str(&flood, "X: y\r\n");
	expect(web_port, "GET /hello HTTP/1.1", buf_str(&flood), 200);
	buf_release(&flood);
	peer_stop(web_pid);
}
END_TEST

START_TEST(takes_a_header_of_just_the_limit)
{
	for (size_t over = 0; over <= 1; over++) {
		char value[LIMIT_HTTP_HEADER_BYTES];
		size_t other =
		    strlen("GET /hello HTTP/1.1\r\nHost: t\r\nX: \r\n\r\n");
		size_t len = LIMIT_HTTP_HEADER_BYTES + over - other;
		struct buf fields;

		web_start((struct http_options){ 0 });
		buf_init(&fields, 32768);
		memset(value, 'v', len);
		buf_add_str(&fields, "X: ");
		buf_add(&fields, value, len);
		buf_add_str(&fields, "\r\n");
		expect(web_port, "GET /hello HTTP/1.1", buf_str(&fields),
		    over ? 431 : 200);
		buf_release(&fields);
		peer_stop(web_pid);
	}
}
END_TEST

START_TEST(drops_peers_that_are_slow_to_ask)
{
	static const char *const parts[] = {
		"", "GET /hello HT",
		"POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\nab"
	};

	web_start((struct http_options){ .header_ms = 50 });
	for (size_t i = 0; i < 3; i++) {
		struct peer p;

		peer_connect(&p, web_port);
		peer_send(&p, parts[i], strlen(parts[i]));
		peer_expect_end(&p);
		peer_close(&p);
	}
	peer_stop(web_pid);
	ck_assert_uint_eq(web_shared->counters.timed_out, 2);
	ck_assert_uint_eq(web_shared->handled, 0);
}
END_TEST

START_TEST(closes_connections_that_stay_idle)
{
	struct peer_reply r;
	struct peer p;

	web_start((struct http_options){ .idle_ms = 50 });
	peer_connect(&p, web_port);
	peer_get(&p, "/hello", "", &r);
	ck_assert_uint_eq(r.status, 200);
	peer_reply_release(&r);
	peer_expect_end(&p);
	peer_close(&p);
	peer_stop(web_pid);
}
END_TEST

START_TEST(makes_room_by_closing_the_oldest_idle_connection)
{
	struct peer peers[5];
	struct peer_reply r;

	web_start((struct http_options){ .max_connections = 4 });
	for (size_t i = 0; i < 5; i++) {
		peer_connect(&peers[i], web_port);
		peer_get(&peers[i], "/hello", "", &r);
		ck_assert_uint_eq(r.status, 200);
		peer_reply_release(&r);
	}
	peer_expect_end(&peers[0]);
	peer_get(&peers[1], "/hello", "", &r);
	ck_assert_uint_eq(r.status, 200);
	peer_reply_release(&r);
	for (size_t i = 0; i < 5; i++)
		peer_close(&peers[i]);
	peer_stop(web_pid);
	ck_assert_uint_eq(web_shared->counters.evicted, 1);
}
END_TEST

START_TEST(waits_with_new_connections_while_all_are_busy)
{
	struct peer busy[4], next;
	struct peer_reply r;

	web_start((struct http_options){ .max_connections = 4 });
	for (size_t i = 0; i < 4; i++) {
		peer_connect(&busy[i], web_port);
		peer_ask(&busy[i], "GET /hold HTTP/1.1", "");
	}
	PEER_WAIT(web_shared->handled == 4);
	peer_connect(&next, web_port);
	peer_ask(&next, "GET /hello HTTP/1.1", "");
	peer_close(&busy[2]);
	peer_read(&next, false, &r);
	ck_assert_uint_eq(r.status, 200);
	peer_reply_release(&r);
	peer_close(&next);
	for (size_t i = 0; i < 4; i++)
		if (i != 2)
			peer_close(&busy[i]);
	peer_stop(web_pid);
	ck_assert_uint_eq(web_shared->counters.evicted, 0);
}
END_TEST

/* AddressSanitizer keeps what was freed for a while. */
#ifdef PECIA_NO_SANDBOX
# define SLOW_READERS_KB (512UL * 1024)
#else
# define SLOW_READERS_KB (16UL * 1024)
#endif

START_TEST(holds_little_for_slow_readers)
{
	struct peer slow[32];
	struct peer_reply r;
	unsigned long before;

	web_start((struct http_options){ 0 });
	peer_connect(&slow[0], web_port);
	peer_get(&slow[0], "/big", "", &r);
	ck_assert_uint_eq(r.body.len, BIG_BYTES);
	peer_reply_release(&r);
	peer_close(&slow[0]);
	before = peer_memory_kb(web_pid);
	for (size_t i = 0; i < 32; i++) {
		peer_connect(&slow[i], web_port);
		peer_ask(&slow[i], "GET /big HTTP/1.1", "");
	}
	for (size_t i = 0; i < 32; i++)
		PEER_WAIT(peer_poll(&slow[i]) > 0);
	/* 32 times 64 MB were asked for. */
	ck_assert_uint_lt(peer_memory_kb(web_pid), before + SLOW_READERS_KB);
	for (size_t i = 0; i < 32; i++)
		peer_close(&slow[i]);
	peer_stop(web_pid);
	ck_assert_uint_eq(web_shared->broken, 32);
}
END_TEST

START_TEST(drops_a_reader_that_stands_still)
{
	struct peer_reply r;
	struct peer p;

	web_start((struct http_options){ .stall_ms = 50 });
	peer_connect(&p, web_port);
	peer_ask(&p, "GET /big HTTP/1.1", "");
	PEER_WAIT(web_shared->counters.timed_out == 1);
	peer_read(&p, false, &r);
	ck_assert(!r.whole);
	peer_reply_release(&r);
	peer_close(&p);
	peer_stop(web_pid);
	ck_assert_uint_eq(web_shared->broken, 1);
}
END_TEST

START_TEST(keeps_a_reader_that_is_slow_but_moves)
{
	uint8_t piece[65536];
	uint64_t got = 0;
	struct peer p;
	int small = 65536;

	web_start((struct http_options){ .stall_ms = 400 });
	peer_connect(&p, web_port);
	ck_assert_int_eq(
	    setsockopt(p.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
	peer_ask(&p, "GET /big HTTP/1.1", "");
	/* Some 10 MB/s: several stall times long, never standing still. */
	while (got < (8 << 20)) {
		ssize_t n = recv(p.fd, piece, sizeof(piece), 0);

		ck_assert_int_gt(n, 0);
		got += (uint64_t)n;
		peer_nap();
	}
	ck_assert_uint_eq(web_shared->counters.timed_out, 0);
	peer_close(&p);
	peer_stop(web_pid);
}
END_TEST

START_TEST(answers_held_requests_when_told_or_in_time)
{
	struct peer waiting[3], p;
	struct peer_reply r;

	web_start((struct http_options){ 0 });
	for (size_t i = 0; i < 3; i++) {
		peer_connect(&waiting[i], web_port);
		peer_ask(&waiting[i], "GET /hold HTTP/1.1", "");
	}
	PEER_WAIT(web_shared->handled == 3);
	/* One goes away; only `done` is called for it. */
	peer_close(&waiting[1]);
	PEER_WAIT(web_shared->broken == 1);
	peer_connect(&p, web_port);
	peer_get(&p, "/answer", "", &r);
	peer_reply_release(&r);
	for (size_t i = 0; i < 3; i += 2) {
		peer_read(&waiting[i], false, &r);
		ck_assert_str_eq(buf_str(&r.body), "answered\n");
		peer_reply_release(&r);
		peer_close(&waiting[i]);
	}
	peer_get(&p, "/nap", "", &r);
	ck_assert_str_eq(buf_str(&r.body), "woken\n");
	peer_reply_release(&r);
	peer_close(&p);
	peer_stop(web_pid);
}
END_TEST

START_TEST(ends_cleanly_on_term)
{
	struct peer waiting, reading, idle;
	struct peer_reply r;
	int status = 0;

	web_start((struct http_options){ 0 });
	peer_connect(&idle, web_port);
	peer_get(&idle, "/hello", "", &r);
	peer_reply_release(&r);
	peer_connect(&waiting, web_port);
	peer_ask(&waiting, "GET /hold HTTP/1.1", "");
	peer_connect(&reading, web_port);
	peer_ask(&reading, "GET /big HTTP/1.1", "");
	PEER_WAIT(web_shared->handled == 3);
	ck_assert_int_eq(kill(web_pid, SIGTERM), 0);
	peer_expect_end(&idle);
	peer_read(&waiting, false, &r);
	ck_assert_str_eq(buf_str(&r.body), "woken\n");
	ck_assert_str_eq(peer_field(&r, "Connection"), "close");
	peer_reply_release(&r);
	peer_read(&reading, false, &r);
	ck_assert(r.whole);
	ck_assert_uint_eq(r.body.len, BIG_BYTES);
	peer_reply_release(&r);
	ck_assert_int_eq(waitpid(web_pid, &status, 0), web_pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	ck_assert_uint_eq(web_shared->stopping_wakes, 1);
	ck_assert_uint_eq(web_shared->done, 3);
	ck_assert_uint_eq(web_shared->broken, 0);
	peer_close(&idle);
	peer_close(&waiting);
	peer_close(&reading);
}
END_TEST

START_TEST(calls_watches_timers_and_hangup)
{
	web_start((struct http_options){ 0 });
	PEER_WAIT(web_shared->ticks >= 3);
	ck_assert_int_eq(write(web_pipe[1], "ab", 2), 2);
	PEER_WAIT(web_shared->watched == 2);
	ck_assert_int_eq(kill(web_pid, SIGHUP), 0);
	PEER_WAIT(web_shared->hangups == 1);
	peer_stop(web_pid);
}
END_TEST

START_TEST(listens_on_numeric_addresses_only)
{
	static const char *const bad[] = { "localhost:1", "127.0.0.1", "[::1]",
		"127.0.0.1:65536", "", ":80", "300.1.1.1:80" };
	struct err e = ERR_INIT;
	uint16_t bound = 0;
	int fd = -1, again = -1;
	char taken[32];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err_clear(&e);
		ck_assert_msg(http_listen(bad[i], &fd, &e) != 0, "%s", bad[i]);
		ck_assert_str_ne(e.msg, "");
	}
	ck_assert_int_eq(http_listen("127.0.0.1:0", &fd, &e), 0);
	ck_assert_int_eq(http_port_of(fd, &bound, &e), 0);
	ck_assert_uint_gt(bound, 0);
	(void)snprintf(taken, sizeof(taken), "127.0.0.1:%u", bound);
	ck_assert_int_eq(http_listen(taken, &again, &e), ERR_SYS);
	ck_assert_ptr_nonnull(strstr(e.msg, taken));
	close(fd);
}
END_TEST

struct tls_pair {
	struct scratch dir;
	struct tls_identity *server, *client;
	struct ssl_ctx_st *ctx;
};

static void
make_identities(struct tls_pair *t)
{
	struct err e = ERR_INIT;
	char path[300];

	scratch_make(&t->dir);
	(void)snprintf(path, sizeof(path), "%s/server", t->dir.path);
	ck_assert_msg(
	    tls_identity_open(path, true, &t->server, &e) == 0, "%s", e.msg);
	(void)snprintf(path, sizeof(path), "%s/client", t->dir.path);
	ck_assert_int_eq(tls_identity_open(path, true, &t->client, &e), 0);
	ck_assert_int_eq(tls_server_context(t->server, &t->ctx, &e), 0);
}

static void
free_identities(struct tls_pair *t)
{
	tls_context_free(t->ctx);
	tls_identity_free(t->client);
	tls_identity_free(t->server);
	scratch_remove(&t->dir);
}

static enum tls_verdict
judge_known(void *arg, const struct digest *spki)
{
	struct digest want;

	tls_identity_digest(arg, &want);
	return digest_equal(spki, &want) ? TLS_KNOWN : TLS_REFUSE;
}

/* Sends one request over TLS and reads until the server closes. */
static void
ask_tls(struct tls_pair *t, const char *request, struct buf *answer)
{
	struct tls_client judge = {
		.identity = t->client, .judge = judge_known, .arg = t->server
	};
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	struct err e = ERR_INIT;
	struct peer p;
	uint8_t *room;
	SSL *ssl;
	int n = 0;

	ck_assert_int_eq(tls_client_attach(&judge, ctx, &e), 0);
	ssl = SSL_new(ctx);
	peer_connect(&p, web_port);
	SSL_set_fd(ssl, p.fd);
	ck_assert_int_eq(SSL_connect(ssl), 1);
	ck_assert_int_eq(SSL_write(ssl, request, (int)strlen(request)),
	    (int)strlen(request));
	while ((room = buf_reserve(answer, 65536)) != NULL &&
	    (n = SSL_read(ssl, room, 65536)) > 0)
		buf_commit(answer, (size_t)n);
	/* It said goodbye before it closed. */
	ck_assert_int_eq(SSL_get_error(ssl, n), SSL_ERROR_ZERO_RETURN);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	tls_client_release(&judge);
	peer_close(&p);
}

START_TEST(serves_over_tls_and_knows_the_peers_key)
{
	char hex[DIGEST_HEX];
	struct digest own;
	struct tls_pair t;
	struct buf answer;

	make_identities(&t);
	web_start((struct http_options){ .tls = t.ctx });
	buf_init(&answer, (size_t)128 << 20);
	ask_tls(&t,
	    "GET /peer HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n",
	    &answer);
	tls_identity_digest(t.client, &own);
	digest_hex(&own, hex);
	ck_assert_ptr_nonnull(strstr(buf_str(&answer), hex));
	buf_clear(&answer);
	ask_tls(&t, "GET /big HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n",
	    &answer);
	ck_assert_uint_gt(answer.len, BIG_BYTES);
	buf_release(&answer);
	peer_stop(web_pid);
	ck_assert_uint_eq(web_shared->broken, 0);
	free_identities(&t);
}
END_TEST

START_TEST(counts_handshakes_that_fail)
{
	struct tls_pair t;
	struct peer p;

	make_identities(&t);
	web_start((struct http_options){ .tls = t.ctx, .header_ms = 100 });
	peer_connect(&p, web_port);
	peer_send(&p, "GET / HTTP/1.1\r\n\r\n", 18);
	PEER_WAIT(web_shared->counters.tls_failed == 1);
	peer_close(&p);
	/* One that says nothing at all. */
	peer_connect(&p, web_port);
	peer_expect_end(&p);
	peer_close(&p);
	peer_stop(web_pid);
	ck_assert_uint_eq(web_shared->counters.accepted, 2);
	ck_assert_uint_eq(web_shared->counters.closed, 2);
	free_identities(&t);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("http_server");
	TCase *plain = tcase_create("plain"), *tls = tcase_create("tls");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(plain, web_set_up, NULL);
	tcase_add_checked_fixture(tls, web_set_up, NULL);
	tcase_set_timeout(plain, 60);
	tcase_set_timeout(tls, 60);
	tcase_add_test(plain, answers_a_request);
	tcase_add_test(plain, keeps_a_connection_for_a_thousand_requests);
	tcase_add_test(plain, answers_pipelined_requests_in_order);
	tcase_add_test(plain, accepts_a_request_byte_by_byte);
	tcase_add_test(plain, streams_what_has_no_length);
	tcase_add_test(plain, breaks_off_rather_than_end_a_part);
	tcase_add_test(plain, takes_a_body_up_to_its_limit);
	tcase_add_test(plain, bounds_a_flood_of_header_bytes_and_lines);
	tcase_add_test(plain, takes_a_header_of_just_the_limit);
	tcase_add_test(plain, drops_peers_that_are_slow_to_ask);
	tcase_add_test(plain, closes_connections_that_stay_idle);
	tcase_add_test(plain, makes_room_by_closing_the_oldest_idle_connection);
	tcase_add_test(plain, waits_with_new_connections_while_all_are_busy);
	tcase_add_test(plain, holds_little_for_slow_readers);
	tcase_add_test(plain, drops_a_reader_that_stands_still);
	tcase_add_test(plain, keeps_a_reader_that_is_slow_but_moves);
	tcase_add_test(plain, answers_held_requests_when_told_or_in_time);
	tcase_add_test(plain, ends_cleanly_on_term);
	tcase_add_test(plain, calls_watches_timers_and_hangup);
	tcase_add_test(plain, listens_on_numeric_addresses_only);
	tcase_add_test(tls, serves_over_tls_and_knows_the_peers_key);
	tcase_add_test(tls, counts_handshakes_that_fail);
	suite_add_tcase(suite, plain);
	suite_add_tcase(suite, tls);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
