/* When pecia daemon runs: one moment of the interval that is this host's own,
 * and from there on every interval; and, where it follows, when there is
 * news. */
#ifndef CLIENT_SCHEDULE_H
#define CLIENT_SCHEDULE_H

#include "common/config.h"

struct schedule {
	uint64_t interval_s; /* from run to run; not 0 */
	uint64_t splay_s;    /* how far hosts are spread; 0: not */
	bool follow;
	uint64_t follow_splay_s; /* the same for news */
};

void schedule_init(struct schedule *s);
/* Of the configuration; runinterval and splay also as options (NULL: not
 * given). */
MUST_CHECK int schedule_take(
    const struct config_section *c, struct schedule *s, struct err *e);
MUST_CHECK int schedule_flags(
    struct schedule *s, const char *interval, const char *splay, struct err *e);

/* The first of first_ms, first_ms + interval, ... that is after now_ms: what
 * was missed is not made up for. */
uint64_t schedule_next_ms(
    const struct schedule *s, uint64_t first_ms, uint64_t now_ms);

#endif
