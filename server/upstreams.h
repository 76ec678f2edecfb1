/* Upstreams: whom a mirror may follow, best first.  Pure functions. */
#ifndef SERVER_UPSTREAMS_H
#define SERVER_UPSTREAMS_H

#include <stdbool.h>
#include <stddef.h>

#include "transcripts/fetch.h"
#include "transcripts/roster.h"

/* Among the upstreams of the configuration: SRV records of the search domains.
 * A host of that name is given with its port. */
#define UPSTREAM_SRV_WORD "srv"

enum upstream_kind {
	UPSTREAM_SIBLING, /* of our site, before us in the roster */
	UPSTREAM_CONFIGURED,
	UPSTREAM_SRV,
	UPSTREAM_ROSTER, /* any other mirror */
};

struct upstream {
	enum upstream_kind kind;
	char host[FETCH_HOST_BYTES]; /* HOST[:PORT]; "" for SRV */
};

struct upstreams {
	struct upstream list[LIMIT_UPSTREAMS];
	size_t count;
};

/* In this order: siblings that stand before us in the roster; `configured`;
 * the other mirrors of the roster, those of our site first and then from the
 * one behind us on, so that not all go to the same.  Each host once, none of
 * ours.  roster may be NULL; a mirror is us that has our key.  What is more than
 * LIMIT_UPSTREAMS is left out. */
void upstreams_make(const struct roster *roster, const struct digest *own_key,
    const char *const *configured, size_t configured_count,
    struct upstreams *out);
/* Its place in the list; count when it is not there. */
size_t upstreams_find(
    const struct upstreams *us, const struct upstream *wanted);

enum fetch_aim upstream_aim(const struct upstream *u);

#endif
