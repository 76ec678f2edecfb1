/* One worker of peciad: serves a repository's directory over HTTP until it is
 * told to end.  It writes nothing and verifies nothing: what it serves is
 * checked by those who take it.
 *
 * Answers to:  GET, HEAD /v1/... (serve_path.h has the shapes; serve_files.h,
 * serve_heads.h), POST /v1/objects (serve_batch.h), GET, HEAD /healthz
 * (serve_health.h), /metrics (serve_metrics.h) and /status (serve_status.h). */
#ifndef SERVER_SERVE_H
#define SERVER_SERVE_H

#include <stddef.h>

#include "common/err.h"
#include "server/serve_stats.h"

struct board;
struct serve_self;
struct ssl_ctx_st;

struct serve_options {
	const int *listen_fds; /* of http_listen; not owned */
	size_t listen_count;
	int repo;               /* the directory that holds v1; not owned */
	struct ssl_ctx_st *tls; /* of tls_server_context; NULL: plain HTTP */
	const struct serve_self *self;
	const struct board *board; /* as stats, shared by all processes */
	struct serve_stats *stats; /* shared by all workers */
	unsigned worker;           /* this one's number in it, from 0 */
	unsigned max_connections;  /* 0: what http_server.h says */
	unsigned max_per_peer;     /* the same */
	bool own_listeners;        /* the same */
	bool access_log;           /* a LOG_INFO event "request" for each */
	void (*hangup)(void *arg); /* SIGHUP; may be NULL */
	void *arg;
};

/* Until SIGTERM or SIGINT, and at most HTTP_GRACE_MS longer.  Privileges are
 * given up by the caller before; needed are reading below repo, accepting on
 * the sockets, and stderr. */
MUST_CHECK int serve_run(const struct serve_options *options, struct err *e);

#endif
