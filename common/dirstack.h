/* Held directories while a sorted list of paths is walked.
 *
 * Consecutive paths of a sorted list share most of their ancestors; a stack of
 * descriptors opens each directory once, and an operation on a path becomes
 * one system call on its last component.  Coming to another directory is one
 * call however deep it is.  At most DIRSTACK_HELD + 1 descriptors are held;
 * deeper directories are opened again as needed. */
#ifndef COMMON_DIRSTACK_H
#define COMMON_DIRSTACK_H

#include <stdint.h>

#include "common/err.h"

#define DIRSTACK_HELD 64

struct dirstack;

/* root stays the caller's and must remain open. */
MUST_CHECK int dirstack_new(int root, struct dirstack **out, struct err *e);
void dirstack_free(struct dirstack *ds);

/* The directory that holds path, and path's last component (a pointer into
 * path).  *dir is borrowed: valid until the next dirstack call, and only a name
 * for the directory (as of fsat_hold_dir).  Errors are those of fsat_hold_dir:
 * ERR_NOT_FOUND when a parent is missing; err.sys ENOTDIR or ELOOP when one is
 * no directory. */
MUST_CHECK int dirstack_at(struct dirstack *ds, const char *path, int *dir,
    const char **name, struct err *e);

/* Another number whenever dirstack_at has come to another directory; never 0. */
uint64_t dirstack_moves(const struct dirstack *ds);
/* Lets go of what is held at and below path ("": everything), as that name now
 * stands, or soon will, for something else. */
void dirstack_forget(struct dirstack *ds, const char *path);

#endif
