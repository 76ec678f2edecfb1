/* The process that rolls back what nobody confirms, when nothing else of pecia
 * runs any more.
 *
 * It is forked before a run begins, so that it has the program, the libraries
 * and the settings from before the change whatever that replaces, holds neither
 * lock nor memory of the run, and waits: first for the word that there is
 * something to watch, then until the time of that is over.  It has a session of
 * its own and no terminal, and logs to syslog(3) unless standard error is the
 * journal.  If it is ended, the next command that takes the lock does its
 * work. */
#ifndef CLIENT_WATCHER_H
#define CLIENT_WATCHER_H

#include "client/kept.h"
#include "client/session.h"

struct watcher {
	int fd; /* -1: none */
};
#define WATCHER_INIT \
 {                   \
  -1                 \
 }

MUST_CHECK int watcher_start(
    const struct settings *s, struct watcher *out, struct err *e);
/* Before the commit of a change to `now`: records that it waits and tells
 * s->watcher, which from then on outlives us; without one, forgets what was
 * recorded of an earlier change. */
MUST_CHECK int watcher_tell(
    const struct session *s, const struct kept_release *now, struct err *e);
/* One that was not told anything ends. */
void watcher_release(struct watcher *w);

#endif
