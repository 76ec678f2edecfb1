/* What the tree applied before listed and `want` does not, while compare goes
 * through `want`.  Part of compare. */
#ifndef TRANSCRIPTS_COMPARE_DROPPED_H
#define TRANSCRIPTS_COMPARE_DROPPED_H

#include "transcripts/compare.h"

struct compare_dropped;

/* Of options->was, which is not NULL. */
MUST_CHECK int compare_dropped_new(const struct compare_options *options,
    compare_fn fn, void *arg, struct compare_dropped **out, struct err *e);
void compare_dropped_free(struct compare_dropped *d);
/* Reports what comes before `path`, the next of `want`; NULL: all that is
 * left. */
MUST_CHECK int compare_dropped_pass(
    struct compare_dropped *d, const char *path, struct err *e);

#endif
