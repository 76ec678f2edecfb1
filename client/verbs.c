/* Which function a command is. */
#include "client/verbs.h"

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "client/apply.h"
#include "client/confirm_undo.h"
#include "common/log.h"

verb_fn *
verb_find(enum verb verb)
{
	static const struct {
		enum verb verb;
		verb_fn *fn;
	} rows[] = {
		{ VERB_INIT, verb_init },
		{ VERB_ROLLBACK, verb_rollback },
		{ VERB_BUCKET, verb_bucket },
		{ VERB_DIFF, verb_diff },
		{ VERB_WHICH, verb_which },
		{ VERB_CONFIRM, verb_confirm },
		{ VERB_DISABLE, verb_disable },
		{ VERB_ENABLE, verb_enable },
		{ VERB_RUN, verb_run },
		{ VERB_DAEMON, verb_daemon },
		{ VERB_PLAN, verb_run },
		{ VERB_STATUS, verb_status },
		{ VERB_VERIFY, verb_verify },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (rows[i].verb == verb)
			return rows[i].fn;
	return NULL;
}

int
verb_failed(const struct err *e)
{
	(void)fprintf(stderr, "pecia: %s\n", e->msg);
	if (e->code == ERR_BUSY)
		return EXIT_BUSY;
	return e->code == ERR_USAGE ? EXIT_USAGE : EXIT_FAILED;
}

/* Results for programs that are read on the same terminal stay whole. */
struct progress *
verb_progress(const struct options *o)
{
	return o->json && isatty(STDOUT_FILENO) == 1
	    ? NULL
	    : progress_new(o->verbose, o->color);
}

void
verb_raise_open_files(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) == 0 &&
	    lim.rlim_cur < lim.rlim_max) {
		lim.rlim_cur = lim.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &lim) != 0)
			log_event(LOG_DEBUG, "open files stay limited", NULL);
	}
}

int
verb_open_unsettled(
    const struct settings *s, struct session *session, struct err *e)
{
	bool recovered = false;
	int rc;

	if ((rc = session_open(s, true, session, e)) != 0)
		return rc;
	rc = apply_recover(session, &recovered, e);
	if (rc == 0 && !recovered)
		return 0;
	session_release(session);
	if (rc != 0)
		return rc;
	log_event(LOG_NOTICE, "an interrupted run was finished", NULL);
	return session_open(s, true, session, e);
}

int
verb_open_recovered(
    const struct settings *s, struct session *session, struct err *e)
{
	bool undone = false;
	int rc;

	if ((rc = verb_open_unsettled(s, session, e)) != 0)
		return rc;
	rc = confirm_settle(session, &undone, e);
	if (rc == 0 && !undone)
		return 0;
	session_release(session);
	return rc != 0 ? rc : session_open(s, true, session, e);
}
