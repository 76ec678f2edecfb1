/* Probe: whether what is there can be given what the plan wants.  New things
 * show that while they are staged; what stays is changed only in the commit,
 * which must not fail, so an unnamed file beside it is tried first. */
#ifndef CLIENT_PROBE_H
#define CLIENT_PROBE_H

#include "client/plan.h"

/* Whether a file has to be made beside what the item changes. */
bool probe_is_beside(const struct plan_item *item);
/* After lift_off.  The error names path, attribute and what would waive it. */
MUST_CHECK int probe_plan(int root, const struct plan *p, struct err *e);

#endif
