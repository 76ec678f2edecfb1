/* The commands of pecia; a file each, or a group. */
#ifndef CLIENT_VERBS_H
#define CLIENT_VERBS_H

#include "client/options.h"
#include "client/session.h"

enum {
	EXIT_SAME = 0,
	EXIT_FAILED = 1,
	EXIT_CHANGED = 2, /* with --detailed-exitcodes; verify: drift */
	EXIT_DISABLED = 3,
	/* With --detailed-exitcodes: nothing was to change, or all is changed,
	 * and what came then failed. */
	EXIT_AFTER_FAILED = 4,
	EXIT_OTHER_PLAN = 5,
	EXIT_WAITING = 7, /* a change waits to be confirmed */
	EXIT_NOTHING = 8, /* confirm: none does */
	EXIT_CHANGED_FAILED = 6,
	EXIT_USAGE = 64,
	EXIT_BUSY = 75, /* another run is under way */
};

/* Each returns the exit status and has said what there is to say. */
typedef int verb_fn(const struct options *o, const struct settings *s);
verb_fn verb_bucket;
verb_fn verb_confirm;
verb_fn verb_diff;
verb_fn verb_which;
verb_fn verb_daemon;
verb_fn verb_disable;
verb_fn verb_enable;
verb_fn verb_init;
verb_fn verb_run; /* and plan */
verb_fn verb_rollback;
verb_fn verb_status;
verb_fn verb_verify;

/* verb_run over a line that is open, or NULL: client/line.h. */
int run_on_line(
    const struct options *o, const struct settings *s, struct line *line);
/* The verb's function; NULL for help and version. */
verb_fn *verb_find(enum verb verb);
/* Says why on standard error and returns the exit status for it. */
int verb_failed(const struct err *e);
/* A locked session with nothing interrupted left, nor anything that was not
 * confirmed in time. */
MUST_CHECK int verb_open_recovered(
    const struct settings *s, struct session *session, struct err *e);
/* The same, but for what waits to be confirmed. */
MUST_CHECK int verb_open_unsettled(
    const struct settings *s, struct session *session, struct err *e);
/* For long work; NULL where none is shown. */
struct progress *verb_progress(const struct options *o);
/* A directory a level is held open while trees are compared. */
void verb_raise_open_files(void);

#endif
