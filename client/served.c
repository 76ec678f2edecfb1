/* Counting bytes by site; runs in the applier. */
#include "client/served.h"

#include "client/home.h"
#include "client/session.h"
#include "common/json.h"
#include "common/log.h"
#include "common/text.h"

#define UNKNOWN "unknown" /* in what is told */

/* More sites than a run can go to are one. */
static struct served_site *
find_site(struct served *v, const char *site, bool away)
{
	for (size_t i = 0; i < v->count; i++)
		if (v->sites[i].away == away &&
		    strcmp(v->sites[i].site, site) == 0)
			return &v->sites[i];
	if (v->count == sizeof(v->sites) / sizeof(v->sites[0]))
		return &v->sites[v->count - 1];
	v->sites[v->count].away = away;
	(void)snprintf(
	    v->sites[v->count].site, sizeof(v->sites[0].site), "%s", site);
	return &v->sites[v->count++];
}

/* An address may lead to another server than before. */
static void
note_server(struct session *s, const struct roster_mirror *mirror)
{
	if (strcmp(s->mirror, mirror->name) == 0 || s->mirror[0] == '\0')
		return;
	log_event(LOG_NOTICE, "another server answers", "route", s->peer.route,
	    "mirror", mirror->name, "site", mirror->site, NULL);
	(void)snprintf(s->site, sizeof(s->site), "%s", mirror->site);
	(void)snprintf(s->mirror, sizeof(s->mirror), "%s", mirror->name);
}

void
served_count(struct session *s)
{
	const struct roster_mirror *mirror = NULL;
	struct served *v = &s->served;
	struct err ignored = ERR_INIT;
	struct fetch_traffic now;
	struct served_site *site;
	const char *name = s->site;

	if (s->fetch == NULL || fetch_traffic(s->fetch, &now, &ignored) != 0)
		return;
	/* A fetcher that was started again counts anew. */
	if (now.received < v->seen_received || now.sent < v->seen_sent)
		v->seen_received = v->seen_sent = 0;
	if (!digest_is_zero(&now.key)) {
		if (trust_known_key(s->trust, &now.key, &mirror))
			note_server(s, mirror);
		name = mirror != NULL ? mirror->site : "";
	}
	if (now.received + now.sent > v->seen_received + v->seen_sent) {
		site = find_site(v, name, home_is_away(s, name));
		site->received += now.received - v->seen_received;
		site->sent += now.sent - v->seen_sent;
	}
	v->seen_received = now.received;
	v->seen_sent = now.sent;
}

struct served_bytes
served_total(const struct served *v, bool away)
{
	struct served_bytes sum = { 0, 0 };

	for (size_t i = 0; i < v->count; i++)
		if (v->sites[i].away || !away) {
			sum.received += v->sites[i].received;
			sum.sent += v->sites[i].sent;
		}
	return sum;
}

static const char *
name_of(const struct served_site *site)
{
	return site->site[0] != '\0' ? site->site : UNKNOWN;
}

static void
add_bytes(struct buf *b, uint64_t n)
{
	char text[32];

	text_bytes(text, sizeof(text), n);
	buf_add_str(b, text);
}

void
served_text(const struct served *v, struct buf *b)
{
	const struct served_bytes away = served_total(v, true);

	for (size_t i = 0; i < v->count; i++) {
		buf_addf(b, "%s%s ", i > 0 ? ", " : "", name_of(&v->sites[i]));
		add_bytes(b, v->sites[i].received + v->sites[i].sent);
	}
	buf_add_str(b, v->count > 0 ? "; " : "");
	add_bytes(b, away.received + away.sent);
	buf_add_str(b, " between sites");
}

void
served_json(const struct served *v, struct json *j)
{
	const struct served_bytes all = served_total(v, false),
	                          away = served_total(v, true);
	struct json *list = json_array_new();

	for (size_t i = 0; i < v->count; i++) {
		struct json *one = json_object_new();

		json_set_string(one, "site", name_of(&v->sites[i]));
		json_set_bool(one, "away", v->sites[i].away);
		json_set_u64(one, "bytes_received", v->sites[i].received);
		json_set_u64(one, "bytes_sent", v->sites[i].sent);
		json_append(list, one);
	}
	json_set_child(j, "sites", list);
	json_set_u64(j, "bytes_received", all.received);
	json_set_u64(j, "bytes_sent", all.sent);
	json_set_u64(j, "bytes_between_sites", away.received + away.sent);
}

void
served_parse(const struct json_value *v, struct served *out)
{
	const struct json_value *list = json_member(v, "sites");
	struct err ignored = ERR_INIT;

	out->count = 0;
	for (size_t i = 0;
	     i < json_length(list) && out->count < LIMIT_CANDIDATES; i++) {
		const struct json_value *one = json_item(list, i);
		struct served_site *to = &out->sites[out->count];
		const char *name;

		if (json_get_string(one, "site", &name, &ignored) != 0 ||
		    !text_is_name(name, strlen(name)) ||
		    json_get_bool(one, "away", &to->away, &ignored) != 0 ||
		    json_get_u64(
		        one, "bytes_received", &to->received, &ignored) != 0 ||
		    json_get_u64(one, "bytes_sent", &to->sent, &ignored) != 0)
			continue;
		(void)snprintf(to->site, sizeof(to->site), "%s", name);
		out->count++;
	}
}
