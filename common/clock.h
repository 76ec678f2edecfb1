/* Time that passed, by a clock that nobody sets. */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Of clock_gettime(CLOCK_MONOTONIC). */
double clock_seconds_since(const struct timespec *start);
/* CLOCK_MONOTONIC in milliseconds. */
uint64_t clock_ms(void);
/* Seconds of CLOCK_MONOTONIC: for what is due, whoever sets the clock. */
time_t clock_now_s(void);

#endif
