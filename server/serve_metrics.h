/* GET /metrics: Prometheus' text format, version 0.0.4.  Counters are of all
 * workers since the daemon was started; times are Unix times, 0 for never. */
#ifndef SERVER_SERVE_METRICS_H
#define SERVER_SERVE_METRICS_H

#include "server/serve_view.h"

void serve_metrics_handle(const struct serve_view *v, struct http_request *r);

#endif
