/* One connection: from accept through any number of requests to its end.  All
 * of a strange peer's slowness and insistence ends here.  Runs in peciad's
 * workers. */
#include "common/http_server_impl.h"

#include <event2/event.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/crypto_socket.h"
#include "common/crypto_tls.h"
#include "common/limits.h"

#define LINGER_MS 2000
#define STEPS     4 /* of one connection, then it is another's turn */

/* One that fires too early is cheaper than one moved at each request. */
static void
arm_timer(struct http_conn *c, uint64_t now_ms)
{
	const struct timeval tv = http_timeval((unsigned)(c->due_ms - now_ms));

	if (c->fires_ms != 0 && c->fires_ms <= c->due_ms)
		return;
	c->fires_ms = c->due_ms;
	event_add(c->timer, &tv);
}

void
http_conn_timer(struct http_conn *c, unsigned ms)
{
	uint64_t now_ms = clock_ms();

	if (c->dead)
		return;
	c->due_ms = now_ms + ms;
	arm_timer(c, now_ms);
}

static void
set_idle(struct http_conn *c, bool idle)
{
	if (c->is_idle == idle)
		return;
	c->is_idle = idle;
	if (idle)
		TAILQ_INSERT_TAIL(&c->server->idle, c, idle);
	else
		TAILQ_REMOVE(&c->server->idle, c, idle);
	http_server_room(c->server);
}

static void
release_request(struct http_conn *c)
{
	http_request_release(&c->request);
	http_peer_drop_body(c->server->peers, c->from, c->body_taken);
	c->body_taken = 0;
}

/* A request is over when its `done` returns. */
static void
end_request(struct http_conn *c)
{
	struct http_server *s = c->server;

	if (s->options.done != NULL)
		s->options.done(s->options.arg, &c->request);
	release_request(c);
}

static void
count_held(struct http_conn *c, size_t held)
{
	c->server->replies += held - c->held;
	c->held = held;
}

void
http_conn_weigh(struct http_conn *c)
{
	count_held(c, http_io_unsent(&c->io));
}

static void
say_goodbye(struct http_conn *c)
{
	if (c->ready && c->io.ssl != NULL && !c->io.ended)
		tls_session_end(c->io.ssl);
}

void
http_conn_close(struct http_conn *c)
{
	struct http_server *s = c->server;

	if (c->state == CONN_HANDLE || c->state == CONN_REPLY)
		end_request(c);
	else
		release_request(c);
	c->state = CONN_LINGER;
	set_idle(c, false);
	count_held(c, 0);
	http_peer_leave(s->peers, c->from);
	TAILQ_REMOVE(&s->conns, c, all);
	s->conn_count--;
	http_count(&s->counters->closed);
	say_goodbye(c);
	http_io_release(&c->io);
	event_free(c->timer);
	free(c);
	http_server_room(s);
}

void
http_conn_fail(struct http_conn *c)
{
	if (c->dead)
		return;
	c->dead = true;
	event_active(c->timer, EV_TIMEOUT, 0);
}

static uint64_t
taken(struct http_conn *c)
{
	size_t open = http_io_unacknowledged(&c->io);

	/* TLS adds some bytes to those queued. */
	return c->queued > open ? c->queued - open : 0;
}

/* The reply does not go out at once: now it matters how fast it does. */
static void
watch_progress(struct http_conn *c)
{
	if (c->watched)
		return;
	c->watched = true;
	c->taken = taken(c);
	http_conn_timer(c, c->server->options.stall_ms);
}

void
http_conn_replying(struct http_conn *c)
{
	c->request.wake = NULL;
	c->state = CONN_REPLY;
	c->watched = false;
	c->due_ms = 0;
	if (!c->busy)
		http_io_wake(&c->io);
}

void
http_conn_queued(struct http_conn *c, size_t len)
{
	c->queued += len;
	if (c->io.out.failed != 0)
		http_conn_fail(c);
}

static void
refuse(struct http_conn *c, unsigned status, const char *why)
{
	struct http_request *r = &c->request;

	http_count(&c->server->counters->malformed);
	c->refused = true;
	c->close_after = true;
	if (status == 405)
		http_reply_header(r, "Allow", "GET, HEAD, POST");
	http_reply_text(r, status, why);
}

static void
handle(struct http_conn *c)
{
	struct http_server *s = c->server;
	struct http_request *r = &c->request;

	c->state = CONN_HANDLE;
	c->due_ms = 0;
	s->options.handler(s->options.arg, r);
	if (c->state == CONN_HANDLE && r->wake == NULL)
		http_reply_text(r, 500, "no answer was made");
}

static void
dispatch(struct http_conn *c)
{
	const struct http_options *o = &c->server->options;
	unsigned delay_ms =
	    http_peer_delay_ms(c->from, o->requests_per_s, o->requests_burst);

	clock_gettime(CLOCK_MONOTONIC, &c->request.started);
	if (delay_ms == 0) {
		handle(c);
		return;
	}
	http_count(&c->server->counters->delayed);
	c->state = CONN_DELAY;
	http_conn_timer(c, delay_ms);
}

static void
read_body(struct http_conn *c)
{
	size_t n = c->io.in.len;

	if (n > c->body_left)
		n = (size_t)c->body_left;
	if (n > 0) {
		buf_add(&c->request.body, c->io.in.data, n);
		if (c->request.body.failed != 0) {
			http_conn_fail(c);
			return;
		}
		http_io_drop(&c->io, n);
		c->body_left -= n;
	}
	if (c->body_left == 0)
		dispatch(c);
}

static void
start_body(struct http_conn *c)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	struct http_request *r = &c->request;

	if (r->head.body_bytes > c->server->options.body_bytes) {
		refuse(c, 413, "request body is too large");
		return;
	}
	if (!http_peer_take_body(
	        c->server->peers, c->from, (size_t)r->head.body_bytes)) {
		http_count(&c->server->counters->bodies_refused);
		http_reply_header(r, "Retry-After", "1");
		c->refused = true;
		c->close_after = true;
		http_reply_text(r, 503, "too many request bodies under way");
		return;
	}
	c->body_taken = (size_t)r->head.body_bytes;
	c->state = CONN_BODY;
	c->body_left = r->head.body_bytes;
	if (c->body_left > 0)
		http_conn_timer(c, 4 * c->server->options.header_ms);
	if (r->head.expect_continue && c->body_left > 0) {
		buf_add_str(&c->io.out, go_on);
		http_conn_queued(c, sizeof(go_on) - 1);
	}
	read_body(c);
}

/* Takes len bytes of a whole head from the connection and parses them. */
static void
take_head(struct http_conn *c, size_t len)
{
	struct http_request *r = &c->request;
	struct err e = ERR_INIT;
	unsigned status = 400;

	r->text = malloc(len + 1);
	if (r->text == NULL) {
		http_conn_fail(c);
		return;
	}
	memcpy(r->text, c->io.in.data, len);
	r->text[len] = '\0';
	http_io_drop(&c->io, len);
	if (http_head_parse(r->text, len, &r->head, &status, &e) != 0) {
		refuse(c, status, e.msg);
		return;
	}
	r->has_head = true;
	start_body(c);
}

/* RFC 9112 2.2: an empty line before a request is passed over. */
static void
skip_empty_lines(struct http_io *io)
{
	size_t n = 0;

	while (io->in.len - n >= 2 && memcmp(io->in.data + n, "\r\n", 2) == 0)
		n += 2;
	if (n > 0)
		http_io_drop(io, n);
}

static void
read_head(struct http_conn *c)
{
	const struct buf *in = &c->io.in;
	const uint8_t *end;

	skip_empty_lines(&c->io);
	if (in->len == 0)
		return;
	if (c->is_idle) {
		set_idle(c, false);
		clock_gettime(CLOCK_MONOTONIC, &c->request.started);
		if (!c->fresh)
			http_conn_timer(c, c->server->options.header_ms);
		c->fresh = false;
	}
	end = memmem(in->data, in->len, "\r\n\r\n", 4);
	if (end != NULL)
		take_head(c, (size_t)(end - in->data) + 4);
	else if (in->len >= LIMIT_HTTP_HEADER_BYTES)
		refuse(c, 431, "request header is too large");
}

/* Closing with bytes unread would reset the connection, and the peer might
 * never see why it was refused. */
static void
linger(struct http_conn *c)
{
	c->state = CONN_LINGER;
	say_goodbye(c);
	shutdown(c->io.fd, SHUT_WR);
	http_conn_timer(c, LINGER_MS);
}

/* The reply is out.  Whether c was freed. */
static bool
finish(struct http_conn *c)
{
	struct http_server *s = c->server;

	c->request.complete = true;
	buf_release(&c->io.out);
	end_request(c);
	http_request_init(&c->request, c);
	c->state = CONN_HEAD;
	if (c->refused) {
		linger(c);
		return false;
	}
	if (c->close_after || s->stopping) {
		http_conn_close(c);
		return true;
	}
	set_idle(c, true);
	http_conn_timer(c, s->options.idle_ms);
	return false;
}

static void
advance(struct http_conn *c)
{
	switch (c->state) {
	case CONN_HEAD:
		read_head(c);
		break;
	case CONN_BODY:
		read_body(c);
		break;
	case CONN_LINGER:
		http_io_drop(&c->io, c->io.in.len);
		break;
	case CONN_DELAY:
	case CONN_HANDLE:
	case CONN_REPLY:
		break; /* it waits, below the read watermark */
	}
}

/* Of the session ticket and what was written behind it: crypto_tls.h. */
static void
let_go(struct http_conn *c)
{
	const int off = 0;

	if (c->corked)
		(void)setsockopt(
		    c->io.fd, IPPROTO_TCP, TCP_CORK, &off, sizeof(off));
	c->corked = false;
}

/* Sends what there is, and more of a stream as it is taken.  false: it broke. */
static bool
give_out(struct http_conn *c)
{
	struct http_request *r = &c->request;
	struct err e = ERR_INIT;

	for (unsigned i = 0; i < STEPS; i++) {
		if (http_io_unsent(&c->io) > 0) {
			http_io_write(&c->io);
			let_go(c);
		}
		if (c->io.blocked || c->state != CONN_REPLY ||
		    r->produce == NULL)
			break;
		if (c->io.ended || http_reply_pump(r, &e) != 0)
			return false;
	}
	http_conn_weigh(c);
	if (c->state == CONN_REPLY && http_io_unsent(&c->io) > 0)
		watch_progress(c);
	return true;
}

/* Takes what came, answers, sends.  false: nothing more can be done now.  May
 * free c, and says so in *gone. */
static bool
step(struct http_conn *c, bool *gone)
{
	http_io_read(&c->io);
	advance(c);
	if (c->dead)
		return false;
	if (!give_out(c)) {
		http_conn_close(c);
		*gone = true;
		return false;
	}
	if (c->state == CONN_REPLY && c->request.produce == NULL &&
	    http_io_unsent(&c->io) == 0) {
		*gone = finish(c);
		return !*gone;
	}
	if (c->state == CONN_REPLY && !c->io.blocked)
		return true;
	return c->io.readable && http_io_has_room(&c->io);
}

/* false: it failed, or has to wait. */
static bool
is_ready(struct http_conn *c)
{
	int rc;

	if (c->ready)
		return true;
	rc = http_io_shake(&c->io);
	if (rc < 0)
		c->io.ended = true;
	if (rc <= 0)
		return false;
	c->ready = c->corked = true;
	c->has_key = tls_peer_digest(c->io.ssl, &c->key);
	http_count(tls_session_is_resumed(c->io.ssl)
	        ? &c->server->counters->tls_resumed
	        : &c->server->counters->tls_full);
	return true;
}

static void
on_io(int fd, short what, void *arg)
{
	struct http_conn *c = arg;
	bool gone = false, more = true;

	(void)fd;
	if (c->dead)
		return;
	/* TLS may have had to write before it could read. */
	if ((what & EV_READ) != 0 || http_io_unsent(&c->io) == 0)
		c->io.readable = true;
	c->io.blocked = false;
	c->busy = true;
	if (is_ready(c)) {
		for (unsigned i = 0; more && i < STEPS; i++)
			more = step(c, &gone);
		if (gone)
			return;
	}
	c->busy = false;
	if (c->io.ended) {
		if (!c->ready)
			http_count(&c->server->counters->tls_failed);
		http_conn_close(c);
		return;
	}
	http_io_wait(&c->io);
	if (more && c->ready)
		http_io_wake(&c->io);
}

/* Whether the peer took enough since the last look. */
static bool
makes_progress(struct http_conn *c)
{
	uint64_t now = taken(c), before = c->taken;
	uint64_t want =
	    (uint64_t)LIMIT_MIN_RATE * c->server->options.stall_ms / 1000;

	c->taken = now;
	return now == c->queued || (now > before && now - before >= want);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct http_conn *c = arg;
	struct http_request *r = &c->request;
	uint64_t now_ms = clock_ms();

	(void)fd;
	(void)what;
	c->fires_ms = 0;
	if (!c->dead && c->due_ms == 0)
		return;
	if (!c->dead && now_ms < c->due_ms) {
		arm_timer(c, now_ms);
		return;
	}
	if (!c->dead && c->state == CONN_HANDLE && r->wake != NULL) {
		void (*wake)(void *, struct http_request *) = r->wake;

		wake(r->wake_arg, r);
		return;
	}
	if (!c->dead && c->state == CONN_DELAY) {
		handle(c);
		return;
	}
	if (!c->dead && c->state == CONN_REPLY && makes_progress(c)) {
		http_conn_timer(c, c->server->options.stall_ms);
		return;
	}
	if (!c->dead && !c->is_idle && c->state != CONN_LINGER)
		http_count(&c->server->counters->timed_out);
	http_conn_close(c);
}

void
http_conn_stop(struct http_conn *c)
{
	/* One that is new is about to ask, and would take it for a failure. */
	if (c->state == CONN_HEAD && c->is_idle && !c->fresh)
		http_conn_fail(c);
	else if (c->state == CONN_HANDLE && c->request.wake != NULL)
		http_conn_timer(c, 1);
}

/* What a client says at first is answered soon: that is its acknowledgement.
 * Failure costs a packet. */
static void
acknowledge_late(int fd)
{
	const int off = 0;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &off, sizeof(off));
}

void
http_conn_accept(
    struct http_server *s, int fd, const char *peer, struct http_peer *from)
{
	struct http_conn *c = calloc(1, sizeof(*c));
	struct ssl_st *ssl = NULL;

	if (c != NULL && s->options.tls != NULL)
		ssl = tls_session_new(s->options.tls);
	if (c != NULL && (s->options.tls == NULL || ssl != NULL))
		c->timer = event_new(s->base, -1, 0, on_timer, c);
	if (c == NULL || c->timer == NULL ||
	    !http_io_init(&c->io, s->base, fd, ssl, on_io, c)) {
		if (c != NULL && c->timer != NULL)
			event_free(c->timer);
		tls_socket_free(ssl);
		free(c);
		close(fd);
		return;
	}
	acknowledge_late(fd);
	c->server = s;
	c->from = from;
	http_peer_enter(s->peers, from);
	c->fresh = true;
	c->ready = ssl == NULL;
	(void)snprintf(c->peer, sizeof(c->peer), "%s", peer);
	http_request_init(&c->request, c);
	TAILQ_INSERT_TAIL(&s->conns, c, all);
	s->conn_count++;
	http_count(&s->counters->accepted);
	set_idle(c, true);
	http_conn_timer(c, s->options.header_ms);
}
