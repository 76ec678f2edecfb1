/* Update: finds a server and learns from it what this machine should be; the
 * signed statements only.  Changes nothing but the trust store. */
#ifndef CLIENT_UPDATE_H
#define CLIENT_UPDATE_H

#include "client/session.h"

/* Starts the fetcher, or takes the one of s->line: all that update_find does
 * before it goes to a server. */
MUST_CHECK int update_begin(struct session *s, struct err *e);

/* Begins, and goes through the candidates until one has a head that
 * the trust store accepts.  On success s->head, release, profile, peer and
 * site are set.  ERR_NET: no candidate would do; the message has what each
 * said. */
MUST_CHECK int update_find(struct session *s, struct err *e);

/* The next candidate that the roster knows, for when the present one failed
 * with `why` in the middle.  ERR_NET when there is none left. */
MUST_CHECK int update_next_server(
    struct session *s, const struct err *why, struct err *e);
/* No server is needed any more: counts what came, and lets the fetcher end while
 * the run goes on. */
void update_end(struct session *s);

#endif
