/* The crash prover over all runs that change something.
 * run: limit 600 */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "client/due.h"
#include "client/kept.h"
#include "common/crypto_digest.h"
#include "tests/prove.h"
#include "transcripts/repo.h"

#define OK(call) ck_assert_msg((call) == 0, "%s: %s", #call, e.msg)

/* ---- client ---- */

static void
set_up_client(const struct scene *s)
{
	struct err e = ERR_INIT;

	OK(scene_publish(s, s->origin, SCENE_BEFORE, &e));
	scene_set_up_client(s);
	OK(scene_run(s, &e));
	OK(scene_publish(s, s->origin, SCENE_AFTER, &e));
}

static void
set_up_flagged(const struct scene *s)
{
	struct err e = ERR_INIT;

	OK(scene_publish(s, s->origin, SCENE_FLAGGED_BEFORE, &e));
	scene_set_up_client(s);
	OK(scene_run(s, &e));
	OK(scene_publish(s, s->origin, SCENE_FLAGGED_AFTER, &e));
}

static void
set_up_rollback(const struct scene *s)
{
	struct err e = ERR_INIT;

	set_up_client(s);
	OK(scene_run(s, &e));
}

static void
set_up_new_client(const struct scene *s)
{
	struct err e = ERR_INIT;

	OK(scene_publish(s, s->origin, SCENE_BEFORE, &e));
	scene_set_up_client(s);
}

static bool
is_leftover(const char *name)
{
	static const char *const names[] = { "journal", "stages", "dirtimes",
		"lifted", "journal.new", "due.new", NULL };

	for (size_t i = 0; names[i] != NULL; i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return strncmp(name, ".pecia-", 7) == 0;
}

static bool
has_no_leftovers(const struct disk *now, struct buf *why)
{
	for (size_t i = 0; i < now->name_count; i++)
		if (is_leftover(now->names[i].name)) {
			buf_addf(why, "%s is left", now->names[i].name);
			return false;
		}
	return true;
}

/* The record of what is applied is of the same release as that of the end. */
static bool
says_applied(const struct disk *now, const struct disk *end, struct buf *why)
{
	const struct disk_file *a = disk_at(now, "state/applied");
	const struct disk_file *b = disk_at(end, "state/applied");
	const char *x = a == NULL ? NULL : strstr(buf_str(&a->data), "serial");
	const char *y = b == NULL ? NULL : strstr(buf_str(&b->data), "serial");
	bool same = x == NULL || y == NULL
	    ? x == y
	    : strcspn(x, "\n") == strcspn(y, "\n") &&
	        strncmp(x, y, strcspn(x, "\n")) == 0;

	if (!same)
		buf_add_str(why, "the record of what is applied is of another");
	return same;
}

/* When it was made, which its facts say, is another matter. */
static bool
keeps_one(const struct disk *now, const struct disk *end, const char *name,
    struct buf *why)
{
	static const char *const parts[] = { "before", "f" };
	struct kept_facts facts;
	struct err e = ERR_INIT;
	char path[80];
	const struct disk_file *f;

	(void)snprintf(path, sizeof(path), "state/kept/%s/facts", name);
	f = disk_at(now, path);
	if (f == NULL ||
	    kept_parse(buf_str(&f->data), f->data.len, &facts, &e) != 0) {
		buf_addf(why, "%s: %s", path, f == NULL ? "missing" : e.msg);
		return false;
	}
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		(void)snprintf(
		    path, sizeof(path), "state/kept/%s/%s", name, parts[i]);
		if (!disk_same(end, now, path, DISK_CONTENT, why))
			return false;
	}
	return true;
}

/* The kept runs are those of the end, and whole. */
static bool
keeps(const struct disk *now, const struct disk *end, struct buf *why)
{
	const struct disk_file *want = disk_at(end, "state/kept");
	const struct disk_file *have = disk_at(now, "state/kept");
	size_t more = 0;

	for (size_t i = 0; have != NULL && i < now->name_count; i++)
		more += now->names[i].dir == have->id;
	for (size_t i = 0; want != NULL && i < end->name_count; i++) {
		if (end->names[i].dir != want->id)
			continue;
		if (!keeps_one(now, end, end->names[i].name, why))
			return false;
		more--;
	}
	if (more > 0)
		buf_add_str(why, "more is kept");
	return more == 0;
}

static bool
client_is_at(const struct disk *now, const struct disk *end, struct buf *why)
{
	return disk_same(end, now, "root", DISK_EXACT, why) &&
	    says_applied(now, end, why) && keeps(now, end, why) &&
	    has_no_leftovers(now, why);
}

static bool
has_nothing_due(const struct disk *now, struct buf *why)
{
	if (disk_at(now, "state/due") == NULL)
		return true;
	buf_add_str(why, "triggers or checks are due");
	return false;
}

static bool
is_due(const struct disk *now, const char *path, bool with_checks)
{
	const struct disk_file *f = disk_at(now, path);
	struct err e = ERR_INIT;
	struct due due;
	bool whole;

	if (f == NULL ||
	    due_parse(buf_str(&f->data), f->data.len, &due, &e) != 0)
		return false;
	whole = due.count == 1 && due.check == with_checks;
	due_release(&due);
	return whole;
}

/* A journal is carried out whatever comes: so what follows it is known, and
 * stays so when it is gone. */
static bool
knows_what_is_due(const struct disk *now, const struct prove_ends *ends,
    bool with_checks, struct buf *why)
{
	struct buf ignored;
	bool is_new;

	if (disk_at(now, "state/journal") != NULL) {
		buf_add_str(why, "a journal, and nothing is due after it");
		return is_due(now, "state/due.new", with_checks) ||
		    is_due(now, "state/due", with_checks);
	}
	buf_init(&ignored, 4096);
	is_new = says_applied(now, &ends->new, &ignored);
	buf_release(&ignored);
	buf_add_str(why, "what is due is not taken for it");
	return !is_new || disk_at(now, "state/due.new") == NULL;
}

static bool
client_knows_what_is_due(
    const struct disk *now, const struct prove_ends *ends, struct buf *why)
{
	return knows_what_is_due(now, ends, true, why);
}

/* Checks are those of a run. */
static bool
rollback_knows_what_is_due(
    const struct disk *now, const struct prove_ends *ends, struct buf *why)
{
	return knows_what_is_due(now, ends, false, why);
}

static bool
client_is_new(const struct scene *s, const struct disk *now,
    const struct prove_ends *ends, struct buf *why)
{
	(void)s;
	return client_is_at(now, &ends->new, why) && has_nothing_due(now, why);
}

/* Triggers and checks are due only after a commit. */
static bool
client_is_old_or_new(const struct scene *s, const struct disk *now,
    const struct prove_ends *ends, struct buf *why)
{
	(void)s;
	buf_add_str(why, "not new: ");
	if (client_is_at(now, &ends->new, why))
		return true;
	buf_add_str(why, "; not old: ");
	return client_is_at(now, &ends->old, why) && has_nothing_due(now, why);
}

/* ---- repositories ---- */

static int
publish_after(const struct scene *s, struct err *e)
{
	return scene_publish(s, s->repo, SCENE_AFTER, e);
}

static void
set_up_repository(const struct scene *s)
{
	struct err e = ERR_INIT;

	OK(scene_publish(s, s->repo, SCENE_BEFORE, &e));
}

static void
set_up_mirror(const struct scene *s)
{
	struct err e = ERR_INIT;
	struct repo *upstream = NULL;

	(void)upstream;
	OK(scene_publish(s, s->origin, SCENE_BEFORE, &e));
	OK(repo_create(s->repo, &e));
	OK(scene_replicate(s, &e));
	OK(scene_publish(s, s->origin, SCENE_AFTER, &e));
}

#define HEAD "repo/v1/channel/production"

static bool
has_head_of(const struct disk *now, const struct disk *end)
{
	const struct disk_file *a = disk_at(now, HEAD), *b = disk_at(end, HEAD);

	if (a == NULL || b == NULL)
		return a == b;
	return a->data.len == b->data.len &&
	    memcmp(a->data.data, b->data.data, a->data.len) == 0;
}

/* Whoever reads finds what the head needs, with no start in between. */
static bool
repository_serves(
    const struct disk *now, const struct prove_ends *ends, struct buf *why)
{
	if (has_head_of(now, &ends->new))
		return disk_same(&ends->new, now, "repo/v1", DISK_HOLDS, why);
	if (has_head_of(now, &ends->recovered))
		return disk_same(
		    &ends->recovered, now, "repo/v1", DISK_HOLDS, why);
	if (has_head_of(now, &ends->old))
		return disk_same(&ends->old, now, "repo/v1", DISK_HOLDS, why);
	buf_add_str(why, "the head is neither old nor new");
	return false;
}

static void
tell(void *arg, enum repo_finding kind, const char *path, const char *what)
{
	if (kind != REPO_UNREFERENCED)
		buf_addf(arg, "%s: %s; ", path, what);
}

static bool
verifies(const struct scene *s, struct buf *why)
{
	struct repo_verify how = {
		.anchor = &s->anchor, .threads = 1, .finding = tell, .arg = why
	};
	struct repo_verified found;
	struct repo *repo = NULL;
	struct err e = ERR_INIT;
	int rc = repo_open(s->repo, &repo, &e);

	if (rc == 0)
		rc = repo_verify(repo, &how, &found, &e);
	repo_close(repo);
	if (rc != 0)
		buf_addf(why, "%s", e.msg);
	return rc == 0;
}

static bool
repository_is_new(const struct scene *s, const struct disk *now,
    const struct prove_ends *ends, struct buf *why)
{
	const struct disk_file *tmp = disk_at(now, "repo/tmp");

	(void)ends;
	for (size_t i = 0; i < now->name_count; i++)
		if (tmp != NULL && now->names[i].dir == tmp->id) {
			buf_addf(why, "tmp/%s is left", now->names[i].name);
			return false;
		}
	if (disk_at(now, "repo/unsynced") != NULL) {
		buf_add_str(why, "the next to write has to read it again");
		return false;
	}
	return verifies(s, why) && has_no_leftovers(now, why);
}

/* ---- runs ---- */

static const struct prove_run runs[] = {
	{ .name = "apply",
	    .set_up = set_up_client,
	    .act = scene_run,
	    .is_fit_to_read = client_knows_what_is_due,
	    .recover = scene_recover,
	    .is_old_or_new = client_is_old_or_new,
	    .is_new = client_is_new },
	{ .name = "first apply",
	    .set_up = set_up_new_client,
	    .act = scene_run,
	    .is_fit_to_read = client_knows_what_is_due,
	    .recover = scene_recover,
	    .is_old_or_new = client_is_old_or_new,
	    .is_new = client_is_new },
	{ .name = "rollback",
	    .set_up = set_up_rollback,
	    .act = scene_rollback,
	    .is_fit_to_read = rollback_knows_what_is_due,
	    .recover = scene_recover,
	    .is_old_or_new = client_is_old_or_new,
	    .is_new = client_is_new },
	{ .name = "apply over flags",
	    .needs_flags = true,
	    .set_up = set_up_flagged,
	    .act = scene_run,
	    .is_fit_to_read = client_knows_what_is_due,
	    .recover = scene_recover,
	    .is_old_or_new = client_is_old_or_new,
	    .is_new = client_is_new },
	{ .name = "publish",
	    .is_origin_watched = true,
	    .set_up = set_up_repository,
	    .act = publish_after,
	    .is_fit_to_read = repository_serves,
	    .recover = publish_after,
	    .is_old_or_new = repository_is_new,
	    .is_new = repository_is_new },
	{ .name = "replicate",
	    .set_up = set_up_mirror,
	    .act = scene_replicate,
	    .is_fit_to_read = repository_serves,
	    .recover = scene_replicate,
	    .is_old_or_new = repository_is_new,
	    .is_new = repository_is_new },
};
#define RUNS ((int)(sizeof(runs) / sizeof(runs[0])))

static const struct prove_depth bounded = {
	.kills = 1, .every = 10, .singles = 3, .recovers = 2, .faults = 13
};
static const struct prove_depth full = {
	.kills = 1, .every = 1, .singles = 60, .recovers = 8, .faults = 1
};
/* For the sanitizers, which look at the code more than at its ends. */
static const struct prove_depth rough = {
	.kills = 4, .every = 30, .singles = 1, .recovers = 1, .faults = 29
};

/* As PROVE_DEPTH says. */
static const struct prove_depth *
depth(void)
{
	const char *name = getenv("PROVE_DEPTH");

	if (name != NULL && strcmp(name, "full") == 0)
		return &full;
	return name != NULL && strcmp(name, "rough") == 0 ? &rough : &bounded;
}

static void
say(const char *name, const struct prove_counts *c)
{
	(void)printf("%s: %zu calls: %zu crash points, %zu reorderings, %zu "
	             "calls of recoveries, %zu injected faults; %zu different "
	             "states, %zu failures\n",
	    name, c->calls, c->crash_points, c->reorderings, c->recoveries,
	    c->faults, c->states, c->failures);
	(void)fflush(stdout);
}

/* PROVE_RUN names the only one. */
static bool
is_wanted(const char *name)
{
	const char *only = getenv("PROVE_RUN");

	return only == NULL || strcmp(only, name) == 0;
}

static void
pass_over(const char *name)
{
	(void)printf(
	    "%s: passed over: the disk in memory holds no flags\n", name);
}

START_TEST(every_end_of_a_run_is_put_in_order)
{
	struct prove_counts c;

	if (!is_wanted(runs[_i].name))
		return;
	if (!prove(&runs[_i], depth(), NULL, &c)) {
		pass_over(runs[_i].name);
		return;
	}
	say(runs[_i].name, &c);
	ck_assert_msg(c.failures == 0, "%zu failures, the first:\n%s",
	    c.failures, c.first);
	ck_assert_uint_gt(c.crash_points, 20);
	ck_assert_uint_gt(c.faults, depth() == &rough ? 10 : 20);
}
END_TEST

/* ---- that it would find something ---- */

/* The file that gets this name by rename, and where in the trail. */
static size_t
find_rename(const struct trail *t, const char *to_name)
{
	for (size_t i = 0; i < t->count; i++)
		if (t->calls[i].kind == TRAIL_RENAME &&
		    strcmp(t->calls[i].to_name, to_name) == 0)
			return i;
	ck_abort_msg("nothing is renamed to %s", to_name);
}

/* The first call of a kind on a file, which becomes none, as do all others. */
static size_t
forget(struct trail *t, enum trail_kind kind, uint64_t file)
{
	size_t first = t->count;

	for (size_t i = t->count; i-- > 0;)
		if (t->calls[i].kind == kind && t->calls[i].file == file) {
			t->calls[i].kind = TRAIL_NOTHING;
			first = i;
		}
	ck_assert_uint_lt(first, t->count);
	return first;
}

/* Under that name it was never synced. */
static size_t
forget_sync_of(struct trail *t, const char *name)
{
	return forget(t, TRAIL_SYNC, t->calls[find_rename(t, name)].file);
}

static size_t
forget_rename(struct trail *t, const char *to_name)
{
	size_t at = find_rename(t, to_name);

	t->calls[at].kind = TRAIL_NOTHING;
	return at;
}

static size_t
forget_fsync(struct trail *t)
{
	return forget_sync_of(t, "journal");
}

static size_t
forget_due_fsync(struct trail *t)
{
	return forget_sync_of(t, "due.new");
}

/* It does not become due. */
static size_t
forget_due(struct trail *t)
{
	return forget_rename(t, "due");
}

/* The steps are taken without a journal. */
static size_t
forget_journal(struct trail *t)
{
	return forget_rename(t, "journal");
}

/* Flags are taken off, and nobody knows. */
static size_t
forget_lifted(struct trail *t)
{
	return forget_rename(t, "lifted");
}

static void
pass_text(struct reader *r)
{
	uint32_t len = 0;

	ck_assert_int_eq(reader_u32(r, &len), 0);
	r->pos += len;
}

/* Where the last of a journal's records begins: after the magic line and three
 * texts, each is a byte, two texts, 37 bytes and a text. */
static size_t
journal_last_record(const struct buf *journal)
{
	size_t last = 0;
	struct reader r;
	uint8_t kind = 1;

	reader_init(&r, journal->data, journal->len);
	r.pos = strlen("pecia journal 1\n");
	for (int i = 0; i < 3; i++)
		pass_text(&r);
	for (size_t at = r.pos; reader_u8(&r, &kind) == 0 && kind != 0;
	     at = r.pos) {
		last = at;
		pass_text(&r);
		pass_text(&r);
		r.pos += 37;
		pass_text(&r);
	}
	return last;
}

/* The journal ends one record too early, with a digest that says it may. */
static size_t
forget_record(struct trail *t)
{
	uint64_t journal = t->calls[find_rename(t, "journal")].file;
	size_t writes[2] = { t->count, t->count }, at;
	struct trail_call *steps, *sum;
	struct digest d;

	for (size_t i = 0; i < t->count; i++)
		if (t->calls[i].kind == TRAIL_WRITE &&
		    t->calls[i].file == journal) {
			writes[0] = writes[1];
			writes[1] = i;
		}
	ck_assert_uint_lt(writes[0], t->count);
	steps = &t->calls[writes[0]];
	sum = &t->calls[writes[1]];
	ck_assert_uint_eq(steps->offset, 0);
	at = journal_last_record(&steps->data);
	ck_assert_uint_gt(at, 0);
	steps->data.len = at;
	buf_add_byte(&steps->data, 0);
	digest_of(steps->data.data, steps->data.len, &d);
	memcpy(sum->data.data, d.b, sizeof(d.b));
	sum->offset = steps->data.len;
	return writes[0];
}

/* All syncfs of calls from..to-1. */
static size_t
forget_syncfs_between(struct trail *t, size_t from, size_t to)
{
	size_t first = to;

	for (size_t i = to; i-- > from;)
		if (t->calls[i].kind == TRAIL_SYNC_ALL) {
			t->calls[i].kind = TRAIL_NOTHING;
			first = i;
		}
	ck_assert_uint_lt(first, to);
	return first;
}

/* What the commit did is synced by nothing when its journal goes. */
static size_t
forget_last_syncfs(struct trail *t)
{
	return forget_syncfs_between(t, find_rename(t, "journal"), t->count);
}

/* The journal names stages that may not be there. */
static size_t
forget_first_syncfs(struct trail *t)
{
	return forget_syncfs_between(t, 0, find_rename(t, "journal"));
}

/* The head is switched with nothing below it synced. */
static size_t
forget_syncfs(struct trail *t)
{
	return forget_syncfs_between(t, 0, t->count);
}

static const struct {
	const char *what;
	int run;
	prove_damage damage;
} damages[] = {
	{ "apply without the journal's fsync", 0, forget_fsync },
	{ "apply without its journal", 0, forget_journal },
	{ "apply without the journal's last record", 0, forget_record },
	{ "apply without the fsync of what is due", 0, forget_due_fsync },
	{ "apply without making it due", 0, forget_due },
	{ "apply without the syncfs before its journal", 0,
	    forget_first_syncfs },
	{ "apply without the syncfs of its commit", 0, forget_last_syncfs },
	{ "rollback without its journal", 2, forget_journal },
	{ "apply over flags without noting them", 3, forget_lifted },
	{ "publish without its syncfs", 4, forget_syncfs },
	{ "replicate without its syncfs", 5, forget_syncfs },
};
#define DAMAGES ((int)(sizeof(damages) / sizeof(damages[0])))

START_TEST(a_step_left_out_is_found)
{
	const struct prove_depth shallow = {
		.kills = 1, .every = 8, .enough = depth() == &full ? 0 : 1
	};
	struct prove_counts c;

	if (!is_wanted(damages[_i].what))
		return;
	if (!prove(&runs[damages[_i].run], &shallow, damages[_i].damage, &c)) {
		pass_over(damages[_i].what);
		return;
	}
	say(damages[_i].what, &c);
	ck_assert_uint_gt(c.failures, 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("prove");
	TCase *t = tcase_create("prove");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 0);
	tcase_add_loop_test(t, every_end_of_a_run_is_put_in_order, 0, RUNS);
	if (depth() != &rough)
		tcase_add_loop_test(t, a_step_left_out_is_found, 0, DAMAGES);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
