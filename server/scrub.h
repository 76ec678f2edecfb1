/* Scrub: reads every stored file again, slowly, from the disk and not from
 * memory, and goes on after a restart where it stopped (REPO/cache/scrub).
 *
 * What is wrong twice goes to quarantine.  A file whose content is right while
 * its bytes are not those that were stored is written anew from what it
 * holds. */
#ifndef SERVER_SCRUB_H
#define SERVER_SCRUB_H

#include "server/board.h"
#include "server/origin.h"

struct scrub_options {
	uint64_t rate;        /* bytes a second; 0: as fast as it goes */
	uint64_t interval_s;  /* from the start of one round to the next */
	uint64_t budget_s;    /* of one call, but for a file begun */
	unsigned wait_ms;     /* for the lock, where one is wrong */
	bool has_anchor;      /* else root 1 cannot be judged */
	struct digest anchor; /* of root 1 */
	struct board_keeping *board;
	/* NULL, or called after each piece read: an error ends the reading of
	 * that file like one of the disk. */
	int (*read)(void *arg, size_t bytes, struct err *e);
	void *arg;
};

struct scrubbed {
	bool rests;     /* a round is complete, the next is not due */
	uint64_t wrong; /* found in this call, and dealt with */
};

/* Reads what others hang on, at once and apart from the round: releases and
 * manifests. */
MUST_CHECK int scrub_lists(struct origin *o,
    const struct scrub_options *options, struct scrubbed *out, struct err *e);

/* Goes on with the round, or begins one when it is due.  Finds are logged and
 * no errors.  What is signed and replaced is for scrub_statements. */
MUST_CHECK int scrub_some(struct origin *o, const struct scrub_options *options,
    struct scrubbed *out, struct err *e);

#endif
