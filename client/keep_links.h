/* Inside the keeping module only: other names of files that a run changes. */
#ifndef CLIENT_KEEP_LINKS_H
#define CLIENT_KEEP_LINKS_H

#include "client/plan.h"
#include "client/session.h"

struct keep_links { /* all zero: empty */
	char **paths;
	size_t count, room;
};

/* Of each group of hard links that the applied release lists and the plan
 * touches: its names that the plan does not touch, in order. */
MUST_CHECK int keep_links_find(struct session *s, const struct plan *p,
    struct keep_links *out, struct err *e);
void keep_links_release(struct keep_links *l);

#endif
