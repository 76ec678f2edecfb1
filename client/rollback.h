/* Rollback: the machine becomes what it was before a kept run, by the same
 * transaction as a run and without the network.  It is a kept run itself. */
#ifndef CLIENT_ROLLBACK_H
#define CLIENT_ROLLBACK_H

#include "client/apply.h"

struct rollback_target {
	bool is_serial; /* else: to before the newest kept run */
	uint64_t serial;
};

/* The kept run to go back to before.  ERR_NOT_FOUND says what is kept;
 * ERR_USAGE: that release is applied. */
MUST_CHECK int rollback_find(const struct session *s,
    const struct rollback_target *t, uint64_t *number, struct err *e);

/* What that would change, into the empty plan; *to is what the machine would
 * be then. */
MUST_CHECK int rollback_plan(struct session *s, uint64_t number,
    struct plan *plan, struct kept_release *to, struct err *e);

/* Carries such a plan out, and holds the release back that is left.  The
 * session, which is locked and has nothing interrupted, must be opened anew
 * afterwards.  Triggers are due then: settle.h. */
MUST_CHECK int rollback_apply(struct session *s, struct plan *plan,
    const struct kept_release *to, struct err *e);

/* All three, for those that have no plan to show: to before the newest kept
 * run. */
MUST_CHECK int rollback_last(
    struct session *s, struct kept_release *to, struct err *e);

#endif
