/* The fetcher process: everything that reads bytes from the network, with no
 * privilege, no signing key and no file of its own.  It answers requests on
 * one socketpair until the other end closes; the messages are fetch_wire.h. */
#ifndef TRANSCRIPTS_FETCHER_H
#define TRANSCRIPTS_FETCHER_H

#include "common/ipc_slots.h"
#include "transcripts/fetch.h"

/* Runs in the forked child, after it gave up its privileges; returns the
 * exit status.  `fd` is its end of the socketpair, `slots` for what it sends. */
int fetcher_run(
    int fd, struct ipc_slots *slots, const struct fetch_options *options);

/* What it must be able to read to look names up; a process that starts
 * fetchers under Landlock allows itself as much.  Ends with NULL. */
const char *const *fetcher_read_paths(void);

#endif
