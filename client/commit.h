/* Commit: takes a journal's steps; the one place of the client that changes
 * names below the root. */
#ifndef CLIENT_COMMIT_H
#define CLIENT_COMMIT_H

#include "client/journal.h"
#include "common/progress.h"

/* Takes every step of the journal below `root`, then syncs.  May be called
 * again after a crash at any point. */
MUST_CHECK int commit_steps(
    int root, struct journal *j, struct progress *progress, struct err *e);

#endif
