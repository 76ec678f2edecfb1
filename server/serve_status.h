/* GET /status: what this daemon is and does, as JSON for `peciad status`.
 *
 * There is no secret in it, but it names paths and upstreams, which is nobody
 * else's business: it is for peers on this host (a loopback address), and for
 * whoever shows the server's own key; all others get 403. */
#ifndef SERVER_SERVE_STATUS_H
#define SERVER_SERVE_STATUS_H

#include "server/serve_view.h"

void serve_status_handle(const struct serve_view *v, struct http_request *r);

#endif
