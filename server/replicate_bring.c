/* Releases that are wanted, made complete from whomever has their parts; runs
 * in the replicator. */
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "server/board.h"
#include "server/replicate_impl.h"

#define BACKOFF_S     1 /* until what nobody has is asked for again, doubled */
#define BACKOFF_MAX_S 60
/* Others asked in one go: a dead one may cost LIMIT_CONNECT_MS, in which no
 * news is heard. */
#define OTHERS 8
/* Looks at others, until a sibling that is at a release is waited for no more:
 * six hours, as they are by default. */
#define PATIENCE 72

/* ---- what is wanted ---- */

struct wanted *
bring_wanted(struct replicator *r, const char *channel, uint64_t serial)
{
	const time_t now = clock_now_s();
	time_t turn = now + (time_t)r->o->news_delay_s;
	struct wanted *w = NULL;

	for (size_t i = 0; i < r->wanted_count && w == NULL; i++)
		if (strcmp(r->wanted[i].channel, channel) == 0)
			w = &r->wanted[i];
	if (w != NULL && w->serial == serial)
		return w;
	if (w == NULL && r->wanted_count == LIMIT_CHANNELS)
		r->wanted_count = 0; /* of channels that are no more */
	/* One newer than what waits for its turn takes that turn. */
	if (w != NULL && w->turn > now)
		turn = w->turn;
	if (w == NULL)
		w = &r->wanted[r->wanted_count++];
	*w = (struct wanted){ .serial = serial,
		.since = now,
		.turn = turn,
		.due = turn,
		.backoff_s = BACKOFF_S };
	(void)snprintf(w->channel, sizeof(w->channel), "%s", channel);
	r->heard_at = w->since;
	return w;
}

static void
forget_wanted(struct replicator *r, const char *channel)
{
	for (size_t i = 0; i < r->wanted_count; i++)
		if (strcmp(r->wanted[i].channel, channel) == 0) {
			r->wanted[i] = r->wanted[--r->wanted_count];
			return;
		}
}

time_t
bring_next(const struct replicator *r)
{
	time_t next = 0;

	for (size_t i = 0; i < r->wanted_count; i++)
		if (next == 0 || r->wanted[i].due < next)
			next = r->wanted[i].due > 0 ? r->wanted[i].due : 1;
	return next;
}

void
bring_hurry(struct replicator *r)
{
	for (size_t i = 0; i < r->wanted_count; i++)
		r->wanted[i].due = r->wanted[i].turn;
}

/* ---- one release from one upstream ---- */

static int
get_statement(struct visit *v, const struct digest *release, struct buf *body,
    struct err *e)
{
	char path[REPO_PATH_BYTES], url[REPO_PATH_BYTES + 1];

	repo_path_release(path, release);
	(void)snprintf(url, sizeof(url), "/%s", path);
	return learn_get(&v->learn, url, LIMIT_RELEASE_BYTES, body, e);
}

static int
get_previous(struct replicator *r, struct visit *v, const struct release *next,
    struct release *out, struct err *e)
{
	char path[REPO_PATH_BYTES];
	struct buf body;
	int rc;

	buf_init(&body, LIMIT_RELEASE_BYTES);
	rc = get_statement(v, &next->previous, &body, e);
	if (rc == 0)
		rc = release_read_previous(
		    trust_root(r->trust), next, body.data, body.len, out, e);
	repo_path_release(path, &next->previous);
	if (rc == 0)
		rc = repo_put_statement(r->repo, path, body.data, body.len, e);
	buf_release(&body);
	return rc;
}

/* The way from the release held to the one wanted. */
struct chain {
	struct release list[LIMIT_CHAIN]; /* the newest first */
	size_t count;
	bool linked; /* it reaches the one held */
};

/* Without one that upstream has not, or not right, there is the newest as a
 * whole; one that does not come in time is no such thing. */
static int
follow_chain(struct replicator *r, struct visit *v, const struct digest *held,
    struct chain *c, struct err *e)
{
	while (held != NULL) {
		const struct release *last = &c->list[c->count - 1];
		struct err why = ERR_INIT;
		int rc;

		c->linked =
		    last->has_previous && digest_equal(&last->previous, held);
		if (c->linked || !last->has_previous || c->count == LIMIT_CHAIN)
			return 0;
		release_init(&c->list[c->count]);
		rc = get_previous(r, v, last, &c->list[c->count], &why);
		if (rc == 0) {
			c->count++;
			continue;
		}
		release_release(&c->list[c->count]);
		if (rc == ERR_NOT_FOUND || rc == ERR_VERIFY || rc == ERR_FORMAT)
			return 0;
		*e = why;
		return rc;
	}
	return 0;
}

/* From the oldest to the newest, each on top of the one before.  Where the way
 * is not to be had any more, the newest as a whole. */
static int
pull_chain(struct replicator *r, const struct chain *c,
    const struct release *held, struct err *e)
{
	const struct release *before = c->linked ? held : NULL;

	for (size_t i = c->count; c->linked && i-- > 1;) {
		struct err why = ERR_INIT;
		int rc = pull_one(&r->pull, &c->list[i], before, true, &why);

		if (rc == ERR_NOT_FOUND) {
			before = NULL;
			break;
		}
		if (rc != 0) {
			*e = why;
			return rc;
		}
		before = &c->list[i];
	}
	return pull_one(&r->pull, &c->list[0], before, false, e);
}

static int
load_held(struct replicator *r, const char *channel, struct release *held,
    struct digest *digest, bool *has, struct err *e)
{
	const struct head *head;
	int rc;

	*has = false;
	rc = trust_head(r->trust, channel, &head, e);
	if (rc != 0 || head == NULL)
		return rc;
	*digest = head->release;
	rc = trust_find_release(r->trust, head, held, e);
	*has = rc == 0;
	return rc;
}

static int
pull_release_of(struct replicator *r, struct visit *v, const struct head *head,
    struct err *e)
{
	struct chain chain = { .count = 1 };
	struct digest held_digest;
	struct release held;
	bool has_held;
	int rc;

	release_init(&held);
	release_init(&chain.list[0]);
	if ((rc = load_held(
	         r, head->channel, &held, &held_digest, &has_held, e)) == 0 &&
	    (rc = learn_release(&v->learn, head, &chain.list[0], e)) == 0 &&
	    (rc = follow_chain(
	         r, v, has_held ? &held_digest : NULL, &chain, e)) == 0)
		rc = pull_chain(r, &chain, &held, e);
	release_release(&held);
	for (size_t i = 0; i < chain.count; i++)
		release_release(&chain.list[i]);
	return rc;
}

static int
pull_from(struct replicator *r, struct visit *v, const struct head *head,
    struct err *e)
{
	int rc;

	r->pull.fetch = v->fetch;
	r->pulling_from = v;
	heads_plan_news(r);
	fetch_set_tick(v->fetch, heads_tick, r);
	rc = pull_release_of(r, v, head, e);
	fetch_set_tick(v->fetch, NULL, NULL);
	r->pulling_from = NULL;
	return rc;
}

/* ---- from all ---- */

/* Whether another upstream may help. */
static bool
is_of_upstream(int rc)
{
	switch (rc) {
	case ERR_NOT_FOUND:
	case ERR_NET:
	case ERR_TIMEOUT:
	case ERR_VERIFY:
	case ERR_FORMAT:
	case ERR_LIMIT:
		return true;
	default:
		return false;
	}
}

static bool
is_of_line(int rc)
{
	return rc == ERR_NET || rc == ERR_TIMEOUT;
}

static int
pull_from_other(struct replicator *r, const struct upstream *u,
    const struct head *head, struct err *e)
{
	int rc = visit_open(r, &r->extra, u, e);

	if (rc == 0)
		rc = learn_check_server(&r->extra.learn, NULL, e);
	if (rc == 0)
		rc = pull_from(r, &r->extra, head, e);
	visit_close(&r->extra);
	return rc;
}

static void
tell_lack(struct replicator *r, const struct visit *v, const struct head *head,
    const struct err *why)
{
	log_err(LOG_WARNING, "release not complete", why, "channel",
	    head->channel, "serial",
	    log_u64((char[LOG_NUMBER_BYTES]){ 0 }, head->serial), "upstream",
	    v->peer.route, NULL);
	told_trouble(r, v, why);
}

/* `v` first; what is here by then stays. */
/* `v` first, then some of the others: those that were not asked the last time.
 * What is here by then stays. */
static int
pull_from_all(struct replicator *r, struct visit *v, const struct head *head,
    const char **from, struct err *e)
{
	/* A pull may hear of another roster. */
	struct upstreams *all = malloc(sizeof(*all));
	size_t next = bring_wanted(r, head->channel, head->serial)->next;
	int first, rc;

	if (all == NULL)
		return err_memory(e);
	*all = r->upstreams;
	*from = v->peer.route;
	rc = first = pull_from(r, v, head, e);
	if (rc != 0)
		tell_lack(r, v, head, e);
	for (size_t n = 0; n < all->count && n < OTHERS && is_of_upstream(rc);
	     n++) {
		const struct upstream *u = &all->list[next++ % all->count];
		struct err why = ERR_INIT;

		if (strcmp(u->host, v->upstream.host) == 0)
			continue;
		rc = pull_from_other(r, u, head, &why);
		if (rc == 0)
			*from = r->extra.peer.route;
		else if (is_of_upstream(rc))
			log_err(LOG_INFO, "nor there", &why, "upstream",
			    u->host, NULL);
		else
			*e = why;
	}
	free(all);
	bring_wanted(r, head->channel, head->serial)->next = next;
	/* The first is the one to be told of. */
	return is_of_upstream(rc) ? first : rc;
}

static void
log_pulled(
    const struct replicator *r, const struct head *head, const char *from)
{
	log_event(LOG_NOTICE, "replicated", "channel", head->channel, "serial",
	    log_u64((char[LOG_NUMBER_BYTES]){ 0 }, head->serial), "from", from,
	    "data_bytes",
	    log_u64((char[LOG_NUMBER_BYTES]){ 0 }, r->pull.data_bytes),
	    "by_data",
	    log_u64((char[LOG_NUMBER_BYTES]){ 0 }, r->pull.data_objects),
	    "by_object",
	    log_u64((char[LOG_NUMBER_BYTES]){ 0 }, r->pull.objects), NULL);
	if (r->o->board == NULL)
		return;
	board_set(&r->o->board->replication.complete_s, (uint64_t)time(NULL));
	board_add(&r->o->board->replication.releases, 1);
}

/* The newest signature of it that was heard meanwhile. */
static int
commit(struct replicator *r, const struct head *head, const char *from,
    struct err *e)
{
	const struct head *now = NULL;
	const struct buf *raw = NULL;
	struct buf copy;
	int rc = trust_wanted(r->trust, head->channel, &now, &raw, e);

	if (rc != 0)
		return rc;
	if (now == NULL || now->serial != head->serial)
		return 0; /* contradicted in the meantime */
	/* What is committed may not be what is replaced by that. */
	buf_init(&copy, LIMIT_HEAD_BYTES);
	buf_add(&copy, raw->data, raw->len);
	rc = buf_check(&copy, "head", e);
	if (rc == 0)
		rc = trust_commit_head(
		    r->trust, head->channel, copy.data, copy.len, e);
	buf_release(&copy);
	if (rc == 0)
		log_pulled(r, head, from);
	return rc;
}

/* A sibling that has not got it yet, but has heard of it, is at it: then it
 * crosses the line once for both. */
static bool
is_expected_of(struct replicator *r, struct visit *v, const struct head *head,
    const struct wanted *w)
{
	time_t waited = clock_now_s() - w->since;
	struct err ignored = ERR_INIT;
	struct buf body;
	int rc;

	if (v != &r->here || v->upstream.kind != UPSTREAM_SIBLING ||
	    visit_heard(v, head->channel)->serial >= head->serial ||
	    waited > (time_t)r->o->look_s * PATIENCE)
		return false;
	if (waited < (time_t)r->o->look_s)
		return true;
	buf_init(&body, LIMIT_RELEASE_BYTES);
	rc = get_statement(v, &head->release, &body, &ignored);
	buf_release(&body);
	return rc == 0;
}

static void
put_off(struct wanted *w)
{
	w->due = clock_now_s() + w->backoff_s;
	w->backoff_s =
	    2 * w->backoff_s < BACKOFF_MAX_S ? 2 * w->backoff_s : BACKOFF_MAX_S;
}

static int
bring_head(struct replicator *r, struct visit *v, const struct head *head,
    struct err *e)
{
	const char *from = "";
	int rc;

	r->pull.data_bytes = r->pull.data_objects = r->pull.objects = 0;
	(void)snprintf(r->pulling, sizeof(r->pulling), "%s", head->channel);
	r->pulling_serial = head->serial;
	rc = pull_from_all(r, v, head, &from, e);
	r->pulling[0] = '\0';
	return rc == 0 ? commit(r, head, from, e) : rc;
}

int
bring(struct replicator *r, struct visit *v, const char *channel, struct err *e)
{
	const struct head *wanted = NULL;
	struct err why = ERR_INIT;
	struct wanted *w;
	struct head head;
	int rc = trust_wanted(r->trust, channel, &wanted, NULL, e);

	if (rc != 0 || wanted == NULL) {
		forget_wanted(r, channel);
		return rc;
	}
	head = *wanted;
	w = bring_wanted(r, channel, head.serial);
	if (w->due > clock_now_s())
		return 0;
	if (is_expected_of(r, v, &head, w)) {
		w->due = clock_now_s() + r->o->look_s;
		return 0;
	}
	rc = bring_head(r, v, &head, &why);
	if (rc == 0) {
		forget_wanted(r, channel);
		return 0;
	}
	/* The list may be another one by now. */
	put_off(bring_wanted(r, channel, head.serial));
	/* It answers, and what it lacks it may have later, or a newer head. */
	if (rc == ERR_EXPIRED || (is_of_upstream(rc) && !is_of_line(rc)))
		return 0;
	*e = why;
	return rc;
}

/* The trust store knows what a process before this one heard of. */
static void
remember_wanted(struct replicator *r)
{
	const struct roster *roster = trust_roster(r->trust);

	for (size_t i = 0; i < roster->channel_count; i++) {
		const char *channel = roster->channels[i];

		if (heads_is_wanted(r, channel))
			(void)bring_wanted(
			    r, channel, heads_known(r, channel)->serial);
	}
}

int
bring_due(struct replicator *r, struct visit *v, struct err *e)
{
	time_t now = clock_now_s();
	char channel[LIMIT_NAME_BYTES + 1];
	int rc = 0;

	remember_wanted(r);
	for (size_t i = r->wanted_count; i-- > 0 && rc == 0;) {
		if (i >= r->wanted_count || r->wanted[i].due > now)
			continue;
		memcpy(channel, r->wanted[i].channel, sizeof(channel));
		rc = bring(r, v, channel, e);
	}
	return rc;
}
