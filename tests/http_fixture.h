/* A server for the tests of common/http_server: a child process with one
 * handler that can do all that handlers do. */
#ifndef TESTS_HTTP_FIXTURE_H
#define TESTS_HTTP_FIXTURE_H

#include <sys/types.h>

#include "common/http_server.h"

#define BIG_BYTES ((uint64_t)64 << 20)

/* Written by the server process, read by the test. */
struct web_shared {
	struct http_counters counters;
	_Atomic uint64_t done, broken, handled, released;
	_Atomic uint64_t hangups, ticks, watched;
	_Atomic uint64_t last_status, last_bytes, stopping_wakes;
};

/* Of the test's own process; set by fixture_set_up and fixture_start. */
extern struct web_shared *shared;
extern uint16_t port;
extern pid_t server_pid;
extern int pipe_fds[2]; /* the server watches one end */

/* A checked fixture: memory to share and a file to serve. */
void fixture_set_up(void);
/* Listening socket and handlers are filled in. */
void fixture_start(struct http_options options);

#endif
