/* The keeper: in idle time, reads stored files again, fetches what was wrong,
 * and removes what is not needed any more. */
#ifndef SERVER_KEEPER_H
#define SERVER_KEEPER_H

#include "server/repair.h"

struct keeper_options {
	const char *repo;    /* path */
	const char *owner;   /* whom to become; NULL: stay */
	const char *reader;  /* whom the fetcher becomes when root */
	uint64_t delay_s;    /* before the first look; KEEPER_DELAY: by host */
	uint64_t scrub_rate; /* bytes a second; 0: no scrub */
	uint64_t scrub_interval_s;   /* of rounds */
	uint64_t collect_interval_s; /* 0: no collection */
	struct retain_policy policy;
	const char *const *upstreams;
	size_t upstream_count;
	const struct tls_identity *identity;
	bool has_anchor; /* a mirror */
	struct digest anchor;
	struct rate_gate *gate; /* of the line */
	const struct rate_plan *rate;
	struct board_keeping *board;
};
#define KEEPER_DELAY UINT64_MAX

/* Until the process is ended, which may be at any point.  Troubles are logged
 * and tried again; an error is one that no waiting mends. */
MUST_CHECK int keeper_run(const struct keeper_options *options, struct err *e);

#endif
