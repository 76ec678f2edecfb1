/* librsync deltas between two contents.  delta.c makes them where both are
 * there, and is the only module that includes <librsync.h>; signatures live in
 * memory for the time of delta_make and are never read from outside.
 * delta_read.c reads them where the old content is. */
#ifndef TRANSCRIPTS_DELTA_H
#define TRANSCRIPTS_DELTA_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

/* Block length for the texts of manifests, whose lines are some 130 bytes
 * long.  From: measurements in doc/content.md. */
#define DELTA_MANIFEST_BLOCK 64

typedef int (*delta_sink)(
    void *arg, const void *data, size_t len, struct err *e);
/* Up to size bytes, *got 0 at the end. */
typedef int (*delta_source)(
    void *arg, void *dst, size_t size, size_t *got, struct err *e);

/* Two regular files, each read from its start; descriptors are borrowed. */
struct delta_pair {
	int basis_fd;
	int new_fd;
	uint64_t basis_bytes; /* size of the basis */
	uint32_t block_bytes; /* 0: chosen; more for a very large basis */
	uint64_t max_bytes;   /* give up when the delta is longer */
};
/* The delta that makes the new content of the basis, in pieces to the sink.
 * ERR_LIMIT: it would be longer than max_bytes, what the sink got is of no
 * use.  Memory: some 6 MB at most. */
MUST_CHECK int delta_make(
    const struct delta_pair *pair, delta_sink sink, void *arg, struct err *e);

/* Where a delta takes bytes from the basis: the caller copies them, and finds
 * out whether they are there. */
typedef int (*delta_copy)(
    void *arg, uint64_t offset, uint64_t len, struct err *e);

struct delta_patch {
	delta_source source; /* of the delta */
	void *source_arg;
	/* The result, from its start to its end. */
	delta_sink literal;
	delta_copy copy;
	void *arg;
	uint64_t max_bytes; /* of the result */
};
/* Reads a delta.  ERR_FORMAT: no delta, damaged, cut off, bytes behind its
 * end; ERR_LIMIT: the result would be longer than max_bytes; never does the
 * caller get more. */
MUST_CHECK int delta_read(const struct delta_patch *patch, struct err *e);

#endif
