/* The chain of trust as a mirror and a client keep it: what was accepted so
 * far, and what may follow it.
 *
 * Calling sequence of a run:
 *
 *     trust_load              what is held, all of it verified again
 *     trust_offer_root        root 1 if none is held; then next after next,
 *                             until there is none
 *     trust_offer_head        is it signed, for this channel, not older than
 *                             what was seen, not another of the same serial
 *     trust_offer_roster      if the head names a newer one than is held
 *     trust_accept_release    what the head points to
 *     ...                     all that is below the release, by the caller
 *     trust_commit_head       from now on this release is the accepted one
 *
 * A head that is not signed by the keys of the root held (ERR_VERIFY) may be
 * signed by those of a newer one: offer the next root, then the head again.
 * The same goes for a head that names a root or roster not yet held; it may be
 * offered, but not committed.
 *
 * Time is one fixed moment for the whole run, given by the caller.  Nothing
 * that has expired is accepted anew, nor anything under an expired root.  What
 * was accepted before stays so: trust_alarms says that it is out of date. */
#ifndef TRANSCRIPTS_TRUST_H
#define TRANSCRIPTS_TRUST_H

#include "transcripts/head.h"
#include "transcripts/release.h"
#include "transcripts/roster.h"

/* Where statements are kept, whole and as they came, by name:
 *
 *     root/<n>             trust roots, from 1
 *     roster               the newest roster
 *     channel/<name>       the accepted head of a channel
 *     release/<sha256>     releases
 *     seen/<name>          the head of the highest serial that was offered
 *     evidence/<what>.kept, evidence/<what>.other
 *                          two signed statements that contradict each other
 *
 * Names are of [A-Za-z0-9._-] and '/', none of their parts is "." or "..", and
 * all but those of seen/ and evidence/ are also names of a repository below
 * v1/. */
struct trust_store {
	/* Adds the bytes kept by this name to `out`, which bounds them.
	 * ERR_NOT_FOUND when there are none. */
	int (*get)(void *arg, const char *name, struct buf *out, struct err *e);
	/* Keeps the bytes by this name, in one step from the old ones to the
	 * new.  They are durable when it returns 0. */
	int (*put)(void *arg, const char *name, const void *data, size_t len,
	    struct err *e);
	void *arg;
};

struct trust;

/* Reads the chain from the store and verifies it: root 1 against the anchor
 * (the digest of its file), each root against the one before, the roster and
 * the heads of the channels that the roster lists against the newest root that
 * signed them.  An empty store is no error.  Anything damaged is, and the
 * message names it.  The store is copied; its `arg` must outlive *out. */
MUST_CHECK int trust_load(const struct trust_store *store,
    const struct digest *anchor, time_t now, struct trust **out, struct err *e);
void trust_free(struct trust *t);
/* A daemon begins its next round. */
void trust_set_time(struct trust *t, time_t now);

/* What is held.  Borrowed until the next call that changes it; NULL when there
 * is none. */
const struct root *trust_root(const struct trust *t);
const struct roster *trust_roster(const struct trust *t);
/* The accepted head of a channel; *out NULL when there is none. */
MUST_CHECK int trust_head(struct trust *t, const char *channel,
    const struct head **out, struct err *e);
/* The newest head that was offered, when the accepted one is older and nothing
 * contradicts it: what is wanted.  *out is NULL when there is none, *raw (may
 * be NULL) its bytes. */
MUST_CHECK int trust_wanted(struct trust *t, const char *channel,
    const struct head **out, const struct buf **raw, struct err *e);
/* Whether a mirror of the roster has this public key (SHA-256 of its SPKI).
 * `mirror` may be NULL; what it gets is borrowed from the roster. */
bool trust_known_key(const struct trust *t, const struct digest *spki,
    const struct roster_mirror **mirror);

/* What an operator must hear of, though nothing stops. */
enum {
	TRUST_ALARM_ROOT = 1 << 0,   /* the newest root has expired */
	TRUST_ALARM_ROSTER = 1 << 1, /* the newest roster has expired */
	TRUST_ALARM_HEAD = 1 << 2, /* the accepted head has expired: freeze? */
	TRUST_ALARM_CLOCK = 1
	    << 3,                  /* our clock is before the head was issued */
	TRUST_ALARM_FORK = 1 << 4, /* contradictions were seen in this run */
};
#define TRUST_CLOCK_SKEW_S 300 /* a clock may be wrong by so much */
/* Of the roots, the roster and this channel (NULL: of no channel), once
 * trust_head or an offer has named the channel. */
unsigned trust_alarms(const struct trust *t, const char *channel);

/* Contradictions whose evidence was kept since trust_load. */
uint64_t trust_forks(const struct trust *t);

/* The next root.  One that is held already is no change; ERR_ROLLBACK: an
 * older one; ERR_VERIFY: not signed by the newest one held and by itself, or
 * one was left out; ERR_CONFLICT: a second root of the newest version, signed
 * as well as the first (both are kept as evidence).  An expired one is taken:
 * the one after it may follow.  Heads that were only seen, not accepted, are
 * forgotten when the new root no longer lets their key sign: a stolen key
 * cannot hold a channel at a high serial for ever. */
MUST_CHECK int trust_offer_root(
    struct trust *t, const void *data, size_t len, struct err *e);

/* The newest roster.  ERR_ROLLBACK: a lower version than held; ERR_CONFLICT:
 * another of the same version (both are kept as evidence); ERR_EXPIRED: it, or
 * the newest root.  Other signatures to the same body replace those held. */
MUST_CHECK int trust_offer_roster(
    struct trust *t, const void *data, size_t len, struct err *e);

/* A head of this channel.  ERR_VERIFY: not signed, or of another channel;
 * ERR_ROLLBACK: its serial is lower than one seen before; ERR_CONFLICT: a
 * serial seen before with another release (both are kept as evidence, and from
 * then on neither is accepted anew); ERR_EXPIRED: it, or the newest root, and
 * it is not the accepted release anyway.  On success *out is what it says.  A
 * new serial is remembered as the highest seen, and so is a newer signature of
 * it; the accepted head does not change. */
MUST_CHECK int trust_offer_head(struct trust *t, const char *channel,
    const void *data, size_t len, struct head *out, struct err *e);

/* The release of a head that trust_offer_head or trust_head gave: verified,
 * kept in the store.  A new one must be signed by the release role of the
 * newest root; the accepted one was, when it was accepted.  ERR_USAGE for
 * another head.  A new one that names another release before it than the one
 * accepted is no error, but TRUST_ALARM_FORK, with evidence. */
MUST_CHECK int trust_accept_release(struct trust *t, const struct head *head,
    const void *data, size_t len, struct release *out, struct err *e);
/* The same from the store.  ERR_NOT_FOUND when it is not there. */
MUST_CHECK int trust_find_release(struct trust *t, const struct head *head,
    struct release *out, struct err *e);

/* The head becomes the accepted one of its channel, once everything below it
 * is complete and durable.  All that trust_offer_head judges is judged again;
 * besides, ERR_NOT_FOUND: its root, roster or release is not held.  An older
 * copy of the accepted head is no error and changes nothing.  A newer one is
 * taken, also when a higher serial was seen. */
MUST_CHECK int trust_commit_head(struct trust *t, const char *channel,
    const void *data, size_t len, struct err *e);

#endif
