/* Paths that no run touches: what differs there is kept out of the plan, and
 * noted in it. */
#ifndef CLIENT_PROTECT_H
#define CLIENT_PROTECT_H

#include "client/guard.h"
#include "client/plan.h"

struct protect {
	const struct guard *guard;
	struct plan *plan;
};

/* A compare_fn: plan_add for what is not protected, plan_spare for what is. */
MUST_CHECK int protect_add(
    void *protect, const struct compare_diff *diff, struct err *e);
/* After the last difference: what leads to a protected path is not deleted
 * either.  ERR_UNSUPPORTED: something else is to take its place. */
MUST_CHECK int protect_finish(struct protect *p, struct err *e);

#endif
