/* Write-behind: while much is written, a thread syncs its file system now and
 * then, and begins to write long files out in between, so that the disk works
 * meanwhile and the sync at the end has little left.  On one processor nothing
 * is done. */
#ifndef COMMON_WRITE_BEHIND_H
#define COMMON_WRITE_BEHIND_H

#include <stdint.h>

#include "common/err.h"

/* Each time that so much was written. */
#define WRITE_BEHIND_BYTES ((uint64_t)64 * 1024 * 1024)

struct write_behind;

/* `dir`, of the file system, stays the caller's and must remain open; it may be
 * a name only (as of fsat_hold_dir). */
MUST_CHECK int write_behind_new(
    int dir, struct write_behind **out, struct err *e);
/* Waits for what is under way; its error is lost. */
void write_behind_free(struct write_behind *w);

/* So many bytes more; from any thread. */
void write_behind_note(struct write_behind *w, uint64_t bytes);
/* That file, which is written: its content begins its way to the disk, unless the
 * thread has something to do already.  It may be closed at once. */
void write_behind_file(struct write_behind *w, int fd);
/* Waits.  0, or why a sync failed: the one at the end does not tell again. */
MUST_CHECK int write_behind_settle(struct write_behind *w, struct err *e);

#endif
