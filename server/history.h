/* The releases of a channel, from its head backwards, each verified. */
#ifndef SERVER_HISTORY_H
#define SERVER_HISTORY_H

#include "server/origin.h"

struct history_item {
	struct digest digest; /* of the statement's file */
	struct release release;
};

/* *go_on is true; false ends the walk.  An error ends it with that error. */
typedef int (*history_fn)(
    void *arg, const struct history_item *item, bool *go_on, struct err *e);

/* Newest first, as far back as releases are kept.  ERR_NOT_FOUND: no such
 * channel. */
MUST_CHECK int history_walk(struct origin *o, const char *channel,
    history_fn fn, void *arg, struct err *e);
/* The same from a head that was verified.  ERR_NOT_FOUND: its release is not
 * here. */
MUST_CHECK int history_walk_from(struct origin *o, const struct head *head,
    history_fn fn, void *arg, struct err *e);

#endif
