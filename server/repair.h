/* Repair: what was put into quarantine, and what the newest releases lack, is
 * fetched again: by a mirror from its upstreams, by an origin from the mirrors
 * of its roster.  What comes is verified like what a mirror replicates. */
#ifndef SERVER_REPAIR_H
#define SERVER_REPAIR_H

#include "common/crypto_tls.h"
#include "server/board.h"
#include "server/retain.h"

struct repair_options {
	const char *const *upstreams; /* as upstreams_make takes them */
	size_t upstream_count;
	uint16_t port; /* where none is said */
	struct retain_policy policy;
	const struct tls_identity *identity;
	const char *user; /* whom the fetcher becomes when root */
	unsigned wait_ms; /* for the lock */
	bool has_anchor;
	struct digest anchor;   /* of root 1 */
	struct rate_gate *gate; /* of the line */
	const struct rate_plan *rate;
	struct board_keeping *board;
};

/* Asks one server after another until nothing is lacking or there is none
 * left.  *lacking is what still is.  Servers' failures are logged and no
 * errors. */
MUST_CHECK int repair_run(struct origin *o,
    const struct repair_options *options, uint64_t *lacking, struct err *e);

#endif
