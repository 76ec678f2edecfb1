/* What a stream shows to people: colours, lines that are written over, width.
 * Pure but for the functions of a descriptor. */
#ifndef COMMON_TERMINAL_H
#define COMMON_TERMINAL_H

#include <stdbool.h>

#include "common/err.h"

enum terminal_color { /* --color WHEN */
	TERMINAL_AUTO,
	TERMINAL_ALWAYS,
	TERMINAL_NEVER,
};
/* "auto", "always" or "never"; ERR_USAGE for all else. */
MUST_CHECK int terminal_parse_color(
    const char *text, enum terminal_color *out, struct err *e);

/* Whether output is coloured.  For TERMINAL_AUTO: on a terminal, unless the
 * variable NO_COLOR is set and not empty (no-color.org) or TERM is "dumb", ""
 * or not set.  The last two are the variables' values or NULL. */
bool terminal_may_color(enum terminal_color when, bool is_terminal,
    const char *no_color, const char *term);
/* The same of a descriptor and the environment. */
bool terminal_has_color(enum terminal_color when, int fd);

/* Whether lines can be written over there: a terminal that is not dumb. */
bool terminal_has_lines(int fd);
/* Columns of the terminal, 80 when it does not say. */
unsigned terminal_columns(int fd);

/* SGR sequences, all ended by TERMINAL_PLAIN. */
#define TERMINAL_PLAIN  "\033[0m"
#define TERMINAL_BOLD   "\033[1m"
#define TERMINAL_RED    "\033[31m"
#define TERMINAL_GREEN  "\033[32m"
#define TERMINAL_YELLOW "\033[33m"
#define TERMINAL_CYAN   "\033[36m"

#endif
