/* The table of calls of a proving build: what is below one directory, on one
 * disk, is recorded and may fail; everything else goes to the kernel.
 *
 * A directory that disk_write made again has other inodes than the one that
 * the run saw; the table goes on telling those. */
#ifndef TESTS_PROVE_CALLS_H
#define TESTS_PROVE_CALLS_H

#include "tests/prove_trail.h"

/* Puts the table in place, or the kernel's back. */
void calls_begin(void);
void calls_end(void);

/* disk_write and disk_read of the directory, with the numbers kept. */
void calls_put_disk(const struct disk *d, int dir);
void calls_get_disk(struct disk *d, int dir);

/* From now on calls are added to the trail; NULL: no more. */
void calls_record(struct trail *t);

#define CALLS_SHORT (-1) /* in place of an errno: half of it is written */
/* The n-th call (from 1) that changes something fails; 0: none. */
void calls_fail(size_t n, int error);
/* Whether it did; a short write is none where nothing is written. */
bool calls_have_failed(void);

#endif
