/* The release that was rolled back on this machine: runs do not go forward to
 * it, nor to one before it, of their own accord. */
#ifndef CLIENT_HELD_H
#define CLIENT_HELD_H

#include "client/session.h"

struct held {
	char channel[LIMIT_NAME_BYTES + 1];
	uint64_t serial;
	char why[ERR_MSG_BYTES]; /* "": an operator wanted it so */
};
/* ERR_NOT_FOUND: none.  ERR_FORMAT: damaged. */
MUST_CHECK int held_read(
    const struct state *s, struct held *out, struct err *e);
MUST_CHECK int held_write(
    const struct state *s, const struct held *h, struct err *e);
/* Gives the one that is held a reason, for people; without one, nothing. */
MUST_CHECK int held_explain(
    const struct state *s, const char *why, struct err *e);
/* None any more. */
MUST_CHECK int held_forget(const struct state *s, struct err *e);
/* The serial that keeps this machine from the head's release (NULL: from any
 * newer one), or 0: none was rolled back, or it is applied again. */
uint64_t held_serial(const struct session *s, const struct head *head);
/* For tests. */
MUST_CHECK int held_parse(
    const void *text, size_t len, struct held *out, struct err *e);

#endif
