/* Stat cache: what was once read of a tree need not be read again while stat
 * says the same.  A binary file of records sorted as manifests are, written in
 * one pass and read in one pass; it belongs to one machine, and losing it
 * costs time and nothing else.
 *
 * A record counts only where device, inode, size, mtime and ctime are the same
 * and both times are older than the pass that made the record by more than
 * STATCACHE_SLACK_S: a file that changed while or after it was read could
 * else have kept its times.  An mtime in the future counts too: a write would
 * have taken it back to now.  Every block of the file carries a checksum; a
 * damaged one is ERR_FORMAT and never a record.  The caller then goes on
 * without the cache. */
#ifndef TRANSCRIPTS_STATCACHE_H
#define TRANSCRIPTS_STATCACHE_H

#include "common/fsat.h"
#include "transcripts/manifest.h"

/* Clock ticks of kernels and time stamps of 2 s (FAT) are within it. */
#define STATCACHE_SLACK_S 2

struct statcache_record {
	const char *path;
	uint64_t dev, ino, size_bytes;
	struct timespec mtime, ctime;
	struct digest digest; /* of a regular file; else all zero */
	struct manifest_xattrs xattrs;
};

struct statcache_writer;
/* Writes to fd (not owned, at its beginning) for a pass that began at
 * `started`, taken before anything was looked at. */
MUST_CHECK int statcache_writer_new(int fd, const struct timespec *started,
    struct statcache_writer **out, struct err *e);
/* Paths must ascend (manifest_path_cmp); ERR_USAGE otherwise. */
MUST_CHECK int statcache_writer_add(struct statcache_writer *w,
    const struct statcache_record *record, struct err *e);
/* Writes what is left and the mark without which the file is damaged.  Making
 * it durable and giving it its name is the caller's. */
MUST_CHECK int statcache_writer_end(struct statcache_writer *w, struct err *e);
void statcache_writer_free(struct statcache_writer *w);

struct statcache_reader;
/* Reads from fd (not owned).  ERR_FORMAT: no stat cache, another version, or
 * damaged. */
MUST_CHECK int statcache_reader_new(
    int fd, struct statcache_reader **out, struct err *e);
void statcache_reader_free(struct statcache_reader *r);
/* The record of path, if it may be trusted for what stat says now; else
 * *record is NULL.  It is valid until the next call.  Only ever forward: paths
 * asked for must ascend, those between are passed over. */
MUST_CHECK int statcache_reader_find(struct statcache_reader *r,
    const char *path, const struct fsat_stat *st,
    const struct statcache_record **record, struct err *e);

/* The same without asking stat: the record of path, if it may go into a later
 * cache as it is, since what it is of had settled when it was made. */
MUST_CHECK int statcache_reader_settled(struct statcache_reader *r,
    const char *path, const struct statcache_record **record, struct err *e);

/* Of the path that was last asked for: the digest in a record of the same size
 * and time of modification, trusted or not; NULL when there is none. */
const struct digest *statcache_reader_guess(
    const struct statcache_reader *r, const struct fsat_stat *st);

/* A record of what stat says of path; without digest and xattrs. */
void statcache_record_init(struct statcache_record *record, const char *path,
    const struct fsat_stat *st);

#endif
