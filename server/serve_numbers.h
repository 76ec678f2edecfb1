/* Numbers of files: which object each regular file of a manifest has, in the
 * manifest's order, from 0.  A few manifests are kept.  Runs in workers. */
#ifndef SERVER_SERVE_NUMBERS_H
#define SERVER_SERVE_NUMBERS_H

#include "common/buf.h"
#include "common/crypto_digest.h"
#include "common/limits.h"
#include "server/serve_stats.h"

struct serve_numbers {
	int repo; /* directory, not owned */
	struct serve_slot *slot;
	struct serve_numbered {
		struct digest manifest;
		struct buf digests; /* empty: none yet */
		unsigned users;
		uint64_t asked; /* when last, counted */
	} list[LIMIT_SELECT_MANIFESTS];
	uint64_t asked;
	uint64_t due_ms; /* by clock_ms: none is read before */
};

void serve_numbers_init(
    struct serve_numbers *n, int repo, struct serve_slot *slot);
void serve_numbers_release(struct serve_numbers *n);
/* ERR_NOT_FOUND: it is not here, is longer than LIMIT_SELECT_* or damaged, or too many others are
 * asked for: reading takes a tenth of a worker's time at most. */
MUST_CHECK int serve_numbers_take(struct serve_numbers *n,
    const struct digest *manifest, struct serve_numbered **out, struct err *e);
void serve_numbers_give(struct serve_numbered *numbered);

#endif
