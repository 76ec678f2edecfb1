/* What a handler may ask of a request. */
#include "common/http_server_impl.h"

enum http_method
http_request_method(const struct http_request *r)
{
	return r->head.method;
}

const char *
http_request_method_name(const struct http_request *r)
{
	static const char *const names[] = {
		[HTTP_GET] = "GET",
		[HTTP_HEAD] = "HEAD",
		[HTTP_POST] = "POST",
	};

	return r->has_head ? names[r->head.method] : "-";
}

const char *
http_request_path(const struct http_request *r)
{
	return r->has_head ? r->head.path : "-";
}

int
http_request_query(
    const struct http_request *r, const char *name, char *dst, size_t size)
{
	return http_head_query(&r->head, name, dst, size);
}

const char *
http_request_header(const struct http_request *r, const char *name)
{
	return http_head_field(&r->head, name);
}

const uint8_t *
http_request_body(const struct http_request *r, size_t *len)
{
	*len = r->body.len;
	return r->body.data;
}

const char *
http_request_peer(const struct http_request *r)
{
	return r->conn->peer;
}

bool
http_request_peer_key(const struct http_request *r, struct digest *out)
{
	const struct http_conn *c = r->conn;

	if (c->has_key)
		*out = c->key;
	return c->has_key;
}

void
http_request_set_user(struct http_request *r, void *user)
{
	r->user = user;
}

void *
http_request_user(const struct http_request *r)
{
	return r->user;
}
