/* Asking the daemon for its state, and looking at its repository. */
#include "server/status_ask.h"

#include <time.h>
#include <unistd.h>

#include "common/crypto_tls.h"
#include "common/fsat.h"
#include "common/http_client.h"
#include "common/limits.h"
#include "common/text.h"
#include "server/peek.h"

#define ASK_MS     10000
#define HOST_BYTES 256 /* text_host_port */

/* ---- the daemon ---- */

static int
where_to(
    const struct daemon_options *o, char *host, uint16_t *port, struct err *e)
{
	int rc = text_host_port(o->listens[0], 0, host, port, e);

	if (rc != 0)
		return rc;
	if (*port == 0)
		return err_set(e, ERR_USAGE,
		    "listen %s takes any port: say --listen ADDRESS:PORT",
		    o->listens[0]);
	if (strcmp(host, "0.0.0.0") == 0)
		(void)snprintf(host, HOST_BYTES, "127.0.0.1");
	else if (strcmp(host, "::") == 0)
		(void)snprintf(host, HOST_BYTES, "::1");
	return 0;
}

static enum tls_verdict
judge(void *arg, const struct digest *spki)
{
	struct digest own;

	tls_identity_digest(arg, &own);
	return digest_equal(spki, &own) ? TLS_KNOWN : TLS_REFUSE;
}

static int
gather(void *arg, const void *data, size_t len, struct err *e)
{
	struct buf *body = arg;

	buf_add(body, data, len);
	return body->failed != 0 ? err_memory(e) : 0;
}

static int
get(const char *host, uint16_t port, struct tls_client *tls, struct buf *body,
    struct err *e)
{
	const struct http_client_options options = {
		.fd = -1, .address = host, .port = port, .tls = tls
	};
	const struct http_request request = { .path = "/status",
		.max_bytes = LIMIT_STATUS_BYTES,
		.timeout_ms = ASK_MS,
		.sink = gather,
		.arg = body };
	struct http_client *client = NULL;
	struct http_response response;
	int rc = http_client_new(&options, &client, e);

	if (rc == 0)
		rc = http_client_do(client, &request, &response, e);
	if (rc == 0 && response.status != 200)
		rc = err_set(e, ERR_NET, "%s:%u answers %d", host, port,
		    response.status);
	http_client_free(client);
	return rc;
}

int
status_ask(const struct daemon_options *o, struct json **out, struct err *e)
{
	struct tls_client tls = { .judge = judge };
	struct tls_identity *identity = NULL;
	char host[HOST_BYTES];
	uint16_t port;
	struct buf body;
	int rc;

	if ((rc = where_to(o, host, &port, e)) != 0 ||
	    (rc = tls_identity_open(o->identity, false, &identity, e)) != 0)
		return rc;
	tls.identity = identity;
	tls.arg = identity;
	buf_init(&body, LIMIT_STATUS_BYTES);
	rc = get(host, port, &tls, &body, e);
	if (rc == 0)
		rc = json_parse(body.data, body.len, "/status", out, e);
	if (rc == 0)
		json_set_bool(*out, "running", true);
	buf_release(&body);
	tls_client_release(&tls);
	tls_identity_free(identity);
	return rc;
}

/* ---- the repository ---- */

static struct json *
channel(int dir, const char *name)
{
	struct json *j = json_object_new();
	struct err e = ERR_INIT;
	time_t now = time(NULL);
	struct head head;
	int rc = peek_head(dir, name, &head, &e);

	json_set_string(j, "channel", name);
	json_set_bool(j, "good", rc == 0);
	if (rc != 0) {
		json_set_string(j, "why", e.msg);
		return j;
	}
	json_set_u64(j, "serial", head.serial);
	json_set_time(j, "issued", head.issued);
	json_set_i64(j, "age_seconds", now - head.issued);
	json_set_time(j, "expires", head.expires);
	json_set_bool(j, "expired", head.expires <= now);
	return j;
}

int
status_look(const struct daemon_options *o, struct json **out, struct err *e)
{
	struct json *list = json_array_new(), *j = json_object_new();
	struct fsat_names names = { NULL, 0 };
	int repo = -1, dir = -1, rc;

	rc = fsat_operator_dir(o->repo, false, 0, &repo, e);
	if (rc == 0)
		rc = fsat_open_dir(repo, "v1/channel", &dir, e);
	if (rc == 0)
		rc = fsat_list(dir, &names, e);
	for (size_t i = 0; i < names.count; i++)
		if (text_is_name(names.names[i], strlen(names.names[i])))
			json_append(list, channel(dir, names.names[i]));
	fsat_names_release(&names);
	json_set_bool(j, "running", false);
	json_set_string(j, "repo", o->repo);
	json_set_string(j, "role", o->upstream_count > 0 ? "mirror" : "origin");
	json_set_child(j, "channels", list);
	if (dir >= 0)
		close(dir);
	if (repo >= 0)
		close(repo);
	if (rc != 0)
		json_free(j);
	else
		*out = j;
	return rc;
}

#define KEPT ".kept"

void
status_add_evidence(const struct daemon_options *o, struct json *doc)
{
	struct json *list = json_array_new();
	struct fsat_names names = { NULL, 0 };
	struct err ignored = ERR_INIT;
	int repo = -1, dir = -1;

	if (fsat_operator_dir(o->repo, false, 0, &repo, &ignored) == 0 &&
	    fsat_open_dir(repo, "evidence", &dir, &ignored) == 0 &&
	    fsat_list(dir, &names, &ignored) == 0)
		for (size_t i = 0; i < names.count; i++) {
			char *name = names.names[i];
			size_t len = strlen(name), end = strlen(KEPT);

			if (len <= end || strcmp(name + len - end, KEPT) != 0)
				continue;
			name[len - end] = '\0';
			json_append_string(list, name);
		}
	fsat_names_release(&names);
	json_set_child(doc, "evidence", list);
	if (dir >= 0)
		close(dir);
	if (repo >= 0)
		close(repo);
}
