/* Manifest transcript: text, one file system object a line, sorted.  Read and
 * written as a stream; memory does not grow with the tree.
 *
 * The target directory itself is the first entry, a "d" with path ".". */
#ifndef TRANSCRIPTS_MANIFEST_H
#define TRANSCRIPTS_MANIFEST_H

#include <stdint.h>
#include <time.h>

#include "common/buf.h"
#include "common/crypto_digest.h"
#include "common/limits.h"

enum manifest_type {
	MANIFEST_DIR = 'd',
	MANIFEST_FILE = 'f',
	MANIFEST_SYMLINK = 'l',
	MANIFEST_HARDLINK = 'h', /* only path and target are set */
	MANIFEST_FIFO = 'p',
	MANIFEST_BLOCK = 'b',
	MANIFEST_CHAR = 'c',
};

/* Extended attributes of one entry, in the manifest's own text: zero or more
 * whole lines "x <name> <base64>\n", sorted by name, unique. */
struct manifest_xattrs {
	const char *text;
	size_t len;
};

struct manifest_entry {
	enum manifest_type type;
	const char *path;   /* raw bytes, NUL-ended, relative; "." the target */
	uint32_t mode;      /* permission bits, 07777 */
	const char *owner;  /* name, or "#uid" */
	const char *group;
	struct timespec mtime;
	uint64_t size_bytes;   /* 'f' */
	struct digest digest;  /* 'f' */
	const char *target;    /* 'l': link text; 'h': path of the first name */
	uint32_t major, minor; /* 'b', 'c' */
	struct manifest_xattrs xattrs;
};

/* Where text comes from: up to size bytes, *got 0 at the end. */
typedef int (*manifest_source)(void *arg, void *dst, size_t size, size_t *got,
    struct err *e);

struct manifest_reader;
/* Checks the first line.  The reader holds text to the rules of doc/formats.md
 * (canonical, sorted, unique, children below directories, hard links to an
 * earlier 'f' entry's path... by name only) and refuses it as a whole: errors
 * carry the line number. */
MUST_CHECK int manifest_reader_new(manifest_source source, void *arg,
    struct manifest_reader **out, struct err *e);
/* From a descriptor of plain text (not owned), at most max_bytes. */
MUST_CHECK int manifest_reader_open(int fd, uint64_t max_bytes,
    struct manifest_reader **out, struct err *e);
void manifest_reader_free(struct manifest_reader *r);
/* *entry is NULL at the end; else it and all it points to are valid until the
 * next call. */
MUST_CHECK int manifest_reader_next(struct manifest_reader *r,
    const struct manifest_entry **entry, struct err *e);
/* Digest and length of the text, once the end was reached. */
void manifest_reader_digest(struct manifest_reader *r, struct digest *out,
    uint64_t *text_bytes);

/* Where text goes. */
typedef int (*manifest_sink)(void *arg, const void *data, size_t len,
    struct err *e);
struct manifest_writer;
MUST_CHECK int manifest_writer_new(manifest_sink sink, void *arg,
    struct manifest_writer **out, struct err *e);
/* Entries in order; what the reader would refuse is refused here. */
MUST_CHECK int manifest_writer_add(struct manifest_writer *w,
    const struct manifest_entry *entry, struct err *e);
/* Flushes; digest of the text, its length, entries and content bytes. */
struct manifest_totals {
	struct digest digest;
	uint64_t text_bytes, entries, content_bytes;
};
MUST_CHECK int manifest_writer_end(struct manifest_writer *w,
    struct manifest_totals *out, struct err *e);
void manifest_writer_free(struct manifest_writer *w);

/* One xattr's line, added to text; and an iterator over such text. */
void manifest_xattr_add(struct buf *text, const char *name, const void *value,
    size_t len);
struct manifest_xattr {
	char name[LIMIT_XATTR_NAME + 1];
	struct buf value; /* buf_init it first, release it last */
};
/* Consumes the first line of x; *more false when there was none. */
MUST_CHECK int manifest_xattr_next(struct manifest_xattrs *x,
    struct manifest_xattr *out, bool *more, struct err *e);

#endif
