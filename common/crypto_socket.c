/* TLS over a non-blocking socket.  Runs in peciad's workers. */
#include "common/crypto_socket.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#define RECORD_BYTES 16384

bool
tls_socket_attach(struct ssl_st *ssl, int fd)
{
	if (SSL_set_fd(ssl, fd) != 1) {
		ERR_clear_error();
		return false;
	}
	SSL_set_accept_state(ssl);
	/* A record's head and body in one call. */
	SSL_set_read_ahead(ssl, 1);
	SSL_set_mode(ssl,
	    SSL_MODE_ENABLE_PARTIAL_WRITE |
	        SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	return true;
}

void
tls_socket_free(struct ssl_st *ssl)
{
	SSL_free(ssl);
}

static enum tls_step
step_of(const SSL *ssl, int rc)
{
	enum tls_step step;

	if (rc == 1)
		return TLS_DONE;
	switch (SSL_get_error(ssl, rc)) {
	case SSL_ERROR_WANT_READ:
		step = TLS_WANTS_READ;
		break;
	case SSL_ERROR_WANT_WRITE:
		step = TLS_WANTS_WRITE;
		break;
	case SSL_ERROR_ZERO_RETURN:
		step = TLS_ENDED;
		break;
	default:
		step = TLS_BROKEN;
	}
	ERR_clear_error();
	return step;
}

enum tls_step
tls_socket_accept(struct ssl_st *ssl)
{
	ERR_clear_error();
	return step_of(ssl, SSL_accept(ssl));
}

enum tls_step
tls_socket_read(struct ssl_st *ssl, void *dst, size_t size, size_t *got)
{
	ERR_clear_error();
	return step_of(ssl, SSL_read_ex(ssl, dst, size, got));
}

bool
tls_socket_has_more(const struct ssl_st *ssl)
{
	return SSL_has_pending(ssl) == 1;
}

enum tls_step
tls_socket_write(struct ssl_st *ssl, const void *src, size_t len, size_t *put)
{
	if (len > RECORD_BYTES)
		len = RECORD_BYTES;
	ERR_clear_error();
	return step_of(ssl, SSL_write_ex(ssl, src, len, put));
}
