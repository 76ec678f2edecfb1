/* Fetching objects by the numbers of files in a manifest, from scripted
 * servers. */
#include <check.h>
#include <signal.h>

#include "tests/fetch_taken.h"

#define BATCH "POST /v1/objects"
#define FILES 256 /* the fewest that are asked for so */

static struct digest manifest;
static char by_number[96]; /* how the request begins */
static struct fetch_want files[FILES];

static void
set_up(void)
{
	char hex[DIGEST_HEX];

	contents_set_up();
	digest_of("manifest", 8, &manifest);
	digest_hex(&manifest, hex);
	(void)snprintf(
	    by_number, sizeof(by_number), "POST /v1/objects/%s", hex);
	for (size_t i = 0; i < FILES; i++) {
		files[i] = wants[i % 2 == 0 ? SMALL : OTHER];
		files[i].number = 7 + i * 3;
	}
}

static int
fetch_files(struct taken *t, size_t count)
{
	struct fetch_taker taker = {
		.form = FETCH_CONTENT,
		.manifest = &manifest,
		.arg = t,
		.begin = taken_begin,
		.data = taken_data,
		.end = taken_end,
		.missing = taken_missing,
	};

	buf_clear(&t->text);
	return fetch_objects(visit.fetch, files, count, &taker, &visit.e);
}

static void
add_numbered(struct buf *stream, const struct buf *frame)
{
	buf_add_varint(stream, frame == NULL ? 0 : frame->len + 1);
	if (frame != NULL)
		buf_add(stream, frame->data, frame->len);
}

/* All files but the last `less`, as they should come. */
static void
add_files(struct buf *stream, bool numbered, size_t less)
{
	for (size_t i = 0; i < FILES - less; i++) {
		const struct buf *frame = &frames[i % 2 == 0 ? SMALL : OTHER];

		if (numbered) {
			add_numbered(stream, frame);
			continue;
		}
		buf_add(stream, files[i].digest.b, DIGEST_BYTES);
		buf_add_u64(stream, frame->len);
		buf_add(stream, frame->data, frame->len);
	}
}

static void
expect_all(const struct taken *t, size_t count)
{
	const char *at = buf_str(&t->text);

	for (size_t i = 0; i < count; i++, at += 2)
		ck_assert_int_eq(memcmp(at, i % 2 == 0 ? "1 " : "4 ", 2), 0);
	ck_assert_str_eq(at, "");
}

static void
add_route(const char *request, const struct buf *stream)
{
	site_add(&site, request, "200 OK", "",
	    (struct route_body){ stream->data, stream->len, 0 });
}

START_TEST(takes_what_comes_in_the_order_of_numbers)
{
	struct buf stream;
	struct taken t;

	buf_init(&stream, 1 << 20);
	add_files(&stream, true, 3);
	add_numbered(&stream, &frames[SMALL]); /* should be OTHER */
	add_numbered(&stream, NULL);
	add_numbered(&stream, &frames[OTHER]);
	add_route(by_number, &stream);
	contents_start();
	taken_init(&t);
	ck_assert_int_eq(fetch_files(&t, FILES), 0);
	ck_assert_ptr_nonnull(
	    strstr(buf_str(&t.text), "1 4 1 4 1 4!wrong digest 1- 4 "));
	ck_assert_uint_eq(site.server.counts->requests, 2);
	taken_release(&t);
	buf_release(&stream);
	contents_stop();
}
END_TEST

static const char *const refusals[] = { "400 Bad Request", "404 Not Found",
	"405 Method Not Allowed", "501 Not Implemented" };

START_TEST(asks_by_digest_who_knows_no_numbers)
{
	struct buf stream;
	struct taken t;

	buf_init(&stream, 1 << 20);
	add_files(&stream, false, 0);
	site_add_text(&site, by_number, refusals[_i], "", "no");
	add_route(BATCH, &stream);
	contents_start();
	taken_init(&t);
	for (int again = 0; again < 2; again++) {
		ck_assert_int_eq(fetch_files(&t, FILES), 0);
		expect_all(&t, FILES);
	}
	/* It is not asked again for what it does not know. */
	ck_assert_uint_eq(site.server.counts->requests, 1 + 1 + 2);
	taken_release(&t);
	buf_release(&stream);
	contents_stop();
}
END_TEST

START_TEST(tells_of_a_server_that_fails)
{
	struct taken t;

	site_add_text(&site, by_number, "500 Oh", "", "no");
	contents_start();
	taken_init(&t);
	ck_assert_int_eq(fetch_files(&t, FILES), ERR_NET);
	ck_assert_ptr_nonnull(strstr(visit.e.msg, "status 500"));
	taken_release(&t);
	contents_stop();
}
END_TEST

static const struct {
	const char *more; /* in place of the last object */
	size_t len;
	int code; /* 0: any */
	const char *told;
} strange[] = {
	{ "", 0, ERR_NET, "fewer objects" },
	{ "\x0f", 1, ERR_NET, "fewer objects" },
	{ "\x80", 1, ERR_NET, "fewer objects" },
	{ "\x0f\x28", 2, ERR_NET, "fewer objects" },
	{ "\x81\x00", 2, 0, "length of an object" },
	{ "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 10, 0,
	    "length of an object" },
	{ "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, 0,
	    "length of an object" },
	{ "\x80\x10", 2, 0, "larger than signed" },
	{ "\0\0", 2, 0, "more objects" },
};

START_TEST(refuses_a_stream_that_is_not_as_asked)
{
	struct fetch_answer answer;
	struct buf stream, body;
	struct taken t;
	int rc;

	buf_init(&stream, 1 << 20);
	buf_init(&body, 100);
	add_files(&stream, true, 1);
	buf_add(&stream, strange[_i].more, strange[_i].len);
	add_route(by_number, &stream);
	contents_start();
	taken_init(&t);
	rc = fetch_files(&t, FILES);
	ck_assert_int_ne(rc, 0);
	if (strange[_i].code != 0)
		ck_assert_int_eq(rc, strange[_i].code);
	ck_assert_msg(
	    strstr(visit.e.msg, strange[_i].told) != NULL, "%s", visit.e.msg);
	/* The fetcher said so: it can be asked on. */
	ck_assert_int_eq(
	    fetch_visit_get(&visit, "/v1/roster", &body, &answer), 404);
	taken_release(&t);
	buf_release(&stream);
	buf_release(&body);
	contents_stop();
}
END_TEST

/* One fewer; one that goes back; one twice; one beyond what is counted. */
static const struct {
	size_t count, at;
	uint64_t number;
} uncounted[] = {
	{ FILES - 1, 0, 7 },
	{ FILES, 100, 1 },
	{ FILES, 100, 7 + 99 * 3 },
	{ FILES, FILES - 1, LIMIT_SELECT_FILES },
};

START_TEST(asks_by_digest_where_numbers_do_not_do)
{
	struct buf stream;
	struct taken t;

	files[uncounted[_i].at].number = uncounted[_i].number;
	buf_init(&stream, 1 << 20);
	add_files(&stream, false, FILES - uncounted[_i].count);
	add_route(BATCH, &stream);
	contents_start();
	taken_init(&t);
	ck_assert_int_eq(fetch_files(&t, uncounted[_i].count), 0);
	expect_all(&t, uncounted[_i].count);
	ck_assert_uint_eq(site.server.counts->requests, 2);
	taken_release(&t);
	buf_release(&stream);
	contents_stop();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("fetch_select");
	TCase *t = tcase_create("fetch_select");
	SRunner *runner;
	int failed;

	(void)signal(SIGPIPE, SIG_IGN);
	tcase_add_checked_fixture(t, set_up, contents_tear_down);
	tcase_add_test(t, takes_what_comes_in_the_order_of_numbers);
	tcase_add_loop_test(t, asks_by_digest_who_knows_no_numbers, 0,
	    (int)(sizeof(refusals) / sizeof(*refusals)));
	tcase_add_test(t, tells_of_a_server_that_fails);
	tcase_add_loop_test(t, refuses_a_stream_that_is_not_as_asked, 0,
	    (int)(sizeof(strange) / sizeof(*strange)));
	tcase_add_loop_test(t, asks_by_digest_where_numbers_do_not_do, 0,
	    (int)(sizeof(uncounted) / sizeof(*uncounted)));
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
