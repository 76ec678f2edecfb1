/* Content of a stored object, pulled piece by piece: for publishers, who
 * compare contents that they stored themselves.  The digest is not compared:
 * whoever acts on what was read has its digest checked by all who take it. */
#ifndef TRANSCRIPTS_OBJECT_STREAM_H
#define TRANSCRIPTS_OBJECT_STREAM_H

#include <stddef.h>

#include "common/crypto_digest.h"
#include "common/err.h"

struct repo;
struct object_stream; /* reusable, one thread at a time */

/* The repository is borrowed. */
MUST_CHECK int object_stream_new(
    struct repo *r, struct object_stream **out, struct err *e);
void object_stream_free(struct object_stream *s);
/* Begins with an object of at most max_bytes; ends the one before.
 * *frame_bytes (may be NULL) gets what it takes here. */
MUST_CHECK int object_stream_open(struct object_stream *s,
    const struct digest *digest, uint64_t max_bytes, uint64_t *frame_bytes,
    struct err *e);
/* Up to size bytes, *got 0 at the end; a delta_source.  ERR_FORMAT: damaged;
 * ERR_LIMIT: longer than max_bytes. */
MUST_CHECK int object_stream_read(
    void *stream, void *dst, size_t size, size_t *got, struct err *e);

#endif
