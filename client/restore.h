/* Restoring: one thing out of the bucket, back in its place or elsewhere. */
#ifndef CLIENT_RESTORE_H
#define CLIENT_RESTORE_H

#include "client/bucket.h"

/* Makes it in the held directory under `name`, complete with its metadata, by a
 * temporary name and a rename; flags of chattr come last.  A directory that is
 * there gets the metadata alone.  in_place: that is where it was, and what
 * forbids to change that place is lifted meanwhile.  ERR_SYS when a directory
 * is in the way of something else; ERR_UNSUPPORTED where its metadata cannot
 * be.  Nothing new is there then. */
MUST_CHECK int restore_item(const struct session *s,
    const struct bucket_item *item, int dir, const char *name, bool in_place,
    struct err *e);

#endif
