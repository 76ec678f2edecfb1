/* GET and HEAD of a repository's files but the heads: conditions, ranges and
 * what caches may do with the answer. */
#ifndef SERVER_SERVE_FILES_H
#define SERVER_SERVE_FILES_H

#include "common/fsat.h"
#include "common/http_server.h"
#include "server/serve_path.h"
#include "server/serve_stats.h"

struct serve_files {
	int repo; /* directory, not owned */
	struct serve_slot *slot;
	/* The roster's digest is worth keeping: it may be some megabytes. */
	bool has_roster;
	struct fsat_stat roster_id;
	struct digest roster_digest;
};

void serve_files_handle(struct serve_files *f, struct http_request *r,
    const struct serve_path *path);

/* Replies 404, or 500 and 503 for failures of our own, which are counted and
 * logged. */
void serve_files_failed(
    struct serve_slot *slot, struct http_request *r, const struct err *e);

#endif
