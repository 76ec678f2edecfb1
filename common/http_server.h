/* HTTP/1.1 server in one event loop, with or without TLS; the only module
 * that includes libevent (common/http_server*.c).
 *
 * Calling sequence: http_listen for each address, by the process that may bind
 * it; in the process that serves: http_server_new, watches and timers as
 * wanted, http_server_run, http_server_free.
 *
 * For each request the handler is called once.  It answers with one of
 * http_reply_*, at once or later; a request not answered when the handler
 * returns must have been given to http_hold.  When the reply was sent, or the
 * peer went away, `done` is called and the request is no more.
 *
 * What a peer can cost: one connection holds at most HTTP_BUFFER_BYTES * 2 of
 * reply and LIMIT_HTTP_HEADER_BYTES * 2 + body_bytes of request, whatever its
 * speed.  A header must be complete header_ms after its first byte (the
 * handshake counts as part of the first), a body 4 * header_ms after that; an
 * idle connection is closed after idle_ms, and earlier, oldest first, when
 * there are max_connections.  A peer that takes less than LIMIT_MIN_RATE over
 * stall_ms is dropped; bytes are counted when the peer has acknowledged them.
 * A peer, by its IPv4 address or IPv6 /64, has at most max_per_peer connections
 * (its own oldest idle one makes room), opens LIMIT_PEER_CONNECTS_S a second
 * after a burst, and asks LIMIT_PEER_REQUESTS_S times a second after a burst:
 * more than that is closed at once, or answered later.  Replies of all
 * connections queue LIMIT_REPLIES_BYTES; past that each gets small pieces.
 * Request bodies are bounded per peer and in total; past that the answer is
 * 503.  The limits are in common/limits.h and are those of one process.
 *
 * Requests with a folded header, a repeated Host, Content-Length or Range, a
 * transfer coding, more than HTTP_HEADERS header lines, or a path that is not
 * in its one plain form are answered 4xx and the connection is closed. */
#ifndef COMMON_HTTP_SERVER_H
#define COMMON_HTTP_SERVER_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/crypto_digest.h"
#include "common/err.h"

#define HTTP_HEADERS       64     /* header lines of one request */
#define HTTP_BUFFER_BYTES  114688 /* one piece: 7 full TLS records */
#define HTTP_PEER_BYTES    64     /* "[v6]:port" and a NUL */
#define HTTP_GRACE_MS      10000  /* for requests under way at SIGTERM */
#define HTTP_RETIRE_SIGNAL SIGUSR1

struct ssl_ctx_st;
struct http_server;
struct http_request;

enum http_method {
	HTTP_GET,
	HTTP_HEAD,
	HTTP_POST,
};

/* Counted by the server, read by anybody (also through shared memory). */
struct http_counters {
	_Atomic uint64_t accepted; /* connections */
	_Atomic uint64_t closed;   /* connections; accepted - closed are open */
	_Atomic uint64_t refused;  /* closed at once: too many */
	_Atomic uint64_t peer_refused; /* ... of one peer */
	_Atomic uint64_t peer_hasty;   /* ... one after the other of one peer */
	_Atomic uint64_t delayed;      /* requests: too many of one peer */
	_Atomic uint64_t
	    bodies_refused;          /* 503: request bodies of too many bytes */
	_Atomic uint64_t evicted;    /* idle ones closed to make room */
	_Atomic uint64_t tls_failed; /* handshakes */
	_Atomic uint64_t tls_full;   /* ... of new sessions */
	_Atomic uint64_t tls_resumed; /* ... that took one up again */
	_Atomic uint64_t timed_out;   /* header, body or reply too slow */
	_Atomic uint64_t malformed; /* requests refused by the server itself */
};

struct http_options {
	struct ssl_ctx_st *tls; /* of tls_server_context; NULL: plain HTTP */
	const int *listen_fds;  /* non-blocking */
	bool own_listeners;     /* closes them when it stops; else not owned */
	size_t listen_count;
	void (*handler)(void *arg, struct http_request *r);
	/* May be NULL.  Also called for requests refused by the server. */
	void (*done)(void *arg, struct http_request *r);
	void (*hangup)(void *arg); /* SIGHUP; may be NULL */
	void *arg;
	struct http_counters *counters; /* NULL: not wanted */
	/* 0 means the default. */
	unsigned max_connections; /* 4096, and what RLIMIT_NOFILE allows */
	/* LIMIT_PEER_CONNECTIONS, and at most half of max_connections (but 8) */
	unsigned max_per_peer;
	unsigned requests_per_s; /* LIMIT_PEER_REQUESTS_S */
	unsigned requests_burst; /* LIMIT_PEER_REQUESTS_BURST */
	size_t body_bytes;       /* LIMIT_HTTP_BODY_BYTES */
	size_t replies_bytes;    /* LIMIT_REPLIES_BYTES */
	unsigned header_ms;      /* LIMIT_STALL_MS */
	unsigned idle_ms;        /* 75 s */
	unsigned stall_ms;       /* LIMIT_STALL_MS */
};

/* A listening socket for "ADDR:PORT" or "[V6]:PORT", numbers only; port 0
 * takes any.  "[::]" takes IPv4 too.  The caller closes *fd. */
MUST_CHECK int http_listen(const char *address, int *fd, struct err *e);
/* The port that a listening socket is bound to. */
MUST_CHECK int http_port_of(int fd, uint16_t *port, struct err *e);

/* Copies the options.  Ignores SIGPIPE in this process. */
MUST_CHECK int http_server_new(const struct http_options *options,
    struct http_server **out, struct err *e);
/* Its watches and timers are to be freed before it. */
void http_server_free(struct http_server *s);
/* Serves until SIGTERM, SIGINT or http_server_stop: then no connection is
 * taken, held requests are woken, requests under way, and connections that have
 * not asked yet, get HTTP_GRACE_MS.
 * HTTP_RETIRE_SIGNAL does the same, but gives them LIMIT_RETIRE_S: a successor
 * accepts on the same sockets.  When
 * it returns, every request is over and `done` was called for it. */
MUST_CHECK int http_server_run(struct http_server *s, struct err *e);
void http_server_stop(struct http_server *s);
/* A server that is stopping: held requests should be answered. */
bool http_server_is_stopping(const struct http_server *s);

/* Another number each time that the loop turns: what was looked at under this one
 * was looked at after the requests handled under it had come. */
uint64_t http_server_turn(const struct http_server *s);

/* Calls `call` in the loop whenever fd (not owned) is readable. */
struct http_watch;
MUST_CHECK int http_watch_new(struct http_server *s, int fd,
    void (*call)(void *arg), void *arg, struct http_watch **out, struct err *e);
void http_watch_free(struct http_watch *w);
/* Calls `call` every interval_ms. */
struct http_timer;
MUST_CHECK int http_timer_new(struct http_server *s, unsigned interval_ms,
    void (*call)(void *arg), void *arg, struct http_timer **out, struct err *e);
void http_timer_free(struct http_timer *t);

/* The request.  Texts are borrowed and valid until `done` returns. */
enum http_method http_request_method(const struct http_request *r);
/* As it came, for logs: "GET", "HEAD", "POST", or "-" when it was refused
 * before that was known. */
const char *http_request_method_name(const struct http_request *r);
/* Decoded once; begins with '/', and has no empty, "." or ".." component, no
 * control byte, no '\' and no encoded '/'.  "-" for a refused request. */
const char *http_request_path(const struct http_request *r);
/* The value of a query parameter into dst (decoded, NUL-ended).
 * ERR_NOT_FOUND: not there; ERR_FORMAT: twice or malformed; ERR_LIMIT. */
MUST_CHECK int http_request_query(
    const struct http_request *r, const char *name, char *dst, size_t size);
/* The first header line of that name (lower case), or NULL. */
const char *http_request_header(const struct http_request *r, const char *name);
const uint8_t *http_request_body(const struct http_request *r, size_t *len);
/* "10.1.0.5:40112" or "[2001:db8::5]:40112". */
const char *http_request_peer(const struct http_request *r);
/* The peer's key (SHA-256 of SPKI); false when it showed none. */
bool http_request_peer_key(const struct http_request *r, struct digest *out);
/* One pointer for the handler's own use; NULL at first. */
void http_request_set_user(struct http_request *r, void *user);
void *http_request_user(const struct http_request *r);

/* The reply.  Nothing fails: when memory runs out the connection is dropped
 * and `done` says so.  The request may be over when one of these returns. */
/* A header line of the reply to come; names and values are the program's. */
void http_reply_header(
    struct http_request *r, const char *name, const char *value);
/* A whole reply of len bytes, copied.  type is its Content-Type or NULL.  With
 * status 304 no body is sent. */
void http_reply(struct http_request *r, unsigned status, const char *type,
    const void *body, size_t len);
/* "<text>\n" as text/plain. */
void http_reply_text(struct http_request *r, unsigned status, const char *text);
/* len bytes of fd from offset; fd is owned from now on, and read with pread
 * as the peer takes the bytes.  A file that turns out shorter breaks the
 * connection off. */
void http_reply_file(struct http_request *r, unsigned status, int fd,
    uint64_t offset, uint64_t len);
/* A stream of unknown length (chunked).  produce is called, also from inside
 * this function, whenever the peer took what there was: up to size bytes
 * (HTTP_BUFFER_BYTES) into dst, *got 0 at the end.  An error of it breaks the
 * connection off, so that the peer does not take a part for the whole.
 * release(arg) is called exactly once; neither is called for a HEAD but
 * release. */
typedef int (*http_producer)(
    void *arg, uint8_t *dst, size_t size, size_t *got, struct err *e);
void http_reply_stream(struct http_request *r, unsigned status,
    http_producer produce, void (*release)(void *arg), void *arg);

/* Keeps a request without an answer.  Unless http_reply_* was called before,
 * wake(arg, r) is called after wait_ms, or when the server stops, and must
 * reply.  When the peer goes away only `done` is called. */
void http_hold(struct http_request *r, unsigned wait_ms,
    void (*wake)(void *arg, struct http_request *r), void *arg);

/* For `done`: how it ended. */
struct http_result {
	unsigned status;      /* 0: no reply was made */
	uint64_t body_bytes;  /* of the reply, handed to the connection */
	uint64_t duration_us; /* from the complete request on */
	bool complete;        /* false: broken off */
};
void http_request_result(const struct http_request *r, struct http_result *out);

#endif
