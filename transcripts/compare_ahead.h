/* Entries of a layer with what stat says of their names, looked at ahead by
 * other threads where there are processors for them: for compare, and for who
 * records what is there. */
#ifndef TRANSCRIPTS_COMPARE_AHEAD_H
#define TRANSCRIPTS_COMPARE_AHEAD_H

#include "common/fsat.h"
#include "transcripts/layer.h"

struct compare_ahead;

struct compare_seen {
	struct layer_entry entry;
	bool
	    is_seen; /* st was there; else nobody looked, or nothing is there */
	struct fsat_stat st;
};

/* Both are borrowed; from now on nobody else reads from `want`. */
MUST_CHECK int compare_ahead_new(
    struct layer *want, int root, struct compare_ahead **out, struct err *e);
void compare_ahead_free(struct compare_ahead *a);
/* As layer_next, and its errors: *seen is NULL at the end, else valid until the
 * next call. */
MUST_CHECK int compare_ahead_next(
    struct compare_ahead *a, const struct compare_seen **seen, struct err *e);

#endif
