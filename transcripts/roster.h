/* Roster: the mirrors there are, by site and by key, and the channels that
 * they carry.  Signed by the roster role. */
#ifndef TRANSCRIPTS_ROSTER_H
#define TRANSCRIPTS_ROSTER_H

#include <time.h>

#include "common/crypto_digest.h"
#include "transcripts/root.h"

struct roster_mirror {
	char name[LIMIT_NAME_BYTES + 1];
	char site[LIMIT_NAME_BYTES + 1];
	struct digest keys[LIMIT_MIRROR_KEYS];   /* SHA-256 of SPKI */
	size_t key_count;                        /* at least 1 */
	char *addresses[LIMIT_MIRROR_ADDRESSES]; /* HOST[:PORT], best first */
	size_t address_count;
};

struct roster {
	uint64_t version; /* 1..STATEMENT_NUMBER_MAX */
	time_t expires;
	char (*channels)[LIMIT_NAME_BYTES + 1]; /* sorted, unique */
	size_t channel_count;
	struct roster_mirror
	    *mirrors; /* sorted by name, unique; no key twice */
	size_t mirror_count;
};

/* An empty roster of version 1; release it before it goes out of scope. */
void roster_init(struct roster *r);
void roster_release(struct roster *r);

/* Of a verified body.  `out` is written as by roster_init and owns what it
 * points to; what it held before is not released. */
MUST_CHECK int roster_parse(
    const char *body, size_t len, struct roster *out, struct err *e);
/* Adds the body (without signatures) in canonical form. */
void roster_write(struct buf *text, const struct roster *r);
/* root_verify with ROOT_ROLE_ROSTER, then roster_parse.  Expiry is the
 * caller's to judge. */
MUST_CHECK int roster_read(const struct root *root, const void *data,
    size_t len, struct roster *out, struct err *e);

/* Keep order; ERR_CONFLICT when the name is there or a key is another
 * mirror's (add, replace), ERR_NOT_FOUND when it is not there (replace,
 * remove), ERR_FORMAT for what roster_parse would refuse; the roster is as it
 * was then.  `m`'s addresses are copied, and may be those of the mirror that it
 * replaces. */
MUST_CHECK int roster_add_mirror(
    struct roster *r, const struct roster_mirror *m, struct err *e);
MUST_CHECK int roster_replace_mirror(
    struct roster *r, const struct roster_mirror *m, struct err *e);
MUST_CHECK int roster_remove_mirror(
    struct roster *r, const char *name, struct err *e);
/* No error when it is there already. */
MUST_CHECK int roster_add_channel(
    struct roster *r, const char *name, struct err *e);
bool roster_has_channel(const struct roster *r, const char *name);
/* The mirror with this key, or NULL.  Borrowed. */
const struct roster_mirror *roster_find_key(
    const struct roster *r, const struct digest *spki);
/* The mirror of this name, or NULL.  Borrowed. */
const struct roster_mirror *roster_find_name(
    const struct roster *r, const char *name);

#endif
