/* What a configuration waives by name: extended attributes that are neither
 * compared nor set nor removed.
 *
 * Patterns are words parted by single spaces; one is a whole name, or the
 * beginning of names and a '*'. */
#ifndef TRANSCRIPTS_WAIVED_H
#define TRANSCRIPTS_WAIVED_H

#include <stdbool.h>

#include "transcripts/manifest.h"

/* NULL, or what is wrong with one pattern. */
const char *waived_fault(const char *pattern);
/* `patterns` may be NULL: nothing is waived. */
bool waived_xattr(const char *patterns, const char *name);
/* Adds the lines of x that are not waived. */
void waived_filter(
    const char *patterns, struct manifest_xattrs x, struct buf *out);

/* Where a plan says which attributes something shall have, a first line may
 * say in the same words which others are left alone. */
#define WAIVED_LINE "= "
void waived_line(const char *patterns, struct buf *out);
/* The lines behind it; *patterns, of `room` bytes, is empty where there is no
 * such line.  ERR_LIMIT: longer than that. */
MUST_CHECK int waived_take_line(const char *text, char *patterns, size_t room,
    const char **rest, struct err *e);

#endif
