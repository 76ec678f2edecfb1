/* One transaction: plan, stage, journal, commit, record; runs in the applier. */
#include "client/apply.h"

#include "client/cache.h"
#include "client/commit.h"
#include "client/dirtimes.h"
#include "client/journal.h"
#include "client/lift.h"
#include "client/probe.h"
#include "client/tree.h"
#include "common/crypto_key.h"
#include "common/fsat.h"
#include "common/log.h"
#include "common/text.h"

#define RUN_ID_BYTES 8
/* Names, directories and the journal beside the content itself. */
#define SPACE_PER_ITEM 4096

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

/* What the former release listed; where its manifests were lost or damaged,
 * nobody knows any more, and it stays. */
static int
find_dropped(struct session *s, const struct apply_tree *t, struct plan *plan,
    struct err *e)
{
	struct tree *was = NULL, *want = NULL;
	int rc;

	if (!s->has_applied)
		return 0;
	rc = tree_open(&s->state, &s->was, s->was_profile, &was, e);
	if (rc == ERR_NOT_FOUND || rc == ERR_VERIFY) {
		log_err(LOG_WARNING, "what was dropped stays", e, NULL);
		err_clear(e);
		return 0;
	}
	if (rc == 0)
		rc = tree_open(&s->state, t->release, t->profile, &want, e);
	if (rc == 0)
		rc = compare_dropped(s->root, tree_layer(was), tree_layer(want),
		    plan_add, plan, e);
	tree_free(was);
	tree_free(want);
	return rc;
}

static int
compare_wanted(struct session *s, struct tree *want, bool read_all,
    struct plan *plan, struct compare_totals *totals, struct err *e)
{
	struct cache cache = { -1, NULL };
	struct fsat_stat state;
	char *keep = NULL;
	int rc;

	if ((rc = fsat_stat_fd(s->state.dir, &state, e)) != 0)
		return rc;
	if (!read_all &&
	    (rc = cache_open(
	         &s->state, s->settings->ignore_xattrs, &cache, e)) != 0)
		return rc;
	rc = keep_state(s, &keep, e);
	if (rc == 0) {
		const char *const kept[] = { keep };
		struct compare_options o = {
			.root = s->root,
			.want = tree_layer(want),
			.cache = cache.reader,
			.ignore_owner = s->settings->ignore_owner,
			.ignore_flags = s->settings->ignore_flags,
			.ignore_xattrs = s->settings->ignore_xattrs,
			.keep_dir = &state,
			.keep = kept,
			.keep_count = keep != NULL ? 1 : 0,
		};

		rc = compare_run(&o, plan_add, plan, totals, e);
	}
	free(keep);
	cache_close(&cache);
	return rc;
}

static int
new_run_id(char id[2 * RUN_ID_BYTES + 1], struct err *e)
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

int
apply_compare(struct session *s, const struct apply_tree *t, struct plan *plan,
    struct compare_totals *totals, struct err *e)
{
	char id[2 * RUN_ID_BYTES + 1];
	struct tree *want = NULL;
	int rc;

	rc = tree_open(&s->state, t->release, t->profile, &want, e);
	if (rc == 0)
		rc = compare_wanted(s, want, t->read_all, plan, totals, e);
	tree_free(want);
	want = NULL;
	if (rc == 0 && is_other_tree(s, t->profile))
		rc = find_dropped(s, t, plan, e);
	if (rc != 0 || plan_is_empty(plan))
		return rc;
	rc = new_run_id(id, e);
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

/* Manifests of the wanted release stay, all others go. */
static int
prune(struct session *s, struct err *e)
{
	const struct release_profile *p = s->profile;
	struct digest *keep = calloc(p->count, sizeof(*keep));
	int rc;

	if (keep == NULL)
		return err_memory(e);
	for (size_t i = 0; i < p->count; i++)
		keep[i] = s->release.transcripts[p->transcripts[i]].manifest;
	rc = state_prune_manifests(&s->state, keep, p->count, e);
	free(keep);
	return rc != 0 ? rc : state_clean_tmp(&s->state, e);
}

/* Head and record, in an order in which a crash between them is seen as the
 * old release, which the next run compares again. */
static int
make_current(struct session *s, const struct buf *head,
    const struct buf *applied, struct err *e)
{
	int rc;

	rc = trust_commit_head(
	    s->trust, s->head.channel, head->data, head->len, e);
	return rc != 0 ? rc : state_set_applied(&s->state, applied, e);
}

/* ---- carrying out ---- */

static int
check_space(const struct session *s, const struct plan *p, struct err *e)
{
	uint64_t bytes, inodes, want;
	char have_text[32], want_text[32];
	int rc;

	if ((rc = fsat_free_space(s->root, &bytes, &inodes, e)) != 0)
		return rc;
	/* How much of a file is holes is seen when it comes. */
	want =
	    p->write_bytes - p->sparse_bytes + p->item_count * SPACE_PER_ITEM;
	text_bytes(have_text, sizeof(have_text), bytes);
	text_bytes(want_text, sizeof(want_text), want);
	if (want > bytes)
		return err_set(e, ERR_UNSUPPORTED,
		    "%s free below %s, %s needed", have_text, s->settings->root,
		    want_text);
	/* Some file systems count none. */
	if (inodes > 0 && p->item_count > inodes)
		return err_set(e, ERR_UNSUPPORTED,
		    "%llu inodes free below %s, %zu needed",
		    (unsigned long long)inodes, s->settings->root,
		    p->item_count);
	return 0;
}

static int
stage_all(struct session *s, struct content *content, struct plan *plan,
    struct err *e)
{
	struct stage *stage = NULL;
	int rc;

	if ((rc = lift_off(s->state.dir, s->root, plan, e)) != 0 ||
	    (rc = probe_plan(s->root, plan, e)) != 0 ||
	    (rc = dirtimes_note(s->state.dir, s->root, plan, e)) != 0 ||
	    (rc = journal_write_stages(s->state.dir, plan, e)) != 0)
		return rc;
	rc = stage_new(s->root, plan, &stage, e);
	if (rc == 0)
		rc = stage_frame(stage, e);
	if (rc == 0)
		rc = content_fill(content, plan, stage, e);
	if (rc == 0)
		rc = stage_finish(stage, e);
	stage_free(stage);
	return rc != 0 ? rc : fsat_syncfs(s->root, e);
}

static int
commit_journal(
    struct state *state, int root, struct journal_header *h, struct err *e)
{
	struct journal *j = NULL;
	int rc;

	rc = journal_open(state->dir, &j, h, e);
	if (rc == 0)
		rc = dirtimes_forget(state->dir, e);
	if (rc == 0)
		rc = lift_forget(state->dir, e);
	if (rc == 0)
		rc = commit_steps(root, j, e);
	journal_free(j);
	return rc;
}

static int
commit_plan(struct session *s, struct plan *plan, struct err *e)
{
	struct journal_header h, read_back;
	int rc;

	journal_header_init(&h);
	journal_header_init(&read_back);
	buf_add(&h.head, s->head_bytes.data, s->head_bytes.len);
	record_applied(s, &h.applied);
	rc = buf_check(&h.applied, "record", e);
	if (rc == 0)
		rc = journal_write(s->state.dir, s->root, &h, plan, e);
	if (rc == 0)
		rc = commit_journal(&s->state, s->root, &read_back, e);
	if (rc == 0)
		rc = make_current(s, &h.head, &h.applied, e);
	if (rc == 0)
		rc = journal_remove(s->state.dir, e);
	journal_header_release(&h);
	journal_header_release(&read_back);
	return rc;
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
	int rc = journal_undo_stages(s->state.dir, s->root, e);

	if (rc == 0)
		rc = dirtimes_restore(s->state.dir, s->root, e);
	return rc != 0 ? rc : lift_restore(s->state.dir, s->root, e);
}

static int
change(struct session *s, struct content *content, struct plan *plan,
    struct err *e)
{
	struct err undo = ERR_INIT;
	int rc;

	if ((rc = check_space(s, plan, e)) != 0)
		return rc;
	rc = stage_all(s, content, plan, e);
	if (rc == 0)
		rc = commit_plan(s, plan, e);
	/* What a journal says is carried through by the next run. */
	if (rc == 0 || has_file(s, JOURNAL_NAME))
		return rc;
	if (undo_stages(s, &undo) != 0)
		log_err(LOG_ERROR, "stages not removed", &undo, NULL);
	return rc;
}

/* The head was signed again: the newest one is kept, for its expiry. */
static int
keep_head(struct session *s, struct err *e)
{
	return trust_commit_head(s->trust, s->head.channel, s->head_bytes.data,
	    s->head_bytes.len, e);
}

int
apply_plan(struct session *s, struct content *content, struct plan *plan,
    struct apply_result *result, struct err *e)
{
	struct buf applied;
	int rc = 0;

	result->new_release = is_other_tree(s, s->profile);
	buf_init(&applied, LIMIT_CONFIG_BYTES);
	record_applied(s, &applied);
	if (!plan_is_empty(plan))
		rc = change(s, content, plan, e);
	else if (result->new_release)
		rc = make_current(s, &s->head_bytes, &applied, e);
	else
		rc = keep_head(s, e);
	buf_release(&applied);
	if (content != NULL)
		content_counts(content, &result->content);
	if (rc != 0)
		return rc;
	if (result->new_release || !plan_is_empty(plan) ||
	    result->totals.read_bytes > 0)
		rc = cache_write(s, &s->release, s->profile, e);
	if (rc == 0 && result->new_release)
		rc = prune(s, e);
	return rc;
}

/* ---- after a crash ---- */

/* The journal was whole: its steps are carried through.  What it commits was
 * fresh when it was verified, and is judged by that time. */
static int
finish_commit(struct session *s, struct err *e)
{
	struct journal_header h;
	struct applied a;
	int rc;

	journal_header_init(&h);
	rc = commit_journal(&s->state, s->root, &h, e);
	if (rc == 0)
		rc = applied_parse(buf_str(&h.applied), h.applied.len, &a, e);
	if (rc == 0) {
		(void)snprintf(
		    s->head.channel, sizeof(s->head.channel), "%s", a.channel);
		trust_set_time(s->trust, a.when);
		rc = make_current(s, &h.head, &h.applied, e);
	}
	if (rc == 0)
		rc = journal_remove(s->state.dir, e);
	journal_header_release(&h);
	return rc;
}

int
apply_recover(struct session *s, bool *recovered, struct err *e)
{
	bool begun = has_file(s, JOURNAL_NAME);
	int rc = 0;

	*recovered = begun || has_file(s, JOURNAL_STAGES) ||
	    has_file(s, DIRTIMES_NAME) || has_file(s, LIFT_NAME);
	if (begun)
		rc = finish_commit(s, e);
	else if (*recovered)
		rc = undo_stages(s, e);
	return rc != 0 ? err_prefix(e, "finishing an interrupted run") : 0;
}
