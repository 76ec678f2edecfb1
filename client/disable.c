/* pecia disable, pecia enable, and what they leave. */
#include "client/disable.h"

#include <stdio.h>

#include "client/verbs.h"
#include "common/fsat.h"

#define NAME "disabled"

/* It becomes a line of text, on terminals too. */
static int
check_message(const char *message, struct err *e)
{
	size_t len = strlen(message), n;

	if (len >= DISABLE_MESSAGE_BYTES)
		return err_set(e, ERR_USAGE, "message: %zu bytes, %d at most",
		    len, DISABLE_MESSAGE_BYTES - 1);
	for (size_t i = 0; i < len; i += n)
		if ((n = text_utf8(message + i, len - i)) == 0)
			return err_set(e, ERR_USAGE,
			    "message: byte %zu is no text of one line", i + 1);
	return 0;
}

int
disable_set(
    const struct state *s, time_t now, const char *message, struct err *e)
{
	char text[TEXT_TIME_BYTES + DISABLE_MESSAGE_BYTES + 2];
	char when[TEXT_TIME_BYTES];
	int len;

	if (check_message(message, e) != 0)
		return e->code;
	text_time(when, now);
	len = snprintf(text, sizeof(text), "%s %s\n", when, message);
	return fsat_write_file(s->dir, NAME, 0600, text, (size_t)len, e);
}

int
disable_clear(const struct state *s, bool *was, struct err *e)
{
	struct err mine = ERR_INIT;
	int rc = fsat_unlink(s->dir, NAME, &mine);

	*was = rc == 0;
	if (rc == 0 || rc == ERR_NOT_FOUND)
		return 0;
	*e = mine;
	return rc;
}

static void
parse(const char *text, struct disable *d)
{
	size_t line = strcspn(text, "\n"), when = strcspn(text, " \n");

	if (when >= sizeof(d->when) || when >= line) {
		(void)snprintf(d->when, sizeof(d->when), "?");
		when = 0;
	} else {
		memcpy(d->when, text, when);
		d->when[when++] = '\0';
	}
	(void)snprintf(d->message, sizeof(d->message), "%.*s",
	    (int)(line - when), text + when);
}

int
disable_read(
    const struct state *s, bool *disabled, struct disable *out, struct err *e)
{
	struct err mine = ERR_INIT;
	struct buf b;
	int rc;

	buf_init(&b, TEXT_TIME_BYTES + DISABLE_MESSAGE_BYTES + 2);
	rc = fsat_read_file(s->dir, NAME, b.max - 1, &b, &mine);
	*disabled = rc == 0 || rc == ERR_LIMIT;
	if (*disabled)
		parse(rc == 0 ? buf_str(&b) : "", out);
	buf_release(&b);
	if (*disabled || rc == ERR_NOT_FOUND)
		return 0;
	*e = mine;
	return rc;
}

/* ---- commands ---- */

int
verb_disable(const struct options *o, const struct settings *s)
{
	const char *message = o->operand_count > 0 ? o->operands[0] : "";
	struct state state = STATE_INIT;
	struct err e = ERR_INIT;
	int rc;

	rc = state_open(&state, s->state, false, &e);
	if (rc == 0)
		rc = disable_set(&state, time(NULL), message, &e);
	state_release(&state);
	if (rc != 0)
		return verb_failed(&e);
	(void)printf("runs change nothing until `pecia enable`\n");
	return EXIT_SAME;
}

int
verb_enable(const struct options *o, const struct settings *s)
{
	struct state state = STATE_INIT;
	struct err e = ERR_INIT;
	bool was = false;
	int rc;

	(void)o;
	rc = state_open(&state, s->state, false, &e);
	if (rc == 0)
		rc = disable_clear(&state, &was, &e);
	state_release(&state);
	if (rc != 0)
		return verb_failed(&e);
	(void)printf("%s\n",
	    was ? "runs change things again" : "runs were not disabled");
	return EXIT_SAME;
}
