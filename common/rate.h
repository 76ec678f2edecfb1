/* Rate: how fast bytes may come, by the hour, kept by several processes
 * together.
 *
 * A plan is lines of "RATE [DAYS] [HOURS]": "20Mbit", or "2Mbit mon-fri
 * 08:00-18:00".  The first line that fits the moment counts; where none does,
 * nothing is held back.
 *
 *     RATE   NUMBER and kbit, Mbit or Gbit (10^3, 10^6, 10^9 bits) or kB, MB or
 *            GB (10^3.. bytes), "/s" behind it or not; or "none"
 *     DAYS   mon tue wed thu fri sat sun, lists and ranges: "mon-fri,sun"
 *     HOURS  HH:MM-HH:MM of local time; 24:00 is the day's end.  A range that
 *            ends before it begins goes over midnight, into the next day. */
#ifndef COMMON_RATE_H
#define COMMON_RATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "common/err.h"
#include "common/limits.h"

struct rate_line {
	uint64_t bytes_s;  /* 0: as fast as it comes */
	uint8_t days;      /* bit 0: Sunday */
	uint16_t from, to; /* minutes of the day; to <= from: into the next */
};

/* All zero: nothing is held back. */
struct rate_plan {
	struct rate_line lines[LIMIT_RATE_LINES];
	size_t count;
};

/* Adds a line.  ERR_USAGE says what it is not, or that it is less than
 * LIMIT_RATE_MIN bytes a second. */
MUST_CHECK int rate_add(
    struct rate_plan *plan, const char *text, struct err *e);
bool rate_equal(const struct rate_plan *a, const struct rate_plan *b);
/* Bytes a second at this moment, 0 for as fast as it comes.  Local time is
 * that of when the plan was made. */
uint64_t rate_at(const struct rate_plan *plan, time_t now);

/* In memory that all who share the rate map; all zero to begin with. */
struct rate_gate {
	_Atomic uint64_t free_ns; /* CLOCK_MONOTONIC: all before it is spent */
};

/* Sleeps until `bytes` more may have come.  What was not used while nobody
 * asked is not made up for, but for a tenth of a second. */
void rate_pass(
    struct rate_gate *gate, const struct rate_plan *plan, size_t bytes);
/* Bytes that a socket should hold ready at most, so that it is the peer who
 * waits, and nothing crosses the line ahead of its time: a third of a second's.
 * 0: as many as it likes, for so fast a line that a bound would slow it. */
int rate_window(const struct rate_plan *plan, time_t now);

#endif
