/* Inside the replicator (server/replicate*.c) only.
 *
 * replicate.c is the loop: whom to follow, when to look elsewhere;
 * replicate_visit.c is one connection to one upstream; replicate_heads.c hears
 * what is new; replicate_bring.c makes a release complete, from whomever has
 * its parts.
 *
 * Who writes holds the lock, from replicate_hold to replicate_let_go; nobody
 * waits for news with it. */
#ifndef SERVER_REPLICATE_IMPL_H
#define SERVER_REPLICATE_IMPL_H

#include <time.h>

#include "server/pull.h"
#include "server/replicate.h"
#include "server/upstreams.h"
#include "transcripts/learn.h"

struct sessions;

/* A head as a server gave it last, whatever became of it: its long polls are
 * for another one. */
struct heard {
	char channel[LIMIT_NAME_BYTES + 1];
	char etag[LEARN_ETAG_BYTES];
	uint64_t serial; /* as it says */
};

/* A connection to one upstream. */
struct visit {
	struct fetch *fetch; /* NULL: not started */
	struct learn learn;
	struct fetch_peer peer;
	struct upstream upstream;
	uint64_t roster_version; /* whose keys its fetcher knows */
	struct heard heard[LIMIT_CHANNELS];
	size_t heard_count;
};

/* A head that is not complete yet. */
struct wanted {
	char channel[LIMIT_NAME_BYTES + 1];
	uint64_t serial;
	time_t since; /* heard of first; by clock_now_s, as all below */
	time_t turn;  /* when it may be asked for first */
	time_t due;   /* when it is asked for next */
	unsigned backoff_s;
	size_t next; /* of the other upstreams, whom to ask first */
};

struct replicator {
	const struct replicate_options *o;
	struct repo *repo;
	struct digest own_key;
	struct trust_store store;
	struct trust *trust;
	struct sessions *sessions; /* of upstreams; or NULL */
	struct fetch_options fetch_options;
	struct pull pull;
	struct upstreams upstreams;
	struct visit here;  /* whom we follow */
	struct visit scout; /* whom we look at besides */
	struct visit extra; /* whom we ask for what `here` lacks */
	struct wanted wanted[LIMIT_CHANNELS];
	size_t wanted_count;
	/* What a pull is under way for; "" for none. */
	char pulling[LIMIT_NAME_BYTES + 1];
	uint64_t pulling_serial;
	const struct visit *pulling_from;
	time_t news_at;     /* when a pull is next interrupted for news */
	time_t heard_at;    /* when something new was last heard */
	time_t look_at;     /* when to look at others again */
	unsigned lost_s;    /* how soon, since one was lost; 0: at the pace */
	size_t look_next;   /* which of those behind the one followed */
	size_t look_better; /* which of many before it */
	bool followed;      /* an upstream gave all it had in this round */
	unsigned lacking_s; /* how soon to ask again for what it has not */
	bool
	    refused; /* a head had expired, by our clock: to be asked for again */
	/* Of the contradiction that was alarmed last. */
	struct digest alarmed;
	time_t alarmed_until;
	uint64_t forks_before; /* whose evidence was here at the start */
};

/* The right to write.  ERR_BUSY: others have it for too long. */
MUST_CHECK int replicate_hold(struct replicator *r, struct err *e);
void replicate_let_go(struct replicator *r);

/* ---- replicate_visit.c ---- */

/* Connects, and sees to it that it is not ourselves.  Writes nothing. */
MUST_CHECK int visit_open(struct replicator *r, struct visit *v,
    const struct upstream *u, struct err *e);
void visit_close(struct visit *v);
/* The roster may have been learnt from another one. */
MUST_CHECK int visit_tell_keys(
    struct replicator *r, struct visit *v, struct err *e);
/* Roots if none are held, and the roster, in which it must be.  The lock is
 * held. */
MUST_CHECK int visit_greet(
    struct replicator *r, struct visit *v, struct err *e);
/* The channel's head as this server gave it last, if it did. */
struct heard *visit_heard(struct visit *v, const char *channel);
/* Whether it is another one than before. */
bool visit_note_head(
    struct visit *v, const char *channel, const struct buf *bytes);
/* Serial of a head's bytes, of whom nothing is verified; 0 when they make no
 * sense. */
uint64_t head_claims(const struct buf *bytes);

enum view {
	VIEW_BEHIND, /* it has not all that we have */
	VIEW_LEVEL,
	VIEW_AHEAD, /* something that we have not heard of */
};
/* What it has, beside what we know, without taking anything. */
MUST_CHECK int visit_view(
    struct replicator *r, struct visit *v, enum view *out, struct err *e);

/* ---- replicate_heads.c ---- */

/* Every channel of the roster once, without waiting.  `bring`: what is new is
 * made complete; else it is only wanted.  One channel that fails does not keep
 * the others back, as long as the upstream answers. */
MUST_CHECK int heads_take_all(
    struct replicator *r, struct visit *v, bool bring, struct err *e);
/* A head as it came. */
MUST_CHECK int heads_take(struct replicator *r, struct visit *v,
    const char *channel, const struct buf *bytes, bool bring, struct err *e);
/* The newest that is wanted, or else accepted; NULL for none.  Borrowed until
 * the next head is taken. */
const struct head *heads_known(struct replicator *r, const char *channel);
bool heads_is_wanted(struct replicator *r, const char *channel);
/* During a pull what is new is heard now and then: the time of the next, and
 * a fetch's tick. */
void heads_plan_news(struct replicator *r);
void heads_tick(void *arg);

/* ---- replicate_bring.c ---- */

/* Makes the channel's wanted release complete, from `v` and, for what it lacks,
 * from the others.  0 also when it stays wanted; errors: of our own disk, or
 * of the connection to `v`. */
MUST_CHECK int bring(
    struct replicator *r, struct visit *v, const char *channel, struct err *e);
/* All that are due, and what was wanted before this process began. */
MUST_CHECK int bring_due(struct replicator *r, struct visit *v, struct err *e);
/* When the next is due; 0 when nothing is wanted. */
time_t bring_next(const struct replicator *r);
/* The channel's record, made when it is new. */
struct wanted *bring_wanted(
    struct replicator *r, const char *channel, uint64_t serial);
/* Nothing waits for its time any more. */
void bring_hurry(struct replicator *r);

/* ---- the board ---- */

void told_trouble(
    struct replicator *r, const struct visit *v, const struct err *why);
void told_contact(struct replicator *r, const struct visit *v);

#endif
