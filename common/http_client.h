/* HTTP/1.1 over TLS 1.3 to one server, blocking; the only module that includes
 * libcurl.
 *
 * Connections are kept alive and made again when they are gone.  Nothing but
 * the options says where to: no names are resolved, no redirect is followed,
 * no environment variable is read, no cookie kept, no body decompressed. */
#ifndef COMMON_HTTP_CLIENT_H
#define COMMON_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/crypto_tls.h"
#include "common/err.h"

#define HTTP_ETAG_BYTES 128 /* with the NUL; a longer one is not kept */

struct http_client_options {
	int fd; /* connected socket for the first connection, or -1; the
	         * client's to close once http_client_new succeeded.  Best from a
	         * connect that did not block, as dial's: libcurl 7.88 has to
	         * replace others */
	const char *address; /* numeric, "192.0.2.1" or "2001:db8::1" */
	uint16_t port;
	const char *host_header; /* for Host:, NULL: address and port */
	const char
	    *proxy; /* "http://ADDRESS:PORT", numeric; NULL: none.  fd, if
	                    * any, is then connected to the proxy */
	struct tls_client *tls; /* outlives the client */
	unsigned stall_ms; /* silence that ends a transfer; 0: LIMIT_STALL_MS */
	uint64_t min_rate; /* bytes a second; 0: LIMIT_MIN_RATE */
	unsigned grace_ms; /* over which min_rate is taken; 0: 30 s */
};

struct http_response;
struct http_request {
	const char *path; /* with its query, escaped already; "/v1/roster" */
	const char *if_none_match; /* entity tag as it was given, or NULL */
	uint64_t offset;           /* ask for the bytes from here on */
	const char
	    *if_range;    /* entity tag that `offset` is good for, or NULL */
	const void *body; /* NULL: GET, else POST */
	size_t body_len;
	uint64_t max_bytes;  /* of the answer's body; past it ERR_LIMIT */
	unsigned timeout_ms; /* whole request; 0: none */
	unsigned idle_ms; /* silence allowed before the first byte, when longer
	                   * than stall_ms: for long polls */
	/* Before the body of a 200 or 206 answer: what its header says; may be
	 * NULL.  Other than 0 as for the sink. */
	int (*begin)(
	    void *arg, const struct http_response *resp, struct err *e);
	/* Gets the body of a 200 or 206 answer in pieces (others are thrown
	 * away); may be NULL.  What it returns other than 0 ends the transfer and
	 * is returned by http_client_do; time spent in it is not the server's. */
	int (*sink)(void *arg, const void *data, size_t len, struct err *e);
	void *arg;
};

struct http_response {
	int status;
	char etag[HTTP_ETAG_BYTES]; /* as sent, quotes included; "" for none */
	uint64_t content_length;    /* of this answer's body */
	bool has_length;
	uint64_t range_start; /* of a 206: `offset`; else 0 */
	uint64_t body_bytes;  /* given to the sink */
	uint64_t head_bytes;  /* of the body, when more follows that was not in
	                       * the path ("Pecia-Head"); else 0 */
	struct digest peer;   /* key of the server that answered (SPKI) */
};

struct http_client;

/* ERR_USAGE: the address is not numeric, or a text has control bytes in it. */
MUST_CHECK int http_client_new(const struct http_client_options *opts,
    struct http_client **out, struct err *e);
/* Closes its connections. */
void http_client_free(struct http_client *c);

/* One request.  0 when a whole answer came, whatever its status: see resp.
 * ERR_VERIFY: tls->judge refused the server's key, named in the message;
 * ERR_NET: connection or protocol failed, or the body was cut off;
 * ERR_TIMEOUT: nothing came for too long, or too little; ERR_LIMIT: headers or
 * body too large; else what the sink returned.  The client may be used again
 * after any of them and connects again if it has to. */
MUST_CHECK int http_client_do(struct http_client *c,
    const struct http_request *req, struct http_response *resp, struct err *e);

/* n requests at once (1 to LIMIT_CHANNELS), each on its own connection; as soon
 * as one was answered by a whole 200 the others are broken off, which may have
 * put some bytes into their sinks.  0: *which is that one and resp its answer,
 * or *which is n when all were answered and none by 200.  Errors only when no
 * request was answered: the first of them. */
MUST_CHECK int http_client_race(struct http_client *c,
    const struct http_request *reqs, size_t n, size_t *which,
    struct http_response *resp, struct err *e);

/* Payload of all its TCP connections so far, TLS included, as the kernel
 * counts it. */
void http_client_bytes(
    const struct http_client *c, uint64_t *in, uint64_t *out);

#endif
