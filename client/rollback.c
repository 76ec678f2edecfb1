/* Going back; runs in the applier. */
#include "client/rollback.h"

#include <errno.h>
#include <stdlib.h>

#include "client/held.h"
#include "client/past.h"
#include "client/protect.h"
#include "client/rollback_due.h"
#include "common/dirstack.h"
#include "common/fsat.h"
#include "common/log.h"

/* ---- where to ---- */

static void
name_release(struct buf *b, const struct kept_release *r)
{
	if (r->is_any)
		buf_addf(b, "release %llu of %s", (unsigned long long)r->serial,
		    r->channel);
	else
		buf_add_str(b, "nothing applied");
}

static int
not_kept(const struct session *s, const struct rollback_target *t,
    const struct buf *kept, struct err *e)
{
	if (s->settings->keep_runs == 0)
		return err_set(e, ERR_NOT_FOUND,
		    "no state is kept: keep_runs, keep_age or keep_bytes is 0");
	if (!t->is_serial || kept->len == 0)
		return err_set(e, ERR_NOT_FOUND,
		    "no state is kept: no run changed anything yet");
	return err_set(e, ERR_NOT_FOUND, "release %llu: not kept; kept: %s",
	    (unsigned long long)t->serial, buf_str(kept));
}

int
rollback_find(const struct session *s, const struct rollback_target *t,
    uint64_t *number, struct err *e)
{
	struct kept_facts f;
	uint64_t *numbers = NULL;
	struct buf kept;
	size_t count = 0;
	int rc;

	if (t->is_serial && s->has_applied && s->applied.serial == t->serial)
		return err_set(e, ERR_USAGE,
		    "release %llu is applied; without --to, rollback goes back "
		    "to before the last run that changed something",
		    (unsigned long long)t->serial);
	rc = kept_list(s->state.dir, &numbers, &count, e);
	buf_init(&kept, ERR_MSG_BYTES);
	while (rc == 0 && count > 0) {
		rc = kept_read_facts(s->state.dir, numbers[--count], &f, e);
		if (rc == 0 &&
		    (!t->is_serial ||
		        (f.was.is_any && f.was.serial == t->serial))) {
			*number = f.number;
			goto out;
		}
		if (rc == 0) {
			buf_add_str(&kept, kept.len > 0 ? ", " : "");
			name_release(&kept, &f.was);
		}
	}
	if (rc == 0)
		rc = not_kept(s, t, &kept, e);
out:
	buf_release(&kept);
	free(numbers);
	return rc;
}

/* ---- what it takes ---- */

struct planning {
	const struct past *past;
	struct protect protect; /* fills the plan */
	struct dirstack *dirs;
};

static bool
is_new_inode(const struct compare_diff *diff)
{
	return diff->kind == COMPARE_CREATE || (diff->bits & COMPARE_TYPE) != 0;
}

/* What the runs did not change themselves has to be there, no more. */
static bool
is_needed(const struct compare_diff *diff)
{
	return diff->want->m.type == MANIFEST_DIR
	    ? is_new_inode(diff)
	    : diff->kind == COMPARE_CHANGE && (diff->bits & COMPARE_LINK) != 0;
}

/* A file whose content nobody kept, as no run took it away: what is there is
 * given its metadata. */
static int
take_meta(struct planning *p, const struct compare_diff *diff, struct err *e)
{
	struct compare_diff d = *diff;

	if (d.want->m.type != MANIFEST_FILE)
		return protect_add(&p->protect, diff, e);
	if (is_new_inode(diff)) {
		log_event(LOG_WARNING, "left as it is", "path", diff->path,
		    "why", "its content was not kept", NULL);
		return 0;
	}
	d.bits &= ~(unsigned)COMPARE_CONTENT;
	return d.bits == 0 ? 0 : protect_add(&p->protect, &d, e);
}

static int
take_diff(void *arg, const struct compare_diff *diff, struct err *e)
{
	struct planning *p = arg;

	if (diff->kind == COMPARE_DELETE)
		return protect_add(&p->protect, diff, e);
	switch (past_state(p->past, diff->path)) {
	case PAST_META:
		return take_meta(p, diff, e);
	case PAST_UNTOUCHED:
		return is_needed(diff) ? protect_add(&p->protect, diff, e) : 0;
	default:
		return protect_add(&p->protect, diff, e);
	}
}

/* What a run made goes, if it is still there. */
static int
take_absent(void *arg, const char *path, struct err *e)
{
	struct compare_diff diff = { .kind = COMPARE_DELETE, .path = path };
	struct planning *p = arg;
	struct err mine = ERR_INIT;
	struct fsat_stat st;
	const char *name;
	int dir, rc;

	rc = dirstack_at(p->dirs, path, &dir, &name, &mine);
	if (rc == 0)
		rc = fsat_stat(dir, name, &st, &mine);
	if (rc == ERR_NOT_FOUND ||
	    (rc == ERR_SYS && (mine.sys == ENOTDIR || mine.sys == ELOOP)))
		return 0;
	if (rc != 0) {
		*e = mine;
		return rc;
	}
	diff.have = &st;
	return protect_add(&p->protect, &diff, e);
}

static int
compare_past(
    struct session *s, struct past *past, struct plan *plan, struct err *e)
{
	struct planning p = { .past = past,
		.protect = { &s->settings->guard, plan } };
	struct apply_look look = {
		.dir_times = true, .fn = take_diff, .arg = &p
	};
	struct compare_totals totals;
	char id[APPLY_ID_BYTES];
	int rc = past_layer(past, &look.want, e);

	plan_spill(plan, s->state.dir);
	if (rc == 0)
		rc = apply_look(s, &look, &totals, e);
	if (rc == 0)
		rc = dirstack_new(s->root, &p.dirs, e);
	if (rc == 0)
		rc = past_each_absent(past, take_absent, &p, e);
	if (rc == 0)
		rc = protect_finish(&p.protect, e);
	dirstack_free(p.dirs);
	if (rc != 0 || plan_is_empty(plan))
		return rc;
	rc = apply_new_id(id, e);
	if (rc == 0)
		rc = past_layer(past, &look.want, e);
	return rc != 0 ? rc : plan_finish(plan, look.want, id, e);
}

int
rollback_plan(struct session *s, uint64_t number, struct plan *plan,
    struct kept_release *to, struct err *e)
{
	struct past *past = NULL;
	int rc = past_open(s, number, &past, e);

	if (rc == 0)
		rc = compare_past(s, past, plan, e);
	if (rc == 0)
		*to = *past_release(past);
	past_free(past);
	return rc;
}

/* ---- doing it ---- */

/* Before the commit: it counts only while an older release is applied. */
static int
hold_back(const struct session *s, const struct kept_release *to, struct err *e)
{
	const struct applied *a = &s->applied;
	struct err none = ERR_INIT;
	struct held h;

	if (!s->has_applied ||
	    (to->is_any && strcmp(to->channel, a->channel) == 0 &&
	        to->serial >= a->serial))
		return 0;
	if (held_read(&s->state, &h, &none) == 0 &&
	    strcmp(h.channel, a->channel) == 0 &&
	    (h.serial > a->serial ||
	        (h.serial == a->serial && h.why[0] == '\0')))
		return 0;
	h.why[0] = '\0';
	memcpy(h.channel, a->channel, sizeof(h.channel));
	h.serial = a->serial;
	return held_write(&s->state, &h, e);
}

static int
record(const struct session *s, const struct kept_release *to, struct buf *text,
    struct err *e)
{
	struct applied a = { .serial = to->serial,
		.release = to->release,
		.when = s->now,
		.from = "rollback" };

	if (!to->is_any)
		return 0;
	memcpy(a.channel, to->channel, sizeof(a.channel));
	memcpy(a.profile, to->profile, sizeof(a.profile));
	applied_write(text, &a);
	return buf_check(text, "record", e);
}

struct following {
	const struct session *s;
	const struct plan *plan;
	const struct kept_release *to;
};

/* An apply_ready. */
static int
note_due(void *arg, struct err *e)
{
	const struct following *f = arg;
	struct due due;
	int rc;

	due_init(&due);
	rc = rollback_due(f->s, f->plan, f->to, &due, e);
	if (rc == 0)
		rc = due_prepare(&f->s->state, &due, e);
	due_release(&due);
	return rc;
}

int
rollback_apply(struct session *s, struct plan *plan,
    const struct kept_release *to, struct err *e)
{
	struct following f = { s, plan, to };
	struct apply_goal goal = {
		.ready = { note_due, &f }, .now = *to, .is_rollback = true
	};
	struct content *content = NULL;
	int rc;

	buf_init(&goal.head, 0);
	buf_init(&goal.applied, LIMIT_CONFIG_BYTES);
	rc = record(s, to, &goal.applied, e);
	if (rc == 0)
		rc = content_new(s, &content, e);
	if (rc == 0)
		rc = hold_back(s, to, e);
	if (rc == 0)
		rc = apply_change(s, content, plan, &goal, e);
	content_free(content);
	buf_release(&goal.applied);
	return rc != 0 ? err_prefix(e, "rollback") : 0;
}

int
rollback_last(struct session *s, struct kept_release *to, struct err *e)
{
	const struct rollback_target last = { .is_serial = false };
	uint64_t number = 0;
	struct plan plan;
	int rc = rollback_find(s, &last, &number, e);

	plan_init(&plan);
	if (rc == 0)
		rc = rollback_plan(s, number, &plan, to, e);
	if (rc == 0)
		rc = rollback_apply(s, &plan, to, e);
	plan_release(&plan);
	return rc;
}
