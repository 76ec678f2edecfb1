/* pecia verify. */
#include "client/verbs.h"

#include <unistd.h>

#include "client/report.h"

static int
verify_session(
    struct session *s, struct report *report, struct plan *plan, struct err *e)
{
	int rc;

	if (!s->has_applied)
		return err_set(e, ERR_NOT_FOUND,
		    "nothing was applied yet: run `pecia run`");
	rc = apply_compare(s,
	    &(struct apply_tree){ &s->was, s->was_profile, true }, plan,
	    &report->result.totals, e);
	progress_end(s->progress);
	return rc != 0 ? rc : report_drift(report, e);
}

int
verb_verify(const struct options *o, const struct settings *s)
{
	struct report report = { .json = o->json,
		.verbose = true,
		.color = terminal_has_color(o->color, STDOUT_FILENO) };
	struct session session;
	struct err e = ERR_INIT;
	struct plan plan;
	bool drift;
	int rc;

	verb_raise_open_files();
	plan_init(&plan);
	report.plan = &plan;
	report.session = &session;
	if (session_open(s, true, &session, &e) != 0)
		return verb_failed(&e);
	session.progress = verb_progress(o);
	session.head.release = session.applied.release;
	rc = verify_session(&session, &report, &plan, &e);
	drift = !plan_is_empty(&plan);
	plan_release(&plan);
	progress_free(session.progress);
	session_release(&session);
	if (rc != 0)
		return verb_failed(&e);
	return drift ? EXIT_CHANGED : EXIT_SAME;
}
