/* A worker that serves a repository: shapes of paths, conditions, ranges, long
 * polls, health and metrics. */
#include <check.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fsat.h"
#include "server/serve_range.h"
#include "tests/samples.h"
#include "tests/site.h"
#include "transcripts/repo.h"

#define WAITERS 20

START_TEST(serves_each_kind_of_file)
{
	static const struct {
		const char *path, *body, *cache;
	} rows[] = {
		{ "/v1/root/1", "root one\n", "immutable" },
		{ "/v1/roster", "roster\n", "no-cache" },
		{ "/v1/channel/production", "pecia head 1\n", "no-cache" },
		{ "/v1/release/" SITE_NAME, "release\n", "immutable" },
		{ "/v1/manifest/" SITE_NAME, "manifest\n", "immutable" },
		{ "/v1/data/" SITE_NAME, "0123456789", "immutable" },
		{ "/v1/object/01/" SITE_NAME, "frame", "immutable" },
	};

	site_start_worker();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char again[256], changed[64] = "If-None-Match: \"x\"\r\n";
		struct peer_reply r;

		site_get(rows[i].path, "", &r);
		ck_assert_msg(r.status == 200, "%s", rows[i].path);
		ck_assert_ptr_nonnull(strstr(buf_str(&r.body), rows[i].body));
		ck_assert_ptr_nonnull(
		    strstr(peer_field(&r, "Cache-Control"), rows[i].cache));
		(void)snprintf(again, sizeof(again),
		    "If-None-Match: \"y\", W/%s\r\n", peer_field(&r, "ETag"));
		peer_reply_release(&r);
		ck_assert_uint_eq(site_status_of(rows[i].path, again), 304);
		ck_assert_uint_eq(
		    site_status_of(rows[i].path, "If-None-Match: *\r\n"), 304);
		ck_assert_uint_eq(site_status_of(rows[i].path, changed), 200);
	}
}
END_TEST

START_TEST(names_what_is_named_by_digest_by_it)
{
	struct peer_reply r;

	site_start_worker();
	site_get("/v1/release/" SITE_NAME, "", &r);
	ck_assert_str_eq(peer_field(&r, "ETag"), "\"" SITE_NAME "\"");
	peer_reply_release(&r);
	/* Another mirror may hold another frame of the same object. */
	site_get("/v1/object/01/" SITE_NAME, "", &r);
	ck_assert_str_ne(peer_field(&r, "ETag"), "\"" SITE_NAME "\"");
	peer_reply_release(&r);
}
END_TEST

START_TEST(reaches_nothing_else)
{
	static const char *const paths[] = {
		"/",
		"/v1",
		"/v2/roster",
		"/secret/key",
		"/v1/secret",
		"/v1/%252e%252e/secret/key",
		"/v1/root/0",
		"/v1/root/01",
		"/v1/root/2",
		"/v1/root/-1",
		"/v1/root/1a",
		"/v1/roster/x",
		"/v1/rosters",
		"/v1/channel/",
		"/v1/channel/.hidden",
		"/v1/channel/a/b",
		"/v1/channel/none",
		"/v1/release/x",
		("/v1/release/" SITE_NAME "0"),
		("/v1/object/" SITE_NAME),
		("/v1/object/02/" SITE_NAME),
		("/v1/object/ab/" SITE_NAME),
		"/v1/objects/x",
		"/v1/object/01",
		"/v1/channel/a%20b",
		"/healthz/x",
		("/v1/data/0123456789ABCDEF0123456789abcdef0123456789abcdef"
		 "0123456789abcdef"),
	};
	static const char *const crooked[] = { "/v1/../secret/key",
		"/v1/%2e%2e/secret/key", "/v1/..%5csecret", "/v1\\roster",
		"//v1/roster", "/v1//roster", "/v1/roster%00", "/v1/./roster",
		"/v1/root%2f1", "/v1/channel/%0a" };

	site_start_worker();
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		if (strcmp(paths[i], "/v1/channel/") != 0)
			ck_assert_msg(site_status_of(paths[i], "") == 404, "%s",
			    paths[i]);
	for (size_t i = 0; i < sizeof(crooked) / sizeof(crooked[0]); i++)
		ck_assert_msg(
		    site_status_of(crooked[i], "") == 400, "%s", crooked[i]);
}
END_TEST

START_TEST(follows_no_links_and_serves_regular_files_only)
{
	static const char *const names[] = { "111111111111111111111111111111111"
		                             "1111111111111111111111111111111",
		"22222222222222222222222222222222222222222222222222222222222222"
		"22",
		"33333333333333333333333333333333333333333333333333333333333333"
		"33" };
	char path[128];

	ck_assert_int_eq(symlinkat("../../secret/key", site_repo.fd,
	                     "v1/release/1111111111111111111111111111111111111"
	                     "111111111111111111111111111"),
	    0);
	ck_assert_int_eq(mkdirat(site_repo.fd,
	                     "v1/release/2222222222222222222222222222222222222"
	                     "222222222222222222222222222",
	                     0755),
	    0);
	ck_assert_int_eq(mkfifoat(site_repo.fd,
	                     "v1/release/3333333333333333333333333333333333333"
	                     "333333333333333333333333333",
	                     0644),
	    0);
	site_start_worker();
	for (size_t i = 0; i < 3; i++) {
		(void)snprintf(path, sizeof(path), "/v1/release/%s", names[i]);
		ck_assert_uint_ge(site_status_of(path, ""), 404);
	}
}
END_TEST

START_TEST(takes_ranges_apart)
{
	static const struct {
		const char *range;
		uint64_t size;
		enum serve_range kind;
		uint64_t first, len;
	} rows[] = {
		{ NULL, 10, SERVE_RANGE_WHOLE, 0, 0 },
		{ "bytes=0-9", 10, SERVE_RANGE_PART, 0, 10 },
		{ "bytes=0-0", 10, SERVE_RANGE_PART, 0, 1 },
		{ "BYTES=3-", 10, SERVE_RANGE_PART, 3, 7 },
		{ "bytes=9-99", 10, SERVE_RANGE_PART, 9, 1 },
		{ "bytes=-3", 10, SERVE_RANGE_PART, 7, 3 },
		{ "bytes=-99", 10, SERVE_RANGE_PART, 0, 10 },
		{ "bytes=0-18446744073709551615", 10, SERVE_RANGE_PART, 0, 10 },
		{ "bytes=10-", 10, SERVE_RANGE_UNSATISFIABLE, 0, 0 },
		{ "bytes=-0", 10, SERVE_RANGE_UNSATISFIABLE, 0, 0 },
		{ "bytes=0-", 0, SERVE_RANGE_UNSATISFIABLE, 0, 0 },
		{ "bytes=-1", 0, SERVE_RANGE_UNSATISFIABLE, 0, 0 },
		{ "bytes=5-4", 10, SERVE_RANGE_WHOLE, 0, 0 },
		{ "bytes=0-1,3-4", 10, SERVE_RANGE_WHOLE, 0, 0 },
		{ "bytes=", 10, SERVE_RANGE_WHOLE, 0, 0 },
		{ "bytes=-", 10, SERVE_RANGE_WHOLE, 0, 0 },
		{ "bytes=a-b", 10, SERVE_RANGE_WHOLE, 0, 0 },
		{ "bytes=1", 10, SERVE_RANGE_WHOLE, 0, 0 },
		{ "lines=1-2", 10, SERVE_RANGE_WHOLE, 0, 0 },
		{ "bytes=99999999999999999999-", 10, SERVE_RANGE_WHOLE, 0, 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t first = 0, len = 0;

		ck_assert_msg(serve_range_parse(rows[i].range, rows[i].size,
		                  &first, &len) == rows[i].kind,
		    "%s", rows[i].range);
		ck_assert_uint_eq(first, rows[i].first);
		ck_assert_uint_eq(len, rows[i].len);
	}
}
END_TEST

START_TEST(serves_ranges)
{
	static const struct {
		const char *fields;
		unsigned status;
		const char *body, *content_range;
	} rows[] = {
		{ "Range: bytes=2-4\r\n", 206, "234", "bytes 2-4/10" },
		{ "Range: bytes=7-\r\n", 206, "789", "bytes 7-9/10" },
		{ "Range: bytes=-2\r\n", 206, "89", "bytes 8-9/10" },
		{ "Range: bytes=10-\r\n", 416, "", "bytes */10" },
		{ "Range: bytes=2-4\r\nIf-Range: \"" SITE_NAME "\"\r\n", 206,
		    "234", "bytes 2-4/10" },
		{ "Range: bytes=2-4\r\nIf-Range: \"other\"\r\n", 200,
		    "0123456789", "" },
		{ "Range: bytes=2-4\r\nIf-Range: W/\"" SITE_NAME "\"\r\n", 200,
		    "0123456789", "" },
		{ "Range: bytes=2-4\r\nIf-Range: Sun, 06 Nov 1994 08:49:37 "
		  "GMT\r\n",
		    200, "0123456789", "" },
	};

	site_start_worker();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct peer_reply r;

		site_get("/v1/data/" SITE_NAME, rows[i].fields, &r);
		ck_assert_msg(r.status == rows[i].status, "%s", rows[i].fields);
		ck_assert_str_eq(buf_str(&r.body), rows[i].body);
		ck_assert_str_eq(
		    peer_field(&r, "Content-Range"), rows[i].content_range);
		peer_reply_release(&r);
	}
	ck_assert_uint_eq(
	    peer_status(site_port, "HEAD /v1/data/" SITE_NAME " HTTP/1.1",
	        "Range: bytes=2-4\r\n"),
	    200);
}
END_TEST

START_TEST(sees_files_that_are_replaced)
{
	static const char *const paths[] = { "v1/roster", "v1/root/1",
		"v1/channel/production" };
	char before[256], url[64];
	struct peer_reply r;

	site_start_worker();
	for (size_t i = 0; i < 3; i++) {
		(void)snprintf(url, sizeof(url), "/%s", paths[i]);
		site_get(url, "", &r);
		(void)snprintf(before, sizeof(before), "If-None-Match: %s\r\n",
		    peer_field(&r, "ETag"));
		peer_reply_release(&r);
		ck_assert_uint_eq(site_status_of(url, before), 304);
		if (i < 2)
			site_put_str(paths[i], "another\n");
		else
			site_put_fresh_head(8);
		ck_assert_uint_eq(site_status_of(url, before), 200);
	}
}
END_TEST

START_TEST(says_little_about_a_head)
{
	struct peer_reply r;
	char known[256];

	site_start_worker();
	site_get("/v1/channel/production", "", &r);
	ck_assert_uint_lt(r.head.len, 250);
	(void)snprintf(known, sizeof(known), "If-None-Match: %s\r\n",
	    peer_field(&r, "ETag"));
	peer_reply_release(&r);
	site_get("/v1/channel/production", known, &r);
	ck_assert_uint_lt(r.head.len, 180);
	ck_assert_uint_eq(r.body.len, 0);
	peer_reply_release(&r);
}
END_TEST

/* The waiting gauge, as metrics tell it. */
static unsigned
waiting(void)
{
	struct peer_reply r;
	const char *at;
	unsigned n;

	site_get("/metrics", "", &r);
	at = strstr(buf_str(&r.body), "\npecia_http_waiting ");
	ck_assert_ptr_nonnull(at);
	n = (unsigned)strtoul(at + strlen("\npecia_http_waiting "), NULL, 10);
	peer_reply_release(&r);
	return n;
}

START_TEST(wakes_all_who_wait_when_the_head_is_replaced)
{
	struct peer peers[WAITERS];
	struct peer_reply r;
	unsigned answered = 0;

	site_start_worker();
	for (size_t i = 0; i < WAITERS; i++) {
		peer_connect(&peers[i], site_port);
		peer_ask(&peers[i],
		    "GET /v1/channel/production?after=7&wait=300 HTTP/1.1", "");
	}
	PEER_WAIT(waiting() == WAITERS);
	site_put_fresh_head(8);
	for (size_t i = 0; i < WAITERS; i++) {
		peer_read(&peers[i], false, &r);
		if (r.whole && r.status == 200 &&
		    strstr(buf_str(&r.body), "\nserial 8\n") != NULL)
			answered++;
		peer_reply_release(&r);
	}
	ck_assert_uint_eq(answered, WAITERS);
	ck_assert_uint_eq(waiting(), 0);
	/* The connections go on; one peer leaves while it waits. */
	for (size_t i = 0; i < 2; i++)
		peer_ask(&peers[i],
		    "GET /v1/channel/production?after=8&wait=300 HTTP/1.1", "");
	PEER_WAIT(waiting() == 2);
	peer_close(&peers[0]);
	PEER_WAIT(waiting() == 1);
	site_put_fresh_head(9);
	peer_read(&peers[1], false, &r);
	ck_assert_ptr_nonnull(strstr(buf_str(&r.body), "\nserial 9\n"));
	peer_reply_release(&r);
	for (size_t i = 1; i < WAITERS; i++)
		peer_close(&peers[i]);
}
END_TEST

START_TEST(wakes_those_who_wait_when_a_head_is_signed_again_or_removed)
{
	struct err e = ERR_INIT;
	struct peer_reply r;
	struct peer p;
	time_t now = time(NULL);

	site_start_worker();
	peer_connect(&p, site_port);
	peer_ask(
	    &p, "GET /v1/channel/production?after=7&wait=300 HTTP/1.1", "");
	PEER_WAIT(waiting() == 1);
	site_put_head("production", 7, now, now + 2 * SAMPLE_DAY);
	peer_read(&p, false, &r);
	ck_assert_uint_eq(r.status, 200);
	peer_reply_release(&r);
	peer_ask(
	    &p, "GET /v1/channel/production?after=7&wait=300 HTTP/1.1", "");
	PEER_WAIT(waiting() == 1);
	ck_assert_int_eq(
	    fsat_unlink(site_repo.fd, "v1/channel/production", &e), 0);
	peer_read(&p, false, &r);
	ck_assert_uint_eq(r.status, 404);
	peer_reply_release(&r);
	peer_close(&p);
}
END_TEST

START_TEST(does_not_wait_when_there_is_something_to_say)
{
	static const struct {
		const char *query, *fields;
		unsigned status;
	} rows[] = {
		{ "?after=6&wait=300", "", 200 },
		{ "?after=0&wait=300", "", 200 },
		{ "?wait=300", "", 200 },
		{ "?after=7", "", 200 },
		{ "?after=7&wait=0", "", 200 },
		{ "?after=7&wait=300", "If-None-Match: \"other\"\r\n", 200 },
		{ "?after=7&wait=1", "", 200 }, /* time passes */
		{ "?after=7&wait=1", "If-None-Match: *\r\n", 304 },
		{ "?after=x", "", 400 },
		{ "?after=-1&wait=5", "", 400 },
		{ "?after=7&wait=1.5", "", 400 },
		{ "?after=7&after=8", "", 400 },
	};
	char path[128];

	site_start_worker();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		(void)snprintf(path, sizeof(path), "/v1/channel/production%s",
		    rows[i].query);
		ck_assert_msg(
		    site_status_of(path, rows[i].fields) == rows[i].status,
		    "%s", path);
	}
}
END_TEST

START_TEST(answers_those_who_wait_before_it_ends)
{
	struct peer_reply r;
	struct peer p;

	site_start_worker();
	peer_connect(&p, site_port);
	peer_ask(
	    &p, "GET /v1/channel/production?after=7&wait=300 HTTP/1.1", "");
	PEER_WAIT(waiting() == 1);
	site_stop_worker();
	peer_read(&p, false, &r);
	ck_assert_uint_eq(r.status, 200);
	peer_reply_release(&r);
	peer_close(&p);
}
END_TEST

START_TEST(serves_heads_of_a_folder_that_comes_late)
{
	struct err e = ERR_INIT;

	ck_assert_int_eq(fsat_remove_tree(site_repo.fd, "v1/channel", &e), 0);
	site_start_worker();
	ck_assert_uint_eq(site_status_of("/v1/channel/production", ""), 404);
	ck_assert_uint_eq(site_status_of("/healthz", ""), 503);
	ck_assert_int_eq(fsat_mkdir(site_repo.fd, "v1/channel", 0755, &e), 0);
	site_put_fresh_head(3);
	ck_assert_uint_eq(site_status_of("/v1/channel/production", ""), 200);
	/* ... and is replaced as a whole. */
	ck_assert_int_eq(
	    fsat_rename(site_repo.fd, "v1/channel", site_repo.fd, "v1/old", &e),
	    0);
	ck_assert_int_eq(fsat_mkdir(site_repo.fd, "v1/channel", 0755, &e), 0);
	site_put_head("testing", 1, time(NULL), time(NULL) + SAMPLE_DAY);
	PEER_WAIT(site_status_of("/v1/channel/testing", "") == 200);
	ck_assert_uint_eq(site_status_of("/v1/channel/production", ""), 404);
}
END_TEST

START_TEST(does_not_serve_a_damaged_head)
{
	site_start_worker();
	site_expect_text("/healthz", "ok\n");
	site_put_str("v1/channel/production", "pecia head 1\nnonsense\n");
	ck_assert_uint_eq(site_status_of("/v1/channel/production", ""), 500);
	ck_assert_uint_eq(site_status_of("/healthz", ""), 503);
	site_expect_text(
	    "/healthz", "failing\ncomplete no channel production:");
	/* A head of another channel is damage too. */
	site_put_fresh_head(8);
	ck_assert_uint_eq(site_status_of("/healthz", ""), 200);
	ck_assert_int_eq(renameat(site_repo.fd, "v1/channel/production",
	                     site_repo.fd, "v1/channel/testing"),
	    0);
	ck_assert_uint_eq(site_status_of("/v1/channel/testing", ""), 500);
}
END_TEST

START_TEST(tells_its_health)
{
	struct err e = ERR_INIT;
	time_t now = time(NULL);

	site_start_worker();
	site_expect_text("/healthz", "ok\ncomplete yes channels 1\nfresh yes ");
	site_expect_text("/healthz", "\nwritable ");
	/* Past its time, but not for long: a warning. */
	site_put_head("production", 7, now - 1000, now - 10);
	ck_assert_uint_eq(site_status_of("/healthz", ""), 200);
	site_expect_text("/healthz", "\nfresh no channel production expired ");
	site_put_head("production", 7, now - 1000, now - 600);
	ck_assert_uint_eq(site_status_of("/healthz", ""), 503);
	site_put_fresh_head(8);
	ck_assert_uint_eq(site_status_of("/healthz", ""), 200);
	ck_assert_int_eq(
	    fsat_unlink(site_repo.fd, "v1/release/" SITE_RELEASE, &e), 0);
	ck_assert_uint_eq(site_status_of("/healthz", ""), 503);
	site_expect_text("/healthz", "its release is not here");
}
END_TEST

START_TEST(misses_what_a_release_names)
{
	struct digest manifest;
	struct err e = ERR_INIT;
	char path[REPO_PATH_BYTES];

	site_start_worker();
	site_expect_text("/healthz", "ok\n");
	board_set(&site_board->keeping.lacking, 3);
	ck_assert_uint_eq(site_status_of("/healthz", ""), 503);
	site_expect_text(
	    "/healthz", "complete no files lost 3 and not mended yet");
	board_set(&site_board->keeping.lacking, 0);
	ck_assert_uint_eq(site_status_of("/healthz", ""), 200);
	sample_digest(0x13, &manifest);
	repo_path_manifest(path, &manifest);
	ck_assert_int_eq(fsat_unlink(site_repo.fd, path, &e), 0);
	ck_assert_uint_eq(site_status_of("/healthz", ""), 503);
	site_expect_text(
	    "/healthz", "complete no channel production: v1/manifest/1313");
	site_put_str(path, "manifest\n");
	ck_assert_uint_eq(site_status_of("/healthz", ""), 200);
	/* A release that is none, named by a head that is new. */
	site_put_str("v1/release/" SITE_RELEASE, "nonsense\n");
	ck_assert_uint_eq(site_status_of("/healthz", ""), 200);
	site_start_worker();
	PEER_WAIT(site_says("/healthz", "its release is damaged"));
}
END_TEST

/* What other processes put on the board is told. */
START_TEST(tells_what_is_on_the_board)
{
	struct board_replication *r = &site_board->replication;

	board_say(&r->channels[0].name, "production");
	board_set(&r->channels[0].upstream_serial, 9);
	board_say(&r->upstream, "a \"b\" c\\d");
	board_set(&r->bytes[BOARD_OBJECTS], 12345);
	board_set(&r->troubles[BOARD_TIMEOUT], 4);
	board_set(&r->contact_s, (uint64_t)time(NULL) - 100);
	board_set(&site_board->keeping.scrub_files, 77);
	site_start_worker();
	site_expect_text("/metrics",
	    "\npecia_upstream_lag_releases{channel=\"production\"} 2\n");
	site_expect_text("/metrics",
	    "\npecia_upstream_info{route=\"a \\\"b\\\" c\\\\d\"} 1\n");
	site_expect_text("/metrics",
	    "\npecia_upstream_received_bytes_total{kind=\"objects\"} "
	    "12345\n");
	site_expect_text("/metrics",
	    "\npecia_upstream_errors_total{reason=\"timeout\"} 4\n");
	site_expect_text("/metrics", "\npecia_upstream_silence_seconds 10");
	site_expect_text("/metrics", "\npecia_scrub_files_total 77\n");
	site_expect_text("/metrics", "\npecia_healthy 1\n");
	site_expect_text("/status", "\"lag_releases\": 2");
	site_expect_text("/status", "\"timeout\": 4");
	site_expect_text("/status", "\"scrubbed_files\": 77");
	site_expect_text("/status", "\"repo\": \"/srv/pecia\"");
}
END_TEST

START_TEST(counts_over_all_workers)
{
	site_start_worker();
	site_start_worker();
	for (int i = 0; i < 40; i++)
		ck_assert_uint_eq(site_status_of("/v1/roster", ""), 200);
	ck_assert_uint_eq(site_status_of("/v1/root/9", ""), 404);
	/* A request is counted when its reply is out. */
	PEER_WAIT(site_says("/metrics",
	    "\npecia_http_requests_total{kind=\"roster\",status=\"200\"}"
	    " 40\n"));
	PEER_WAIT(site_says("/metrics",
	    "\npecia_http_requests_total{kind=\"root\",status=\"404\"} 1\n"));
	site_expect_text(
	    "/metrics", "\npecia_http_body_bytes_total{kind=\"roster\"} 280\n");
	site_expect_text(
	    "/metrics", "\npecia_channel_serial{channel=\"production\"} 7\n");
	site_expect_text("/metrics", "# TYPE pecia_http_waiting gauge\n");
}
END_TEST

START_TEST(logs_each_request_on_one_line)
{
	struct err e = ERR_INIT;
	struct buf log;

	site_start_worker();
	ck_assert_uint_eq(site_status_of("/v1/roster", ""), 200);
	ck_assert_uint_eq(site_status_of("/x%20%c3%28y", ""), 404);
	ck_assert_uint_eq(site_status_of("/v1/..", ""), 400);
	site_stop_worker();
	buf_init(&log, 1 << 20);
	ck_assert_int_eq(
	    fsat_read_file(site_repo.fd, "log", 1 << 20, &log, &e), 0);
	ck_assert_ptr_nonnull(
	    strstr(buf_str(&log), " request peer=127.0.0.1:"));
	ck_assert_ptr_nonnull(strstr(buf_str(&log),
	    " key=- method=GET path=/v1/roster status=200 bytes=7 ms="));
	ck_assert_ptr_nonnull(strstr(buf_str(&log), "status=404"));
	ck_assert_ptr_null(strstr(buf_str(&log), "\xc3("));
	ck_assert_ptr_nonnull(
	    strstr(buf_str(&log), "method=- path=- status=400"));
	buf_release(&log);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("serve");
	TCase *pure = tcase_create("pure"), *tc = tcase_create("worker");
	SRunner *runner;
	int failed;

	tcase_add_test(pure, takes_ranges_apart);
	tcase_add_checked_fixture(tc, site_set_up, site_tear_down);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, serves_each_kind_of_file);
	tcase_add_test(tc, names_what_is_named_by_digest_by_it);
	tcase_add_test(tc, reaches_nothing_else);
	tcase_add_test(tc, follows_no_links_and_serves_regular_files_only);
	tcase_add_test(tc, serves_ranges);
	tcase_add_test(tc, sees_files_that_are_replaced);
	tcase_add_test(tc, says_little_about_a_head);
	tcase_add_test(tc, wakes_all_who_wait_when_the_head_is_replaced);
	tcase_add_test(
	    tc, wakes_those_who_wait_when_a_head_is_signed_again_or_removed);
	tcase_add_test(tc, does_not_wait_when_there_is_something_to_say);
	tcase_add_test(tc, answers_those_who_wait_before_it_ends);
	tcase_add_test(tc, serves_heads_of_a_folder_that_comes_late);
	tcase_add_test(tc, does_not_serve_a_damaged_head);
	tcase_add_test(tc, tells_its_health);
	tcase_add_test(tc, misses_what_a_release_names);
	tcase_add_test(tc, tells_what_is_on_the_board);
	tcase_add_test(tc, counts_over_all_workers);
	tcase_add_test(tc, logs_each_request_on_one_line);
	suite_add_tcase(suite, pure);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
