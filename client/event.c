/* The events of a run. */
#include "client/event.h"

#include <stdio.h>

#include "common/json.h"
#include "common/text.h"

struct json *
event_new(const char *name)
{
	struct json *j = json_object_new();
	char when[TEXT_TIME_BYTES];

	text_time(when, time(NULL));
	json_set_string(j, "event", name);
	json_set_string(j, "time", when);
	return j;
}

int
event_print(struct json *j, struct err *e)
{
	int rc = json_print(j, JSON_ONE_LINE, stdout, e);

	json_free(j);
	return rc;
}

int
event_start(const struct options *o, const struct settings *s, struct err *e)
{
	static const char *const words[] = { [VERB_RUN] = "run",
		[VERB_PLAN] = "plan",
		[VERB_ROLLBACK] = "rollback" };
	struct json *j = event_new("start");

	json_set_string(j, "command", words[o->verb]);
	json_set_string(j, "version", PECIA_VERSION);
	json_set_string(j, "host", s->host);
	json_set_string(j, "root", s->root);
	json_set_string(j, "channel", s->channel);
	json_set_bool(j, "noop", o->noop || o->verb == VERB_PLAN);
	return event_print(j, e);
}

int
event_server(const struct session *s, struct err *e)
{
	struct json *j = event_new("server");

	json_set_string(j, "route", s->peer.route);
	json_set_string(j, "server", s->peer.address);
	json_set_string(j, "source", s->peer.source);
	json_set_string(j, "site", s->site);
	json_set_string(j, "mirror", s->mirror);
	return event_print(j, e);
}

int
event_release(const struct session *s, uint64_t held, struct err *e)
{
	struct json *j = event_new("release");
	char hex[DIGEST_HEX], created[TEXT_TIME_BYTES];

	json_set_string(j, "channel", s->head.channel);
	if (held > 0)
		json_set_u64(j, "held", held);
	if (s->profile != NULL) {
		digest_hex(&s->head.release, hex);
		text_time(created, s->release.created);
		json_set_u64(j, "serial", s->head.serial);
		json_set_string(j, "release", hex);
		json_set_string(j, "profile", s->profile->name);
		json_set_string(j, "created", created);
		json_set_string(j, "author", s->release.author);
		json_set_string(j, "message", s->release.message);
		json_set_bool(j, "applied",
		    s->has_applied &&
		        digest_equal(&s->applied.release, &s->head.release));
	}
	return event_print(j, e);
}
