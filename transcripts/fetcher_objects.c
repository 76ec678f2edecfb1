/* Objects, in one stream where the server can (POST /v1/objects), else one by
 * one; runs in the fetcher process.
 *
 * The stream: for each digest asked for, in that order, 32 bytes digest, 8
 * bytes length of the frame (all ones: not here), the frame.  For each number
 * of a file: length of the frame and 1 (0: not here) as varint_write has it, the
 * frame. */
#include <time.h>

#include "common/clock.h"
#include "common/pool.h"
#include "transcripts/fetcher_aside.h"
#include "transcripts/fetcher_impl.h"

#define HEADER_BYTES (DIGEST_BYTES + 8)
#define NOT_HERE     UINT64_MAX
/* Objects up to this size travel to the other process as one message. */
#define SMALL_BYTES (WIRE_PIECE_BYTES - DIGEST_BYTES)
/* A frame may be a little longer than its content. */
#define FRAME_SLACK 1024
/* What all of them may take beyond what LIMIT_MIN_RATE allows for their bytes:
 * a server that is slow to answer each is slow. */
#define GRACE_S 30
/* Less of a frame is not worth a request of its own. */
#define PART_BYTES 65536
/* Less is not worth a thread. */
#define ASIDE_BYTES ((uint64_t)512 * 1024)

struct stream {
	struct fetcher *f;
	enum fetch_form form;
	struct fetch_want want; /* the current one */
	size_t next;            /* index of the one after it */
	size_t count;
	uint8_t header[HEADER_BYTES];
	size_t header_len;
	bool by_number;
	uint64_t left; /* of the current frame */
	uint64_t done; /* of it */
	bool in_frame;
	bool told; /* OBJECT was sent: no longer small */
	bool bad;  /* the rest of the frame is passed over */
	char why[256];
	struct buf small;
	/* Of those asked for one by one: seconds waited for the server, and
	 * spent in the sink; bytes they may have had. */
	double waited_s, held_s;
	uint64_t due_bytes;
};

static void
load_want(struct stream *s)
{
	struct reader r;
	int rc;

	reader_init(
	    &r, s->f->wants.data + s->next * WIRE_WANT_BYTES, WIRE_WANT_BYTES);
	rc = reader_copy(&r, s->want.digest.b, DIGEST_BYTES);
	if (rc == 0)
		rc = reader_u64(&r, &s->want.size_bytes);
	if (rc == 0)
		s->next++;
}

static int
tell(struct stream *s, uint32_t type, struct err *e)
{
	return ipc_send(s->f->ipc, type, s->want.digest.b, DIGEST_BYTES, e);
}

static int
flush_small(struct stream *s, struct err *e)
{
	int rc = 0;

	if (!s->told) {
		s->told = true;
		rc = tell(s, WIRE_OBJECT, e);
	}
	if (rc == 0)
		rc = fetcher_send_data(s->f, s->small.data, s->small.len, e);
	buf_clear(&s->small);
	return rc;
}

/* A zst_sink: collects until it is no longer small. */
static int
pass_content(void *arg, const void *data, size_t len, struct err *e)
{
	struct stream *s = arg;
	int rc;

	if (s->small.len + len > SMALL_BYTES && (rc = flush_small(s, e)) != 0)
		return rc;
	if (len > SMALL_BYTES)
		return fetcher_send_data(s->f, data, len, e);
	buf_add(&s->small, data, len);
	return buf_check(&s->small, "object", e);
}

static void
spoil(struct stream *s, const struct err *why)
{
	s->bad = true;
	(void)snprintf(s->why, sizeof(s->why), "%.255s", why->msg);
}

static int
frame_begin(struct stream *s, struct err *e)
{
	struct err why = ERR_INIT;

	s->in_frame = true;
	s->told = s->bad = false;
	s->done = 0;
	s->why[0] = '\0';
	buf_clear(&s->small);
	if (s->form == FETCH_FRAME)
		return 0;
	if (zst_decode_begin(s->f->decoder, s->want.size_bytes, &why) != 0)
		return err_set(e, ERR_NO_MEMORY, "%s", why.msg);
	return 0;
}

static int
frame_feed(struct stream *s, const void *data, size_t len, struct err *e)
{
	struct err why = ERR_INIT;
	int rc;

	s->done += len;
	if (s->bad)
		return 0;
	if (s->form == FETCH_FRAME)
		return pass_content(s, data, len, e);
	rc = zst_decode_feed(s->f->decoder, data, len, pass_content, s, &why);
	if (rc == ERR_FORMAT || rc == ERR_LIMIT) {
		spoil(s, &why);
		return 0;
	}
	return rc != 0 ? err_set(e, rc, "%s", why.msg) : 0;
}

static int
frame_end(struct stream *s, struct err *e)
{
	struct err why = ERR_INIT;
	int rc;

	s->in_frame = false;
	if (s->form == FETCH_CONTENT && !s->bad &&
	    zst_decode_end(s->f->decoder, &why) != 0)
		spoil(s, &why);
	if (!s->told && !s->bad)
		return ipc_send2(s->f->ipc, WIRE_WHOLE,
		    (const struct ipc_part[2]){
		        { s->want.digest.b, DIGEST_BYTES },
		        { s->small.data, s->small.len } },
		    e);
	if ((rc = flush_small(s, e)) != 0)
		return rc;
	return ipc_send(s->f->ipc, WIRE_OBJECT_END, s->why, strlen(s->why), e);
}

static uint64_t
frame_max(const struct fetch_want *want)
{
	return want->size_bytes + want->size_bytes / 64 + FRAME_SLACK;
}

/* ---- one stream ---- */

/* How many more bytes of a header can only be of it. */
static size_t
header_lacks(const struct stream *s)
{
	if (!s->by_number)
		return HEADER_BYTES - s->header_len;
	return s->header_len == 0 ||
	    (s->header_len < VARINT_BYTES &&
	        (s->header[s->header_len - 1] & 0x80) != 0);
}

/* Length of the frame. */
static int
parse_header(const struct stream *s, uint64_t *len, struct err *e)
{
	struct reader r;
	struct digest d;

	reader_init(&r, s->header, s->header_len);
	if (s->by_number) {
		if (reader_varint(&r, len) != 0)
			return err_set(e, ERR_FORMAT, "length of an object");
		--*len;
		return 0;
	}
	if (reader_copy(&r, d.b, DIGEST_BYTES) != 0 ||
	    reader_u64(&r, len) != 0 || !digest_equal(&d, &s->want.digest))
		return err_set(e, ERR_FORMAT, "objects out of order");
	return 0;
}

static int
header_done(struct stream *s, struct err *e)
{
	uint64_t len = 0;
	int rc;

	if (s->next >= s->count)
		return err_set(e, ERR_FORMAT, "more objects than asked for");
	load_want(s);
	rc = parse_header(s, &len, e);
	s->header_len = 0;
	if (rc != 0)
		return rc;
	if (len == NOT_HERE)
		return tell(s, WIRE_MISSING, e);
	if (len > frame_max(&s->want))
		return err_set(e, ERR_LIMIT, "an object larger than signed");
	s->left = len;
	return frame_begin(s, e);
}

/* Small objects of what has come go on together. */
static int
stream_data(void *arg, const void *data, size_t len, struct err *e)
{
	struct stream *s = arg;
	const uint8_t *p = data;
	struct err late = ERR_INIT;
	int rc = 0;

	ipc_hold(s->f->ipc);
	while (len > 0 && rc == 0) {
		size_t n;

		if (s->in_frame) {
			n = len < s->left ? len : (size_t)s->left;
			rc = frame_feed(s, p, n, e);
			s->left -= n;
		} else {
			n = header_lacks(s);
			n = len < n ? len : n;
			memcpy(s->header + s->header_len, p, n);
			s->header_len += n;
			if (header_lacks(s) == 0)
				rc = header_done(s, e);
		}
		if (rc == 0 && s->in_frame && s->left == 0)
			rc = frame_end(s, e);
		p += n;
		len -= n;
	}
	if (ipc_flush(s->f->ipc, &late) != 0 && rc == 0) {
		*e = late;
		rc = late.code;
	}
	return rc;
}

/* Much is decoded by a thread, where there is another processor for it. */
static int
stream_http(struct stream *s, struct http_request *req,
    struct http_response *resp, struct err *e)
{
	struct fetcher_aside *aside = NULL;
	struct err why = ERR_INIT;
	int rc;

	req->sink = stream_data;
	req->arg = s;
	if (req->max_bytes >= ASIDE_BYTES && pool_cpus() > 1 &&
	    fetcher_aside_new(stream_data, s, &aside, NULL) == 0) {
		req->sink = fetcher_aside_add;
		req->arg = aside;
	}
	rc = fetcher_http(s->f, req, resp, e);
	/* What was wrong with what came was so before anything else was. */
	if (aside != NULL && fetcher_aside_end(aside, &why) != 0) {
		*e = why;
		rc = why.code;
	}
	fetcher_aside_free(aside);
	return rc;
}

/* Asks for all that follow; the request has path and body. */
static int
post(struct stream *s, struct http_request *req, struct http_response *resp,
    struct err *e)
{
	int rc;

	for (size_t i = s->next; i < s->count; i++) {
		struct fetch_want w = { .size_bytes = 0 };
		const uint8_t *p = s->f->wants.data + i * WIRE_WANT_BYTES;

		for (size_t k = 0; k < 8; k++)
			w.size_bytes = w.size_bytes << 8 | p[DIGEST_BYTES + k];
		req->max_bytes += HEADER_BYTES + frame_max(&w);
	}
	rc = stream_http(s, req, resp, e);
	if (rc == 0 && resp->status == 200 &&
	    (s->next < s->count || s->in_frame))
		rc = err_set(e, ERR_NET, "fewer objects than asked for");
	return rc;
}

static int
post_objects(struct stream *s, struct http_response *resp, struct err *e)
{
	struct http_request req = { .path = "/v1/objects" };
	struct buf body;
	int rc;

	buf_init(&body, (size_t)DIGEST_BYTES * LIMIT_BATCH_OBJECTS);
	for (size_t i = s->next; i < s->count; i++)
		buf_add(&body, s->f->wants.data + i * WIRE_WANT_BYTES,
		    DIGEST_BYTES);
	req.body = body.data;
	req.body_len = body.len;
	rc = buf_check(&body, "request", e);
	if (rc == 0)
		rc = post(s, &req, resp, e);
	buf_release(&body);
	return rc;
}

static int
post_selection(struct stream *s, struct http_response *resp, struct err *e)
{
	char hex[DIGEST_HEX], path[96];
	struct http_request req = { .path = path };
	struct digest d;
	struct reader r;
	int rc;

	reader_init(&r, s->f->select.data, s->f->select.len);
	if (reader_copy(&r, d.b, DIGEST_BYTES) != 0)
		return err_set(e, ERR_FORMAT, "objects request");
	digest_hex(&d, hex);
	(void)snprintf(path, sizeof(path), "/v1/objects/%s", hex);
	req.body_len = reader_left(&r);
	req.body = s->f->select.data + r.pos;
	s->by_number = true;
	rc = post(s, &req, resp, e);
	s->by_number = false;
	return rc;
}

/* ---- one by one ---- */

static int
single_data(void *arg, const void *data, size_t len, struct err *e)
{
	struct stream *s = arg;
	struct timespec begin;
	int rc = 0;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	if (!s->in_frame)
		rc = frame_begin(s, e);
	if (rc == 0)
		rc = frame_feed(s, data, len, e);
	s->held_s += clock_seconds_since(&begin);
	return rc;
}

/* One request; time is short for all of them together. */
static int
timed_http(struct stream *s, const struct http_request *req,
    struct http_response *resp, struct err *e)
{
	struct timespec begin;
	int rc;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	rc = fetcher_http(s->f, req, resp, e);
	s->waited_s += clock_seconds_since(&begin);
	s->due_bytes += req->max_bytes;
	if (rc == 0 &&
	    s->waited_s - s->held_s >
	        GRACE_S + (double)s->due_bytes / LIMIT_MIN_RATE)
		rc = err_set(e, ERR_TIMEOUT,
		    "objects slower than %d bytes a second", LIMIT_MIN_RATE);
	return rc;
}

/* Only the rest of it was asked for. */
static int
rest_begin(void *arg, const struct http_response *resp, struct err *e)
{
	struct stream *s = arg;

	if (resp->status != 206) {
		s->in_frame = false;
		return 0;
	}
	return s->told ? tell(s, WIRE_REST, e) : 0;
}

/* In a frame already: the rest of it. */
static int
get_object(struct stream *s, struct err *e)
{
	struct http_request req = { .sink = single_data, .arg = s };
	struct http_response resp;
	char path[96], hex[DIGEST_HEX];
	int rc;

	load_want(s);
	digest_hex(&s->want.digest, hex);
	(void)snprintf(path, sizeof(path), "/v1/object/%.2s/%s", hex, hex);
	req.path = path;
	req.max_bytes = frame_max(&s->want);
	if (s->in_frame) {
		req.offset = s->done;
		req.begin = rest_begin;
	}
	if (timed_http(s, &req, &resp, e) != 0)
		return err_prefix(e, "%s", path);
	if (resp.status == 404) {
		s->in_frame = false;
		return tell(s, WIRE_MISSING, e);
	}
	/* Its frame is shorter than what is here: it comes as a whole. */
	if (resp.status == 416 && s->in_frame) {
		s->in_frame = false;
		s->next--;
		return 0;
	}
	if (resp.status != 200 && resp.status != 206)
		return err_set(e, ERR_NET, "%s: status %d", path, resp.status);
	if (!s->in_frame && (rc = frame_begin(s, e)) != 0)
		return rc;
	return frame_end(s, e);
}

/* What plain web servers say to a POST of something they do not have. */
static bool
has_no_batch(int status)
{
	return status == 403 || status == 404 || status == 405 || status == 501;
}

/* A server that does not count, or not so far, is asked by digest. */
static int
select_all(struct stream *s, bool *done, struct err *e)
{
	struct http_response resp = { .status = 0 };
	int rc;

	if (s->next > 0 || s->f->select.len == 0 || s->f->no_select)
		return 0;
	if ((rc = post_selection(s, &resp, e)) != 0)
		return rc;
	*done = resp.status == 200;
	if (*done)
		return 0;
	if (!has_no_batch(resp.status) && resp.status != 400)
		return err_set(
		    e, ERR_NET, "numbers of objects: status %d", resp.status);
	s->f->no_select = true;
	return 0;
}

static int
get_all(struct stream *s, struct err *e)
{
	struct http_response resp = { .status = 0 };
	bool done = false;
	int rc;

	if (s->in_frame && (rc = get_object(s, e)) != 0)
		return rc;
	if ((rc = select_all(s, &done, e)) != 0 || done)
		return rc;
	if (s->next < s->count && !s->f->no_batch) {
		if ((rc = post_objects(s, &resp, e)) != 0)
			return rc;
		if (resp.status == 200)
			return 0;
		if (!has_no_batch(resp.status))
			return err_set(
			    e, ERR_NET, "/v1/objects: status %d", resp.status);
		s->f->no_batch = true;
	}
	while (s->next < s->count)
		if ((rc = get_object(s, e)) != 0)
			return rc;
	return 0;
}

/* ---- what was cut off ---- */

void
fetcher_objects_init(struct fetcher *f)
{
	buf_init(&f->object.small, WIRE_PIECE_BYTES);
}

/* Takes up what the last request left of the first object, if that is this. */
static void
take_up(struct stream *s)
{
	struct fetcher_object *o = &s->f->object;

	if (!o->kept || s->count == 0 || o->form != s->form ||
	    memcmp(o->digest.b, s->f->wants.data, DIGEST_BYTES) != 0)
		return;
	s->in_frame = true;
	s->told = o->told;
	s->done = o->done;
	buf_add(&s->small, o->small.data, o->small.len);
}

static void
put_by(const struct stream *s, int rc)
{
	struct fetcher_object *o = &s->f->object;

	o->kept = (rc == ERR_NET || rc == ERR_TIMEOUT) && s->in_frame &&
	    !s->bad && s->done >= PART_BYTES;
	o->form = s->form;
	o->digest = s->want.digest;
	o->told = s->told;
	o->done = s->done;
	buf_clear(&o->small);
	buf_add(&o->small, s->small.data, s->small.len);
}

int
fetcher_objects(struct fetcher *f, const struct ipc_msg *msg, struct err *e)
{
	struct stream s = { .f = f };
	struct err why = ERR_INIT;
	int rc;

	if (msg->len != 2)
		return err_set(e, ERR_FORMAT, "objects request");
	s.form = msg->data[0] == FETCH_FRAME ? FETCH_FRAME : FETCH_CONTENT;
	s.count = f->wants.len / WIRE_WANT_BYTES;
	buf_init(&s.small, WIRE_PIECE_BYTES);
	if (msg->data[1] != 0)
		take_up(&s);
	rc = get_all(&s, &why);
	put_by(&s, rc);
	buf_release(&s.small);
	buf_clear(&f->wants);
	buf_clear(&f->select);
	if (rc != 0)
		return fetcher_fail(f, &why, e);
	return ipc_send(f->ipc, WIRE_OK, NULL, 0, e);
}
