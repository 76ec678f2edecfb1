/* The supervisor of peciad: opens what needs privilege, starts the processes
 * that do the work, starts them again when they end, and reads nothing that
 * comes from outside. */
#ifndef SERVER_SUPERVISE_H
#define SERVER_SUPERVISE_H

#include "server/daemon_options.h"

/* Until SIGTERM or SIGINT.  Prints "ready ADDR:PORT..." (and tells systemd)
 * once it listens. */
MUST_CHECK int supervise(const struct daemon_options *o, struct err *e);

#endif
