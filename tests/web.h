/* A server for the tests of common/http_server: a child process with one
 * handler that can do all that handlers do. */
#ifndef TESTS_WEB_H
#define TESTS_WEB_H

#include <sys/types.h>

#include "common/http_server.h"

#define BIG_BYTES ((uint64_t)64 << 20)

/* Written by the server process, read by the test. */
struct web_shared {
	struct http_counters counters;
	_Atomic uint64_t done, broken, handled, released;
	_Atomic uint64_t hangups, ticks, watched;
	_Atomic uint64_t stopping_wakes;
};

/* Of the test's own process; set by web_set_up and web_start. */
extern struct web_shared *web_shared;
extern uint16_t web_port;
extern pid_t web_pid;
extern int web_pipe[2]; /* the server watches one end */

/* A checked fixture: memory to share and a file to serve. */
void web_set_up(void);
/* Listening socket and handlers are filled in. */
void web_start(struct http_options options);

#endif
