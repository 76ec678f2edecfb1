/* What one peer can cost a server, and that another does not notice; and the end
 * of a server that has a successor. */
#include "common/http_server.h"

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/limits.h"
#include "tests/peer.h"
#include "tests/web.h"

#define MANY 300U

/* peer_connect from another loopback address. */
static void
connect_from(struct peer *p, const char *address)
{
	const struct timeval tv = { 20, 0 };
	struct sockaddr_in in = { .sin_family = AF_INET };

	buf_init(&p->in, 1 << 20);
	p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(p->fd, 0);
	ck_assert_int_eq(
	    setsockopt(p->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0);
	ck_assert_int_eq(inet_pton(AF_INET, address, &in.sin_addr), 1);
	ck_assert_int_eq(bind(p->fd, (struct sockaddr *)&in, sizeof(in)), 0);
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	in.sin_port = htons(web_port);
	ck_assert_int_eq(connect(p->fd, (struct sockaddr *)&in, sizeof(in)), 0);
}

/* Another peer, who behaves, is served. */
static void
expect_others_served(void)
{
	struct peer_reply r;
	struct peer p;

	connect_from(&p, "127.0.0.2");
	peer_ask(&p, "POST /echo HTTP/1.1", "Content-Length: 3\r\n");
	peer_send(&p, "abc", 3);
	peer_read(&p, false, &r);
	ck_assert_uint_eq(r.status, 200);
	ck_assert_str_eq(buf_str(&r.body), "abc");
	peer_reply_release(&r);
	peer_close(&p);
}

START_TEST(bounds_the_connections_of_one_peer)
{
	struct peer held[4], idle, more;
	struct peer_reply r;

	web_start((struct http_options){ .max_per_peer = 4 });
	for (size_t i = 0; i < 3; i++) {
		peer_connect(&held[i], web_port);
		peer_ask(&held[i], "GET /hold HTTP/1.1", "");
	}
	PEER_WAIT(web_shared->handled == 3);
	peer_connect(&idle, web_port);
	peer_get(&idle, "/hello", "", &r);
	peer_reply_release(&r);
	/* Its own idle one makes room ... */
	peer_connect(&held[3], web_port);
	peer_expect_end(&idle);
	peer_ask(&held[3], "GET /hold HTTP/1.1", "");
	PEER_WAIT(web_shared->handled == 5);
	ck_assert_uint_eq(web_shared->counters.evicted, 1);
	/* ... and where there is none, it is told so at once. */
	peer_connect(&more, web_port);
	peer_expect_end(&more);
	ck_assert_uint_eq(web_shared->counters.peer_refused, 1);
	expect_others_served();
	peer_close(&held[0]);
	PEER_WAIT(web_shared->done == 3);
	ck_assert_uint_eq(
	    peer_status(web_port, "GET /hello HTTP/1.1", ""), 200);
	peer_close(&more);
	peer_close(&idle);
	for (size_t i = 1; i < 4; i++)
		peer_close(&held[i]);
	peer_stop(web_pid);
}
END_TEST

START_TEST(closes_on_one_that_reconnects_for_ever)
{
	uint64_t opened = 0;

	web_start((struct http_options){ 0 });
	while (web_shared->counters.peer_hasty < 10) {
		struct peer p;

		peer_connect(&p, web_port);
		peer_close(&p);
		ck_assert_uint_lt(opened++, 20000);
	}
	/* Those that came before were let in. */
	ck_assert_uint_ge(
	    web_shared->counters.accepted, LIMIT_PEER_CONNECTS_BURST);
	expect_others_served();
	peer_stop(web_pid);
	ck_assert_uint_eq(
	    web_shared->counters.accepted, web_shared->counters.closed);
}
END_TEST

/* All are answered, but not all at once. */
START_TEST(delays_a_flood_of_requests)
{
	const unsigned per_s = 50, burst = 10, all = 30;
	uint64_t begun = clock_ms();
	struct peer p;

	web_start((struct http_options){
	    .requests_per_s = per_s, .requests_burst = burst });
	peer_connect(&p, web_port);
	for (unsigned i = 0; i < all; i++)
		peer_ask(&p, "GET /unchanged HTTP/1.1", "");
	for (unsigned i = 0; i < all; i++) {
		struct peer_reply r;

		peer_read(&p, false, &r);
		ck_assert_uint_eq(r.status, 304);
		peer_reply_release(&r);
		if (i == burst)
			expect_others_served();
	}
	ck_assert_uint_ge(clock_ms() - begun, (all - burst - 2) * 1000 / per_s);
	ck_assert_uint_gt(web_shared->counters.delayed, 0);
	peer_close(&p);
	peer_stop(web_pid);
}
END_TEST

START_TEST(bounds_the_request_bodies_of_one_peer)
{
	const size_t full = LIMIT_PEER_BODIES_BYTES / LIMIT_HTTP_BODY_BYTES;
	static struct peer
	    peers[LIMIT_PEER_BODIES_BYTES / LIMIT_HTTP_BODY_BYTES];
	char field[64];
	struct peer_reply r;
	struct peer p;

	web_start((struct http_options){ .max_per_peer = MANY });
	(void)snprintf(field, sizeof(field), "Content-Length: %d\r\n",
	    LIMIT_HTTP_BODY_BYTES);
	for (size_t i = 0; i < full; i++) {
		peer_connect(&peers[i], web_port);
		peer_ask(&peers[i], "POST /echo HTTP/1.1", field);
	}
	PEER_WAIT(web_shared->counters.accepted == full);
	peer_connect(&p, web_port);
	peer_ask(&p, "POST /echo HTTP/1.1", "Content-Length: 1\r\n");
	peer_send(&p, "x", 1);
	peer_read(&p, false, &r);
	ck_assert_uint_eq(r.status, 503);
	ck_assert_str_eq(peer_field(&r, "Retry-After"), "1");
	ck_assert_str_eq(peer_field(&r, "Connection"), "close");
	peer_reply_release(&r);
	peer_close(&p);
	ck_assert_uint_eq(web_shared->counters.bodies_refused, 1);
	expect_others_served();
	/* What ends makes room. */
	peer_close(&peers[0]);
	PEER_WAIT(web_shared->counters.closed >= 3);
	ck_assert_uint_eq(peer_status(web_port, "POST /echo HTTP/1.1",
	                      "Content-Length: 0\r\n"),
	    200);
	for (size_t i = 1; i < full; i++)
		peer_close(&peers[i]);
	peer_stop(web_pid);
}
END_TEST

/* The bytes queued for readers that stand still, beside what the kernel has. */
START_TEST(queues_little_for_many_slow_readers)
{
	const size_t most = 1 << 20;
	static struct peer peers[MANY];
	unsigned long before, after;

	web_start((struct http_options){
	    .max_per_peer = MANY, .replies_bytes = most });
	expect_others_served();
	before = peer_memory_kb(web_pid);
	for (size_t i = 0; i < MANY; i++) {
		peer_connect(&peers[i], web_port);
		peer_ask(&peers[i], "GET /big HTTP/1.1", "");
	}
	PEER_WAIT(web_shared->handled == MANY + 1);
	expect_others_served();
	after = peer_memory_kb(web_pid);
	printf("%u readers that stand still: %lu kB\n", MANY, after - before);
#ifndef PECIA_NO_SANDBOX /* a sanitizer keeps what was freed */
	/* Without the bound: 114 kB each. */
	ck_assert_uint_lt(after - before,
	    (most + (size_t)MANY * 3 * LIMIT_SMALL_PIECE_BYTES) / 1024);
#endif
	for (size_t i = 0; i < MANY; i++)
		peer_close(&peers[i]);
	peer_stop(web_pid);
}
END_TEST

/* A successor has its sockets: it ends what it is sending, and no more. */
START_TEST(retires_when_its_last_reply_is_out)
{
	struct peer reading, idle;
	struct peer_reply r;
	int status = 0;

	web_start((struct http_options){ 0 });
	peer_connect(&idle, web_port);
	peer_get(&idle, "/hello", "", &r);
	peer_reply_release(&r);
	peer_connect(&reading, web_port);
	peer_ask(&reading, "GET /big HTTP/1.1", "");
	PEER_WAIT(web_shared->handled == 2);
	ck_assert_int_eq(kill(web_pid, HTTP_RETIRE_SIGNAL), 0);
	peer_expect_end(&idle);
	ck_assert_int_eq(waitpid(web_pid, &status, WNOHANG), 0);
	peer_read(&reading, false, &r);
	ck_assert(r.whole);
	ck_assert_uint_eq(r.body.len, BIG_BYTES);
	peer_reply_release(&r);
	ck_assert_int_eq(waitpid(web_pid, &status, 0), web_pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	ck_assert_uint_eq(web_shared->broken, 0);
	peer_close(&idle);
	peer_close(&reading);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("http_peers");
	TCase *tc = tcase_create("peers");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, web_set_up, NULL);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, bounds_the_connections_of_one_peer);
	tcase_add_test(tc, closes_on_one_that_reconnects_for_ever);
	tcase_add_test(tc, delays_a_flood_of_requests);
	tcase_add_test(tc, bounds_the_request_bodies_of_one_peer);
	tcase_add_test(tc, queues_little_for_many_slow_readers);
	tcase_add_test(tc, retires_when_its_last_reply_is_out);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
