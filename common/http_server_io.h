/* What a connection reads and writes, with or without TLS; included by
 * common/http_server*.c alone.
 *
 * Bytes are read and written as far as that goes without waiting; what is then
 * waited for is armed by http_io_wait, and its callback starts over. */
#ifndef COMMON_HTTP_SERVER_IO_H
#define COMMON_HTTP_SERVER_IO_H

#include "common/buf.h"
#include "common/err.h"

struct event;
struct event_base;
struct ssl_st;

struct http_io {
	int fd;
	struct ssl_st *ssl; /* NULL: plain */
	struct event *event;
	short armed;    /* what it waits for: EV_READ, EV_WRITE */
	bool readable;  /* there may be bytes to read */
	bool blocked;   /* the socket takes no more now */
	bool ended;     /* the peer sent its last, or the connection broke */
	struct buf in;  /* LIMIT_HTTP_HEADER_BYTES at most */
	struct buf out; /* of which the first out_at bytes are sent */
	size_t out_at;
};

/* Takes fd and ssl over if it succeeds.  `call` comes from the loop.  false: out
 * of memory. */
bool http_io_init(struct http_io *io, struct event_base *base, int fd,
    struct ssl_st *ssl, void (*call)(int fd, short what, void *arg), void *arg);
void http_io_release(struct http_io *io);
/* Calls back when the loop turns, also when nothing comes. */
void http_io_wake(struct http_io *io);
/* From now on calls back when what is waited for has come: always bytes, unless
 * there is no room for them. */
void http_io_wait(struct http_io *io);

/* The handshake: 1 when it is done, 0 to wait, -1 when it failed. */
int http_io_shake(struct http_io *io);
/* What there is and has room goes to `in`. */
void http_io_read(struct http_io *io);
bool http_io_has_room(const struct http_io *io);
/* Takes len bytes away from `in`. */
void http_io_drop(struct http_io *io, size_t len);
/* As much of `out` as the socket takes: all of it unless `blocked` or `ended`
 * is set. */
void http_io_write(struct http_io *io);
size_t http_io_unsent(const struct http_io *io);
/* Of those, and of what is in the kernel, what the peer has not acknowledged. */
size_t http_io_unacknowledged(const struct http_io *io);

#endif
