/* The verbs of pecia that look at or change this machine. */
#ifndef CLIENT_RUN_H
#define CLIENT_RUN_H

#include "client/options.h"
#include "client/session.h"
#include "client/settings.h"

enum {
	EXIT_SAME = 0,
	EXIT_FAILED = 1,
	EXIT_CHANGED = 2, /* with --detailed-exitcodes; verify: drift */
	EXIT_USAGE = 64,
};

/* Each returns the exit status and has said what there is to say. */
int run_init(const struct options *o, const struct settings *s);
int run_run(const struct options *o, const struct settings *s);
int run_status(const struct options *o, const struct settings *s);
int run_verify(const struct options *o, const struct settings *s);
int run_rollback(const struct options *o, const struct settings *s);
int run_bucket(const struct options *o, const struct settings *s);
int run_diff(const struct options *o, const struct settings *s);
int run_which(const struct options *o, const struct settings *s);

/* What verbs share: the exit status of a failure, which is said; descriptors
 * for a directory a level; a locked session with nothing interrupted left. */
int run_failed(const struct err *e);
void run_raise_open_files(void);
MUST_CHECK int run_open_recovered(
    const struct settings *s, struct session *session, struct err *e);

#endif
