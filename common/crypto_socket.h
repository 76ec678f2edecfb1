/* TLS over a non-blocking socket, for an event loop: each call does what can be
 * done now and says what it waits for.
 *
 * Calling sequence: tls_session_new, tls_socket_attach, tls_socket_accept until
 * it is done, then read and write, tls_session_end, tls_socket_free. */
#ifndef COMMON_CRYPTO_SOCKET_H
#define COMMON_CRYPTO_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ssl_st;

enum tls_step {
	TLS_DONE,
	TLS_WANTS_READ,  /* again when the socket is readable */
	TLS_WANTS_WRITE, /* ... writable */
	TLS_ENDED,       /* the peer will send no more */
	TLS_BROKEN,
};

/* The server's half on a connected socket (not owned).  It reads ahead: what is
 * readable may be here already, see tls_socket_has_more.  false: out of
 * memory. */
bool tls_socket_attach(struct ssl_st *ssl, int fd);
void tls_socket_free(struct ssl_st *ssl);
/* The handshake, not for TLS_ENDED. */
enum tls_step tls_socket_accept(struct ssl_st *ssl);
/* Up to size bytes; *got is set with TLS_DONE. */
enum tls_step tls_socket_read(
    struct ssl_st *ssl, void *dst, size_t size, size_t *got);
/* Whether bytes were taken from the socket that nobody has read yet: the socket
 * may not become readable for them. */
bool tls_socket_has_more(const struct ssl_st *ssl);
/* The first of len bytes, one record of them at most; *put is set with
 * TLS_DONE.  After TLS_WANTS_… the same bytes, and more if there are, must come
 * again; they may have moved. */
enum tls_step tls_socket_write(
    struct ssl_st *ssl, const void *src, size_t len, size_t *put);

#endif
