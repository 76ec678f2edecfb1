/* Fetching objects, good ones and bad ones, from scripted servers and from a
 * real worker.
 * run: also as nobody */
#include <check.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/http_server.h"
#include "server/board.h"
#include "server/serve.h"
#include "server/serve_view.h"
#include "tests/fetch_taken.h"
#include "tests/sample_repo.h"
#include "transcripts/object.h"

#define OK(v, call) ck_assert_msg((call) == 0, "%s: %s", #call, (v)->e.msg)
#define BATCH       "POST /v1/objects"

static int
fetch_all(struct taken *t, size_t count)
{
	struct fetch_taker taker = {
		.form = t->frames ? FETCH_FRAME : FETCH_CONTENT,
		.arg = t,
		.begin = taken_begin,
		.data = taken_data,
		.end = taken_end,
		.missing = taken_missing,
	};

	buf_clear(&t->text);
	return fetch_objects(visit.fetch, wants, count, &taker, &visit.e);
}

/* ---- one stream ---- */

/* Adds an object to a stream as the server sends it; frame NULL: missing. */
static void
add_object(struct buf *stream, int i, const struct buf *frame)
{
	buf_add(stream, wants[i].digest.b, DIGEST_BYTES);
	buf_add_u64(stream, frame == NULL ? UINT64_MAX : frame->len);
	if (frame != NULL)
		buf_add(stream, frame->data, frame->len);
}

static void
add_stream(const struct buf *stream, size_t cut)
{
	site_add(&site, BATCH, "200 OK", "",
	    (struct route_body){ stream->data, stream->len, cut });
}

START_TEST(takes_objects_in_order_in_either_form)
{
	struct buf stream;
	struct taken t;

	buf_init(&stream, 8 << 20);
	for (int i = 0; i < CONTENTS; i++)
		add_object(&stream, i, i == OTHER ? NULL : &frames[i]);
	add_stream(&stream, 0);
	contents_start();
	taken_init(&t);
	OK(&visit, fetch_all(&t, CONTENTS));
	ck_assert_str_eq(buf_str(&t.text), "0 1 2 3 4- ");
	t.frames = true;
	OK(&visit, fetch_all(&t, CONTENTS));
	ck_assert_str_eq(buf_str(&t.text), "0 1 2 3 4- ");
	OK(&visit, fetch_all(&t, 0));
	ck_assert_uint_eq(site.server.counts->requests, 3);
	taken_release(&t);
	buf_release(&stream);
	contents_stop();
}
END_TEST

START_TEST(tells_which_content_is_bad_and_takes_the_rest)
{
	struct buf stream, cut, garbage, small;
	struct taken t;

	buf_init(&stream, 8 << 20);
	buf_init(&cut, 2 << 20);
	buf_init(&garbage, 100);
	buf_init(&small, 100);
	buf_add(&cut, frames[LARGE].data, frames[LARGE].len - 9);
	buf_add_str(&garbage, "this is no frame");
	buf_add_byte(&small, 0);
	/* The right size and another content; another size; no frame; half of
	 * one; and a good one behind them. */
	add_object(&stream, EMPTY, &frames[SMALL]);
	add_object(&stream, SMALL, &frames[OTHER]);
	add_object(&stream, EDGE, &garbage);
	add_object(&stream, LARGE, &cut);
	add_object(&stream, OTHER, &frames[OTHER]);
	add_stream(&stream, 0);
	contents_start();
	taken_init(&t);
	OK(&visit, fetch_all(&t, CONTENTS));
	ck_assert_ptr_eq(strstr(buf_str(&t.text), "0!"), buf_str(&t.text));
	ck_assert_ptr_nonnull(strstr(buf_str(&t.text), " 1!wrong digest 2!"));
	ck_assert_ptr_nonnull(strstr(buf_str(&t.text), " 3!"));
	ck_assert_ptr_nonnull(strstr(buf_str(&t.text), " 4 "));
	taken_release(&t);
	buf_release(&stream);
	buf_release(&cut);
	buf_release(&garbage);
	buf_release(&small);
	contents_stop();
}
END_TEST

START_TEST(refuses_a_stream_that_is_not_as_asked)
{
	static const struct {
		int first, second;
		size_t cut, more;
		const char *told;
	} rows[] = {
		{ SMALL, EMPTY, 0, 0, "out of order" },
		{ EMPTY, SMALL, 60, 0, "" },
		{ EMPTY, SMALL, 20, 0, "" },
		{ EMPTY, -1, 0, 0, "fewer objects" },
		{ EMPTY, SMALL, 0, 40, "" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fetch_answer answer;
		struct buf stream, body;
		struct taken t;

		buf_init(&stream, 1 << 20);
		buf_init(&body, 100);
		add_object(&stream, rows[i].first, &frames[rows[i].first]);
		if (rows[i].second >= 0)
			add_object(
			    &stream, rows[i].second, &frames[rows[i].second]);
		for (size_t k = 0; k < rows[i].more; k++)
			buf_add_byte(&stream, 0);
		memset(&site, 0, sizeof(site));
		add_stream(&stream, rows[i].cut);
		contents_start();
		taken_init(&t);
		ck_assert_msg(fetch_all(&t, 2) != 0, "row %zu", i);
		ck_assert_msg(strstr(visit.e.msg, rows[i].told) != NULL,
		    "row %zu: %s", i, visit.e.msg);
		/* The fetcher said so: it can be asked on. */
		ck_assert_int_eq(
		    fetch_visit_get(&visit, "/v1/roster", &body, &answer), 404);
		taken_release(&t);
		buf_release(&stream);
		buf_release(&body);
		contents_stop();
	}
}
END_TEST

START_TEST(refuses_a_frame_longer_than_its_content_could_be)
{
	struct buf stream;
	struct taken t;

	buf_init(&stream, 8 << 20);
	add_object(&stream, EMPTY, &frames[LARGE]);
	add_stream(&stream, 0);
	contents_start();
	taken_init(&t);
	ck_assert_int_eq(fetch_all(&t, 1), ERR_LIMIT);
	taken_release(&t);
	buf_release(&stream);
	contents_stop();
}
END_TEST

START_TEST(goes_on_after_a_cut_with_a_new_connection)
{
	struct fetch_answer answer;
	struct buf stream, body;
	struct taken t;

	buf_init(&stream, 8 << 20);
	buf_init(&body, 100);
	for (int i = 0; i < CONTENTS; i++)
		add_object(&stream, i, &frames[i]);
	/* In the middle of the large one, which is begun. */
	add_stream(&stream, stream.len - 300000);
	contents_start();
	taken_init(&t);
	ck_assert_int_eq(fetch_all(&t, CONTENTS), ERR_NET);
	ck_assert_str_eq(buf_str(&t.text), "0 1 2 ");
	ck_assert_uint_gt(t.got.len, 100000);
	ck_assert_int_eq(
	    fetch_visit_get(&visit, "/v1/roster", &body, &answer), 404);
	taken_release(&t);
	buf_release(&stream);
	buf_release(&body);
	contents_stop();
}
END_TEST

/* ---- the rest of an object that was cut off ---- */

/* A batch that is cut in the large one, whose frame is asked for from *at on
 * then; and one of the object behind it. */
static void
add_cut_stream(char range[64], size_t *at)
{
	struct buf stream;

	buf_init(&stream, 8 << 20);
	for (int i = 0; i < CONTENTS; i++)
		add_object(&stream, i, &frames[i]);
	add_stream(&stream, stream.len - 300000);
	site.routes[0].field = "Content-Length: 160";
	buf_clear(&stream);
	add_object(&stream, OTHER, &frames[OTHER]);
	add_stream(&stream, 0);
	site.routes[1].field = "Content-Length: 32";
	*at = frames[LARGE].len + 40 + frames[OTHER].len - 300000;
	(void)snprintf(range, 64, "Range: bytes=%zu-", *at);
	buf_release(&stream);
}

static const char *
large_path(void)
{
	static char path[128];
	char hex[DIGEST_HEX];

	digest_hex(&wants[LARGE].digest, hex);
	(void)snprintf(path, sizeof(path), "GET /v1/object/%.2s/%s", hex, hex);
	return path;
}

static int
fetch_rest(struct taken *t)
{
	struct fetch_taker taker = { .form = FETCH_CONTENT,
		.arg = t,
		.begin = taken_begin,
		.data = taken_data,
		.end = taken_end,
		.missing = taken_missing,
		.rest = taken_rest };

	ck_assert_int_eq(
	    fetch_objects(visit.fetch, wants, CONTENTS, &taker, &visit.e),
	    ERR_NET);
	buf_clear(&t->text);
	err_clear(&visit.e);
	return fetch_objects(
	    visit.fetch, wants + LARGE, CONTENTS - LARGE, &taker, &visit.e);
}

static const struct {
	const char *status;
	bool whole, spoilt; /* what comes */
	const char *told;
} rests[] = {
	{ "206 Partial Content", false, false, "3+ 3 4 " },
	{ "206 Partial Content", false, true, "3+ 3!" },
	{ "200 OK", true, false, "3 4 " },
	{ "404 Not Found", true, false, "3- 4 " },
	/* Asked for as a whole, in the end one by one. */
	{ "416 Range Not Satisfiable", true, false, "3- 4- " },
	{ "500 Oh", true, false, "" },
};

START_TEST(goes_on_with_an_object_where_it_was_cut)
{
	struct buf body;
	char range[64], fields[96] = "";
	struct taken t;
	size_t at;

	add_cut_stream(range, &at);
	buf_init(&body, 2 << 20);
	buf_add(&body, frames[LARGE].data, frames[LARGE].len);
	if (rests[_i].spoilt)
		body.data[body.len - 1000] ^= 1;
	if (!rests[_i].whole)
		(void)snprintf(fields, sizeof(fields),
		    "Content-Range: bytes %zu-%zu/%zu\r\n", at, body.len - 1,
		    body.len);
	site_add(&site, large_path(), rests[_i].status, fields,
	    rests[_i].whole
	        ? (struct route_body){ body.data, body.len, 0 }
	        : (struct route_body){ body.data + at, body.len - at, 0 });
	site.routes[2].field = range;
	contents_start();
	taken_init(&t);
	if (fetch_rest(&t) != 0)
		ck_assert_int_eq(visit.e.code, ERR_NET);
	ck_assert_msg(strncmp(buf_str(&t.text), rests[_i].told,
	                  strlen(rests[_i].told)) == 0,
	    "%s", buf_str(&t.text));
	taken_release(&t);
	buf_release(&body);
	contents_stop();
}
END_TEST

START_TEST(a_taker_s_error_ends_the_call)
{
	struct buf stream;
	struct taken t;

	buf_init(&stream, 8 << 20);
	for (int i = 0; i < CONTENTS; i++)
		add_object(&stream, i, &frames[i]);
	add_stream(&stream, 0);
	site_open(&site);
	/* begin, data, end; of the large one, data again. */
	for (int at = 1; at < 12; at++) {
		fetch_visit_start(&visit, &site, 1, true);
		taken_init(&t);
		t.fail_at = at;
		ck_assert_int_eq(fetch_all(&t, CONTENTS), ERR_CONFLICT);
		ck_assert_str_eq(visit.e.msg, "enough");
		ck_assert_int_eq(t.calls, at);
		/* The answer was left in the middle: this fetcher is done. */
		ck_assert_int_eq(fetch_all(&t, 1), ERR_NET);
		taken_release(&t);
		fetch_visit_stop(&visit);
	}
	buf_release(&stream);
	site_close(&site);
}
END_TEST

/* ---- one by one ---- */

static void
add_single(int i, const struct buf *frame, char path[128])
{
	char hex[DIGEST_HEX];

	digest_hex(&wants[i].digest, hex);
	(void)snprintf(path, 128, "GET /v1/object/%.2s/%s", hex, hex);
	site_add(&site, path, "200 OK", "",
	    (struct route_body){ frame->data, frame->len, 0 });
}

START_TEST(asks_plain_web_servers_one_by_one)
{
	static const char *const no[] = { "404 Not Found",
		"405 Method Not Allowed", "403 Forbidden",
		"501 Not Implemented" };
	char paths[CONTENTS][128];

	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
		struct taken t;

		memset(&site, 0, sizeof(site));
		site_add_text(&site, BATCH, no[i], "", "no");
		add_single(EMPTY, &frames[EMPTY], paths[EMPTY]);
		add_single(SMALL, &frames[OTHER], paths[SMALL]);
		add_single(LARGE, &frames[LARGE], paths[LARGE]);
		contents_start();
		taken_init(&t);
		OK(&visit, fetch_all(&t, CONTENTS));
		ck_assert_str_eq(buf_str(&t.text), "0 1!wrong digest 2- 3 4- ");
		t.frames = true;
		OK(&visit, fetch_all(&t, 1));
		ck_assert_str_eq(buf_str(&t.text), "0 ");
		/* It is not asked again for what it does not have. */
		ck_assert_uint_eq(
		    site.server.counts->requests, 1 + 1 + CONTENTS + 1);
		taken_release(&t);
		contents_stop();
	}
}
END_TEST

START_TEST(tells_of_a_server_in_trouble)
{
	struct taken t;

	site_add_text(&site, BATCH, "500 Oh", "", "no");
	contents_start();
	taken_init(&t);
	ck_assert_int_eq(fetch_all(&t, 1), ERR_NET);
	ck_assert_ptr_nonnull(strstr(visit.e.msg, "/v1/objects: status 500"));
	taken_release(&t);
	contents_stop();
}
END_TEST

/* ---- a real worker ---- */

static pid_t
start_worker(const struct sample_repo *repo, uint16_t *port)
{
	struct serve_self self = { .repo = "" };
	struct serve_options o = {
		.repo = repo->dir.fd, .listen_count = 1, .self = &self
	};
	struct board *board = NULL;
	struct err e = ERR_INIT;
	int fd = -1;
	pid_t pid;

	ck_assert_int_eq(http_listen("127.0.0.1:0", &fd, &e), 0);
	ck_assert_int_eq(http_port_of(fd, port, &e), 0);
	ck_assert_int_eq(serve_stats_new(1, &o.stats, &e), 0);
	ck_assert_int_eq(board_new(&board, &e), 0);
	o.board = board;
	ck_assert_int_eq(
	    tls_server_context(visit_server_identity(), &o.tls, &e), 0);
	o.listen_fds = &fd;
	pid = fork();
	if (pid == 0)
		_exit(serve_run(&o, &e) == 0 ? 0 : 1);
	tls_context_free(o.tls);
	serve_stats_free(o.stats);
	board_free(board);
	close(fd);
	return pid;
}

START_TEST(takes_objects_from_a_worker)
{
	struct object_writer *w = NULL;
	struct sample_repo repo;
	struct object object;
	struct err e = ERR_INIT;
	struct taken t;
	int status = -1;
	pid_t pid;

	sample_repo_make(&repo);
	ck_assert_int_eq(object_writer_new(repo.repo, 3, &w, &e), 0);
	for (int i = 0; i < OTHER; i++)
		ck_assert_int_eq(object_put_bytes(w, contents[i].data,
		                     contents[i].len, &object, &e),
		    0);
	object_writer_free(w);
	pid = start_worker(&repo, &site.server.port);
	fetch_visit_start(&visit, &site, 1, true);
	taken_init(&t);
	OK(&visit, fetch_all(&t, CONTENTS));
	ck_assert_str_eq(buf_str(&t.text), "0 1 2 3 4- ");
	taken_release(&t);
	fetch_visit_stop(&visit);
	ck_assert_int_eq(kill(pid, SIGTERM), 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	sample_repo_remove(&repo);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("fetch_objects");
	TCase *t = tcase_create("fetch_objects");
	SRunner *runner;
	int failed;

	(void)signal(SIGPIPE, SIG_IGN);
	tcase_add_checked_fixture(t, contents_set_up, contents_tear_down);
	tcase_add_test(t, takes_objects_in_order_in_either_form);
	tcase_add_test(t, tells_which_content_is_bad_and_takes_the_rest);
	tcase_add_test(t, refuses_a_stream_that_is_not_as_asked);
	tcase_add_test(t, refuses_a_frame_longer_than_its_content_could_be);
	tcase_add_test(t, goes_on_after_a_cut_with_a_new_connection);
	tcase_add_loop_test(t, goes_on_with_an_object_where_it_was_cut, 0,
	    (int)(sizeof(rests) / sizeof(*rests)));
	tcase_add_test(t, a_taker_s_error_ends_the_call);
	tcase_add_test(t, asks_plain_web_servers_one_by_one);
	tcase_add_test(t, tells_of_a_server_in_trouble);
	tcase_add_test(t, takes_objects_from_a_worker);
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
