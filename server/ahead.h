/* Whether somebody else publishes: what the mirrors of the roster have that is
 * newer than what is here.  An origin asks before it signs, so that one that
 * comes back after another was promoted learns it. */
#ifndef SERVER_AHEAD_H
#define SERVER_AHEAD_H

#include "server/origin.h"

struct ahead {
	unsigned asked, answered; /* mirrors */
};

/* Asks up to LIMIT_LOOK_MIRRORS mirrors that have addresses and another key
 * than `self` (may be NULL), each site's first before its others, all at once,
 * for LIMIT_LOOK_MS together, for their heads of `channel`, or, if it is NULL, of
 * all that the roster has.  Who does not answer in time, or nothing that is signed, does not count.
 * ERR_CONFLICT, with who and what, when one has a newer head, root or roster,
 * or another release of the same serial.  Nothing is written. */
MUST_CHECK int ahead_look(struct origin *o, const char *channel,
    const struct digest *self, struct ahead *out, struct err *e);

#endif
