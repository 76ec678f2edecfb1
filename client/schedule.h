/* When pecia daemon runs: one moment of the interval that is this host's own,
 * and from there on every interval. */
#ifndef CLIENT_SCHEDULE_H
#define CLIENT_SCHEDULE_H

#include "common/config.h"

struct schedule {
	uint64_t interval_s; /* from run to run; not 0 */
	uint64_t splay_s;    /* how far hosts are spread; 0: not */
};

void schedule_init(struct schedule *s);
/* runinterval and splay, of the configuration or as options (NULL: not
 * given). */
MUST_CHECK int schedule_take(
    const struct config_section *c, struct schedule *s, struct err *e);
MUST_CHECK int schedule_flags(
    struct schedule *s, const char *interval, const char *splay, struct err *e);

/* This host's share of the splay, below splay_s: the first 8 bytes of the
 * SHA-256 of its name, as a big-endian number, modulo splay_s.  A host keeps
 * its own; those of many hosts are spread evenly. */
uint64_t schedule_offset_s(const struct schedule *s, const char *host);
/* The first of first_ms, first_ms + interval, ... that is after now_ms: what
 * was missed is not made up for. */
uint64_t schedule_next_ms(
    const struct schedule *s, uint64_t first_ms, uint64_t now_ms);

#endif
