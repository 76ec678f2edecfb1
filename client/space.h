/* Whether what a plan stages has room, on each file system that it is staged
 * on; asked before anything is written. */
#ifndef CLIENT_SPACE_H
#define CLIENT_SPACE_H

#include "client/plan.h"

/* What is written elsewhere. */
struct space_extra {
	int dir; /* held */
	const char *path;
	uint64_t bytes, files;
};

/* `root` is held; its path is for messages.  ERR_UNSUPPORTED: no room for the
 * new files beside the old ones, and some more. */
MUST_CHECK int space_check(int root, const char *root_path,
    const struct plan *p, const struct space_extra *extra, struct err *e);

#endif
