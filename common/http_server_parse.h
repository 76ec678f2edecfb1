/* The head of an HTTP/1.x request, as a pure function of its bytes.  Strict:
 * what has two readings is refused. */
#ifndef COMMON_HTTP_SERVER_PARSE_H
#define COMMON_HTTP_SERVER_PARSE_H

#include "common/http_server.h"

struct http_field {
	const char *name; /* lower case */
	const char *value;
};

struct http_head {
	enum http_method method;
	bool http10;
	bool keep_alive;
	bool expect_continue;
	uint64_t body_bytes;
	const char *path;  /* decoded */
	const char *query; /* as it came, "" when there is none */
	struct http_field fields[HTTP_HEADERS];
	size_t field_count;
};

/* Parses text (len bytes up to and with the empty line, NUL behind them) in
 * place; *out points into it.  ERR_FORMAT with *status the answer to give
 * (400, 405, 411, 417, 431, 501 or 505); *out is then not to be used. */
MUST_CHECK int http_head_parse(char *text, size_t len, struct http_head *out,
    unsigned *status, struct err *e);

/* The first field of that name (lower case), or NULL. */
const char *http_head_field(const struct http_head *h, const char *name);

/* See http_request_query. */
MUST_CHECK int http_head_query(
    const struct http_head *h, const char *name, char *dst, size_t size);

/* Whether a comma-separated list (RFC 9110 5.6.1) has a token, compared
 * without case. */
bool http_list_has(const char *list, const char *token);

#endif
