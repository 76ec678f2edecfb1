/* Which triggers a rollback is followed by. */
#ifndef CLIENT_ROLLBACK_DUE_H
#define CLIENT_ROLLBACK_DUE_H

#include "client/due.h"
#include "client/kept.h"
#include "client/plan.h"
#include "client/session.h"

/* The `after` triggers that the plan calls for: of the release that the machine
 * is to be again, then of the one that it leaves, those of other names: what
 * only that one has to say of a path holds for taking the path away too. */
MUST_CHECK int rollback_due(const struct session *s, const struct plan *plan,
    const struct kept_release *to, struct due *out, struct err *e);

#endif
