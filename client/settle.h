/* Settle: what follows a commit, now or after a crash.  The triggers that are
 * due are run, then the checks of the release that is applied; where they fail
 * after a change to another release, the machine is rolled back. */
#ifndef CLIENT_SETTLE_H
#define CLIENT_SETTLE_H

#include "client/kept.h"
#include "client/outcomes.h"
#include "client/settings.h"
#include "client/state.h"

struct settled {
	struct outcomes outcomes;
	bool rolled_back;
	uint64_t left;          /* the serial that was rolled back */
	struct kept_release to; /* what the machine is again */
};
#define SETTLED_INIT                   \
 {                                     \
  .outcomes = OUTCOMES_INIT, .left = 0 \
 }
void settled_release(struct settled *s);

/* The caller holds the lock; nothing is interrupted.  ERR_CONFLICT says which
 * trigger or check failed, and whether the machine was rolled back. */
MUST_CHECK int settle_run(
    const struct settings *set, struct settled *out, struct err *e);
/* The same, if a crash left something due. */
MUST_CHECK int settle_rest(const struct settings *set, const struct state *s,
    struct settled *out, struct err *e);
/* Only the triggers: after a rollback. */
MUST_CHECK int settle_triggers(const struct settings *set,
    const struct state *s, struct settled *out, struct err *e);

#endif
