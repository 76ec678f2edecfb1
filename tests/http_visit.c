/* Scripted server and client for tests. */
#include "tests/http_visit.h"

#include "tests/identity.h"

static struct scratch scratch;
static struct tls_identity *server_id, *client_id;

void
visit_set_up(void)
{
	scratch_make(&scratch);
	server_id = identity_in(&scratch, "server");
	client_id = identity_in(&scratch, "client");
	/* Nothing of it may be listened to. */
	setenv("https_proxy", "http://127.0.0.1:1", 1);
	setenv("HTTPS_PROXY", "http://127.0.0.1:1", 1);
	setenv("ALL_PROXY", "socks5://127.0.0.1:1", 1);
}

void
visit_tear_down(void)
{
	tls_identity_free(server_id);
	tls_identity_free(client_id);
	scratch_remove(&scratch);
}

static enum tls_verdict
judge(void *arg, const struct digest *spki)
{
	(void)spki;
	return *(const enum tls_verdict *)arg;
}

int
visit_gather(void *arg, const void *data, size_t len, struct err *e)
{
	buf_add(arg, data, len);
	return buf_check(arg, "body", e);
}

void
visit_connect(struct visit *v, const struct http_client_options *model)
{
	struct http_client_options o = { .address = "127.0.0.1",
		.stall_ms = 5000 };

	if (model != NULL)
		o = *model;
	v->say = TLS_KNOWN;
	v->tls = (struct tls_client){
		.judge = judge, .arg = &v->say, .identity = client_id
	};
	if (o.fd == 0)
		o.fd = tls_server_dial(&v->server, false);
	o.port = v->server.port;
	o.tls = &v->tls;
	buf_init(&v->body, 64 << 20);
	err_clear(&v->err);
	ck_assert_msg(
	    http_client_new(&o, &v->client, &v->err) == 0, "%s", v->err.msg);
}

void
visit_serve(struct visit *v, const char *address, tls_server_script script,
    const void *arg)
{
	tls_server_start(&v->server, address, server_id, script, arg);
}

void
visit_begin(struct visit *v, tls_server_script script, const void *arg)
{
	visit_serve(v, "127.0.0.1", script, arg);
	visit_connect(v, NULL);
}

void
visit_disconnect(struct visit *v)
{
	http_client_free(v->client);
	tls_client_release(&v->tls);
	buf_release(&v->body);
}

void
visit_end(struct visit *v)
{
	visit_disconnect(v);
	tls_server_stop(&v->server);
}

int
ask(struct visit *v, struct http_request req)
{
	if (req.path == NULL)
		req.path = "/v1/roster";
	if (req.max_bytes == 0)
		req.max_bytes = 32 << 20;
	if (req.sink == NULL) {
		req.sink = visit_gather;
		req.arg = &v->body;
	}
	buf_clear(&v->body);
	return http_client_do(v->client, &req, &v->resp, &v->err);
}

/* Answers each request with the same text. */
void
answer_always(struct tls_peer *p, const void *arg)
{
	while (tls_peer_request(p) && tls_peer_say(p, arg))
		;
}

/* Answers once and closes. */
void
answer_once(struct tls_peer *p, const void *arg)
{
	if (tls_peer_request(p))
		tls_peer_say(p, arg);
}

const char hello[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
                     "ETag: \"abc\"\r\n\r\nhello";

const struct tls_identity *
visit_client_identity(void)
{
	return client_id;
}

const struct tls_identity *
visit_server_identity(void)
{
	return server_id;
}

void
visit_server_digest(struct digest *out)
{
	tls_identity_digest(server_id, out);
}
