/* Choosing and running triggers; runs in the applier. */
#include "client/triggers.h"

#include "common/log.h"

/* ---- choosing ---- */

static bool
plan_has(const struct plan *plan, const struct action *a)
{
	for (size_t i = 0; i < plan->item_count; i++)
		if (action_names(a, plan_item(plan, i)->path))
			return true;
	for (size_t i = 0; i < plan->delete_count; i++)
		if (action_names(a, plan_deletion(plan, i)->path))
			return true;
	return false;
}

bool
triggers_is_for(const struct triggers_of *t, const struct action *a)
{
	return action_is_for(a, (size_t)(t->profile - t->release->profiles));
}

static bool
is_called_for(const struct triggers_of *t, const struct action *a,
    const struct plan *plan)
{
	return triggers_is_for(t, a) && plan_has(plan, a);
}

bool
triggers_has_checks(const struct triggers_of *t)
{
	for (size_t i = 0; i < t->release->checks.count; i++)
		if (triggers_is_for(t, &t->release->checks.list[i]))
			return true;
	return false;
}

int
triggers_find(const struct triggers_of *t, const struct plan *plan,
    struct due *due, struct err *e)
{
	const struct actions *all = &t->release->triggers;
	int rc = 0;

	for (size_t i = 0; i < all->count && rc == 0; i++)
		if (all->list[i].kind == ACTION_AFTER &&
		    is_called_for(t, &all->list[i], plan))
			rc = due_add(due, &all->list[i], e);
	return rc;
}

int
triggers_foresee(const struct triggers_of *t, const struct plan *plan,
    struct outcomes *o, struct err *e)
{
	const struct actions *all = &t->release->triggers;
	int rc = 0;

	for (size_t i = 0; i < all->count && rc == 0; i++)
		if (is_called_for(t, &all->list[i], plan))
			rc = outcomes_foresee(
			    o, all->list[i].name, all->list[i].kind, e);
	return rc;
}

/* ---- running ---- */

int
triggers_before(const struct triggers_of *t, const struct plan *plan,
    struct outcomes *o, struct err *e)
{
	const struct actions *all = &t->release->triggers;
	int rc = 0;

	for (size_t i = 0; i < all->count && rc == 0; i++) {
		const struct action *a = &all->list[i];
		struct outcome_run run = { .name = a->name,
			.kind = a->kind,
			.command = &a->command,
			.timeout_s = a->timeout_s,
			.root = t->root,
			.channel = t->release->channel,
			.serial = t->release->serial };
		struct err why = ERR_INIT;
		bool ended_well = false;

		if (a->kind != ACTION_BEFORE || !is_called_for(t, a, plan))
			continue;
		rc = outcomes_run(o, &run, &ended_well, &why, e);
		if (rc == 0 && !ended_well)
			rc = err_set(
			    e, why.code, "nothing was changed: %s", why.msg);
	}
	return rc;
}

/* The first of what is due.  It is noted as begun, in case that we do not see
 * its end. */
static int
run_first(const struct state *s, struct due *due, const char *root,
    struct outcomes *o, struct err *why, struct err *e)
{
	struct due_trigger *t = &due->list[0];
	struct outcome_run run = { .name = t->name,
		.kind = ACTION_AFTER,
		.command = &t->command,
		.timeout_s = t->timeout_s,
		.root = root,
		.channel = due->channel,
		.serial = due->serial };
	bool ended_well = false;
	int rc;

	if (t->begun >= DUE_BEGUN_MAX) {
		(void)err_set(why, ERR_CONFLICT,
		    "trigger %s: begun %d times, and each time the run ended "
		    "before it did; it is not begun again",
		    t->name, DUE_BEGUN_MAX);
		return outcomes_refuse(o, t->name, ACTION_AFTER, why, e);
	}
	t->begun++;
	rc = due_write(s, due, e);
	return rc != 0 ? rc : outcomes_run(o, &run, &ended_well, why, e);
}

int
triggers_after(const struct state *s, struct due *due, const char *root,
    struct outcomes *o, struct triggers_failed *failed, struct err *e)
{
	int rc = 0;

	failed->count = 0;
	while (due->count > 0 && rc == 0) {
		struct err why = ERR_INIT;

		rc = run_first(s, due, root, o, &why, e);
		if (rc != 0)
			break;
		if (why.code != 0 && failed->count++ == 0)
			failed->first = why;
		due_drop_first(due);
		rc = due_write(s, due, e);
	}
	return rc;
}
