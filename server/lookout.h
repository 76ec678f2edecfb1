/* The lookout: asks an origin's mirrors, again and again, whether another
 * origin publishes.  A process of its own beside the refresher: that one holds
 * a key and therefore has no network. */
#ifndef SERVER_LOOKOUT_H
#define SERVER_LOOKOUT_H

#include <signal.h>
#include <stdbool.h>

#include "common/crypto_digest.h"
#include "common/err.h"
#include "server/board.h"

struct lookout_options {
	const char *repo;          /* path */
	const char *user;          /* whom to become; NULL: stay */
	const struct digest *self; /* this host's own key in the roster */
	struct board_lookout *board;
	const volatile sig_atomic_t *stop; /* set by a signal: end */
};

/* Until *stop.  Troubles are logged and tried again; ERR_* only for what
 * cannot mend. */
MUST_CHECK int lookout_run(const struct lookout_options *o, struct err *e);

/* Waits for the first look after a start, LIMIT_LOOK_MS and a moment at most:
 * a site that nobody answers goes on.  False, with who and what, when somebody
 * else publishes. */
bool lookout_permits(
    const struct board_lookout *board, char why[BOARD_TEXT_BYTES]);

#endif
