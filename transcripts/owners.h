/* Users and groups as manifests name them: the system's names, each asked for
 * once.  Part of scan. */
#ifndef TRANSCRIPTS_OWNERS_H
#define TRANSCRIPTS_OWNERS_H

#include <stdbool.h>

#include "common/table.h"

struct owner;
struct owners {       /* all zero: empty */
	bool numeric; /* "#id" for all */
	struct table users, groups;
	const struct owner *last_user, *last_group;
};

void owners_release(struct owners *o);
/* The name, or "#id" where there is none that a manifest can hold.  Valid
 * until owners_release. */
MUST_CHECK int owners_user(
    struct owners *o, uint32_t uid, const char **name, struct err *e);
MUST_CHECK int owners_group(
    struct owners *o, uint32_t gid, const char **name, struct err *e);

#endif
