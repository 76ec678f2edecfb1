/* Many objects in one answer.
 *
 * POST /v1/objects.  Request: digests of 32 raw bytes, one after another, 1 to
 * LIMIT_BATCH_OBJECTS.  Answer: for each, in that order, the digest, the
 * length of the stored frame as 8 bytes big endian, and the frame; all ones
 * in place of the length, and no frame, when the object is not here.
 *
 * POST /v1/objects/<sha256>, of a manifest that is numbered (serve_numbers.h).
 * Request: how many files to pass over and how many to take, by turns, as
 * varint_write has them, 1 to LIMIT_BATCH_OBJECTS to take in all.  Answer: for
 * each of these the length of the stored frame and 1, written so, and the
 * frame; 0, and no frame, when the object is not here. */
#ifndef SERVER_SERVE_BATCH_H
#define SERVER_SERVE_BATCH_H

#include "common/http_server.h"
#include "server/serve_numbers.h"

#define SERVE_BATCH_MISSING UINT64_MAX

/* repo: directory, not owned. */
void serve_batch_handle(
    int repo, struct serve_slot *slot, struct http_request *r);
void serve_batch_select(struct serve_numbers *numbers, struct http_request *r,
    const struct digest *manifest);
/* A request by number: *count gets how many files it takes, *end the number
 * behind the last.  False: it is none, or beyond a limit. */
bool serve_batch_ranges(struct reader ranges, uint64_t *count, uint64_t *end);

#endif
