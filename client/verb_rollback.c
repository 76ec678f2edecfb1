/* `pecia rollback`. */
#include <unistd.h>

#include "client/event.h"
#include "client/confirm_undo.h"
#include "client/report.h"
#include "client/rollback.h"
#include "client/rollback_due.h"
#include "client/settle.h"
#include "client/verbs.h"
#include "common/log.h"

/* Of --noop. */
static int
foresee(const struct session *s, const struct plan *plan,
    const struct kept_release *to, struct outcomes *o, struct err *e)
{
	struct due due;
	int rc;

	due_init(&due);
	rc = rollback_due(s, plan, to, &due, e);
	for (size_t i = 0; i < due.count && rc == 0; i++)
		rc = outcomes_foresee(o, due.list[i].name, ACTION_AFTER, e);
	due_release(&due);
	return rc;
}

static int
roll_back(const struct options *o, struct session *s, struct report *r,
    struct plan *plan, struct err *e)
{
	const struct rollback_target t = { o->to != NULL, o->serial };
	struct settled settled = SETTLED_INIT;
	struct err after = ERR_INIT;
	struct kept_release to;
	uint64_t number = 0;
	int rc = 0, settling = 0;

	r->settled = &settled;
	if (!t.is_serial)
		rc = confirm_check_undone(s, e);
	if (rc == 0)
		rc = rollback_find(s, &t, &number, e);
	if (rc == 0)
		rc = rollback_plan(s, number, plan, &to, e);
	if (rc == 0 && o->noop)
		rc = foresee(s, plan, &to, &settled.outcomes, e);
	else if (rc == 0)
		rc = rollback_apply(s, plan, &to, e);
	progress_end(s->progress);
	if (rc == 0 && !o->noop)
		rc = confirm_forget(&s->state, e);
	if (rc == 0 && !o->noop)
		settling =
		    settle_triggers(s->settings, &s->state, &settled, &after);
	if (rc == 0)
		rc = report_rollback(r, &to, e);
	if (rc == 0 && settling != 0) {
		*e = after;
		rc = e->code;
	}
	r->settled = NULL;
	settled_release(&settled);
	return rc;
}

/* As around a run, but nothing holds a rollback up. */
static int
hooked(const struct options *o, struct session *s, struct report *r,
    struct plan *plan, struct err *e)
{
	const struct settings *set = s->settings;
	struct err before = ERR_INIT;
	int rc;

	if (o->noop)
		return roll_back(o, s, r, plan, e);
	if (hooks_prerun(&set->hooks, set->root, &before) != 0)
		log_err(LOG_WARNING, "rolled back all the same", &before, NULL);
	rc = roll_back(o, s, r, plan, e);
	return hooks_conclude(&set->hooks, set->root, "rollback", rc, e);
}

int
verb_rollback(const struct options *o, const struct settings *s)
{
	struct report report = {
		.json = o->json,
		.verbose = o->verbose,
		.noop = o->noop,
		.color = terminal_has_color(o->color, STDOUT_FILENO),
	};
	struct err e = ERR_INIT;
	struct session session;
	struct plan plan;
	bool changed;
	int rc;

	verb_raise_open_files();
	if ((o->json && event_start(o, s, &e) != 0) ||
	    verb_open_recovered(s, &session, &e) != 0)
		return verb_failed(&e);
	session.progress = verb_progress(o);
	plan_init(&plan);
	report.plan = &plan;
	report.session = &session;
	rc = hooked(o, &session, &report, &plan, &e);
	changed = !plan_is_empty(&plan);
	plan_release(&plan);
	progress_free(session.progress);
	session_release(&session);
	if (rc != 0)
		return verb_failed(&e);
	return changed && o->detailed_exitcodes ? EXIT_CHANGED : EXIT_SAME;
}
