/* A change that waits for the operator's word, and is undone without it: the
 * file `confirm` of the state directory, written before the change takes
 * effect.
 *
 *     pecia confirm 1
 *     stage waiting | undoing | undone
 *     kept N                        the kept run that undoes it
 *     release CHANNEL SERIAL        what was applied by it
 *     time TIME TIME                since and until when, for people
 *     boot ID MS MS                 the same by CLOCK_BOOTTIME of this boot
 *
 * The wall clock, which may be set, decides nothing.  Another boot than that
 * of the file is past every deadline: who restarts a machine that was cut off
 * gets it back as it was. */
#ifndef CLIENT_CONFIRM_H
#define CLIENT_CONFIRM_H

#include "client/kept.h"
#include "client/state.h"

/* Of the clocks that count. */
struct confirm_clock {
	time_t wall;
	char boot[LIMIT_NAME_BYTES + 1];
	uint64_t ms; /* CLOCK_BOOTTIME */
};
MUST_CHECK int confirm_clock_read(struct confirm_clock *out, struct err *e);

enum confirm_stage {
	CONFIRM_NONE,    /* nothing, or something was changed since */
	CONFIRM_BEGUN,   /* its commit is not done; without a journal, it never
	                  * was */
	CONFIRM_WAITING, /* for `pecia confirm` */
	CONFIRM_UNDOING, /* its time was over */
	CONFIRM_UNDONE,  /* and it was rolled back */
};
struct confirm {
	enum confirm_stage stage;
	uint64_t kept;
	uint64_t newest; /* kept run there is, by confirm_read; 0: none */
	char channel[LIMIT_NAME_BYTES + 1];
	uint64_t serial;
	time_t since, until;
	char boot[LIMIT_NAME_BYTES + 1];
	uint64_t since_ms, until_ms;
};

/* A change to `now`, to be confirmed within so many seconds. */
void confirm_init(struct confirm *c, const struct kept_release *now,
    const struct confirm_clock *clock, unsigned seconds);
/* Time that is left; 0: it is over. */
uint64_t confirm_left_ms(
    const struct confirm *c, const struct confirm_clock *clock);

/* Stage and all else.  With CONFIRM_NONE, a kept that is not 0 says that there
 * is a file to be forgotten.  ERR_FORMAT: damaged. */
MUST_CHECK int confirm_read(
    const struct state *s, struct confirm *out, struct err *e);
/* What is to come is the kept run after the newest there is. */
MUST_CHECK int confirm_next_kept(
    const struct state *s, uint64_t *number, struct err *e);
MUST_CHECK int confirm_write(
    const struct state *s, const struct confirm *c, struct err *e);
MUST_CHECK int confirm_forget(const struct state *s, struct err *e);
/* For tests. */
MUST_CHECK int confirm_parse(
    const void *text, size_t len, struct confirm *out, struct err *e);

#endif
