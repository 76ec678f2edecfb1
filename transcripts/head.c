/* Heads of channels.  An origin signs them over and over; every process reads
 * them. */
#include "transcripts/head.h"

#include "common/text.h"
#include "transcripts/lines.h"
#include "transcripts/statement.h"

static void
parse_fields(struct lines *l, struct head *h)
{
	lines_header(l);
	lines_begin(l, "channel");
	lines_name(l, h->channel);
	lines_begin(l, "serial");
	lines_u64(l, 1, STATEMENT_NUMBER_MAX, &h->serial);
	lines_begin(l, "release");
	lines_digest(l, &h->release);
	lines_u64(l, 1, LIMIT_RELEASE_BYTES, &h->release_bytes);
	lines_begin(l, "root");
	lines_u64(l, 1, STATEMENT_NUMBER_MAX, &h->root_version);
	lines_begin(l, "roster");
	lines_u64(l, 0, STATEMENT_NUMBER_MAX, &h->roster_version);
	lines_begin(l, "issued");
	lines_time(l, &h->issued);
	lines_begin(l, "expires");
	lines_time(l, &h->expires);
	if (h->expires < h->issued)
		lines_fail(l, ERR_FORMAT, "before it was issued");
}

int
head_parse(const char *body, size_t len, struct head *out, struct err *e)
{
	struct head h = { 0 };
	struct buf again;
	struct lines l;
	int rc;

	lines_init(&l, "head", body, len, e);
	parse_fields(&l, &h);
	rc = lines_finish(&l);
	if (rc != 0)
		return rc;
	buf_init(&again, len);
	head_write(&again, &h);
	rc = lines_same(&again, "head", body, len, e);
	if (rc == 0)
		*out = h;
	return rc;
}

void
head_write(struct buf *text, const struct head *h)
{
	char release[DIGEST_HEX], issued[TEXT_TIME_BYTES];
	char expires[TEXT_TIME_BYTES];

	digest_hex(&h->release, release);
	text_time(issued, h->issued);
	text_time(expires, h->expires);
	buf_addf(text, "pecia head 1\nchannel %s\nserial %llu\n", h->channel,
	    (unsigned long long)h->serial);
	buf_addf(text, "release %s %llu\nroot %llu\nroster %llu\n", release,
	    (unsigned long long)h->release_bytes,
	    (unsigned long long)h->root_version,
	    (unsigned long long)h->roster_version);
	buf_addf(text, "issued %s\nexpires %s\n", issued, expires);
}

int
head_read(const struct root *root, const char *channel, const void *data,
    size_t len, struct head *out, struct err *e)
{
	struct statement s;
	struct head h;
	int rc;

	if (len > LIMIT_HEAD_BYTES)
		return err_set(e, ERR_LIMIT, "head: %zu bytes, %d at most", len,
		    LIMIT_HEAD_BYTES);
	rc = root_verify(root, ROOT_ROLE_HEAD, data, len, &s, e);
	if (rc == 0)
		rc = head_parse(s.body, s.body_len, &h, e);
	if (rc != 0)
		return err_prefix(e, "head of channel %.64s", channel);
	if (strcmp(h.channel, channel) != 0)
		return err_set(e, ERR_VERIFY,
		    "head: of channel %s, not of the channel asked for, %.64s",
		    h.channel, channel);
	*out = h;
	return 0;
}

bool
head_peek(const struct buf *bytes, struct head *out)
{
	struct statement s;

	return statement_split(bytes->data, bytes->len, &s, NULL) == 0 &&
	    head_parse(s.body, s.body_len, out, NULL) == 0;
}
