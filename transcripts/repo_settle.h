/* After a writer that ended before its repo_sync: files have names, and maybe
 * not their content.  Inside the repo module (transcripts/repo*.c) only. */
#ifndef TRANSCRIPTS_REPO_SETTLE_H
#define TRANSCRIPTS_REPO_SETTLE_H

#include <time.h>

#include "common/err.h"

struct repo;

/* Reads every object, manifest and data transcript that was changed since, and
 * removes those that are not what their names say. */
MUST_CHECK int repo_settle(struct repo *r, time_t since, struct err *e);

#endif
