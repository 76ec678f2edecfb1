/* What http_client.c and http_client_leg.c share, and nobody else includes.
 *
 * A leg is one request on its way.  http_client.c has the connections and the
 * loop that drives legs; http_client_leg.c has what one request is made of and
 * what libcurl calls while it runs. */
#ifndef COMMON_HTTP_CLIENT_IMPL_H
#define COMMON_HTTP_CLIENT_IMPL_H

#include <curl/curl.h>

#include "common/http_client.h"
#include "common/limits.h"

#define NS_PER_MS       UINT64_C(1000000)
#define NS_PER_S        UINT64_C(1000000000)
#define HTTP_HOST_BYTES (LIMIT_HOST_BYTES + 8)       /* with port and NUL */
#define HTTP_SOCKETS    ((size_t)2 * LIMIT_CHANNELS) /* in use and kept */

/* One request on its way; kept for the next one, since connections that stay
 * open refer to its TLS side. */
struct leg {
	struct http_client *c;
	CURL *easy;
	struct tls_client *tls; /* the caller's for the first leg, else own */
	struct tls_client own;
	const struct http_request *req;
	struct curl_slist *headers;
	struct http_response resp;
	uint64_t header_bytes;
	uint64_t start_ns, last_ns; /* of the request, of the newest byte */
	uint64_t first_ns;          /* of the answer; 0 before */
	uint64_t held_ns;           /* spent in the sink */
	/* The rate is of the time since then, a grace_ms long at the most. */
	uint64_t window_ns, window_bytes;
	bool added, done, enough;
	int fail; /* why we broke it off, with err; else 0 */
	struct err err;
	char reason[CURL_ERROR_SIZE];
};

struct http_client {
	CURLM *multi;
	struct leg *legs[LIMIT_CHANNELS];
	char base[96]; /* https://ADDRESS:PORT */
	char host[HTTP_HOST_BYTES];
	char *proxy;
	struct tls_client *tls;
	uint64_t stall_ns, grace_ns, min_rate;
	int given;      /* connected socket not used yet, or -1 */
	bool was_given; /* it went to libcurl; nothing is known of it yet */
	int sockets[HTTP_SOCKETS];
	size_t sockets_n;
	uint64_t closed_in, closed_out; /* of sockets closed since */
};

/* The i'th leg, made when it is first needed. */
MUST_CHECK int leg_get(
    struct http_client *c, size_t i, struct leg **out, struct err *e);
void leg_free(struct leg *l);
/* Hands the request to libcurl. */
MUST_CHECK int leg_start(
    struct leg *l, const struct http_request *req, struct err *e);
/* Takes it back from libcurl, finished or not. */
void leg_stop(struct leg *l);
/* Hands it to libcurl once more, as if for the first time. */
bool leg_resume(struct leg *l);
/* libcurl is done with it, by an answer or by an error. */
void leg_finish(struct leg *l, CURLcode code);
/* Breaks the leg off when it went past a limit, else lowers *until to the time
 * of its next one. */
void leg_check(struct leg *l, uint64_t now, uint64_t *until);

uint64_t http_now_ns(void);
/* Printable and without spaces, but for those in `also`: cannot end a header
 * line or the request's first word. */
bool http_is_plain(const char *s, const char *also);
/* Sockets, called by libcurl with the struct http_client. */
curl_socket_t http_on_open(
    void *arg, curlsocktype purpose, struct curl_sockaddr *to);
int http_on_opened(void *arg, curl_socket_t fd, curlsocktype purpose);
int http_on_close(void *arg, curl_socket_t fd);

#endif
