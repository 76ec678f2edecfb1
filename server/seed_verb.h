/* `peciad seed`: opens what needs privilege, gives it up, and seeds. */
#ifndef SERVER_SEED_VERB_H
#define SERVER_SEED_VERB_H

#include "server/daemon_options.h"

/* Prints what was found. */
MUST_CHECK int seed_verb(const struct daemon_options *o, struct err *e);

#endif
