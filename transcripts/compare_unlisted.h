/* What stands in a file system and no transcript lists: what of it is to go.
 * Part of compare. */
#ifndef TRANSCRIPTS_COMPARE_UNLISTED_H
#define TRANSCRIPTS_COMPARE_UNLISTED_H

#include "transcripts/compare.h"

#define UNLISTED_PATH_BYTES (LIMIT_PATH_BYTES + LIMIT_COMPONENT_BYTES + 2)

struct unlisted {
	const struct compare_options *o;
	compare_fn fn;
	void *arg;
	/* The caller's as far as a directory's path goes; what is behind it is
	 * written over. */
	char path[UNLISTED_PATH_BYTES];
};

/* A directory that is walked: path_len bytes of `path` name it. */
struct unlisted_dir {
	int fd;
	size_t path_len; /* 0: the root */
	uint64_t mount_id;
};

/* A name in an exact directory: reports it and all below it as COMPARE_DELETE,
 * children first, but for what is kept, excluded or mounted and what leads
 * there. */
MUST_CHECK int unlisted_report(struct unlisted *u,
    const struct unlisted_dir *at, const char *name, struct err *e);

/* A directory of this name that something else takes the place of: reports all
 * below it.  ERR_UNSUPPORTED when something in it must stay. */
MUST_CHECK int unlisted_clear(struct unlisted *u, const struct unlisted_dir *at,
    const char *name, struct err *e);

#endif
