/* The regular files of one manifest that a later one took the place of, kept
 * as the rest of a hard link's names may ask for them.  Part of layer. */
#ifndef TRANSCRIPTS_OVERRIDDEN_H
#define TRANSCRIPTS_OVERRIDDEN_H

#include "common/table.h"
#include "transcripts/manifest.h"

struct overridden_file {
	struct table_node node;
	struct manifest_entry m; /* all that it points to is its own */
	char *heir; /* full path of the name that became the file, or NULL */
	char text[];
};

struct overridden { /* all zero: empty */
	struct table files;
	char *forgotten; /* path of the first file there was no room for */
};

void overridden_release(struct overridden *o);
/* Keeps a copy of a regular file's entry, if it takes no more than *room
 * bytes, which it then does. */
MUST_CHECK int overridden_add(struct overridden *o,
    const struct manifest_entry *m, size_t *room, struct err *e);
/* The file of this path, *file NULL when it was not overridden.  ERR_LIMIT:
 * that is forgotten. */
MUST_CHECK int overridden_find(const struct overridden *o, const char *path,
    struct overridden_file **file, struct err *e);

#endif
