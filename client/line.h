/* The daemon's line to a server: a fetcher that outlives the runs, so that one
 * connection serves them all, and between two of them holds a long poll for the
 * channel's head.
 *
 * The daemon starts and ends the fetcher and sees when it has said something;
 * only its forks speak with it, one at a time: the daemon parses nothing that
 * came from outside.  What a fork knows for the next one is in memory that all
 * share.
 *
 *     daemon   line_open; a fork; line_waits? line_fd; a fork; ... line_close
 *     fork     line_hear or line_call; for a run s->line = line, and with it
 *              line_lend, line_take_connection, line_take_head, line_keep
 *
 * A fork that does not get to the end of line_call or line_keep leaves a line
 * that does not wait; it is to be closed. */
#ifndef CLIENT_LINE_H
#define CLIENT_LINE_H

#include "client/session.h"

struct line;

MUST_CHECK int line_new(struct line **out, struct err *e);
/* Closes it.  NULL is fine. */
void line_free(struct line *l);

/* ---- in the daemon ---- */

/* Starts a fetcher that goes nowhere yet.  `settings` until line_close. */
MUST_CHECK int line_open(
    struct line *l, const struct settings *settings, struct err *e);
void line_close(struct line *l);
bool line_is_open(const struct line *l);
/* Before a fork that may speak: it has to say anew that it waits. */
void line_hand_over(struct line *l);
/* A long poll is held, whose answer shows at line_fd, some seconds after
 * LINE_WAIT_MS at the latest. */
bool line_waits(const struct line *l);
int line_fd(const struct line *l);
#define LINE_WAIT_MS 240000
/* Whether this child that ended is the fetcher. */
bool line_is_fetcher(const struct line *l, pid_t pid);
/* What the last fork said by line_begin_run; 0: nothing. */
uint64_t line_run_ms(const struct line *l);

/* ---- in a fork ---- */

/* Takes the answer.  true: a head that is not held, so that a run is to follow.
 * Else the poll is held again, unless the line is lost. */
bool line_hear(struct line *l);
/* From here on this fork is a run; not 0. */
void line_begin_run(struct line *l, uint64_t now_ms);
/* Connects and holds a poll, without a run. */
void line_call(struct line *l);

/* For a run; each may be called with NULL. */

/* s->fetch becomes the line's, for as long as s does not replace it.  false: the
 * line is none. */
bool line_lend(struct line *l, struct session *s);
/* Once: the server that the line is connected to already.  false: it is not. */
bool line_take_connection(struct line *l, struct fetch_peer *peer);
/* Once: the head that was heard, and whose key it came from. */
bool line_take_head(struct line *l, struct buf *bytes, struct digest *peer);
/* Holds a poll for what comes after the accepted head of s, with the server that
 * the run ended with. */
void line_keep(struct line *l, struct session *s);

#endif
