/* The summary of a run. */
#include "client/summary.h"

#include "common/fsat.h"
#include "common/json.h"
#include "common/text.h"

#define TEXT_MAX   ((size_t)64 << 10)
#define PASSED_MAX 4096 /* of why servers were passed over */

struct summary_counts
summary_count(const struct summary *s)
{
	const struct report *r = s->report;
	struct summary_counts c = { .wanted = r->plan->item_count +
		    r->plan->delete_count };

	if (r->applied)
		c.changed = c.wanted;
	if (s->error != NULL)
		c.failed = c.wanted > c.changed ? c.wanted - c.changed : 1;
	return c;
}

/* As the plan says before anything is changed, else as it was done. */
static bool
is_changed(const struct report *r)
{
	return r->noop ? !plan_is_empty(r->plan) : r->result.begun;
}

static const char *
outcome_of(const struct summary *s)
{
	if (s->error != NULL)
		return "failed";
	return is_changed(s->report) ? "changed" : "unchanged";
}

/* ---- JSON ---- */

static void
add_release(struct json *j, const struct session *s)
{
	char hex[DIGEST_HEX];

	if (s == NULL)
		return;
	if (s->profile != NULL) {
		digest_hex(&s->head.release, hex);
		json_set_string(j, "channel", s->head.channel);
		json_set_u64(j, "serial", s->head.serial);
		json_set_string(j, "release", hex);
		json_set_string(j, "profile", s->profile->name);
	}
	if (s->peer.route[0] == '\0')
		return;
	json_set_string(j, "route", s->peer.route);
	json_set_string(j, "server", s->peer.address);
	json_set_string(j, "source", s->peer.source);
	json_set_string(j, "site", s->site);
	json_set_string(j, "mirror", s->mirror);
}

/* Who served it, by site; why others did not. */
static void
add_served(struct json *j, const struct session *s)
{
	size_t len = s->troubles.len;

	if (s->home[0] != '\0')
		json_set_string(j, "home", s->home);
	if (len > 0)
		json_set_bytes(j, "passed_over", buf_str(&s->troubles),
		    len < PASSED_MAX ? len : PASSED_MAX);
	served_json(&s->served, j);
}

static void
add_numbers(struct json *j, const struct report *r)
{
	const struct plan *p = r->plan;
	size_t created = 0;

	for (size_t i = 0; i < p->item_count; i++)
		created += plan_item(p, i)->op == PLAN_CREATE ? 1 : 0;
	json_set_u64(j, "entries", r->result.totals.entries);
	json_set_u64(j, "to_create", created);
	json_set_u64(j, "to_change", p->item_count - created);
	json_set_u64(j, "to_delete", p->delete_count);
	json_set_u64(j, "protected", p->spared_count);
	json_set_u64(j, "files_local", r->result.content.local_files);
	json_set_u64(j, "files_kept", r->result.content.kept_files);
	json_set_u64(j, "files_from_data", r->result.content.data_files);
	json_set_u64(j, "files_from_objects", r->result.content.object_files);
	json_set_u64(j, "files_copied", r->result.content.copied_files);
}

void
summary_add(struct json *j, const struct summary *s)
{
	const struct report *r = s->report;
	const struct summary_counts c = summary_count(s);
	char when[TEXT_TIME_BYTES];

	text_time(when, s->when);
	json_set_string(j, "version", PECIA_VERSION);
	json_set_string(j, "started", when);
	json_set_double(j, "seconds", r->seconds);
	json_set_string(j, "outcome", outcome_of(s));
	if (s->error != NULL)
		json_set_string(j, "error", s->error->msg);
	json_set_bool(j, "noop", r->noop);
	json_set_bool(j, "changed", is_changed(r));
	add_release(j, r->session);
	if (r->session != NULL)
		add_served(j, r->session);
	if (r->plan_id != NULL && r->plan_id[0] != '\0')
		json_set_string(j, "plan", r->plan_id);
	if (r->held > 0)
		json_set_u64(j, "held", r->held);
	if (r->confirm_s > 0)
		json_set_u64(j, "confirm_seconds", r->confirm_s);
	report_settled(r->settled, j);
	add_numbers(j, r);
	if (!r->noop) {
		json_set_u64(j, "paths_changed", c.changed);
		json_set_u64(j, "failures", c.failed + s->failed_to_restart);
	}
}

/* ---- YAML ---- */

/* Double-quoted, in ASCII: what is not is \ooo, as in all that we print. */
static void
add_quoted(struct buf *b, const char *s)
{
	buf_add_byte(b, '"');
	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			buf_add_byte(b, '\\');
		if (c < 0x20 || c > 0x7e)
			buf_addf(b, "\\\\%03o", c);
		else
			buf_add_byte(b, c);
	}
	buf_add_byte(b, '"');
}

static void
add_version(struct buf *b, const struct session *s)
{
	buf_add_str(b, "version:\n  config: ");
	if (s != NULL && s->profile != NULL)
		buf_addf(b, "%llu\n", (unsigned long long)s->head.serial);
	else
		buf_add_str(b, "null\n"); /* as Puppet, without a catalog */
	buf_add_str(b, "  pecia: ");
	add_quoted(b, PECIA_VERSION);
	buf_add_byte(b, '\n');
}

static void
add_count(struct buf *b, const char *key, uint64_t n)
{
	buf_addf(b, "  %s: %llu\n", key, (unsigned long long)n);
}

static void
add_resources(
    struct buf *b, const struct summary *s, const struct summary_counts *c)
{
	const struct report *r = s->report;

	buf_add_str(b, "resources:\n");
	add_count(b, "changed", c->changed);
	add_count(
	    b, "corrective_change", r->result.new_release ? 0 : c->changed);
	add_count(b, "failed", c->failed);
	add_count(b, "failed_to_restart", s->failed_to_restart);
	add_count(b, "out_of_sync", c->wanted);
	add_count(b, "restarted", s->restarted);
	add_count(b, "scheduled", 0);
	add_count(b, "skipped", r->plan->spared_count);
	add_count(b, "total", r->result.totals.entries);
}

/* Ours: Puppet's file has no such section. */
static void
add_network(struct buf *b, const struct session *s)
{
	const struct served_bytes all = served_total(&s->served, false),
	                          away = served_total(&s->served, true);

	buf_add_str(b, "network:\n  site: ");
	add_quoted(b, s->site);
	buf_add_str(b, "\n  source: ");
	add_quoted(b, s->peer.source);
	buf_add_byte(b, '\n');
	add_count(b, "bytes", all.received + all.sent);
	add_count(b, "bytes_between_sites", away.received + away.sent);
}

void
summary_yaml(struct buf *b, const struct summary *s)
{
	const struct report *r = s->report;
	const struct summary_counts c = summary_count(s);
	uint64_t failures = c.failed + s->failed_to_restart;

	buf_add_str(b, "---\n");
	add_version(b, r->session);
	if (s->error != NULL) {
		buf_add_str(b, "application:\n  error: ");
		add_quoted(b, s->error->msg);
		buf_add_byte(b, '\n');
	}
	add_resources(b, s, &c);
	buf_addf(b,
	    "time:\n  config_retrieval: %.6f\n  compare: %.6f\n"
	    "  apply: %.6f\n  total: %.6f\n  last_run: %lld\n",
	    r->retrieval_s, r->compare_s, r->apply_s, r->seconds,
	    (long long)s->when + (long long)r->seconds);
	buf_add_str(b, "changes:\n");
	add_count(b, "total", c.changed);
	buf_add_str(b, "events:\n");
	add_count(b, "failure", failures);
	add_count(b, "success", c.changed + s->restarted);
	add_count(b, "total", c.changed + s->restarted + failures);
	if (r->session != NULL)
		add_network(b, r->session);
}

/* ---- files ---- */

static int
put(const struct state *state, const char *name, const struct buf *text,
    struct err *e)
{
	int rc = buf_check(text, name, e);

	return rc != 0 ? rc
	               : fsat_write_loosely(
	                     state->dir, name, 0644, text->data, text->len, e);
}

int
summary_store(const struct state *state, const struct summary *s, struct err *e)
{
	struct json *j = json_object_new();
	struct buf text;
	int rc;

	summary_add(j, s);
	buf_init(&text, TEXT_MAX);
	rc = json_write(j, JSON_PRETTY, &text, e);
	json_free(j);
	buf_add_byte(&text, '\n');
	if (rc == 0)
		rc = put(state, SUMMARY_JSON, &text, e);
	buf_clear(&text);
	summary_yaml(&text, s);
	if (rc == 0)
		rc = put(state, SUMMARY_YAML, &text, e);
	buf_release(&text);
	return rc;
}

/* Into dst, as it may be shown: without what a terminal obeys. */
static void
take(const struct json_value *v, const char *key, char *dst, size_t size)
{
	struct err ignored = ERR_INIT;
	const char *s = "";
	size_t at = 0;

	if (json_get_string(v, key, &s, &ignored) != 0)
		s = "";
	for (; s[at] != '\0' && at + 1 < size; at++) {
		dst[at] = s[at];
		if ((unsigned char)s[at] < 0x20 || s[at] == 0x7f)
			dst[at] = '?';
	}
	dst[at] = '\0';
}

void
summary_last(const struct state *state, struct summary_last *out)
{
	struct err ignored = ERR_INIT;
	struct json *j = NULL;
	struct buf b;

	*out = (struct summary_last){ .seconds = 0 };
	buf_init(&b, TEXT_MAX);
	if (fsat_read_file(
	        state->dir, SUMMARY_JSON, TEXT_MAX - 1, &b, &ignored) == 0 &&
	    json_parse(b.data, b.len, SUMMARY_JSON, &j, &ignored) == 0) {
		take(json_top(j), "started", out->when, sizeof(out->when));
		take(
		    json_top(j), "outcome", out->outcome, sizeof(out->outcome));
		take(json_top(j), "route", out->route, sizeof(out->route));
		take(json_top(j), "site", out->site, sizeof(out->site));
		take(json_top(j), "source", out->source, sizeof(out->source));
		take(json_top(j), "passed_over", out->passed,
		    sizeof(out->passed));
		served_parse(json_top(j), &out->served);
		if (json_get_double(
		        json_top(j), "seconds", &out->seconds, &ignored) != 0)
			out->seconds = 0;
	}
	json_free(j);
	buf_release(&b);
}
