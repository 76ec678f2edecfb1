/* pecia run. */
#include "client/verbs.h"

#include <stdio.h>
#include <unistd.h>

#include "client/alarms.h"
#include "client/apply.h"
#include "client/confirm_undo.h"
#include "client/disable.h"
#include "client/event.h"
#include "client/failure.h"
#include "client/held.h"
#include "client/line.h"
#include "client/pin.h"
#include "client/report.h"
#include "client/summary.h"
#include "client/triggers.h"
#include "client/update.h"
#include "client/watcher.h"
#include "common/clock.h"
#include "common/log.h"

struct run {
	const struct options *o;
	const struct settings *settings;
	struct line *line; /* of the daemon, or NULL */
	struct session session;
	struct plan plan;
	struct pin pin;
	struct report report;
	struct watcher watcher;
	struct progress *progress;
	struct timespec start, mark;
	time_t when;
	struct settled settled;
	bool is_done; /* it was made, whatever came after */
	int refused;  /* exit status of a run that may not be, or 0 */
};

/* What passed since it was last asked. */
static double
lap(struct run *r)
{
	double seconds = clock_seconds_since(&r->mark);

	clock_gettime(CLOCK_MONOTONIC, &r->mark);
	return seconds;
}

/* ---- one run ---- */

static int
learn_plan(struct run *r, struct content *content, struct err *e)
{
	struct session *s = &r->session;
	int rc = content_manifests(content, e);

	r->report.retrieval_s += lap(r);
	if (rc == 0)
		rc = apply_compare(s,
		    &(struct apply_tree){ &s->release, s->profile, false },
		    &r->plan, &r->report.result.totals, e);
	r->report.compare_s = lap(r);
	return rc;
}

/* Which server and release it is about. */
static int
tell_found(const struct run *r, struct err *e)
{
	int rc;

	if (!r->report.json)
		return 0;
	rc = event_server(&r->session, e);
	return rc != 0 ? rc : event_release(&r->session, r->report.held, e);
}

/* A release that was rolled back: the one that is applied stays the wanted
 * one.  None is: s->profile is NULL then, and there is nothing to do. */
static int
hold_back(struct session *s, uint64_t *held, struct err *e)
{
	*held = held_serial(s, &s->head);
	if (*held == 0) {
		*held = confirm_held(s, &s->head);
		if (*held != 0)
			s->profile = NULL;
		return 0;
	}
	if (!s->has_applied) {
		s->profile = NULL;
		return 0;
	}
	s->head.serial = s->applied.serial;
	s->head.release = s->applied.release;
	release_release(&s->release);
	release_init(&s->release);
	s->profile = NULL;
	if (state_find_release(&s->state, &s->applied, &s->release, e) != 0)
		return e->code;
	s->profile = release_find_profile(&s->release, s->applied.profile);
	return s->profile != NULL
	    ? 0
	    : err_set(e, ERR_FORMAT, "applied: no profile %s in its release",
	          s->applied.profile);
}

/* Looking may always be; it says what would stop a run. */
static int
check_guards(struct run *r, struct err *e)
{
	struct err why = ERR_INIT;

	if (guard_max_check(&r->settings->guard.max_delete,
	        r->plan.delete_count, r->report.result.totals.entries,
	        &why) == 0)
		return 0;
	if (r->report.noop) {
		log_err(LOG_WARNING, "a run would stop", &why, NULL);
		return 0;
	}
	*e = why;
	return e->code;
}

/* What somebody agreed to is what is done. */
static int
check_pin(struct run *r, struct err *e)
{
	struct session *s = &r->session;
	struct buf changes;
	int rc;

	rc = pin_make(&r->pin, &s->head.release, s->profile->name, &r->plan, e);
	if (rc == 0 && r->report.is_plan)
		return pin_keep(&s->state, &r->pin, e);
	if (rc != 0 || r->o->plan == NULL) {
		buf_release(&r->pin.text); /* much, where much changes */
		return rc;
	}
	buf_init(&changes, LIMIT_CONFIG_BYTES);
	rc = pin_check(&s->state, &r->pin, r->o->plan, &changes, e);
	if (rc == ERR_CONFLICT) {
		(void)fputs(buf_str(&changes), stderr);
		r->refused = EXIT_OTHER_PLAN;
	}
	buf_release(&changes);
	return rc;
}

static struct triggers_of
triggers_wanted(const struct session *s)
{
	return (
	    struct triggers_of){ &s->release, s->profile, s->settings->root };
}

/* An apply_ready: all is staged.  The checks decide on a release that is new
 * here; one that was only mended has nothing better to go back to. */
static int
before_commit(void *arg, struct err *e)
{
	struct run *r = arg;
	struct session *s = &r->session;
	const struct triggers_of t = triggers_wanted(s);
	struct due due;
	int rc;

	update_end(s);
	rc = triggers_before(&t, &r->plan, &r->settled.outcomes, e);
	due_init(&due);
	memcpy(due.channel, s->release.channel, sizeof(due.channel));
	due.serial = s->release.serial;
	due.check = triggers_has_checks(&t) &&
	    (!s->has_applied ||
	        !digest_equal(&s->applied.release, &s->head.release));
	if (rc == 0)
		rc = triggers_find(&t, &r->plan, &due, e);
	if (rc == 0)
		rc = due_prepare(&s->state, &due, e);
	due_release(&due);
	return rc;
}

/* Another server may have been gone to on the way. */
static int
carry_out(
    struct run *r, struct content *content, const char *route, struct err *e)
{
	struct session *s = &r->session;
	const struct triggers_of t = triggers_wanted(s);
	const struct apply_ready ready = { before_commit, r };
	struct err ignored = ERR_INIT;
	int rc;

	if (r->report.noop)
		return triggers_foresee(&t, &r->plan, &r->settled.outcomes, e);
	(void)lap(r);
	if (plan_is_empty(&r->plan))
		update_end(s);
	rc = apply_plan(s, content, &r->plan, &ready, &r->report.result, e);
	r->report.apply_s = lap(r);
	r->report.applied = rc == 0;
	if (r->report.json && strcmp(route, s->peer.route) != 0 &&
	    event_server(s, &ignored) != 0 && rc == 0) {
		*e = ignored;
		rc = e->code;
	}
	return rc;
}

static int
come_after(struct run *r, struct err *e)
{
	const struct session *s = &r->session;
	const struct triggers_of t = triggers_wanted(s);

	r->is_done = true;
	if (r->report.noop)
		return 0;
	return triggers_has_checks(&t)
	    ? settle_run(s->settings, &r->settled, e)
	    : settle_rest(s->settings, &s->state, &r->settled, e);
}

static int
one_run(struct run *r, struct err *e)
{
	struct session *s = &r->session;
	struct content *content = NULL;
	char route[sizeof(s->peer.route)];
	int rc;

	rc = update_find(s, e);
	memcpy(route, s->peer.route, sizeof(route));
	r->report.retrieval_s = lap(r);
	if (rc == 0 && !r->o->retry)
		rc = hold_back(s, &r->report.held, e);
	if (rc == 0)
		rc = tell_found(r, e);
	if (rc == 0 && s->profile == NULL) {
		r->is_done = true;
		return 0;
	}
	if (rc == 0)
		rc = content_new(s, &content, e);
	if (rc == 0)
		rc = learn_plan(r, content, e);
	if (rc == 0)
		rc = check_pin(r, e);
	if (rc == 0)
		rc = report_plan(&r->report, e);
	if (rc == 0)
		rc = check_guards(r, e);
	if (rc == 0)
		rc = carry_out(r, content, route, e);
	progress_end(s->progress);
	content_free(content);
	served_count(s);
	return rc == 0 ? come_after(r, e) : rc;
}

/* ---- around it ---- */

/* What the operator forbade is no failure of the machine's. */
static int
check_enabled(struct run *r, struct err *e)
{
	struct disable d;
	bool disabled = false;
	int rc;

	if (r->report.noop)
		return 0;
	rc = disable_read(&r->session.state, &disabled, &d, e);
	if (rc != 0 || !disabled)
		return rc;
	r->refused = EXIT_DISABLED;
	return err_set(e, ERR_CONFLICT,
	    "runs are disabled since %s%s%s; `pecia enable` ends that", d.when,
	    d.message[0] != '\0' ? ": " : "", d.message);
}

/* Nor is it that an earlier change waits. */
static int
check_confirmed(struct run *r, struct err *e)
{
	bool waits = false;
	int rc = r->report.noop ? 0 : confirm_check(&r->session, &waits, e);

	if (waits)
		r->refused = EXIT_WAITING;
	return rc;
}

/* As in Puppet: what comes after a run comes after a failed one too. */
static int
hooked_run(struct run *r, struct err *e)
{
	const struct settings *s = r->settings;
	int rc = 0;

	if (r->report.noop)
		return one_run(r, e);
	rc = hooks_prerun(&s->hooks, s->root, e);
	if (rc != 0)
		return rc;
	rc = one_run(r, e);
	return hooks_conclude(&s->hooks, s->root, "run", rc, e);
}

/* What a crash left to be done after its commit comes first.  If that took the
 * machine back, it is enough for one run. */
static int
settled_run(struct run *r, struct err *e)
{
	struct session *s = &r->session;
	struct err rest = ERR_INIT;
	int rc = 0, was = 0;

	if (!r->report.noop)
		was = settle_rest(r->settings, &s->state, &r->settled, &rest);
	if (was != 0)
		log_err(LOG_ERROR, "after an interrupted run", &rest, NULL);
	r->is_done = r->settled.rolled_back;
	if (r->is_done) { /* the one that was interrupted ends here */
		*e = rest;
		return hooks_conclude(
		    &r->settings->hooks, r->settings->root, "rollback", was, e);
	}
	rc = hooked_run(r, e);
	if (rc == 0 && was != 0) {
		*e = rest;
		rc = e->code;
	}
	return rc;
}

/* The report, which would say so, is not made. */
static void
warn_if_waiting(const struct session *s)
{
	struct err why = ERR_INIT;
	bool waits = false;

	if (confirm_check(s, &waits, &why) != 0 && waits)
		log_err(LOG_WARNING, "although the run failed", &why, NULL);
}

static int
tell_summary(const struct summary *sum, struct err *e)
{
	struct json *j = event_new("summary");

	summary_add(j, sum);
	return event_print(j, e);
}

/* Monitoring reads it; what was done stays done without it. */
static void
store_summary(const struct run *r, const struct summary *sum)
{
	struct err e = ERR_INIT;

	if (!r->report.noop && summary_store(&r->session.state, sum, &e) != 0)
		log_err(LOG_WARNING, "summary not written", &e, NULL);
}

static void
count_triggers(const struct outcomes *o, struct summary *sum)
{
	for (size_t i = 0; i < o->count; i++) {
		if (o->list[i].kind == ACTION_CHECK || o->list[i].foreseen)
			continue;
		if (o->list[i].why != NULL)
			sum->failed_to_restart++;
		else
			sum->restarted++;
	}
}

/* One that was not made may have been stopped by a trigger. */
static int
report(const struct run *r, int rc, struct err *e)
{
	return rc == 0 || r->is_done ? report_run(&r->report, e)
	                             : report_outcomes(&r->report, e);
}

/* How it went, in all the places where that is looked for. */
static int
conclude(struct run *r, int rc, struct err *e)
{
	struct summary sum = { .report = &r->report, .when = r->when };
	struct session *s = &r->session;
	struct err told = ERR_INIT;

	r->report.seconds = clock_seconds_since(&r->start);
	count_triggers(&r->settled.outcomes, &sum);
	if (report(r, rc, &told) != 0 && rc == 0) {
		*e = told;
		rc = e->code;
	}
	sum.error = rc != 0 ? e : NULL;
	if (r->report.session != NULL) {
		alarms_log(s);
		if (rc != 0)
			failure_note(&s->state, s->now, e);
		else
			failure_forget(&s->state);
		store_summary(r, &sum);
	}
	if (r->report.json && tell_summary(&sum, &told) != 0 && rc == 0) {
		*e = told;
		rc = e->code;
	}
	return rc;
}

static int
run_locked(struct run *r, struct err *e)
{
	struct session *s = &r->session;
	int rc;

	clock_gettime(CLOCK_MONOTONIC, &r->start);
	r->mark = r->start;
	r->when = time(NULL);
	if (r->report.json && (rc = event_start(r->o, r->settings, e)) != 0)
		return rc;
	if ((rc = verb_open_recovered(r->settings, s, e)) != 0)
		return conclude(r, rc, e);
	if ((rc = check_enabled(r, e)) == 0 &&
	    (rc = check_confirmed(r, e)) == 0) {
		s->progress = r->progress;
		s->watcher = &r->watcher;
		s->line = r->line;
		r->report.session = s;
		rc = settled_run(r, e);
		if (!r->report.noop && !plan_is_empty(&r->plan) &&
		    !r->settled.rolled_back)
			r->report.confirm_s = r->settings->confirm_s;
		if (rc != 0 && !r->report.noop)
			warn_if_waiting(s);
	}
	rc = conclude(r, rc, e);
	r->report.session = NULL;
	if (rc == 0)
		line_keep(s->line, s);
	session_release(s);
	return rc;
}

static int
watch_and_run(struct run *r, struct err *e)
{
	int rc = 0;

	if (r->settings->confirm_s > 0 && !r->report.noop)
		rc = watcher_start(r->settings, &r->watcher, e);
	if (rc == 0)
		rc = run_locked(r, e);
	watcher_release(&r->watcher);
	return rc;
}

/* Of a run that was made; as Puppet's, where it is asked for. */
static int
exit_status(const struct run *r, int rc, const struct err *e)
{
	const struct report *p = &r->report;
	bool changed = p->noop ? !plan_is_empty(&r->plan) : p->result.begun;
	int failed;

	if (rc == 0)
		return changed && r->o->detailed_exitcodes ? EXIT_CHANGED
		                                           : EXIT_SAME;
	failed = verb_failed(e);
	if (r->refused != 0)
		return r->refused;
	if (failed != EXIT_FAILED || !r->o->detailed_exitcodes)
		return failed;
	if (changed)
		return EXIT_CHANGED_FAILED;
	return p->applied ? EXIT_AFTER_FAILED : EXIT_FAILED;
}

int
verb_run(const struct options *o, const struct settings *s)
{
	return run_on_line(o, s, NULL);
}

int
run_on_line(
    const struct options *o, const struct settings *s, struct line *line)
{
	struct run r = { .o = o,
		.settings = s,
		.line = line,
		.watcher = WATCHER_INIT,
		.settled = SETTLED_INIT };
	struct err e = ERR_INIT;
	int rc, status;

	verb_raise_open_files();
	if (o->plan != NULL && !pin_is_id(o->plan)) {
		(void)err_set(&e, ERR_USAGE,
		    "--plan %s: not the name that `pecia plan` printed",
		    o->plan);
		return verb_failed(&e);
	}
	plan_init(&r.plan);
	pin_init(&r.pin);
	r.progress = verb_progress(o);
	r.report = (struct report){ .settled = &r.settled,
		.json = o->json,
		.verbose = o->verbose,
		.color = terminal_has_color(o->color, STDOUT_FILENO),
		.noop = o->noop || o->verb == VERB_PLAN,
		.is_plan = o->verb == VERB_PLAN,
		.plan_id = r.pin.id,
		.plan = &r.plan };
	rc = watch_and_run(&r, &e);
	status = exit_status(&r, rc, &e);
	progress_free(r.progress);
	plan_release(&r.plan);
	pin_release(&r.pin);
	settled_release(&r.settled);
	return status;
}
