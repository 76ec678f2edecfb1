/* Progress of long work: stages, each with what is done of how much, how fast,
 * and how long it will take.
 *
 * On a terminal one line on stderr that is written over a few times a second,
 * no wider than the terminal, and erased at the end.  Elsewhere nothing, or a log
 * line at LOG_INFO every ten seconds.  What is done within half a second is not
 * told.
 *
 *     p = progress_new(o->verbose, TERMINAL_AUTO);
 *     progress_begin(p, "fetching", "");
 *     progress_expect(p, 120, 4000000);
 *     progress_add(p, 1, 5000);   ...
 *     progress_free(p);
 *
 * Every function takes NULL. */
#ifndef COMMON_PROGRESS_H
#define COMMON_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/terminal.h"

struct progress;

/* `logs`: where there is no terminal, there are log lines.  NULL when there is
 * nothing to write to, or without memory. */
struct progress *progress_new(bool logs, enum terminal_color color);
void progress_free(struct progress *p);
/* A new stage: what is done, to which of several things ("" when there is
 * but one); counters start at 0, and nobody knows how much there is. */
void progress_begin(struct progress *p, const char *stage, const char *subject);
/* What holds it up, told in place of the stage until that is over ("") or a new
 * one begins. */
void progress_note(struct progress *p, const char *what, const char *subject);
/* How much there is; 0: unknown. */
void progress_expect(struct progress *p, uint64_t files, uint64_t bytes);
/* From any thread. */
void progress_add(struct progress *p, uint64_t files, uint64_t bytes);
void progress_set(struct progress *p, uint64_t files, uint64_t bytes);
/* Erases the line. */
void progress_end(struct progress *p);

/* ---- what it says ---- */

struct progress_state {
	const char *stage; /* and subject; any bytes */
	uint64_t files, bytes;
	uint64_t total_files, total_bytes; /* 0: unknown */
	uint64_t elapsed_ms;
};
/* "fetching: 12 of 90 files, 1.2 MB of 8.0 MB, 600.0 kB/s, 11 s left", cut to
 * so many columns.  Time left is told after a second, by bytes where their
 * number is known, else by files. */
void progress_line(
    struct buf *text, const struct progress_state *s, unsigned columns);
/* "45 s", "2 min 5 s", "3 h 12 min". */
void progress_time(struct buf *text, uint64_t seconds);

#endif
