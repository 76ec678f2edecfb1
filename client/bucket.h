/* Bucket: what kept runs replaced, changed or deleted, one path at a time. */
#ifndef CLIENT_BUCKET_H
#define CLIENT_BUCKET_H

#include "client/kept.h"
#include "client/session.h"

/* One path as it was before a run. */
struct bucket_entry {
	struct kept_facts facts;
	enum kept_state state; /* KEPT_CHANGED or KEPT_CONTENT */
	uint64_t index;
	const char *path;
	const struct manifest_entry *m;
};
typedef int (*bucket_fn)(
    void *arg, const struct bucket_entry *entry, struct err *e);

/* Which runs: all, the one of this number, or those that left this release. */
struct bucket_choice {
	bool is_number, is_serial;
	uint64_t number, serial;
};
/* Newest run first, each in path order; of `top` (NULL: of all) and below. */
MUST_CHECK int bucket_each(int state, const struct bucket_choice *choice,
    const char *top, bucket_fn fn, void *arg, struct err *e);

/* The newest entry of exactly this path.  Release it. */
struct bucket_item {
	struct bucket_entry entry;
	struct manifest_entry m;
	char *texts[5]; /* that m points to */
};
MUST_CHECK int bucket_find(int state, const struct bucket_choice *choice,
    const char *path, struct bucket_item *out, struct err *e);
void bucket_item_release(struct bucket_item *item);

/* Opens a regular file's content, wherever it still is; it was checked, and
 * *changed says that it is not what the record says: it was written to after
 * another file took its name.  A hard link is its first name's file.
 * ERR_NOT_FOUND: no run took it away, and it is not here any more;
 * ERR_UNSUPPORTED: it was no regular file. */
MUST_CHECK int bucket_open(const struct session *s,
    const struct bucket_item *item, int *fd, bool *changed, struct err *e);
/* A descriptor of content with this digest in any kept run.  ERR_NOT_FOUND. */
MUST_CHECK int bucket_open_digest(
    int state, const struct digest *digest, int *fd, struct err *e);

#endif
