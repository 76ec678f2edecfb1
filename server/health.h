/* Whether a repository is fit to be served from: what /healthz, /metrics and
 * /status tell, and what the health commands of the supervisor follow.  Runs in
 * peciad's workers, which verify nothing: it looks whether things are there. */
#ifndef SERVER_HEALTH_H
#define SERVER_HEALTH_H

#include "server/board.h"
#include "server/serve_heads.h"

#define HEALTH_WHY_BYTES 512

struct health_mark {
	bool yes;
	char why[HEALTH_WHY_BYTES]; /* of either */
};

struct health {
	/* complete, and no head expired for longer than it was valid: until
	 * then what it names is as good as any, and a site is better served
	 * than not. */
	bool ok;
	/* Every channel has a head; the release it names is here, with its
	 * manifests and data transcripts; the keeper misses nothing. */
	struct health_mark complete;
	struct health_mark fresh;         /* no head is past its time */
	struct health_mark writable;      /* there is room for more releases */
	uint64_t free_bytes, free_inodes; /* UINT64_MAX: no fixed number */
};

/* What releases need, kept from look to look. */
struct health_memory;
MUST_CHECK int health_memory_new(struct health_memory **out, struct err *e);
void health_memory_free(struct health_memory *m);

/* repo is a directory, not owned. */
void health_judge(struct health_memory *m, int repo,
    const struct serve_heads *heads, const struct board *board,
    struct health *out);

#endif
