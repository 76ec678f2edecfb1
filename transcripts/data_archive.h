/* Archives that others made (tar, cpio, zip, compressed or not), as a source of
 * content: their regular files one after another.  libarchive reads hostile
 * bytes here: call it in a process without privilege. */
#ifndef TRANSCRIPTS_DATA_ARCHIVE_H
#define TRANSCRIPTS_DATA_ARCHIVE_H

#include <stdint.h>
#include <stdbool.h>

#include "common/err.h"

struct data_archive;

/* fd is borrowed. */
MUST_CHECK int data_archive_open(
    int fd, struct data_archive **out, struct err *e);
void data_archive_free(struct data_archive *a);
/* The next regular file that has a size; what was not read of the last is
 * passed over.  *more is false at the end.  ERR_FORMAT: damaged. */
MUST_CHECK int data_archive_next(
    struct data_archive *a, uint64_t *size_bytes, bool *more, struct err *e);
/* Up to size bytes, holes as zeros; *got 0 at the end. */
MUST_CHECK int data_archive_read(
    struct data_archive *a, void *dst, size_t size, size_t *got, struct err *e);

#endif
