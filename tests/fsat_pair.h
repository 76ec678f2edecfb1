/* Two directories for tests of fsat: all calls start from `in`, and nothing may
 * reach `out`, although links lead there. */
#ifndef TESTS_FSAT_PAIR_H
#define TESTS_FSAT_PAIR_H

#include <stdbool.h>
#include <stddef.h>

#include "tests/scratch.h"

/* in:  dir/ file ("inside") out-link -> ../out file-link -> ../out/file
 * out: dir/ file ("outside") */
struct fsat_pair {
	struct scratch s; /* the parent of both */
	int in, out;
};

void fsat_pair_make(struct fsat_pair *pair);
void fsat_pair_remove(struct fsat_pair *pair);
/* Fails the test, saying what was done, if `out` is not as it was made. */
void fsat_pair_check_outside(const struct fsat_pair *pair, const char *doing);

/* Each fails the test if it cannot. */
void fsat_pair_write(int dir, const char *path, const char *text);
void fsat_pair_check_text(int dir, const char *path, const char *text);
size_t fsat_pair_count_names(int dir);
bool fsat_pair_has(int dir, const char *path);

/* From here on this process runs on a system as it was before the calls that
 * name a file and do not follow it (fchmodat2, the family of setxattrat). */
void fsat_pair_be_old_kernel(void);

#endif
