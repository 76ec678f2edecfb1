/* What triggers and checks did, kept for the report; and the running of one. */
#ifndef CLIENT_OUTCOMES_H
#define CLIENT_OUTCOMES_H

#include "common/command.h"
#include "common/json.h"
#include "transcripts/actions.h"

struct outcome {
	char name[LIMIT_NAME_BYTES + 1];
	enum action_kind kind;
	bool foreseen;                /* it was not run: it would be */
	uint64_t attempts;            /* that were made */
	struct command_result result; /* of the last one */
	char *why;                    /* it failed; NULL: it did not */
};
struct outcomes {
	struct outcome *list;
	size_t count;
};
#define OUTCOMES_INIT \
 {                    \
  NULL, 0             \
 }
void outcomes_release(struct outcomes *o);

/* It would be run. */
MUST_CHECK int outcomes_foresee(
    struct outcomes *o, const char *name, enum action_kind kind, struct err *e);
/* It failed without being run. */
MUST_CHECK int outcomes_refuse(struct outcomes *o, const char *name,
    enum action_kind kind, const struct err *why, struct err *e);

/* What to run, for whom. */
struct outcome_run {
	const char *name;
	enum action_kind kind;
	const struct words *command;
	uint64_t timeout_s;
	uint64_t attempts, interval_s;
	/* What it is told of: the root, and the release that is applied, or will
	 * be; channel "": none. */
	const char *root;
	const char *channel;
	uint64_t serial;
};
/* *ended_well says how it ended, and so do the list and the log; *why is the
 * message where it did not.  An error is ours. */
MUST_CHECK int outcomes_run(struct outcomes *o, const struct outcome_run *run,
    bool *ended_well, struct err *why, struct err *e);

/* ---- for the report ---- */

/* A line for each, with what they printed when `verbose`. */
MUST_CHECK int outcomes_print(
    const struct outcomes *o, bool verbose, struct err *e);
/* Members "triggers" and "checks". */
void outcomes_json(const struct outcomes *o, struct json *j);

#endif
