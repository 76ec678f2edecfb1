/* The file `held`; runs in the applier.
 *
 *     pecia held 1
 *     release CHANNEL SERIAL */
#include "client/held.h"

#include "common/fsat.h"
#include "transcripts/lines.h"
#include "transcripts/statement.h"

#define HELD_NAME  "held"
#define HELD_BYTES 256

int
held_parse(const void *text, size_t len, struct held *out, struct err *e)
{
	struct held h = { .serial = 0 };
	struct lines l;
	int rc;

	lines_init(&l, "held", text, len, e);
	lines_header(&l);
	lines_begin(&l, "release");
	lines_name(&l, h.channel);
	lines_u64(&l, 1, STATEMENT_NUMBER_MAX, &h.serial);
	rc = lines_finish(&l);
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
	char text[HELD_BYTES];

	(void)snprintf(text, sizeof(text), "pecia held 1\nrelease %s %llu\n",
	    h->channel, (unsigned long long)h->serial);
	return fsat_write_file(s->dir, HELD_NAME, 0600, text, strlen(text), e);
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
