/* Origin, mirror and client in one process, for the crash prover. */
#include "tests/prove_scene.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/apply.h"
#include "client/verbs.h"
#include "common/fsat.h"
#include "server/publish.h"
#include "server/pull.h"
#include "server/repo_trust.h"
#include "tests/prove_command.h"
#include "tests/prove_disk.h"
#include "tests/prove_fetch.h"
#include "tests/processors.h"
#include "tests/trees.h"
#include "transcripts/learn.h"

#define CHANNEL  "production"
#define OK(call) ck_assert_msg((call) == 0, "%s: %s", #call, e.msg)

/* Every way of one thing becoming another, and content that is new, moved,
 * there twice, empty, and more than one write. */
static const struct spec before[] = {
	D("."),
	F("attr", "1", .xattr = "old"),
	F("busy/old", "1"),
	F("content", "old"),
	D("dir-meta", .mode = 0700),
	F("dir-to-file/a/b", "x"),
	F("dir-to-file/c", "x"),
	P("fifo-to-file"),
	F("file-to-dir", "x"),
	F("gone", "x"),
	F("gone-dir/x/y", "x"),
	F("group/1", "g"),
	H("group/2", "group/1"),
	L("link", "a"),
	L("link-to-dir", "same"),
	F("meta", "1"),
	F("same", "1"),
	END,
};

static const struct spec after[] = {
	D(".", .sec = 77),
	F("attr", "1", .xattr = "new"),
	D("busy", .sec = 9, .nsec = 999999999),
	F("busy/new", "1"),
	F("content", "new", .nsec = 1),
	D("dir-meta", .mode = 0750, .sec = 8),
	F("dir-to-file", "now a file"),
	F("fifo-to-file", "1"),
	D("file-to-dir", .mode = 0555, .sec = 3),
	F("file-to-dir/f", "deep", .sec = -5),
	F("group/1", "G"),
	H("group/2", "group/1"),
	L("link", "b"),
	D("link-to-dir"),
	L("link-to-dir/l", "x", .sec = 12),
	F("meta", "1", 0600, .sec = 5, .nsec = 5),
	F("new/again", "the same content twice"),
	F("new/empty", "", 0400),
	F("new/sub/copy", "the same content twice"),
	H("new/sub/hard", "content"),
	F("same", "1"),
	H("zlink", "same"),
	END,
};

/* What chattr protects changes, goes, holds what does, and comes. */
static const struct spec flagged_before[] = {
	D("."),
	F("append", "1", .flags = MANIFEST_APPEND),
	D("dir", .flags = MANIFEST_IMMUTABLE),
	F("dir/changed", "1", .flags = MANIFEST_IMMUTABLE),
	F("dir/gone", "1"),
	F("gone", "1", .flags = MANIFEST_IMMUTABLE),
	F("meta", "1", .flags = MANIFEST_IMMUTABLE),
	F("off", "1", .flags = MANIFEST_IMMUTABLE),
	F("on", "1"),
	F("same", "1", .flags = MANIFEST_IMMUTABLE),
	END,
};

static const struct spec flagged_after[] = {
	D(".", .sec = 77),
	F("append", "12", .flags = MANIFEST_APPEND),
	D("dir", .flags = MANIFEST_IMMUTABLE),
	F("dir/changed", "2", .flags = MANIFEST_IMMUTABLE),
	F("meta", "1", 0600, .flags = MANIFEST_IMMUTABLE),
	F("off", "1"),
	F("on", "1", .flags = MANIFEST_APPEND),
	F("same", "1", .flags = MANIFEST_IMMUTABLE),
	H("zlink", "same"),
	END,
};

static const struct {
	const char *name;
	const struct spec *specs;
	bool has_flags;
} trees[] = {
	[SCENE_BEFORE] = { "before", before, false },
	[SCENE_AFTER] = { "after", after, false },
	[SCENE_FLAGGED_BEFORE] = { "flagged-before", flagged_before, true },
	[SCENE_FLAGGED_AFTER] = { "flagged-after", flagged_after, true },
};

/* In place of the C library's: each run waits for the clock's grain before it
 * writes its stat cache, and there are thousands of runs.  What they compare has
 * new inodes, which no cache answers for. */
static int
stay_awake(const struct timespec *wanted, struct timespec *left)
{
	(void)wanted;
	(void)left;
	return 0;
}
extern __typeof__(nanosleep) nanosleep __attribute__((alias("stay_awake")));

static int
open_made(int dir, const char *name)
{
	struct err e = ERR_INIT;
	int fd = -1;

	OK(fsat_mkdir_all(dir, name, 0755, &e));
	OK(fsat_open_dir(dir, name, &fd, &e));
	return fd;
}

static void
make_tree(const struct scene *s, const char *name, const struct spec *specs)
{
	int fd = open_made(s->top.fd, name);

	specs_make(fd, specs);
	close(fd);
}

/* ---- origin ---- */

static void
put_root(const struct scene *s, struct origin *o)
{
	const struct key *signer = s->key;
	struct root root = { .version = 1, .org = "Test" };
	struct key_public pub;
	struct err e = ERR_INIT;
	struct buf text;

	key_public_of(s->key, &pub);
	root.expires = time(NULL) + 86400;
	for (int r = 0; r < ROOT_ROLES; r++) {
		root.roles[r].threshold = 1;
		OK(root_add_key(&root, (enum root_role)r, &pub, &e));
	}
	buf_init(&text, LIMIT_ROOT_BYTES);
	root_write(&text, &root);
	OK(statement_sign(&text, &signer, 1, &e));
	OK(repo_put_statement(o->repo, "v1/root/1", text.data, text.len, &e));
	buf_release(&text);
}

static void
make_origin(struct scene *s, const char *path)
{
	struct roster_mirror mirror = { .name = "a", .site = "a" };
	struct err e = ERR_INIT;
	struct origin o = { 0 };

	OK(repo_create(path, &e));
	OK(origin_open(path, &o, &e));
	put_root(s, &o);
	OK(origin_load(&o, &e));
	s->anchor = o.anchor;
	mirror.keys[0] = s->server;
	mirror.key_count = 1;
	roster_init(&o.roster);
	o.roster.version = 0;
	OK(roster_add_mirror(&o.roster, &mirror, &e));
	OK(roster_add_channel(&o.roster, CHANNEL, &e));
	OK(origin_put_roster(&o, s->key, &e));
	origin_release(&o);
}

/* A trigger that any change calls for, and a check: both are well. */
static void
add_actions(struct release *r)
{
	struct action *trigger = calloc(1, sizeof(*trigger));
	struct action *check = calloc(1, sizeof(*check));
	struct err e = ERR_INIT;

	ck_assert(trigger != NULL && check != NULL);
	*trigger = (struct action){ .name = "trigger",
		.kind = ACTION_AFTER,
		.timeout_s = 60,
		.paths = calloc(1, sizeof(char *)) };
	ck_assert_ptr_nonnull(trigger->paths);
	trigger->paths[trigger->path_count++] = strdup("/*");
	OK(words_command("/bin/true", &trigger->command, &e));
	*check = (struct action){ .name = "check",
		.kind = ACTION_CHECK,
		.timeout_s = 60,
		.attempts = 1 };
	OK(words_command("/bin/true", &check->command, &e));
	r->triggers = (struct actions){ trigger, 1 };
	r->checks = (struct actions){ check, 1 };
}

static int
publish(
    const struct scene *s, struct origin *o, const char *tree, struct err *e)
{
	char pair[400];
	char *const pairs[] = { pair };
	struct publish_result result = { .published = false };
	struct releasefile file;
	struct publish_options options = { .file = &file,
		.channel = CHANNEL,
		.author = "me",
		.lifetime_s = 3600,
		.release_key = s->key,
		.head_key = s->key };
	int rc;

	(void)snprintf(pair, sizeof(pair), "base=%s/%s", s->top.path, tree);
	releasefile_init(&file);
	rc = releasefile_from_pairs(pairs, 1, true, &file, e);
	if (rc == 0)
		add_actions(&file.release);
	if (rc == 0)
		rc = publish_run(o, &options, &result, e);
	free(result.transcripts);
	releasefile_release(&file);
	return rc;
}

/* On one processor: threads take turns as it lets them, one recording is as
 * good as another, but calls should come again in the same order. */
int
scene_publish(
    const struct scene *s, const char *origin, int tree, struct err *e)
{
	const struct origin_wait wait = { .what = "publish" };
	const cpu_set_t all = processors_one();
	struct origin o = { 0 };
	int rc;

	rc = origin_open(origin, &o, e);
	if (rc == 0)
		rc = origin_lock(&o, &wait, e);
	if (rc == 0)
		rc = origin_load(&o, e);
	if (rc == 0)
		rc = publish(s, &o, trees[tree].name, e);
	origin_release(&o);
	processors_use(&all);
	return rc;
}

/* ---- mirror ---- */

static int
take_head(
    struct learn *l, struct pull *pull, const struct buf *bytes, struct err *e)
{
	const struct head *held = NULL;
	struct release release, was;
	struct head head;
	int rc;

	release_init(&release);
	release_init(&was);
	rc = learn_offer(l, CHANNEL, bytes, &head, e);
	if (rc == 0)
		rc = trust_head(l->trust, CHANNEL, &held, e);
	if (rc == 0 && held != NULL)
		rc = trust_find_release(l->trust, held, &was, e);
	if (rc == 0)
		rc = learn_release(l, &head, &release, e);
	if (rc == 0)
		rc = pull_one(
		    pull, &release, held != NULL ? &was : NULL, false, e);
	if (rc == 0)
		rc = trust_commit_head(
		    l->trust, CHANNEL, bytes->data, bytes->len, e);
	release_release(&release);
	release_release(&was);
	return rc;
}

static int
follow(struct learn *l, struct pull *pull, struct err *e)
{
	struct buf bytes;
	bool changed = false;
	int rc = 0;

	buf_init(&bytes, LIMIT_HEAD_BYTES);
	if (trust_root(l->trust) == NULL)
		rc = learn_roots(l, e);
	if (rc == 0)
		rc = learn_roster(l, e);
	if (rc == 0)
		rc = learn_head(l, CHANNEL, &bytes, &changed, e);
	if (rc == 0 && changed)
		rc = take_head(l, pull, &bytes, e);
	buf_release(&bytes);
	return rc;
}

int
scene_replicate(const struct scene *s, struct err *e)
{
	struct trust_store store;
	struct learn learn = { .store = &store };
	struct fetch_options none = { 0 };
	struct repo *repo = NULL;
	struct pull pull = { 0 };
	int rc;

	if ((rc = repo_open(s->repo, &repo, e)) != 0)
		return rc;
	repo_trust_store(repo, &store);
	if ((rc = repo_lock(repo, 0, e)) == 0 &&
	    (rc = repo_clean(repo, e)) == 0 &&
	    (rc = trust_load(
	         &store, &s->anchor, time(NULL), &learn.trust, e)) == 0 &&
	    (rc = pull_init(&pull, repo, e)) == 0 &&
	    (rc = fetch_start(&none, &learn.fetch, e)) == 0) {
		pull.fetch = learn.fetch;
		rc = follow(&learn, &pull, e);
	}
	fetch_stop(learn.fetch);
	pull_release(&pull);
	trust_free(learn.trust);
	repo_close(repo);
	return rc;
}

/* ---- client ---- */

void
scene_set_up_client(const struct scene *s)
{
	struct state state = STATE_INIT;
	struct err e = ERR_INIT;

	close(open_made(s->watched, "root"));
	OK(state_open(&state, s->client.state, true, &e));
	OK(state_set_anchor(&state, &s->anchor, &e));
	state_release(&state);
}

/* What the run said, instead of on the terminal. */
static int
do_quietly(verb_fn *verb, const struct options *o,
    const struct settings *settings, char *said, size_t size)
{
	int out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO);
	int quiet = memfd_create("said", MFD_CLOEXEC), status;
	cpu_set_t all;
	ssize_t n;

	(void)fflush(stdout);
	ck_assert(out >= 0 && err >= 0 && quiet >= 0);
	(void)dup2(quiet, STDOUT_FILENO);
	(void)dup2(quiet, STDERR_FILENO);
	all = processors_one();
	status = verb(o, settings);
	processors_use(&all);
	(void)fflush(stdout);
	(void)dup2(out, STDOUT_FILENO);
	(void)dup2(err, STDERR_FILENO);
	n = pread(quiet, said, size - 1, 0);
	said[n > 0 ? n : 0] = '\0';
	close(out);
	close(err);
	close(quiet);
	return status;
}

/* What an earlier one left due must be done by one that goes well. */
static int
do_verb(const struct scene *s, verb_fn *verb, const struct options *o,
    const char *is_fine, struct err *e)
{
	bool was_due = faccessat(s->watched, "state/due", F_OK, 0) == 0;
	size_t had_run = prove_commands_run();
	char said[4096];
	int status = do_quietly(verb, o, &s->client, said, sizeof(said));

	if (status != EXIT_SAME &&
	    (is_fine == NULL || strstr(said, is_fine) == NULL))
		return err_set(e, ERR_SYS, "%s", said);
	if (was_due && prove_commands_run() == had_run)
		return err_set(e, ERR_SYS, "what was due is not run");
	return 0;
}

int
scene_run(const struct scene *s, struct err *e)
{
	const struct options o = { .verb = VERB_RUN };

	return do_verb(s, verb_run, &o, NULL, e);
}

int
scene_rollback(const struct scene *s, struct err *e)
{
	char first[] = "1";
	const struct options o = {
		.verb = VERB_ROLLBACK, .to = first, .serial = 1
	};

	return do_verb(s, verb_rollback, &o, "release 1 is applied", e);
}

int
scene_recover(const struct scene *s, struct err *e)
{
	struct session session;
	bool recovered;
	int rc = session_open(&s->client, true, &session, e);

	if (rc != 0)
		return rc;
	rc = apply_recover(&session, &recovered, e);
	session_release(&session);
	return rc;
}

/* ---- all of it ---- */

static char *
text(const char *a, const char *b)
{
	char *t = NULL;

	ck_assert_int_ge(asprintf(&t, "%s%s", a, b), 0);
	return t;
}

static void
choose_settings(struct scene *s)
{
	s->client = (struct settings){
		.root = text(s->top.path, "/watched/root"),
		.state = text(s->top.path, "/watched/state"),
		.channel = text(CHANNEL, ""),
		.host = text("host", ""),
		.name = text("pecia", ""),
		.server = text("upstream", ""),
		.user = text("nobody", ""),
		.port = 1,
		.keep_runs = 4,
		.keep_age_days = 1,
		.keep_bytes = 1U << 30,
	};
}

void
scene_make(struct scene *s, bool is_origin_watched)
{
	struct err e = ERR_INIT;

	umask(022);
	if (access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 1);
	scratch_make(&s->top);
	s->watched = open_made(s->top.fd, "watched");
	(void)snprintf(
	    s->repo, sizeof(s->repo), "%s/watched/repo", s->top.path);
	(void)snprintf(s->origin, sizeof(s->origin), "%s/origin", s->top.path);
	memset(&s->server, 7, sizeof(s->server));
	OK(key_generate(&s->key, &e));
	s->has_flags = spec_has_flags(s->watched);
	for (size_t i = 0; i < sizeof(trees) / sizeof(*trees); i++)
		if (s->has_flags || !trees[i].has_flags)
			make_tree(s, trees[i].name, trees[i].specs);
	make_origin(s, is_origin_watched ? s->repo : s->origin);
	choose_settings(s);
	if (!is_origin_watched) {
		OK(repo_open(s->origin, &s->upstream, &e));
		upstream_set(s->upstream, &s->server);
	}
}

void
scene_remove(struct scene *s)
{
	repo_close(s->upstream);
	settings_release(&s->client);
	key_free(s->key);
	close(s->watched);
	disk_empty(s->top.fd);
	scratch_remove(&s->top);
}
