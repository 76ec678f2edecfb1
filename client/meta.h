/* Owner, extended attributes, mode and time of one thing, in the order that
 * keeps them: chown clears setuid and capabilities, ACLs change the mode. */
#ifndef CLIENT_META_H
#define CLIENT_META_H

#include "client/plan.h"

struct meta {
	uint8_t type; /* enum manifest_type */
	uint32_t mode, uid, gid;
	struct timespec mtime;
	const char *xattrs; /* manifest text, perhaps behind waived.h's line */
};

/* What a plan wants; its texts are the item's. */
struct meta meta_of_item(const struct plan_item *item);

/* Of an open regular file, all of it.  Attributes that m does not list are
 * removed. */
MUST_CHECK int meta_set_fd(
    int fd, const struct meta *m, const char *path, struct err *e);
/* Of a name; `bits` (COMPARE_*) says what differs, ~0u for a new thing.  With
 * COMPARE_XATTRS, attributes that m does not list are removed.  As in fsat.h,
 * name "" means the descriptor itself. */
MUST_CHECK int meta_set_name(int dir, const char *name, const struct meta *m,
    unsigned bits, struct err *e);

#endif
