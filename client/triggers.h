/* Triggers of a release: which of them a plan calls for, and their running. */
#ifndef CLIENT_TRIGGERS_H
#define CLIENT_TRIGGERS_H

#include "client/due.h"
#include "client/outcomes.h"
#include "client/plan.h"
#include "client/settings.h"
#include "transcripts/release.h"

/* A release as a host of this profile gets it. */
struct triggers_of {
	const struct release *release;
	const struct release_profile *profile;
	const char *root; /* what the machine's root is */
};

bool triggers_is_for(const struct triggers_of *t, const struct action *a);
/* Whether any check is for the profile. */
bool triggers_has_checks(const struct triggers_of *t);
/* The `after` triggers that the plan calls for, in their order, into *due. */
MUST_CHECK int triggers_find(const struct triggers_of *t,
    const struct plan *plan, struct due *due, struct err *e);
/* All triggers that the plan calls for, as foreseen. */
MUST_CHECK int triggers_foresee(const struct triggers_of *t,
    const struct plan *plan, struct outcomes *o, struct err *e);
/* Runs the `before` triggers; the first that fails is the error. */
MUST_CHECK int triggers_before(const struct triggers_of *t,
    const struct plan *plan, struct outcomes *o, struct err *e);
struct triggers_failed {
	size_t count;
	struct err first;
};
/* Runs what is due and clears it, one by one; *failed says which did not end
 * well.  An error is ours, and leaves the rest due. */
MUST_CHECK int triggers_after(const struct state *s, struct due *due,
    const char *root, struct outcomes *o, struct triggers_failed *failed,
    struct err *e);

#endif
