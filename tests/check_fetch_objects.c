/* Fetching objects and unpacking data transcripts, good ones and bad ones,
 * from scripted servers and from a real worker.
 * run: also as nobody */
#include <check.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/http_server.h"
#include "common/zst.h"
#include "server/serve.h"
#include "tests/fetch_visit.h"
#include "tests/sample_repo.h"
#include "transcripts/data.h"
#include "transcripts/delta.h"
#include "transcripts/object.h"

#define OK(v, call) ck_assert_msg((call) == 0, "%s: %s", #call, (v)->e.msg)
#define BATCH       "POST /v1/objects"

/* ---- contents ---- */

enum {
	EMPTY,
	SMALL,
	EDGE,
	LARGE,
	OTHER,
	CONTENTS
};
static struct buf contents[CONTENTS], frames[CONTENTS];
static struct fetch_want wants[CONTENTS];

static struct site site;
static struct fetch_visit visit;

static void
fill(struct buf *b, size_t len, uint32_t seed)
{
	uint8_t *p = buf_reserve(b, len + 1);

	/* Does not compress. */
	for (size_t i = 0; i < len; i++) {
		seed = seed * 1664525 + 1013904223;
		p[i] = (uint8_t)(seed >> 24);
	}
	buf_commit(b, len);
}

static int
gather(void *arg, const void *data, size_t len, struct err *e)
{
	buf_add(arg, data, len);
	return buf_check(arg, "test", e);
}

static void
encode(struct buf *content, struct buf *frame)
{
	struct zst_encoder *z = NULL;
	struct err e = ERR_INIT;

	ck_assert_int_eq(zst_encoder_new(1, &z, &e), 0);
	ck_assert_int_eq(zst_begin(z, content->len, &e), 0);
	if (content->len > 0)
		ck_assert_int_eq(
		    zst_feed(z, content->data, content->len, gather, frame, &e),
		    0);
	ck_assert_int_eq(zst_end(z, gather, frame, &e), 0);
	zst_encoder_free(z);
}

static void
set_up(void)
{
	static const size_t sizes[CONTENTS] = { 0, 5, 131040, 700000, 5 };

	visit_set_up();
	memset(&site, 0, sizeof(site));
	for (int i = 0; i < CONTENTS; i++) {
		buf_init(&contents[i], 1 << 20);
		buf_init(&frames[i], 2 << 20);
		fill(&contents[i], sizes[i], (uint32_t)i);
		encode(&contents[i], &frames[i]);
		digest_of(contents[i].data, sizes[i], &wants[i].digest);
		wants[i].size_bytes = sizes[i];
	}
}

static void
tear_down(void)
{
	for (int i = 0; i < CONTENTS; i++) {
		buf_release(&contents[i]);
		buf_release(&frames[i]);
	}
	visit_tear_down();
}

static void
start(void)
{
	site_open(&site);
	fetch_visit_start(&visit, &site, 1, true);
}

static void
stop(void)
{
	fetch_visit_stop(&visit);
	site_close(&site);
}

/* ---- what a taker is told ---- */

/* "3", "3!why", "3-": index of the want: complete, bad, missing. */
struct taken {
	struct buf text;
	struct buf got; /* of the present object */
	bool frames;    /* what is expected to come */
	int fail_at;    /* the call that fails, from 1; 0: none */
	int calls;
};

static size_t
index_of(const struct fetch_want *want)
{
	for (size_t i = 0; i < CONTENTS; i++)
		if (digest_equal(&wants[i].digest, &want->digest))
			return i;
	ck_abort_msg("an object that nobody wants");
}

static int
count_call(struct taken *t, struct err *e)
{
	return ++t->calls == t->fail_at ? err_set(e, ERR_CONFLICT, "enough")
	                                : 0;
}

static int
taken_begin(void *arg, const struct fetch_want *want, struct err *e)
{
	struct taken *t = arg;

	(void)want;
	buf_clear(&t->got);
	return count_call(t, e);
}

static int
taken_data(void *arg, const void *data, size_t len, struct err *e)
{
	struct taken *t = arg;

	buf_add(&t->got, data, len);
	return count_call(t, e);
}

static int
taken_end(
    void *arg, const struct fetch_want *want, const char *bad, struct err *e)
{
	struct taken *t = arg;
	size_t i = index_of(want);
	const struct buf *whole = t->frames ? &frames[i] : &contents[i];

	buf_addf(&t->text, "%zu%s%s ", i, bad != NULL ? "!" : "",
	    bad != NULL ? bad : "");
	if (bad == NULL) {
		ck_assert_uint_eq(t->got.len, whole->len);
		ck_assert(whole->len == 0 ||
		    memcmp(t->got.data, whole->data, whole->len) == 0);
	} else {
		ck_assert_uint_le(t->got.len, wants[i].size_bytes + (2 << 20));
	}
	return count_call(t, e);
}

static int
taken_missing(void *arg, const struct fetch_want *want, struct err *e)
{
	struct taken *t = arg;

	buf_addf(&t->text, "%zu- ", index_of(want));
	return count_call(t, e);
}

static void
taken_init(struct taken *t)
{
	memset(t, 0, sizeof(*t));
	buf_init(&t->text, 65536);
	buf_init(&t->got, 4 << 20);
}

static void
taken_release(struct taken *t)
{
	buf_release(&t->text);
	buf_release(&t->got);
}

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
	start();
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
	stop();
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
	start();
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
	stop();
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
		start();
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
		stop();
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
	start();
	taken_init(&t);
	ck_assert_int_eq(fetch_all(&t, 1), ERR_LIMIT);
	taken_release(&t);
	buf_release(&stream);
	stop();
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
	start();
	taken_init(&t);
	ck_assert_int_eq(fetch_all(&t, CONTENTS), ERR_NET);
	ck_assert_str_eq(buf_str(&t.text), "0 1 2 ");
	ck_assert_uint_gt(t.got.len, 100000);
	ck_assert_int_eq(
	    fetch_visit_get(&visit, "/v1/roster", &body, &answer), 404);
	taken_release(&t);
	buf_release(&stream);
	buf_release(&body);
	stop();
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
	snprintf(path, 128, "GET /v1/object/%.2s/%s", hex, hex);
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
		start();
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
		stop();
	}
}
END_TEST

START_TEST(tells_of_a_server_in_trouble)
{
	struct taken t;

	site_add_text(&site, BATCH, "500 Oh", "", "no");
	start();
	taken_init(&t);
	ck_assert_int_eq(fetch_all(&t, 1), ERR_NET);
	ck_assert_ptr_nonnull(strstr(visit.e.msg, "/v1/objects: status 500"));
	taken_release(&t);
	stop();
}
END_TEST

/* ---- a real worker ---- */

static pid_t
start_worker(const struct sample_repo *repo, uint16_t *port)
{
	struct serve_options o = { .repo = repo->dir.fd, .listen_count = 1 };
	struct err e = ERR_INIT;
	int fd = -1;
	pid_t pid;

	ck_assert_int_eq(http_listen("127.0.0.1:0", &fd, &e), 0);
	ck_assert_int_eq(http_port_of(fd, port, &e), 0);
	ck_assert_int_eq(serve_stats_new(1, &o.stats, &e), 0);
	ck_assert_int_eq(
	    tls_server_context(visit_server_identity(), &o.tls, &e), 0);
	o.listen_fds = &fd;
	pid = fork();
	if (pid == 0)
		_exit(serve_run(&o, &e) == 0 ? 0 : 1);
	tls_context_free(o.tls);
	serve_stats_free(o.stats);
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

/* ---- data transcripts ---- */

struct archive {
	int fd;
	uint64_t size_bytes;
	struct data_writer *writer;
};

static int
read_buf(void *arg, void *dst, size_t size, size_t *got, struct err *e)
{
	struct reader *r = arg;
	size_t n = reader_left(r) < size ? reader_left(r) : size;

	(void)e;
	*got = n;
	return reader_copy(r, dst, n);
}

static void
archive_begin(struct archive *a)
{
	struct data_options o = { .level = 1 };
	struct err e = ERR_INIT;

	a->fd = memfd_create("archive", MFD_CLOEXEC);
	o.fd = a->fd;
	ck_assert_int_eq(data_writer_new(&o, &a->writer, &e), 0);
}

/* A member that says it is wants[i], from wants[basis] if it is a delta. */
static void
archive_add(struct archive *a, enum data_kind kind, int i, int basis,
    const struct buf *bytes)
{
	struct data_member m = { .kind = kind,
		.digest = wants[i].digest,
		.basis = wants[basis].digest,
		.size_bytes = bytes->len };
	struct err e = ERR_INIT;
	struct reader r;

	reader_init(&r, bytes->data, bytes->len);
	ck_assert_msg(
	    data_writer_add(a->writer, &m, read_buf, &r, &e) == 0, "%s", e.msg);
}

static void
archive_end(struct archive *a)
{
	struct err e = ERR_INIT;
	struct digest d;

	ck_assert_int_eq(data_writer_end(a->writer, &d, &a->size_bytes, &e), 0);
	data_writer_free(a->writer);
	ck_assert_int_eq(lseek(a->fd, 0, SEEK_SET), 0);
}

static int
file_of(const struct buf *b)
{
	int fd = memfd_create("content", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	if (b->len > 0)
		ck_assert_int_eq(write(fd, b->data, b->len), (ssize_t)b->len);
	return fd;
}

static void
make_delta(int from, int to, struct buf *out)
{
	struct delta_pair pair = { .basis_fd = file_of(&contents[from]),
		.new_fd = file_of(&contents[to]),
		.basis_bytes = contents[from].len,
		.max_bytes = 2 << 20 };
	struct err e = ERR_INIT;

	buf_init(out, 4 << 20);
	ck_assert_msg(delta_make(&pair, gather, out, &e) == 0, "%s", e.msg);
	close(pair.basis_fd);
	close(pair.new_fd);
}

struct unpacking {
	struct taken t;
	int basis[CONTENTS]; /* descriptors to be given, or -1 */
	unsigned skip;       /* bits of wants not taken */
	int fail_offer;      /* the offer that fails, from 1; 0: none */
	int offers;
};

static int
offer(void *arg, const struct fetch_member *m, bool *take, uint64_t *size_bytes,
    int *basis_fd, struct err *e)
{
	static const char letters[] = "MmOo"; /* by kind; small: deltas */
	struct unpacking *u = arg;
	const struct fetch_want want = { .digest = m->digest };
	size_t i = index_of(&want);

	if (++u->offers == u->fail_offer)
		return err_set(e, ERR_CONFLICT, "enough");
	buf_addf(&u->t.text, "%c", letters[m->kind]);
	*take = (u->skip & 1u << i) == 0;
	if (!*take)
		buf_addf(&u->t.text, "%zu. ", i);
	*size_bytes = wants[i].size_bytes;
	if (m->kind == FETCH_MEMBER_OBJECT_DELTA ||
	    m->kind == FETCH_MEMBER_MANIFEST_DELTA) {
		const struct fetch_want from = { .digest = m->basis };

		*basis_fd = u->basis[index_of(&from)];
	}
	buf_clear(&u->t.got);
	return 0;
}

static int
unpack_end(
    void *arg, const struct fetch_member *m, const char *bad, struct err *e)
{
	const struct fetch_want want = { .digest = m->digest };

	return taken_end(arg, &want, bad, e);
}

static int
unpack(struct unpacking *u, const struct archive *a)
{
	const struct fetch_unpacker unpacker = {
		.arg = u, .offer = offer, .data = taken_data, .end = unpack_end
	};

	buf_clear(&u->t.text);
	u->offers = 0;
	ck_assert_int_eq(lseek(a->fd, 0, SEEK_SET), 0);
	return fetch_unpack(
	    visit.fetch, a->fd, a->size_bytes, &unpacker, &visit.e);
}

static void
unpacking_init(struct unpacking *u)
{
	memset(u, 0, sizeof(*u));
	taken_init(&u->t);
	for (int i = 0; i < CONTENTS; i++)
		u->basis[i] = file_of(&contents[i]);
}

static void
unpacking_release(struct unpacking *u)
{
	for (int i = 0; i < CONTENTS; i++)
		close(u->basis[i]);
	taken_release(&u->t);
}

START_TEST(unpacks_good_and_bad_members)
{
	struct buf large, small, garbage, edge;
	struct unpacking u;
	struct archive a;

	buf_init(&garbage, 100);
	buf_add_str(&garbage, "rs\x02\x36 this is no delta");
	make_delta(EDGE, LARGE, &large);
	make_delta(OTHER, SMALL, &small);
	make_delta(LARGE, EDGE, &edge);
	archive_begin(&a);
	/* A manifest; a good delta; one that is none; one whose result is
	 * something else; objects, good and wrong. */
	archive_add(&a, DATA_MANIFEST_DELTA, SMALL, OTHER, &small);
	archive_add(&a, DATA_DELTA, EDGE, LARGE, &edge);
	archive_add(&a, DATA_DELTA, LARGE, EDGE, &large);
	archive_add(&a, DATA_DELTA, OTHER, EDGE, &garbage);
	archive_add(&a, DATA_DELTA, OTHER, OTHER, &small);
	archive_add(&a, DATA_OBJECT, EMPTY, 0, &contents[EMPTY]);
	archive_add(&a, DATA_OBJECT, LARGE, 0, &contents[LARGE]);
	archive_add(&a, DATA_OBJECT, OTHER, 0, &contents[SMALL]);
	archive_add(&a, DATA_OBJECT, SMALL, 0, &contents[EDGE]);
	archive_end(&a);
	site_add_text(&site, "GET /v1/roster", "200 OK", "", "r");
	start();
	unpacking_init(&u);
	OK(&visit, unpack(&u, &a));
	ck_assert_ptr_eq(
	    strstr(buf_str(&u.t.text), "m1 o2 o3 o4!"), buf_str(&u.t.text));
	ck_assert_ptr_nonnull(strstr(buf_str(&u.t.text),
	    "o4!wrong digest O0 O3 O4!wrong digest "
	    "O1!131040 bytes, not 5"));
	/* Some are passed over. */
	u.skip = 1u << LARGE | 1u << OTHER;
	OK(&visit, unpack(&u, &a));
	ck_assert_ptr_eq(
	    strstr(buf_str(&u.t.text), "m1 o2 o3. o4. o4. O0 O3. O4. O1!"),
	    buf_str(&u.t.text));
	/* Without a basis. */
	u.skip = ~(1u << EDGE);
	close(u.basis[LARGE]);
	u.basis[LARGE] = -1;
	OK(&visit, unpack(&u, &a));
	ck_assert_ptr_nonnull(strstr(buf_str(&u.t.text), "o2!no basis"));
	unpacking_release(&u);
	buf_release(&large);
	buf_release(&small);
	buf_release(&edge);
	buf_release(&garbage);
	close(a.fd);
	stop();
}
END_TEST

START_TEST(refuses_a_damaged_archive)
{
	struct fetch_answer answer;
	struct unpacking u;
	struct archive a;
	struct buf body;
	uint8_t byte;

	buf_init(&body, 100);
	archive_begin(&a);
	archive_add(&a, DATA_OBJECT, SMALL, 0, &contents[SMALL]);
	archive_add(&a, DATA_OBJECT, LARGE, 0, &contents[LARGE]);
	archive_end(&a);
	start();
	unpacking_init(&u);
	OK(&visit, unpack(&u, &a));
	ck_assert_str_eq(buf_str(&u.t.text), "O1 O3 ");
	ck_assert_int_eq(
	    pread(a.fd, &byte, 1, (off_t)a.size_bytes - 200000), 1);
	byte ^= 0x10;
	ck_assert_int_eq(
	    pwrite(a.fd, &byte, 1, (off_t)a.size_bytes - 200000), 1);
	ck_assert_int_eq(unpack(&u, &a), ERR_FORMAT);
	ck_assert_ptr_nonnull(strstr(visit.e.msg, "data transcript: "));
	a.size_bytes -= 100000;
	ck_assert_int_eq(unpack(&u, &a), ERR_FORMAT);
	a.size_bytes = 10;
	ck_assert_int_eq(unpack(&u, &a), ERR_FORMAT);
	/* The conversation is in step after that. */
	ck_assert_int_eq(
	    fetch_visit_get(&visit, "/v1/roster", &body, &answer), 404);
	unpacking_release(&u);
	buf_release(&body);
	close(a.fd);
	stop();
}
END_TEST

START_TEST(an_unpacker_s_error_ends_the_call)
{
	struct unpacking u;
	struct archive a;

	archive_begin(&a);
	archive_add(&a, DATA_OBJECT, SMALL, 0, &contents[SMALL]);
	archive_add(&a, DATA_OBJECT, LARGE, 0, &contents[LARGE]);
	archive_end(&a);
	site_open(&site);
	for (int at = 1; at <= 6; at++) {
		fetch_visit_start(&visit, &site, 1, true);
		unpacking_init(&u);
		if (at <= 2)
			u.fail_offer = at;
		else
			u.t.fail_at = at - 2;
		ck_assert_int_eq(unpack(&u, &a), ERR_CONFLICT);
		ck_assert_int_eq(unpack(&u, &a), ERR_NET);
		unpacking_release(&u);
		fetch_visit_stop(&visit);
	}
	close(a.fd);
	site_close(&site);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("fetch_objects");
	TCase *t = tcase_create("fetch_objects");
	SRunner *runner;
	int failed;

	signal(SIGPIPE, SIG_IGN);
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, takes_objects_in_order_in_either_form);
	tcase_add_test(t, tells_which_content_is_bad_and_takes_the_rest);
	tcase_add_test(t, refuses_a_stream_that_is_not_as_asked);
	tcase_add_test(t, refuses_a_frame_longer_than_its_content_could_be);
	tcase_add_test(t, goes_on_after_a_cut_with_a_new_connection);
	tcase_add_test(t, a_taker_s_error_ends_the_call);
	tcase_add_test(t, asks_plain_web_servers_one_by_one);
	tcase_add_test(t, tells_of_a_server_in_trouble);
	tcase_add_test(t, takes_objects_from_a_worker);
	tcase_add_test(t, unpacks_good_and_bad_members);
	tcase_add_test(t, refuses_a_damaged_archive);
	tcase_add_test(t, an_unpacker_s_error_ends_the_call);
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
