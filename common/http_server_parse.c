/* HTTP/1.x request heads; runs in peciad's workers on bytes of strangers. */
#include "common/http_server_parse.h"

#include <string.h>
#include <strings.h>

#include "common/limits.h"
#include "common/text.h"

/* Set beside the error, so that a peer hears the right number. */
static int
refuse(unsigned *status, unsigned value, struct err *e, const char *why)
{
	*status = value;
	return err_set(e, ERR_FORMAT, "%s", why);
}

static bool
is_token_byte(char c)
{
	if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
	    (c >= 'a' && c <= 'z'))
		return true;
	return c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

static bool
is_token(const char *s)
{
	if (*s == '\0')
		return false;
	for (; *s != '\0'; s++)
		if (!is_token_byte(*s))
			return false;
	return true;
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* One byte of a target, percent-decoded; -1 for a malformed escape. */
static int
decode_byte(const char **p)
{
	int high, low;

	if (**p != '%')
		return (unsigned char)*(*p)++;
	high = hex_value((*p)[1]);
	low = high < 0 ? -1 : hex_value((*p)[2]);
	if (low < 0)
		return -1;
	*p += 3;
	return high << 4 | low;
}

/* Decodes in place.  A slash that was written %2F would be another path to
 * a proxy in between, so it is refused. */
static int
decode_path(char *path)
{
	const char *src = path;
	char *dst = path;

	while (*src != '\0') {
		bool escaped = *src == '%';
		int c = decode_byte(&src);

		if (c < 0x20 || c == 0x7f || c == '\\')
			return ERR_FORMAT;
		if (escaped && c == '/')
			return ERR_FORMAT;
		*dst++ = (char)c;
	}
	*dst = '\0';
	return 0;
}

/* '/' alone, or components that are not empty, "." or "..". */
static bool
path_is_plain(const char *path)
{
	if (path[0] != '/')
		return false;
	if (path[1] == '\0')
		return true;
	while (*path == '/') {
		size_t len = strcspn(++path, "/");

		if (len == 0 || (len == 1 && path[0] == '.') ||
		    (len == 2 && path[0] == '.' && path[1] == '.'))
			return false;
		path += len;
	}
	return true;
}

/* RFC 9112 3.2.2: a server takes the absolute form too.  NULL when there is no
 * path in it. */
static char *
skip_authority(char *target)
{
	size_t skip = 0;

	if (strncasecmp(target, "http://", 7) == 0)
		skip = 7;
	else if (strncasecmp(target, "https://", 8) == 0)
		skip = 8;
	return skip == 0 ? target : strchr(target + skip, '/');
}

static int
parse_target(char *target, struct http_head *h, unsigned *status, struct err *e)
{
	char *path, *query;

	for (const char *p = target; *p != '\0'; p++)
		if (*p <= 0x20 || *p >= 0x7f || *p == '#')
			return refuse(status, 400, e, "bad byte in the target");
	path = skip_authority(target);
	if (path == NULL)
		return refuse(status, 400, e, "no path in the target");
	query = strchr(path, '?');
	if (query != NULL)
		*query++ = '\0';
	h->query = query == NULL ? "" : query;
	if (decode_path(path) != 0 || !path_is_plain(path))
		return refuse(status, 400, e, "path is not in its plain form");
	h->path = path;
	return 0;
}

static int
parse_method(
    const char *s, struct http_head *h, unsigned *status, struct err *e)
{
	if (strcmp(s, "GET") == 0)
		h->method = HTTP_GET;
	else if (strcmp(s, "HEAD") == 0)
		h->method = HTTP_HEAD;
	else if (strcmp(s, "POST") == 0)
		h->method = HTTP_POST;
	else if (is_token(s))
		return refuse(status, 405, e, "method not allowed");
	else
		return refuse(status, 400, e, "malformed request line");
	return 0;
}

static int
parse_version(
    const char *s, struct http_head *h, unsigned *status, struct err *e)
{
	if (strcmp(s, "HTTP/1.1") == 0)
		h->http10 = false;
	else if (strcmp(s, "HTTP/1.0") == 0)
		h->http10 = true;
	else if (strncmp(s, "HTTP/", 5) == 0)
		return refuse(status, 505, e, "HTTP/1.1 is spoken here");
	else
		return refuse(status, 400, e, "malformed request line");
	return 0;
}

static int
parse_request_line(
    char *line, struct http_head *h, unsigned *status, struct err *e)
{
	char *target = strchr(line, ' '), *version;
	int rc;

	version = target == NULL ? NULL : strchr(target + 1, ' ');
	if (version == NULL)
		return refuse(status, 400, e, "malformed request line");
	*target++ = '\0';
	*version++ = '\0';
	rc = parse_version(version, h, status, e);
	if (rc == 0)
		rc = parse_method(line, h, status, e);
	if (rc == 0)
		rc = parse_target(target, h, status, e);
	return rc;
}

static char *
trim(char *s)
{
	size_t len;

	s += strspn(s, " \t");
	len = strlen(s);
	while (len > 0 && (s[len - 1] == ' ' || s[len - 1] == '\t'))
		len--;
	s[len] = '\0';
	return s;
}

static int
parse_field(char *line, struct http_head *h, unsigned *status, struct err *e)
{
	char *colon = strchr(line, ':');
	struct http_field *f;

	if (h->field_count == HTTP_HEADERS)
		return refuse(status, 431, e, "too many header lines");
	if (colon == NULL)
		return refuse(status, 400, e, "header line without a colon");
	*colon++ = '\0';
	if (!is_token(line))
		return refuse(status, 400, e, "malformed header name");
	for (const char *p = colon; *p != '\0'; p++)
		if (((unsigned char)*p < 0x20 && *p != '\t') || *p == 0x7f)
			return refuse(
			    status, 400, e, "control byte in a header");
	for (char *p = line; *p != '\0'; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	f = &h->fields[h->field_count++];
	f->name = line;
	f->value = trim(colon);
	return 0;
}

const char *
http_head_field(const struct http_head *h, const char *name)
{
	for (size_t i = 0; i < h->field_count; i++)
		if (strcmp(h->fields[i].name, name) == 0)
			return h->fields[i].value;
	return NULL;
}

bool
http_list_has(const char *list, const char *token)
{
	size_t want = strlen(token);

	while (*list != '\0') {
		size_t len;

		list += strspn(list, " \t,");
		len = strcspn(list, " \t,");
		if (len == want && strncasecmp(list, token, want) == 0)
			return true;
		list += len;
	}
	return false;
}

/* Two of these would let two readers disagree about the request. */
static int
check_single(const struct http_head *h, unsigned *status, struct err *e)
{
	static const char *const single[] = { "host", "content-length", "range",
		"if-range", "expect" };

	for (size_t i = 0; i < sizeof(single) / sizeof(single[0]); i++) {
		unsigned seen = 0;

		for (size_t k = 0; k < h->field_count; k++)
			seen += strcmp(h->fields[k].name, single[i]) == 0;
		if (seen > 1)
			return refuse(status, 400, e, "repeated header");
	}
	if (!h->http10 && http_head_field(h, "host") == NULL)
		return refuse(status, 400, e, "no Host header");
	return 0;
}

static int
parse_framing(struct http_head *h, unsigned *status, struct err *e)
{
	const char *length = http_head_field(h, "content-length");
	const char *expect = http_head_field(h, "expect");
	const char *connection = http_head_field(h, "connection");

	if (http_head_field(h, "transfer-encoding") != NULL)
		return refuse(status, length == NULL ? 411 : 400, e,
		    "a request body needs Content-Length");
	if (length != NULL &&
	    text_u64(length, strlen(length), INT64_MAX, &h->body_bytes) != 0)
		return refuse(status, 400, e, "malformed Content-Length");
	if (length == NULL && h->method == HTTP_POST)
		return refuse(status, 411, e, "POST needs Content-Length");
	if (expect != NULL) {
		if (strcasecmp(expect, "100-continue") != 0)
			return refuse(status, 417, e, "unknown expectation");
		h->expect_continue = !h->http10;
	}
	if (connection == NULL)
		h->keep_alive = !h->http10;
	else if (h->http10)
		h->keep_alive = http_list_has(connection, "keep-alive");
	else
		h->keep_alive = !http_list_has(connection, "close");
	return 0;
}

/* Ends the line at text[*pos] where its CRLF stands and moves past it.  NULL
 * when a CR, LF or NUL stands anywhere else. */
static char *
next_line(char *text, size_t len, size_t *pos)
{
	char *line = text + *pos;
	size_t left = len - *pos, n = 0;

	while (
	    n < left && line[n] != '\r' && line[n] != '\n' && line[n] != '\0')
		n++;
	if (left - n < 2 || line[n] != '\r' || line[n + 1] != '\n')
		return NULL;
	line[n] = '\0';
	*pos += n + 2;
	return line;
}

int
http_head_parse(char *text, size_t len, struct http_head *out, unsigned *status,
    struct err *e)
{
	size_t pos = 0;
	char *line = next_line(text, len, &pos);
	int rc;

	out->field_count = 0;
	out->body_bytes = 0;
	out->expect_continue = false;
	if (line == NULL)
		return refuse(status, 400, e, "malformed request line");
	rc = parse_request_line(line, out, status, e);
	while (rc == 0 && pos < len) {
		line = next_line(text, len, &pos);
		if (line == NULL)
			return refuse(status, 400, e, "malformed header line");
		if (*line == '\0')
			break;
		rc = parse_field(line, out, status, e);
	}
	if (rc == 0 && (line == NULL || *line != '\0' || pos != len))
		rc = refuse(status, 400, e, "header does not end");
	if (rc == 0)
		rc = check_single(out, status, e);
	if (rc == 0)
		rc = parse_framing(out, status, e);
	return rc;
}

/* Decodes [src, end) into dst. */
static int
decode_value(const char *src, const char *end, char *dst, size_t size)
{
	size_t n = 0;

	while (src < end) {
		bool plus = *src == '+';
		int c = decode_byte(&src);

		if (plus)
			c = ' ';
		if (c <= 0 || src > end)
			return ERR_FORMAT;
		if (n + 1 >= size)
			return ERR_LIMIT;
		dst[n++] = (char)c;
	}
	dst[n] = '\0';
	return 0;
}

int
http_head_query(
    const struct http_head *h, const char *name, char *dst, size_t size)
{
	const char *p = h->query, *found = NULL, *found_end = NULL;
	size_t want = strlen(name);

	while (*p != '\0') {
		const char *end = p + strcspn(p, "&");

		if ((size_t)(end - p) > want && p[want] == '=' &&
		    memcmp(p, name, want) == 0) {
			if (found != NULL)
				return ERR_FORMAT;
			found = p + want + 1;
			found_end = end;
		}
		p = *end == '&' ? end + 1 : end;
	}
	if (found == NULL)
		return ERR_NOT_FOUND;
	return decode_value(found, found_end, dst, size);
}
