/* confirm_by = server: a machine that still reaches a server is not cut off. */
#ifndef CLIENT_REACH_H
#define CLIENT_REACH_H

#include "client/session.h"

/* Finds a server as a run does, in a process of its own that is ended after
 * limit_ms, and confirms what waits if there is one whose head is accepted.
 * Whether it did is in the state directory. */
void reach_and_confirm(const struct settings *s, uint64_t limit_ms);

#endif
