/* Hearing of heads, and what follows from them; runs in the replicator. */
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "server/board.h"
#include "server/replicate_impl.h"

#define NEWS_S  60   /* of a pull, at most, until what is new is heard */
#define ALARM_S 3600 /* until the same contradiction is told again */

static const struct head *
held_head(struct replicator *r, const char *channel)
{
	const struct head *head = NULL;
	struct err ignored = ERR_INIT;

	return trust_head(r->trust, channel, &head, &ignored) == 0 ? head
	                                                           : NULL;
}

static const struct head *
wanted_head(struct replicator *r, const char *channel)
{
	const struct head *head = NULL;
	struct err ignored = ERR_INIT;

	return trust_wanted(r->trust, channel, &head, NULL, &ignored) == 0
	    ? head
	    : NULL;
}

bool
heads_is_wanted(struct replicator *r, const char *channel)
{
	return wanted_head(r, channel) != NULL;
}

const struct head *
heads_known(struct replicator *r, const char *channel)
{
	const struct head *head = wanted_head(r, channel);

	return head != NULL ? head : held_head(r, channel);
}

/* ---- contradictions ---- */

/* Each of them once an hour, whoever repeats it and how often. */
static void
alarm_fork(struct replicator *r, const struct visit *v, const char *channel,
    const struct buf *bytes, const struct err *why)
{
	time_t now = clock_now_s();
	struct digest d;

	if (r->o->board != NULL)
		board_set(&r->o->board->replication.forks,
		    r->forks_before + trust_forks(r->trust));
	digest_of(bytes->data, bytes->len, &d);
	if (digest_equal(&d, &r->alarmed) && now < r->alarmed_until)
		return;
	r->alarmed = d;
	r->alarmed_until = now + ALARM_S;
	log_err(LOG_ERROR, "contradiction", why, "channel", channel, "upstream",
	    v->peer.route, NULL);
	told_trouble(r, v, why);
}

/* ---- one head ---- */

static void
tell_serial(struct replicator *r, const char *channel, uint64_t serial)
{
	struct board_replication *b;

	if (r->o->board == NULL)
		return;
	b = &r->o->board->replication;
	for (size_t i = 0; i < LIMIT_CHANNELS; i++) {
		char name[BOARD_TEXT_BYTES];

		board_read(&b->channels[i].name, name);
		if (name[0] == '\0')
			board_say(&b->channels[i].name, channel);
		else if (strcmp(name, channel) != 0)
			continue;
		board_set(&b->channels[i].upstream_serial, serial);
		return;
	}
}

/* Of an upstream that is behind what we have seen: it may know a newer
 * signature of what we serve. */
static int
take_older(struct replicator *r, const char *channel, const struct buf *bytes,
    const struct err *why)
{
	struct err ignored = ERR_INIT;

	if (trust_commit_head(
	        r->trust, channel, bytes->data, bytes->len, &ignored) != 0)
		log_event(LOG_INFO, "upstream is behind", "channel", channel,
		    "why", why->msg, NULL);
	return 0;
}

/* While a pull is under way a head above its own would make it one to refuse;
 * it is asked for again right after. */
static bool
is_to_wait(
    const struct replicator *r, const char *channel, const struct buf *bytes)
{
	return strcmp(r->pulling, channel) == 0 &&
	    head_claims(bytes) > r->pulling_serial;
}

int
heads_take(struct replicator *r, struct visit *v, const char *channel,
    const struct buf *bytes, bool to_bring, struct err *e)
{
	const struct head *held = NULL;
	struct err why = ERR_INIT;
	struct wanted *w;
	struct head head;
	bool is_news;
	int rc;

	if (is_to_wait(r, channel, bytes))
		return 0;
	is_news = visit_note_head(v, channel, bytes);
	rc = learn_offer(&v->learn, channel, bytes, &head, &why);
	if (rc == ERR_ROLLBACK)
		return take_older(r, channel, bytes, &why);
	if (rc == ERR_CONFLICT) {
		alarm_fork(r, v, channel, bytes, &why);
		return 0;
	}
	if (rc == ERR_EXPIRED) {
		/* The origin is away, and not this upstream at fault. */
		if (is_news)
			log_err(LOG_WARNING, "expired", &why, "upstream",
			    v->peer.route, NULL);
		told_trouble(r, v, &why);
		r->refused = true;
		return 0;
	}
	if (rc == 0)
		rc = trust_head(r->trust, channel, &held, &why);
	if (rc != 0) {
		*e = why;
		return rc;
	}
	tell_serial(r, channel, head.serial);
	if (held != NULL && digest_equal(&held->release, &head.release))
		return trust_commit_head(
		    r->trust, channel, bytes->data, bytes->len, e);
	w = bring_wanted(r, channel, head.serial);
	if (held == NULL)
		w->turn = 0; /* it has nothing else to serve */
	if (is_news)
		w->due = w->turn; /* whoever says so has it */
	return to_bring ? bring(r, v, channel, e) : 0;
}

static int
take_channel(struct replicator *r, struct visit *v, const char *channel,
    bool to_bring, struct err *e)
{
	struct err why = ERR_INIT;
	const struct head *held;
	struct heard *h;
	struct buf bytes;
	bool changed = false;
	int rc;

	buf_init(&bytes, LIMIT_HEAD_BYTES);
	rc = learn_head(&v->learn, channel, &bytes, &changed, &why);
	if (rc == ERR_NOT_FOUND) {
		rc = 0; /* an upstream that does not have it yet */
	} else if (rc == 0 && changed) {
		rc = heads_take(r, v, channel, &bytes, to_bring, &why);
	} else if (rc == 0) {
		h = visit_heard(v, channel);
		learn_etag(&v->learn, channel, h->etag);
		held = held_head(r, channel);
		h->serial = held == NULL ? 0 : held->serial;
	}
	buf_release(&bytes);
	if (rc != 0)
		*e = why;
	return rc;
}

int
heads_take_all(
    struct replicator *r, struct visit *v, bool to_bring, struct err *e)
{
	char channel[LIMIT_NAME_BYTES + 1];
	int first = 0;

	trust_set_time(r->trust, time(NULL));
	/* The roster may be replaced on the way, and with it the list. */
	for (size_t i = 0; i < trust_roster(r->trust)->channel_count; i++) {
		struct err why = ERR_INIT;
		int rc;

		memcpy(channel, trust_roster(r->trust)->channels[i],
		    sizeof(channel));
		rc = take_channel(r, v, channel, to_bring, &why);
		if (rc != 0 && first == 0) {
			first = rc;
			*e = why;
		}
		if (rc == ERR_NET || rc == ERR_TIMEOUT)
			break;
	}
	return first;
}

/* ---- during a pull ---- */

void
heads_plan_news(struct replicator *r)
{
	unsigned wait_s = r->o->look_s < NEWS_S ? r->o->look_s : NEWS_S;

	r->news_at = clock_now_s() + (time_t)wait_s;
}

static int
hear(struct replicator *r, struct err *e)
{
	int rc = visit_open(r, &r->scout, &r->pulling_from->upstream, e);

	if (rc == 0)
		rc = visit_greet(r, &r->scout, e);
	if (rc == 0)
		rc = heads_take_all(r, &r->scout, false, e);
	visit_close(&r->scout);
	return rc;
}

/* The pull goes on whatever comes of it. */
void
heads_tick(void *arg)
{
	struct replicator *r = arg;
	struct err why = ERR_INIT;

	if (clock_now_s() < r->news_at)
		return;
	heads_plan_news(r);
	if (hear(r, &why) != 0)
		log_err(LOG_INFO, "no news during a pull", &why, NULL);
}
