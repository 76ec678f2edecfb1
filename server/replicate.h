/* Replicate: keeps a mirror's repository at its upstream's newest releases.
 * One process: decides, verifies and writes; its fetcher talks to the
 * network. */
#ifndef SERVER_REPLICATE_H
#define SERVER_REPLICATE_H

#include "common/crypto_digest.h"
#include "common/crypto_tls.h"
#include "transcripts/repo.h"

struct replicate_options {
	struct repo *repo; /* this process's own, not yet locked */
	const struct digest *anchor;
	const struct tls_identity *identity;
	const char *const *upstreams; /* HOST[:PORT], best first */
	size_t upstream_count;
	uint16_t port;    /* where an upstream names none */
	const char *user; /* whom the fetcher becomes when root */
};

/* Until a signal ends the process, which may be at any point: nothing is shown
 * before it is complete.  Troubles are logged and tried again; an error is one
 * that no waiting mends: the anchor does not fit, the repository cannot be
 * written. */
MUST_CHECK int replicate_run(
    const struct replicate_options *options, struct err *e);

#endif
