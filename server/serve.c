/* A worker's main loop: who answers which request, and what is written down
 * about it. */
#include "server/serve.h"

#include <inttypes.h>
#include <malloc.h>

#include "common/http_server.h"
#include "common/log.h"
#include "server/serve_batch.h"
#include "server/serve_files.h"
#include "server/serve_heads.h"
#include "server/serve_health.h"
#include "server/serve_metrics.h"
#include "server/serve_status.h"

#define JUDGE_MS       1000
#define KEY_LOG_DIGITS 16 /* enough to tell mirrors apart */
#define TRIM_MS        5000
#define TRIM_AFTER     64 /* connections */

struct serve {
	const struct serve_options *options;
	struct serve_slot *slot;
	struct http_server *server;
	struct serve_heads *heads;
	struct serve_files files;
	struct serve_numbers numbers;
	struct serve_view view;
	struct http_timer *judging, *trimming;
	uint64_t trimmed; /* connections accepted until then */
};

static void
refuse_method(struct http_request *r, const char *allow)
{
	http_reply_header(r, "Allow", allow);
	http_reply_text(r, 405, "this path does not take that method");
}

static void
handle(void *arg, struct http_request *r)
{
	struct serve *s = arg;
	struct serve_path path;
	bool post = http_request_method(r) == HTTP_POST;

	serve_path_parse(http_request_path(r), &path);
	if (path.kind == SERVE_NONE) {
		http_reply_text(r, 404, "no such path");
	} else if (post != (path.kind == SERVE_BATCH)) {
		refuse_method(r, post ? "GET, HEAD" : "POST");
	} else if (path.by_number) {
		serve_batch_select(&s->numbers, r, &path.digest);
	} else if (path.kind == SERVE_BATCH) {
		serve_batch_handle(s->options->repo, s->slot, r);
	} else if (path.kind == SERVE_CHANNEL) {
		serve_heads_handle(s->heads, r, path.name);
	} else if (path.kind == SERVE_HEALTH) {
		serve_health_handle(&s->view, r);
	} else if (path.kind == SERVE_METRICS) {
		serve_metrics_handle(&s->view, r);
	} else if (path.kind == SERVE_STATUS) {
		serve_status_handle(&s->view, r);
	} else {
		serve_files_handle(&s->files, r, &path);
	}
}

static void
log_request(const struct http_request *r, const struct http_result *result)
{
	char status[LOG_NUMBER_BYTES], bytes[LOG_NUMBER_BYTES], ms[32];
	char hex[DIGEST_HEX] = "-";
	struct digest key;

	if (http_request_peer_key(r, &key)) {
		digest_hex(&key, hex);
		hex[KEY_LOG_DIGITS] = '\0';
	}
	(void)snprintf(ms, sizeof(ms), "%" PRIu64 ".%03" PRIu64,
	    result->duration_us / 1000, result->duration_us % 1000);
	log_event(LOG_INFO, "request", "peer", http_request_peer(r), "key", hex,
	    "method", http_request_method_name(r), "path", http_request_path(r),
	    "status", log_u64(status, result->status), "bytes",
	    log_u64(bytes, result->body_bytes), "ms", ms, "end",
	    result->complete ? "whole" : "broken off", NULL);
}

static void
done(void *arg, struct http_request *r)
{
	struct serve *s = arg;
	struct http_result result;
	struct serve_path path;

	serve_heads_forget(s->heads, r);
	http_request_result(r, &result);
	serve_path_parse(http_request_path(r), &path);
	serve_stats_request(s->slot, path.kind, &result);
	if (s->options->access_log)
		log_request(r, &result);
}

static void
hangup(void *arg)
{
	const struct serve *s = arg;

	if (s->options->hangup != NULL)
		s->options->hangup(s->options->arg);
}

static void
judge(void *arg)
{
	const struct serve *s = arg;

	serve_health_judge(&s->view, s->slot);
}

/* Handshakes under way at once need three times as much as the connections that
 * come of them: what lies free between those goes back to the system. */
static void
trim(void *arg)
{
	struct serve *s = arg;
	uint64_t accepted =
	    atomic_load_explicit(&s->slot->http.accepted, memory_order_relaxed);

	if (accepted - s->trimmed < TRIM_AFTER)
		return;
	s->trimmed = accepted;
	(void)malloc_trim(0);
}

static int
set_up(struct serve *s, struct err *e)
{
	const struct serve_options *o = s->options;
	const struct http_options http = {
		.tls = o->tls,
		.listen_fds = o->listen_fds,
		.listen_count = o->listen_count,
		.handler = handle,
		.done = done,
		.hangup = hangup,
		.arg = s,
		.counters = &s->slot->http,
		.max_connections = o->max_connections,
		.max_per_peer = o->max_per_peer,
		.own_listeners = o->own_listeners,
	};
	int rc = http_server_new(&http, &s->server, e);

	if (rc == 0)
		rc = serve_heads_new(s->server, o->repo, s->slot, &s->heads, e);
	s->files.repo = o->repo;
	s->files.slot = s->slot;
	serve_numbers_init(&s->numbers, o->repo, s->slot);
	s->view = (struct serve_view){ .repo = o->repo,
		.self = o->self,
		.heads = s->heads,
		.stats = o->stats,
		.board = o->board };
	if (rc == 0)
		rc = health_memory_new(&s->view.memory, e);
	if (rc == 0)
		rc = http_timer_new(
		    s->server, JUDGE_MS, judge, s, &s->judging, e);
	if (rc == 0)
		rc = http_timer_new(
		    s->server, TRIM_MS, trim, s, &s->trimming, e);
	return rc;
}

int
serve_run(const struct serve_options *options, struct err *e)
{
	struct serve s = { .options = options };
	int rc;

	s.slot = serve_stats_slot(options->stats, options->worker);
	rc = set_up(&s, e);
	if (rc == 0) {
		judge(&s);
		rc = http_server_run(s.server, e);
	}
	http_timer_free(s.judging);
	http_timer_free(s.trimming);
	health_memory_free(s.view.memory);
	serve_heads_free(s.heads);
	http_server_free(s.server);
	serve_numbers_release(&s.numbers);
	return rc;
}
