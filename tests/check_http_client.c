/* The HTTP client against servers that behave and servers that do not. */
#include "tests/http_visit.h"

#include "common/limits.h"

START_TEST(a_connection_serves_many_requests)
{
	struct digest want;
	struct visit v;

	visit_begin(&v, answer_always, hello);
	visit_server_digest(&want);
	for (int i = 0; i < 5; i++) {
		ck_assert_msg(ASK(&v, 0) == 0, "%s", v.err.msg);
		ck_assert_int_eq(v.resp.status, 200);
		ck_assert_str_eq(v.resp.etag, "\"abc\"");
		ck_assert(v.resp.has_length);
		ck_assert_uint_eq(v.resp.content_length, 5);
		ck_assert_uint_eq(v.resp.body_bytes, 5);
		ck_assert_str_eq(buf_str(&v.body), "hello");
		ck_assert(digest_equal(&v.resp.peer, &want));
	}
	ck_assert_uint_eq(v.server.counts->accepted, 1);
	ck_assert_uint_eq(v.server.counts->connections, 1);
	ck_assert_uint_eq(v.server.counts->requests, 5);
	ck_assert_uint_eq(v.server.counts->certificates, 1);
	visit_end(&v);
}
END_TEST

START_TEST(a_lost_connection_is_made_again_and_its_session_resumed)
{
	uint64_t in, out, in_then, out_then;
	struct visit v;

	visit_begin(&v, answer_once, hello);
	for (int i = 0; i < 4; i++) {
		ck_assert_msg(ASK(&v, 0) == 0, "%s", v.err.msg);
		ck_assert_str_eq(buf_str(&v.body), "hello");
		ck_assert(v.tls.resumed == (i > 0));
	}
	ck_assert_uint_eq(v.server.counts->connections, 4);
	ck_assert_uint_eq(v.server.counts->resumed, 3);
	ck_assert_uint_eq(v.server.counts->certificates, 4);
	http_client_bytes(v.client, &in_then, &out_then);
	ck_assert_uint_gt(in_then, 1200);
	ck_assert_uint_gt(out_then, 1200);
	ck_assert_int_eq(ASK(&v, 0), 0);
	http_client_bytes(v.client, &in, &out);
	ck_assert_uint_gt(in, in_then);
	ck_assert_uint_gt(out, out_then);
	visit_end(&v);
}
END_TEST

START_TEST(a_session_goes_from_one_client_to_the_next)
{
	uint8_t *session;
	size_t len;
	struct visit v;

	visit_begin(&v, answer_always, hello);
	ck_assert_int_eq(ASK(&v, 0), 0);
	ck_assert_ptr_nonnull(v.tls.session);
	session = v.tls.session;
	len = v.tls.session_bytes;
	v.tls.session = NULL;
	visit_disconnect(&v);
	visit_connect(&v, NULL);
	v.tls.session = session;
	v.tls.session_bytes = len;
	ck_assert_msg(ASK(&v, 0) == 0, "%s", v.err.msg);
	ck_assert(v.tls.resumed);
	ck_assert_int_eq((int)v.tls.verdict, (int)TLS_KNOWN);
	ck_assert_uint_eq(v.server.counts->resumed, 1);
	visit_end(&v);
}
END_TEST

START_TEST(a_refused_key_is_named)
{
	struct digest d;
	char hex[DIGEST_HEX];
	struct visit v;

	visit_begin(&v, answer_always, hello);
	v.say = TLS_REFUSE;
	ck_assert_int_eq(ASK(&v, 0), ERR_VERIFY);
	visit_server_digest(&d);
	digest_hex(&d, hex);
	ck_assert_ptr_nonnull(strstr(v.err.msg, hex));
	ck_assert_ptr_nonnull(strstr(v.err.msg, "https://127.0.0.1:"));
	/* It may become known. */
	v.say = TLS_KNOWN;
	ck_assert_msg(ASK(&v, 0) == 0, "%s", v.err.msg);
	ck_assert_uint_eq(v.server.counts->requests, 1);
	/* While its session is not a way round the judge. */
	visit_disconnect(&v);
	visit_connect(&v, NULL);
	v.say = TLS_STRANGER;
	ck_assert_msg(ASK(&v, 0) == 0, "%s", v.err.msg);
	ck_assert_int_eq((int)v.tls.verdict, (int)TLS_STRANGER);
	ck_assert_uint_eq(v.server.counts->certificates, 1);
	visit_end(&v);
}
END_TEST

START_TEST(a_session_does_not_go_round_the_judge)
{
	struct visit v;

	visit_begin(&v, answer_once, hello);
	ck_assert_int_eq(ASK(&v, 0), 0);
	v.say = TLS_REFUSE;
	ck_assert_int_eq(ASK(&v, 0), ERR_VERIFY);
	ck_assert_uint_eq(v.server.counts->requests, 1);
	visit_end(&v);
}
END_TEST

static const struct {
	const char *what;
	const char *answer;
	int ret, status;
	const char *says;
} answers[] = {
	{ "no body", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0, 200,
	    "" },
	{ "body to the end of the connection",
	    "HTTP/1.1 200 OK\r\n\r\nall of it", 0, 200, "all of it" },
	{ "chunked",
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	    "3\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n",
	    0, 200, "abcde" },
	{ "informational first",
	    "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nETag: \"no\"\r\n\r\n"
	    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
	    0, 200, "x" },
	{ "not found",
	    "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nlost", 0, 404,
	    "" },
	{ "not modified", "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n", 0,
	    304, "" },
	{ "redirect is not followed",
	    "HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1:1/\r\n"
	    "Content-Length: 0\r\n\r\n",
	    0, 302, "" },
	{ "body is not decompressed",
	    "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"
	    "Content-Length: 3\r\n\r\nraw",
	    0, 200, "raw" },
	{ "cut off", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nnot all",
	    ERR_NET, 0, NULL },
	{ "cut off, chunked",
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
	    ERR_NET, 0, NULL },
	{ "cut off in the header", "HTTP/1.1 200 OK\r\nContent-Le", ERR_NET, 0,
	    NULL },
	{ "nothing", "", ERR_NET, 0, NULL },
	{ "no HTTP", "220 mail.example.com ESMTP\r\n\r\n", ERR_NET, 0, NULL },
	{ "a length that is none",
	    "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello", ERR_NET, 0,
	    NULL },
	{ "a range unasked",
	    "HTTP/1.1 206 Partial Content\r\nContent-Length: 1\r\n"
	    "Content-Range: bytes 4-4/5\r\n\r\no",
	    ERR_NET, 0, NULL },
	{ "larger than allowed, as it says",
	    "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", ERR_LIMIT,
	    0, NULL },
};
#define ANSWERS ((int)(sizeof(answers) / sizeof(*answers)))

START_TEST(each_answer_has_its_meaning)
{
	struct visit v;
	int ret;

	visit_begin(&v, answer_once, answers[_i].answer);
	ret = ASK(&v, .path = "/v1/x");
	ck_assert_msg(ret == answers[_i].ret, "%s: %d %s", answers[_i].what,
	    ret, v.err.msg);
	if (ret == 0) {
		ck_assert_int_eq(v.resp.status, answers[_i].status);
		ck_assert_str_eq(buf_str(&v.body), answers[_i].says);
	} else {
		ck_assert_msg(
		    strstr(v.err.msg, "/v1/x: ") != NULL, "%s", v.err.msg);
	}
	visit_end(&v);
}
END_TEST

/* Sends its text, then the same piece again and again. */
struct flood {
	const char *start, *piece;
};

static void
flood(struct tls_peer *p, const void *arg)
{
	const struct flood *f = arg;

	if (!tls_peer_request(p) || !tls_peer_say(p, f->start))
		return;
	while (tls_peer_say(p, f->piece))
		;
}

static const struct {
	struct flood flood;
	int ret;
} floods[] = {
	{ { "HTTP/1.1 200 OK\r\n\r\n", "more and more" }, ERR_LIMIT },
	{ { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
	      "4\r\nmore\r\n" },
	    ERR_LIMIT },
	{ { "HTTP/1.1 200 OK\r\n", "X-More: and more\r\n" }, ERR_LIMIT },
	{ { "", "HTTP/1.1 100 Continue\r\n\r\n" }, ERR_LIMIT },
	{ { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
	      "X-Trailer: and more\r\n" },
	    ERR_LIMIT },
	{ { "HTTP/1.1 200 OK\r\nX-Long: ", "and longer" }, ERR_LIMIT },
	/* The status is what counts; the page about it is not. */
	{ { "HTTP/1.1 404 Not Found\r\n\r\n", "page" }, 0 },
};
#define FLOODS ((int)(sizeof(floods) / sizeof(*floods)))

START_TEST(endless_answers_end)
{
	struct flood f = floods[_i].flood;
	struct visit v;
	int ret;

	visit_begin(&v, flood, &f);
	ret = ASK(&v, .max_bytes = 100000, .idle_ms = 60000);
	ck_assert_msg(ret == floods[_i].ret, "%d %s", ret, v.err.msg);
	ck_assert_uint_le(v.body.len, 100000);
	if (ret == 0)
		ck_assert_int_eq(v.resp.status, 404);
	visit_end(&v);
}
END_TEST

START_TEST(a_body_of_exactly_the_limit_passes)
{
	struct visit v;

	visit_begin(&v, answer_always, hello);
	ck_assert_msg(ASK(&v, .max_bytes = 5) == 0, "%s", v.err.msg);
	ck_assert_int_eq(ASK(&v, .max_bytes = 4), ERR_LIMIT);
	ck_assert_uint_eq(v.body.len, 0);
	/* The client is as good as before. */
	ck_assert_msg(ASK(&v, .max_bytes = 5) == 0, "%s", v.err.msg);
	visit_end(&v);
}
END_TEST

/* Shows the request to the client as the body. */
static void
echo(struct tls_peer *p, const void *arg)
{
	char text[9000];

	(void)arg;
	while (tls_peer_request(p)) {
		(void)snprintf(text, sizeof(text),
		    "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s",
		    strlen(p->request), p->request);
		if (!tls_peer_say(p, text))
			break;
	}
}

START_TEST(a_request_says_what_it_should)
{
	struct visit v = { 0 };

	visit_serve(&v, "127.0.0.1", echo, NULL);
	visit_connect(&v,
	    &(struct http_client_options){ .address = "127.0.0.1",
	        .host_header = "pecia.example.com:8443" });
	ck_assert_int_eq(ASK(&v, .path = "/v1/../x?after=1&wait=2",
	                     .if_none_match = "\"e1\""),
	    0);
	ck_assert_msg(strncmp(buf_str(&v.body),
	                  "GET /v1/../x?after=1&wait=2 HTTP/1.1\r\n", 38) == 0,
	    "%s", buf_str(&v.body));
	ck_assert_ptr_nonnull(
	    strstr(buf_str(&v.body), "\r\nHost: pecia.example.com:8443\r\n"));
	ck_assert_ptr_nonnull(
	    strstr(buf_str(&v.body), "\r\nIf-None-Match: \"e1\"\r\n"));
	ck_assert_ptr_nonnull(
	    strstr(buf_str(&v.body), "\r\nUser-Agent: pecia/"));
	ck_assert_ptr_null(strstr(buf_str(&v.body), "Accept-Encoding"));
	ck_assert_ptr_null(strstr(buf_str(&v.body), "Range"));
	/* Nothing of it stays for the next. */
	ck_assert_int_eq(ASK(&v, .offset = 7, .if_range = "\"e2\""), 0);
	ck_assert_ptr_null(strstr(buf_str(&v.body), "If-None-Match"));
	ck_assert_ptr_nonnull(
	    strstr(buf_str(&v.body), "\r\nRange: bytes=7-\r\n"));
	ck_assert_ptr_nonnull(
	    strstr(buf_str(&v.body), "\r\nIf-Range: \"e2\"\r\n"));
	visit_end(&v);
}
END_TEST

static const char *const bad_paths[] = { "", "v1", "/a b", "/a\r\nX: y", "/a#b",
	"/\x7f", "/\xc3\xa4" };

START_TEST(what_could_split_a_request_is_refused)
{
	struct visit v;

	visit_begin(&v, echo, NULL);
	for (size_t i = 0; i < sizeof(bad_paths) / sizeof(*bad_paths); i++)
		ck_assert_int_eq(ASK(&v, .path = bad_paths[i]), ERR_USAGE);
	ck_assert_int_eq(ASK(&v, .if_none_match = "\"a\"\r\nX: y"), ERR_USAGE);
	ck_assert_int_eq(ASK(&v, .offset = 1, .if_range = "a\nb"), ERR_USAGE);
	visit_end(&v);
}
END_TEST

START_TEST(only_numeric_addresses_are_taken)
{
	static const char *const bad[] = { "localhost", "", "127.0.0.1:80",
		"127.1", "[::1]", "1.2.3.4/x", "::1%lo" };
	struct tls_client tls = { 0 }; /* nobody is asked */
	struct http_client *c = NULL;
	struct err e = ERR_INIT;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct http_client_options o = {
			.fd = -1, .port = 1, .address = bad[i], .tls = &tls
		};

		ck_assert_int_eq(http_client_new(&o, &c, &e), ERR_USAGE);
	}
	for (int i = 0; i < 2; i++) {
		struct http_client_options o = { .fd = -1,
			.port = 1,
			.address = "::1",
			.tls = &tls,
			.host_header = i == 0 ? "a b" : "a\r\nX: y" };

		ck_assert_int_eq(http_client_new(&o, &c, &e), ERR_USAGE);
	}
}
END_TEST

static char ranged[] = "HTTP/1.1 206 Partial Content\r\nContent-Length: 3\r\n"
                       "Content-Range: bytes 2-4/5\r\nETag: \"e\"\r\n\r\nllo";

START_TEST(a_range_is_the_one_asked_for)
{
	struct visit v;

	visit_begin(&v, answer_always, ranged);
	ck_assert_msg(ASK(&v, .offset = 2) == 0, "%s", v.err.msg);
	ck_assert_int_eq(v.resp.status, 206);
	ck_assert_uint_eq(v.resp.range_start, 2);
	ck_assert_uint_eq(v.resp.content_length, 3);
	ck_assert_str_eq(buf_str(&v.body), "llo");
	ck_assert_int_eq(ASK(&v, .offset = 3), ERR_NET);
	ck_assert_uint_eq(v.body.len, 0);
	visit_end(&v);
}
END_TEST

START_TEST(a_server_without_ranges_starts_from_the_top)
{
	struct visit v;

	visit_begin(&v, answer_always, hello);
	ck_assert_msg(ASK(&v, .offset = 2) == 0, "%s", v.err.msg);
	ck_assert_int_eq(v.resp.status, 200);
	ck_assert_uint_eq(v.resp.range_start, 0);
	ck_assert_str_eq(buf_str(&v.body), "hello");
	visit_end(&v);
}
END_TEST

static void
sum_posts(struct tls_peer *p, const void *arg)
{
	const char *length;
	char text[128], number[32];
	unsigned sum;

	(void)arg;
	while (tls_peer_request(p)) {
		length = strstr(p->request, "Content-Length: ");
		if (length == NULL || strncmp(p->request, "POST ", 5) != 0 ||
		    strstr(p->request, "Expect:") != NULL)
			break;
		sum = tls_peer_read_body(p, strtoul(length + 16, NULL, 10));
		(void)snprintf(number, sizeof(number), "%u", sum);
		(void)snprintf(text, sizeof(text),
		    "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s",
		    strlen(number), number);
		if (!tls_peer_say(p, text))
			break;
	}
}

START_TEST(a_body_is_posted_whole)
{
	static const size_t sizes[] = { 0, 1, 100, 65536, 262144 };
	uint8_t *data = malloc(262144);
	struct visit v;
	char want[32];

	ck_assert_ptr_nonnull(data);
	memset(data, 3, 262144);
	visit_begin(&v, sum_posts, NULL);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		ck_assert_msg(ASK(&v, .body = data, .body_len = sizes[i]) == 0,
		    "%s", v.err.msg);
		(void)snprintf(want, sizeof(want), "%zu", 3 * sizes[i]);
		ck_assert_str_eq(buf_str(&v.body), want);
	}
	ck_assert_uint_eq(v.server.counts->connections, 1);
	visit_end(&v);
	free(data);
}
END_TEST

static int
refuse_body(void *arg, const void *data, size_t len, struct err *e)
{
	(void)arg, (void)data, (void)len;
	return err_set(e, ERR_CHANGED, "the sink says no");
}

START_TEST(what_the_sink_says_is_the_result)
{
	struct visit v;

	visit_begin(&v, answer_always, hello);
	ck_assert_int_eq(ASK(&v, .sink = refuse_body), ERR_CHANGED);
	ck_assert_int_eq(v.err.code, ERR_CHANGED);
	ck_assert_str_eq(v.err.msg, "the sink says no");
	ck_assert_int_eq(ASK(&v, 0), 0);
	visit_end(&v);
}
END_TEST

static void
send_megabytes(struct tls_peer *p, const void *arg)
{
	size_t len = 1 << 20;
	char *block = calloc(1, len);

	(void)arg;
	while (block != NULL && tls_peer_request(p)) {
		tls_peer_say(
		    p, "HTTP/1.1 200 OK\r\nContent-Length: 16777216\r\n\r\n");
		for (int i = 0; i < 16; i++) {
			block[0] = (char)('a' + i);
			tls_peer_send(p, block, len);
		}
	}
	free(block);
}

START_TEST(large_bodies_arrive_in_order_and_are_counted)
{
	uint64_t in, out;
	struct visit v;

	visit_begin(&v, send_megabytes, NULL);
	ck_assert_msg(ASK(&v, 0) == 0, "%s", v.err.msg);
	ck_assert_uint_eq(v.body.len, 16 << 20);
	for (int i = 0; i < 16; i++)
		ck_assert_int_eq(v.body.data[(size_t)i << 20], 'a' + i);
	http_client_bytes(v.client, &in, &out);
	ck_assert_uint_gt(in, 16 << 20);
	ck_assert_uint_lt(in, (16 << 20) + (1 << 18));
	ck_assert_uint_gt(out, 300);
	ck_assert_uint_lt(out, 1 << 18);
	visit_end(&v);
}
END_TEST

START_TEST(ipv6_works_as_well)
{
	struct visit v = { 0 };

	visit_serve(&v, "::1", answer_once, hello);
	visit_connect(&v, &(struct http_client_options){ .address = "::1" });
	for (int i = 0; i < 2; i++)
		ck_assert_msg(ASK(&v, 0) == 0, "%s", v.err.msg);
	visit_end(&v);
}
END_TEST

START_TEST(without_a_socket_it_connects_by_itself)
{
	struct visit v = { 0 };

	visit_serve(&v, "127.0.0.1", answer_always, hello);
	visit_connect(&v,
	    &(struct http_client_options){ .fd = -1, .address = "127.0.0.1" });
	ck_assert_msg(ASK(&v, 0) == 0, "%s", v.err.msg);
	visit_end(&v);
}
END_TEST

START_TEST(a_socket_that_libcurl_cannot_take_is_replaced)
{
	struct visit v = { 0 };

	visit_serve(&v, "127.0.0.1", answer_always, hello);
	visit_connect(&v,
	    &(struct http_client_options){ .address = "127.0.0.1",
	        .fd = tls_server_dial(&v.server, true) });
	ck_assert_msg(ASK(&v, 0) == 0, "%s", v.err.msg);
	ck_assert_uint_eq(v.server.counts->connections, 1);
	visit_end(&v);
}
END_TEST

START_TEST(a_server_that_is_gone_is_an_error)
{
	struct visit v;

	visit_begin(&v, answer_once, hello);
	ck_assert_int_eq(ASK(&v, 0), 0);
	visit_disconnect(&v);
	visit_connect(&v, NULL);
	tls_server_stop(&v.server);
	ck_assert_int_eq(ASK(&v, 0), ERR_NET);
	visit_disconnect(&v);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("http_client");
	TCase *t = tcase_create("http_client");
	SRunner *runner;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, visit_set_up, visit_tear_down);
	tcase_add_test(t, a_connection_serves_many_requests);
	tcase_add_test(
	    t, a_lost_connection_is_made_again_and_its_session_resumed);
	tcase_add_test(t, a_session_goes_from_one_client_to_the_next);
	tcase_add_test(t, a_refused_key_is_named);
	tcase_add_test(t, a_session_does_not_go_round_the_judge);
	tcase_add_loop_test(t, each_answer_has_its_meaning, 0, ANSWERS);
	tcase_add_loop_test(t, endless_answers_end, 0, FLOODS);
	tcase_add_test(t, a_body_of_exactly_the_limit_passes);
	tcase_add_test(t, a_request_says_what_it_should);
	tcase_add_test(t, what_could_split_a_request_is_refused);
	tcase_add_test(t, only_numeric_addresses_are_taken);
	tcase_add_test(t, a_range_is_the_one_asked_for);
	tcase_add_test(t, a_server_without_ranges_starts_from_the_top);
	tcase_add_test(t, a_body_is_posted_whole);
	tcase_add_test(t, large_bodies_arrive_in_order_and_are_counted);
	tcase_add_test(t, ipv6_works_as_well);
	tcase_add_test(t, without_a_socket_it_connects_by_itself);
	tcase_add_test(t, a_socket_that_libcurl_cannot_take_is_replaced);
	tcase_add_test(t, a_server_that_is_gone_is_an_error);
	tcase_add_test(t, what_the_sink_says_is_the_result);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
