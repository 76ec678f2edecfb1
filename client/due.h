/* Due: which `after` triggers a commit has yet to be followed by, and whether
 * its checks have yet to pass.  It is written before the commit, counts from
 * the commit on, and is cleared one by one, so that a crash loses none.
 *
 *     due.new    of a run that has not committed
 *     due        of what was committed
 *
 *     pecia due 1
 *     release CHANNEL SERIAL | release - 0
 *     check yes | no
 *     trigger NAME SECONDS BEGUN
 *     argument TEXT            one or more */
#ifndef CLIENT_DUE_H
#define CLIENT_DUE_H

#include "client/state.h"
#include "transcripts/actions.h"

#define DUE_NAME "due"
#define DUE_NEW  "due.new"

/* A trigger that ends whoever runs it (it restarts the machine) is begun so
 * often and no more. */
#define DUE_BEGUN_MAX 2

struct due_trigger {
	char name[LIMIT_NAME_BYTES + 1];
	uint64_t timeout_s;
	uint64_t begun; /* how often it was begun and not seen to end */
	struct words command;
};
struct due {
	char channel[LIMIT_NAME_BYTES + 1]; /* "": no release is applied */
	uint64_t serial;
	bool check;
	struct due_trigger *list; /* names are unique */
	size_t count;
};

void due_init(struct due *d);
void due_release(struct due *d);
/* Unless there is one of that name. */
MUST_CHECK int due_add(
    struct due *d, const struct action *trigger, struct err *e);
/* The one that is at the beginning goes. */
void due_drop_first(struct due *d);

/* Of what was committed.  ERR_NOT_FOUND: nothing is due; ERR_FORMAT: damaged. */
MUST_CHECK int due_read(const struct state *s, struct due *out, struct err *e);
/* With nothing in it, the file goes. */
MUST_CHECK int due_write(
    const struct state *s, const struct due *d, struct err *e);

/* Before a commit, with what is due still.  Durable.  It takes the place of
 * what is due now, even if there is nothing in it. */
MUST_CHECK int due_prepare(const struct state *s, struct due *d, struct err *e);
/* After its last step, once or again; of the state directory, which the caller
 * syncs. */
MUST_CHECK int due_publish(int state, struct err *e);
/* It will not be. */
MUST_CHECK int due_discard(int state, struct err *e);

/* For tests. */
MUST_CHECK int due_parse(
    const void *text, size_t len, struct due *out, struct err *e);

#endif
