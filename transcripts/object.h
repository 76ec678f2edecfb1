/* Objects: content of regular files, named by its SHA-256, one zstd frame
 * each in a repository.
 *
 * Writing: one object_writer a thread, any number on one repository.  What is
 * there already is not written again.  Nothing is durable before repo_sync.
 * Reading: object_read checks size and digest as it goes. */
#ifndef TRANSCRIPTS_OBJECT_H
#define TRANSCRIPTS_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/crypto_digest.h"
#include "common/err.h"

/* Content up to this size is compressed as a whole, more as a stream: a frame
 * that looks back as far as OBJECT_WINDOW_LOG says. */
#define OBJECT_WHOLE_LOG   19
#define OBJECT_WHOLE_BYTES ((size_t)1 << OBJECT_WHOLE_LOG)
#define OBJECT_WINDOW_LOG  24 /* what a reader needs: 16 MiB */
/* Content up to this size is read in memory. */
#define OBJECT_MEMORY_BYTES ((size_t)4 * 1024 * 1024)
/* A file that changed while it was read is read so often. */
#define OBJECT_READ_TRIES 3

struct repo;
struct object_writer;

/* `level` is zstd's, for what is compressed as a whole.  The repository is
 * borrowed. */
MUST_CHECK int object_writer_new(
    struct repo *r, int level, struct object_writer **out, struct err *e);
void object_writer_free(struct object_writer *w);

/* The content of an open regular file, read from its start.  `name` is for
 * messages.  Size, mtime and ctime must be the same before and after; after
 * OBJECT_READ_TRIES attempts ERR_CHANGED names the file.  */
struct object {
	struct digest digest;
	uint64_t size_bytes;
	bool stored;           /* false: it was there already */
	uint64_t stored_bytes; /* of the frame; 0 when it was there */
};
MUST_CHECK int object_put_file(struct object_writer *w, int fd,
    const char *name, struct object *out, struct err *e);
/* The same for who looks himself whether the file changed meanwhile: one read
 * of size_bytes.  ERR_CHANGED: there are fewer. */
struct object_source {
	int fd;
	uint64_t size_bytes;
	/* NULL, or of an object that is there and likely has this content,
	 * which then is hashed before it is compressed for nothing. */
	const struct digest *likely;
};
MUST_CHECK int object_put_source(struct object_writer *w,
    const struct object_source *source, struct object *out, struct err *e);
MUST_CHECK int object_put_bytes(struct object_writer *w, const void *data,
    size_t len, struct object *out, struct err *e);

/* Content or a stored frame that arrives in pieces: begin, feed, end; or
 * cancel (which begin does too).  Size and digest are known beforehand;
 * ERR_VERIFY when what came is something else.  A frame is decoded no further
 * than size_bytes and stored as it came. */
enum object_form {
	OBJECT_CONTENT,
	OBJECT_FRAME
};
MUST_CHECK int object_begin(struct object_writer *w, enum object_form form,
    const struct digest *digest, uint64_t size_bytes, struct err *e);
MUST_CHECK int object_feed(
    struct object_writer *w, const void *data, size_t len, struct err *e);
MUST_CHECK int object_end(struct object_writer *w, struct err *e);
void object_cancel(struct object_writer *w);
/* The three in one, of the frame that remains to be read from fd. */
MUST_CHECK int object_put_frame(struct object_writer *w, int fd,
    const struct digest *digest, uint64_t size_bytes, struct err *e);

/* Content in pieces.  ERR_NOT_FOUND; ERR_LIMIT past max_bytes; ERR_VERIFY
 * after the last piece when the digest is wrong: what the sink got is to be
 * thrown away then. */
typedef int (*object_sink)(
    void *arg, const void *data, size_t len, struct err *e);
struct object_reader; /* reusable, one thread at a time */
MUST_CHECK int object_reader_new(
    struct repo *r, struct object_reader **out, struct err *e);
void object_reader_free(struct object_reader *o);
MUST_CHECK int object_read(struct object_reader *o, const struct digest *digest,
    uint64_t max_bytes, object_sink sink, void *arg, struct err *e);
/* A frame that remains to be read from fd; the sink may be NULL. */
struct object_frame {
	int fd;
	const struct digest *digest;
	uint64_t max_bytes;
	object_sink sink;
	void *arg;
};
/* Decodes and checks it; *size_bytes gets the size of the content. */
MUST_CHECK int object_read_frame(struct object_reader *o,
    const struct object_frame *frame, uint64_t *size_bytes, struct err *e);
/* The size that the frame of an object here claims its content has; ERR_FORMAT
 * when it claims none. */
MUST_CHECK int object_size(struct object_reader *o, const struct digest *digest,
    uint64_t *size_bytes, struct err *e);
/* A descriptor, positioned at its start, of content that was checked and has
 * exactly size_bytes: in memory up to OBJECT_MEMORY_BYTES, else an unlinked
 * file in the repository's tmp.  Close it. */
MUST_CHECK int object_open_content(struct object_reader *o,
    const struct digest *digest, uint64_t size_bytes, int *fd, struct err *e);

#endif
