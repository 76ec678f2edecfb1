/* After the commit; runs in the applier, under its lock. */
#include "client/settle.h"

#include "client/confirm.h"
#include "client/held.h"
#include "client/rollback.h"
#include "client/triggers.h"
#include "common/log.h"

struct settling {
	const struct settings *settings;
	struct settled *out;
	bool again; /* the rollback may succeed another time */
	/* What is applied now, as a run that begins sees it. */
	struct session now;
};

void
settled_release(struct settled *s)
{
	outcomes_release(&s->outcomes);
}

/* ---- triggers ---- */

static void
tell_triggers(const struct triggers_failed *f, struct err *why)
{
	if (f->count == 1)
		(void)err_set(why, ERR_CONFLICT, "the change was made, but %s",
		    f->first.msg);
	else if (f->count > 1)
		(void)err_set(why, ERR_CONFLICT,
		    "the change was made, but %s; %zu more triggers failed",
		    f->first.msg, f->count - 1);
}

/* *check: whether checks have yet to pass.  What is damaged cannot be made up
 * for, and would be in the way for ever. */
static int
run_due(const struct settings *set, const struct state *s, struct outcomes *o,
    bool *check, struct err *why, struct err *e)
{
	struct err mine = ERR_INIT;
	struct triggers_failed failed;
	struct due due;
	int rc;

	due_init(&due);
	*check = false;
	rc = due_read(s, &due, &mine);
	if (rc == ERR_NOT_FOUND)
		return 0;
	if (rc == ERR_FORMAT || rc == ERR_LIMIT) {
		(void)err_set(why, ERR_CONFLICT,
		    "%s/" DUE_NAME ": %s; triggers that were due are not known "
		    "any more, run them by hand",
		    s->path, mine.msg);
		due_init(&due);
		return due_write(s, &due, e);
	}
	if (rc != 0) {
		*e = mine;
		return rc;
	}
	*check = due.check;
	rc = triggers_after(s, &due, set->root, o, &failed, e);
	if (rc == 0)
		tell_triggers(&failed, why);
	due_release(&due);
	return rc;
}

int
settle_triggers(const struct settings *set, const struct state *s,
    struct settled *out, struct err *e)
{
	struct err why = ERR_INIT;
	bool check;
	int rc = run_due(set, s, &out->outcomes, &check, &why, e);

	if (rc == 0 && why.code != 0) {
		*e = why;
		rc = why.code;
	}
	return rc;
}

/* ---- checks ---- */

static int
run_checks(struct settling *g, struct err *why, struct err *e)
{
	const struct session *s = &g->now;
	const struct triggers_of of = { &s->was, s->was_profile, NULL };
	bool ended_well = true;
	int rc = 0;

	if (!s->has_applied)
		return 0;
	for (size_t i = 0; i < s->was.checks.count && rc == 0 && ended_well;
	     i++) {
		const struct action *a = &s->was.checks.list[i];
		struct outcome_run run = { .name = a->name,
			.kind = a->kind,
			.command = &a->command,
			.timeout_s = a->timeout_s,
			.attempts = a->attempts,
			.interval_s = a->interval_s,
			.root = g->settings->root,
			.channel = s->applied.channel,
			.serial = s->applied.serial };

		if (triggers_is_for(&of, a))
			rc = outcomes_run(
			    &g->out->outcomes, &run, &ended_well, why, e);
	}
	return rc;
}

/* ---- back ---- */

/* Only the change that is to be undone. */
static int
find_change(const struct session *s, uint64_t *number, struct err *e)
{
	const struct rollback_target last = { .is_serial = false };
	struct kept_facts f;
	int rc = rollback_find(s, &last, number, e);

	if (rc == 0)
		rc = kept_read_facts(s->state.dir, *number, &f, e);
	if (rc == 0 &&
	    (!f.now.is_any || f.is_rollback ||
	        !digest_equal(&f.now.release, &s->applied.release)))
		rc = err_set(e, ERR_NOT_FOUND,
		    "what it replaced is not kept: keep_bytes or keep_age is "
		    "too small");
	return rc;
}

static int
go_back(struct settling *g, struct err *e)
{
	struct session *s = &g->now;
	uint64_t number = 0;
	struct plan plan;
	int rc = find_change(s, &number, e);

	plan_init(&plan);
	if (rc == 0)
		rc = rollback_plan(s, number, &plan, &g->out->to, e);
	if (rc == 0)
		rc = rollback_apply(s, &plan, &g->out->to, e);
	if (rc == 0) /* nothing is left to be confirmed */
		rc = confirm_forget(&s->state, e);
	plan_release(&plan);
	if (rc == 0) {
		g->out->rolled_back = true;
		g->out->left = s->applied.serial;
	}
	return rc;
}

static void
name_release(const struct kept_release *r, char *text, size_t size)
{
	if (r->is_any)
		(void)snprintf(text, size, "release %llu is applied again",
		    (unsigned long long)r->serial);
	else
		(void)snprintf(text, size, "no release is applied");
}

/* The check failed for the reason *why: the machine is taken back, and what
 * came of it becomes part of the reason. */
static int
undo(struct settling *g, struct err *why, struct err *e)
{
	unsigned long long left = g->now.applied.serial;
	struct err mine = ERR_INIT, after = ERR_INIT, reason = *why;
	bool ignored;
	char to[64];
	int rc;

	if (go_back(g, &mine) != 0) {
		g->again = mine.code != ERR_NOT_FOUND;
		(void)err_set(why, ERR_CONFLICT,
		    "%s; release %llu stays, as it cannot be rolled back: %s",
		    reason.msg, left, mine.msg);
		return 0;
	}
	name_release(&g->out->to, to, sizeof(to));
	(void)err_set(why, ERR_CONFLICT, "release %llu was rolled back, %s: %s",
	    left, to, reason.msg);
	log_err(LOG_ERROR, "rolled back", why, NULL);
	if (held_explain(&g->now.state, reason.msg, &after) != 0)
		log_err(LOG_WARNING, "reason not noted", &after, NULL);
	err_clear(&after);
	rc = run_due(
	    g->settings, &g->now.state, &g->out->outcomes, &ignored, &after, e);
	if (rc == 0 && after.code != 0)
		log_err(LOG_ERROR, "after the rollback", &after, NULL);
	return rc;
}

/* ---- all of it ---- */

/* Nothing is due any more, whatever came of it. */
static int
forget_due(const struct state *s, struct err *e)
{
	struct due none;

	due_init(&none);
	return due_write(s, &none, e);
}

static int
settle(struct settling *g, struct err *e)
{
	struct err trigger = ERR_INIT, check = ERR_INIT;
	bool unproven = false;
	int rc;

	rc = run_due(g->settings, &g->now.state, &g->out->outcomes, &unproven,
	    &trigger, e);
	if (rc == 0)
		rc = run_checks(g, &check, e);
	if (rc == 0 && check.code != 0 && unproven)
		rc = undo(g, &check, e);
	if (rc == 0 && unproven && !g->again)
		rc = forget_due(&g->now.state, e);
	if (rc != 0)
		return rc;
	if (check.code != 0 && trigger.code != 0)
		return err_set(e, check.code, "%s; %s", check.msg, trigger.msg);
	if (check.code != 0 || trigger.code != 0) {
		*e = check.code != 0 ? check : trigger;
		return e->code;
	}
	return 0;
}

int
settle_run(const struct settings *set, struct settled *out, struct err *e)
{
	struct settling g = { .settings = set, .out = out };
	int rc = session_open(set, false, &g.now, e);

	if (rc != 0)
		return rc;
	rc = settle(&g, e);
	session_release(&g.now);
	return rc;
}

int
settle_rest(const struct settings *set, const struct state *s,
    struct settled *out, struct err *e)
{
	struct err ignored = ERR_INIT;
	struct due due;
	int rc = due_read(s, &due, &ignored);

	if (rc == 0)
		due_release(&due);
	return rc == ERR_NOT_FOUND ? 0 : settle_run(set, out, e);
}
