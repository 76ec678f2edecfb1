/* Health.  Runs in peciad's workers. */
#include "server/serve_health.h"

#include "common/clock.h"

#define HEALTH_BYTES 16384

static void
write_mark(struct buf *text, const char *name, const struct health_mark *m)
{
	buf_addf(text, "%s %s %s\n", name, m->yes ? "yes" : "no", m->why);
}

void
serve_health_handle(const struct serve_view *v, struct http_request *r)
{
	struct health h;
	struct buf text;

	health_judge(v->memory, v->repo, v->heads, v->board, &h);
	buf_init(&text, HEALTH_BYTES);
	buf_add_str(&text, h.ok ? "ok\n" : "failing\n");
	write_mark(&text, "complete", &h.complete);
	write_mark(&text, "fresh", &h.fresh);
	write_mark(&text, "writable", &h.writable);
	http_reply_header(r, "Cache-Control", "no-store");
	http_reply(r, h.ok ? 200 : 503, "text/plain", text.data, text.len);
	buf_release(&text);
}

void
serve_health_judge(const struct serve_view *v, struct serve_slot *slot)
{
	struct health h;

	health_judge(v->memory, v->repo, v->heads, v->board, &h);
	board_say(&slot->health_why,
	    h.ok                  ? ""
	        : !h.complete.yes ? h.complete.why
	                          : h.fresh.why);
	board_set(&slot->healthy, h.ok);
	board_set(&slot->judged_ms, clock_ms());
}
