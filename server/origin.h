/* A repository with what is signed in it, as its operator sees it: the chain
 * of roots, the roster, heads and releases, read from the repository's own
 * files and verified; and the statements that are written there.
 *
 *     origin_open; origin_lock to write; origin_load; ...; origin_release
 *
 * Reading works on a mirror's repository too. */
#ifndef SERVER_ORIGIN_H
#define SERVER_ORIGIN_H

#include "transcripts/head.h"
#include "transcripts/release.h"
#include "transcripts/repo.h"
#include "transcripts/roster.h"

struct origin {
	struct repo *repo;
	struct root *roots; /* 1..root_count, each signed by the one before */
	size_t root_count;
	struct digest anchor; /* of root 1's file */
	struct roster roster; /* version 0: there is none */
};

/* Opens the repository; nothing is read yet.  origin_release also after
 * errors. */
MUST_CHECK int origin_open(const char *path, struct origin *o, struct err *e);
void origin_release(struct origin *o);

/* The right to write.  ERR_CONFLICT, after wait_ms, says who has it; `what`
 * we do is what others are told then.  `waiting` (may be NULL) is called once
 * when it does not come at once. */
struct origin_wait {
	unsigned wait_ms;
	const char *what;
	void (*waiting)(void *arg, const char *holder);
	void *arg;
};
MUST_CHECK int origin_lock(
    struct origin *o, const struct origin_wait *wait, struct err *e);

/* Reads roots and roster.  ERR_NOT_FOUND: no root 1, so `init` was not run or
 * did not end. */
MUST_CHECK int origin_load(struct origin *o, struct err *e);
/* The newest root. */
const struct root *origin_root(const struct origin *o);

/* Whether the repository is a mirror's: it has an anchor beside v1. */
MUST_CHECK int origin_is_mirror(
    struct origin *o, bool *is_mirror, struct err *e);
/* ERR_CONFLICT, saying what to do, when it is: nothing may be signed there. */
MUST_CHECK int origin_check_own(struct origin *o, struct err *e);

/* ERR_NOT_FOUND: the channel has no head. */
MUST_CHECK int origin_head(
    struct origin *o, const char *channel, struct head *out, struct err *e);
/* The head that a mirror has heard of last, complete or not. */
MUST_CHECK int origin_seen_head(
    struct origin *o, const char *channel, struct head *out, struct err *e);
/* The head of the highest serial that was seen here, complete or not, and the
 * highest serial that anything here speaks of (evidence of forks too): the
 * next release must be above it. */
MUST_CHECK int origin_highest(struct origin *o, const char *channel,
    struct head *out, uint64_t *serial, struct err *e);
/* The same from another file of the repository, as seen/<channel>. */
MUST_CHECK int origin_head_at(struct origin *o, const char *path,
    const char *channel, struct head *out, struct err *e);
/* The release a head names, and the one before a release; ERR_NOT_FOUND when
 * it is not kept here. */
MUST_CHECK int origin_release_of(struct origin *o, const struct head *head,
    struct release *out, struct err *e);
MUST_CHECK int origin_release_before(struct origin *o,
    const struct release *next, struct release *out, struct err *e);

/* ERR_USAGE, naming key and role, when this key alone may not sign for the
 * role under the newest root. */
MUST_CHECK int origin_check_key(const struct origin *o, enum root_role role,
    const struct key *key, struct err *e);

/* Writing; each is durable when this returns, and was read back as clients
 * read it before it was written.  The caller holds the lock. */
MUST_CHECK int origin_put_release(struct origin *o, const struct key *key,
    const struct release *r, struct head *head, struct err *e);
/* What the channel has, once more under the serial after the highest seen, and
 * its head; *serial gets it.  So whoever else still signs for this channel has
 * fallen behind, and the newest keys have signed the newest release. */
struct origin_signers {
	const struct key *release, *head;
	const char *author, *message;
	uint64_t lifetime_s;
	uint64_t above; /* a serial that others have seen, or 0 */
};
MUST_CHECK int origin_carry_on(struct origin *o, const char *channel,
    const struct origin_signers *by, uint64_t *serial, struct err *e);
/* Writes o->roster with its version one higher. */
MUST_CHECK int origin_put_roster(
    struct origin *o, const struct key *key, struct err *e);
/* Issued now, for lifetime_s; root_version and roster_version are set to the
 * newest.  All that was installed before is durable first. */
MUST_CHECK int origin_put_head(struct origin *o, const struct key *key,
    struct head *head, uint64_t lifetime_s, struct err *e);
/* Loads again, and signs the heads of all channels again, or only those that
 * name an older root or roster than there is.  *count gets how many. */
MUST_CHECK int origin_refresh(struct origin *o, const struct key *key,
    uint64_t lifetime_s, bool only_stale, size_t *count, struct err *e);

#endif
