/* Paths that an operator names, of things on this machine. */
#ifndef CLIENT_OPERAND_H
#define CLIENT_OPERAND_H

#include <stdbool.h>

#include "common/err.h"
#include "common/limits.h"

/* Absolute, or relative to the root that is applied to: in `out` without
 * slashes at its ends, "." for the root.  ERR_USAGE: it cannot be one. */
MUST_CHECK int operand_path(
    const char *text, char out[LIMIT_PATH_BYTES + 1], struct err *e);
/* Whether the path is `top` or below it. */
bool operand_within(const char *path, const char *top);

#endif
