/* Log lines on stderr: one line an event, lower case, key=value.
 *
 *     log_event(LOG_INFO, "fetched", "name", name, "from", site, NULL);
 *     pecia: fetched name=base from="site a"
 *
 * Where stderr is the journal, a line starts with its priority (sd-daemon(3))
 * in place of the program's name.  Values may come from outside: what is not
 * plain is quoted, and control bytes and broken UTF-8 are \ooo.
 *
 * stderr is the process's, and so is what goes there: program name and level
 * are set once by log_start, before threads or children are started, and only
 * read from then on.  Before that, lines up to LOG_INFO are written as plain
 * text.  One line is one write(2), so lines of threads and children do not
 * mix. */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "common/err.h"

#define LOG_LINE_BYTES   8192 /* longer lines end in "..." */
#define LOG_NUMBER_BYTES 21

enum log_level { /* as in syslog(3) */
	LOG_ERROR = 3,
	LOG_WARNING = 4,
	LOG_NOTICE = 5,
	LOG_INFO = 6,
	LOG_DEBUG = 7,
};

/* program stays the caller's and must live as long as the process. */
void log_start(const char *program, enum log_level most);
/* From now on lines go to syslog(3), but where stderr is the journal; whether
 * they do, so that stderr is not needed any more. */
bool log_to_syslog(void);
/* "error", "warning", "notice", "info", "debug". */
MUST_CHECK int log_parse_level(const char *name, enum log_level *level);

/* Pairs of key and value, then NULL.  A value that is NULL is written as "". */
void log_event(enum log_level level, const char *event, ...)
    __attribute__((sentinel));
/* The same with error="..." of e at the end. */
void log_err(enum log_level level, const char *event, const struct err *e, ...)
    __attribute__((sentinel));

/* A number as a value: log_u64((char[LOG_NUMBER_BYTES]){ 0 }, n). */
const char *log_u64(char text[LOG_NUMBER_BYTES], uint64_t n);

/* Messages that a peer can provoke: so many a minute, the rest counted. */
struct log_limit {
	unsigned per_minute;
	unsigned used;
	uint64_t suppressed; /* since the last line that passed */
	time_t minute;
};

/* Whether one more may be written now; *suppressed gets how many were not,
 * since the last that was. */
bool log_limit_allows(
    struct log_limit *limit, time_t now, uint64_t *suppressed);

#endif
