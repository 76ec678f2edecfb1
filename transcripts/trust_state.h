/* What trust.c (roots, roster) and trust_head.c (channels, releases) share;
 * everybody else includes trust.h. */
#ifndef TRANSCRIPTS_TRUST_STATE_H
#define TRANSCRIPTS_TRUST_STATE_H

#include "transcripts/trust.h"

#define TRUST_NAME_BYTES 192 /* of the longest name in a store, with the NUL */

/* A head and the bytes that said so. */
struct trust_kept {
	const char *folder; /* of the store: "channel" or "seen" */
	bool is_held;
	struct head head;
	struct buf raw;
};

struct trust_channel {
	char name[LIMIT_NAME_BYTES + 1];
	struct trust_kept accepted;
	struct trust_kept seen; /* under the newest root's keys, or not held */
};

struct trust {
	struct trust_store store;
	struct digest anchor;
	time_t now;
	struct root root;     /* the newest; version 0 when none is held */
	struct root previous; /* the one before it */
	struct buf root_raw;  /* of the newest */
	struct digest roots[LIMIT_ROOT_VERSIONS]; /* of all files, from 1 */
	struct roster roster;                     /* when roster_raw.len > 0 */
	struct buf roster_raw;
	struct trust_channel *channels[LIMIT_CHANNELS];
	size_t channel_count;
	bool is_forked;
	uint64_t forks; /* pairs of evidence kept since trust_load */
};

/* The store, with limits and the name in errors. */
MUST_CHECK int trust_get(const struct trust *t, const char *name,
    size_t max_bytes, struct buf *out, struct err *e);
MUST_CHECK int trust_put(const struct trust *t, const char *name,
    const void *data, size_t len, struct err *e);
/* `raw` becomes a copy; unchanged after an error. */
MUST_CHECK int trust_copy(
    struct buf *raw, const void *data, size_t len, struct err *e);

/* ERR_NOT_FOUND when no root is held. */
MUST_CHECK int trust_need_root(const struct trust *t, struct err *e);
/* ERR_EXPIRED when the newest root has, or `expires` is past. */
MUST_CHECK int trust_check_time(
    const struct trust *t, const char *what, time_t expires, struct err *e);
/* The newest root whose role signed these bytes, for what was accepted under an
 * older one, and the statement that they are, which borrows them. */
struct trust_signed {
	struct root root;
	struct statement statement;
};
MUST_CHECK int trust_signing_root(const struct trust *t, enum root_role role,
    const void *data, size_t len, struct trust_signed *out, struct err *e);
/* Keeps two statements as evidence/<what>.kept and .other, the first pair of
 * that name.  Returns ERR_CONFLICT. */
int trust_fork(struct trust *t, const char *what, const struct buf *kept,
    const void *other, size_t len, struct err *e);

/* The channel's heads, read from the store when they were not before.
 * ERR_USAGE for what is no name. */
MUST_CHECK int trust_open_channel(struct trust *t, const char *name,
    struct trust_channel **out, struct err *e);
/* Forgets heads that were only seen and that the newest root does not
 * allow. */
void trust_recheck_seen(struct trust *t);
void trust_free_channels(struct trust *t);

#endif
