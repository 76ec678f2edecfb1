/* Inodes with several names that were met as separate objects of a release;
 * only compare.c includes this. */
#ifndef TRANSCRIPTS_COMPARE_SHARED_H
#define TRANSCRIPTS_COMPARE_SHARED_H

#include <stdbool.h>

#include "common/fsat.h"
#include "common/table.h"

/* All zero at first. */
struct compare_shared {
	struct table seen;
};

/* *was_seen: by another name, before. */
MUST_CHECK int compare_shared_see(struct compare_shared *s,
    const struct fsat_stat *st, bool *was_seen, struct err *e);
void compare_shared_release(struct compare_shared *s);

#endif
