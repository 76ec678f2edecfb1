/* The fetcher process: names, connections, single requests.  It has no
 * privilege; see fetcher.h. */
#include "transcripts/fetcher.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/dial.h"
#include "common/fsat.h"
#include "common/gzip.h"
#include "common/sandbox.h"
#include "common/text.h"
#include "transcripts/fetcher_impl.h"

#define REASONS_BYTES 4096
#define IDLE_MS       3600000
/* A compressed text may be a little longer than the text. */
#define TEXT_SLACK 4096

/* ---- answers ---- */

int
fetcher_fail(struct fetcher *f, const struct err *why, struct err *e)
{
	struct buf b;
	int rc;

	buf_init(&b, LIMIT_IPC_BYTES);
	buf_add_u32(&b, (uint32_t)-why->code);
	buf_add_str(&b, why->msg);
	rc = buf_check(&b, "answer", e);
	if (rc == 0)
		rc = ipc_send(f->ipc, WIRE_FAILED, b.data, b.len, e);
	buf_release(&b);
	return rc;
}

int
fetcher_send_data(
    struct fetcher *f, const void *data, size_t len, struct err *e)
{
	const uint8_t *p = data;
	int rc = 0;

	while (len > 0 && rc == 0) {
		size_t n = len < WIRE_PIECE_BYTES ? len : WIRE_PIECE_BYTES;

		rc = ipc_send(f->ipc, WIRE_DATA, p, n, e);
		p += n;
		len -= n;
	}
	return rc;
}

static int
send_ok(struct fetcher *f, struct err *e)
{
	return ipc_send(f->ipc, WIRE_OK, NULL, 0, e);
}

/* ---- keys ---- */

static int
digest_cmp(const void *a, const void *b)
{
	return memcmp(a, b, DIGEST_BYTES);
}

/* A server that no roster lists may still be asked for what changes: our
 * roster could be out of date.  It never sees our certificate.  A connection
 * that is made again may lead to a stranger: it does not hear what we lack. */
static enum tls_verdict
judge(void *arg, const struct digest *spki)
{
	const struct fetcher *f = arg;

	if (f->key_count > 0 &&
	    bsearch(spki, f->keys, f->key_count, sizeof(*f->keys),
	        digest_cmp) != NULL)
		return TLS_KNOWN;
	return f->content ? TLS_REFUSE : TLS_STRANGER;
}

static int
take_keys(
    struct fetcher *f, const struct ipc_msg *msg, bool more, struct err *e)
{
	size_t n = msg->len / DIGEST_BYTES, old = more ? f->key_count : 0;
	struct digest *keys;

	keys = reallocarray(f->keys, old + n + 1, sizeof(*keys));
	if (keys == NULL)
		return err_memory(e);
	memcpy(keys + old, msg->data, n * DIGEST_BYTES);
	f->keys = keys;
	f->key_count = old + n;
	qsort(keys, f->key_count, sizeof(*keys), digest_cmp);
	/* A stranger may be known now, and the other way round. */
	f->content = false;
	if (f->http != NULL)
		f->tls.verdict = judge(f, &f->tls.peer);
	return send_ok(f, e);
}

/* ---- connection ---- */

static void
drop_connection(struct fetcher *f)
{
	uint64_t in, out;

	if (f->http == NULL)
		return;
	http_client_bytes(f->http, &in, &out);
	f->received += in;
	f->sent += out;
	http_client_free(f->http);
	f->http = NULL;
	fetcher_keep_session(f);
	f->no_batch = f->no_select = false;
	news_drop(&f->news);
}

static int
start_resolver(struct fetcher *f, struct err *e)
{
	const struct fetch_options *o = f->options;
	struct resolver_options aimed = { .port = o->port,
		.no_search = f->aim != FETCH_AIM_SRV,
		.use_srv = true,
		.srv_only = true,
		.fallback = f->hosts,
		.fallback_count = f->aim == FETCH_AIM_HOST,
		.roster = f->hosts,
		.roster_count = f->aim == FETCH_AIM_ROSTER,
		.resolv_conf = o->resolv_conf };
	struct resolver_options r = {
		.server = o->server,
		.server_only = o->server != NULL,
		.label = o->short_name,
		.port = o->port,
		.use_srv = !o->no_srv,
		.no_search = o->short_name == NULL,
		.fallback = o->fallbacks,
		.fallback_count = o->fallback_count,
		.roster = o->extras,
		.roster_count = o->extra_count,
		.resolv_conf = o->resolv_conf,
	};

	resolver_free(f->resolver);
	f->resolver = NULL;
	f->tried = f->beyond = 0;
	f->candidate.count = 0;
	f->reasons_told = 0;
	buf_clear(&f->reasons);
	return resolver_new(
	    f->aim == FETCH_AIM_OPTIONS ? &r : &aimed, &f->resolver, e);
}

/* The search, or the operator's word, does not lead there. */
static bool
is_beyond(const struct fetcher *f)
{
	return f->candidate.source == RESOLVER_BY_FALLBACK ||
	    f->candidate.source == RESOLVER_BY_ROSTER;
}

static int
next_candidate(struct fetcher *f, struct err *e)
{
	int rc;

	if (f->resolver == NULL && (rc = start_resolver(f, e)) != 0)
		return rc;
	rc = resolver_next(f->resolver, &f->candidate, e);
	if (rc == 0) {
		f->tried++;
		f->beyond += is_beyond(f) ? 1 : 0;
	} else if (rc == ERR_NOT_FOUND && f->reasons.len > 0) {
		char names[ERR_MSG_BYTES];

		(void)snprintf(names, sizeof(names), "%s", e->msg);
		return err_set(e, rc, "%s%s", buf_str(&f->reasons), names);
	}
	return rc;
}

/* The addresses of the candidate that are left come before the next one. */
static int
next_place(struct fetcher *f, struct err *e)
{
	struct resolver_candidate *c = &f->candidate;

	if (f->http != NULL && c->count > 0) {
		c->count--;
		memmove(&c->addrs[f->address], &c->addrs[f->address + 1],
		    (c->count - f->address) * sizeof(*c->addrs));
	}
	drop_connection(f);
	return c->count > 0 ? 0 : next_candidate(f, e);
}

static int
open_connection(struct fetcher *f, struct err *e)
{
	struct resolver_candidate *c = &f->candidate;
	struct http_client_options o = { .fd = -1,
		.port = c->port,
		.host_header = c->host,
		.tls = &f->tls };
	int rc;

	rc = dial(c->addrs, c->count, NULL, &o.fd, &f->address, e);
	if (rc == 0) {
		o.address = c->addrs[f->address].text;
		fetcher_keep_window(f, o.fd);
		fetcher_session_of_place(f);
		if ((rc = http_client_new(&o, &f->http, e)) != 0)
			close(o.fd);
	}
	if (rc == 0)
		return 0;
	c->count = 0; /* each of them was tried */
	return err_prefix(e, "%s", c->host);
}

/* Adds what is new of the reasons; beyond the search also what came of it. */
static void
add_passed(struct fetcher *f, struct buf *b)
{
	const char *trace = is_beyond(f) ? resolver_trace(f->resolver) : "";

	buf_addf(b, "%.*s", FETCH_PASSED_BYTES - 1,
	    buf_str(&f->reasons) + f->reasons_told);
	f->reasons_told = f->reasons.len;
	buf_add_byte(b, '\0');
	for (size_t i = 0; i < FETCH_PASSED_BYTES - 1 && trace[i] != '\0'; i++)
		buf_add_byte(b, trace[i] == '\n' ? ';' : (uint8_t)trace[i]);
	buf_add_byte(b, '\0');
}

static int
send_peer(struct fetcher *f, struct err *e)
{
	const struct resolver_candidate *c = &f->candidate;
	char route[RESOLVER_DESCRIBE_BYTES];
	const char *source = resolver_source_text(c->source);
	struct buf b;
	int rc;

	resolver_describe(c, f->address, route);
	buf_init(&b, LIMIT_IPC_BYTES);
	buf_add_u32(&b, f->tried);
	buf_add_u32(&b, f->beyond);
	buf_add(&b, source, strlen(source) + 1);
	buf_add(&b, route, strlen(route) + 1);
	buf_addf(
	    &b, "%s port %u", c->addrs[f->address].text, (unsigned)c->port);
	buf_add_byte(&b, '\0');
	add_passed(f, &b);
	rc = buf_check(&b, "answer", e);
	if (rc == 0)
		rc = ipc_send(f->ipc, WIRE_PEER, b.data, b.len, e);
	buf_release(&b);
	return rc;
}

/* To connect may take its time. */
static int
send_trying(struct fetcher *f, struct err *e)
{
	const char *host = f->candidate.host;
	struct buf b;
	int rc;

	buf_init(&b, LIMIT_IPC_BYTES);
	buf_add_u32(&b, f->tried);
	buf_add(&b, host, strlen(host) + 1);
	rc = buf_check(&b, "answer", e);
	if (rc == 0)
		rc = ipc_send(f->ipc, WIRE_TRYING, b.data, b.len, e);
	buf_release(&b);
	return rc;
}

static int
connect_next(struct fetcher *f, const struct ipc_msg *msg, struct err *e)
{
	struct err why = ERR_INIT;
	struct reader r;
	uint32_t pass_over;

	reader_init(&r, msg->data, msg->len);
	if (reader_u32(&r, &pass_over) != 0)
		return err_set(e, ERR_FORMAT, "connect request");
	for (; pass_over > 0; pass_over--) {
		if (next_candidate(f, &why) != 0)
			return fetcher_fail(f, &why, e);
		f->candidate.count = 0;
	}
	for (;;) {
		if (next_place(f, &why) != 0)
			return fetcher_fail(f, &why, e);
		if (send_trying(f, e) != 0)
			return e->code;
		if (open_connection(f, &why) == 0)
			return send_peer(f, e);
		buf_addf(&f->reasons, "%s; ", why.msg);
	}
}

/* ---- texts ---- */

/* Decodes the gzip'd body in fd and passes at most max_bytes on. */
static int
pass_text(struct fetcher *f, int fd, uint64_t max_bytes, struct err *why,
    struct err *e)
{
	struct gzip_reader *gz = NULL;
	uint8_t block[65536];
	size_t got;
	int rc;

	if (lseek(fd, 0, SEEK_SET) < 0)
		return err_sys(why, "compressed text");
	rc = gzip_reader_new(fd, max_bytes, &gz, why);
	while (rc == 0) {
		rc = gzip_reader_read(gz, block, sizeof(block), &got, why);
		if (rc != 0 || got == 0)
			break;
		rc = fetcher_send_data(f, block, got, e);
	}
	gzip_reader_free(gz);
	return rc;
}

static void
forget_text(struct fetcher *f)
{
	if (f->text.fd >= 0)
		close(f->text.fd);
	f->text.fd = -1;
}

static int
start_text(struct fetcher *f, const char *path, struct err *e)
{
	forget_text(f);
	(void)snprintf(f->text.path, sizeof(f->text.path), "%s", path);
	f->text.fd = memfd_create("text", MFD_CLOEXEC);
	return f->text.fd >= 0 ? 0 : err_sys(e, "memfd");
}

/* A server that knows no ranges begins anew. */
static int
text_begin(void *arg, const struct http_response *resp, struct err *e)
{
	struct fetcher *f = arg;
	char path[sizeof(f->text.path)];

	if (resp->status == 206)
		return 0;
	memcpy(path, f->text.path, sizeof(path));
	return start_text(f, path, e);
}

static int
text_data(void *arg, const void *data, size_t len, struct err *e)
{
	const struct fetcher *f = arg;

	return fsat_write_all(f->text.fd, data, len, e);
}

/* What is there of this text already. */
static int
resume_text(struct fetcher *f, const char *path, uint64_t *have, struct err *e)
{
	off_t end;

	if (f->text.fd >= 0 && strcmp(f->text.path, path) != 0)
		forget_text(f);
	if (f->text.fd < 0)
		return start_text(f, path, e);
	end = lseek(f->text.fd, 0, SEEK_END);
	*have = end > 0 ? (uint64_t)end : 0;
	return end >= 0 ? 0 : err_sys(e, "compressed text");
}

static bool
is_cut(int rc)
{
	return rc == ERR_NET || rc == ERR_TIMEOUT;
}

static int
answer_text(struct fetcher *f, const struct ipc_msg *msg, struct err *e)
{
	struct http_response resp = { .status = 0 };
	struct err why = ERR_INIT;
	struct fetcher_asked get;
	struct reader r;
	uint64_t text_bytes;
	int rc;

	reader_init(&r, msg->data, msg->len);
	if (fetcher_parse_get(&r, &get) != 0)
		return err_set(e, ERR_FORMAT, "text request");
	if ((rc = resume_text(f, get.req.path, &get.req.offset, e)) != 0)
		return rc;
	text_bytes = get.req.max_bytes;
	get.req.max_bytes += text_bytes / 64 + TEXT_SLACK;
	get.req.begin = text_begin;
	get.req.sink = text_data;
	get.req.arg = f;
	rc = fetcher_http(f, &get.req, &resp, &why);
	if (rc == 0 && (rc = fetcher_send_answer(f, &resp, 0, e)) == 0 &&
	    (resp.status == 200 || resp.status == 206))
		rc = pass_text(f, f->text.fd, text_bytes, &why, e);
	/* For the next server: not what was decoded, or answered otherwise. */
	if (!is_cut(rc) && resp.status != 404)
		forget_text(f);
	if (rc != 0 && why.code != 0)
		return fetcher_fail(f, &why, e);
	return rc != 0 ? rc : send_ok(f, e);
}

static int
keep_data(void *arg, const void *data, size_t len, struct err *e)
{
	buf_add(arg, data, len);
	return buf_check(arg, "answer", e);
}

static int
send_winner(struct fetcher *f, const struct http_response *resp, size_t which,
    const struct buf *body, struct err *e)
{
	int rc;

	rc = fetcher_send_answer(f, resp, (uint32_t)which, e);
	if (body != NULL)
		fetcher_count(f->options, FETCH_KIND_STATEMENT, body->len);
	if (rc == 0 && body != NULL)
		rc = fetcher_send_data(f, body->data, body->len, e);
	return rc != 0 ? rc : send_ok(f, e);
}

static int
answer_race(struct fetcher *f, const struct ipc_msg *msg, struct err *e)
{
	struct http_request reqs[LIMIT_CHANNELS];
	struct buf bodies[LIMIT_CHANNELS];
	struct http_response resp = { .status = 304 };
	struct err why = ERR_INIT;
	struct fetcher_asked get;
	struct reader r;
	uint32_t n;
	size_t which = 0;
	int rc;

	reader_init(&r, msg->data, msg->len);
	if (reader_u32(&r, &n) != 0 || n == 0 || n > LIMIT_CHANNELS)
		return err_set(e, ERR_FORMAT, "race request");
	for (uint32_t i = 0; i < n; i++) {
		if (fetcher_parse_get(&r, &get) != 0)
			return err_set(e, ERR_FORMAT, "race request");
		reqs[i] = get.req;
		buf_init(&bodies[i], (size_t)get.req.max_bytes);
		reqs[i].sink = keep_data;
		reqs[i].arg = &bodies[i];
	}
	f->content = false;
	if (f->http == NULL)
		rc = err_set(&why, ERR_NET, "not connected");
	else
		rc = http_client_race(f->http, reqs, n, &which, &resp, &why);
	if (rc != 0)
		rc = fetcher_fail(f, &why, e);
	else
		rc = send_winner(
		    f, &resp, which, which < n ? &bodies[which] : NULL, e);
	for (uint32_t i = 0; i < n; i++)
		buf_release(&bodies[i]);
	return rc;
}

static int
answer_traffic(struct fetcher *f, struct err *e)
{
	uint64_t in = 0, out = 0;
	struct buf b;
	int rc;

	if (f->http != NULL)
		http_client_bytes(f->http, &in, &out);
	buf_init(&b, 16 + DIGEST_BYTES);
	buf_add_u64(&b, f->received + in);
	buf_add_u64(&b, f->sent + out);
	buf_add(&b, f->tls.peer.b, DIGEST_BYTES);
	rc = buf_check(&b, "answer", e);
	if (rc == 0)
		rc = ipc_send(f->ipc, WIRE_COUNTED, b.data, b.len, e);
	buf_release(&b);
	return rc;
}

/* ---- the process ---- */

static int
take_wants(struct fetcher *f, const struct ipc_msg *msg, struct err *e)
{
	buf_add(&f->wants, msg->data, msg->len);
	return buf_check(&f->wants, "objects wanted", e);
}

static int
answer_rewind(struct fetcher *f, struct err *e)
{
	struct err why = ERR_INIT;

	drop_connection(f);
	if (start_resolver(f, &why) != 0)
		return fetcher_fail(f, &why, e);
	return send_ok(f, e);
}

static int
answer_aim(struct fetcher *f, const struct ipc_msg *msg, struct err *e)
{
	if (msg->len < 2 || msg->data[0] > FETCH_AIM_SRV ||
	    msg->len - 1 > sizeof(f->host) || msg->data[msg->len - 1] != '\0')
		return err_set(e, ERR_FORMAT, "aim request");
	f->aim = (enum fetch_aim)msg->data[0];
	memcpy(f->host, msg->data + 1, msg->len - 1);
	f->hosts[0] = f->host;
	return answer_rewind(f, e);
}

static int
answer(struct fetcher *f, struct ipc_msg *msg, struct err *e)
{
	switch (msg->type) {
	case WIRE_CONNECT:
		return connect_next(f, msg, e);
	case WIRE_REWIND:
		return answer_rewind(f, e);
	case WIRE_AIM:
		return answer_aim(f, msg, e);
	case WIRE_KEYS:
	case WIRE_MORE_KEYS:
		return take_keys(f, msg, msg->type == WIRE_MORE_KEYS, e);
	case WIRE_GET:
		return fetcher_get(f, msg, e);
	case WIRE_GET_TEXT:
		return answer_text(f, msg, e);
	case WIRE_RACE:
		return answer_race(f, msg, e);
	case WIRE_WANT:
		return take_wants(f, msg, e);
	case WIRE_SELECT:
		buf_clear(&f->select);
		buf_add(&f->select, msg->data, msg->len);
		return buf_check(&f->select, "objects wanted", e);
	case WIRE_OBJECTS:
		return fetcher_objects(f, msg, e);
	case WIRE_UNPACK:
		return fetcher_unpack(f, msg, e);
	case WIRE_TRAFFIC:
		return answer_traffic(f, e);
	case WIRE_SESSIONS:
		return fetcher_sessions(f, e);
	default:
		return err_set(e, ERR_FORMAT, "unknown request %u", msg->type);
	}
}

static int
serve_requests(struct fetcher *f, struct err *e)
{
	struct ipc_msg msg;
	int rc;

	for (;;) {
		rc = ipc_recv(f->ipc, &msg, IDLE_MS, e);
		if (rc == ERR_TIMEOUT)
			continue;
		if (rc == 0)
			rc = answer(f, &msg, e);
		if (rc != 0)
			return rc;
	}
}

const char *const *
fetcher_read_paths(void)
{
	/* Configuration of names, and the libraries that look them up. */
	static const char *const paths[] = { "/etc/resolv.conf", "/etc/hosts",
		"/etc/nsswitch.conf", "/etc/gai.conf", "/etc/host.conf",
		"/etc/services", "/etc/ssl/openssl.cnf", "/etc/passwd",
		"/etc/group", "/lib", "/usr/lib", "/run/systemd/resolve",
		"/etc/ld.so.cache", "/dev/urandom", NULL };

	return paths;
}

static int
give_up_privileges(int fd, const struct fetch_options *options, struct err *e)
{
	struct sandbox s = {
		.user = options->user,
		.read_paths = fetcher_read_paths(),
		.keep_fds = &fd,
		.keep_count = 1,
		.close_others = true,
		.parent = getppid(),
	};

	return sandbox_enter(&s, e);
}

int
fetcher_run(
    int fd, struct ipc_slots *slots, const struct fetch_options *options)
{
	struct fetcher f = { .options = options, .text.fd = -1 };
	struct err e = ERR_INIT;
	int rc;

	buf_init(&f.wants, (size_t)WIRE_WANT_BYTES * LIMIT_BATCH_OBJECTS);
	buf_init(&f.select, WIRE_SELECT_BYTES);
	buf_init(&f.reasons, REASONS_BYTES);
	fetcher_objects_init(&f);
	news_init(&f.news);
	f.tls.identity = options->identity;
	f.tls.judge = judge;
	f.tls.arg = &f;
	rc = give_up_privileges(fd, options, &e);
	if (rc == 0)
		rc = zst_decoder_new(&f.decoder, &e);
	if (rc == 0)
		rc = ipc_new(fd, &f.ipc, &e);
	if (rc == 0)
		ipc_send_by(f.ipc, slots);
	if (rc == 0)
		rc = serve_requests(&f, &e);
	/* The other end hears of it by the end of the conversation. */
	drop_connection(&f);
	resolver_free(f.resolver);
	zst_decoder_free(f.decoder);
	ipc_free(f.ipc);
	buf_release(&f.wants);
	buf_release(&f.select);
	buf_release(&f.reasons);
	buf_release(&f.object.small);
	news_drop(&f.news);
	forget_text(&f);
	free(f.keys);
	return rc == ERR_NET ? 0 : 1;
}
