/* Why the last run failed, until one does not: for `pecia status`. */
#ifndef CLIENT_FAILURE_H
#define CLIENT_FAILURE_H

#include "client/state.h"

#define FAILURE_BYTES 2048

/* What cannot be noted is logged. */
void failure_note(const struct state *s, time_t now, const struct err *why);
void failure_forget(const struct state *s);
/* One line; "" when the last run did not fail. */
void failure_read(const struct state *s, char text[FAILURE_BYTES]);

#endif
