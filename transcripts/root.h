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
	uint64_t version; /* 1.. */
	time_t expires;
	struct statement_signers roles[ROOT_ROLES];
};

/* Of a body whose signatures the caller checks with root_accept. */
MUST_CHECK int root_parse(const char *body, size_t len, struct root *out,
    struct err *e);
/* Adds the body (without signatures) in canonical form. */
void root_write(struct buf *text, const struct root *r);

/* The first root: its bytes must have the anchor's digest and be signed by
 * its own root role.  *out gets it. */
MUST_CHECK int root_first(const void *data, size_t len,
    const struct digest *anchor, struct root *out, struct err *e);
/* The next one: version exactly one higher, same org, signed by the old and
 * by its own root role.  ERR_ROLLBACK for another version. */
MUST_CHECK int root_next(const void *data, size_t len, const struct root *old,
    struct root *out, struct err *e);

/* Splits a statement and checks the signatures of the role. */
MUST_CHECK int root_verify(const struct root *r, enum root_role role,
    const void *data, size_t len, struct statement *out, struct err *e);

#endif
