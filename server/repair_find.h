/* What a repository lacks; inside server/repair*.c. */
#ifndef SERVER_REPAIR_FIND_H
#define SERVER_REPAIR_FIND_H

#include "server/retain.h"

/* More are repaired the next time. */
#define REPAIR_STATEMENTS 256
#define REPAIR_RELEASES   256

struct lacking_release {
	struct digest digest;
	bool newest; /* all of it; else what data transcripts bring */
};

struct lacking {
	char statements[REPAIR_STATEMENTS][REPO_PATH_BYTES];
	size_t statement_count;
	struct lacking_release releases[REPAIR_RELEASES];
	size_t release_count;
	uint64_t
	    absent;     /* in quarantine, and not in its place, needed or not */
	uint64_t files; /* statements, and what the releases lack */
};

/* The origin is loaded as far as that is possible.  With nothing in quarantine
 * only newest releases can lack something. */
MUST_CHECK int repair_find(struct origin *o, const struct retain_policy *policy,
    struct lacking *out, struct err *e);

#endif
