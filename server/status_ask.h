/* Where `peciad status` knows from. */
#ifndef SERVER_STATUS_ASK_H
#define SERVER_STATUS_ASK_H

#include "common/json.h"
#include "server/daemon_options.h"

/* The document of the daemon that listens where the options say, and has the
 * key that they name.  ERR_NET and others: none answers. */
MUST_CHECK int status_ask(
    const struct daemon_options *o, struct json **out, struct err *e);
/* What the repository shows by itself: the same, without what only a daemon
 * knows. */
MUST_CHECK int status_look(
    const struct daemon_options *o, struct json **out, struct err *e);
/* Adds the names of what is signed twice; nothing where it may not be read. */
void status_add_evidence(const struct daemon_options *o, struct json *doc);

#endif
