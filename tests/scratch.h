/* A directory of its own for a test, below $TMPDIR or /tmp. */
#ifndef TESTS_SCRATCH_H
#define TESTS_SCRATCH_H

#include <stdbool.h>

struct scratch {
	char path[256];
	int fd; /* of the directory */
};

/* Makes it, or fails the test. */
void scratch_make(struct scratch *s);
/* Removes it with all below. */
void scratch_remove(struct scratch *s);

/* What this process mounts from now on, nobody else sees.  False, and said on
 * standard output, where that is not allowed: the caller is not root, or / is
 * no mount point, as in a chroot. */
bool scratch_own_mounts(void);

#endif
