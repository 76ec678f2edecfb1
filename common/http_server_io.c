/* Sockets of connections: no call that could be spared is made for a request
 * that comes and goes in one piece.  Runs in peciad's workers. */
#include "common/http_server_io.h"

#include <event2/event.h>

#include <errno.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/crypto_socket.h"
#include "common/limits.h"

#define OUT_BYTES 67108864 /* no reply made in one piece is near it */

bool
http_io_init(struct http_io *io, struct event_base *base, int fd,
    struct ssl_st *ssl, void (*call)(int fd, short what, void *arg), void *arg)
{
	*io = (struct http_io){ .fd = fd, .ssl = ssl };
	buf_init(&io->in, LIMIT_HTTP_HEADER_BYTES);
	buf_init(&io->out, OUT_BYTES);
	if (ssl != NULL && !tls_socket_attach(ssl, fd))
		return false;
	io->event = event_new(base, fd, EV_READ | EV_PERSIST, call, arg);
	if (io->event == NULL)
		return false;
	if (event_add(io->event, NULL) != 0) {
		event_free(io->event);
		return false;
	}
	io->armed = EV_READ;
	return true;
}

void
http_io_release(struct http_io *io)
{
	event_free(io->event);
	tls_socket_free(io->ssl);
	close(io->fd);
	buf_release(&io->in);
	buf_release(&io->out);
}

void
http_io_wake(struct http_io *io)
{
	event_active(io->event, EV_TIMEOUT, 0);
}

void
http_io_wait(struct http_io *io)
{
	short wanted = http_io_has_room(io) ? EV_READ : 0;

	if (io->blocked)
		wanted |= EV_WRITE;
	if (wanted == io->armed)
		return;
	(void)event_del(io->event);
	io->armed = wanted;
	if (wanted == 0)
		return;
	(void)event_assign(io->event, event_get_base(io->event), io->fd,
	    (short)(wanted | EV_PERSIST), event_get_callback(io->event),
	    event_get_callback_arg(io->event));
	if (event_add(io->event, NULL) != 0)
		io->ended = true;
}

int
http_io_shake(struct http_io *io)
{
	switch (tls_socket_accept(io->ssl)) {
	case TLS_DONE:
		io->blocked = false;
		/* The request may have come along; if not, finding that out makes
		 * OpenSSL give up its buffer. */
		io->readable = true;
		return 1;
	case TLS_WANTS_READ:
		io->blocked = false;
		return 0;
	case TLS_WANTS_WRITE:
		io->blocked = true;
		return 0;
	default:
		return -1;
	}
}

static enum tls_step
plain_step(ssize_t n, enum tls_step wanted, size_t *moved)
{
	if (n > 0) {
		*moved = (size_t)n;
		return TLS_DONE;
	}
	if (n == 0)
		return TLS_ENDED;
	return errno == EAGAIN || errno == EINTR ? wanted : TLS_BROKEN;
}

static enum tls_step
read_some(const struct http_io *io, void *dst, size_t size, size_t *got)
{
	return io->ssl != NULL
	    ? tls_socket_read(io->ssl, dst, size, got)
	    : plain_step(recv(io->fd, dst, size, 0), TLS_WANTS_READ, got);
}

bool
http_io_has_room(const struct http_io *io)
{
	return io->in.len < LIMIT_HTTP_HEADER_BYTES;
}

void
http_io_read(struct http_io *io)
{
	uint8_t piece[LIMIT_HTTP_HEADER_BYTES];
	enum tls_step step;
	size_t room, got;

	while (io->readable && http_io_has_room(io)) {
		room = LIMIT_HTTP_HEADER_BYTES - io->in.len;
		got = 0;
		step = read_some(io, piece, room, &got);
		if (step == TLS_WANTS_WRITE)
			io->blocked = true;
		if (step == TLS_ENDED || step == TLS_BROKEN)
			io->ended = true;
		if (got > 0)
			buf_add(&io->in, piece, got);
		if (io->in.failed != 0)
			io->ended = true;
		io->readable = step == TLS_DONE &&
		    (got == room ||
		        (io->ssl != NULL && tls_socket_has_more(io->ssl)));
	}
}

void
http_io_drop(struct http_io *io, size_t len)
{
	io->in.len -= len;
	if (io->in.len == 0)
		buf_release(&io->in);
	else
		memmove(io->in.data, io->in.data + len, io->in.len + 1);
}

static enum tls_step
write_some(const struct http_io *io, size_t *put)
{
	const uint8_t *from = io->out.data + io->out_at;
	size_t len = io->out.len - io->out_at;

	return io->ssl != NULL
	    ? tls_socket_write(io->ssl, from, len, put)
	    : plain_step(
	          send(io->fd, from, len, MSG_NOSIGNAL), TLS_WANTS_WRITE, put);
}

void
http_io_write(struct http_io *io)
{
	enum tls_step step = TLS_DONE;
	size_t put;

	if (http_io_unsent(io) == 0)
		return;
	while (step == TLS_DONE && http_io_unsent(io) > 0) {
		put = 0;
		step = write_some(io, &put);
		io->out_at += put;
	}
	io->blocked = step == TLS_WANTS_WRITE;
	/* Nothing that is sent waits for the peer: there is no renegotiation. */
	if (step != TLS_DONE && step != TLS_WANTS_WRITE)
		io->ended = true;
	if (http_io_unsent(io) > 0)
		return;
	io->out_at = 0;
	buf_clear(&io->out);
}

size_t
http_io_unsent(const struct http_io *io)
{
	return io->out.len - io->out_at;
}

size_t
http_io_unacknowledged(const struct http_io *io)
{
	int in_kernel = 0;

	if (ioctl(io->fd, SIOCOUTQ, &in_kernel) != 0 || in_kernel < 0)
		in_kernel = 0;
	return http_io_unsent(io) + (size_t)in_kernel;
}
