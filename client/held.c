/* The file `held`; runs in the applier.
 *
 *     pecia held 1
 *     release CHANNEL SERIAL
 *     why TEXT                   may be missing */
#include "client/held.h"

#include <stdlib.h>

#include "common/fsat.h"
#include "common/text.h"
#include "transcripts/lines.h"
#include "transcripts/statement.h"

#define HELD_NAME  "held"
#define HELD_BYTES 8192

int
held_parse(const void *text, size_t len, struct held *out, struct err *e)
{
	struct held h = { .serial = 0 };
	char *why = NULL;
	struct lines l;
	int rc;

	lines_init(&l, "held", text, len, e);
	lines_header(&l);
	lines_begin(&l, "release");
	lines_name(&l, h.channel);
	lines_u64(&l, 1, STATEMENT_NUMBER_MAX, &h.serial);
	if (lines_follows(&l, "why")) {
		lines_begin(&l, "why");
		lines_text(&l, sizeof(h.why) - 1, &why);
	}
	rc = lines_finish(&l);
	if (rc == 0 && why != NULL)
		(void)snprintf(h.why, sizeof(h.why), "%s", why);
	free(why);
	if (rc == 0)
		*out = h;
	return rc;
}

int
held_read(const struct state *s, struct held *out, struct err *e)
{
	struct buf text;
	int rc;

	buf_init(&text, HELD_BYTES);
	rc = fsat_read_file(s->dir, HELD_NAME, HELD_BYTES - 1, &text, e);
	if (rc == 0)
		rc = held_parse(buf_str(&text), text.len, out, e);
	buf_release(&text);
	return rc;
}

int
held_write(const struct state *s, const struct held *h, struct err *e)
{
	struct buf text;
	int rc;

	buf_init(&text, HELD_BYTES);
	buf_addf(&text, "pecia held 1\nrelease %s %llu\n", h->channel,
	    (unsigned long long)h->serial);
	if (h->why[0] != '\0') {
		buf_add_str(&text, "why ");
		text_escape(&text, h->why, strlen(h->why));
		buf_add_byte(&text, '\n');
	}
	rc = buf_check(&text, HELD_NAME, e);
	if (rc == 0)
		rc = fsat_write_file(
		    s->dir, HELD_NAME, 0600, text.data, text.len, e);
	buf_release(&text);
	return rc;
}

int
held_explain(const struct state *s, const char *why, struct err *e)
{
	struct err mine = ERR_INIT;
	struct held h;
	int rc = held_read(s, &h, &mine);

	if (rc == ERR_NOT_FOUND)
		return 0;
	if (rc != 0) {
		*e = mine;
		return rc;
	}
	(void)snprintf(h.why, sizeof(h.why), "%s", why);
	return held_write(s, &h, e);
}

int
held_forget(const struct state *s, struct err *e)
{
	struct err mine = ERR_INIT;
	int rc = fsat_unlink(s->dir, HELD_NAME, &mine);

	if (rc == 0 || rc == ERR_NOT_FOUND)
		return 0;
	*e = mine;
	return rc;
}

uint64_t
held_serial(const struct session *s, const struct head *head)
{
	const struct applied *a = &s->applied;
	struct err ignored = ERR_INIT;
	struct held h;

	/* Damaged, it holds nothing back. */
	if (held_read(&s->state, &h, &ignored) != 0)
		return 0;
	if (head != NULL &&
	    (strcmp(head->channel, h.channel) != 0 || head->serial > h.serial))
		return 0;
	if (s->has_applied && strcmp(a->channel, h.channel) == 0 &&
	    a->serial >= (head != NULL ? head->serial : h.serial))
		return 0;
	return h.serial;
}
