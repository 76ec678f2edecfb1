/* Command lines in configuration files: words with quotes, as an argument
 * vector.  No shell: nothing is expanded.
 *
 *     /usr/bin/systemctl reload "a unit.service"
 *
 * Blanks separate words; '...' takes all as it is, "..." all but \" and \\, and
 * outside of quotes a \ takes the next byte as it is. */
#ifndef COMMON_WORDS_H
#define COMMON_WORDS_H

#include <stddef.h>

#include "common/err.h"

struct words {
	char **list; /* ends with NULL; NULL when there are none */
	size_t count;
};
#define WORDS_INIT \
 {                 \
  NULL, 0          \
 }

/* 1 to LIMIT_ARGUMENTS words of LIMIT_TEXT_BYTES in all.  ERR_FORMAT, ERR_LIMIT;
 * what *out held is not released. */
MUST_CHECK int words_split(const char *text, struct words *out, struct err *e);
void words_release(struct words *w);
/* words_split, and the first is an absolute path. */
MUST_CHECK int words_command(
    const char *text, struct words *out, struct err *e);

#endif
