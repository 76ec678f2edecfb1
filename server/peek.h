/* Statements read without being verified: for telling what is there.  Nothing is
 * decided by it that a signature has to carry. */
#ifndef SERVER_PEEK_H
#define SERVER_PEEK_H

#include "transcripts/head.h"
#include "transcripts/release.h"

/* path is below the directory dir. */
MUST_CHECK int peek_head(
    int dir, const char *path, struct head *out, struct err *e);
/* out is as by release_init, to be released also after an error. */
MUST_CHECK int peek_release(
    int dir, const char *path, struct release *out, struct err *e);

#endif
