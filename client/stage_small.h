/* Small regular files of a stage: their content is gathered, and other threads
 * make them, those of one directory a batch at a time.  Most of a first pull is
 * the kernel making files, which as many processors as there are can do at
 * once.  On one processor the caller makes them, in the order in which they
 * came. */
#ifndef CLIENT_STAGE_SMALL_H
#define CLIENT_STAGE_SMALL_H

#include "client/plan.h"

/* So long a file is gathered at most; so many threads make files at most. */
#define STAGE_SMALL_BYTES   ((size_t)64 * 1024)
#define STAGE_SMALL_THREADS 4

struct stage_small;

/* `plan` must outlive it. */
MUST_CHECK int stage_small_new(
    const struct plan *plan, struct stage_small **out, struct err *e);
/* Waits for what is under way; its errors are lost, and what was not passed on
 * yet is not made. */
void stage_small_free(struct stage_small *s);

/* Whether it makes such a file. */
bool stage_small_takes(const struct plan_item *item);

/* One file: begin, write.., end, which says that its content is right; one that
 * is begun and not ended is forgotten by the next begin.  dir, which is
 * borrowed, is where its stage will be; `place` is another number whenever dir
 * is another directory (dirstack_moves).  ERR_* also of files before it. */
MUST_CHECK int stage_small_begin(
    struct stage_small *s, int dir, uint64_t place, struct err *e);
MUST_CHECK int stage_small_write(
    struct stage_small *s, const void *data, size_t len, struct err *e);
void stage_small_end(struct stage_small *s, const struct plan_item *item);

/* Until all that were ended are made: 0, or the first error of any. */
MUST_CHECK int stage_small_settle(struct stage_small *s, struct err *e);

#endif
