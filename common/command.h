/* Command: runs a program with an argument vector and no shell, in a process
 * group of its own and an environment that is the same everywhere, and keeps
 * what it prints.
 *
 * The environment is PATH, LANG=C.UTF-8, HOME=/ and what the caller adds;
 * standard input is empty, the directory is /.  What it leaves running in the
 * background goes on, but for a time-out, which ends the whole group. */
#ifndef COMMON_COMMAND_H
#define COMMON_COMMAND_H

#include <stdbool.h>

#include "common/buf.h"

struct command {
	char *const *argv;      /* ends with NULL; argv[0] is absolute */
	const char *const *env; /* "KEY=value", ends with NULL; or NULL */
	unsigned timeout_ms;
};
#define COMMAND_ENV_MAX 16 /* of command.env */

struct command_result {
	int status; /* its exit status, or 128 and the signal that ended it */
	bool timed_out;
	struct buf output; /* both streams, the first LIMIT_COMMAND_OUTPUT */
	bool cut;          /* there was more */
	double seconds;
};

void command_result_init(struct command_result *r);
void command_result_release(struct command_result *r);

/* Returns once it has ended.  An error says that it could not be started; how
 * it ended is in the result. */
MUST_CHECK int command_run(
    const struct command *c, struct command_result *result, struct err *e);
/* ERR_CONFLICT, with the last line that was printed, unless it ended with 0. */
MUST_CHECK int command_check(const struct command *c,
    const struct command_result *r, const char *what, struct err *e);

#endif
