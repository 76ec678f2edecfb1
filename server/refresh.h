/* Refresh: an origin's heads are short-lived and signed again in time, by the
 * online head key. */
#ifndef SERVER_REFRESH_H
#define SERVER_REFRESH_H

#include <signal.h>
#include <stdint.h>

#include "common/err.h"
#include "server/board.h"

struct refresh_options {
	const char *repo, *keys; /* paths */
	const char *user;        /* whom to become once the key is read; NULL:
	                          * stay */
	uint64_t lifetime_s;     /* of a head */
	const struct board_lookout *lookout;
	const volatile sig_atomic_t *stop; /* set by a signal: end */
};

/* Until *stop: signs each head again when less than half its life is left, and
 * nothing while another origin publishes.
 * Troubles are logged and tried again; ERR_* only for what cannot mend. */
MUST_CHECK int refresh_run(
    const struct refresh_options *options, struct err *e);

#endif
