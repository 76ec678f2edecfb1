/* What an operator and his monitoring read of a daemon. */
#include "server/status.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/text.h"
#include "server/status_ask.h"

/* A mirror hears of its upstream once a minute: replicate.c's long poll. */
#define SILENCE_S 900

static uint64_t
number(const struct json_value *v, const char *key)
{
	struct err ignored = ERR_INIT;
	uint64_t n = 0;

	return json_get_u64(v, key, &n, &ignored) == 0 ? n : 0;
}

static bool
is_true(const struct json_value *v, const char *key)
{
	struct err ignored = ERR_INIT;
	bool b = false;

	return json_get_bool(v, key, &b, &ignored) == 0 && b;
}

static const char *
text_of(const struct json_value *v, const char *key, const char *otherwise)
{
	struct err ignored = ERR_INIT;
	const char *s = NULL;

	return json_get_string(v, key, &s, &ignored) == 0 ? s : otherwise;
}

/* ---- judging ---- */

static bool
failing(const struct json_value *doc, char *why, size_t size)
{
	static const char *const marks[] = { "complete", "fresh" };

	if (is_true(doc, "healthy"))
		return false;
	(void)snprintf(why, size, "failing");
	for (size_t i = 2; i-- > 0;) {
		const struct json_value *m = json_member(doc, marks[i]);

		if (!is_true(m, "yes"))
			(void)snprintf(why, size, "not %s: %s", marks[i],
			    text_of(m, "why", "?"));
	}
	return true;
}

static bool
worrying(const struct json_value *doc, char *why, size_t size)
{
	const struct json_value *evidence = json_member(doc, "evidence"),
	                        *r = json_member(doc, "replication"),
	                        *fresh = json_member(doc, "fresh"),
	                        *writable = json_member(doc, "writable");
	uint64_t silence = number(r, "silence_seconds");

	if (json_length(evidence) > 0 || number(r, "forks") > 0)
		(void)snprintf(why, size,
		    "two different statements were signed; see evidence/");
	else if (text_of(doc, "rival", NULL) != NULL)
		(void)snprintf(why, size, "another origin publishes: %s",
		    text_of(doc, "rival", ""));
	else if (!is_true(fresh, "yes"))
		(void)snprintf(
		    why, size, "not fresh: %s", text_of(fresh, "why", "?"));
	else if (!is_true(writable, "yes"))
		(void)snprintf(why, size, "not writable: %s",
		    text_of(writable, "why", "?"));
	else if (r != NULL && json_member(r, "silence_seconds") == NULL)
		(void)snprintf(why, size, "no upstream has answered yet: %s",
		    text_of(r, "trouble", "it tries"));
	else if (silence > SILENCE_S)
		(void)snprintf(why, size,
		    "no upstream has answered for %" PRIu64 " s: %s", silence,
		    text_of(r, "trouble", "?"));
	else
		return false;
	return true;
}

enum status_level
status_judge(const struct json_value *doc, char *why, size_t size)
{
	why[0] = '\0';
	if (!is_true(doc, "running")) {
		(void)snprintf(why, size, "no peciad answers: %s",
		    text_of(doc, "why", "?"));
		return STATUS_UNKNOWN;
	}
	if (failing(doc, why, size))
		return STATUS_CRITICAL;
	return worrying(doc, why, size) ? STATUS_WARNING : STATUS_OK;
}

/* ---- telling ---- */

static void
print_first(
    const struct json_value *doc, enum status_level level, const char *why)
{
	static const char *const names[] = { "OK", "WARNING", "CRITICAL",
		"UNKNOWN" };
	const struct json_value *channels = json_member(doc, "channels");

	(void)printf("PECIAD %s - %s", names[level], why);
	if (level == STATUS_OK)
		(void)printf("%s complete and fresh", text_of(doc, "role", ""));
	for (size_t i = 0; i < json_length(channels); i++) {
		const struct json_value *c = json_item(channels, i);

		(void)printf("%s %s %" PRIu64, i == 0 ? ";" : ",",
		    text_of(c, "channel", "?"), number(c, "serial"));
	}
	(void)putchar('\n');
}

static void
print_channels(const struct json_value *doc)
{
	const struct json_value *channels = json_member(doc, "channels");

	for (size_t i = 0; i < json_length(channels); i++) {
		const struct json_value *c = json_item(channels, i);

		if (!is_true(c, "good")) {
			(void)printf("channel     %s: damaged: %s\n",
			    text_of(c, "channel", "?"), text_of(c, "why", "?"));
			continue;
		}
		(void)printf("channel     %s: serial %" PRIu64
		             ", issued %s (%" PRIu64 " s ago), %s %s",
		    text_of(c, "channel", "?"), number(c, "serial"),
		    text_of(c, "issued", "?"), number(c, "age_seconds"),
		    is_true(c, "expired") ? "EXPIRED" : "expires",
		    text_of(c, "expires", "?"));
		if (json_member(c, "lag_releases") != NULL)
			(void)printf(", %" PRIu64 " behind its upstream",
			    number(c, "lag_releases"));
		(void)putchar('\n');
	}
}

static void
print_marks(const struct json_value *doc)
{
	static const char *const marks[] = { "complete", "fresh", "writable" };

	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		const struct json_value *m = json_member(doc, marks[i]);

		if (m != NULL)
			(void)printf("%-11s %s: %s\n", marks[i],
			    is_true(m, "yes") ? "yes" : "no",
			    text_of(m, "why", ""));
	}
}

static void
print_replication(const struct json_value *r)
{
	char bytes[32];

	if (r == NULL)
		return;
	text_bytes(bytes, sizeof(bytes), number(r, "received_bytes"));
	(void)printf("upstream    %s, last heard %s\n",
	    text_of(r, "upstream", "none now"), text_of(r, "contact", "never"));
	(void)printf("replicated  %" PRIu64 " releases, %s received, last %s\n",
	    number(r, "releases"), bytes, text_of(r, "replicated", "never"));
	if (text_of(r, "trouble", NULL) != NULL)
		(void)printf("trouble     %s\n", text_of(r, "trouble", NULL));
}

static void
print_keeping(const struct json_value *k)
{
	char bytes[32];

	if (k == NULL)
		return;
	text_bytes(bytes, sizeof(bytes), number(k, "scrubbed_bytes"));
	(void)printf("scrub       %" PRIu64 " files, %s; last whole round %s\n",
	    number(k, "scrubbed_files"), bytes,
	    text_of(k, "scrub_round", "never"));
	(void)printf("repair      %" PRIu64 " damaged, %" PRIu64
	             " repaired, %" PRIu64 " lacking\n",
	    number(k, "damaged"), number(k, "repaired"), number(k, "lacking"));
	(void)printf("collection  %" PRIu64 " files removed; last %s\n",
	    number(k, "collected_files"), text_of(k, "collect", "never"));
}

static void
print_rest(const struct json_value *doc)
{
	const struct json_value *c = json_member(doc, "connections"),
	                        *evidence = json_member(doc, "evidence");

	if (c != NULL)
		(void)printf("connections %" PRIu64 " open, %" PRIu64
		             " waiting for news, %" PRIu64 " refused\n",
		    number(c, "open"), number(c, "waiting"),
		    number(c, "refused"));
	for (size_t i = 0; i < json_length(evidence); i++)
		(void)printf("evidence    %s is signed twice\n",
		    text_of(json_item(evidence, i), NULL, "?"));
}

static void
print_text(const struct json_value *doc)
{
	if (is_true(doc, "running"))
		(void)printf("daemon      peciad %s, %s, since %s\n"
		             "key         %s\n",
		    text_of(doc, "version", "?"), text_of(doc, "role", "?"),
		    text_of(doc, "started", "?"), text_of(doc, "key", "?"));
	(void)printf("repository  %s\n", text_of(doc, "repo", "?"));
	print_marks(doc);
	print_channels(doc);
	print_replication(json_member(doc, "replication"));
	print_keeping(json_member(doc, "keeping"));
	print_rest(doc);
}

int
status_run(const struct daemon_options *o, struct err *e)
{
	struct err why = ERR_INIT;
	struct json *doc = NULL;
	char reason[ERR_MSG_BYTES + 64];
	enum status_level level;
	int rc = 0;

	if (status_ask(o, &doc, &why) != 0) {
		struct err gone = ERR_INIT;

		if (status_look(o, &doc, &gone) != 0) {
			(void)printf("PECIAD UNKNOWN - no peciad answers: %s; "
			             "no repository: %s\n",
			    why.msg, gone.msg);
			return STATUS_UNKNOWN;
		}
		json_set_string(doc, "why", why.msg);
	}
	status_add_evidence(o, doc);
	level = status_judge(json_top(doc), reason, sizeof(reason));
	if (o->json) {
		rc = json_print(doc, JSON_PRETTY, stdout, e);
	} else {
		print_first(json_top(doc), level, reason);
		print_text(json_top(doc));
	}
	json_free(doc);
	return rc != 0 ? rc : (int)level;
}
