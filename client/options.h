/* The command line of pecia, as a pure function over two tables: commands and
 * options (options_table.h). */
#ifndef CLIENT_OPTIONS_H
#define CLIENT_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "common/terminal.h"

enum verb {
	VERB_NONE,
	VERB_HELP,
	VERB_VERSION,
	VERB_INIT,
	VERB_RUN,
	VERB_PLAN,
	VERB_STATUS,
	VERB_VERIFY,
	VERB_ROLLBACK,
	VERB_BUCKET,
	VERB_DIFF,
	VERB_WHICH,
	VERB_DISABLE,
	VERB_ENABLE,
	VERB_CONFIRM,
	VERB_DAEMON,
};

struct options {
	enum verb verb;
	char *const *operands; /* what follows the command, in argv */
	size_t operand_count;
	const char *config;       /* NULL: the default, which may be missing */
	const char *root, *state; /* NULL: not given */
	const char *anchor;
	const char *server, *channel, *host;
	const char *max_delete;
	const char *runinterval, *splay; /* daemon */
	bool follow;
	const char *plan; /* the one that run is held to */
	const char *to;   /* rollback: a serial; bucket: a file */
	const char *what; /* bucket: list, get, diff or restore */
	const char *path; /* bucket, diff, which; NULL: not given */
	bool serial_given, kept_given;
	uint64_t serial, kept; /* bucket; serial: rollback too, from to */
	bool retry;
	bool noop, detailed_exitcodes, json, verbose;
	unsigned confirm_s;
	bool confirm_given;
	enum terminal_color color;
	unsigned wait_ms; /* for the lock */
	bool wait_given;
};

/* ERR_USAGE says what is wrong. */
MUST_CHECK int options_parse(
    int argc, char *const argv[], struct options *out, struct err *e);
/* The text of --help. */
void options_help(struct buf *text);

#endif
