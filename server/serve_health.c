/* Health and metrics.  Runs in peciad's workers. */
#include "server/serve_health.h"

#include <inttypes.h>

#include "common/text.h"

#define HEALTH_BYTES    16384
#define METRICS_BYTES   262144
#define LOW_SPACE_BYTES (64ULL << 20)
#define LOW_INODES      1024

static bool
has_release(const struct serve_health *h, const struct serve_head *head)
{
	char hex[DIGEST_HEX], path[96];
	struct fsat_stat st;

	digest_hex(&head->release, hex);
	(void)snprintf(path, sizeof(path), "v1/release/%s", hex);
	return fsat_stat(h->repo, path, &st, NULL) == 0;
}

static bool
write_complete(const struct serve_health *h, struct buf *text)
{
	const struct serve_head *head;
	size_t n = 0;

	for (; (head = serve_heads_at(h->heads, n)) != NULL; n++) {
		if (head->good && has_release(h, head))
			continue;
		buf_addf(text, "complete no channel %s: %s\n", head->name,
		    head->good ? "its release is not here" : head->why);
		return false;
	}
	if (n == 0)
		buf_add_str(text, "complete no channel is here yet\n");
	else
		buf_addf(text, "complete yes channels %zu\n", n);
	return n > 0;
}

/* false: stale beyond use. */
static bool
write_fresh(const struct serve_health *h, struct buf *text)
{
	const struct serve_head *head, *oldest = NULL;
	time_t now = time(NULL);
	char when[TEXT_TIME_BYTES];
	bool usable = true;

	for (size_t i = 0; (head = serve_heads_at(h->heads, i)) != NULL; i++) {
		if (!head->good)
			continue;
		if (oldest == NULL || head->expires < oldest->expires)
			oldest = head;
		if (now - head->expires > head->expires - head->issued)
			usable = false;
	}
	if (oldest == NULL) {
		buf_add_str(text, "fresh no head is here yet\n");
		return false;
	}
	text_time(when, oldest->expires);
	buf_addf(text, "fresh %s channel %s %s %s\n",
	    oldest->expires > now ? "yes" : "no", oldest->name,
	    oldest->expires > now ? "expires" : "expired", when);
	return usable;
}

static void
write_writable(const struct serve_health *h, struct buf *text)
{
	uint64_t bytes = 0, inodes = 0;
	struct err e = ERR_INIT;
	char size[32];

	if (fsat_free_space(h->repo, &bytes, &inodes, &e) != 0) {
		buf_addf(text, "writable no %s\n", e.msg);
		return;
	}
	text_bytes(size, sizeof(size), bytes);
	buf_addf(text, "writable %s %s and %" PRIu64 " inodes free\n",
	    bytes >= LOW_SPACE_BYTES && inodes >= LOW_INODES ? "yes" : "no",
	    size, inodes);
}

void
serve_health_handle(const struct serve_health *h, struct http_request *r)
{
	struct buf lines, text;
	bool ok;

	buf_init(&lines, HEALTH_BYTES);
	buf_init(&text, HEALTH_BYTES + 16);
	ok = write_complete(h, &lines);
	ok = write_fresh(h, &lines) && ok;
	write_writable(h, &lines);
	buf_add_str(&text, ok ? "ok\n" : "failing\n");
	buf_add(&text, lines.data, lines.len);
	http_reply_header(r, "Cache-Control", "no-store");
	http_reply(r, ok ? 200 : 503, "text/plain", text.data, text.len);
	buf_release(&text);
	buf_release(&lines);
}

struct gauge {
	const char *name, *help;
	uint64_t (*value)(const struct serve_head *head, time_t now);
};

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
value_expires(const struct serve_head *head, time_t now)
{
	(void)now;
	return (uint64_t)head->expires;
}

static void
write_channels(const struct serve_health *h, struct buf *text)
{
	static const struct gauge gauges[] = {
		{ "pecia_channel_serial", "Serial of the channel's head.",
		    value_serial },
		{ "pecia_head_age_seconds", "Since the head was issued.",
		    value_age },
		{ "pecia_head_expires_timestamp_seconds",
		    "When the head expires, in Unix time.", value_expires },
	};
	const struct serve_head *head;
	time_t now = time(NULL);

	for (size_t g = 0; g < sizeof(gauges) / sizeof(gauges[0]); g++) {
		buf_addf(text, "# HELP %s %s\n# TYPE %s gauge\n",
		    gauges[g].name, gauges[g].help, gauges[g].name);
		for (size_t i = 0; (head = serve_heads_at(h->heads, i)) != NULL;
		     i++)
			if (head->good)
				buf_addf(text,
				    "%s{channel=\"%s\"} %" PRIu64 "\n",
				    gauges[g].name, head->name,
				    gauges[g].value(head, now));
	}
}

void
serve_health_metrics(const struct serve_health *h, struct http_request *r)
{
	struct buf text;

	buf_init(&text, METRICS_BYTES);
	serve_stats_write(h->stats, &text);
	write_channels(h, &text);
	http_reply_header(r, "Cache-Control", "no-store");
	http_reply(r, 200, "text/plain; version=0.0.4", text.data, text.len);
	buf_release(&text);
}
