/* Colours and widths. */
#include "common/terminal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define COLUMNS 80

int
terminal_parse_color(const char *text, enum terminal_color *out, struct err *e)
{
	static const struct {
		const char *word;
		enum terminal_color when;
	} rows[] = {
		{ "auto", TERMINAL_AUTO },
		{ "always", TERMINAL_ALWAYS },
		{ "never", TERMINAL_NEVER },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (strcmp(text, rows[i].word) == 0) {
			*out = rows[i].when;
			return 0;
		}
	return err_set(
	    e, ERR_USAGE, "--color %s: not auto, always or never", text);
}

static bool
is_dumb(const char *term)
{
	return term == NULL || term[0] == '\0' || strcmp(term, "dumb") == 0;
}

bool
terminal_may_color(enum terminal_color when, bool is_terminal,
    const char *no_color, const char *term)
{
	if (when != TERMINAL_AUTO)
		return when == TERMINAL_ALWAYS;
	return is_terminal && (no_color == NULL || no_color[0] == '\0') &&
	    !is_dumb(term);
}

bool
terminal_has_color(enum terminal_color when, int fd)
{
	return terminal_may_color(
	    when, isatty(fd) == 1, getenv("NO_COLOR"), getenv("TERM"));
}

bool
terminal_has_lines(int fd)
{
	return isatty(fd) == 1 && !is_dumb(getenv("TERM"));
}

unsigned
terminal_columns(int fd)
{
	struct winsize size;

	return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0
	    ? size.ws_col
	    : COLUMNS;
}
