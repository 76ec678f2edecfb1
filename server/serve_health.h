/* GET /healthz, for load balancers. */
#ifndef SERVER_SERVE_HEALTH_H
#define SERVER_SERVE_HEALTH_H

#include "server/serve_view.h"

/* "ok" (200) or "failing" (503), then a line for each mark of health.h:
 *
 *     complete yes|no REASON
 *     fresh yes|no REASON
 *     writable yes|no REASON */
void serve_health_handle(const struct serve_view *v, struct http_request *r);

/* Judges, and leaves the judgement in the worker's slot for the supervisor. */
void serve_health_judge(const struct serve_view *v, struct serve_slot *slot);

#endif
