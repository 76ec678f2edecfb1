/* What an operator wants published: FILE.conf (pecia-release(5)), or
 * NAME=DIR[:TARGET] arguments.  Either becomes the part of a release that does
 * not come from reading trees, and beside it where the trees are. */
#ifndef SERVER_RELEASEFILE_H
#define SERVER_RELEASEFILE_H

#include "transcripts/release.h"

/* Where a transcript comes from. */
struct releasefile_source {
	char *path; /* directory, as to be opened */
	bool numeric_owner;
	bool devices;
	bool one_file_system;
};

struct releasefile {
	/* Transcripts (name, mode, target, excludes), profiles, hosts,
	 * triggers and checks; all else is zero. */
	struct release release;
	struct releasefile_source *sources; /* one a transcript, same order */
};

void releasefile_init(struct releasefile *f);
void releasefile_release(struct releasefile *f);

/* Relative sources are relative to the file's directory.  ERR_USAGE and
 * ERR_FORMAT name FILE:LINE.  `out` is initialised. */
MUST_CHECK int releasefile_load(
    const char *path, struct releasefile *out, struct err *e);
/* The same from memory; `path` is for messages and relative sources. */
MUST_CHECK int releasefile_parse(const char *path, const void *text, size_t len,
    struct releasefile *out, struct err *e);
/* Of NAME=DIR[:TARGET]; the target, "/" when none is given, begins at the last
 * ":/".  One profile, "default", of all in their order, for all hosts. */
MUST_CHECK int releasefile_from_pairs(char *const *pairs, size_t count,
    bool exact, struct releasefile *out, struct err *e);

#endif
