/* Data transcripts: a pax tar inside one zstd frame, holding what a holder of
 * the release before lacks.  data_writer.c and data_reader.c are the only
 * files that include libarchive's headers.
 *
 * Members, in this order; digests in hex, all sizes uncompressed:
 *
 *     manifest/<digest>            the manifest's text in full, or
 *     manifest/<digest>-<basis>    a delta against the text before; at most
 *                                  one of the two
 *     delta/<digest>-<basis>       an object as a delta, any number
 *     object/<digest>              an object in full, any number
 *
 * Nothing but the names says what is in a member: who unpacks one compares
 * digest and size of the result with the signed manifest. */
#ifndef TRANSCRIPTS_DATA_H
#define TRANSCRIPTS_DATA_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "common/crypto_digest.h"
#include "common/err.h"

enum data_kind {
	DATA_MANIFEST,
	DATA_MANIFEST_DELTA,
	DATA_DELTA,
	DATA_OBJECT,
};

struct data_member {
	enum data_kind kind;
	struct digest digest; /* of the result */
	struct digest basis;  /* of the content a delta starts from */
	uint64_t size_bytes;  /* of the member: text, content or delta */
};

/* Up to size bytes, *got 0 at the end. */
typedef int (*data_source)(
    void *arg, void *dst, size_t size, size_t *got, struct err *e);

/* Name of a member in the archive. */
#define DATA_NAME_BYTES (sizeof("manifest/-") + (size_t)2 * (DIGEST_HEX - 1))
void data_name(const struct data_member *m, char name[DATA_NAME_BYTES]);
/* The inverse: sets all but size_bytes. */
MUST_CHECK int data_name_parse(const char *name, struct data_member *out);
/* Whether the order allows `kind` right after `last`. */
bool data_may_follow(enum data_kind last, enum data_kind kind);

struct data_writer;
struct data_options {
	int fd;                 /* written from where it stands, borrowed */
	int level;              /* of zstd */
	time_t mtime;           /* of all members: the release's time */
	uint64_t content_bytes; /* about what will be added: the window */
};
/* The same members and options give the same bytes (of one libarchive and
 * zstd). */
MUST_CHECK int data_writer_new(const struct data_options *options,
    struct data_writer **out, struct err *e);
/* The source must give exactly m->size_bytes: ERR_CHANGED.  ERR_USAGE: out of
 * order.  After an error only data_writer_free is left. */
MUST_CHECK int data_writer_add(struct data_writer *w,
    const struct data_member *m, data_source source, void *arg, struct err *e);
/* Digest and size of the file. */
MUST_CHECK int data_writer_end(struct data_writer *w, struct digest *digest,
    uint64_t *size_bytes, struct err *e);
void data_writer_free(struct data_writer *w);

/* Reads a file of exactly file_bytes from the source, or fd from where it
 * stands (borrowed). */
struct data_reader;
MUST_CHECK int data_reader_new(data_source source, void *arg,
    uint64_t file_bytes, struct data_reader **out, struct err *e);
MUST_CHECK int data_reader_open(
    int fd, uint64_t file_bytes, struct data_reader **out, struct err *e);
void data_reader_free(struct data_reader *r);
/* The next member; what was not read of the last is passed over.  *more is
 * false at the end, with *m untouched.  ERR_FORMAT: damaged or cut off, no
 * zstd, no tar, longer than file_bytes, an unknown name, anything but a plain
 * file, wrong order; ERR_LIMIT: more than LIMIT_DELTA_MEMBERS.  After an error
 * only data_reader_free is left. */
MUST_CHECK int data_reader_next(
    struct data_reader *r, struct data_member *m, bool *more, struct err *e);
/* Content of the member: up to size bytes, *got 0 after its last.  A
 * data_source (and delta_source) with the reader as its argument. */
MUST_CHECK int data_reader_read(
    void *reader, void *dst, size_t size, size_t *got, struct err *e);

#endif
