/* Replicate: keeps a mirror's repository at its upstreams' newest releases.
 * One process: decides, verifies and writes; its fetchers talk to the
 * network. */
#ifndef SERVER_REPLICATE_H
#define SERVER_REPLICATE_H

#include "common/crypto_digest.h"
#include "common/crypto_tls.h"
#include "common/rate.h"
#include "transcripts/repo.h"

struct board;

#define REPLICATE_LOOK_S 300

struct replicate_options {
	struct repo *repo; /* this process's own, not yet locked */
	const struct digest *anchor;
	const struct tls_identity *identity;
	const char *const *upstreams; /* HOST[:PORT] or "srv", best first */
	size_t upstream_count;
	uint16_t port;                /* where an upstream names none */
	const char *user;             /* whom the fetchers become when root */
	struct board *board;          /* where it is told; or NULL */
	const struct rate_plan *rate; /* with the board's gate; or NULL */
	/* How often others than the one followed are looked at, a quarter more
	 * or less; REPLICATE_LOOK_S. */
	unsigned look_s;
	/* How long after it was heard of a new release is fetched. */
	unsigned news_delay_s;
	bool tls_resume; /* upstreams' sessions are kept, in memory */
};

/* Until a signal ends the process, which may be at any point: nothing is shown
 * before it is complete.  Troubles are logged and tried again; an error is one
 * that no waiting mends: the anchor does not fit, the repository cannot be
 * written or has a replicator already. */
MUST_CHECK int replicate_run(
    const struct replicate_options *options, struct err *e);

#endif
