/* Deltas by walking along both contents at once: what is the same is compared
 * and not hashed, what was inserted, replaced or removed is found again by an
 * index of the basis around the place.  One pass over streams, in bounded
 * memory; the delta is librsync's and delta_apply's.
 *
 * Of a basis up to DELTA_WALK_WINDOW bytes all is found, in any order; of a
 * longer one what moved by no more than about half of that. */
#ifndef TRANSCRIPTS_DELTA_WALK_H
#define TRANSCRIPTS_DELTA_WALK_H

#include "transcripts/delta.h"

#define DELTA_WALK_WINDOW ((size_t)2 * 1024 * 1024)

struct delta_stream {
	delta_source source;
	void *arg;
	uint64_t bytes; /* that it gives at most: ERR_CHANGED */
};
/* The delta that makes `content` of `basis`, in pieces to the sink.
 * ERR_LIMIT: it would be longer than max_bytes, what the sink got is of no use
 * then.  Memory: 3 MB at most. */
MUST_CHECK int delta_walk(const struct delta_stream *basis,
    const struct delta_stream *content, uint64_t max_bytes, delta_sink sink,
    void *arg, struct err *e);

#endif
