/* Commit: takes a journal's steps; the one place of the client that changes
 * names below the root. */
#ifndef CLIENT_COMMIT_H
#define CLIENT_COMMIT_H

#include "client/journal.h"
#include "client/syncs.h"
#include "common/progress.h"

/* Takes every step of the journal below `root`; *syncs gets the file systems
 * that are to be synced before the journal goes.  May be called again after a
 * crash at any point. */
MUST_CHECK int commit_steps(int root, struct journal *j, struct syncs *syncs,
    struct progress *progress, struct err *e);

#endif
