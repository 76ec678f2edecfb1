/* A directory of its own for a test, below $TMPDIR or /tmp. */
#ifndef TESTS_SCRATCH_H
#define TESTS_SCRATCH_H

struct scratch {
	char path[256];
	int fd; /* of the directory */
};

/* Makes it, or fails the test. */
void scratch_make(struct scratch *s);
/* Removes it with all below. */
void scratch_remove(struct scratch *s);

#endif
