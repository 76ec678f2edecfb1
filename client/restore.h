/* Restoring: one thing out of the bucket, back in its place or elsewhere. */
#ifndef CLIENT_RESTORE_H
#define CLIENT_RESTORE_H

#include "client/bucket.h"

/* Makes it in the held directory under `name`, complete with its metadata, by a
 * temporary name and a rename.  A directory that is there gets the metadata
 * alone.  ERR_SYS when a directory is in the way of something else. */
MUST_CHECK int restore_item(const struct session *s,
    const struct bucket_item *item, int dir, const char *name, struct err *e);

#endif
