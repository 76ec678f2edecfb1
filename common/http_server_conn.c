/* One connection: from accept through any number of requests to its end.  All
 * of a strange peer's slowness and insistence ends here.  Runs in peciad's
 * workers. */
#include "common/http_server_impl.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/crypto_tls.h"
#include "common/limits.h"

#define LINGER_MS     2000
#define NOTSENT_BYTES (256 * 1024) /* unsent bytes in the kernel */

static void advance(struct http_conn *c);

void
http_conn_timer(struct http_conn *c, unsigned ms)
{
	const struct timeval tv = http_timeval(ms);

	if (!c->dead)
		event_add(c->timer, &tv);
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
	count_held(c, evbuffer_get_length(bufferevent_get_output(c->bev)));
}

static void
say_goodbye(struct http_conn *c)
{
	if (c->ready && c->server->options.tls != NULL)
		tls_session_end(bufferevent_openssl_get_ssl(c->bev));
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
	bufferevent_free(c->bev);
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

/* Bytes that the peer has not acknowledged. */
static uint64_t
pending(struct http_conn *c)
{
	uint64_t queued = evbuffer_get_length(bufferevent_get_output(c->bev));
	int in_kernel = 0;

	if (ioctl(bufferevent_getfd(c->bev), SIOCOUTQ, &in_kernel) == 0 &&
	    in_kernel > 0)
		queued += (unsigned)in_kernel;
	return queued;
}

static uint64_t
taken(struct http_conn *c)
{
	uint64_t open = pending(c);

	/* TLS adds some bytes to those queued. */
	return c->queued > open ? c->queued - open : 0;
}

void
http_conn_replying(struct http_conn *c)
{
	c->request.wake = NULL;
	c->state = CONN_REPLY;
	c->taken = taken(c);
	http_conn_timer(c, c->server->options.stall_ms);
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
	event_del(c->timer);
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
	struct evbuffer *in = bufferevent_get_input(c->bev);
	size_t n = evbuffer_get_length(in);
	uint8_t *room;

	if (n > c->body_left)
		n = (size_t)c->body_left;
	if (n > 0) {
		room = buf_reserve(&c->request.body, n);
		if (room == NULL ||
		    evbuffer_remove(in, room, n) != (ev_ssize_t)n) {
			http_conn_fail(c);
			return;
		}
		buf_commit(&c->request.body, n);
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
		c->queued += sizeof(go_on) - 1;
		if (bufferevent_write(c->bev, go_on, sizeof(go_on) - 1) != 0) {
			http_conn_fail(c);
			return;
		}
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
	if (r->text == NULL ||
	    evbuffer_remove(bufferevent_get_input(c->bev), r->text, len) !=
	        (ev_ssize_t)len) {
		http_conn_fail(c);
		return;
	}
	r->text[len] = '\0';
	if (http_head_parse(r->text, len, &r->head, &status, &e) != 0) {
		refuse(c, status, e.msg);
		return;
	}
	r->has_head = true;
	start_body(c);
}

/* RFC 9112 2.2: an empty line before a request is passed over. */
static void
skip_empty_lines(struct evbuffer *in)
{
	char start[2];

	while (evbuffer_copyout(in, start, 2) == 2 && start[0] == '\r' &&
	    start[1] == '\n')
		evbuffer_drain(in, 2);
}

static void
read_head(struct http_conn *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	struct evbuffer_ptr end;

	skip_empty_lines(in);
	if (evbuffer_get_length(in) == 0)
		return;
	if (c->is_idle) {
		set_idle(c, false);
		clock_gettime(CLOCK_MONOTONIC, &c->request.started);
		if (!c->fresh)
			http_conn_timer(c, c->server->options.header_ms);
		c->fresh = false;
	}
	end = evbuffer_search(in, "\r\n\r\n", 4, NULL);
	if (end.pos >= 0 && end.pos + 4 <= LIMIT_HTTP_HEADER_BYTES)
		take_head(c, (size_t)end.pos + 4);
	else if (evbuffer_get_length(in) >= LIMIT_HTTP_HEADER_BYTES)
		refuse(c, 431, "request header is too large");
}

/* Closing with bytes unread would reset the connection, and the peer might
 * never see why it was refused. */
static void
linger(struct http_conn *c)
{
	c->state = CONN_LINGER;
	say_goodbye(c);
	shutdown(bufferevent_getfd(c->bev), SHUT_WR);
	evbuffer_drain(bufferevent_get_input(c->bev), SIZE_MAX);
	http_conn_timer(c, LINGER_MS);
}

/* The reply is out.  May free c. */
static void
finish(struct http_conn *c)
{
	struct http_server *s = c->server;

	c->request.complete = true;
	end_request(c);
	http_request_init(&c->request, c);
	c->state = CONN_HEAD;
	if (c->refused) {
		linger(c);
		return;
	}
	if (c->close_after || s->stopping) {
		http_conn_close(c);
		return;
	}
	set_idle(c, true);
	http_conn_timer(c, s->options.idle_ms);
	advance(c);
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
		evbuffer_drain(bufferevent_get_input(c->bev), SIZE_MAX);
		break;
	case CONN_DELAY:
	case CONN_HANDLE:
	case CONN_REPLY:
		break; /* it waits, below the read watermark */
	}
}

static void
on_read(struct bufferevent *bev, void *arg)
{
	struct http_conn *c = arg;

	(void)bev;
	if (!c->dead)
		advance(c);
}

/* Of the session ticket and what was written behind it: crypto_tls.h. */
static void
let_go(struct http_conn *c)
{
	const int off = 0;

	if (c->corked)
		(void)setsockopt(bufferevent_getfd(c->bev), IPPROTO_TCP,
		    TCP_CORK, &off, sizeof(off));
	c->corked = false;
}

static void
on_write(struct bufferevent *bev, void *arg)
{
	struct http_conn *c = arg;
	struct err e = ERR_INIT;

	http_conn_weigh(c);
	let_go(c);
	if (c->dead || c->state != CONN_REPLY)
		return;
	if (c->request.produce != NULL &&
	    http_reply_pump(&c->request, &e) != 0) {
		http_conn_close(c);
		return;
	}
	/* The end of a stream may have added nothing. */
	if (c->request.produce == NULL &&
	    evbuffer_get_length(bufferevent_get_output(bev)) == 0)
		finish(c);
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
	struct http_conn *c = arg;
	const struct ssl_st *ssl;

	if (what & BEV_EVENT_CONNECTED) {
		ssl = bufferevent_openssl_get_ssl(bev);
		c->ready = c->corked = true;
		c->has_key = tls_peer_digest(ssl, &c->key);
		http_count(tls_session_is_resumed(ssl)
		        ? &c->server->counters->tls_resumed
		        : &c->server->counters->tls_full);
		return;
	}
	if (!c->ready)
		http_count(&c->server->counters->tls_failed);
	c->ready = false; /* nobody is there for a goodbye */
	http_conn_close(c);
}

/* Whether the peer took enough since the last look. */
static bool
makes_progress(struct http_conn *c)
{
	uint64_t now = taken(c), before = c->taken;
	uint64_t want =
	    (uint64_t)LIMIT_MIN_RATE * c->server->options.stall_ms / 1000;

	c->taken = now;
	return pending(c) == 0 || (now > before && now - before >= want);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct http_conn *c = arg;
	struct http_request *r = &c->request;

	(void)fd;
	(void)what;
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

static void
tune_socket(int fd)
{
	int on = 1, off = 0, unsent = NOTSENT_BYTES;

	/* Failure costs speed only. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	/* What a client says at first is answered soon: that is its
	 * acknowledgement. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &off, sizeof(off));
	(void)setsockopt(
	    fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
}

static struct bufferevent *
make_bufferevent(struct http_server *s, int fd)
{
	const int flags = BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS;
	struct bufferevent *bev;
	struct ssl_st *ssl;

	if (s->options.tls == NULL)
		return bufferevent_socket_new(s->base, fd, flags);
	ssl = tls_session_new(s->options.tls);
	if (ssl == NULL)
		return NULL;
	/* Takes ssl over, also when it fails. */
	bev = bufferevent_openssl_socket_new(
	    s->base, fd, ssl, BUFFEREVENT_SSL_ACCEPTING, flags);
	if (bev != NULL)
		bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
	return bev;
}

void
http_conn_accept(
    struct http_server *s, int fd, const char *peer, struct http_peer *from)
{
	struct http_conn *c = calloc(1, sizeof(*c));

	if (c != NULL)
		c->timer = event_new(s->base, -1, 0, on_timer, c);
	if (c != NULL && c->timer != NULL)
		c->bev = make_bufferevent(s, fd);
	if (c == NULL || c->timer == NULL || c->bev == NULL) {
		if (c != NULL && c->timer != NULL)
			event_free(c->timer);
		free(c);
		close(fd);
		return;
	}
	tune_socket(fd);
	c->server = s;
	c->from = from;
	http_peer_enter(s->peers, from);
	c->fresh = true;
	c->ready = s->options.tls == NULL;
	(void)snprintf(c->peer, sizeof(c->peer), "%s", peer);
	http_request_init(&c->request, c);
	TAILQ_INSERT_TAIL(&s->conns, c, all);
	s->conn_count++;
	http_count(&s->counters->accepted);
	set_idle(c, true);
	bufferevent_setcb(c->bev, on_read, on_write, on_event, c);
	bufferevent_setwatermark(c->bev, EV_READ, 0, LIMIT_HTTP_HEADER_BYTES);
	bufferevent_set_max_single_write(c->bev, HTTP_BUFFER_BYTES);
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
	http_conn_timer(c, s->options.header_ms);
}
