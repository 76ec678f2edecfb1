/* The operator's word that runs are to change nothing for now: a file of the
 * state directory, `disabled`, with when and why. */
#ifndef CLIENT_DISABLE_H
#define CLIENT_DISABLE_H

#include "client/state.h"
#include "common/text.h"

#define DISABLE_MESSAGE_BYTES 512

struct disable {
	char when[TEXT_TIME_BYTES];
	char message[DISABLE_MESSAGE_BYTES]; /* "" when none was given */
};

/* Replaces an earlier word.  ERR_USAGE: a message that is too long, or no one
 * line of text. */
MUST_CHECK int disable_set(
    const struct state *s, time_t now, const char *message, struct err *e);
/* *was: there was something to forget. */
MUST_CHECK int disable_clear(const struct state *s, bool *was, struct err *e);
/* *disabled false: runs may change things.  A damaged file disables too. */
MUST_CHECK int disable_read(
    const struct state *s, bool *disabled, struct disable *out, struct err *e);

#endif
