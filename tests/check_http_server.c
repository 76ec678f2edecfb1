/* The HTTP server against well-behaved, slow and hostile peers. */
#include "common/http_server.h"

#include <check.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/crypto_tls.h"
#include "common/limits.h"
#include "tests/peer.h"
#include "tests/scratch.h"

#define BIG_BYTES ((uint64_t)64 << 20)

/* Written by the server process, read by the test. */
struct shared {
	struct http_counters counters;
	_Atomic uint64_t done, broken, handled, released;
	_Atomic uint64_t hangups, ticks, watched;
	_Atomic uint64_t last_status, last_bytes, stopping_wakes;
};

static struct shared *shared;
static struct http_server *server; /* in the server process */
static struct http_request *held[16];
static size_t held_count;
static int big_fd = -1;
static int pipe_fds[2];
static uint16_t port;
static pid_t server_pid;

static int
produce(void *arg, uint8_t *dst, size_t size, size_t *got, struct err *e)
{
	uint64_t *left = arg;
	size_t n = *left < size ? (size_t)*left : size;

	if (*left == UINT64_MAX)
		return err_set(e, ERR_SYS, "the source broke");
	/* The last of these is the one that fails. */
	if (*left > UINT64_MAX - 3) {
		++*left;
		n = 1000;
	} else {
		*left -= n;
	}
	memset(dst, 'x', n);
	*got = n;
	return 0;
}

static void
release(void *arg)
{
	atomic_fetch_add(&shared->released, 1);
	free(arg);
}

static void
reply_stream(struct http_request *r, uint64_t bytes)
{
	uint64_t *left = malloc(sizeof(*left));

	*left = bytes;
	http_reply_stream(r, 200, produce, release, left);
}

static void
on_wake(void *arg, struct http_request *r)
{
	(void)arg;
	if (http_server_is_stopping(server))
		atomic_fetch_add(&shared->stopping_wakes, 1);
	http_reply_text(r, 200, "woken");
}

static void
answer_held(void)
{
	for (size_t i = 0; i < held_count; i++)
		http_reply_text(held[i], 200, "answered");
	held_count = 0;
}

static void
reply_peer(struct http_request *r)
{
	char text[HTTP_PEER_BYTES + DIGEST_HEX + 2], hex[DIGEST_HEX] = "none";
	struct digest key;

	if (http_request_peer_key(r, &key))
		digest_hex(&key, hex);
	snprintf(text, sizeof(text), "%s %s", http_request_peer(r), hex);
	http_reply_text(r, 200, text);
}

static void
reply_query(struct http_request *r)
{
	char value[16], text[32];
	int rc = http_request_query(r, "q", value, sizeof(value));

	snprintf(text, sizeof(text), "%d %s", rc, rc == 0 ? value : "");
	http_reply_text(r, 200, text);
}

static void
handler(void *arg, struct http_request *r)
{
	const char *path = http_request_path(r);
	const uint8_t *body;
	size_t len;

	(void)arg;
	atomic_fetch_add(&shared->handled, 1);
	body = http_request_body(r, &len);
	if (strcmp(path, "/hello") == 0) {
		http_reply_header(r, "X-Test", "yes");
		http_reply_text(r, 200, "hello");
	} else if (strcmp(path, "/echo") == 0) {
		http_reply(r, 200, NULL, body, len);
	} else if (strcmp(path, "/big") == 0) {
		http_reply_file(r, 200, dup(big_fd), 0, BIG_BYTES);
	} else if (strcmp(path, "/part") == 0) {
		http_reply_file(r, 206, dup(big_fd), 5, 100);
	} else if (strcmp(path, "/short") == 0) {
		http_reply_file(r, 200, dup(big_fd), BIG_BYTES - 10, 20);
	} else if (strcmp(path, "/stream") == 0) {
		reply_stream(r, 1000000);
	} else if (strcmp(path, "/empty") == 0) {
		reply_stream(r, 0);
	} else if (strcmp(path, "/broken") == 0) {
		reply_stream(r, UINT64_MAX - 2);
	} else if (strcmp(path, "/unchanged") == 0) {
		http_reply(r, 304, NULL, NULL, 0);
	} else if (strcmp(path, "/hold") == 0) {
		held[held_count++] = r;
		http_hold(r, 60000, on_wake, NULL);
	} else if (strcmp(path, "/nap") == 0) {
		http_hold(r, 20, on_wake, NULL);
	} else if (strcmp(path, "/answer") == 0) {
		answer_held();
		http_reply_text(r, 200, "done");
	} else if (strcmp(path, "/peer") == 0) {
		reply_peer(r);
	} else if (strcmp(path, "/query") == 0) {
		reply_query(r);
	} else if (strcmp(path, "/forgotten") != 0) {
		http_reply_text(r, 404, path);
	}
}

static void
on_done(void *arg, struct http_request *r)
{
	struct http_result result;

	(void)arg;
	for (size_t i = 0; i < held_count; i++)
		if (held[i] == r)
			held[i] = held[--held_count];
	http_request_result(r, &result);
	atomic_store(&shared->last_status, result.status);
	atomic_store(&shared->last_bytes, result.body_bytes);
	if (!result.complete)
		atomic_fetch_add(&shared->broken, 1);
	atomic_fetch_add(&shared->done, 1);
}

static void
on_hangup(void *arg)
{
	(void)arg;
	atomic_fetch_add(&shared->hangups, 1);
}

static void
on_tick(void *arg)
{
	atomic_fetch_add((_Atomic uint64_t *)arg, 1);
}

static void
on_pipe(void *arg)
{
	char c;

	(void)arg;
	if (read(pipe_fds[0], &c, 1) == 1)
		atomic_fetch_add(&shared->watched, 1);
}

static int
serve(struct http_options *o)
{
	struct http_watch *watch = NULL;
	struct http_timer *timer = NULL;
	struct err e = ERR_INIT;
	int rc;

	o->handler = handler;
	o->done = on_done;
	o->hangup = on_hangup;
	o->counters = &shared->counters;
	rc = http_server_new(o, &server, &e);
	if (rc == 0)
		rc = http_watch_new(
		    server, pipe_fds[0], on_pipe, NULL, &watch, &e);
	if (rc == 0)
		rc = http_timer_new(
		    server, 5, on_tick, &shared->ticks, &timer, &e);
	if (rc == 0)
		rc = http_server_run(server, &e);
	if (rc != 0)
		fprintf(stderr, "server: %s\n", e.msg);
	http_watch_free(watch);
	http_timer_free(timer);
	http_server_free(server);
	return rc;
}

static void
start(struct http_options options)
{
	struct err e = ERR_INIT;
	int fd = -1;

	ck_assert_msg(http_listen("127.0.0.1:0", &fd, &e) == 0, "%s", e.msg);
	ck_assert_int_eq(http_port_of(fd, &port, &e), 0);
	ck_assert_int_eq(pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK), 0);
	options.listen_fds = &fd;
	options.listen_count = 1;
	server_pid = fork();
	ck_assert_int_ge(server_pid, 0);
	if (server_pid == 0) {
		int rc = serve(&options);

		close(fd);
		tls_context_free(options.tls);
		exit(rc == 0 ? 0 : 1);
	}
	close(fd);
}

/* In each test's own process. */
static void
set_up(void)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(shared, MAP_FAILED);
	big_fd = memfd_create("big", MFD_CLOEXEC);
	ck_assert_int_ge(big_fd, 0);
	ck_assert_int_eq(ftruncate(big_fd, (off_t)BIG_BYTES), 0);
	ck_assert_int_eq(pwrite(big_fd, "0123456789", 10, 0), 10);
}

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

	start((struct http_options){ 0 });
	peer_connect(&p, port);
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
	peer_stop(server_pid);
	ck_assert_uint_eq(shared->done, 6);
	ck_assert_uint_eq(shared->broken, 0);
}
END_TEST

START_TEST(keeps_a_connection_for_a_thousand_requests)
{
	struct peer_reply r;
	struct peer p;

	start((struct http_options){ 0 });
	peer_connect(&p, port);
	for (int i = 0; i < 1000; i++) {
		peer_get(&p, "/hello", "", &r);
		ck_assert_uint_eq(r.status, 200);
		peer_reply_release(&r);
	}
	ck_assert_uint_eq(shared->counters.accepted, 1);
	peer_close(&p);
	peer_stop(server_pid);
	ck_assert_uint_eq(shared->done, 1000);
	ck_assert_uint_eq(shared->counters.closed, 1);
}
END_TEST

START_TEST(answers_pipelined_requests_in_order)
{
	struct peer_reply r;
	struct peer p;
	struct buf all;

	start((struct http_options){ 0 });
	buf_init(&all, 1 << 20);
	for (int i = 0; i < 500; i++)
		buf_addf(&all,
		    "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: "
		    "4\r\n\r\n%04d\r\n",
		    i); /* with an empty line that is to be passed over */
	peer_connect(&p, port);
	peer_send(&p, all.data, all.len);
	for (int i = 0; i < 500; i++) {
		char want[5];

		peer_read(&p, false, &r);
		snprintf(want, sizeof(want), "%04d", i);
		ck_assert_str_eq(buf_str(&r.body), want);
		peer_reply_release(&r);
	}
	buf_release(&all);
	peer_close(&p);
	peer_stop(server_pid);
}
END_TEST

START_TEST(accepts_a_request_byte_by_byte)
{
	static const char text[] =
	    "POST /echo HTTP/1.1\r\nhost: t\r\nContent-Length: 3\r\n\r\nabc";
	struct peer_reply r;
	struct peer p;

	start((struct http_options){ 0 });
	peer_connect(&p, port);
	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		peer_send(&p, text + i, 1);
		peer_nap();
	}
	peer_read(&p, false, &r);
	ck_assert_str_eq(buf_str(&r.body), "abc");
	peer_reply_release(&r);
	peer_close(&p);
	peer_stop(server_pid);
}
END_TEST

START_TEST(streams_what_has_no_length)
{
	struct peer_reply r;
	struct peer p;

	start((struct http_options){ 0 });
	peer_connect(&p, port);
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
	peer_stop(server_pid);
	ck_assert_uint_eq(shared->released, 4);
}
END_TEST

START_TEST(breaks_off_rather_than_end_a_part)
{
	static const char *const paths[] = { "/broken", "/short" };
	struct peer_reply r;
	struct peer p;

	start((struct http_options){ 0 });
	for (size_t i = 0; i < 2; i++) {
		peer_connect(&p, port);
		peer_get(&p, paths[i], "", &r);
		ck_assert(!r.whole);
		peer_reply_release(&r);
		peer_close(&p);
	}
	peer_stop(server_pid);
	ck_assert_uint_eq(shared->broken, 2);
	ck_assert_uint_eq(shared->released, 1);
}
END_TEST

static const struct {
	const char *line, *fields;
	unsigned status;
} requests[] = {
	{ "GET /hello HTTP/1.1", "", 200 },
	{ "GET /hello?x=1 HTTP/1.1", "", 200 },
	{ "GET /%68ello HTTP/1.1", "", 200 },
	{ "GET http://other.example/hello HTTP/1.1", "", 200 },
	{ "GET /hello HTTP/1.1", "X-Empty:\r\nX-Tab:\ta b\t\r\n", 200 },
	{ "GET /hello HTTP/1.1", "Content-Length: 0\r\n", 200 },
	{ "GET /else HTTP/1.1", "", 404 },
	{ "GET /../hello HTTP/1.1", "", 400 },
	{ "GET /%2e%2e/hello HTTP/1.1", "", 400 },
	{ "GET /%2E/hello HTTP/1.1", "", 400 },
	{ "GET /a/.. HTTP/1.1", "", 400 },
	{ "GET /a/. HTTP/1.1", "", 400 },
	{ "GET //hello HTTP/1.1", "", 400 },
	{ "GET /hello/ HTTP/1.1", "", 400 },
	{ "GET /..%5chello HTTP/1.1", "", 400 },
	{ "GET /a\\b HTTP/1.1", "", 400 },
	{ "GET /a%2fb HTTP/1.1", "", 400 },
	{ "GET /a%00b HTTP/1.1", "", 400 },
	{ "GET /a%0ab HTTP/1.1", "", 400 },
	{ "GET /a%7fb HTTP/1.1", "", 400 },
	{ "GET /a% HTTP/1.1", "", 400 },
	{ "GET /a%4 HTTP/1.1", "", 400 },
	{ "GET /a%zz HTTP/1.1", "", 400 },
	{ "GET /%252e%252e HTTP/1.1", "", 404 }, /* decoded once */
	{ "GET /a#b HTTP/1.1", "", 400 },
	{ "GET /a\x80 HTTP/1.1", "", 400 },
	{ "GET hello HTTP/1.1", "", 400 },
	{ "GET * HTTP/1.1", "", 400 },
	{ "GET http://other.example HTTP/1.1", "", 400 },
	{ "GET /hello", "", 400 },
	{ "GET  /hello HTTP/1.1", "", 400 },
	{ "GET /hello  HTTP/1.1", "", 400 },
	{ "GET /hello HTTP/1.1 ", "", 505 },
	{ "GET /hello HTTP/2.0", "", 505 },
	{ "GET /hello FTP/1.1", "", 400 },
	{ "PUT /hello HTTP/1.1", "", 405 },
	{ "get /hello HTTP/1.1", "", 405 },
	{ "G\x01T /hello HTTP/1.1", "", 400 },
	{ "GET /hello HTTP/1.1", "Host: again\r\n", 400 },
	{ "GET /hello HTTP/1.1", "Range: a\r\nRange: b\r\n", 400 },
	{ "GET /hello HTTP/1.1", "no colon\r\n", 400 },
	{ "GET /hello HTTP/1.1", ": no name\r\n", 400 },
	{ "GET /hello HTTP/1.1", "Name : x\r\n", 400 },
	{ "GET /hello HTTP/1.1", "A: b\r\n folded\r\n", 400 },
	{ "GET /hello HTTP/1.1", "A: b\nC: d\r\n", 400 },
	{ "GET /hello HTTP/1.1", "A: b\rC: d\r\n", 400 },
	{ "GET /hello HTTP/1.1", "A: \x01\r\n", 400 },
	{ "POST /echo HTTP/1.1", "", 411 },
	{ "POST /echo HTTP/1.1", "Transfer-Encoding: chunked\r\n", 411 },
	{ "POST /echo HTTP/1.1",
	    "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", 400 },
	{ "POST /echo HTTP/1.1", "Content-Length: 0\r\n", 200 },
	{ "POST /echo HTTP/1.1", "Content-Length: -1\r\n", 400 },
	{ "POST /echo HTTP/1.1", "Content-Length: 1x\r\n", 400 },
	{ "POST /echo HTTP/1.1", "Content-Length: 01\r\n", 400 },
	{ "POST /echo HTTP/1.1", "Content-Length: 9999999999999999999\r\n",
	    400 },
	{ "POST /echo HTTP/1.1", "Content-Length: 0\r\nContent-Length: 0\r\n",
	    400 },
	{ "POST /echo HTTP/1.1", "Content-Length: 262145\r\n", 413 },
	{ "POST /echo HTTP/1.1", "Content-Length: 0\r\nExpect: magic\r\n",
	    417 },
};

START_TEST(takes_only_requests_with_one_reading)
{
	start((struct http_options){ 0 });
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		expect(port, requests[i].line, requests[i].fields,
		    requests[i].status);
	peer_stop(server_pid);
	ck_assert_uint_eq(shared->broken, 0);
}
END_TEST

START_TEST(refuses_requests_with_nul_or_without_host)
{
	static const struct {
		const char *text;
		size_t len;
	} raw[] = {
		{ "GET /he\0llo HTTP/1.1\r\nHost: t\r\n\r\n", 36 },
		{ "GET /hello HTTP/1.1\r\nHost: t\0\r\n\r\n", 34 },
		{ "GET /hello HTTP/1.1\r\n\r\n", 23 },
	};

	start((struct http_options){ 0 });
	for (size_t i = 0; i < 3; i++) {
		struct peer_reply r;
		struct peer p;

		peer_connect(&p, port);
		peer_send(&p, raw[i].text, raw[i].len);
		peer_read(&p, false, &r);
		ck_assert_uint_eq(r.status, 400);
		peer_expect_end(&p);
		peer_reply_release(&r);
		peer_close(&p);
	}
	peer_stop(server_pid);
	ck_assert_uint_eq(shared->counters.malformed, 3);
}
END_TEST

START_TEST(decodes_query_parameters)
{
	static const struct {
		const char *path, *answer;
	} rows[] = {
		{ "/query?q=abc", "0 abc\n" },
		{ "/query?a=1&q=a%20b+c&z", "0 a b c\n" },
		{ "/query?q=", "0 \n" },
		{ "/query", "-2 \n" },
		{ "/query?qq=1&q", "-2 \n" },
		{ "/query?q=1&q=1", "-3 \n" },
		{ "/query?q=%4", "-3 \n" },
		{ "/query?q=%4&x", "-3 \n" },
		{ "/query?q=%00", "-3 \n" },
		{ "/query?q=123456789012345", "0 123456789012345\n" },
		{ "/query?q=1234567890123456", "-5 \n" },
	};

	start((struct http_options){ 0 });
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct peer_reply r;
		struct peer p;

		peer_connect(&p, port);
		peer_get(&p, rows[i].path, "", &r);
		ck_assert_str_eq(buf_str(&r.body), rows[i].answer);
		peer_reply_release(&r);
		peer_close(&p);
	}
	peer_stop(server_pid);
}
END_TEST

START_TEST(takes_a_body_up_to_its_limit)
{
	static uint8_t body[LIMIT_HTTP_BODY_BYTES];
	struct peer_reply r;
	struct peer p;

	start((struct http_options){ 0 });
	peer_connect(&p, port);
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
	peer_connect(&p, port);
	peer_ask(&p, "POST /echo HTTP/1.1", "Content-Length: 99999999\r\n");
	for (int i = 0; i < 8; i++)
		peer_send(&p, body, sizeof(body));
	peer_read(&p, false, &r);
	ck_assert_uint_eq(r.status, 413);
	peer_reply_release(&r);
	peer_close(&p);
	peer_stop(server_pid);
}
END_TEST

START_TEST(bounds_a_flood_of_header_bytes_and_lines)
{
	struct peer_reply r;
	struct peer p;
	struct buf flood;

	start((struct http_options){ 0 });
	buf_init(&flood, 4 << 20);
	buf_add_str(&flood, "GET /hello HTTP/1.1\r\nHost: t\r\nX: ");
	while (flood.len < 1 << 20)
		buf_add_byte(&flood, 'y');
	peer_connect(&p, port);
	peer_send(&p, flood.data, flood.len);
	peer_read(&p, false, &r);
	ck_assert_uint_eq(r.status, 431);
	peer_reply_release(&r);
	peer_close(&p);
	buf_clear(&flood);
	for (int i = 0; i < HTTP_HEADERS; i++)
		buf_add_str(&flood, "X: y\r\n");
	expect(port, "GET /hello HTTP/1.1", buf_str(&flood), 431);
	buf_clear(&flood);
	for (int i = 0; i < HTTP_HEADERS - 1; i++)
		buf_add_str(&flood, "X: y\r\n");
	expect(port, "GET /hello HTTP/1.1", buf_str(&flood), 200);
	buf_release(&flood);
	peer_stop(server_pid);
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

		start((struct http_options){ 0 });
		buf_init(&fields, 32768);
		memset(value, 'v', len);
		buf_add_str(&fields, "X: ");
		buf_add(&fields, value, len);
		buf_add_str(&fields, "\r\n");
		expect(port, "GET /hello HTTP/1.1", buf_str(&fields),
		    over ? 431 : 200);
		buf_release(&fields);
		peer_stop(server_pid);
	}
}
END_TEST

START_TEST(drops_peers_that_are_slow_to_ask)
{
	static const char *const parts[] = {
		"", "GET /hello HT",
		"POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\nab"
	};

	start((struct http_options){ .header_ms = 50 });
	for (size_t i = 0; i < 3; i++) {
		struct peer p;

		peer_connect(&p, port);
		peer_send(&p, parts[i], strlen(parts[i]));
		peer_expect_end(&p);
		peer_close(&p);
	}
	peer_stop(server_pid);
	ck_assert_uint_eq(shared->counters.timed_out, 2);
	ck_assert_uint_eq(shared->handled, 0);
}
END_TEST

START_TEST(closes_connections_that_stay_idle)
{
	struct peer_reply r;
	struct peer p;

	start((struct http_options){ .idle_ms = 50 });
	peer_connect(&p, port);
	peer_get(&p, "/hello", "", &r);
	ck_assert_uint_eq(r.status, 200);
	peer_reply_release(&r);
	peer_expect_end(&p);
	peer_close(&p);
	peer_stop(server_pid);
}
END_TEST

START_TEST(makes_room_by_closing_the_oldest_idle_connection)
{
	struct peer peers[5];
	struct peer_reply r;

	start((struct http_options){ .max_connections = 4 });
	for (size_t i = 0; i < 5; i++) {
		peer_connect(&peers[i], port);
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
	peer_stop(server_pid);
	ck_assert_uint_eq(shared->counters.evicted, 1);
}
END_TEST

START_TEST(waits_with_new_connections_while_all_are_busy)
{
	struct peer busy[4], next;
	struct peer_reply r;

	start((struct http_options){ .max_connections = 4 });
	for (size_t i = 0; i < 4; i++) {
		peer_connect(&busy[i], port);
		peer_ask(&busy[i], "GET /hold HTTP/1.1", "");
	}
	PEER_WAIT(shared->handled == 4);
	peer_connect(&next, port);
	peer_ask(&next, "GET /hello HTTP/1.1", "");
	peer_close(&busy[2]);
	peer_read(&next, false, &r);
	ck_assert_uint_eq(r.status, 200);
	peer_reply_release(&r);
	peer_close(&next);
	for (size_t i = 0; i < 4; i++)
		if (i != 2)
			peer_close(&busy[i]);
	peer_stop(server_pid);
	ck_assert_uint_eq(shared->counters.evicted, 0);
}
END_TEST

START_TEST(holds_little_for_slow_readers)
{
	struct peer slow[32];
	struct peer_reply r;
	unsigned long before;

	start((struct http_options){ 0 });
	peer_connect(&slow[0], port);
	peer_get(&slow[0], "/big", "", &r);
	ck_assert_uint_eq(r.body.len, BIG_BYTES);
	peer_reply_release(&r);
	peer_close(&slow[0]);
	before = peer_memory_kb(server_pid);
	for (size_t i = 0; i < 32; i++) {
		peer_connect(&slow[i], port);
		peer_ask(&slow[i], "GET /big HTTP/1.1", "");
	}
	for (size_t i = 0; i < 32; i++)
		PEER_WAIT(peer_poll(&slow[i]) > 0);
	/* 32 times 64 MB were asked for. */
	ck_assert_uint_lt(peer_memory_kb(server_pid), before + 16 * 1024);
	for (size_t i = 0; i < 32; i++)
		peer_close(&slow[i]);
	peer_stop(server_pid);
	ck_assert_uint_eq(shared->broken, 32);
}
END_TEST

START_TEST(drops_a_reader_that_stands_still)
{
	struct peer_reply r;
	struct peer p;

	start((struct http_options){ .stall_ms = 50 });
	peer_connect(&p, port);
	peer_ask(&p, "GET /big HTTP/1.1", "");
	PEER_WAIT(shared->counters.timed_out == 1);
	peer_read(&p, false, &r);
	ck_assert(!r.whole);
	peer_reply_release(&r);
	peer_close(&p);
	peer_stop(server_pid);
	ck_assert_uint_eq(shared->broken, 1);
}
END_TEST

START_TEST(keeps_a_reader_that_is_slow_but_moves)
{
	uint8_t piece[65536];
	uint64_t got = 0;
	struct peer p;
	int small = 65536;

	start((struct http_options){ .stall_ms = 400 });
	peer_connect(&p, port);
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
	ck_assert_uint_eq(shared->counters.timed_out, 0);
	peer_close(&p);
	peer_stop(server_pid);
}
END_TEST

START_TEST(answers_held_requests_when_told_or_in_time)
{
	struct peer waiting[3], p;
	struct peer_reply r;

	start((struct http_options){ 0 });
	for (size_t i = 0; i < 3; i++) {
		peer_connect(&waiting[i], port);
		peer_ask(&waiting[i], "GET /hold HTTP/1.1", "");
	}
	PEER_WAIT(shared->handled == 3);
	/* One goes away; only `done` is called for it. */
	peer_close(&waiting[1]);
	PEER_WAIT(shared->broken == 1);
	peer_connect(&p, port);
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
	peer_stop(server_pid);
}
END_TEST

START_TEST(ends_cleanly_on_term)
{
	struct peer waiting, reading, idle;
	struct peer_reply r;
	int status = 0;

	start((struct http_options){ 0 });
	peer_connect(&idle, port);
	peer_get(&idle, "/hello", "", &r);
	peer_reply_release(&r);
	peer_connect(&waiting, port);
	peer_ask(&waiting, "GET /hold HTTP/1.1", "");
	peer_connect(&reading, port);
	peer_ask(&reading, "GET /big HTTP/1.1", "");
	PEER_WAIT(shared->handled == 3);
	ck_assert_int_eq(kill(server_pid, SIGTERM), 0);
	peer_expect_end(&idle);
	peer_read(&waiting, false, &r);
	ck_assert_str_eq(buf_str(&r.body), "woken\n");
	ck_assert_str_eq(peer_field(&r, "Connection"), "close");
	peer_reply_release(&r);
	peer_read(&reading, false, &r);
	ck_assert(r.whole);
	ck_assert_uint_eq(r.body.len, BIG_BYTES);
	peer_reply_release(&r);
	ck_assert_int_eq(waitpid(server_pid, &status, 0), server_pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	ck_assert_uint_eq(shared->stopping_wakes, 1);
	ck_assert_uint_eq(shared->done, 3);
	ck_assert_uint_eq(shared->broken, 0);
	peer_close(&idle);
	peer_close(&waiting);
	peer_close(&reading);
}
END_TEST

START_TEST(calls_watches_timers_and_hangup)
{
	start((struct http_options){ 0 });
	PEER_WAIT(shared->ticks >= 3);
	ck_assert_int_eq(write(pipe_fds[1], "ab", 2), 2);
	PEER_WAIT(shared->watched == 2);
	ck_assert_int_eq(kill(server_pid, SIGHUP), 0);
	PEER_WAIT(shared->hangups == 1);
	peer_stop(server_pid);
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
	snprintf(taken, sizeof(taken), "127.0.0.1:%u", bound);
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
	snprintf(path, sizeof(path), "%s/server", t->dir.path);
	ck_assert_msg(
	    tls_identity_open(path, true, &t->server, &e) == 0, "%s", e.msg);
	snprintf(path, sizeof(path), "%s/client", t->dir.path);
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
	peer_connect(&p, port);
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
	start((struct http_options){ .tls = t.ctx });
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
	peer_stop(server_pid);
	ck_assert_uint_eq(shared->broken, 0);
	free_identities(&t);
}
END_TEST

START_TEST(counts_handshakes_that_fail)
{
	struct tls_pair t;
	struct peer p;

	make_identities(&t);
	start((struct http_options){ .tls = t.ctx, .header_ms = 100 });
	peer_connect(&p, port);
	peer_send(&p, "GET / HTTP/1.1\r\n\r\n", 18);
	PEER_WAIT(shared->counters.tls_failed == 1);
	peer_close(&p);
	/* One that says nothing at all. */
	peer_connect(&p, port);
	peer_expect_end(&p);
	peer_close(&p);
	peer_stop(server_pid);
	ck_assert_uint_eq(shared->counters.accepted, 2);
	ck_assert_uint_eq(shared->counters.closed, 2);
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

	tcase_add_checked_fixture(plain, set_up, NULL);
	tcase_add_checked_fixture(tls, set_up, NULL);
	tcase_set_timeout(plain, 60);
	tcase_set_timeout(tls, 60);
	tcase_add_test(plain, answers_a_request);
	tcase_add_test(plain, keeps_a_connection_for_a_thousand_requests);
	tcase_add_test(plain, answers_pipelined_requests_in_order);
	tcase_add_test(plain, accepts_a_request_byte_by_byte);
	tcase_add_test(plain, streams_what_has_no_length);
	tcase_add_test(plain, breaks_off_rather_than_end_a_part);
	tcase_add_test(plain, takes_only_requests_with_one_reading);
	tcase_add_test(plain, refuses_requests_with_nul_or_without_host);
	tcase_add_test(plain, decodes_query_parameters);
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
