/* Times of the directories that things are staged in: when a run does not get
 * as far as its commit they are set again, so that nothing has changed. */
#ifndef CLIENT_DIRTIMES_H
#define CLIENT_DIRTIMES_H

#include "client/plan.h"

/* Name in the state directory. */
#define DIRTIMES_NAME "dirtimes"

/* Before staging; durable with journal_write_stages, which follows. */
MUST_CHECK int dirtimes_note(
    int state, int root, const struct plan *p, struct err *e);
/* After the stages are gone: sets the times and forgets them.  0 when none are
 * noted; a directory that is gone is passed over. */
MUST_CHECK int dirtimes_restore(int state, int root, struct err *e);
/* While things are staged: the times that directories had before. */
struct dirtimes_entry {
	char *path;
	struct timespec mtime;
};
struct dirtimes {                    /* all zero: empty */
	struct dirtimes_entry *list; /* sorted by path */
	size_t count, room;
};
MUST_CHECK int dirtimes_load(int state, struct dirtimes *out, struct err *e);
/* NULL: nothing is staged in it. */
const struct timespec *dirtimes_find(
    const struct dirtimes *d, const char *path);
void dirtimes_release(struct dirtimes *d);
/* The commit is under way.  0 when none are noted. */
MUST_CHECK int dirtimes_forget(int state, struct err *e);

#endif
