/* A sink with a thread of its own: what comes off the line is decoded and passed
 * on there, in larger pieces, while more comes.  Runs in the fetcher process. */
#ifndef TRANSCRIPTS_FETCHER_ASIDE_H
#define TRANSCRIPTS_FETCHER_ASIDE_H

#include <stddef.h>

#include "common/err.h"

struct fetcher_aside;

typedef int fetcher_sink(
    void *arg, const void *data, size_t len, struct err *e);

/* ERR_SYS, ERR_NO_MEMORY: there is no thread to be had. */
MUST_CHECK int fetcher_aside_new(
    fetcher_sink *sink, void *arg, struct fetcher_aside **out, struct err *e);
/* A sink itself, of a fetcher_aside; it may wait.  An error once the thread's
 * sink had one: fetcher_aside_end says which. */
MUST_CHECK int fetcher_aside_add(
    void *aside, const void *data, size_t len, struct err *e);
/* Passes on what is left and waits until all was: 0, or the sink's error.  To be
 * called once. */
MUST_CHECK int fetcher_aside_end(struct fetcher_aside *a, struct err *e);
void fetcher_aside_free(struct fetcher_aside *a);

#endif
