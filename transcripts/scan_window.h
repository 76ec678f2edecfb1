/* The window of a scan: entries in order, some of which wait for content that
 * other threads read.  Part of scan; scan_job_settled and scan_job_done of
 * scan.h are here. */
#ifndef TRANSCRIPTS_SCAN_WINDOW_H
#define TRANSCRIPTS_SCAN_WINDOW_H

#include "transcripts/scan.h"

struct window;

/* Takes the entries out, in order, in the thread that calls the window's
 * functions.  Of st, only what identifies a file for the stat cache and what a
 * manifest says is set. */
typedef int (*window_sink)(void *arg, struct manifest_entry *m,
    const struct fsat_stat *st, struct err *e);

MUST_CHECK int window_new(
    window_sink sink, void *arg, struct window **out, struct err *e);
/* Only when no job is open: after window_wait. */
void window_free(struct window *w);

/* An entry that is complete, but for what the sink takes from st.  Path,
 * target and xattrs are copied when it has to wait for those before it. */
MUST_CHECK int window_add(struct window *w, struct manifest_entry *m,
    const struct fsat_stat *st, struct err *e);
/* An entry that is complete when its job is done.  Takes fd over, also after
 * failure. */
MUST_CHECK int window_add_job(struct window *w, const struct manifest_entry *m,
    const struct fsat_stat *st, int fd, struct scan_job **job, struct err *e);
/* Waits for all jobs and lets all entries out. */
MUST_CHECK int window_finish(struct window *w, struct err *e);
/* Waits for all jobs. */
void window_wait(struct window *w);

#endif
