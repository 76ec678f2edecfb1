/* The HTTP server's connections over TLS: what is read ahead, what is written
 * in part. */
#include <check.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "common/crypto_tls.h"
#include "tests/peer.h"
#include "tests/scratch.h"
#include "tests/web.h"

#define REQUESTS   50
#define BODY_BYTES 200000

static struct scratch dir;
static struct tls_identity *identity;
static struct ssl_ctx_st *server;
static SSL_CTX *client;

static void
set_up(void)
{
	struct err e = ERR_INIT;

	web_set_up();
	scratch_make(&dir);
	ck_assert_int_eq(tls_identity_open(dir.path, true, &identity, &e), 0);
	ck_assert_int_eq(tls_server_context(identity, &server, &e), 0);
	client = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_verify(client, SSL_VERIFY_NONE, NULL);
	web_start((struct http_options){ .tls = server });
}

static void
tear_down(void)
{
	peer_stop(web_pid);
	SSL_CTX_free(client);
	tls_context_free(server);
	tls_identity_free(identity);
	scratch_remove(&dir);
}

static SSL *
shake(struct peer *p)
{
	SSL *ssl = SSL_new(client);

	peer_connect(p, web_port);
	SSL_set_fd(ssl, p->fd);
	ck_assert_int_eq(SSL_connect(ssl), 1);
	return ssl;
}

static void
hang_up(struct peer *p, SSL *ssl)
{
	SSL_free(ssl);
	peer_close(p);
}

static void
ask(SSL *ssl, const char *request)
{
	int len = (int)strlen(request);

	ck_assert_int_eq(SSL_write(ssl, request, len), len);
}

/* What is written from now on is kept, for send_kept. */
static void
keep_back(SSL *ssl)
{
	SSL_set0_wbio(ssl, BIO_new(BIO_s_mem()));
}

static void
send_kept(struct peer *p, SSL *ssl)
{
	char *data = NULL;
	long len = BIO_get_mem_data(SSL_get_wbio(ssl), &data);

	ck_assert_int_gt(len, 0);
	peer_send(p, data, (size_t)len);
}

/* Reads until `times` of `text` came; the bytes read. */
static size_t
expect(SSL *ssl, const char *text, unsigned times)
{
	struct buf in;
	const char *at;
	size_t seen = 0, total;

	buf_init(&in, (size_t)8 << 20);
	while (times > 0) {
		uint8_t *room = buf_reserve(&in, 16384);
		int n = SSL_read(ssl, room, 16384);

		ck_assert_int_gt(n, 0);
		buf_commit(&in, (size_t)n);
		while (times > 0 &&
		    (at = strstr(buf_str(&in) + seen, text)) != NULL) {
			times--;
			seen = (size_t)(at - buf_str(&in)) + strlen(text);
		}
	}
	total = in.len;
	buf_release(&in);
	return total;
}

/* The socket is not readable for what TLS has taken from it already. */
START_TEST(answers_all_requests_that_come_at_once)
{
	struct peer p;
	SSL *ssl = shake(&p);

	keep_back(ssl);
	for (int i = 0; i < REQUESTS; i++)
		ask(ssl, "GET /hello HTTP/1.1\r\nHost: t\r\n\r\n");
	send_kept(&p, ssl);
	(void)expect(ssl, "hello\n", REQUESTS);
	hang_up(&p, ssl);
	ck_assert_uint_eq(web_shared->handled, REQUESTS);
}
END_TEST

START_TEST(takes_a_body_of_many_small_records)
{
	static char body[1000];
	char head[100];
	struct peer p;
	SSL *ssl = shake(&p);

	memset(body, 'b', sizeof(body));
	(void)snprintf(head, sizeof(head),
	    "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n",
	    BODY_BYTES);
	keep_back(ssl);
	ask(ssl, head);
	for (int i = 0; i < BODY_BYTES / 1000; i++) {
		if (i == BODY_BYTES / 1000 - 1)
			memset(body + 990, 'e', 10);
		ck_assert_int_eq(SSL_write(ssl, body, 1000), 1000);
	}
	send_kept(&p, ssl);
	ck_assert_uint_gt(expect(ssl, "beeeeeeeeee", 1), BODY_BYTES);
	hang_up(&p, ssl);
}
END_TEST

/* Records that the socket takes a part of go on where they stopped. */
START_TEST(streams_to_a_peer_that_reads_slowly)
{
	int small = 65536;
	size_t total;
	struct peer p;
	SSL *ssl = shake(&p);

	ck_assert_int_eq(
	    setsockopt(p.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
	ask(ssl, "GET /stream HTTP/1.1\r\nHost: t\r\n\r\n");
	PEER_WAIT(web_shared->handled == 1);
	for (int i = 0; i < 20; i++)
		peer_nap();
	total = expect(ssl, "x\r\n0\r\n\r\n", 1);
	ck_assert_uint_gt(total, 1000000);
	ck_assert_uint_lt(total, 1001000);
	ask(ssl, "GET /hello HTTP/1.1\r\nHost: t\r\n\r\n");
	(void)expect(ssl, "hello\n", 1);
	hang_up(&p, ssl);
	ck_assert_uint_eq(web_shared->broken, 0);
}
END_TEST

/* Of the server: read and write calls so far. */
static unsigned long
calls_made(void)
{
	char path[64], line[128];
	unsigned long sum = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/io", (int)web_pid);
	f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, "syscr: ", 7) == 0 ||
		    strncmp(line, "syscw: ", 7) == 0)
			sum += strtoul(line + 7, NULL, 10);
	(void)fclose(f);
	return sum;
}

START_TEST(a_request_costs_one_read_and_one_write)
{
	struct peer p;
	SSL *ssl = shake(&p);
	unsigned long before;

	ask(ssl, "GET /hello HTTP/1.1\r\nHost: t\r\n\r\n");
	(void)expect(ssl, "hello\n", 1);
	before = calls_made();
	for (int i = 0; i < REQUESTS; i++) {
		ask(ssl, "GET /hello HTTP/1.1\r\nHost: t\r\n\r\n");
		(void)expect(ssl, "hello\n", 1);
	}
	ck_assert_uint_le(calls_made() - before, 2 * REQUESTS + 5);
	hang_up(&p, ssl);
}
END_TEST

START_TEST(notices_that_a_waiting_peer_leaves)
{
	struct peer p, other;
	SSL *ssl = shake(&p), *second = shake(&other);

	ask(ssl, "GET /hold HTTP/1.1\r\nHost: t\r\n\r\n");
	ask(second, "GET /hold HTTP/1.1\r\nHost: t\r\n\r\n");
	PEER_WAIT(web_shared->handled == 2);
	hang_up(&p, ssl);
	PEER_WAIT(web_shared->done == 1);
	ssl = shake(&p);
	ask(ssl, "GET /answer HTTP/1.1\r\nHost: t\r\n\r\n");
	(void)expect(second, "answered\n", 1);
	(void)expect(ssl, "done\n", 1);
	hang_up(&p, ssl);
	hang_up(&other, second);
	ck_assert_uint_eq(web_shared->broken, 1);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("http_tls");
	TCase *all = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(all, set_up, tear_down);
	tcase_set_timeout(all, 60);
	tcase_add_test(all, answers_all_requests_that_come_at_once);
	tcase_add_test(all, takes_a_body_of_many_small_records);
	tcase_add_test(all, streams_to_a_peer_that_reads_slowly);
	tcase_add_test(all, a_request_costs_one_read_and_one_write);
	tcase_add_test(all, notices_that_a_waiting_peer_leaves);
	suite_add_tcase(suite, all);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
