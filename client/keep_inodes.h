/* Inside the keeping module only: files with several names that were met. */
#ifndef CLIENT_KEEP_INODES_H
#define CLIENT_KEEP_INODES_H

#include "common/fsat.h"
#include "common/table.h"

/* *first: the name under which the file was met before, or NULL: then it is met
 * now, as `path`.  A file of one name never was. */
MUST_CHECK int keep_inodes_meet(struct table *t, const struct fsat_stat *st,
    const char *path, const char **first, struct err *e);
void keep_inodes_release(struct table *t);

#endif
