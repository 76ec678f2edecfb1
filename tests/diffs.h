/* What compare tells of a directory, as text: "+path", "-path" or
 * "~LETTERS path", a line each; a letter for each COMPARE_* bit, in order, of
 * TCSLDOGMtX. */
#ifndef TESTS_DIFFS_H
#define TESTS_DIFFS_H

#include "tests/trees.h"
#include "transcripts/compare.h"

/* A compare_fn with a struct buf as argument. */
int diffs_record(void *arg, const struct compare_diff *d, struct err *e);

struct diffs {
	struct buf text; /* the caller's */
	struct compare_totals totals;
};
/* Compares a directory with what sources want; what the options lack is filled
 * in. */
int diffs_run(int root, const struct source *sources, size_t count,
    struct compare_options *o, struct diffs *out, struct err *e);
/* The same; fails the test unless `told` is told. */
void diffs_expect(int root, const struct source *sources, size_t count,
    struct compare_options o, const char *told);
/* One source; fails the test unless it is this error, with `word` in it. */
void diffs_error(int root, const struct source *source,
    struct compare_options o, int code, const char *word);

#endif
