/* What the files of the HTTP server share; included by common/http_server*.c
 * alone. */
#ifndef COMMON_HTTP_SERVER_IMPL_H
#define COMMON_HTTP_SERVER_IMPL_H

#include <sys/queue.h>
#include <sys/time.h>
#include <time.h>

#include "common/buf.h"
#include "common/http_server_io.h"
#include "common/http_server_parse.h"

struct http_conn;
struct http_peer;
struct http_peers;
struct sockaddr;
struct event;
struct event_base;
struct evconnlistener;

#define HTTP_SIGNALS 4

enum conn_state {
	CONN_HEAD,   /* waits for, or reads, a request head */
	CONN_BODY,   /* reads a request body */
	CONN_DELAY,  /* a whole request, of a peer that sends too many */
	CONN_HANDLE, /* the handler has it, or it is held */
	CONN_REPLY,  /* the reply goes out */
	CONN_LINGER, /* refused: what still comes is thrown away */
};

struct http_request {
	struct http_conn *conn;
	struct http_head head;
	bool has_head;
	char *text; /* what head points into */
	struct buf body;
	void *user;
	struct timespec started;

	struct buf fields; /* header lines of the reply */
	unsigned status;
	bool complete;
	uint64_t body_bytes; /* of the reply so far */

	void (*wake)(void *arg, struct http_request *r);
	void *wake_arg;

	http_producer produce; /* NULL: all of the reply is queued */
	void (*release)(void *arg);
	void *stream_arg;
	uint64_t left; /* of a reply of known length */
	bool chunked;
	bool counted; /* known length: left counts */
};

struct http_conn {
	TAILQ_ENTRY(http_conn) all;
	TAILQ_ENTRY(http_conn) idle;
	bool is_idle; /* on the server's idle list */
	struct http_server *server;
	struct http_io io;
	struct event *timer;
	/* By clock_ms: when something is to happen, 0 for never; when the timer
	 * fires, which may be earlier, 0 for not at all. */
	uint64_t due_ms, fires_ms;
	enum conn_state state;
	bool busy;   /* inside the callback that will send what is queued */
	bool dead;   /* the timer will free it as soon as the loop turns */
	bool fresh;  /* no request came yet */
	bool ready;  /* handshake done, or none needed */
	bool corked; /* until something was written behind the ticket */
	bool close_after;
	bool refused; /* ... and what still comes is not a request */
	bool has_key;
	struct digest key;
	char peer[HTTP_PEER_BYTES];
	struct http_peer *from;
	size_t body_taken; /* of the peer's allowance */
	size_t held;       /* of the server's `replies` */
	uint64_t queued;   /* bytes ever given to the connection */
	bool watched;      /* whether the peer makes progress */
	uint64_t taken; /* of `queued`, acknowledged at the last stall check */
	uint64_t body_left;
	struct http_request request;
};

TAILQ_HEAD(http_conns, http_conn);

struct http_server {
	struct http_options options;
	struct http_counters own_counters;
	struct http_counters *counters;
	struct event_base *base;
	struct evconnlistener **listeners;
	size_t listener_count;
	struct event *signals[HTTP_SIGNALS];
	struct event *pause; /* after accept found no descriptor or memory */
	struct event *grace;
	struct http_conns conns, idle;
	struct http_peers *peers;
	unsigned conn_count;
	size_t replies; /* bytes queued on all connections */
	time_t date_s;  /* what `date` tells */
	char date[48];  /* a header line */
	bool accepting, paused, stopping;
};

/* http_server_conn.c */
/* Takes fd over, also on failure. */
void http_conn_accept(
    struct http_server *s, int fd, const char *peer, struct http_peer *from);
/* Ends it now: for callbacks of the loop, as their last act. */
void http_conn_close(struct http_conn *c);
/* Ends it when the loop turns: for all others. */
void http_conn_fail(struct http_conn *c);
/* What a stopping server asks of each: idle ones close, but those that have not
 * asked yet; held ones wake. */
void http_conn_stop(struct http_conn *c);
/* Arms the connection's one timer, in place of what it was armed for. */
void http_conn_timer(struct http_conn *c, unsigned ms);
/* So many bytes were added to what goes out; ends it when there was no room. */
void http_conn_queued(struct http_conn *c, size_t len);
/* From now on the reply goes out, and must make progress. */
void http_conn_replying(struct http_conn *c);

/* Its queue has another length: counts it. */
void http_conn_weigh(struct http_conn *c);

/* http_server_peers.c */
MUST_CHECK int http_peers_new(struct http_peers **out, struct err *e);
/* No peer may have a connection. */
void http_peers_free(struct http_peers *p);
/* NULL: out of memory.  Without a connection it may be forgotten by the next
 * call. */
struct http_peer *http_peer_of(
    struct http_peers *p, const struct sockaddr *sa, size_t len);
unsigned http_peer_connections(const struct http_peer *peer);
void http_peer_enter(struct http_peers *p, struct http_peer *peer);
void http_peer_leave(struct http_peers *p, struct http_peer *peer);
/* Counts a connection, unless there were too many. */
bool http_peer_may_connect(struct http_peer *peer);
/* Counts a request; how long it has to wait. */
unsigned http_peer_delay_ms(
    struct http_peer *peer, unsigned per_s, unsigned burst);
/* false: there is no room for a body of so many bytes. */
bool http_peer_take_body(
    struct http_peers *p, struct http_peer *peer, size_t bytes);
void http_peer_drop_body(
    struct http_peers *p, struct http_peer *peer, size_t bytes);

/* http_server_reply.c */
void http_request_init(struct http_request *r, struct http_conn *c);
void http_request_release(struct http_request *r);
/* Queues one more piece of a stream.  ERR_*: it broke. */
MUST_CHECK int http_reply_pump(struct http_request *r, struct err *e);

/* http_server.c */
/* Opens or shuts the listeners as there is room. */
void http_server_room(struct http_server *s);

static inline struct timeval
http_timeval(unsigned ms)
{
	return (struct timeval){ (time_t)(ms / 1000),
		(suseconds_t)(ms % 1000) * 1000 };
}

static inline void
http_count(_Atomic uint64_t *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

#endif
