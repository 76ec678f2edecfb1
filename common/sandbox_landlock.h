/* Inside the sandbox module only: the Landlock half, linux/landlock.h being a
 * matter of ABI versions. */
#ifndef COMMON_SANDBOX_LANDLOCK_H
#define COMMON_SANDBOX_LANDLOCK_H

#include "common/err.h"
#include "common/sandbox.h"

/* Makes the rules of s while paths may still be opened.  *rules gets a
 * descriptor for landlock_enforce, or -1 where there is no Landlock. */
MUST_CHECK int landlock_rules(
    const struct sandbox *s, int *rules, struct err *e);
/* From here on, for this thread and its children.  Needs no_new_privs.  Closes
 * rules. */
MUST_CHECK int landlock_enforce(int rules, struct err *e);

#endif
