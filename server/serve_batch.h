/* POST /v1/objects: many objects in one answer.
 *
 * Request: digests of 32 raw bytes, one after another, 1 to
 * LIMIT_BATCH_OBJECTS.  Answer: for each, in that order, the digest, the
 * length of the stored frame as 8 bytes big endian, and the frame; all ones
 * in place of the length, and no frame, when the object is not here. */
#ifndef SERVER_SERVE_BATCH_H
#define SERVER_SERVE_BATCH_H

#include "common/http_server.h"
#include "server/serve_stats.h"

#define SERVE_BATCH_MISSING UINT64_MAX

/* repo: directory, not owned. */
void serve_batch_handle(
    int repo, struct serve_slot *slot, struct http_request *r);

#endif
