/* The file systems that were written to: each is synced once, at the end. */
#ifndef CLIENT_SYNCS_H
#define CLIENT_SYNCS_H

#include <stddef.h>
#include <stdint.h>

#include "common/dirstack.h"
#include "common/err.h"

struct syncs_place;
struct syncs { /* all zero: empty */
	struct syncs_place *list;
	size_t count;
	uint64_t moves; /* of the dirstack that is followed */
};
#define SYNCS_INIT \
 {                 \
  NULL, 0, 0       \
 }

/* Notes the file system of a held directory. */
MUST_CHECK int syncs_add(struct syncs *s, int dir, struct err *e);
/* The same of each directory that a dirstack comes to: `dir` is where it is now.
 * Costs nothing while it stays. */
MUST_CHECK int syncs_follow(
    struct syncs *s, const struct dirstack *dirs, int dir, struct err *e);
/* syncfs of all that were noted. */
MUST_CHECK int syncs_all(const struct syncs *s, struct err *e);
void syncs_release(struct syncs *s);

#endif
