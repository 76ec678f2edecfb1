/* A mirror's repository becomes an origin's, and back.
 *
 * What tells them apart is REPO/anchor, which mirrors have: its removal is the
 * step that promotes.  Whatever ends a promotion before that leaves a mirror's
 * repository, at most with heads of higher serials in it; promoted again, it
 * goes on. */
#ifndef SERVER_PROMOTE_H
#define SERVER_PROMOTE_H

#include "server/origin.h"

struct promote_channel {
	char name[LIMIT_NAME_BYTES + 1];
	uint64_t held;    /* serial whose content is here; 0: nothing is */
	uint64_t highest; /* serial that was seen */
	uint64_t serial;  /* under which the content goes on; 0: none */
};
struct promoted {
	struct promote_channel channels[LIMIT_CHANNELS];
	size_t count;
};

/* After a rotation in a mirror's repository: signs the roster and the heads,
 * just as they are, with the keys of the newest root, unless they are. */
MUST_CHECK int promote_sign_again(
    struct origin *o, const struct origin_signers *by, struct err *e);
/* Checks the whole repository against its anchor.  ERR_VERIFY: something is
 * damaged or missing; ERR_NOT_FOUND: it has no release yet.  The caller holds
 * the lock and has loaded `o`, of a mirror. */
MUST_CHECK int promote_check(
    struct origin *o, struct repo_verified *found, struct err *e);
/* Signs the roster, and each channel's release under the next serial; then it
 * is an origin's.  The keys were checked. */
MUST_CHECK int promote_run(struct origin *o, const struct origin_signers *by,
    struct promoted *out, struct err *e);
/* An origin's repository becomes a mirror's.  The caller holds the lock and
 * has loaded `o`. */
MUST_CHECK int promote_undo(struct origin *o, struct err *e);

#endif
