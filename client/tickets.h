/* The file `tickets` of the state directory (0600): TLS sessions that servers
 * gave, for the next run.  A run that talks to servers takes the file away with
 * what is in it, for a ticket is used once, and leaves what came in place. */
#ifndef CLIENT_TICKETS_H
#define CLIENT_TICKETS_H

#include "client/state.h"

struct sessions;

/* The caller frees them, with sessions_free.  NULL is without: out of memory.
 * A file that is missing, damaged or cannot be read is an empty one. */
struct sessions *tickets_take(const struct state *s);
/* After fetch_stop.  What cannot be written costs a full handshake. */
void tickets_leave(const struct state *s, const struct sessions *sessions);

#endif
