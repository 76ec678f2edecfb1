/* Trust root: which keys may sign what, with what threshold.  Byte by byte in
 * doc/formats.md. */
#ifndef TRANSCRIPTS_ROOT_H
#define TRANSCRIPTS_ROOT_H

#include <time.h>

#include "transcripts/statement.h"

enum root_role {
	ROOT_ROLE_ROOT,
	ROOT_ROLE_RELEASE,
	ROOT_ROLE_HEAD,
	ROOT_ROLE_ROSTER,
	ROOT_ROLES,
};

struct root {
	char org[LIMIT_TEXT_BYTES + 1];
	uint64_t version; /* 1..STATEMENT_NUMBER_MAX; 0 in none that was read */
	time_t expires;
	struct statement_signers roles[ROOT_ROLES]; /* keys sorted by id */
};

/* "root", "release", "head", "roster". */
const char *root_role_name(enum root_role role);

/* Of a body whose signatures the caller checks with root_first or
 * root_next. */
MUST_CHECK int root_parse(
    const char *body, size_t len, struct root *out, struct err *e);
/* Adds the body (without signatures) in canonical form. */
void root_write(struct buf *text, const struct root *r);

/* Keep the order of keys; ERR_CONFLICT when the role has the key (add),
 * ERR_NOT_FOUND when it has not (remove).  The threshold stays as it is:
 * root_parse refuses one that the keys cannot meet. */
MUST_CHECK int root_add_key(struct root *r, enum root_role role,
    const struct key_public *key, struct err *e);
MUST_CHECK int root_remove_key(
    struct root *r, enum root_role role, const char *id, struct err *e);

/* The first root: its bytes must have the anchor's digest and be signed by
 * its own root role.  *out gets it. */
MUST_CHECK int root_first(const void *data, size_t len,
    const struct digest *anchor, struct root *out, struct err *e);
/* The next one: version exactly one higher, same org, signed by the old and
 * by its own root role.  ERR_ROLLBACK: version not above the old one;
 * ERR_VERIFY: not signed, another org, or a version left out.  Expiry is the
 * caller's to judge. */
MUST_CHECK int root_next(const void *data, size_t len, const struct root *old,
    struct root *out, struct err *e);

/* Splits a statement and checks the signatures of the role. */
MUST_CHECK int root_verify(const struct root *r, enum root_role role,
    const void *data, size_t len, struct statement *out, struct err *e);

#endif
