/* Fetching single things, and the fetcher's life: the deciding side with a
 * real fetcher process against scripted servers.
 * run: also as nobody */
#include "transcripts/fetch.h"

#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/gzip.h"
#include "tests/fetch_visit.h"

#define OK(v, call) ck_assert_msg((call) == 0, "%s: %s", #call, (v)->e.msg)
#define DATA        "GET /v1/data/x"

static struct site site[3];
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

static int
get(const char *path)
{
	return fetch_visit_get(&visit, path, &body, &answer);
}

static void
expect_error(int rc, int code, const char *word)
{
	ck_assert_msg(rc == code && strstr(visit.e.msg, word) != NULL,
	    "%d, not %d; %s: not in \"%s\"", rc, code, word, visit.e.msg);
}

/* ---- get ---- */

START_TEST(gets_what_there_is)
{
	struct fetch_traffic counts = { .received = 0 };
	struct digest key;

	site_add_text(&site[0], "GET /v1/roster", "200 OK", "ETag: \"abc\"\r\n",
	    "the roster");
	site_add_text(
	    &site[0], "GET /v1/root/2", "404 Not Found", "", "a page about it");
	site_add_text(&site[0], "GET /v1/channel/empty", "200 OK", "", "");
	site_add_text(&site[0], "GET /v1/channel/ill", "503 Busy", "", "wait");
	start(true);
	ck_assert_int_eq(get("/v1/roster"), 200);
	ck_assert_str_eq(buf_str(&body), "the roster");
	ck_assert_str_eq(answer.etag, "\"abc\"");
	visit_server_digest(&key);
	ck_assert(answer.known && digest_equal(&answer.key, &key));
	ck_assert_int_eq(get("/v1/root/2"), 404);
	ck_assert_uint_eq(body.len, 0);
	ck_assert_str_eq(answer.etag, "");
	ck_assert_int_eq(get("/v1/channel/empty"), 200);
	ck_assert_uint_eq(body.len, 0);
	ck_assert_int_eq(get("/v1/channel/ill"), 503);
	ck_assert_uint_eq(body.len, 0);
	/* All that over one connection. */
	ck_assert_uint_eq(site[0].server.counts->connections, 1);
	ck_assert_uint_eq(site[0].server.counts->certificates, 1);
	OK(&visit, fetch_traffic(visit.fetch, &counts, &visit.e));
	ck_assert_uint_gt(counts.received, 300);
	ck_assert_uint_gt(counts.sent, 300);
	ck_assert(digest_equal(&counts.key, &key));
	stop();
}
END_TEST

START_TEST(asks_whether_it_changed)
{
	struct fetch_get ask = { .path = "/v1/roster",
		.if_none_match = "\"abc\"",
		.max_bytes = 100 };

	site_add_text(&site[0], "GET /v1/roster", "304 Not Modified",
	    "ETag: \"abc\"\r\n", "");
	site[0].routes[0].field = "If-None-Match: \"abc\"";
	start(true);
	OK(&visit, fetch_get(visit.fetch, &ask, &body, &answer, &visit.e));
	ck_assert_int_eq(answer.status, 304);
	ck_assert_uint_eq(body.len, 0);
	ck_assert_int_eq(get("/v1/roster"), 404);
	stop();
}
END_TEST

/* As the client's daemon has it: forks speak, one after another. */
START_TEST(a_fork_asks_and_another_takes)
{
	struct fetch_get ask = { .path = "/v1/channel/a", .max_bytes = 100 };
	int status;
	pid_t pid;

	site_add_text(&site[0], "GET /v1/channel/a", "200 OK", "", "a head");
	start(true);
	ck_assert_int_gt(fetch_pid(visit.fetch), 0);
	ck_assert(!fetch_is_borrowed(visit.fetch));
	pid = fork();
	if (pid == 0) {
		bool ok = fetch_pid(visit.fetch) == 0 &&
		    fetch_is_borrowed(visit.fetch) &&
		    fetch_ask(visit.fetch, &ask, &visit.e) == 0;

		fetch_dismiss(visit.fetch); /* which is not its own */
		fetch_stop(visit.fetch);
		_exit(ok ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(poll(&(struct pollfd){ .fd = fetch_fd(visit.fetch),
	                          .events = POLLIN },
	                     1, 10000),
	    1);
	OK(&visit, fetch_take(visit.fetch, &ask, &body, &answer, &visit.e));
	ck_assert_int_eq(answer.status, 200);
	ck_assert_str_eq(buf_str(&body), "a head");
	ck_assert_int_eq(get("/v1/roster"), 404);
	ck_assert_uint_eq(site[0].server.counts->connections, 1);
	stop();
}
END_TEST

START_TEST(takes_no_more_than_it_asked_for)
{
	struct fetch_get ask = { .path = "/v1/roster", .max_bytes = 9 };

	site_add_text(&site[0], "GET /v1/roster", "200 OK", "", "the roster");
	start(true);
	expect_error(fetch_get(visit.fetch, &ask, &body, &answer, &visit.e),
	    ERR_LIMIT, "/v1/roster");
	buf_clear(&body);
	ask.max_bytes = 10;
	OK(&visit, fetch_get(visit.fetch, &ask, &body, &answer, &visit.e));
	ck_assert_str_eq(buf_str(&body), "the roster");
	stop();
}
END_TEST

START_TEST(asks_strangers_for_what_changes_only)
{
	static const char *const content[] = { "/v1/release/x",
		"/v1/manifest/x", "/v1/data/x", "/v1/object/aa/x", "/metrics" };
	FILE *f = tmpfile();
	struct digest d = { { 0 } };

	site_add_text(&site[0], "GET /v1/roster", "200 OK", "", "the roster");
	site_add_text(&site[0], "GET /v1/channel/x", "200 OK", "", "head");
	site_add_text(&site[0], "GET /v1/root/1", "200 OK", "", "root");
	start(false);
	ck_assert_int_eq(get("/v1/roster"), 200);
	ck_assert(!answer.known);
	ck_assert_int_eq(get("/v1/channel/x"), 200);
	ck_assert_int_eq(get("/v1/root/1"), 200);
	for (size_t i = 0; i < sizeof(content) / sizeof(content[0]); i++)
		expect_error(get(content[i]), ERR_VERIFY, "not in the roster");
	expect_error(fetch_download(
	                 visit.fetch, "/v1/data/x", &d, 1, fileno(f), &visit.e),
	    ERR_VERIFY, "not in the roster");
	expect_error(fetch_text(visit.fetch, "/v1/manifest/x", &d, 1, fileno(f),
	                 &visit.e),
	    ERR_VERIFY, "not in the roster");
	ck_assert_uint_eq(site[0].server.counts->requests, 4);
	ck_assert_uint_eq(site[0].server.counts->certificates, 0);
	/* A newer roster has it. */
	fetch_visit_keys(&visit, true);
	ck_assert_int_eq(get("/v1/release/x"), 404);
	ck_assert(answer.known);
	(void)fclose(f);
	stop();
}
END_TEST

START_TEST(forgets_keys_that_are_taken_back)
{
	site_add_text(&site[0], "GET /v1/release/x", "200 OK", "", "r");
	start(true);
	ck_assert_int_eq(get("/v1/release/x"), 200);
	OK(&visit, fetch_set_keys(visit.fetch, NULL, 0, &visit.e));
	OK(&visit, fetch_rewind(visit.fetch, &visit.e));
	OK(&visit, fetch_visit_next(&visit));
	expect_error(get("/v1/release/x"), ERR_VERIFY, "not in the roster");
	stop();
}
END_TEST

START_TEST(knows_many_keys)
{
	struct digest *keys = calloc(20001, sizeof(*keys));

	site_add_text(&site[0], "GET /v1/release/x", "200 OK", "", "r");
	start(false);
	for (unsigned i = 0; i < 20000; i++)
		digest_of(&i, sizeof(i), &keys[i]);
	visit_server_digest(&keys[20000]);
	OK(&visit, fetch_set_keys(visit.fetch, keys, 20001, &visit.e));
	ck_assert_int_eq(get("/v1/release/x"), 200);
	free(keys);
	stop();
}
END_TEST

START_TEST(waits_for_the_first_of_several_polls)
{
	const struct fetch_get gets[] = {
		{ "/v1/channel/a?after=1&wait=1", NULL, 100, 1 },
		{ "/v1/channel/b?after=1&wait=1", NULL, 100, 1 },
	};
	size_t which = 9;

	site_add_text(
	    &site[0], "GET /v1/channel/a", "304 Not Modified", "", "");
	site_add_text(&site[0], "GET /v1/channel/b", "200 OK", "", "news");
	start(true);
	OK(&visit, fetch_race(visit.fetch, gets, 2, &which, &body, &visit.e));
	ck_assert_uint_eq(which, 1);
	ck_assert_str_eq(buf_str(&body), "news");
	buf_clear(&body);
	OK(&visit, fetch_race(visit.fetch, gets, 1, &which, &body, &visit.e));
	ck_assert_uint_eq(which, 1);
	ck_assert_uint_eq(body.len, 0);
	stop();
}
END_TEST

/* ---- download ---- */

static void
expect_file(int fd, const char *want)
{
	char got[256];
	ssize_t n = pread(fd, got, sizeof(got) - 1, 0);

	ck_assert_int_ge(n, 0);
	got[n] = '\0';
	ck_assert_str_eq(got, want);
}

static int
file_of(const char *text)
{
	int fd = memfd_create("partial", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	return fd;
}

static int
download(int fd, const char *content, uint64_t size_bytes)
{
	struct digest d;

	digest_of(content, strlen(content), &d);
	return fetch_download(
	    visit.fetch, "/v1/data/x", &d, size_bytes, fd, &visit.e);
}

START_TEST(resumes_a_download_that_was_cut_off)
{
	int fd = file_of("");

	site_add_text(&site[0], DATA, "206 Partial Content",
	    "Content-Range: bytes 4-9/10\r\n", "456789");
	site[0].routes[0].field = "Range: bytes=4-";
	site_add(&site[0], DATA, "200 OK", "",
	    (struct route_body){ "0123456789", 10, 4 });
	start(true);
	expect_error(download(fd, "0123456789", 10), ERR_NET, "/v1/data/x");
	expect_file(fd, "0123");
	OK(&visit, download(fd, "0123456789", 10));
	expect_file(fd, "0123456789");
	/* It is all there: nothing is asked. */
	OK(&visit, download(fd, "0123456789", 10));
	ck_assert_uint_eq(site[0].server.counts->requests, 3);
	close(fd);
	stop();
}
END_TEST

START_TEST(starts_over_where_ranges_are_not_known)
{
	int fd = file_of("01xx");

	site_add_text(&site[0], DATA, "200 OK", "", "0123456789");
	start(true);
	OK(&visit, download(fd, "0123456789", 10));
	expect_file(fd, "0123456789");
	close(fd);
	/* What is longer than it may be is not kept either. */
	fd = file_of("0123456789x");
	OK(&visit, download(fd, "0123456789", 10));
	expect_file(fd, "0123456789");
	close(fd);
	stop();
}
END_TEST

START_TEST(empties_a_download_that_is_wrong)
{
	int fd = file_of("");

	site_add_text(&site[0], DATA, "200 OK", "", "0123456789");
	start(true);
	expect_error(download(fd, "012345678x", 10), ERR_VERIFY, "/v1/data/x");
	expect_file(fd, "");
	close(fd);
	/* Wrong from the start, and complete. */
	fd = file_of("x123456789");
	expect_error(download(fd, "0123456789", 10), ERR_VERIFY, "digest");
	expect_file(fd, "");
	close(fd);
	stop();
}
END_TEST

START_TEST(bounds_a_download_and_tells_what_it_is_not)
{
	int fd = file_of("");

	site_add_text(&site[0], DATA, "200 OK", "", "0123456789");
	start(true);
	expect_error(download(fd, "012345678", 9), ERR_LIMIT, "/v1/data/x");
	expect_error(download(fd, "0123456789x", 11), ERR_NET, "cut off");
	close(fd);
	stop();
}
END_TEST

START_TEST(keeps_what_it_has_when_a_server_lacks_the_rest)
{
	int fd = file_of("0123");

	site_add_text(&site[0], DATA, "404 Not Found", "", "a page about it");
	start(true);
	expect_error(
	    download(fd, "0123456789", 10), ERR_NOT_FOUND, "/v1/data/x");
	expect_file(fd, "0123");
	close(fd);
	stop();
}
END_TEST

START_TEST(downloads_what_has_no_digest_yet)
{
	int fd = file_of("");

	site_add_text(&site[0], DATA, "200 OK", "", "0123456789");
	start(true);
	OK(&visit,
	    fetch_download(visit.fetch, "/v1/data/x", NULL, 100, fd, &visit.e));
	expect_file(fd, "0123456789");
	close(fd);
	stop();
}
END_TEST

/* ---- text ---- */

static int
gather(void *arg, const void *data, size_t len, struct err *e)
{
	buf_add(arg, data, len);
	return buf_check(arg, "gzip", e);
}

static void
compress(const char *text, size_t len, struct buf *out)
{
	struct gzip_writer *g = NULL;
	struct err e = ERR_INIT;

	buf_init(out, 1 << 20);
	ck_assert_int_eq(gzip_writer_new(gather, out, &g, &e), 0);
	ck_assert_int_eq(gzip_writer_feed(g, text, len, &e), 0);
	ck_assert_int_eq(gzip_writer_end(g, &e), 0);
	gzip_writer_free(g);
}

static int
text(const char *path, const char *want, uint64_t size_bytes, int *fd)
{
	struct digest d;

	digest_of(want, strlen(want), &d);
	*fd = file_of("");
	return fetch_text(visit.fetch, path, &d, size_bytes, *fd, &visit.e);
}

START_TEST(decodes_texts_within_their_bounds)
{
	struct buf packed, bomb, zeros;
	int fd;

	buf_init(&zeros, 1 << 24);
	memset(buf_reserve(&zeros, 1 << 23), 'a', 1 << 23);
	compress("manifest", 8, &packed);
	compress((const char *)zeros.data, 1 << 23, &bomb);
	site_add(&site[0], "GET /v1/manifest/good", "200 OK", "",
	    (struct route_body){ packed.data, packed.len, 0 });
	site_add(&site[0], "GET /v1/manifest/cut", "200 OK", "",
	    (struct route_body){ packed.data, packed.len - 3, 0 });
	site_add(&site[0], "GET /v1/manifest/bomb", "200 OK", "",
	    (struct route_body){ bomb.data, bomb.len, 0 });
	site_add_text(
	    &site[0], "GET /v1/manifest/plain", "200 OK", "", "manifest");
	site_add_text(&site[0], "GET /v1/manifest/ill", "500 Oh", "", "x");
	start(true);
	OK(&visit, text("/v1/manifest/good", "manifest", 8, &fd));
	expect_file(fd, "manifest");
	close(fd);
	expect_error(text("/v1/manifest/good", "Manifest", 8, &fd), ERR_VERIFY,
	    "/v1/manifest/good");
	close(fd);
	expect_error(text("/v1/manifest/good", "manifest", 7, &fd), ERR_LIMIT,
	    "/v1/manifest/good");
	close(fd);
	expect_error(text("/v1/manifest/cut", "manifest", 8, &fd), ERR_FORMAT,
	    "/v1/manifest/cut");
	close(fd);
	expect_error(text("/v1/manifest/plain", "manifest", 8, &fd), ERR_FORMAT,
	    "/v1/manifest/plain");
	close(fd);
	expect_error(text("/v1/manifest/bomb", "manifest", 1 << 16, &fd),
	    ERR_LIMIT, "/v1/manifest/bomb");
	ck_assert_int_le(lseek(fd, 0, SEEK_END), 1 << 16);
	close(fd);
	expect_error(text("/v1/manifest/none", "manifest", 8, &fd),
	    ERR_NOT_FOUND, "/v1/manifest/none");
	close(fd);
	expect_error(text("/v1/manifest/ill", "manifest", 8, &fd), ERR_NET,
	    "status 500");
	close(fd);
	/* The conversation is in step after all that. */
	OK(&visit, text("/v1/manifest/good", "manifest", 8, &fd));
	close(fd);
	buf_release(&packed);
	buf_release(&bomb);
	buf_release(&zeros);
	stop();
}
END_TEST

/* What the server says of the rest, in good[] from byte 300 on. */
static const struct {
	const char *status;
	size_t from; /* what it sends */
	bool spoilt;
	unsigned requests; /* after the first */
	int rc;
} text_rests[] = {
	{ "206 Partial Content", 300, false, 1, 0 },
	{ "206 Partial Content", 300, true, 2, 0 },
	{ "200 OK", 0, false, 1, 0 },
	{ "416 Range Not Satisfiable", 0, false, 2, 0 },
	{ "404 Not Found", 0, false, 1, ERR_NOT_FOUND },
};

START_TEST(goes_on_with_a_text_where_it_was_cut)
{
	const char *status = text_rests[_i].status;
	size_t from = text_rests[_i].from;
	char want[2001], got[2001], fields[96] = "";
	uint32_t seed = 1;
	struct buf packed;
	uint64_t requests;
	int fd;

	for (size_t i = 0; i < 2000; i++) {
		seed = seed * 1664525 + 1013904223;
		want[i] = (char)('a' + (seed >> 24) % 23);
	}
	want[2000] = '\0';
	compress(want, 2000, &packed);
	ck_assert_uint_gt(packed.len, 400);
	if (from > 0)
		(void)snprintf(fields, sizeof(fields),
		    "Content-Range: bytes 300-%zu/%zu\r\n", packed.len - 1,
		    packed.len);
	if (text_rests[_i].spoilt)
		packed.data[packed.len - 20] ^= 1;
	site_add(&site[1], "GET /v1/manifest/x", status, fields,
	    (struct route_body){ packed.data + from, packed.len - from, 0 });
	site[1].routes[0].field = "Range: bytes=300-";
	if (text_rests[_i].spoilt)
		packed.data[packed.len - 20] ^= 1;
	site_add(&site[1], "GET /v1/manifest/x", "200 OK", "",
	    (struct route_body){ packed.data, packed.len, 0 });
	site_add(&site[0], "GET /v1/manifest/x", "200 OK", "",
	    (struct route_body){ packed.data, packed.len, 300 });
	site_open(&site[0]);
	site_open(&site[1]);
	fetch_visit_start(&visit, site, 2, true);
	expect_error(text("/v1/manifest/x", want, 2000, &fd), ERR_NET, "x");
	close(fd);
	OK(&visit, fetch_visit_next(&visit));
	requests = site[1].server.counts->requests;
	ck_assert_int_eq(
	    text("/v1/manifest/x", want, 2000, &fd), text_rests[_i].rc);
	if (text_rests[_i].rc == 0) {
		ck_assert_int_eq(pread(fd, got, sizeof(got), 0), 2000);
		ck_assert_int_eq(memcmp(got, want, 2000), 0);
	}
	ck_assert_uint_eq(site[1].server.counts->requests - requests,
	    text_rests[_i].requests);
	close(fd);
	fetch_visit_stop(&visit);
	site_close(&site[0]);
	site_close(&site[1]);
	buf_release(&packed);
}
END_TEST

/* ---- the fetcher's life ---- */

/* The child of ours that is no server. */
static pid_t
fetcher_pid(size_t sites)
{
	char path[64], line[512] = "", *rest = line;
	FILE *f;
	long pid;

	(void)snprintf(
	    path, sizeof(path), "/proc/self/task/%d/children", getpid());
	f = fopen(path, "re");
	ck_assert_ptr_nonnull(f);
	ck_assert_ptr_nonnull(fgets(line, sizeof(line), f));
	(void)fclose(f);
	while ((pid = strtol(rest, &rest, 10)) > 0) {
		bool is_server = false;

		for (size_t i = 0; i < sites; i++)
			is_server = is_server || site[i].server.pid == pid;
		if (!is_server)
			return (pid_t)pid;
	}
	ck_abort_msg("no fetcher");
}

struct killing {
	pthread_t thread;
	pid_t pid;
	unsigned requests;
};

/* Ends the fetcher once the first server was asked for something. */
static void *
kill_when_asked(void *arg)
{
	struct killing *k = arg;
	struct timespec nap = { 0, 1000000 };

	for (int i = 0; i < 20000; i++) {
		if (site[0].server.counts->requests >= k->requests)
			break;
		nanosleep(&nap, NULL);
	}
	kill(k->pid, SIGKILL);
	return NULL;
}

START_TEST(outlives_its_fetcher)
{
	struct fetch_traffic counts;
	struct killing k;
	char want[64];

	site_add_text(&site[0], "GET /v1/roster", "200 OK", "", "one");
	site_add_hanging(&site[0], "GET /v1/release/slow");
	site_add_text(&site[1], "GET /v1/release/slow", "200 OK", "", "two");
	site_open(&site[0]);
	site_open(&site[1]);
	fetch_visit_start(&visit, site, 2, true);
	ck_assert_int_eq(get("/v1/roster"), 200);
	k.pid = fetcher_pid(2);
	k.requests = site[0].server.counts->requests + 1;
	ck_assert_int_eq(
	    pthread_create(&k.thread, NULL, kill_when_asked, &k), 0);
	expect_error(get("/v1/release/slow"), ERR_NET, "fetcher");
	ck_assert_int_eq(pthread_join(k.thread, NULL), 0);
	expect_error(get("/v1/roster"), ERR_NET, "the fetcher is gone");
	expect_error(fetch_traffic(visit.fetch, &counts, &visit.e), ERR_NET,
	    "the fetcher is gone");
	/* The new one goes on with the next server, and knows the keys. */
	OK(&visit, fetch_visit_next(&visit));
	ck_assert_int_ne(fetcher_pid(2), k.pid);
	(void)snprintf(want, sizeof(want), "127.0.0.1 port %u",
	    (unsigned)site[1].server.port);
	ck_assert_str_eq(visit.peer.address, want);
	ck_assert_str_eq(visit.peer.source, "fallback");
	ck_assert_int_eq(get("/v1/release/slow"), 200);
	ck_assert_str_eq(buf_str(&body), "two");
	ck_assert_int_eq(
	    fetch_connect(visit.fetch, &visit.peer, &visit.e), ERR_NOT_FOUND);
	fetch_visit_stop(&visit);
	site_close(&site[0]);
	site_close(&site[1]);
}
END_TEST

START_TEST(notices_a_fetcher_that_died_unasked)
{
	site_add_text(&site[0], "GET /v1/roster", "200 OK", "", "one");
	site_add_text(&site[1], "GET /v1/roster", "200 OK", "", "two");
	site_open(&site[0]);
	site_open(&site[1]);
	fetch_visit_start(&visit, site, 2, true);
	kill(fetcher_pid(2), SIGKILL);
	expect_error(get("/v1/roster"), ERR_NET, "fetcher");
	OK(&visit, fetch_visit_next(&visit));
	ck_assert_int_eq(get("/v1/roster"), 200);
	ck_assert_str_eq(buf_str(&body), "two");
	/* Rewound, it begins with the first one. */
	kill(fetcher_pid(2), SIGKILL);
	expect_error(get("/v1/roster"), ERR_NET, "fetcher");
	OK(&visit, fetch_rewind(visit.fetch, &visit.e));
	OK(&visit, fetch_visit_next(&visit));
	ck_assert_int_eq(get("/v1/roster"), 200);
	ck_assert_str_eq(buf_str(&body), "one");
	fetch_visit_stop(&visit);
	site_close(&site[0]);
	site_close(&site[1]);
}
END_TEST

START_TEST(ends_before_it_is_waited_for)
{
	siginfo_t ended = { .si_pid = 0 };
	pid_t pid;

	site_add_text(&site[0], "GET /v1/roster", "200 OK", "", "one");
	start(true);
	ck_assert_int_eq(get("/v1/roster"), 200);
	pid = fetch_pid(visit.fetch);
	fetch_dismiss(visit.fetch);
	/* Seen, and left for fetch_stop. */
	ck_assert_int_eq(
	    waitid(P_PID, (id_t)pid, &ended, WEXITED | WNOWAIT), 0);
	ck_assert_int_eq(ended.si_pid, pid);
	fetch_dismiss(visit.fetch);
	expect_error(get("/v1/roster"), ERR_NET, "fetcher");
	stop();
	ck_assert_int_eq(kill(pid, 0), -1);
	fetch_dismiss(NULL);
}
END_TEST

START_TEST(passes_over_servers_that_are_not_there)
{
	char want[64];

	site_add_text(&site[2], "GET /v1/roster", "200 OK", "", "three");
	for (int i = 0; i < 3; i++)
		site_open(&site[i]);
	/* Nobody listens on the ports of the first two any more. */
	tls_server_stop(&site[0].server);
	tls_server_stop(&site[1].server);
	fetch_visit_start(&visit, site, 3, true);
	(void)snprintf(want, sizeof(want), "127.0.0.1 port %u",
	    (unsigned)site[2].server.port);
	ck_assert_str_eq(visit.peer.address, want);
	ck_assert_int_eq(get("/v1/roster"), 200);
	expect_error(fetch_connect(visit.fetch, &visit.peer, &visit.e),
	    ERR_NOT_FOUND, "127.0.0.1");
	/* And from the beginning. */
	OK(&visit, fetch_rewind(visit.fetch, &visit.e));
	OK(&visit, fetch_visit_next(&visit));
	ck_assert_str_eq(visit.peer.address, want);
	fetch_visit_stop(&visit);
	site_close(&site[2]);
}
END_TEST

START_TEST(asks_nothing_before_it_is_connected)
{
	struct fetch_options options = { .user = "nobody" };

	ck_assert_int_eq(fetch_start(&options, &visit.fetch, &visit.e), 0);
	expect_error(get("/v1/roster"), ERR_NET, "not connected");
	expect_error(fetch_connect(visit.fetch, &visit.peer, &visit.e),
	    ERR_NOT_FOUND, "");
	fetch_stop(visit.fetch);
	fetch_stop(NULL);
}
END_TEST

START_TEST(tells_of_a_server_that_hangs_up)
{
	site_add(&site[0], "GET /v1/roster", "200 OK", "",
	    (struct route_body){ "the roster", 10, 4 });
	site_add_text(&site[0], "GET /v1/root/1", "200 OK", "", "root");
	start(true);
	expect_error(get("/v1/roster"), ERR_NET, "/v1/roster");
	/* It is asked again over a new connection. */
	ck_assert_int_eq(get("/v1/root/1"), 200);
	stop();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("fetch");
	TCase *t = tcase_create("fetch");
	SRunner *runner;
	int failed;

	(void)signal(SIGPIPE, SIG_IGN);
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, gets_what_there_is);
	tcase_add_test(t, asks_whether_it_changed);
	tcase_add_test(t, a_fork_asks_and_another_takes);
	tcase_add_test(t, takes_no_more_than_it_asked_for);
	tcase_add_test(t, asks_strangers_for_what_changes_only);
	tcase_add_test(t, forgets_keys_that_are_taken_back);
	tcase_add_test(t, knows_many_keys);
	tcase_add_test(t, waits_for_the_first_of_several_polls);
	tcase_add_test(t, resumes_a_download_that_was_cut_off);
	tcase_add_test(t, starts_over_where_ranges_are_not_known);
	tcase_add_test(t, empties_a_download_that_is_wrong);
	tcase_add_test(t, bounds_a_download_and_tells_what_it_is_not);
	tcase_add_test(t, keeps_what_it_has_when_a_server_lacks_the_rest);
	tcase_add_test(t, downloads_what_has_no_digest_yet);
	tcase_add_test(t, decodes_texts_within_their_bounds);
	tcase_add_loop_test(t, goes_on_with_a_text_where_it_was_cut, 0,
	    (int)(sizeof(text_rests) / sizeof(*text_rests)));
	tcase_add_test(t, outlives_its_fetcher);
	tcase_add_test(t, notices_a_fetcher_that_died_unasked);
	tcase_add_test(t, ends_before_it_is_waited_for);
	tcase_add_test(t, passes_over_servers_that_are_not_there);
	tcase_add_test(t, asks_nothing_before_it_is_connected);
	tcase_add_test(t, tells_of_a_server_that_hangs_up);
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
