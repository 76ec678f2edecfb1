/* What a run came to: as JSON (the last event of `pecia run --json`, and
 * last_run_summary.json), and with Puppet's keys as last_run_summary.yaml, which
 * monitoring reads. */
#ifndef CLIENT_SUMMARY_H
#define CLIENT_SUMMARY_H

#include "client/report.h"
#include "client/state.h"
#include "common/text.h"

struct json;

#define SUMMARY_JSON "last_run_summary.json"
#define SUMMARY_YAML "last_run_summary.yaml"

struct summary {
	const struct report *report; /* its session may be NULL */
	time_t when;                 /* it began */
	const struct err *error;     /* NULL: it did not fail */

	/* Of triggers: services that were restarted, or could not be. */
	uint64_t restarted, failed_to_restart;
};

/* Of the paths of the plan: how many were set right, how many were not because
 * the run failed.  A run that failed has at least one of the latter. */
struct summary_counts {
	uint64_t wanted, changed, failed;
};
struct summary_counts summary_count(const struct summary *s);

/* Members of an object. */
void summary_add(struct json *j, const struct summary *s);
void summary_yaml(struct buf *b, const struct summary *s);

/* Replaces both files, as wholes; mode 0644. */
MUST_CHECK int summary_store(
    const struct state *state, const struct summary *s, struct err *e);

/* What status tells of the last one. */
struct summary_last {
	char when[TEXT_TIME_BYTES]; /* it began; "" when there was no run yet */
	char outcome[16];           /* "unchanged", "changed" or "failed" */
	char route[512];            /* "" when none was found */
	char site[LIMIT_NAME_BYTES + 1];
	char source[16];   /* as in struct fetch_peer */
	char passed[1024]; /* why others were passed over, "": none was */
	struct served served;
	double seconds;
};
/* All empty when there is none, or it cannot be read. */
void summary_last(const struct state *state, struct summary_last *out);

#endif
