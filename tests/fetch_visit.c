/* A fetch and the servers it goes to. */
#include "tests/fetch_visit.h"

#include <check.h>
#include <unistd.h>

/* ---- servers ---- */

static struct route *
new_route(struct site *s, const char *request)
{
	struct route *r;

	ck_assert_uint_lt(s->count, ROUTES);
	r = &s->routes[s->count++];
	memset(r, 0, sizeof(*r));
	r->request = request;
	buf_init(&r->answer, 64 << 20);
	return r;
}

void
site_add(struct site *s, const char *request, const char *status,
    const char *fields, struct route_body body)
{
	struct route *r = new_route(s, request);

	buf_addf(&r->answer, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n%s\r\n",
	    status, body.len, fields);
	r->close = body.cut > 0;
	if (body.len > 0)
		buf_add(
		    &r->answer, body.data, body.cut > 0 ? body.cut : body.len);
}

void
site_add_text(struct site *s, const char *request, const char *status,
    const char *fields, const char *body)
{
	site_add(s, request, status, fields,
	    (struct route_body){ body, strlen(body), 0 });
}

void
site_add_hanging(struct site *s, const char *request)
{
	new_route(s, request);
}

static const struct route *
find_route(const struct site *s, const char *request)
{
	for (size_t i = 0; i < s->count; i++) {
		const struct route *r = &s->routes[i];
		size_t len = strlen(r->request);

		if (strncmp(request, r->request, len) == 0 &&
		    (request[len] == ' ' || request[len] == '?') &&
		    (r->field == NULL || strstr(request, r->field) != NULL))
			return r;
	}
	return NULL;
}

static size_t
body_length(const char *request)
{
	const char *field = strstr(request, "Content-Length: ");

	return field == NULL
	    ? 0
	    : strtoul(field + strlen("Content-Length: "), NULL, 10);
}

static void
answer_by_list(struct tls_peer *p, const void *arg)
{
	static const char none[] = "HTTP/1.1 404 Not Found\r\n"
	                           "Content-Length: 9\r\n\r\nnot here\n";
	const struct site *s = arg;

	while (tls_peer_request(p)) {
		const struct route *r = find_route(s, p->request);

		tls_peer_read_body(p, body_length(p->request));
		if (r == NULL) {
			tls_peer_say(p, none);
			continue;
		}
		if (r->answer.len == 0)
			tls_peer_hang(p);
		if (!tls_peer_send(p, r->answer.data, r->answer.len) ||
		    r->close)
			return;
	}
}

void
site_open(struct site *s)
{
	struct visit v;

	visit_serve(&v, "127.0.0.1", answer_by_list, s);
	s->server = v.server;
}

void
site_close(struct site *s)
{
	tls_server_stop(&s->server);
	for (size_t i = 0; i < s->count; i++)
		buf_release(&s->routes[i].answer);
}

/* ---- the fetch ---- */

void
fetch_visit_keys(struct fetch_visit *v, bool known)
{
	struct digest keys[3];

	memset(keys, 0x11, sizeof(keys));
	memset(&keys[2], 0xee, sizeof(keys[2]));
	if (known)
		visit_server_digest(&keys[1]);
	ck_assert_msg(
	    fetch_set_keys(v->fetch, keys, 3, &v->e) == 0, "%s", v->e.msg);
}

void
fetch_visit_start(
    struct fetch_visit *v, const struct site *sites, size_t count, bool known)
{
	memset(v, 0, sizeof(*v));
	for (size_t i = 0; i < count; i++) {
		(void)snprintf(v->places[i], sizeof(v->places[i]),
		    "127.0.0.1:%u", (unsigned)sites[i].server.port);
		v->fallbacks[i] = v->places[i];
	}
	v->options.fallbacks = v->fallbacks;
	v->options.fallback_count = count;
	v->options.identity = visit_client_identity();
	v->options.user = "nobody";
	ck_assert_msg(
	    fetch_start(&v->options, &v->fetch, &v->e) == 0, "%s", v->e.msg);
	fetch_visit_keys(v, known);
	ck_assert_msg(fetch_visit_next(v) == 0, "%s", v->e.msg);
}

int
fetch_visit_next(struct fetch_visit *v)
{
	const struct fetch_get get = { .path = "/v1/root/9", .max_bytes = 99 };
	struct fetch_answer answer;
	struct buf body;
	int rc = fetch_connect(v->fetch, &v->peer, &v->e);

	if (rc != 0)
		return rc;
	buf_init(&body, get.max_bytes);
	rc = fetch_get(v->fetch, &get, &body, &answer, &v->e);
	buf_release(&body);
	return rc;
}

void
fetch_visit_stop(struct fetch_visit *v)
{
	fetch_stop(v->fetch);
}

int
fetch_visit_get(struct fetch_visit *v, const char *path, struct buf *body,
    struct fetch_answer *answer)
{
	struct fetch_get get = { .path = path, .max_bytes = 1 << 20 };
	int rc;

	buf_clear(body);
	rc = fetch_get(v->fetch, &get, body, answer, &v->e);
	return rc != 0 ? rc : answer->status;
}
