/* Which releases were kept when somebody looked last, and which have ceased to
 * be kept since and when that was noticed: REPO/cache/kept.  Without it what
 * ceased goes on being kept for some time more than it would. */
#ifndef SERVER_RETAIN_LIST_H
#define SERVER_RETAIN_LIST_H

#include <time.h>

#include "common/crypto_digest.h"
#include "common/limits.h"

struct repo;

struct retain_item {
	char channel[LIMIT_NAME_BYTES + 1];
	struct digest release;
	time_t since; /* not kept any more; 0: kept */
};

struct retain_list { /* all zero: empty */
	struct retain_item *items;
	size_t count, room;
};
void retain_list_release(struct retain_list *l);
/* `out` is empty.  A file that is missing or makes no sense is an empty
 * list. */
MUST_CHECK int retain_list_load(
    struct repo *r, struct retain_list *out, struct err *e);
MUST_CHECK int retain_list_save(
    struct repo *r, const struct retain_list *l, struct err *e);
/* ERR_LIMIT past LIMIT_KEPT_RELEASES. */
MUST_CHECK int retain_list_add(
    struct retain_list *l, const struct retain_item *item, struct err *e);
/* NULL when it is not there. */
const struct retain_item *retain_list_find(const struct retain_list *l,
    const char *channel, const struct digest *release);
size_t retain_list_count(const struct retain_list *l, const char *channel);

#endif
