/* The HTTP client and time: silence, trickles, long polls, races. */
#include "tests/http_visit.h"

#include <unistd.h>

#include "common/limits.h"

/* Says arg and then nothing more. */
static void
fall_silent(struct tls_peer *p, const void *arg)
{
	if (tls_peer_request(p) && tls_peer_say(p, arg))
		tls_peer_hang(p);
}

static const char *const beginnings[] = { "", "HTTP/1.1 2",
	"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhel" };
#define BEGINNINGS ((int)(sizeof(beginnings) / sizeof(*beginnings)))

START_TEST(silence_ends_a_request)
{
	struct visit v = { 0 };

	visit_serve(&v, "127.0.0.1", fall_silent, beginnings[_i]);
	visit_connect(&v,
	    &(struct http_client_options){
	        .address = "127.0.0.1", .stall_ms = 150 });
	ck_assert_int_eq(ASK(&v, 0), ERR_TIMEOUT);
	ck_assert_ptr_nonnull(strstr(v.err.msg, "no byte for"));
	visit_end(&v);
}
END_TEST

START_TEST(a_request_has_a_last_moment)
{
	struct visit v;

	visit_begin(&v, fall_silent, beginnings[3]);
	ck_assert_int_eq(ASK(&v, .timeout_ms = 120), ERR_TIMEOUT);
	ck_assert_ptr_nonnull(strstr(v.err.msg, "not complete after 120 ms"));
	visit_end(&v);
}
END_TEST

static void
answer_late(struct tls_peer *p, const void *arg)
{
	while (tls_peer_request(p)) {
		usleep(400000); /* what is tested is time itself */
		tls_peer_say(p, arg);
	}
}

START_TEST(a_long_poll_may_be_silent_before_its_answer)
{
	struct visit v = { 0 };

	visit_serve(&v, "127.0.0.1", answer_late, hello);
	visit_connect(&v,
	    &(struct http_client_options){
	        .address = "127.0.0.1", .stall_ms = 100 });
	ck_assert_msg(ASK(&v, .idle_ms = 20000) == 0, "%s", v.err.msg);
	ck_assert_str_eq(buf_str(&v.body), "hello");
	ck_assert_int_eq(ASK(&v, 0), ERR_TIMEOUT);
	visit_end(&v);
}
END_TEST

static void
drip(struct tls_peer *p, const void *arg)
{
	(void)arg;
	if (!tls_peer_request(p) || !tls_peer_say(p, "HTTP/1.1 200 OK\r\n\r\n"))
		return;
	while (tls_peer_say(p, "x"))
		usleep(10000);
}

START_TEST(a_trickle_ends_a_request)
{
	struct visit v = { 0 };

	visit_serve(&v, "127.0.0.1", drip, NULL);
	visit_connect(&v,
	    &(struct http_client_options){ .address = "127.0.0.1",
	        .stall_ms = 5000,
	        .grace_ms = 1000,
	        .min_rate = 1000 });
	ck_assert_int_eq(ASK(&v, 0), ERR_TIMEOUT);
	ck_assert_ptr_nonnull(strstr(v.err.msg, "slower than 1000 bytes"));
	visit_end(&v);
}
END_TEST

/* Much at once, and then a trickle. */
static void
burst_and_drip(struct tls_peer *p, const void *arg)
{
	char block[20001];

	(void)arg;
	memset(block, 'x', sizeof(block) - 1);
	block[sizeof(block) - 1] = '\0';
	if (!tls_peer_request(p) ||
	    !tls_peer_say(p, "HTTP/1.1 200 OK\r\n\r\n") ||
	    !tls_peer_say(p, block))
		return;
	while (tls_peer_say(p, "x"))
		usleep(10000);
}

START_TEST(what_came_before_does_not_excuse_a_trickle)
{
	struct visit v = { 0 };

	visit_serve(&v, "127.0.0.1", burst_and_drip, NULL);
	visit_connect(&v,
	    &(struct http_client_options){ .address = "127.0.0.1",
	        .stall_ms = 5000,
	        .grace_ms = 1000,
	        .min_rate = 1000 });
	/* On average it would be quick enough for 20 s, 2,000 bytes more. */
	ck_assert_int_eq(ASK(&v, .max_bytes = 30000), ERR_TIMEOUT);
	ck_assert_ptr_nonnull(strstr(v.err.msg, "slower than 1000 bytes"));
	ck_assert_uint_ge(v.body.len, 20000);
	ck_assert_uint_lt(v.body.len, 21000);
	visit_end(&v);
}
END_TEST

#define STEADY_BYTES 25000

static void
be_steady(struct tls_peer *p, const void *arg)
{
	char piece[101], head[80];

	(void)arg;
	memset(piece, 'x', sizeof(piece) - 1);
	piece[sizeof(piece) - 1] = '\0';
	(void)snprintf(head, sizeof(head),
	    "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", STEADY_BYTES);
	if (!tls_peer_request(p) || !tls_peer_say(p, head))
		return;
	for (int i = 0; i < STEADY_BYTES / 100 && tls_peer_say(p, piece); i++)
		usleep(10000);
}

/* Over several times grace_ms. */
START_TEST(a_slow_server_that_goes_on_is_stayed_with)
{
	struct visit v = { 0 };

	visit_serve(&v, "127.0.0.1", be_steady, NULL);
	visit_connect(&v,
	    &(struct http_client_options){ .address = "127.0.0.1",
	        .stall_ms = 5000,
	        .grace_ms = 1000,
	        .min_rate = 1000 });
	ck_assert_msg(ASK(&v, .max_bytes = 30000) == 0, "%s", v.err.msg);
	ck_assert_uint_eq(v.body.len, STEADY_BYTES);
	visit_end(&v);
}
END_TEST

static int
be_slow(void *arg, const void *data, size_t len, struct err *e)
{
	(void)arg, (void)data, (void)len, (void)e;
	usleep(600000);
	return 0;
}

START_TEST(a_slow_sink_is_not_the_servers_fault)
{
	struct visit v = { 0 };

	visit_serve(&v, "127.0.0.1", answer_always,
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	    "1\r\na\r\n1\r\nb\r\n0\r\n\r\n");
	visit_connect(&v,
	    &(struct http_client_options){ .address = "127.0.0.1",
	        .stall_ms = 250,
	        .grace_ms = 100,
	        .min_rate = 10000 });
	ck_assert_msg(
	    ASK(&v, .sink = be_slow, .idle_ms = 20000) == 0, "%s", v.err.msg);
	visit_end(&v);
}
END_TEST

/* By path: /now answers, /never waits, /old is unchanged, /broken breaks. */
static void
by_path(struct tls_peer *p, const void *arg)
{
	(void)arg;
	while (tls_peer_request(p)) {
		if (strncmp(p->request, "GET /now", 8) == 0)
			tls_peer_say(p, hello);
		else if (strncmp(p->request, "GET /old", 8) == 0)
			tls_peer_say(p, "HTTP/1.1 304 Not Modified\r\n\r\n");
		else if (strncmp(p->request, "GET /never", 10) == 0)
			tls_peer_hang(p);
		else
			return;
	}
}

static const struct {
	const char *paths[3];
	int ret;
	size_t which;
	int status;
} races[] = {
	{ { "/never", "/now", "/never" }, 0, 1, 200 },
	{ { "/old", "/never", "/now" }, 0, 2, 200 },
	{ { "/broken", "/never", "/now" }, 0, 2, 200 },
	{ { "/old", "/old", "/old" }, 0, 3, 304 },
	{ { "/broken", "/old", "/broken" }, 0, 3, 304 },
	{ { "/broken", "/broken", "/broken" }, ERR_NET, 0, 0 },
	{ { "/never", "/never", "/never" }, ERR_TIMEOUT, 0, 0 },
};
#define RACES ((int)(sizeof(races) / sizeof(*races)))

START_TEST(a_race_is_won_by_the_first_200)
{
	struct http_request reqs[3];
	size_t which = 99;
	struct visit v;
	int ret;

	visit_begin(&v, by_path, NULL);
	for (size_t i = 0; i < 3; i++)
		reqs[i] = (struct http_request){ .path = races[_i].paths[i],
			.max_bytes = 100,
			.timeout_ms = 4000,
			.sink = visit_gather,
			.arg = &v.body };
	for (int again = 0; again < 2; again++) {
		buf_clear(&v.body);
		ret = http_client_race(
		    v.client, reqs, 3, &which, &v.resp, &v.err);
		ck_assert_msg(ret == races[_i].ret, "%d %s", ret, v.err.msg);
		if (ret != 0)
			break;
		ck_assert_uint_eq(which, races[_i].which);
		ck_assert_int_eq(v.resp.status, races[_i].status);
		ck_assert_str_eq(
		    buf_str(&v.body), races[_i].status == 200 ? "hello" : "");
	}
	ck_assert_msg(ASK(&v, .path = "/now") == 0, "%s", v.err.msg);
	visit_end(&v);
}
END_TEST

START_TEST(idle_connections_serve_the_next_race)
{
	struct http_request reqs[8];
	size_t which;
	struct visit v;

	visit_begin(&v, by_path, NULL);
	for (size_t i = 0; i < 8; i++)
		reqs[i] = (struct http_request){ .path = "/old" };
	for (int again = 0; again < 5; again++) {
		ck_assert_int_eq(http_client_race(v.client, reqs, 8, &which,
		                     &v.resp, &v.err),
		    0);
		ck_assert_uint_eq(which, 8);
	}
	ck_assert_uint_le(v.server.counts->connections, 8);
	ck_assert_uint_eq(v.server.counts->requests, 40);
	ck_assert_int_eq(
	    http_client_race(v.client, reqs, 0, &which, &v.resp, &v.err),
	    ERR_LIMIT);
	visit_end(&v);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("http_client_time");
	TCase *t = tcase_create("http_client_time");
	SRunner *runner;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, visit_set_up, visit_tear_down);
	tcase_add_loop_test(t, silence_ends_a_request, 0, BEGINNINGS);
	tcase_add_test(t, a_request_has_a_last_moment);
	tcase_add_test(t, a_long_poll_may_be_silent_before_its_answer);
	tcase_add_test(t, a_trickle_ends_a_request);
	tcase_add_test(t, what_came_before_does_not_excuse_a_trickle);
	tcase_add_test(t, a_slow_server_that_goes_on_is_stayed_with);
	tcase_add_test(t, a_slow_sink_is_not_the_servers_fault);
	tcase_add_loop_test(t, a_race_is_won_by_the_first_200, 0, RACES);
	tcase_add_test(t, idle_connections_serve_the_next_race);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
