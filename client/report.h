/* What a run tells: people on standard output, programs as JSON. */
#ifndef CLIENT_REPORT_H
#define CLIENT_REPORT_H

#include "client/apply.h"
#include "client/settle.h"

struct json;

struct report {
	bool json, verbose, noop, color;
	uint64_t held; /* serial of a release that was rolled back, or 0 */
	bool is_plan;  /* its name is told to people too */
	const char *plan_id; /* of report_run */
	unsigned confirm_s;  /* in which it is to be confirmed, or 0 */
	const struct session *session;
	const struct plan *plan;
	const struct settled *settled; /* triggers, checks; NULL: none */
	struct apply_result result;
	uint64_t received_bytes, sent_bytes;
	double seconds, retrieval_s, compare_s, apply_s;
	bool applied; /* the plan was carried out */
};

/* With --json, an event for each change and each protected path. */
MUST_CHECK int report_plan(const struct report *r, struct err *e);
/* After a run, or what it would do; for people only. */
MUST_CHECK int report_run(const struct report *r, struct err *e);
/* Only what triggers and checks did; for people only. */
MUST_CHECK int report_outcomes(const struct report *r, struct err *e);
/* Members of an object: triggers, checks, and a rollback by itself. */
void report_settled(const struct settled *s, struct json *j);
/* After a rollback, or what it would do. */
MUST_CHECK int report_rollback(
    const struct report *r, const struct kept_release *to, struct err *e);
/* Drift: every managed path that differs. */
MUST_CHECK int report_drift(const struct report *r, struct err *e);

#endif
