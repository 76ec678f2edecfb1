/* All that a worker knows, for those who tell of it: /healthz, /metrics and
 * /status. */
#ifndef SERVER_SERVE_VIEW_H
#define SERVER_SERVE_VIEW_H

#include "server/health.h"
#include "server/serve_stats.h"

/* What the daemon is, as it was started. */
struct serve_self {
	const char *repo; /* its path, for people */
	bool mirror;      /* it has upstreams */
	struct digest key;
	time_t started;
};

struct serve_view {
	int repo; /* directory, not owned */
	const struct serve_self *self;
	const struct serve_heads *heads;
	const struct serve_stats *stats;
	const struct board *board;
	struct health_memory *memory;
};

#endif
