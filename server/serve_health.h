/* GET /healthz for load balancers and GET /metrics for Prometheus. */
#ifndef SERVER_SERVE_HEALTH_H
#define SERVER_SERVE_HEALTH_H

#include "server/serve_heads.h"
#include "server/serve_stats.h"

struct serve_health {
	int repo; /* directory, not owned */
	const struct serve_heads *heads;
	const struct serve_stats *stats;
};

/* "ok" or "failing", then a line each:
 *
 *     complete yes|no  every channel has a head, and the release it names
 *     fresh yes|no     no head is past its time
 *     writable yes|no  there is room for more releases
 *
 * each with its reason.  503 when it is not complete, or when a head has been
 * expired for longer than it was valid: until then what it names is as good
 * as any, and a site is better served than not. */
void serve_health_handle(const struct serve_health *h, struct http_request *r);

/* Counters of all workers; serial, issue and expiry of each channel's head. */
void serve_health_metrics(const struct serve_health *h, struct http_request *r);

#endif
