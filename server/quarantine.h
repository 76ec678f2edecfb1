/* Files that were found wrong: moved to REPO/quarantine/<their path>, for a
 * person to look at, and never served.  At most LIMIT_QUARANTINE_FILES and
 * LIMIT_QUARANTINE_BYTES; those that were replaced make room. */
#ifndef SERVER_QUARANTINE_H
#define SERVER_QUARANTINE_H

#include "transcripts/repo.h"

/* Moves the file at `path` if it still is the one that fd holds, else *moved
 * is false: it was replaced meanwhile.  Durable when it returns.  The caller
 * holds the lock.  ERR_LIMIT: it does not fit, and stays where it is. */
MUST_CHECK int quarantine_put(
    struct repo *r, const char *path, int fd, bool *moved, struct err *e);
/* Whether a file of this path is in it. */
MUST_CHECK int quarantine_has(
    struct repo *r, const char *path, bool *has, struct err *e);
/* Calls fn with the path of each; an error of it ends the walk. */
MUST_CHECK int quarantine_each(struct repo *r,
    int (*fn)(void *arg, const char *path, uint64_t size_bytes, struct err *e),
    void *arg, struct err *e);

#endif
