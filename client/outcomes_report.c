/* Triggers and checks in words and JSON. */
#include <stdio.h>

#include "client/outcomes.h"
#include "common/text.h"

#define TEXT_MAX ((size_t)1 << 32)

static const char *
kind_word(enum action_kind kind)
{
	switch (kind) {
	case ACTION_BEFORE:
		return "trigger before";
	case ACTION_AFTER:
		return "trigger after";
	case ACTION_CHECK:
	default:
		return "check";
	}
}

/* Bytes that are no text are shown, so that none of them reaches a terminal. */
static void
add_output(struct buf *b, const struct command_result *r)
{
	const char *text = buf_str(&r->output);
	size_t left = r->output.len;
	bool starts = true;

	while (left > 0) {
		size_t n = text_utf8(text, left);

		if (starts)
			buf_add_str(b, "    | ");
		starts = *text == '\n';
		if (starts || n > 0)
			buf_add(b, text, starts ? 1 : n);
		else
			buf_addf(b, "\\%03o", (unsigned char)*text);
		n = n > 0 ? n : 1;
		text += n;
		left -= n;
	}
	if (!starts)
		buf_add_byte(b, '\n');
	if (r->cut)
		buf_add_str(b, "    | ... and more\n");
}

static void
add_outcome(struct buf *b, const struct outcome *o, bool verbose)
{
	buf_addf(b, "%s %s: ", kind_word(o->kind), o->name);
	if (o->foreseen)
		buf_add_str(b, "would run");
	else if (o->why == NULL)
		buf_addf(b, "done in %.2f s", o->result.seconds);
	else
		buf_addf(b, "failed: %s", o->why);
	if (o->attempts > 1)
		buf_addf(
		    b, " (%llu attempts)", (unsigned long long)o->attempts);
	buf_add_byte(b, '\n');
	if (verbose || o->why != NULL)
		add_output(b, &o->result);
}

int
outcomes_print(const struct outcomes *o, bool verbose, struct err *e)
{
	struct buf b;
	int rc;

	buf_init(&b, TEXT_MAX);
	for (size_t i = 0; i < o->count; i++)
		add_outcome(&b, &o->list[i], verbose);
	rc = buf_check(&b, "report", e);
	if (rc == 0)
		(void)fwrite(buf_str(&b), 1, b.len, stdout);
	buf_release(&b);
	return rc;
}

static struct json *
outcome_json(const struct outcome *o)
{
	struct json *j = json_object_new();

	json_set_string(j, "name", o->name);
	if (o->kind != ACTION_CHECK)
		json_set_string(
		    j, "phase", o->kind == ACTION_BEFORE ? "before" : "after");
	json_set_bool(j, "ran", o->attempts > 0);
	if (o->foreseen)
		return j;
	json_set_bool(j, "ok", o->why == NULL);
	json_set_string(j, "why", o->why);
	if (o->attempts == 0)
		return j;
	json_set_u64(j, "attempts", o->attempts);
	json_set_i64(j, "status", o->result.status);
	json_set_bool(j, "timed_out", o->result.timed_out);
	json_set_double(j, "seconds", o->result.seconds);
	json_set_bytes(
	    j, "output", buf_str(&o->result.output), o->result.output.len);
	json_set_bool(j, "output_cut", o->result.cut);
	return j;
}

void
outcomes_json(const struct outcomes *o, struct json *j)
{
	struct json *triggers = json_array_new(), *checks = json_array_new();

	for (size_t i = 0; i < o->count; i++)
		json_append(o->list[i].kind == ACTION_CHECK ? checks : triggers,
		    outcome_json(&o->list[i]));
	json_set_child(j, "triggers", triggers);
	json_set_child(j, "checks", checks);
}
