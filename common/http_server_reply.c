/* Replies: head, whole bodies, and streams that are produced as the peer takes
 * them.  Runs in peciad's workers. */
#include "common/http_server_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/limits.h"

#define CHUNK_HEAD_BYTES   10                     /* "%08X\r\n" */
#define CHUNK_BYTES        (CHUNK_HEAD_BYTES + 2) /* of framing */
#define REPLY_FIELDS_BYTES 4096

static const char *
reason_of(unsigned status)
{
	static const struct {
		unsigned status;
		const char *reason;
	} reasons[] = {
		{ 200, "OK" },
		{ 206, "Partial Content" },
		{ 304, "Not Modified" },
		{ 400, "Bad Request" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 411, "Length Required" },
		{ 413, "Content Too Large" },
		{ 416, "Range Not Satisfiable" },
		{ 417, "Expectation Failed" },
		{ 431, "Request Header Fields Too Large" },
		{ 500, "Internal Server Error" },
		{ 503, "Service Unavailable" },
		{ 505, "HTTP Version Not Supported" },
	};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "Status";
}

void
http_request_init(struct http_request *r, struct http_conn *c)
{
	*r = (struct http_request){ .conn = c };
	buf_init(&r->body, c->server->options.body_bytes);
	buf_init(&r->fields, REPLY_FIELDS_BYTES);
}

static void
end_stream(struct http_request *r)
{
	void (*release)(void *) = r->release;

	r->produce = NULL;
	r->release = NULL;
	if (release != NULL)
		release(r->stream_arg);
}

void
http_request_release(struct http_request *r)
{
	end_stream(r);
	buf_release(&r->body);
	buf_release(&r->fields);
	free(r->text);
	r->text = NULL;
}

void
http_reply_header(struct http_request *r, const char *name, const char *value)
{
	buf_add_str(&r->fields, name);
	buf_add_str(&r->fields, ": ");
	buf_add_str(&r->fields, value);
	buf_add_str(&r->fields, "\r\n");
}

static bool
has_body(unsigned status)
{
	return status != 304;
}

static const char *
date_line(struct http_server *s)
{
	time_t now = time(NULL);
	struct tm tm;

	if (now == s->date_s)
		return s->date;
	if (gmtime_r(&now, &tm) == NULL ||
	    strftime(s->date, sizeof(s->date),
	        "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm) == 0)
		return "";
	s->date_s = now;
	return s->date;
}

static void
add_status(struct buf *head, unsigned status)
{
	buf_add_str(head, "HTTP/1.1 ");
	buf_add_decimal(head, status);
	buf_add_byte(head, ' ');
	buf_add_str(head, reason_of(status));
	buf_add_str(head, "\r\n");
}

/* The head, with the length of the body or (counted false) the framing of one
 * whose length nobody knows yet. */
static void
send_head(struct http_request *r, unsigned status)
{
	struct http_conn *c = r->conn;
	struct buf *out = &c->io.out;
	size_t before = out->len;

	r->status = status;
	r->chunked = !r->counted && !(r->has_head && r->head.http10);
	if (c->server->stopping || !r->has_head || !r->head.keep_alive ||
	    (!r->counted && !r->chunked))
		c->close_after = true;
	add_status(out, status);
	buf_add_str(out, date_line(c->server));
	buf_add(out, r->fields.data, r->fields.len);
	if (r->chunked) {
		buf_add_str(out, "Transfer-Encoding: chunked\r\n");
	} else if (r->counted && has_body(status)) {
		buf_add_str(out, "Content-Length: ");
		buf_add_decimal(out, r->left);
		buf_add_str(out, "\r\n");
	}
	if (c->close_after)
		buf_add_str(out, "Connection: close\r\n");
	else if (r->head.http10)
		buf_add_str(out, "Connection: keep-alive\r\n");
	buf_add_str(out, "\r\n");
	http_conn_queued(c, out->len - before);
	http_conn_replying(c);
	if (r->fields.failed != 0)
		http_conn_fail(c);
}

static bool
wants_body(const struct http_request *r)
{
	return has_body(r->status) &&
	    !(r->has_head && r->head.method == HTTP_HEAD);
}

void
http_reply(struct http_request *r, unsigned status, const char *type,
    const void *body, size_t len)
{
	if (type != NULL)
		http_reply_header(r, "Content-Type", type);
	r->counted = true;
	r->left = len;
	send_head(r, status);
	r->left = 0;
	if (!wants_body(r))
		return;
	r->body_bytes = len;
	buf_add(&r->conn->io.out, body, len);
	http_conn_queued(r->conn, len);
}

void
http_reply_text(struct http_request *r, unsigned status, const char *text)
{
	struct buf body;

	buf_init(&body, ERR_MSG_BYTES + 1);
	buf_addf(&body, "%s\n", text);
	http_reply(r, status, "text/plain", buf_str(&body), body.len);
	buf_release(&body);
}

/* One piece of at most `want` bytes into dst, with its chunk's framing. */
static int
produce_piece(struct http_request *r, uint8_t *dst, size_t want, size_t *queued,
    struct err *e)
{
	static const uint8_t last[] = { '0', '\r', '\n', '\r', '\n' };
	char frame[CHUNK_HEAD_BYTES + 1];
	size_t got = 0, skip = r->chunked ? CHUNK_HEAD_BYTES : 0;
	int rc = r->produce(r->stream_arg, dst + skip, want, &got, e);

	if (rc != 0)
		return rc;
	if (got == 0 && r->counted)
		return err_set(e, ERR_CHANGED, "content is shorter than said");
	r->body_bytes += got;
	r->left -= r->counted ? got : 0;
	*queued = got;
	if (got == 0 || (r->counted && r->left == 0))
		end_stream(r);
	if (!r->chunked)
		return 0;
	if (got == 0) {
		memcpy(dst, last, sizeof(last));
		*queued = sizeof(last);
		return 0;
	}
	(void)snprintf(frame, sizeof(frame), "%08X\r\n", (unsigned)got);
	memcpy(dst, frame, CHUNK_HEAD_BYTES);
	dst[skip + got] = '\r';
	dst[skip + got + 1] = '\n';
	*queued = skip + got + 2;
	return 0;
}

int
http_reply_pump(struct http_request *r, struct err *e)
{
	struct http_conn *c = r->conn;
	size_t want = c->server->replies < c->server->options.replies_bytes
	    ? HTTP_BUFFER_BYTES
	    : LIMIT_SMALL_PIECE_BYTES;
	size_t before = c->io.out.len, queued = 0;
	uint8_t *room;
	int rc;

	/* All that goes out at once fills records. */
	want -= before < want / 2 ? before + CHUNK_BYTES : CHUNK_BYTES;
	if (r->counted && r->left < want)
		want = (size_t)r->left;
	room = buf_reserve(&c->io.out, want + CHUNK_BYTES);
	if (room == NULL)
		return err_memory(e);
	rc = produce_piece(r, room, want, &queued, e);
	if (rc != 0)
		return rc;
	buf_commit(&c->io.out, queued);
	http_conn_queued(c, queued);
	http_conn_weigh(c);
	return 0;
}

static void
start_stream(struct http_request *r, unsigned status, http_producer produce,
    void (*release)(void *arg), void *arg)
{
	struct err e = ERR_INIT;

	r->release = release;
	r->stream_arg = arg;
	send_head(r, status);
	if (!wants_body(r) || (r->counted && r->left == 0)) {
		end_stream(r);
		return;
	}
	r->produce = produce;
	if (http_reply_pump(r, &e) != 0)
		http_conn_fail(r->conn);
}

void
http_reply_stream(struct http_request *r, unsigned status,
    http_producer produce, void (*release)(void *arg), void *arg)
{
	r->counted = false;
	start_stream(r, status, produce, release, arg);
}

struct file_part {
	int fd;
	uint64_t offset;
};

static int
read_part(void *arg, uint8_t *dst, size_t size, size_t *got, struct err *e)
{
	struct file_part *part = arg;
	ssize_t n;

	do
		n = pread(part->fd, dst, size, (off_t)part->offset);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(e, "pread");
	part->offset += (uint64_t)n;
	*got = (size_t)n;
	return 0;
}

static void
close_part(void *arg)
{
	struct file_part *part = arg;

	close(part->fd);
	free(part);
}

void
http_reply_file(struct http_request *r, unsigned status, int fd,
    uint64_t offset, uint64_t len)
{
	struct file_part *part = malloc(sizeof(*part));

	if (part == NULL) {
		close(fd);
		http_conn_fail(r->conn);
		return;
	}
	part->fd = fd;
	part->offset = offset;
	r->counted = true;
	r->left = len;
	start_stream(r, status, read_part, close_part, part);
}

void
http_hold(struct http_request *r, unsigned wait_ms,
    void (*wake)(void *arg, struct http_request *r), void *arg)
{
	struct http_conn *c = r->conn;

	r->wake = wake;
	r->wake_arg = arg;
	http_conn_timer(c, c->server->stopping ? 1 : wait_ms);
}

void
http_request_result(const struct http_request *r, struct http_result *out)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	out->status = r->status;
	out->body_bytes = r->body_bytes;
	out->complete = r->complete;
	out->duration_us =
	    (uint64_t)((now.tv_sec - r->started.tv_sec) * 1000000 +
	        (now.tv_nsec - r->started.tv_nsec) / 1000);
}
