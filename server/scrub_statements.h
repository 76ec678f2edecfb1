/* What of a scrub is signed and not named by its digest: roots, roster, heads.
 * They are small. */
#ifndef SERVER_SCRUB_STATEMENTS_H
#define SERVER_SCRUB_STATEMENTS_H

#include "server/scrub.h"

/* Whether an error says that a file is wrong, or that the disk cannot read
 * it. */
bool scrub_is_damage(int ret, const struct err *e);
/* Loads the origin as far as it is right.  A wrong root is followed by nothing:
 * the others are judged once it is repaired. */
MUST_CHECK int scrub_statements(struct origin *o,
    const struct scrub_options *options, struct scrubbed *out, struct err *e);

#endif
