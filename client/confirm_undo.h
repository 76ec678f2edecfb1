/* What becomes of a change that waits to be confirmed, in a session: run by
 * whoever has the lock first once its time is over. */
#ifndef CLIENT_CONFIRM_UNDO_H
#define CLIENT_CONFIRM_UNDO_H

#include "client/confirm.h"
#include "client/session.h"

/* Rolls back what was not confirmed in time, and runs postrun_command as after
 * a run.  The session is locked and has nothing interrupted; *undone: it is to
 * be opened anew.  After an error, or a crash, it goes on where it was when it
 * is called again.  A damaged record changes nothing. */
MUST_CHECK int confirm_settle(struct session *s, bool *undone, struct err *e);

/* ERR_CONFLICT says that a change waits (*waits), or what is wrong with the
 * record: nothing else is to be changed. */
MUST_CHECK int confirm_check(
    const struct session *s, bool *waits, struct err *e);
/* ERR_CONFLICT: the newest kept run is the rollback of what was not confirmed,
 * so that to undo it would bring that back. */
MUST_CHECK int confirm_check_undone(const struct session *s, struct err *e);

/* The serial of the applied release, when mending the machine to the head's
 * was what was not confirmed; or 0. */
uint64_t confirm_held(const struct session *s, const struct head *head);

/* For status: waiting, undoing, or undone and not yet history.  *left_ms: 0 when
 * the time is over. */
void confirm_look(
    const struct session *s, struct confirm *out, uint64_t *left_ms);

#endif
