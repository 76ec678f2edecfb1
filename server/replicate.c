/* The replicator's loop: whom to follow, waiting for news, looking round. */
#include "server/replicate.h"

#include <assert.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fsat.h"
#include "common/log.h"
#include "server/board.h"
#include "server/replicate_impl.h"
#include "server/repo_trust.h"
#include "transcripts/sessions.h"

#define PATH_BYTES    (LIMIT_NAME_BYTES + 96)
#define LOCK_MS       60000 /* that others may write for before we complain */
#define WAIT_S        60    /* of one long poll */
#define BACKOFF_S     1     /* first pause after a failure, then doubled */
#define BACKOFF_MAX_S 60
/* A server that answers long polls at once is asked so often. */
#define POLL_S 15
#define LOST_S 2 /* first look for an upstream that was lost */
/* Better upstreams tried in one look: a dead one may cost LIMIT_CONNECT_MS. */
#define LOOKS 4

static_assert((int)FETCH_KINDS == (int)BOARD_KINDS &&
        (int)FETCH_KIND_STATEMENT == (int)BOARD_STATEMENTS &&
        (int)FETCH_KIND_MANIFEST == (int)BOARD_MANIFESTS &&
        (int)FETCH_KIND_DATA == (int)BOARD_DATA &&
        (int)FETCH_KIND_OBJECT == (int)BOARD_OBJECTS,
    "the fetcher counts on the board");

static void
pause_s(unsigned seconds)
{
	struct timespec t = { (time_t)seconds, 0 };

	nanosleep(&t, NULL); /* a signal ends it */
}

int
replicate_hold(struct replicator *r, struct err *e)
{
	struct err why = ERR_INIT;
	int rc = repo_lock(r->repo, LOCK_MS, &why);

	if (rc == 0)
		return 0;
	/* Not a contradiction. */
	return err_set(e, rc == ERR_CONFLICT ? ERR_BUSY : rc, "%s", why.msg);
}

void
replicate_let_go(struct replicator *r)
{
	struct err why = ERR_INIT;

	/* So that the next one to write need not look through it. */
	if (repo_is_unsynced(r->repo) && repo_sync(r->repo, &why) != 0)
		log_err(LOG_WARNING, "not made durable", &why, NULL);
	repo_unlock(r->repo);
}

/* ---- waiting ---- */

/* A poll for a channel that the upstream has not is not held: it has to be
 * asked for again, soon after other news and then less and less often. */
static unsigned
lacking_wait(struct replicator *r)
{
	const struct roster *roster = trust_roster(r->trust);
	unsigned wait_s = r->lacking_s;

	r->lacking_s = 2 * wait_s < WAIT_S ? 2 * wait_s : WAIT_S;
	for (size_t i = 0; i < roster->channel_count; i++)
		if (visit_heard(&r->here, roster->channels[i])->etag[0] == '\0')
			return wait_s;
	return WAIT_S;
}

static unsigned
sooner(unsigned wait_s, time_t due)
{
	time_t now = clock_now_s();

	if (due == 0 || due >= now + (time_t)wait_s)
		return wait_s;
	return due <= now ? 1 : (unsigned)(due - now);
}

static unsigned
how_long(struct replicator *r)
{
	unsigned wait_s = lacking_wait(r);

	return sooner(sooner(wait_s, r->look_at), bring_next(r));
}

static int
take_reply(struct replicator *r, const char *channel, const struct buf *bytes,
    bool *news, struct err *e)
{
	char before[LEARN_ETAG_BYTES];
	int rc;

	memcpy(before, visit_heard(&r->here, channel)->etag, sizeof(before));
	if ((rc = replicate_hold(r, e)) != 0)
		return rc;
	trust_set_time(r->trust, time(NULL));
	rc = heads_take(r, &r->here, channel, bytes, true, e);
	replicate_let_go(r);
	told_contact(r, &r->here);
	*news = rc == 0 &&
	    strcmp(before, visit_heard(&r->here, channel)->etag) != 0;
	return rc;
}

struct polls {
	struct fetch_get gets[LIMIT_CHANNELS];
	char paths[LIMIT_CHANNELS][PATH_BYTES];
	char channels[LIMIT_CHANNELS][LIMIT_NAME_BYTES + 1];
	size_t count;
};

/* For other heads than this server gave before, whatever became of those. */
static void
fill_polls(struct replicator *r, struct polls *p, unsigned wait_s)
{
	const struct roster *roster = trust_roster(r->trust);

	p->count = roster->channel_count;
	for (size_t i = 0; i < p->count; i++) {
		const struct heard *h =
		    visit_heard(&r->here, roster->channels[i]);

		memcpy(p->channels[i], roster->channels[i],
		    sizeof(p->channels[i]));
		(void)snprintf(p->paths[i], PATH_BYTES,
		    "/v1/channel/%s?after=%llu&wait=%u", p->channels[i],
		    (unsigned long long)h->serial, wait_s);
		p->gets[i] = (struct fetch_get){ .path = p->paths[i],
			.if_none_match = h->etag,
			.max_bytes = LIMIT_HEAD_BYTES,
			.wait_s = wait_s };
	}
}

/* Waits for news of any channel.  *quick: the upstream does not hold polls. */
static int
wait_for_news(struct replicator *r, unsigned wait_s, bool *quick, struct err *e)
{
	struct polls *p = malloc(sizeof(*p));
	time_t begun = clock_now_s();
	bool news = false;
	struct buf body;
	size_t which;
	int rc;

	if (p == NULL)
		return err_memory(e);
	if (r->here.roster_version != trust_roster(r->trust)->version &&
	    (rc = visit_tell_keys(r, &r->here, e)) != 0) {
		free(p);
		return rc;
	}
	buf_init(&body, LIMIT_HEAD_BYTES);
	fill_polls(r, p, wait_s);
	which = p->count;
	rc = fetch_race(r->here.fetch, p->gets, p->count, &which, &body, e);
	if (rc == 0)
		told_contact(r, &r->here);
	if (rc == 0 && which < p->count)
		rc = take_reply(r, p->channels[which], &body, &news, e);
	if (news)
		r->lacking_s = 1;
	*quick = rc == 0 && !news &&
	    clock_now_s() - begun < (time_t)(wait_s + 1) / 2;
	buf_release(&body);
	free(p);
	return rc;
}

/* ---- looking round ---- */

static void
make_upstreams(struct replicator *r)
{
	upstreams_make(trust_roster(r->trust), &r->own_key, r->o->upstreams,
	    r->o->upstream_count, &r->upstreams);
}

/* The next look, a quarter sooner or later than the pace.  One that was lost
 * may only be starting again: it is looked for soon, then less and less. */
static void
plan_look(struct replicator *r)
{
	unsigned pace = r->o->look_s, chance = 0, spread;

	if (r->lost_s != 0 && r->lost_s < pace) {
		pace = r->lost_s;
		r->lost_s *= 2;
	}
	spread = pace / 2;
	if (getrandom(&chance, sizeof(chance), 0) != sizeof(chance))
		chance = (unsigned)getpid();
	r->look_at = clock_now_s() + (time_t)pace - (time_t)(spread / 2) +
	    (time_t)(chance % (spread + 1));
}

static int
view(struct replicator *r, const struct upstream *u, enum view *out)
{
	struct err why = ERR_INIT;
	int rc = visit_open(r, &r->scout, u, &why);

	if (rc == 0)
		rc = visit_view(r, &r->scout, out, &why);
	if (rc != 0)
		log_err(LOG_DEBUG, "not looked at", &why, "upstream",
		    r->scout.peer.route[0] != '\0' ? r->scout.peer.route
		                                   : u->host,
		    NULL);
	return rc;
}

/* What the scout found is heard, and wanted from then on. */
static int
hear_scout(struct replicator *r, struct err *e)
{
	struct err why = ERR_INIT;
	int rc = replicate_hold(r, e);

	if (rc != 0)
		return rc;
	if (visit_greet(r, &r->scout, &why) != 0 ||
	    heads_take_all(r, &r->scout, false, &why) != 0) {
		log_err(LOG_INFO, "nothing heard", &why, "upstream",
		    r->scout.peer.route, NULL);
		told_trouble(r, &r->scout, &why);
	}
	rc = bring_due(r, &r->here, e);
	replicate_let_go(r);
	return rc;
}

static int
greet_scout(struct replicator *r, struct err *e)
{
	int rc = replicate_hold(r, e);

	if (rc != 0)
		return rc;
	rc = visit_greet(r, &r->scout, e);
	replicate_let_go(r);
	return rc;
}

/* A better one that has all that we have: the present one was kept until it
 * answered. */
static bool
find_better(struct replicator *r, size_t at)
{
	struct err why = ERR_INIT;
	enum view seen = VIEW_BEHIND;

	for (size_t n = 0; n < at && n < LOOKS; n++) {
		size_t i = at <= LOOKS ? n : r->look_better++ % at;
		struct visit here;

		if (view(r, &r->upstreams.list[i], &seen) != 0 ||
		    seen == VIEW_BEHIND || greet_scout(r, &why) != 0)
			continue;
		here = r->here;
		r->here = r->scout;
		r->scout = here;
		visit_close(&r->scout);
		return true;
	}
	return false;
}

/* One of those behind the one followed, each in turn: when nothing came for a
 * while, others may have heard more. */
static int
look_behind(struct replicator *r, size_t at, struct err *e)
{
	size_t behind =
	    r->upstreams.count > at + 1 ? r->upstreams.count - at - 1 : 0;
	enum view seen = VIEW_BEHIND;
	const struct upstream *u;

	if (behind == 0 || clock_now_s() - r->heard_at < (time_t)r->o->look_s)
		return 0;
	u = &r->upstreams.list[at + 1 + r->look_next++ % behind];
	if (view(r, u, &seen) != 0 || seen != VIEW_AHEAD)
		return 0;
	return hear_scout(r, e);
}

/* *moved: `here` is a better one now. */
static int
look_round(struct replicator *r, bool *moved, struct err *e)
{
	size_t at;
	int rc = 0;

	make_upstreams(r);
	at = upstreams_find(&r->upstreams, &r->here.upstream);
	*moved = find_better(r, at);
	if (!*moved)
		rc = look_behind(r, at, e);
	visit_close(&r->scout);
	plan_look(r);
	return rc;
}

/* ---- the loop ---- */

/* The first roster may name one of our own site, where all is already. */
static int
introduce(struct replicator *r, bool *moved, struct err *e)
{
	bool fresh = trust_roster(r->trust) == NULL;
	int rc = replicate_hold(r, e);

	if (rc != 0)
		return rc;
	rc = visit_greet(r, &r->here, e);
	replicate_let_go(r);
	if (rc != 0 || !fresh)
		return rc;
	make_upstreams(r);
	*moved =
	    find_better(r, upstreams_find(&r->upstreams, &r->here.upstream));
	visit_close(&r->scout);
	return 0;
}

/* Everything there is to know from a new connection. */
static int
greet(struct replicator *r, struct err *e)
{
	int rc = replicate_hold(r, e);

	if (rc != 0)
		return rc;
	rc = visit_greet(r, &r->here, e);
	if (rc == 0)
		rc = heads_take_all(r, &r->here, true, e);
	if (rc == 0)
		rc = bring_due(r, &r->here, e);
	replicate_let_go(r);
	if (rc == 0)
		told_contact(r, &r->here);
	return rc;
}

static int
take_all(struct replicator *r, struct err *e)
{
	int rc = replicate_hold(r, e);

	if (rc != 0)
		return rc;
	rc = heads_take_all(r, &r->here, true, e);
	replicate_let_go(r);
	return rc;
}

/* What was due while we waited. */
static int
take_turn(struct replicator *r, bool *moved, struct err *e)
{
	time_t next = bring_next(r);
	int rc;

	if (next != 0 && next <= clock_now_s()) {
		if ((rc = replicate_hold(r, e)) != 0)
			return rc;
		rc = bring_due(r, &r->here, e);
		replicate_let_go(r);
		if (rc != 0)
			return rc;
	}
	if (clock_now_s() < r->look_at)
		return 0;
	/* A clock that was wrong may be right by now. */
	if (r->refused) {
		r->refused = false;
		if ((rc = take_all(r, e)) != 0)
			return rc;
	}
	return look_round(r, moved, e);
}

/* At one upstream, until it fails (an error) or there is a better one. */
static int
follow(struct replicator *r, struct err *e)
{
	bool quick = false, moved = false;
	int rc;

	if ((rc = introduce(r, &moved, e)) != 0 || moved)
		return rc;
	if (r->here.upstream.kind != UPSTREAM_SIBLING)
		bring_hurry(r);
	if ((rc = greet(r, e)) != 0)
		return rc;
	r->followed = true;
	r->lacking_s = 1;
	plan_look(r);
	log_event(LOG_INFO, "following", "upstream", r->here.peer.route, NULL);
	while (!moved) {
		unsigned wait_s = how_long(r);

		if (trust_roster(r->trust)->channel_count == 0) {
			pause_s(POLL_S);
			if ((rc = greet(r, e)) != 0)
				return rc;
			continue;
		}
		if ((rc = wait_for_news(r, wait_s, &quick, e)) != 0)
			return rc;
		/* All, lest one channel's answers hide another's. */
		if (quick) {
			pause_s(wait_s < POLL_S ? wait_s : POLL_S);
			if ((rc = take_all(r, e)) != 0)
				return rc;
		}
		if ((rc = take_turn(r, &moved, e)) != 0)
			return rc;
	}
	return 0;
}

/* Most of a roster's mirrors may be out of reach. */
static void
tell_failure(struct replicator *r, bool stood, const struct err *why)
{
	const struct upstream *u = &r->here.upstream;
	bool is_news =
	    stood || u->kind == UPSTREAM_CONFIGURED || u->kind == UPSTREAM_SRV;

	log_err(is_news ? LOG_WARNING : LOG_INFO, "upstream failed", why,
	    "upstream",
	    r->here.peer.route[0] != '\0' ? r->here.peer.route : u->host, NULL);
	told_trouble(r, &r->here, why);
	if (r->o->board != NULL)
		board_say(&r->o->board->replication.upstream, "");
}

/* The upstreams in order, each until it fails. */
static int
round_of_upstreams(struct replicator *r, struct err *e)
{
	struct upstream u;

	r->followed = false;
	make_upstreams(r);
	for (size_t i = 0; i < r->upstreams.count; i++) {
		struct err why = ERR_INIT;
		bool stood;
		int rc;

		u = r->upstreams.list[i];
		rc = visit_open(r, &r->here, &u, &why);
		stood = rc == 0;
		while (rc == 0)
			rc = follow(r, &why);
		tell_failure(r, stood, &why);
		r->lost_s = LOST_S;
		visit_close(&r->here);
		if (e->code == 0)
			*e = why;
		/* The roster may be another one since, and so the list; what
		 * was followed then failed as the last one. */
		make_upstreams(r);
		i = upstreams_find(&r->upstreams, &r->here.upstream);
	}
	return e->code;
}

static _Noreturn void
loop(struct replicator *r)
{
	unsigned backoff = BACKOFF_S;

	for (;;) {
		struct err e = ERR_INIT;

		(void)round_of_upstreams(r, &e);
		if (r->followed)
			backoff = BACKOFF_S;
		log_err(LOG_WARNING, "no upstream", &e, NULL);
		pause_s(backoff);
		backoff =
		    2 * backoff < BACKOFF_MAX_S ? 2 * backoff : BACKOFF_MAX_S;
	}
}

/* ---- beginning ---- */

/* Contradictions of runs before. */
static uint64_t
count_evidence(struct repo *repo)
{
	static const char *const folders[] = { "evidence/root",
		"evidence/roster", "evidence/channel" };
	const char suffix[] = ".other";
	uint64_t count = 0;

	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
		struct fsat_names names = { NULL, 0 };
		int fd = -1;

		if (fsat_open_dir(repo_fd(repo), folders[i], &fd, NULL) != 0)
			continue;
		if (fsat_list(fd, &names, NULL) == 0)
			for (size_t n = 0; n < names.count; n++) {
				size_t len = strlen(names.names[n]);

				count += len >= sizeof(suffix) - 1 &&
				    strcmp(names.names[n] + len -
				            (sizeof(suffix) - 1),
				        suffix) == 0;
			}
		fsat_names_release(&names);
		close(fd);
	}
	return count;
}

/* The lock is held, and let go in the end. */
static int
begin(struct replicator *r, struct err *e)
{
	int rc;

	repo_trust_store(r->repo, &r->store);
	if ((rc = repo_clean(r->repo, e)) != 0 ||
	    (rc = trust_load(
	         &r->store, r->o->anchor, time(NULL), &r->trust, e)) != 0)
		return rc;
	r->forks_before = count_evidence(r->repo);
	if (r->o->board != NULL)
		board_set(&r->o->board->replication.forks, r->forks_before);
	return pull_init(&r->pull, r->repo, e);
}

static void
set_options(struct replicator *r)
{
	const struct replicate_options *o = r->o;

	tls_identity_digest(o->identity, &r->own_key);
	r->fetch_options = (struct fetch_options){
		.port = o->port,
		.identity = o->identity,
		.user = o->user,
		.sessions = r->sessions,
	};
	if (o->board == NULL)
		return;
	r->fetch_options.received = o->board->replication.bytes;
	r->fetch_options.gate = &o->board->line;
	r->fetch_options.rate = o->rate;
}

int
replicate_run(const struct replicate_options *options, struct err *e)
{
	struct replicator *r = calloc(1, sizeof(*r));
	int claim = -1, rc;

	if (r == NULL)
		return err_memory(e);
	r->o = options;
	r->repo = options->repo;
	rc = options->tls_resume ? sessions_new(&r->sessions, e) : 0;
	set_options(r);
	if (rc != 0 ||
	    (rc = repo_claim(r->repo, "replicator", &claim, e)) != 0 ||
	    (rc = replicate_hold(r, e)) != 0)
		goto out;
	rc = begin(r, e);
	replicate_let_go(r);
	if (rc == 0)
		loop(r);
out:
	pull_release(&r->pull);
	trust_free(r->trust);
	sessions_free(r->sessions);
	free(r);
	if (claim >= 0)
		close(claim);
	return rc;
}
