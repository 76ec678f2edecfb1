/* Heads of HTTP requests: what has two readings is refused. */
#include "common/http_server_parse.h"

#include <check.h>

#include "common/buf.h"
#include "common/limits.h"

/* Status 0: accepted. */
static const struct {
	const char *line, *fields;
	unsigned status;
} requests[] = {
	{ "GET /hello HTTP/1.1", "", 0 },
	{ "GET /hello?x=1 HTTP/1.1", "", 0 },
	{ "GET /%68ello HTTP/1.1", "", 0 },
	{ "GET http://other.example/hello HTTP/1.1", "", 0 },
	{ "GET /hello HTTP/1.1", "X-Empty:\r\nX-Tab:\ta b\t\r\n", 0 },
	{ "GET /hello HTTP/1.1", "Content-Length: 0\r\n", 0 },
	{ "GET /else HTTP/1.1", "", 0 },
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
	{ "GET /%252e%252e HTTP/1.1", "", 0 }, /* decoded once */
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
	{ "POST /echo HTTP/1.1", "Content-Length: 0\r\n", 0 },
	{ "POST /echo HTTP/1.1", "Content-Length: -1\r\n", 400 },
	{ "POST /echo HTTP/1.1", "Content-Length: 1x\r\n", 400 },
	{ "POST /echo HTTP/1.1", "Content-Length: 01\r\n", 400 },
	{ "POST /echo HTTP/1.1", "Content-Length: 9999999999999999999\r\n",
	    400 },
	{ "POST /echo HTTP/1.1", "Content-Length: 0\r\nContent-Length: 0\r\n",
	    400 },
	{ "POST /echo HTTP/1.1", "Content-Length: 0\r\nExpect: magic\r\n",
	    417 },
};

/* A copy of exactly that size, so that a sanitizer sees a read past it. */
static int
parse(const void *data, size_t len, struct http_head *head, char **text,
    unsigned *status)
{
	struct err e = ERR_INIT;
	int rc;

	*text = malloc(len + 1);
	ck_assert_ptr_nonnull(*text);
	memcpy(*text, data, len);
	(*text)[len] = '\0';
	*status = 0;
	rc = http_head_parse(*text, len, head, status, &e);
	ck_assert_int_eq(rc != 0, e.msg[0] != '\0');
	ck_assert_int_eq(rc != 0, *status != 0);
	return rc;
}

static unsigned
status_of(const void *data, size_t len)
{
	struct http_head head;
	unsigned status;
	char *text;

	(void)!parse(data, len, &head, &text, &status);
	free(text);
	return status;
}

START_TEST(takes_only_requests_with_one_reading)
{
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		struct buf text;
		unsigned got;

		buf_init(&text, 4096);
		buf_addf(&text, "%s\r\nHost: t\r\n%s\r\n", requests[i].line,
		    requests[i].fields);
		got = status_of(text.data, text.len);
		ck_assert_msg(got == requests[i].status,
		    "%s [%s]: %u instead of %u", requests[i].line,
		    requests[i].fields, got, requests[i].status);
		buf_release(&text);
	}
}
END_TEST

START_TEST(refuses_nul_bytes_and_heads_without_host)
{
	static const char nul_in_path[] =
	    "GET /he\0llo HTTP/1.1\r\nHost: t\r\n\r\n";
	static const char nul_in_field[] =
	    "GET /hello HTTP/1.1\r\nHost: t\0\r\n\r\n";
	static const char no_host[] = "GET /hello HTTP/1.1\r\n\r\n";
	static const char old[] = "GET /hello HTTP/1.0\r\n\r\n";
	static const char more[] = "GET /hello HTTP/1.1\r\nHost: t\r\n\r\nG";

	ck_assert_uint_eq(status_of(nul_in_path, sizeof(nul_in_path) - 1), 400);
	ck_assert_uint_eq(
	    status_of(nul_in_field, sizeof(nul_in_field) - 1), 400);
	ck_assert_uint_eq(status_of(no_host, sizeof(no_host) - 1), 400);
	ck_assert_uint_eq(status_of(old, sizeof(old) - 1), 0);
	ck_assert_uint_eq(status_of(more, sizeof(more) - 1), 400);
}
END_TEST

static const char sample[] =
    "POST /v1/objects?a=%20b HTTP/1.1\r\nHost: mirror\r\n"
    "Content-Length: 64\r\nExpect: 100-continue\r\n"
    "Connection: keep-alive, Close\r\n\r\n";

START_TEST(reads_all_fields)
{
	struct http_head head;
	unsigned status;
	char *text;

	ck_assert_int_eq(
	    parse(sample, sizeof(sample) - 1, &head, &text, &status), 0);
	ck_assert_int_eq(head.method, HTTP_POST);
	ck_assert_str_eq(head.path, "/v1/objects");
	ck_assert_str_eq(head.query, "a=%20b");
	ck_assert_uint_eq(head.body_bytes, 64);
	ck_assert(head.expect_continue);
	ck_assert(!head.keep_alive);
	ck_assert(!head.http10);
	ck_assert_str_eq(http_head_field(&head, "host"), "mirror");
	ck_assert_ptr_null(http_head_field(&head, "hos"));
	free(text);
}
END_TEST

START_TEST(refuses_every_head_cut_short)
{
	for (size_t len = 0; len < sizeof(sample) - 1; len++)
		ck_assert_uint_eq(status_of(sample, len), 400);
}
END_TEST

START_TEST(survives_every_flipped_bit)
{
	char copy[sizeof(sample)];

	for (size_t i = 0; i < (sizeof(sample) - 1) * 8; i++) {
		memcpy(copy, sample, sizeof(sample));
		copy[i / 8] = (char)(copy[i / 8] ^ (1 << i % 8));
		(void)status_of(copy, sizeof(sample) - 1);
	}
}
END_TEST

START_TEST(decodes_query_parameters)
{
	static const struct {
		const char *query;
		int rc;
		const char *value;
	} rows[] = {
		{ "q=abc", 0, "abc" },
		{ "a=1&q=a%20b+c&z", 0, "a b c" },
		{ "q=", 0, "" },
		{ "", ERR_NOT_FOUND, "" },
		{ "qq=1&q", ERR_NOT_FOUND, "" },
		{ "q=1&q=1", ERR_FORMAT, "" },
		{ "q=%4", ERR_FORMAT, "" },
		{ "q=%4&x", ERR_FORMAT, "" },
		{ "q=%", ERR_FORMAT, "" },
		{ "q=%00", ERR_FORMAT, "" },
		{ "q=1234567", 0, "1234567" },
		{ "q=12345678", ERR_LIMIT, "" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct http_head head = { .query = rows[i].query };
		char value[8] = "";

		ck_assert_int_eq(
		    http_head_query(&head, "q", value, sizeof(value)),
		    rows[i].rc);
		if (rows[i].rc == 0)
			ck_assert_str_eq(value, rows[i].value);
	}
}
END_TEST

START_TEST(finds_tokens_in_lists)
{
	ck_assert(http_list_has("close", "close"));
	ck_assert(http_list_has(" keep-alive ,\tCLOSE", "close"));
	ck_assert(!http_list_has("closed", "close"));
	ck_assert(!http_list_has("", "close"));
	ck_assert(!http_list_has(",, ,", "close"));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("http_server_parse");
	TCase *tc = tcase_create("parse");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, takes_only_requests_with_one_reading);
	tcase_add_test(tc, refuses_nul_bytes_and_heads_without_host);
	tcase_add_test(tc, reads_all_fields);
	tcase_add_test(tc, refuses_every_head_cut_short);
	tcase_add_test(tc, survives_every_flipped_bit);
	tcase_add_test(tc, decodes_query_parameters);
	tcase_add_test(tc, finds_tokens_in_lists);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
