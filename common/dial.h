/* The first connection that stands, of several addresses of one server.
 *
 * As RFC 8305 section 5: the addresses are tried with their families in turn,
 * a quarter of a second apart, a failure starts the next at once, and the
 * first that is connected wins.  A first address that swallows everything
 * costs 0.25 s instead of the 134 s of a plain loop. */
#ifndef COMMON_DIAL_H
#define COMMON_DIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/err.h"

#define DIAL_TEXT_BYTES 64 /* numeric IPv6 address, '%', interface, NUL */

struct dial_address {
	struct sockaddr_storage addr; /* AF_INET or AF_INET6, with port */
	socklen_t len;
	char text[DIAL_TEXT_BYTES]; /* the numeric address without port */
};

/* Takes a numeric address (dotted quad, or IPv6 with %zone perhaps, without
 * brackets).  ERR_FORMAT: it is anything else. */
MUST_CHECK int dial_address_parse(
    struct dial_address *a, const char *numeric, uint16_t port);
/* Takes the 4 or 16 bytes of an address in network order. */
void dial_address_from_bytes(
    struct dial_address *a, int family, const uint8_t *bytes, uint16_t port);
/* Takes a socket address; one that is neither IPv4 nor IPv6 is ERR_FORMAT. */
MUST_CHECK int dial_address_from_socket(
    struct dial_address *a, const struct sockaddr *addr, uint16_t port);

struct dial_options {
	unsigned stagger_ms; /* between two attempts; 0: LIMIT_STAGGER_MS */
	unsigned connect_ms; /* one attempt; 0: LIMIT_CONNECT_MS */
	bool nonblocking;    /* hand the descriptor out with O_NONBLOCK */
};

/* Connects to one of n addresses, at most LIMIT_ADDRESSES (else ERR_LIMIT);
 * options may be NULL.  After success *fd is the caller's to close, has
 * O_CLOEXEC and TCP_NODELAY, and is connected to addrs[*index]; all others
 * are closed.  ERR_TIMEOUT: each attempt ran out of time; ERR_NET: all failed
 * for this and other reasons; the message has what each address said.  Takes
 * at most (n - 1) * stagger_ms + connect_ms.
 * From: RFC 8305 section 5. */
MUST_CHECK int dial(const struct dial_address *addrs, size_t n,
    const struct dial_options *options, int *fd, size_t *index, struct err *e);

#endif
