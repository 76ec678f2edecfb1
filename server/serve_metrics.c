/* Metrics.  Runs in peciad's workers. */
#include "server/serve_metrics.h"

#include <inttypes.h>
#include <stddef.h>

#define METRICS_BYTES 262144
#define COUNT(a)      (sizeof(a) / sizeof((a)[0]))

static void
head_of(struct buf *text, const char *name, const char *type, const char *help)
{
	buf_addf(text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void
one(struct buf *text, const char *name, const char *type, const char *help,
    uint64_t value)
{
	head_of(text, name, type, help);
	buf_addf(text, "%s %" PRIu64 "\n", name, value);
}

/* With one label. */
static void
labelled(struct buf *text, const char *name, const char *label,
    const char *label_value, uint64_t value)
{
	const char *c;

	buf_addf(text, "%s{%s=\"", name, label);
	for (c = label_value; *c != '\0'; c++) {
		if (*c == '\\' || *c == '"')
			buf_addf(text, "\\%c", *c);
		else
			buf_addf(text, "%c",
			    (unsigned char)*c < ' ' || *c == 0x7f ? '?' : *c);
	}
	buf_addf(text, "\"} %" PRIu64 "\n", value);
}

/* ---- what was served ---- */

#define AT(member) offsetof(struct serve_slot, member)

static void
write_requests(const struct serve_stats *s, struct buf *text)
{
	head_of(text, "pecia_http_requests_total", "counter",
	    "Requests answered, by kind and status (0: any other).");
	for (unsigned kind = 0; kind < SERVE_KINDS; kind++) {
		for (unsigned i = 0; i < SERVE_STATUSES; i++) {
			uint64_t n = serve_stats_sum(s,
			    AT(requests) +
			        (kind * SERVE_STATUSES + i) *
			            sizeof(_Atomic uint64_t));

			if (n == 0)
				continue;
			buf_addf(text,
			    "pecia_http_requests_total{kind=\"%s\","
			    "status=\"%u\"} %" PRIu64 "\n",
			    serve_kind_name(kind), serve_status_at(i), n);
		}
	}
	head_of(text, "pecia_http_body_bytes_total", "counter",
	    "Bytes of reply bodies sent, by kind.");
	for (unsigned kind = 0; kind < SERVE_KINDS; kind++)
		labelled(text, "pecia_http_body_bytes_total", "kind",
		    serve_kind_name(kind),
		    serve_stats_sum(
		        s, AT(body_bytes) + kind * sizeof(_Atomic uint64_t)));
}

static void
write_connections(const struct serve_stats *s, struct buf *text)
{
	static const struct {
		const char *reason;
		size_t offset;
	} errors[] = {
		{ "tls", AT(http.tls_failed) },
		{ "timeout", AT(http.timed_out) },
		{ "malformed", AT(http.malformed) },
		{ "broken_off", AT(broken_off) },
		{ "full", AT(http.refused) },
		{ "peer_full", AT(http.peer_refused) },
		{ "peer_hasty", AT(http.peer_hasty) },
		{ "bodies_full", AT(http.bodies_refused) },
	};
	uint64_t accepted = serve_stats_sum(s, AT(http.accepted)),
	         closed = serve_stats_sum(s, AT(http.closed));

	one(text, "pecia_http_connections_total", "counter",
	    "Connections accepted.", accepted);
	one(text, "pecia_http_connections_evicted_total", "counter",
	    "Idle connections closed to make room.",
	    serve_stats_sum(s, AT(http.evicted)));
	one(text, "pecia_http_connections", "gauge", "Connections open.",
	    accepted > closed ? accepted - closed : 0);
	one(text, "pecia_http_waiting", "gauge", "Long polls held.",
	    serve_stats_sum(s, AT(waiting)));
	one(text, "pecia_http_delayed_total", "counter",
	    "Requests that had to wait, as their peer had sent too many.",
	    serve_stats_sum(s, AT(http.delayed)));
	head_of(text, "pecia_tls_handshakes_total", "counter",
	    "TLS handshakes that succeeded: in full, or of a session resumed.");
	labelled(text, "pecia_tls_handshakes_total", "kind", "full",
	    serve_stats_sum(s, AT(http.tls_full)));
	labelled(text, "pecia_tls_handshakes_total", "kind", "resumed",
	    serve_stats_sum(s, AT(http.tls_resumed)));
	head_of(text, "pecia_http_errors_total", "counter",
	    "Connections and requests that ended badly, by reason.");
	for (size_t i = 0; i < COUNT(errors); i++)
		labelled(text, "pecia_http_errors_total", "reason",
		    errors[i].reason, serve_stats_sum(s, errors[i].offset));
	one(text, "pecia_batch_objects_total", "counter",
	    "Objects sent in batches.", serve_stats_sum(s, AT(objects_sent)));
	one(text, "pecia_batch_missing_total", "counter",
	    "Objects asked for in batches that are not here.",
	    serve_stats_sum(s, AT(objects_missing)));
	one(text, "pecia_errors_total", "counter",
	    "Failures of our own files or memory while serving.",
	    serve_stats_sum(s, AT(errors)));
}

/* ---- channels ---- */

static uint64_t
value_serial(const struct serve_head *head, time_t now)
{
	(void)now;
	return head->serial;
}

static uint64_t
value_age(const struct serve_head *head, time_t now)
{
	return now > head->issued ? (uint64_t)(now - head->issued) : 0;
}

static uint64_t
value_issued(const struct serve_head *head, time_t now)
{
	(void)now;
	return (uint64_t)head->issued;
}

static uint64_t
value_expires(const struct serve_head *head, time_t now)
{
	(void)now;
	return (uint64_t)head->expires;
}

static void
write_channels(const struct serve_view *v, struct buf *text)
{
	static const struct {
		const char *name, *help;
		uint64_t (*value)(const struct serve_head *head, time_t now);
	} gauges[] = {
		{ "pecia_channel_serial", "Serial of the channel's head.",
		    value_serial },
		{ "pecia_head_age_seconds", "Since the head was issued.",
		    value_age },
		{ "pecia_head_issued_timestamp_seconds",
		    "When the head was issued.", value_issued },
		{ "pecia_head_expires_timestamp_seconds",
		    "When the head expires.", value_expires },
	};
	const struct serve_head *head;
	time_t now = time(NULL);

	for (size_t g = 0; g < COUNT(gauges); g++) {
		head_of(text, gauges[g].name, "gauge", gauges[g].help);
		for (size_t i = 0; (head = serve_heads_at(v->heads, i)) != NULL;
		     i++)
			if (head->good)
				labelled(text, gauges[g].name, "channel",
				    head->name, gauges[g].value(head, now));
	}
}

/* ---- upstreams ---- */

static uint64_t
served_serial(const struct serve_view *v, const char *channel)
{
	const struct serve_head *head;

	for (size_t i = 0; (head = serve_heads_at(v->heads, i)) != NULL; i++)
		if (head->good && strcmp(head->name, channel) == 0)
			return head->serial;
	return 0;
}

static void
write_upstream_serials(const struct serve_view *v, struct buf *text, bool lag)
{
	const char *name =
	    lag ? "pecia_upstream_lag_releases" : "pecia_upstream_serial";

	head_of(text, name, "gauge",
	    lag ? "Releases that an upstream has and we do not serve yet."
	        : "Serial of the newest head that an upstream offered.");
	for (size_t i = 0; i < LIMIT_CHANNELS; i++) {
		const struct board_channel *c =
		    &v->board->replication.channels[i];
		uint64_t offered = board_get(&c->upstream_serial), served;
		char channel[BOARD_TEXT_BYTES];

		board_read(&c->name, channel);
		if (channel[0] == '\0')
			continue;
		served = served_serial(v, channel);
		if (lag)
			offered = offered > served ? offered - served : 0;
		labelled(text, name, "channel", channel, offered);
	}
}

static void
write_upstream(const struct serve_view *v, struct buf *text)
{
	static const char *const kinds[BOARD_KINDS] = {
		[BOARD_STATEMENTS] = "statements",
		[BOARD_MANIFESTS] = "manifests",
		[BOARD_DATA] = "data",
		[BOARD_OBJECTS] = "objects",
	};
	const struct board_replication *r = &v->board->replication;
	uint64_t contact = board_get(&r->contact_s), now = (uint64_t)time(NULL);
	char route[BOARD_TEXT_BYTES];

	write_upstream_serials(v, text, false);
	write_upstream_serials(v, text, true);
	one(text, "pecia_upstream_contact_timestamp_seconds", "gauge",
	    "When an upstream last answered.", contact);
	if (contact > 0)
		one(text, "pecia_upstream_silence_seconds", "gauge",
		    "Since an upstream last answered.",
		    now > contact ? now - contact : 0);
	board_read(&r->upstream, route);
	head_of(text, "pecia_upstream_info", "gauge",
	    "The upstream that is followed now, by its route.");
	if (route[0] != '\0')
		labelled(text, "pecia_upstream_info", "route", route, 1);
	head_of(text, "pecia_upstream_received_bytes_total", "counter",
	    "Bytes received from upstreams, by kind.");
	for (unsigned i = 0; i < BOARD_KINDS; i++)
		labelled(text, "pecia_upstream_received_bytes_total", "kind",
		    kinds[i], board_get(&r->bytes[i]));
	head_of(text, "pecia_upstream_errors_total", "counter",
	    "Rounds with an upstream that ended badly, by reason.");
	for (unsigned i = 0; i < BOARD_TROUBLES; i++)
		labelled(text, "pecia_upstream_errors_total", "reason",
		    board_trouble_name(i), board_get(&r->troubles[i]));
	one(text, "pecia_replicated_releases_total", "counter",
	    "Releases made complete here.", board_get(&r->releases));
	one(text, "pecia_replicated_timestamp_seconds", "gauge",
	    "When a release was last made complete.",
	    board_get(&r->complete_s));
	one(text, "pecia_forks_total", "counter",
	    "Contradictions that were signed, kept as evidence.",
	    board_get(&r->forks));
}

static void
write_rival(const struct board_lookout *l, struct buf *text)
{
	char rival[BOARD_TEXT_BYTES];

	board_read(&l->rival, rival);
	one(text, "pecia_rival", "gauge",
	    "1 when a mirror has what another origin published.",
	    rival[0] != '\0');
	one(text, "pecia_rival_look_timestamp_seconds", "gauge",
	    "When mirrors were last asked for that.", board_get(&l->looked_s));
}

/* ---- the repository ---- */

static void
write_keeping(const struct board *board, struct buf *text)
{
	const struct board_keeping *k = &board->keeping;
	const struct {
		const char *name, *type, *help;
		const _Atomic uint64_t *value;
	} rows[] = {
		{ "pecia_scrub_files_total", "counter",
		    "Stored files read again to see whether they are right.",
		    &k->scrub_files },
		{ "pecia_scrub_bytes_total", "counter",
		    "Bytes of stored files read again.", &k->scrub_bytes },
		{ "pecia_scrub_round_timestamp_seconds", "gauge",
		    "When all files had been read again.", &k->scrub_round_s },
		{ "pecia_scrub_damaged_total", "counter",
		    "Files found damaged and put into quarantine.",
		    &k->damaged },
		{ "pecia_repaired_files_total", "counter",
		    "Damaged or lost files replaced by right ones.",
		    &k->repaired },
		{ "pecia_lacking_files", "gauge",
		    "Files known to be missing now.", &k->lacking },
		{ "pecia_collect_timestamp_seconds", "gauge",
		    "When unneeded files were last collected.", &k->collect_s },
		{ "pecia_collected_files_total", "counter",
		    "Unneeded files removed.", &k->collected_files },
		{ "pecia_collected_bytes_total", "counter",
		    "Bytes of unneeded files removed.", &k->collected_bytes },
	};

	for (size_t i = 0; i < COUNT(rows); i++)
		one(text, rows[i].name, rows[i].type, rows[i].help,
		    board_get(rows[i].value));
}

static void
write_health(const struct serve_view *v, struct buf *text)
{
	struct health h;

	health_judge(v->memory, v->repo, v->heads, v->board, &h);
	one(text, "pecia_healthy", "gauge", "1 when /healthz says ok.", h.ok);
	one(text, "pecia_complete", "gauge",
	    "1 when every channel has all of its newest release.",
	    h.complete.yes);
	one(text, "pecia_fresh", "gauge", "1 when no head is past its time.",
	    h.fresh.yes);
	one(text, "pecia_writable", "gauge",
	    "1 when there is room for more releases.", h.writable.yes);
	if (h.free_bytes != UINT64_MAX)
		one(text, "pecia_repository_free_bytes", "gauge",
		    "Free on the file system of the repository.", h.free_bytes);
	if (h.free_inodes != UINT64_MAX)
		one(text, "pecia_repository_free_inodes", "gauge",
		    "Inodes free on the file system of the repository.",
		    h.free_inodes);
}

void
serve_metrics_handle(const struct serve_view *v, struct http_request *r)
{
	struct buf text;

	buf_init(&text, METRICS_BYTES);
	head_of(&text, "pecia_build_info", "gauge", "The program's version.");
	labelled(&text, "pecia_build_info", "version", PECIA_VERSION, 1);
	one(&text, "pecia_start_timestamp_seconds", "gauge",
	    "When the daemon was started.", (uint64_t)v->self->started);
	write_health(v, &text);
	write_channels(v, &text);
	if (v->self->mirror)
		write_upstream(v, &text);
	else
		write_rival(&v->board->lookout, &text);
	write_keeping(v->board, &text);
	write_connections(v->stats, &text);
	write_requests(v->stats, &text);
	http_reply_header(r, "Cache-Control", "no-store");
	http_reply(r, 200, "text/plain; version=0.0.4; charset=utf-8",
	    text.data, text.len);
	buf_release(&text);
}
