/* Triggers of rollbacks; runs in the applier. */
#include "client/rollback_due.h"

#include "client/triggers.h"
#include "common/log.h"

/* A rollback is not held up by a statement that was lost. */
static int
find_of(const struct session *s, const struct plan *plan,
    const struct kept_release *to, struct due *out, struct err *e)
{
	const struct applied record = { .release = to->release };
	struct triggers_of of = { .root = s->settings->root };
	struct err mine = ERR_INIT;
	struct release r;
	int rc;

	release_init(&r);
	rc = state_find_release(&s->state, &record, &r, &mine);
	if (rc != 0) {
		log_err(LOG_WARNING, "triggers are not known", &mine, NULL);
		return 0;
	}
	of.release = &r;
	of.profile = release_find_profile(&r, to->profile);
	rc = of.profile != NULL ? triggers_find(&of, plan, out, e) : 0;
	release_release(&r);
	return rc;
}

int
rollback_due(const struct session *s, const struct plan *plan,
    const struct kept_release *to, struct due *out, struct err *e)
{
	const struct triggers_of left = { &s->was, s->was_profile,
		s->settings->root };
	int rc = 0;

	if (to->is_any) {
		memcpy(out->channel, to->channel, sizeof(out->channel));
		out->serial = to->serial;
		rc = find_of(s, plan, to, out, e);
	}
	return rc != 0 || !s->has_applied ? rc
	                                  : triggers_find(&left, plan, out, e);
}
