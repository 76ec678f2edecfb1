/* The replicator's loop: connect, learn, pull, wait for news. */
#include "server/replicate.h"

#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "server/pull.h"
#include "server/repo_trust.h"
#include "transcripts/learn.h"

#define PATH_BYTES    (LIMIT_NAME_BYTES + 96)
#define WAIT_S        60 /* of one long poll */
#define BACKOFF_S     1  /* first pause after a failure, doubled each time */
#define BACKOFF_MAX_S 60
/* A server that answers long polls at once is asked so often. */
#define POLL_S 15
/* Back to the first upstream after so long at another. */
#define HOME_S 300

struct replicator {
	const struct replicate_options *o;
	struct repo *repo;
	struct trust_store store;
	struct trust *trust;
	struct fetch_options fetch_options;
	struct fetch *fetch;
	struct learn learn;
	struct fetch_peer peer;
	struct pull pull;
	bool away; /* at another upstream than the first */
	time_t away_since;
	bool followed;      /* an upstream gave all it had in this round */
	unsigned lacking_s; /* how soon to ask again for what it has not */
};

static void
pause_s(unsigned seconds)
{
	struct timespec t = { (time_t)seconds, 0 };

	nanosleep(&t, NULL); /* a signal ends it */
}

/* ---- one release ---- */

static int
get_previous(struct replicator *r, const struct release *next,
    struct release *out, struct err *e)
{
	char path[REPO_PATH_BYTES], url[REPO_PATH_BYTES + 1];
	struct buf body;
	int rc;

	repo_path_release(path, &next->previous);
	(void)snprintf(url, sizeof(url), "/%s", path);
	buf_init(&body, LIMIT_RELEASE_BYTES);
	rc = learn_get(&r->learn, url, LIMIT_RELEASE_BYTES, &body, e);
	if (rc == 0)
		rc = release_read_previous(
		    trust_root(r->trust), next, body.data, body.len, out, e);
	if (rc == 0)
		rc = repo_put_statement(r->repo, path, body.data, body.len, e);
	buf_release(&body);
	return rc;
}

/* The releases after the one held, newest first in chain[0..*count-1]; at most
 * LIMIT_CHAIN, and *linked says whether they reach the one held. */
static int
follow_chain(struct replicator *r, const struct digest *held,
    struct release *chain, size_t *count, bool *linked, struct err *e)
{
	struct err why = ERR_INIT;

	*linked = false;
	while (held != NULL) {
		const struct release *last = &chain[*count - 1];

		*linked =
		    last->has_previous && digest_equal(&last->previous, held);
		if (*linked || !last->has_previous || *count == LIMIT_CHAIN)
			break;
		release_init(&chain[*count]);
		if (get_previous(r, last, &chain[*count], &why) != 0) {
			/* Without it there is the newest as a whole. */
			release_release(&chain[*count]);
			break;
		}
		++*count;
	}
	(void)e;
	return 0;
}

/* From the oldest to the newest, each on top of the one before. */
static int
pull_chain(struct replicator *r, const struct release *chain, size_t count,
    const struct release *held, bool linked, struct err *e)
{
	const struct release *before = linked ? held : NULL;
	int rc = 0;

	/* Not linked: the older ones would be fetched for nothing. */
	if (!linked)
		count = 1;
	for (size_t i = count; i-- > 0 && rc == 0;) {
		rc = pull_one(&r->pull, &chain[i], before, i > 0, e);
		before = &chain[i];
	}
	return rc;
}

static void
log_pulled(const struct replicator *r, const struct head *head)
{
	log_event(LOG_NOTICE, "replicated", "channel", head->channel, "serial",
	    log_u64((char[LOG_NUMBER_BYTES]){ 0 }, head->serial), "from",
	    r->peer.route, "data_bytes",
	    log_u64((char[LOG_NUMBER_BYTES]){ 0 }, r->pull.data_bytes),
	    "by_data",
	    log_u64((char[LOG_NUMBER_BYTES]){ 0 }, r->pull.data_objects),
	    "by_object",
	    log_u64((char[LOG_NUMBER_BYTES]){ 0 }, r->pull.objects), NULL);
}

static int
load_held(struct replicator *r, const char *channel, struct release *held,
    bool *has, struct err *e)
{
	const struct head *head;
	int rc;

	*has = false;
	rc = trust_head(r->trust, channel, &head, e);
	if (rc != 0 || head == NULL)
		return rc;
	rc = trust_find_release(r->trust, head, held, e);
	*has = rc == 0;
	return rc;
}

static int
pull_head(struct replicator *r, const struct head *head, struct err *e)
{
	struct release chain[LIMIT_CHAIN], held;
	const struct head *old;
	bool has_held, linked = false;
	size_t count = 1;
	int rc;

	release_init(&held);
	release_init(&chain[0]);
	r->pull.data_bytes = r->pull.data_objects = r->pull.objects = 0;
	if ((rc = load_held(r, head->channel, &held, &has_held, e)) != 0 ||
	    (rc = trust_head(r->trust, head->channel, &old, e)) != 0 ||
	    (rc = learn_release(&r->learn, head, &chain[0], e)) != 0)
		goto out;
	rc = follow_chain(
	    r, has_held ? &old->release : NULL, chain, &count, &linked, e);
	if (rc == 0)
		rc = pull_chain(r, chain, count, &held, linked, e);
out:
	release_release(&held);
	for (size_t i = 0; i < count; i++)
		release_release(&chain[i]);
	return rc;
}

/* ---- heads ---- */

/* A head as it came: what is below it, then itself. */
static int
take_head(struct replicator *r, const char *channel, const struct buf *bytes,
    struct err *e)
{
	const struct head *held;
	struct head head;
	int rc;

	rc = learn_offer(&r->learn, channel, bytes, &head, e);
	if (rc == ERR_ROLLBACK) {
		/* The upstream is behind us; what we have is newer. */
		log_event(LOG_INFO, "upstream is behind", "channel", channel,
		    "why", e->msg, NULL);
		err_clear(e);
		return 0;
	}
	if (rc == 0)
		rc = trust_head(r->trust, channel, &held, e);
	if (rc != 0)
		return rc;
	if (held == NULL || !digest_equal(&held->release, &head.release)) {
		if ((rc = pull_head(r, &head, e)) != 0)
			return rc;
		rc = trust_commit_head(
		    r->trust, channel, bytes->data, bytes->len, e);
		if (rc == 0)
			log_pulled(r, &head);
		return rc;
	}
	return trust_commit_head(r->trust, channel, bytes->data, bytes->len, e);
}

static uint64_t
held_serial(struct replicator *r, const char *channel)
{
	const struct head *head = NULL;
	struct err ignored = ERR_INIT;

	if (trust_head(r->trust, channel, &head, &ignored) != 0 || head == NULL)
		return 0;
	return head->serial;
}

/* One channel, as it is now. */
static int
take_channel(struct replicator *r, const char *channel, struct err *e)
{
	struct err why = ERR_INIT;
	struct buf bytes;
	bool changed;
	int rc;

	buf_init(&bytes, LIMIT_HEAD_BYTES);
	rc = learn_head(&r->learn, channel, &bytes, &changed, &why);
	if (rc == ERR_NOT_FOUND)
		rc = 0; /* an upstream that does not have it yet */
	else if (rc == 0 && changed)
		rc = take_head(r, channel, &bytes, &why);
	buf_release(&bytes);
	if (rc != 0)
		*e = why;
	return rc;
}

/* Every channel of the roster once, without waiting.  One that fails does not
 * keep the others back, as long as the upstream answers. */
static int
take_all(struct replicator *r, struct err *e)
{
	char channel[LIMIT_NAME_BYTES + 1];
	int first = 0;

	/* The roster may be replaced on the way, and with it the list. */
	for (size_t i = 0; i < trust_roster(r->trust)->channel_count; i++) {
		struct err why = ERR_INIT;
		int rc;

		memcpy(channel, trust_roster(r->trust)->channels[i],
		    sizeof(channel));
		rc = take_channel(r, channel, &why);
		if (rc != 0 && first == 0) {
			first = rc;
			*e = why;
		}
		if (rc == ERR_NET || rc == ERR_TIMEOUT)
			break;
	}
	return first;
}

/* *news: what is held is another head afterwards. */
static int
take_reply(struct replicator *r, const char *channel, const char *etag,
    const struct buf *bytes, bool *news, struct err *e)
{
	char now[LEARN_ETAG_BYTES];
	int rc;

	trust_set_time(r->trust, time(NULL));
	rc = take_head(r, channel, bytes, e);
	learn_etag(&r->learn, channel, now);
	*news = rc == 0 && strcmp(now, etag) != 0;
	return rc;
}

/* A poll for a channel that the upstream has not is not held: it has to be
 * asked for again, soon after other news and then less and less often. */
static unsigned
how_long(struct replicator *r)
{
	const struct roster *roster = trust_roster(r->trust);
	unsigned wait_s = r->lacking_s;

	r->lacking_s = 2 * wait_s < WAIT_S ? 2 * wait_s : WAIT_S;
	for (size_t i = 0; i < roster->channel_count; i++)
		if (held_serial(r, roster->channels[i]) == 0)
			return wait_s;
	return WAIT_S;
}

/* Waits for news of any channel.  *quick: the upstream does not hold polls, be
 * it that it cannot, tags otherwise, or is behind us. */
static int
wait_for_news(struct replicator *r, unsigned wait_s, bool *quick, struct err *e)
{
	const struct roster *roster = trust_roster(r->trust);
	size_t n = roster->channel_count, which = n;
	char(*paths)[PATH_BYTES] = calloc(n + 1, sizeof(*paths));
	char(*etags)[LEARN_ETAG_BYTES] = calloc(n + 1, sizeof(*etags));
	char channel[LIMIT_NAME_BYTES + 1] = "";
	struct fetch_get gets[LIMIT_CHANNELS];
	time_t begun = time(NULL);
	bool news = false;
	struct buf body;
	int rc = 0;

	buf_init(&body, LIMIT_HEAD_BYTES);
	if (paths == NULL || etags == NULL) {
		rc = err_memory(e);
		goto out;
	}
	for (size_t i = 0; i < n; i++) {
		(void)snprintf(paths[i], PATH_BYTES,
		    "/v1/channel/%s?after=%llu&wait=%u", roster->channels[i],
		    (unsigned long long)held_serial(r, roster->channels[i]),
		    wait_s);
		learn_etag(&r->learn, roster->channels[i], etags[i]);
		gets[i] = (struct fetch_get){ .path = paths[i],
			.if_none_match = etags[i],
			.max_bytes = LIMIT_HEAD_BYTES,
			.wait_s = wait_s };
	}
	rc = fetch_race(r->fetch, gets, n, &which, &body, e);
	if (rc == 0 && which < n) {
		/* The roster may be replaced on the way. */
		memcpy(channel, roster->channels[which], sizeof(channel));
		rc = take_reply(r, channel, etags[which], &body, &news, e);
	}
	if (news)
		r->lacking_s = 1;
	*quick =
	    rc == 0 && !news && time(NULL) - begun < (time_t)(wait_s + 1) / 2;
out:
	free(paths);
	free(etags);
	buf_release(&body);
	return rc;
}

/* ---- the loop ---- */

/* Everything there is to know from a new connection. */
static int
greet(struct replicator *r, struct err *e)
{
	int rc;

	trust_set_time(r->trust, time(NULL));
	if (trust_root(r->trust) == NULL &&
	    (rc = learn_roots(&r->learn, e)) != 0)
		return rc;
	if ((rc = learn_roster(&r->learn, e)) != 0 ||
	    (rc = learn_check_server(&r->learn, NULL, e)) != 0)
		return rc;
	return take_all(r, e);
}

/* At one upstream, until it fails or we are to go home. */
static int
follow(struct replicator *r, struct err *e)
{
	bool quick = false;
	int rc;

	if ((rc = greet(r, e)) != 0)
		return rc;
	r->followed = true;
	r->lacking_s = 1;
	log_event(LOG_INFO, "following", "upstream", r->peer.route, NULL);
	for (;;) {
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
		if (r->away && time(NULL) - r->away_since > HOME_S)
			return 0;
	}
}

static void
note_where(struct replicator *r, bool first)
{
	if (!first && !r->away)
		r->away_since = time(NULL);
	r->away = !first;
}

/* The upstreams in order, each until it fails. */
static int
round_of_upstreams(struct replicator *r, struct err *e)
{
	struct err why = ERR_INIT;
	bool first = true;
	int rc;

	r->followed = false;
	if ((rc = fetch_rewind(r->fetch, e)) != 0)
		return rc;
	/* Bounded: a fetcher that dies each time has no last candidate. */
	for (unsigned i = 0; i < 2 * LIMIT_CANDIDATES; i++) {
		err_clear(&why);
		rc = fetch_connect(r->fetch, &r->peer, &why);
		if (rc == ERR_NOT_FOUND)
			break;
		if (rc == 0) {
			note_where(r, first);
			rc = follow(r, &why);
		}
		if (rc == 0)
			return 0;
		first = false;
		log_err(LOG_WARNING, "upstream failed", &why, "upstream",
		    r->peer.route, NULL);
	}
	*e = why;
	return e->code;
}

static _Noreturn void
loop(struct replicator *r)
{
	unsigned backoff = BACKOFF_S;

	for (;;) {
		struct err e = ERR_INIT;
		int rc = round_of_upstreams(r, &e);

		if (rc == 0 || r->followed)
			backoff = BACKOFF_S;
		if (rc == 0)
			continue;
		log_err(LOG_WARNING, "no upstream", &e, NULL);
		pause_s(backoff);
		backoff =
		    2 * backoff < BACKOFF_MAX_S ? 2 * backoff : BACKOFF_MAX_S;
	}
}

int
replicate_run(const struct replicate_options *options, struct err *e)
{
	struct replicator r = { .o = options, .repo = options->repo };
	int claim = -1, rc;

	r.fetch_options = (struct fetch_options){
		.port = options->port,
		.fallbacks = options->upstreams,
		.fallback_count = options->upstream_count,
		.identity = options->identity,
		.user = options->user,
	};
	repo_trust_store(r.repo, &r.store);
	if ((rc = repo_claim(r.repo, "replicator", &claim, e)) != 0 ||
	    (rc = repo_lock(r.repo, 0, e)) != 0 ||
	    (rc = repo_clean(r.repo, e)) != 0 ||
	    (rc = trust_load(
	         &r.store, options->anchor, time(NULL), &r.trust, e)) != 0 ||
	    (rc = pull_init(&r.pull, r.repo, e)) != 0 ||
	    (rc = fetch_start(&r.fetch_options, &r.fetch, e)) != 0)
		goto out;
	r.pull.fetch = r.fetch;
	r.learn = (struct learn){
		.trust = r.trust, .store = &r.store, .fetch = r.fetch
	};
	if ((rc = learn_keys(&r.learn, e)) == 0)
		loop(&r);
out:
	fetch_stop(r.fetch);
	pull_release(&r.pull);
	trust_free(r.trust);
	if (claim >= 0)
		close(claim);
	return rc;
}
