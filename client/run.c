/* pecia run. */
#include "client/verbs.h"

#include "client/alarms.h"
#include "client/apply.h"
#include "client/failure.h"
#include "client/report.h"
#include "client/update.h"
#include "common/log.h"

static double
seconds_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start->tv_sec) +
	    (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static int
one_run(struct session *s, const struct options *o, struct plan *plan,
    struct report *report, struct err *e)
{
	struct content *content = NULL;
	struct progress progress;
	int rc;

	progress_init(&progress);
	rc = update_find(s, e);
	if (rc == 0)
		rc = content_new(s, &content, e);
	if (rc == 0)
		content_watch(content, progress_show, &progress);
	if (rc == 0)
		rc = content_manifests(content, e);
	if (rc == 0)
		rc = apply_compare(s,
		    &(struct apply_tree){ &s->release, s->profile, false },
		    plan, &report->result.totals, e);
	if (rc == 0 && !o->noop)
		rc = apply_plan(s, content, plan, &report->result, e);
	progress_end(&progress);
	content_free(content);
	if (rc == 0)
		rc = fetch_traffic(
		    s->fetch, &report->received_bytes, &report->sent_bytes, e);
	return rc;
}

/* A session with nothing interrupted left. */
static int
open_recovered(const struct settings *s, struct session *session, struct err *e)
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

static int
run_locked(const struct options *o, const struct settings *s,
    struct report *report, struct plan *plan, struct err *e)
{
	struct timespec start;
	struct session session;
	int rc;

	clock_gettime(CLOCK_MONOTONIC, &start);
	if ((rc = open_recovered(s, &session, e)) != 0)
		return rc;
	report->session = &session;
	rc = one_run(&session, o, plan, report, e);
	report->seconds = seconds_since(&start);
	if (rc == 0)
		rc = report_run(report, e);
	alarms_log(&session);
	if (rc != 0)
		failure_note(&session.state, session.now, e);
	else
		failure_forget(&session.state);
	report->session = NULL;
	session_release(&session);
	return rc;
}

int
verb_run(const struct options *o, const struct settings *s)
{
	struct report report = {
		.json = o->json, .verbose = o->verbose, .noop = o->noop
	};
	struct err e = ERR_INIT;
	struct plan plan;
	bool changed;
	int rc;

	verb_raise_open_files();
	plan_init(&plan);
	report.plan = &plan;
	rc = run_locked(o, s, &report, &plan, &e);
	changed = !plan_is_empty(&plan);
	plan_release(&plan);
	if (rc != 0)
		return verb_failed(&e);
	return changed && o->detailed_exitcodes ? EXIT_CHANGED : EXIT_SAME;
}
