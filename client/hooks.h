/* Programs of the operator's around each run: prerun_command and
 * postrun_command. */
#ifndef CLIENT_HOOKS_H
#define CLIENT_HOOKS_H

#include "common/config.h"
#include "common/words.h"

struct hooks {
	struct words prerun, postrun; /* empty: none */
	unsigned timeout_ms;
};

void hooks_init(struct hooks *h);
void hooks_release(struct hooks *h);
MUST_CHECK int hooks_take(
    const struct config_section *c, struct hooks *h, struct err *e);

/* 0 when there is none, or it ended well. */
MUST_CHECK int hooks_prerun(
    const struct hooks *h, const char *root, struct err *e);
MUST_CHECK int hooks_postrun(
    const struct hooks *h, const char *root, bool success, struct err *e);
/* The latter after `what` ended with rc and *e: returns how both ended, of two
 * errors the first. */
MUST_CHECK int hooks_conclude(const struct hooks *h, const char *root,
    const char *what, int rc, struct err *e);

#endif
