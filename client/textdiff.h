/* The difference of two texts, for people: what diff(1) says. */
#ifndef CLIENT_TEXTDIFF_H
#define CLIENT_TEXTDIFF_H

#include "common/err.h"

/* A descriptor (not owned; < 0: an empty text) of a regular file, and what it
 * is called. */
struct textdiff_side {
	int fd;
	const char *label;
};
/* Unified, on standard output, which is flushed first.  ERR_NOT_FOUND: there
 * is no diff here. */
MUST_CHECK int textdiff_print(const struct textdiff_side *old,
    const struct textdiff_side *new_side, struct err *e);

#endif
