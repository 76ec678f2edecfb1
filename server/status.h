/* `peciad status`: asks the daemon that runs with this configuration, tells
 * what it says, and where none answers looks at the repository itself. */
#ifndef SERVER_STATUS_H
#define SERVER_STATUS_H

#include "server/daemon_options.h"

/* As monitoring has them. */
enum status_level {
	STATUS_OK,
	STATUS_WARNING,  /* it serves, but somebody should look */
	STATUS_CRITICAL, /* /healthz says failing */
	STATUS_UNKNOWN,  /* no daemon answers */
};

/* Prints to stdout and returns the level; ERR_* when that fails. */
MUST_CHECK int status_run(const struct daemon_options *o, struct err *e);

/* What a worker's /status document (with the members that status_run adds)
 * means; why gets the first reason, "" for STATUS_OK. */
struct json_value;
enum status_level status_judge(
    const struct json_value *doc, char *why, size_t size);

#endif
