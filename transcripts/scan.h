/* Scan: a directory tree as manifest entries, in manifest order.
 *
 * Runs in the caller's thread.  Content that the stat cache does not answer
 * for is given away as a job: an open descriptor, to be read by any thread, in
 * any order; entries wait for theirs in a window and come out in order.
 *
 * What is looked at is as it was at some moment of the scan.  A name that
 * vanishes, a directory that is replaced or a file that changes while it is
 * read and read again ends the scan with ERR_CHANGED naming it: start over
 * (with the new stat cache that is cheap). */
#ifndef TRANSCRIPTS_SCAN_H
#define TRANSCRIPTS_SCAN_H

#include <stdbool.h>

#include "common/fsat.h"
#include "transcripts/manifest.h"
#include "transcripts/statcache.h"

/* Memory of the entries that wait for content or for those before them, and
 * files that are open for jobs not done.  From: an entry with a path of 40 bytes
 * takes 210, so that the scan runs 20,000 ahead of a large file, about as many
 * as are looked at while 30 MB are compressed. */
#define SCAN_WINDOW_BYTES 4194304
#define SCAN_OPEN_JOBS    256

/* A file whose content is wanted. */
struct scan_job {
	int fd;              /* at its beginning; scan_job_done closes it */
	const char *path;    /* relative to the tree, for errors */
	struct fsat_stat st; /* of fd */
	/* The digest that the stat cache has for this path, where size and time
	 * of modification are the same and only the inode or time of change is
	 * another: a copy, most likely.  Else all zero. */
	struct digest likely;
};

/* Whether a file has, by size and times, the content it had. */
bool scan_is_same(const struct fsat_stat *a, const struct fsat_stat *b);
/* Says that all of job->fd was read: false when the file changed meanwhile;
 * it is then rewound and job->st is new, to be read once more.  ERR_CHANGED
 * after the third time. */
MUST_CHECK int scan_job_settled(
    struct scan_job *job, bool *settled, struct err *e);
/* Ends a job, from any thread: with the content's digest, or with the error
 * why there is none (status, e).  The job is gone afterwards. */
void scan_job_done(struct scan_job *job, const struct digest *digest,
    int status, const struct err *e);
/* What to do with a job when content is only to be hashed: all of the above. */
void scan_job_hash(struct scan_job *job);

struct scan_options {
	int dir;               /* the tree, held */
	char *const *excludes; /* text_path_match, relative to the tree */
	size_t exclude_count;
	bool numeric_owner;   /* "#uid", "#gid" instead of names */
	bool one_file_system; /* do not look below mount points */
	bool devices;         /* take block and character devices; else they
	                       * are ERR_UNSUPPORTED */
	struct statcache_reader *was; /* NULL: everything is read */
	struct statcache_writer *now; /* NULL: nothing is remembered */

	/* Each entry, in order, in the caller's thread.  An error ends the
	 * scan. */
	int (*entry)(
	    void *arg, const struct manifest_entry *entry, struct err *e);
	/* Takes a job over; it must end in one scan_job_done, at once or in
	 * another thread.  After an error it must not.  NULL: scan_job_hash. */
	int (*want)(void *arg, struct scan_job *job, struct err *e);
	/* What is left out, but for excludes (NULL: nobody is told): sockets;
	 * what is below mount points. */
	void (*skipped)(void *arg, const char *path, const char *why);
	void *arg;
};

struct scan_totals {
	uint64_t entries, files, content_bytes;
	uint64_t wanted, wanted_bytes; /* of these, not in the stat cache */
	uint64_t skipped;
};

/* Returns when every job is done, also after an error, whose message names the
 * path.  A stat cache that turns out to be damaged is not used further; that
 * is no error. */
MUST_CHECK int scan_run(const struct scan_options *options,
    struct scan_totals *totals, struct err *e);

/* MANIFEST_* flags of a file or directory. */
unsigned scan_flags(const struct fsat_stat *st);

/* All extended attributes of a name in a held directory (the name itself, not
 * what it links to) as lines of a manifest, sorted, added to text. */
MUST_CHECK int scan_xattrs(
    int dir, const char *name, struct buf *text, struct err *e);

#endif
