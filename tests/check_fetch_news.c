/* What comes with a head before it is asked for: a real fetcher process against
 * scripted servers.
 * run: also as nobody */
#include <check.h>
#include <signal.h>

#include "tests/fetch_visit.h"

#define CHANNEL "/v1/channel/x"
#define NEWS    CHANNEL "?after=1&with=a,b"
#define HEAD    "Pecia-Head: 4\r\n"
#define BODY    "head/v1/release/r 3\nrel/v1/data/d 5\n01234"

static struct site site[1];
static struct fetch_visit visit;
static struct buf body;
static struct fetch_answer answer;

static void
set_up(void)
{
	visit_set_up();
	memset(site, 0, sizeof(site));
	buf_init(&body, 1 << 20);
}

static void
tear_down(void)
{
	buf_release(&body);
	visit_tear_down();
}

static void
start(bool known)
{
	site_open(&site[0]);
	fetch_visit_start(&visit, site, 1, known);
}

static void
stop(void)
{
	fetch_visit_stop(&visit);
	site_close(&site[0]);
}

static void
add_news(const char *text, size_t cut)
{
	site_add(&site[0], "GET " NEWS, "200 OK", HEAD,
	    (struct route_body){ text, strlen(text), cut });
}

static uint64_t
requests(void)
{
	return site[0].server.counts->requests;
}

static void
expect(const char *path, size_t max_bytes, const char *text)
{
	struct fetch_get get = { .path = path, .max_bytes = max_bytes };

	buf_clear(&body);
	ck_assert_msg(
	    fetch_get(visit.fetch, &get, &body, &answer, &visit.e) == 0,
	    "%s: %s", path, visit.e.msg);
	ck_assert_int_eq(answer.status, 200);
	ck_assert_msg(strcmp(buf_str(&body), text) == 0, "%s: \"%s\"", path,
	    buf_str(&body));
}

/* A file of the server's, asked for by itself. */
static void
expect_asked(const char *path, size_t max_bytes, const char *text)
{
	uint64_t before = requests();

	expect(path, max_bytes, text);
	ck_assert_uint_eq(requests(), before + 1);
}

static void
expect_unasked(const char *path, size_t max_bytes, const char *text)
{
	uint64_t before = requests();

	expect(path, max_bytes, text);
	ck_assert_uint_eq(requests(), before);
}

START_TEST(answers_from_what_came_with_the_head)
{
	struct digest key;

	add_news(BODY, 0);
	site_add_text(&site[0], "GET /v1/data/d", "200 OK", "", "asked");
	site_add_text(&site[0], "GET /v1/data/e", "200 OK", "", "other");
	start(true);
	expect_asked(NEWS, 100, "head");
	expect_unasked("/v1/release/r", 3, "rel");
	visit_server_digest(&key);
	ck_assert(answer.known && digest_equal(&answer.key, &key));
	expect_unasked("/v1/data/d", 5, "01234");
	expect_asked("/v1/data/e", 5, "other");
	stop();
}
END_TEST

START_TEST(takes_nothing_past_its_signed_size)
{
	add_news(BODY, 0);
	site_add_text(&site[0], "GET /v1/data/d", "200 OK", "", "0123");
	start(true);
	expect_asked(NEWS, 100, "head");
	expect_asked("/v1/data/d", 4, "0123");
	stop();
}
END_TEST

/* The end of each row's body is cut off; the rest is asked for by its range. */
static const struct {
	size_t cut;
	const char *range, *rest;
} cuts[] = {
	{ sizeof(BODY) - 1 - 2, "Range: bytes=3-", "34" },
	{ sizeof(BODY) - 1 - 4, "Range: bytes=1-", "1234" },
};

START_TEST(asks_for_the_rest_of_what_was_cut_off)
{
	char field[64];

	add_news(BODY, cuts[_i].cut);
	(void)snprintf(field, sizeof(field), "Content-Range: bytes %c-4/5\r\n",
	    cuts[_i].range[13]);
	site_add_text(&site[0], "GET /v1/data/d", "206 Partial Content", field,
	    cuts[_i].rest);
	site[0].routes[1].field = cuts[_i].range;
	start(true);
	expect_asked(NEWS, 100, "head");
	expect_unasked("/v1/release/r", 3, "rel");
	expect_asked("/v1/data/d", 5, "01234");
	stop();
}
END_TEST

START_TEST(fails_where_the_rest_is_not_to_be_had)
{
	struct fetch_get get = { .path = "/v1/data/d", .max_bytes = 5 };

	add_news(BODY, sizeof(BODY) - 1 - 2);
	start(true);
	expect_asked(NEWS, 100, "head");
	ck_assert_int_eq(
	    fetch_get(visit.fetch, &get, &body, &answer, &visit.e), ERR_NET);
	expect_unasked("/v1/release/r", 3, "rel");
	stop();
}
END_TEST

static const char *const ill[] = {
	"head/v1/release/r\nrel",
	"head/v1/release/r -3\nrel",
	"head/v1/release/r 03\nrel",
	"head/v1/release/r 3 \nrel",
	"head/v1/release/r 2097153\nrel",
	"head 3\nrel",
	"head/v1/release/"
	"rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr"
	"r"
	"rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr"
	"r"
	" 3\nrel",
	"head",
};

START_TEST(gives_the_head_whatever_is_behind_it)
{
	add_news(ill[_i], 0);
	site_add_text(&site[0], "GET /v1/release/r", "200 OK", "", "ask");
	start(true);
	expect_asked(NEWS, 4, "head");
	expect_asked("/v1/release/r", 3, "ask");
	stop();
}
END_TEST

START_TEST(takes_no_larger_head)
{
	struct fetch_get get = { .path = NEWS, .max_bytes = 3 };

	if (_i == 0)
		add_news(BODY, 0);
	else
		site_add_text(
		    &site[0], "GET " NEWS, "200 OK", "", "head of no news");
	start(true);
	ck_assert_int_eq(
	    fetch_get(visit.fetch, &get, &body, &answer, &visit.e), ERR_LIMIT);
	stop();
}
END_TEST

START_TEST(does_without_news)
{
	site_add_text(&site[0], "GET " NEWS, "200 OK", "", "head");
	site_add_text(&site[0], "GET /v1/release/r", "200 OK", "", "ask");
	start(true);
	expect_asked(NEWS, 4, "head");
	expect_asked("/v1/release/r", 3, "ask");
	stop();
}
END_TEST

/* It does not hear what this machine has, and gives nothing but the head. */
START_TEST(asks_a_stranger_for_the_head_only)
{
	uint64_t before;

	add_news(BODY, 0);
	site_add_text(&site[0], "GET " CHANNEL, "200 OK", "", "head alone");
	start(false);
	expect_asked(NEWS, 100, "head alone");
	/* The same as the first request of a connection. */
	ck_assert_int_eq(fetch_rewind(visit.fetch, &visit.e), 0);
	ck_assert_int_eq(fetch_connect(visit.fetch, &visit.peer, &visit.e), 0);
	before = requests();
	expect(NEWS, 100, "head alone");
	ck_assert(!answer.known);
	ck_assert_uint_eq(requests(), before + 1);
	ck_assert_uint_eq(site[0].server.counts->certificates, 0);
	stop();
}
END_TEST

START_TEST(forgets_news_with_the_server)
{
	add_news(BODY, 0);
	site_add_text(&site[0], "GET /v1/release/r", "200 OK", "", "ask");
	site_add_text(&site[0], "GET /v1/root/1", "200 OK", "", "root");
	start(true);
	expect_asked(NEWS, 100, "head");
	ck_assert_int_eq(fetch_rewind(visit.fetch, &visit.e), 0);
	ck_assert_int_eq(fetch_visit_next(&visit), 0);
	expect_asked("/v1/release/r", 3, "ask");
	/* And with its key. */
	expect_asked(NEWS, 100, "head");
	fetch_visit_keys(&visit, false);
	ck_assert_int_eq(
	    fetch_visit_get(&visit, "/v1/release/r", &body, &answer),
	    ERR_VERIFY);
	stop();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("fetch_news");
	TCase *t = tcase_create("fetch_news");
	SRunner *runner;
	int failed;

	(void)signal(SIGPIPE, SIG_IGN);
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, answers_from_what_came_with_the_head);
	tcase_add_test(t, takes_nothing_past_its_signed_size);
	tcase_add_loop_test(t, asks_for_the_rest_of_what_was_cut_off, 0,
	    (int)(sizeof(cuts) / sizeof(*cuts)));
	tcase_add_test(t, fails_where_the_rest_is_not_to_be_had);
	tcase_add_loop_test(t, gives_the_head_whatever_is_behind_it, 0,
	    (int)(sizeof(ill) / sizeof(*ill)));
	tcase_add_loop_test(t, takes_no_larger_head, 0, 2);
	tcase_add_test(t, does_without_news);
	tcase_add_test(t, asks_a_stranger_for_the_head_only);
	tcase_add_test(t, forgets_news_with_the_server);
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
