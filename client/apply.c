/* One transaction: plan, stage, journal, commit, record; runs in the applier. */
#include "client/apply.h"

#include <signal.h>

#include "client/cache.h"
#include "client/commit.h"
#include "client/dirtimes.h"
#include "client/due.h"
#include "client/journal.h"
#include "client/keep.h"
#include "client/lift.h"
#include "client/probe.h"
#include "client/protect.h"
#include "client/space.h"
#include "client/syncs.h"
#include "client/tree.h"
#include "client/watcher.h"
#include "common/crypto_key.h"
#include "common/fsat.h"
#include "common/log.h"
#include "common/pool.h"
#include "common/text.h"

#define RUN_ID_BYTES 8

/* ---- comparing ---- */

/* The state directory is ours even when a target covers it. */
static int
keep_state(const struct session *s, char **path, struct err *e)
{
	const char *root = s->settings->root, *state = s->settings->state;
	size_t n = strlen(root);

	*path = NULL;
	while (n > 0 && root[n - 1] == '/')
		n--;
	if (strncmp(state, root, n) != 0 || state[n] != '/')
		return 0;
	*path = strdup(state + n + strspn(state + n, "/"));
	if (*path == NULL)
		return err_memory(e);
	for (n = strlen(*path); n > 0 && (*path)[n - 1] == '/'; n--)
		(*path)[n - 1] = '\0';
	return 0;
}

/* The tree that the former release listed: what it lists and the new one does
 * not is to go.  Where its manifests were lost or damaged, nobody knows any more,
 * and it stays: *was is NULL. */
static int
open_was(struct session *s, struct tree **was, struct err *e)
{
	int rc = tree_open(&s->state, &s->was, s->was_profile, was, e);

	if (rc != ERR_NOT_FOUND && rc != ERR_VERIFY)
		return rc;
	log_err(LOG_WARNING, "what was dropped stays", e, NULL);
	err_clear(e);
	return 0;
}

int
apply_look(struct session *s, const struct apply_look *look,
    struct compare_totals *totals, struct err *e)
{
	struct cache cache = { -1, NULL };
	struct fsat_stat state;
	char *keep = NULL;
	int rc;

	progress_begin(s->progress, "comparing", "");
	progress_expect(s->progress, look->entries, 0);
	if ((rc = fsat_stat_fd(s->state.dir, &state, e)) != 0)
		return rc;
	if (!look->read_all &&
	    (rc = cache_open(
	         &s->state, s->settings->ignore_xattrs, &cache, e)) != 0)
		return rc;
	rc = keep_state(s, &keep, e);
	if (rc == 0) {
		const char *const kept[] = { keep };
		struct compare_options o = {
			.root = s->root,
			.want = look->want,
			.was = look->was,
			.cache = cache.reader,
			.progress = s->progress,
			.dir_times = look->dir_times,
			.ignore_owner = s->settings->ignore_owner,
			.ignore_flags = s->settings->ignore_flags,
			.ignore_xattrs = s->settings->ignore_xattrs,
			.keep_dir = &state,
			.keep = kept,
			.keep_count = keep != NULL ? 1 : 0,
		};

		rc = compare_run(&o, look->fn, look->arg, totals, e);
	}
	free(keep);
	cache_close(&cache);
	return rc;
}

int
apply_new_id(char id[APPLY_ID_BYTES], struct err *e)
{
	uint8_t raw[RUN_ID_BYTES];
	int rc = random_bytes(raw, sizeof(raw), e);

	if (rc == 0)
		text_hex(id, raw, sizeof(raw));
	return rc;
}

/* Another release, or another profile of the same. */
static bool
is_other_tree(const struct session *s, const struct release_profile *profile)
{
	return !s->has_applied ||
	    !digest_equal(&s->applied.release, &s->head.release) ||
	    strcmp(s->applied.profile, profile->name) != 0;
}

static uint64_t
count_entries(const struct apply_tree *t)
{
	uint64_t n = 0;

	for (size_t i = 0; i < t->profile->count; i++)
		n +=
		    t->release->transcripts[t->profile->transcripts[i]].entries;
	return n;
}

int
apply_compare(struct session *s, const struct apply_tree *t, struct plan *plan,
    struct compare_totals *totals, struct err *e)
{
	struct protect protect = { &s->settings->guard, plan };
	struct apply_look look = {
		.read_all = t->read_all, .fn = protect_add, .arg = &protect
	};
	char id[APPLY_ID_BYTES];
	struct tree *want = NULL, *was = NULL;
	int rc;

	plan_spill(plan, s->state.dir);
	rc = plan_note_manifests(plan, t->release, t->profile, e);
	if (rc == 0)
		rc = tree_open(&s->state, t->release, t->profile, &want, e);
	if (rc == 0 && s->has_applied && is_other_tree(s, t->profile))
		rc = open_was(s, &was, e);
	if (rc == 0) {
		look.want = tree_layer(want);
		look.was = was != NULL ? tree_layer(was) : NULL;
		look.entries = count_entries(t);
		rc = apply_look(s, &look, totals, e);
	}
	tree_free(want);
	tree_free(was);
	want = NULL;
	if (rc == 0)
		rc = protect_finish(&protect, e);
	if (rc != 0 || plan_is_empty(plan))
		return rc;
	rc = apply_new_id(id, e);
	if (rc == 0)
		rc = tree_open(&s->state, t->release, t->profile, &want, e);
	if (rc == 0)
		rc = plan_finish(plan, tree_layer(want), id, e);
	tree_free(want);
	return rc;
}

/* ---- recording ---- */

static void
record_applied(const struct session *s, struct buf *text)
{
	struct applied a = { .serial = s->head.serial,
		.release = s->head.release,
		.when = s->now };

	(void)snprintf(a.channel, sizeof(a.channel), "%s", s->head.channel);
	(void)snprintf(a.profile, sizeof(a.profile), "%s", s->profile->name);
	(void)snprintf(a.from, sizeof(a.from), "%s", s->peer.route);
	(void)snprintf(a.site, sizeof(a.site), "%s", s->site);
	applied_write(text, &a);
}

static void
release_now(const struct session *s, struct kept_release *out)
{
	out->is_any = true;
	(void)snprintf(
	    out->channel, sizeof(out->channel), "%s", s->head.channel);
	(void)snprintf(
	    out->profile, sizeof(out->profile), "%s", s->profile->name);
	out->serial = s->head.serial;
	out->release = s->head.release;
}

/* Manifests of the wanted release stay, and those that a rollback would make
 * the machine be again; all others go. */
static int
prune(struct session *s, struct err *e)
{
	const struct release_profile *p = s->profile;
	struct keep_manifests keep = { NULL, 0 };
	int rc = keep_manifests_find(s, p->count, &keep, e);

	for (size_t i = 0; rc == 0 && i < p->count; i++)
		keep.list[keep.count++] =
		    s->release.transcripts[p->transcripts[i]].manifest;
	if (rc == 0)
		rc = state_prune_manifests(&s->state, keep.list, keep.count, e);
	free(keep.list);
	return rc != 0 ? rc : state_clean_tmp(&s->state, e);
}

/* Head and record, in an order in which a crash between them is seen as the
 * old release, which the next run compares again. */
static int
make_current(struct session *s, const char *channel, const struct buf *head,
    const struct buf *applied, struct err *e)
{
	int rc = 0;

	if (head->len > 0)
		rc = trust_commit_head(
		    s->trust, channel, head->data, head->len, e);
	return rc != 0 ? rc : state_set_applied(&s->state, applied, e);
}

/* ---- carrying out ---- */

/* With what is kept of the old, which takes room in the state directory. */
static int
check_space(const struct session *s, const struct plan *p,
    const struct keep_space *keep, struct err *e)
{
	const struct space_extra extra = { s->state.dir, s->state.path,
		keep->copy_bytes, keep->files };

	return space_check(s->root, s->settings->root, p, &extra, e);
}

/* What a run after a crash needs to take it all back. */
static int
note_before(struct session *s, struct plan *plan, struct err *e)
{
	int rc;

	if ((rc = lift_off(s->state.dir, s->root, plan, e)) != 0 ||
	    (rc = probe_plan(s->root, plan, e)) != 0 ||
	    (rc = dirtimes_note(s->state.dir, s->root, plan, e)) != 0)
		return rc;
	return journal_write_stages(s->state.dir, plan, e);
}

/* *syncs: where to, and not yet durable. */
static int
stage_all(struct session *s, struct content *content, struct plan *plan,
    struct stage **stage, struct syncs *syncs, struct err *e)
{
	int rc;

	progress_begin(s->progress, "staging", "");
	rc = stage_new(s->root, plan, stage, e);
	if (rc == 0)
		rc = stage_frame(*stage, e);
	if (rc == 0)
		rc = content_fill(content, plan, *stage, e);
	return rc != 0 ? rc : stage_finish(*stage, syncs, e);
}

static void
release_before(const struct session *s, struct kept_release *out)
{
	const struct applied *a = &s->applied;

	if (!s->has_applied)
		return;
	out->is_any = true;
	memcpy(out->channel, a->channel, sizeof(out->channel));
	memcpy(out->profile, a->profile, sizeof(out->profile));
	out->serial = a->serial;
	out->release = a->release;
}

/* By another thread, where there is another processor for it; else NULL, and it
 * is not done. */
static struct pool *
begin_beside(pool_fn *fn, void *arg)
{
	struct pool *pool = NULL;

	if (pool_cpus() == 1 || pool_new(1, 1, &pool, NULL) != 0)
		return NULL;
	pool_submit(pool, fn, arg);
	return pool;
}

/* Keeping what is there, while the new is staged: it looks only at what staging
 * leaves alone.  What has to be copied for it waits until all is staged, as much
 * may fail until then; so does what has other names, for which the manifests are
 * read once more. */
struct keeping {
	struct session *s;
	const struct plan *plan;
	const struct keep_space *space;
	struct kept_facts facts;
	struct pool *pool; /* NULL: it is done when all is staged */
};

/* A pool_fn. */
static int
keep_all(void *arg, struct err *e)
{
	const struct keeping *k = arg;

	return keep_store(k->s, k->plan, &k->facts, k->space, e);
}

static void
keep_begin(struct keeping *k)
{
	release_before(k->s, &k->facts.was);
	if (k->space->copy_bytes == 0 && !k->space->linked)
		k->pool = begin_beside(keep_all, k);
}

/* `rc`: of what was done meanwhile; its error counts first. */
static int
keep_end(struct keeping *k, int rc, struct err *e)
{
	struct err mine = ERR_INIT;
	int kept = 0;

	if (k->pool != NULL)
		kept = pool_wait(k->pool, &mine);
	else if (rc == 0)
		kept = keep_all(k, &mine);
	pool_free(k->pool);
	if (rc == 0 && kept != 0)
		*e = mine;
	return rc != 0 ? rc : kept;
}

/* What is staged, and what is kept of the old: durable before a journal says
 * so. */
static int
prepare(struct session *s, struct content *content, struct plan *plan,
    const struct apply_goal *goal, const struct keep_space *space,
    struct err *e)
{
	struct keeping keeping = { .s = s,
		.plan = plan,
		.space = space,
		.facts = { .when = s->now,
		    .is_rollback = goal->is_rollback,
		    .now = goal->now } };
	struct syncs syncs = SYNCS_INIT;
	struct stage *stage = NULL;
	int rc;

	if ((rc = note_before(s, plan, e)) != 0)
		return rc;
	keep_begin(&keeping);
	rc = stage_all(s, content, plan, &stage, &syncs, e);
	rc = keep_end(&keeping, rc, e);
	progress_begin(s->progress, "writing to disk", "");
	if (rc == 0)
		rc = syncs_add(&syncs, s->state.dir, e);
	if (rc == 0)
		rc = stage_settle(stage, e);
	if (rc == 0)
		rc = syncs_all(&syncs, e);
	stage_free(stage);
	syncs_release(&syncs);
	return rc;
}

/* Everything up to the end of the journal may happen again after a crash; so
 * all of it is synced together. */
static int
commit_journal(struct session *s, struct progress *progress,
    struct journal_header *h, struct syncs *syncs, struct err *e)
{
	int state = s->state.dir, rc;
	struct journal *j = NULL;

	rc = journal_open(state, &j, h, e);
	if (rc == 0)
		rc = dirtimes_forget(state, e);
	if (rc == 0)
		rc = lift_forget(state, e);
	if (rc == 0)
		rc = commit_steps(s->root, j, syncs, progress, e);
	if (rc == 0)
		rc = keep_publish(state, e);
	if (rc == 0)
		rc = due_publish(state, e);
	clock_gettime(CLOCK_MONOTONIC, &s->changed);
	journal_free(j);
	return rc;
}

/* A pool_fn. */
static int
call_beside(void *arg, struct err *e)
{
	const struct apply_beside *beside = arg;

	(void)e;
	beside->fn(beside->arg);
	return 0;
}

/* Takes the steps that the journal has, makes current what it names, and
 * forgets it.  `channel` NULL: the one in its record.  `beside` is for when the
 * steps were taken and become durable. */
static int
carry_out_journal(struct session *s, const char *channel,
    struct progress *progress, struct apply_beside beside, struct err *e)
{
	struct pool *pool = NULL;
	struct applied a = { .when = s->now };
	struct syncs syncs = SYNCS_INIT;
	struct journal_header h;
	int rc;

	journal_header_init(&h);
	rc = commit_journal(s, progress, &h, &syncs, e);
	if (rc == 0 && beside.fn != NULL)
		pool = begin_beside(call_beside, &beside);
	if (rc == 0 && channel == NULL && h.applied.len > 0)
		rc = applied_parse(buf_str(&h.applied), h.applied.len, &a, e);
	/* After a crash: it was fresh when it was verified, and is judged by
	 * that time. */
	if (rc == 0 && channel == NULL)
		trust_set_time(s->trust, a.when);
	if (rc == 0)
		rc = syncs_add(&syncs, s->state.dir, e);
	if (rc == 0)
		rc = syncs_all(&syncs, e);
	if (rc == 0)
		rc = make_current(s, channel != NULL ? channel : a.channel,
		    &h.head, &h.applied, e);
	if (rc == 0)
		rc = journal_remove(s->state.dir, e);
	pool_free(pool); /* which waits for it */
	syncs_release(&syncs);
	journal_header_release(&h);
	return rc;
}

/* What has begun to change is carried through, whoever asks for an end: from
 * here on the process ends by itself.  SIGKILL and power cuts remain. */
static void
hold_signals(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
}

static int
commit_plan(struct session *s, struct plan *plan, const struct apply_goal *goal,
    struct err *e)
{
	struct journal_header h;
	int rc;

	hold_signals();
	journal_header_init(&h);
	if (goal->head.len > 0)
		buf_add(&h.head, goal->head.data, goal->head.len);
	if (goal->applied.len > 0)
		buf_add(&h.applied, goal->applied.data, goal->applied.len);
	rc = buf_check(&h.applied, "record", e);
	if (rc == 0)
		rc = journal_write(s->state.dir, s->root, &h, plan, e);
	progress_begin(s->progress, "committing", "");
	progress_expect(s->progress, plan->item_count + plan->delete_count, 0);
	journal_header_release(&h);
	return rc != 0 ? rc
	               : carry_out_journal(
	                     s, s->head.channel, s->progress, goal->beside, e);
}

/* Whether a file of the state is there; in doubt, it is. */
static bool
has_file(const struct session *s, const char *name)
{
	struct err ignored = ERR_INIT;
	struct fsat_stat st;

	return fsat_stat(s->state.dir, name, &st, &ignored) != ERR_NOT_FOUND;
}

/* Before there is a journal: as if nothing had been begun. */
static int
undo_stages(struct session *s, struct err *e)
{
	int rc;

	lift_again(s->state.dir, s->root);
	rc = keep_discard(s->state.dir, e);
	if (rc == 0)
		rc = due_discard(s->state.dir, e);
	if (rc == 0)
		rc = journal_undo_stages(s->state.dir, s->root, e);
	if (rc == 0)
		rc = dirtimes_restore(s->state.dir, s->root, e);
	return rc != 0 ? rc : lift_restore(s->state.dir, s->root, e);
}

static int
change(struct session *s, struct content *content, struct plan *plan,
    const struct apply_goal *goal, struct err *e)
{
	struct keep_space space;
	struct err undo = ERR_INIT;
	int rc;

	if ((rc = keep_space(s, plan, &space, e)) != 0 ||
	    (rc = check_space(s, plan, &space, e)) != 0)
		return rc;
	rc = prepare(s, content, plan, goal, &space, e);
	if (rc == 0 && goal->ready.fn != NULL)
		rc = goal->ready.fn(goal->ready.arg, e);
	if (rc == 0 && !goal->is_rollback)
		rc = watcher_tell(s, &goal->now, e);
	if (rc == 0)
		rc = commit_plan(s, plan, goal, e);
	/* What a journal says is carried through by the next run. */
	if (rc == 0 || has_file(s, JOURNAL_NAME)) {
		if (goal->begun != NULL)
			*goal->begun = true;
		return rc;
	}
	if (undo_stages(s, &undo) != 0)
		log_err(LOG_ERROR, "stages not removed", &undo, NULL);
	return rc;
}

int
apply_change(struct session *s, struct content *content, struct plan *plan,
    const struct apply_goal *goal, struct err *e)
{
	int rc;

	if (plan_is_empty(plan)) {
		/* The manifests, which nothing else makes durable here. */
		rc = fsat_syncfs(s->state.dir, e);
		return rc != 0 ? rc
		               : make_current(s, s->head.channel, &goal->head,
		                     &goal->applied, e);
	}
	rc = change(s, content, plan, goal, e);
	return rc != 0 ? rc : keep_prune(s, e);
}

/* The head was signed again: the newest one is kept, for its expiry. */
static int
keep_head(struct session *s, struct err *e)
{
	return trust_commit_head(s->trust, s->head.channel, s->head_bytes.data,
	    s->head_bytes.len, e);
}

/* The stat cache, written while the commit becomes durable, or after it. */
struct caching {
	struct session *s;
	const struct plan *plan; /* NULL: all is looked at */
	bool is_done;
	struct err e; /* of it, which is none of the commit */
};

/* An apply_goal's. */
static void
write_cache(void *arg)
{
	struct caching *c = arg;

	c->is_done = true;
	if (cache_write(c->s, &c->s->release, c->s->profile, c->plan, &c->e) ==
	    0)
		err_clear(&c->e);
}

static int
apply_or_record(struct session *s, struct content *content, struct plan *plan,
    struct apply_goal *goal, const struct apply_result *result, struct err *e)
{
	int rc;

	if (plan_is_empty(plan) && !result->new_release)
		return keep_head(s, e);
	buf_init(&goal->head, LIMIT_HEAD_BYTES);
	buf_init(&goal->applied, LIMIT_CONFIG_BYTES);
	buf_add(&goal->head, s->head_bytes.data, s->head_bytes.len);
	record_applied(s, &goal->applied);
	release_now(s, &goal->now);
	rc = buf_check(&goal->applied, "record", e);
	if (rc == 0)
		rc = apply_change(s, content, plan, goal, e);
	buf_release(&goal->head);
	buf_release(&goal->applied);
	return rc;
}

int
apply_plan(struct session *s, struct content *content, struct plan *plan,
    const struct apply_ready *ready, struct apply_result *result, struct err *e)
{
	/* What had to be read is in no cache yet, and a name that comes or goes
	 * changes what stat says of the file's other names. */
	const bool look = result->totals.read_bytes > 0 || plan->has_links;
	struct caching caching = { s, look ? NULL : plan, false, ERR_INIT };
	struct apply_goal goal = { .ready = *ready,
		.beside = { write_cache, &caching },
		.begun = &result->begun };
	int rc;

	result->new_release = is_other_tree(s, s->profile);
	rc = apply_or_record(s, content, plan, &goal, result, e);
	if (content != NULL)
		content_counts(content, &result->content);
	if (rc != 0)
		return rc;
	if (!caching.is_done &&
	    (result->new_release || !plan_is_empty(plan) || look))
		write_cache(&caching);
	if (caching.e.code != 0) {
		*e = caching.e;
		return e->code;
	}
	return result->new_release ? prune(s, e) : 0;
}

/* ---- after a crash ---- */

int
apply_recover(struct session *s, bool *recovered, struct err *e)
{
	bool begun = has_file(s, JOURNAL_NAME);
	int rc = 0;

	*recovered = begun || has_file(s, JOURNAL_STAGES) ||
	    has_file(s, DIRTIMES_NAME) || has_file(s, KEPT_NEW) ||
	    has_file(s, LIFT_NAME) || has_file(s, DUE_NEW);
	if (begun) { /* whole: its steps are carried through */
		hold_signals();
		rc = carry_out_journal(
		    s, NULL, NULL, (struct apply_beside){ NULL, NULL }, e);
	} else if (*recovered)
		rc = undo_stages(s, e);
	return rc != 0 ? err_prefix(e, "finishing an interrupted run") : 0;
}
