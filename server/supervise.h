/* The supervisor of peciad: opens what needs privilege, starts the processes
 * that do the work, starts them again when they end, and reads nothing that
 * comes from outside. */
#ifndef SERVER_SUPERVISE_H
#define SERVER_SUPERVISE_H

#include "server/daemon_options.h"

/* Until SIGTERM or SIGINT.  Prints "ready ADDR:PORT..." (and tells systemd)
 * once it listens.  o is of daemon_options_load with these arguments; SIGHUP
 * puts what they and the file say then in its place. */
MUST_CHECK int supervise(
    int argc, char *const argv[], struct daemon_options *o, struct err *e);

#endif
