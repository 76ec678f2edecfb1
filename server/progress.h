/* Progress of long work, on a terminal: one line on stderr that is written
 * again and again, and erased at the end.  Silent when stderr is no terminal.
 * Every function takes NULL. */
#ifndef SERVER_PROGRESS_H
#define SERVER_PROGRESS_H

#include <stdint.h>

struct progress;

/* NULL when stderr is no terminal, or without memory. */
struct progress *progress_new(void);
void progress_free(struct progress *p);
/* A new stage: what is done, to which of several things ("" when there is
 * but one); counters start at 0. */
void progress_begin(struct progress *p, const char *stage, const char *subject);
/* From any thread. */
void progress_add(struct progress *p, uint64_t files, uint64_t bytes);
void progress_set(struct progress *p, uint64_t files, uint64_t bytes);
/* Erases the line. */
void progress_end(struct progress *p);

#endif
