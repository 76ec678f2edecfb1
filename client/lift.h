/* Lift: takes off, before anything is staged, what would forbid the changes of
 * a plan: flags of chattr on what changes, goes or holds what does, and a
 * directory's read-only mode, which stops an ordinary user.  The commit's last
 * steps put back what stays, or set what the release wants instead. */
#ifndef CLIENT_LIFT_H
#define CLIENT_LIFT_H

#include "client/plan.h"

/* Name in the state directory. */
#define LIFT_NAME "lifted"

/* Before staging: finds what there is, notes it durably, fills the plan's
 * list, takes it off. */
MUST_CHECK int lift_off(int state, int root, struct plan *p, struct err *e);
/* Before stages are removed after a crash: a power cut may have left what was
 * staged, and not that its directory was opened for it.  What cannot be taken
 * off is told by whoever it is in the way of. */
void lift_again(int state, int root);
/* After stages are gone: puts all back that is still there, durably, and
 * forgets it.  0 when nothing is noted. */
MUST_CHECK int lift_restore(int state, int root, struct err *e);
/* The commit is under way.  0 when nothing is noted. */
MUST_CHECK int lift_forget(int state, struct err *e);

#endif
