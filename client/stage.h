/* Staging: makes everything a plan adds, complete with owner, attributes, mode
 * and time, under names that nobody reads yet. */
#ifndef CLIENT_STAGE_H
#define CLIENT_STAGE_H

#include "client/plan.h"
#include "client/syncs.h"

struct stage;

/* `plan` and `root` must outlive it. */
MUST_CHECK int stage_new(
    int root, struct plan *plan, struct stage **out, struct err *e);
void stage_free(struct stage *s);

/* Directories, symlinks, fifos and devices; empty files too. */
MUST_CHECK int stage_frame(struct stage *s, struct err *e);

/* One regular file's content, with holes for zeros where the manifest says that
 * it has any: begin, write.., then end, or abandon, which
 * removes it (and does nothing when begin failed).  The caller has checked the content before it calls end. */
MUST_CHECK int stage_file_begin(
    struct stage *s, struct plan_item *item, struct err *e);
MUST_CHECK int stage_file_write(
    struct stage *s, const void *data, size_t len, struct err *e);
MUST_CHECK int stage_file_end(struct stage *s, struct err *e);
MUST_CHECK int stage_file_abandon(struct stage *s, struct err *e);
/* The same content as an item that is staged already, copied in the kernel. */
MUST_CHECK int stage_file_copy(struct stage *s, const struct plan_item *from,
    struct plan_item *item, struct err *e);

/* `len` bytes from one file to another in the kernel, which shares them where
 * the file system can; `path` is for messages. */
MUST_CHECK int stage_copy_content(
    int from, int to, uint64_t len, const char *path, struct err *e);

/* When every file is there: hard links, then metadata of staged directories,
 * deepest first.  *syncs, empty, gets the file systems that are to be synced. */
MUST_CHECK int stage_finish(
    struct stage *s, struct syncs *syncs, struct err *e);
/* Waits for what is written to disk behind it, for the caller to sync the rest;
 * other work goes on until then. */
MUST_CHECK int stage_settle(struct stage *s, struct err *e);

#endif
