/* The daemon's state as JSON.  Runs in peciad's workers. */
#include "server/serve_status.h"

#include <stddef.h>

#include "common/json.h"
#include "common/limits.h"

static bool
may_ask(const struct serve_view *v, const struct http_request *r)
{
	const char *peer = http_request_peer(r);
	struct digest key;

	return strncmp(peer, "127.", 4) == 0 ||
	    strncmp(peer, "[::1]:", 6) == 0 ||
	    (http_request_peer_key(r, &key) &&
	        digest_equal(&key, &v->self->key));
}

static void
set_mark(struct json *j, const char *key, const struct health_mark *m)
{
	struct json *mark = json_object_new();

	json_set_bool(mark, "yes", m->yes);
	json_set_string(mark, "why", m->why);
	json_set_child(j, key, mark);
}

static void
set_health(struct json *j, const struct serve_view *v)
{
	struct health h;

	health_judge(v->memory, v->repo, v->heads, v->board, &h);
	json_set_bool(j, "healthy", h.ok);
	set_mark(j, "complete", &h.complete);
	set_mark(j, "fresh", &h.fresh);
	set_mark(j, "writable", &h.writable);
	if (h.free_bytes != UINT64_MAX)
		json_set_u64(j, "free_bytes", h.free_bytes);
	if (h.free_inodes != UINT64_MAX)
		json_set_u64(j, "free_inodes", h.free_inodes);
}

/* Of that channel on the board, or 0. */
static uint64_t
offered_serial(const struct board *board, const char *channel)
{
	for (size_t i = 0; i < LIMIT_CHANNELS; i++) {
		const struct board_channel *c = &board->replication.channels[i];
		char name[BOARD_TEXT_BYTES];

		board_read(&c->name, name);
		if (strcmp(name, channel) == 0)
			return board_get(&c->upstream_serial);
	}
	return 0;
}

static struct json *
channel_json(const struct serve_view *v, const struct serve_head *head)
{
	uint64_t offered = offered_serial(v->board, head->name);
	struct json *j = json_object_new();
	time_t now = time(NULL);

	json_set_string(j, "channel", head->name);
	json_set_bool(j, "good", head->good);
	if (!head->good) {
		json_set_string(j, "why", head->why);
		return j;
	}
	json_set_u64(j, "serial", head->serial);
	json_set_time(j, "issued", head->issued);
	json_set_i64(j, "age_seconds", now - head->issued);
	json_set_time(j, "expires", head->expires);
	json_set_bool(j, "expired", head->expires <= now);
	if (offered > 0) {
		json_set_u64(j, "upstream_serial", offered);
		json_set_u64(j, "lag_releases",
		    offered > head->serial ? offered - head->serial : 0);
	}
	return j;
}

static struct json *
channels_json(const struct serve_view *v)
{
	struct json *list = json_array_new();
	const struct serve_head *head;

	for (size_t i = 0; (head = serve_heads_at(v->heads, i)) != NULL; i++)
		json_append(list, channel_json(v, head));
	return list;
}

static struct json *
replication_json(const struct board_replication *r)
{
	struct json *j = json_object_new(), *troubles = json_object_new();
	uint64_t contact = board_get(&r->contact_s), bytes = 0;
	char text[BOARD_TEXT_BYTES];

	board_read(&r->upstream, text);
	json_set_string(j, "upstream", text[0] == '\0' ? NULL : text);
	json_set_time(j, "contact", (time_t)contact);
	if (contact > 0)
		json_set_i64(j, "silence_seconds",
		    (int64_t)time(NULL) - (int64_t)contact);
	board_read(&r->trouble, text);
	json_set_string(j, "trouble", text[0] == '\0' ? NULL : text);
	json_set_time(j, "replicated", (time_t)board_get(&r->complete_s));
	json_set_u64(j, "releases", board_get(&r->releases));
	for (unsigned i = 0; i < BOARD_KINDS; i++)
		bytes += board_get(&r->bytes[i]);
	json_set_u64(j, "received_bytes", bytes);
	for (unsigned i = 0; i < BOARD_TROUBLES; i++)
		json_set_u64(troubles, board_trouble_name(i),
		    board_get(&r->troubles[i]));
	json_set_child(j, "troubles", troubles);
	json_set_u64(j, "forks", board_get(&r->forks));
	return j;
}

static struct json *
keeping_json(const struct board_keeping *k)
{
	struct json *j = json_object_new();

	json_set_u64(j, "scrubbed_files", board_get(&k->scrub_files));
	json_set_u64(j, "scrubbed_bytes", board_get(&k->scrub_bytes));
	json_set_time(j, "scrub_round", (time_t)board_get(&k->scrub_round_s));
	json_set_u64(j, "damaged", board_get(&k->damaged));
	json_set_u64(j, "repaired", board_get(&k->repaired));
	json_set_u64(j, "lacking", board_get(&k->lacking));
	json_set_time(j, "collect", (time_t)board_get(&k->collect_s));
	json_set_u64(j, "collected_files", board_get(&k->collected_files));
	json_set_u64(j, "collected_bytes", board_get(&k->collected_bytes));
	return j;
}

#define SUM(member) \
 serve_stats_sum(v->stats, offsetof(struct serve_slot, member))

static struct json *
connections_json(const struct serve_view *v)
{
	struct json *j = json_object_new();
	uint64_t accepted = SUM(http.accepted), closed = SUM(http.closed);

	json_set_u64(j, "open", accepted > closed ? accepted - closed : 0);
	json_set_u64(j, "waiting", SUM(waiting));
	json_set_u64(j, "accepted", accepted);
	json_set_u64(j, "refused",
	    SUM(http.refused) + SUM(http.peer_refused) + SUM(http.peer_hasty));
	json_set_u64(j, "timed_out", SUM(http.timed_out));
	json_set_u64(j, "tls_failed", SUM(http.tls_failed));
	json_set_u64(j, "errors", SUM(errors));
	return j;
}

static void
set_rival(struct json *j, const struct board_lookout *l)
{
	char text[BOARD_TEXT_BYTES];

	board_read(&l->rival, text);
	json_set_string(j, "rival", text[0] == '\0' ? NULL : text);
	json_set_time(j, "looked", (time_t)board_get(&l->looked_s));
}

static struct json *
status_json(const struct serve_view *v)
{
	struct json *j = json_object_new();
	char hex[DIGEST_HEX], key[DIGEST_HEX + 8];

	digest_hex(&v->self->key, hex);
	(void)snprintf(key, sizeof(key), "sha256:%s", hex);
	json_set_string(j, "version", PECIA_VERSION);
	json_set_string(j, "repo", v->self->repo);
	json_set_string(j, "role", v->self->mirror ? "mirror" : "origin");
	json_set_string(j, "key", key);
	json_set_time(j, "started", v->self->started);
	set_health(j, v);
	json_set_child(j, "channels", channels_json(v));
	if (v->self->mirror)
		json_set_child(
		    j, "replication", replication_json(&v->board->replication));
	else
		set_rival(j, &v->board->lookout);
	json_set_child(j, "keeping", keeping_json(&v->board->keeping));
	json_set_child(j, "connections", connections_json(v));
	return j;
}

void
serve_status_handle(const struct serve_view *v, struct http_request *r)
{
	struct err e = ERR_INIT;
	struct json *j;
	struct buf text;

	http_reply_header(r, "Cache-Control", "no-store");
	if (!may_ask(v, r)) {
		http_reply_text(
		    r, 403, "for this host, or with the server's own key");
		return;
	}
	buf_init(&text, LIMIT_STATUS_BYTES);
	j = status_json(v);
	if (json_write(j, JSON_PRETTY, &text, &e) != 0)
		http_reply_text(r, 500, e.msg);
	else
		http_reply(r, 200, "application/json", text.data, text.len);
	json_free(j);
	buf_release(&text);
}
