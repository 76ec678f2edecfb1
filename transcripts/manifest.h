/* Manifest transcript: text, one file system object a line, sorted.  Read and
 * written as a stream; memory does not grow with the tree.  The format byte by
 * byte is in doc/manifest.md.
 *
 * The target directory itself is the first entry, a "d" with path ".".
 *
 * Calling sequence: manifest_reader_open (or _open_gzip, _new), then
 * manifest_reader_next until *entry is NULL, then manifest_reader_digest;
 * manifest_writer_new, manifest_writer_add for each entry in order,
 * manifest_writer_end. */
#ifndef TRANSCRIPTS_MANIFEST_H
#define TRANSCRIPTS_MANIFEST_H

#include <stdint.h>
#include <time.h>

#include "common/buf.h"
#include "common/crypto_digest.h"
#include "common/limits.h"

/* Names of users and groups, bytes: twice what LOGIN_NAME_MAX's users need. */
#define MANIFEST_OWNER_BYTES 255

/* Greatest values a line may hold. */
#define MANIFEST_MODE_MAX  07777u
#define MANIFEST_SIZE_MAX  999999999999999999ULL /* 18 digits */
#define MANIFEST_SEC_MAX   999999999999999999LL  /* 18 digits, either sign */
#define MANIFEST_MAJOR_MAX 0xfffu                /* Linux: 12 and 20 bits */
#define MANIFEST_MINOR_MAX 0xfffffu
#define MANIFEST_ID_MAX    0xfffffffeu /* uid -1 means "leave it" to chown */

enum manifest_type {
	MANIFEST_DIR = 'd',
	MANIFEST_FILE = 'f',
	MANIFEST_SYMLINK = 'l',
	MANIFEST_HARDLINK = 'h', /* only path and target are set */
	MANIFEST_FIFO = 'p',
	MANIFEST_BLOCK = 'b',
	MANIFEST_CHAR = 'c',
};

/* Flags: what chattr sets on a file or directory, as in fsat.h. */
#define MANIFEST_APPEND    1u
#define MANIFEST_IMMUTABLE 2u
#define MANIFEST_CHATTR    (MANIFEST_APPEND | MANIFEST_IMMUTABLE)
/* A regular file in which runs of zeros are holes. */
#define MANIFEST_SPARSE     4u
#define MANIFEST_HOLE_BYTES ((uint64_t)4096)

/* Extended attributes of one entry, in the manifest's own text: zero or more
 * whole lines "x <name> <base64>\n", sorted by name, unique. */
struct manifest_xattrs {
	const char *text;
	size_t len;
};

struct manifest_entry {
	enum manifest_type type;
	const char *path;  /* raw bytes, NUL-ended, relative; "." the target */
	uint32_t mode;     /* permission bits, 07777 */
	const char *owner; /* name, or "#uid" */
	const char *group;
	struct timespec mtime;
	uint64_t size_bytes;   /* 'f' */
	uint64_t number;       /* 'f', read: of the manifest's files, from 0 */
	struct digest digest;  /* 'f' */
	const char *target;    /* 'l': link text; 'h': path of the first name */
	uint32_t major, minor; /* 'b', 'c' */
	struct manifest_xattrs xattrs;
	unsigned flags; /* 'd', 'f': MANIFEST_APPEND, ... */
};

/* Where text comes from: up to size bytes, *got 0 at the end. */
typedef int (*manifest_source)(
    void *arg, void *dst, size_t size, size_t *got, struct err *e);

struct manifest_reader;
/* Checks the first line.  The reader holds text to the rules of
 * doc/manifest.md (canonical, sorted, unique, children below directories, the
 * first name of a hard link before it; that this name is a regular file of
 * the same manifest is for whoever keeps the names).  The first breach ends
 * the reading: ERR_FORMAT or ERR_LIMIT with the line's number, and the same
 * code from every later call. */
MUST_CHECK int manifest_reader_new(manifest_source source, void *arg,
    struct manifest_reader **out, struct err *e);
/* From a descriptor (not owned): plain text of at most max_bytes, ERR_LIMIT
 * past it. */
MUST_CHECK int manifest_reader_open(
    int fd, uint64_t max_bytes, struct manifest_reader **out, struct err *e);
/* The same from gzip; max_bytes and the digest are those of the text. */
MUST_CHECK int manifest_reader_open_gzip(
    int fd, uint64_t max_bytes, struct manifest_reader **out, struct err *e);
/* For text whose digest is known, before the first entry is asked for: saves
 * more than half of the time an entry takes. */
void manifest_reader_skip_digest(struct manifest_reader *r);
void manifest_reader_free(struct manifest_reader *r);
/* *entry is NULL at the end; else it and all it points to are valid until the
 * next call. */
MUST_CHECK int manifest_reader_next(struct manifest_reader *r,
    const struct manifest_entry **entry, struct err *e);
/* Digest (all zero when skipped) and length of the text, once the end was
 * reached. */
void manifest_reader_digest(
    const struct manifest_reader *r, struct digest *out, uint64_t *text_bytes);

/* Where text goes. */
typedef int (*manifest_sink)(
    void *arg, const void *data, size_t len, struct err *e);
struct manifest_writer;
MUST_CHECK int manifest_writer_new(
    manifest_sink sink, void *arg, struct manifest_writer **out, struct err *e);
/* Entries in order; what the reader would refuse is refused here (ERR_FORMAT,
 * the path named). */
MUST_CHECK int manifest_writer_add(struct manifest_writer *w,
    const struct manifest_entry *entry, struct err *e);
/* Flushes; digest of the text, its length, entries and content bytes. */
struct manifest_totals {
	struct digest digest;
	uint64_t text_bytes, entries, content_bytes;
};
MUST_CHECK int manifest_writer_end(
    struct manifest_writer *w, struct manifest_totals *out, struct err *e);
void manifest_writer_free(struct manifest_writer *w);

/* One xattr's line, added to text; and an iterator over such text. */
void manifest_xattr_add(
    struct buf *text, const char *name, const void *value, size_t len);
struct manifest_xattr {
	char name[LIMIT_XATTR_NAME + 1];
	struct buf value; /* buf_init it first, release it last */
};
/* Consumes the first line of x; *more false when there was none. */
MUST_CHECK int manifest_xattr_next(struct manifest_xattrs *x,
    struct manifest_xattr *out, bool *more, struct err *e);

/* NULL, or what is wrong with a path, to be put behind "path ": empty, too
 * long, absolute; a component that is empty, ".", ".." or too long. */
const char *manifest_path_fault(const char *path, size_t len);

/* Order of manifests: -1, 0 or 1; bytes, '/' below all others, a path before
 * what is below it, and "." first of all.  The same as text_path_cmp but for
 * "."; lengths are given, so that long sorted runs are compared fast. */
int manifest_path_cmp(const char *a, size_t a_len, const char *b, size_t b_len);

#endif
