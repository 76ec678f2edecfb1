/* Head: the newest release of a channel is this one; short-lived, signed by
 * the online head role.  It also says the newest root and roster, so one
 * small answer tells a client that nothing at all has changed. */
#ifndef TRANSCRIPTS_HEAD_H
#define TRANSCRIPTS_HEAD_H

#include <time.h>

#include "common/crypto_digest.h"
#include "transcripts/root.h"

struct head {
	char channel[LIMIT_NAME_BYTES + 1];
	uint64_t serial;         /* 1..STATEMENT_NUMBER_MAX */
	struct digest release;   /* of the release statement's file */
	uint64_t release_bytes;  /* of it, 1..LIMIT_RELEASE_BYTES */
	uint64_t root_version;   /* 1.. */
	uint64_t roster_version; /* 0: there is none yet */
	time_t issued;
	time_t expires; /* not before it was issued */
};

/* Of a verified body. */
MUST_CHECK int head_parse(
    const char *body, size_t len, struct head *out, struct err *e);
/* Of a statement of which nothing is verified.  false: it makes no sense. */
bool head_peek(const struct buf *bytes, struct head *out);
/* Adds the body (without signatures) in canonical form. */
void head_write(struct buf *text, const struct head *h);
/* root_verify with ROOT_ROLE_HEAD, head_parse, and the channel's name checked
 * (ERR_VERIFY).  Expiry is the caller's to judge. */
MUST_CHECK int head_read(const struct root *root, const char *channel,
    const void *data, size_t len, struct head *out, struct err *e);

#endif
