/* A scripted server, a client of it, and what the client was given. */
#ifndef TESTS_HTTP_VISIT_H
#define TESTS_HTTP_VISIT_H

#include <check.h>

#include "common/buf.h"
#include "common/http_client.h"
#include "tests/tls_server.h"

struct visit {
	struct tls_server server;
	enum tls_verdict say; /* of every key */
	struct tls_client tls;
	struct http_client *client;
	struct buf body;
	struct http_response resp;
	struct err err;
};

/* Fixture: identities in a scratch directory, and an environment full of
 * proxies that nobody may listen to. */
void visit_set_up(void);
void visit_tear_down(void);
/* Both identities, valid until visit_tear_down. */
const struct tls_identity *visit_client_identity(void);
const struct tls_identity *visit_server_identity(void);
/* What the server's key is called. */
void visit_server_digest(struct digest *out);

/* Starts a server whose connections follow the script, on 127.0.0.1 or, if
 * address says so, ::1. */
void visit_serve(struct visit *v, const char *address, tls_server_script script,
    const void *arg);
/* A client of it.  model's port, tls and, if it is 0, fd are filled in; NULL
 * is plain. */
void visit_connect(struct visit *v, const struct http_client_options *model);
/* Both, plain. */
void visit_begin(struct visit *v, tls_server_script script, const void *arg);
void visit_disconnect(struct visit *v);
void visit_end(struct visit *v);

/* One request; what it leaves out is filled in, and the body gathered. */
int ask(struct visit *v, struct http_request req);
#define ASK(v, ...) ask((v), (struct http_request){ __VA_ARGS__ })
int visit_gather(void *arg, const void *data, size_t len, struct err *e);

/* Scripts: answers each request with the same text; answers once and closes. */
void answer_always(struct tls_peer *p, const void *arg);
void answer_once(struct tls_peer *p, const void *arg);
/* 200, "hello", with an entity tag "abc". */
extern const char hello[];

#endif
