/* Closure: all that releases need of a repository, as a set of digests.
 *
 * It errs on one side only: 8 bytes of each digest are kept, so that it may
 * hold something for needed that is not, never the other way round.  Memory:
 * 8 bytes for each different digest, and for a batch that is being added, 40
 * for at most a quarter as many. */
#ifndef TRANSCRIPTS_CLOSURE_H
#define TRANSCRIPTS_CLOSURE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/crypto_digest.h"
#include "transcripts/release.h"
#include "transcripts/repo.h"

struct closure;
MUST_CHECK int closure_new(struct repo *r, struct closure **out, struct err *e);
void closure_free(struct closure *c);

/* Called for each object that was not in the set before. */
struct closure_visit {
	int (*object)(void *arg, const struct digest *d, uint64_t size_bytes,
	    struct err *e);
	void *arg;
};

enum closure_depth {
	CLOSURE_DATA,  /* manifests and data transcripts */
	CLOSURE_WHOLE, /* objects, too */
};
/* What a release needs.  *absent gets how many of its manifests are not here:
 * what those need is not known.  ERR_VERIFY, ERR_FORMAT, ERR_LIMIT: a manifest
 * is damaged, or the set has LIMIT_CLOSURE digests; after any error it is of
 * no use.  `visit` may be NULL. */
MUST_CHECK int closure_add(struct closure *c, const struct release *release,
    enum closure_depth depth, const struct closure_visit *visit,
    unsigned *absent, struct err *e);
bool closure_has(const struct closure *c, const struct digest *d);
/* Different digests in it. */
size_t closure_count(const struct closure *c);

#endif
