/* Rolling back what was not confirmed; runs in the applier. */
#include "client/confirm_undo.h"

#include "client/held.h"
#include "client/rollback.h"
#include "client/settle.h"
#include "common/log.h"
#include "common/text.h"

/* ---- undoing ---- */

static int
roll_back(struct session *s, const struct confirm *c, struct err *e)
{
	struct kept_release to;
	struct plan plan;
	int rc;

	plan_init(&plan);
	rc = rollback_plan(s, c->kept, &plan, &to, e);
	if (rc == 0)
		rc = rollback_apply(s, &plan, &to, e);
	plan_release(&plan);
	if (rc == 0)
		log_event(LOG_WARNING, "not confirmed: rolled back", "channel",
		    c->channel, "serial",
		    log_u64((char[LOG_NUMBER_BYTES]){ 0 }, c->serial), "to",
		    log_u64((char[LOG_NUMBER_BYTES]){ 0 }, to.serial), NULL);
	return rc;
}

static int
undo(struct session *s, struct confirm *c, struct err *e)
{
	const struct settings *set = s->settings;
	struct settled settled = SETTLED_INIT;
	struct err after = ERR_INIT;
	int rc = 0;

	c->stage = CONFIRM_UNDOING;
	rc = confirm_write(&s->state, c, e);
	if (rc == 0 && c->newest == c->kept)
		rc = roll_back(s, c, e);
	if (rc != 0)
		return err_prefix(e, "release %llu was not confirmed, but",
		    (unsigned long long)c->serial);
	/* These tell services of changed files. */
	if (settle_triggers(set, &s->state, &settled, &after) != 0)
		log_err(LOG_ERROR, "after the rollback", &after, NULL);
	settled_release(&settled);
	err_clear(&after);
	if (hooks_postrun(&set->hooks, set->root, true, &after) != 0)
		log_err(LOG_ERROR, "postrun_command failed", &after, NULL);
	c->stage = CONFIRM_UNDONE;
	return confirm_write(&s->state, c, e);
}

int
confirm_settle(struct session *s, bool *undone, struct err *e)
{
	struct confirm_clock clock;
	struct confirm c;
	int rc;

	*undone = false;
	rc = confirm_read(&s->state, &c, e);
	if (rc == ERR_FORMAT) {
		log_err(LOG_WARNING, "nothing is rolled back", e, NULL);
		err_clear(e);
		return 0;
	}
	if (rc != 0 || c.kept == 0 || c.stage == CONFIRM_UNDONE)
		return rc;
	if (c.stage == CONFIRM_NONE || c.stage == CONFIRM_BEGUN)
		return confirm_forget(&s->state, e);
	if (c.stage == CONFIRM_WAITING) {
		rc = confirm_clock_read(&clock, e);
		if (rc != 0 || confirm_left_ms(&c, &clock) > 0)
			return rc;
	}
	*undone = true;
	return undo(s, &c, e);
}

/* ---- looking ---- */

int
confirm_check(const struct session *s, bool *waits, struct err *e)
{
	char until[TEXT_TIME_BYTES];
	struct confirm c;
	int rc = confirm_read(&s->state, &c, e);

	*waits = false;
	if (rc == ERR_FORMAT)
		return err_prefix(e,
		    "a change waits to be confirmed; `pecia confirm` keeps it, "
		    "`pecia rollback` undoes it; its record is damaged");
	if (rc != 0 || c.stage != CONFIRM_WAITING)
		return rc;
	*waits = true;
	text_time(until, c.until);
	return err_set(e, ERR_CONFLICT,
	    "release %llu waits to be confirmed until %s: `pecia confirm` "
	    "keeps it, `pecia rollback` undoes it; until then nothing else is "
	    "changed",
	    (unsigned long long)c.serial, until);
}

int
confirm_check_undone(const struct session *s, struct err *e)
{
	struct err ignored = ERR_INIT;
	struct confirm c;

	if (confirm_read(&s->state, &c, &ignored) != 0 ||
	    c.stage != CONFIRM_UNDONE || c.newest != c.kept + 1)
		return 0;
	return err_set(e, ERR_CONFLICT,
	    "release %llu was not confirmed and is rolled back already; "
	    "`pecia run --retry` applies it again, --to SERIAL goes elsewhere",
	    (unsigned long long)c.serial);
}

static bool
is_applied(const struct session *s, const struct confirm *c)
{
	return s->has_applied && s->applied.serial == c->serial &&
	    strcmp(s->applied.channel, c->channel) == 0;
}

uint64_t
confirm_held(const struct session *s, const struct head *head)
{
	struct err ignored = ERR_INIT;
	struct confirm c;

	if (confirm_read(&s->state, &c, &ignored) != 0 ||
	    c.stage != CONFIRM_UNDONE || !is_applied(s, &c) ||
	    strcmp(head->channel, c.channel) != 0 || head->serial > c.serial)
		return 0;
	return c.serial;
}

void
confirm_look(const struct session *s, struct confirm *out, uint64_t *left_ms)
{
	struct err ignored = ERR_INIT;
	struct confirm_clock clock;
	struct confirm c;

	*out = (struct confirm){ .stage = CONFIRM_NONE };
	*left_ms = 0;
	if (confirm_read(&s->state, &c, &ignored) != 0 ||
	    c.stage == CONFIRM_BEGUN)
		return;
	if (c.stage == CONFIRM_UNDONE && !is_applied(s, &c) &&
	    held_serial(s, NULL) != c.serial)
		return;
	*out = c;
	if (confirm_clock_read(&clock, &ignored) == 0)
		*left_ms = confirm_left_ms(&c, &clock);
}
