/* The stat cache of what is applied: lets the next run believe stat. */
#ifndef CLIENT_CACHE_H
#define CLIENT_CACHE_H

#include "client/plan.h"
#include "client/session.h"
#include "transcripts/statcache.h"

/* The cache as a reader, or NULL when there is none that is whole.  Close
 * with cache_close.  Each list of waived attributes (settings, or NULL) has its
 * own cache: with another one, trees were found the same that are not. */
struct cache {
	int fd;
	struct statcache_reader *reader;
};
MUST_CHECK int cache_open(const struct state *s, const char *waived,
    struct cache *out, struct err *e);
void cache_close(struct cache *c);

/* Writes it anew for the tree of release and profile, which was just found or
 * made to be what the manifests say.  `changed`: all that was done to files
 * since the cache of before was found right for what it knows, so that it still
 * knows the others; NULL: each is looked at. */
MUST_CHECK int cache_write(struct session *s, const struct release *release,
    const struct release_profile *profile, const struct plan *changed,
    struct err *e);

#endif
