/* Compare: what the layered manifests want against what a file system holds.
 * One pass in path order over manifests, directories and stat cache; nothing
 * is changed. */
#ifndef TRANSCRIPTS_COMPARE_H
#define TRANSCRIPTS_COMPARE_H

#include "common/fsat.h"
#include "common/progress.h"
#include "transcripts/layer.h"
#include "transcripts/statcache.h"

enum compare_kind {
	COMPARE_CREATE, /* nothing is there */
	COMPARE_CHANGE,
	COMPARE_DELETE,
};

/* What differs, for COMPARE_CHANGE. */
enum {
	COMPARE_TYPE = 1 << 0, /* file, directory, symlink, ...: alone */
	COMPARE_CONTENT = 1 << 1,
	COMPARE_TARGET = 1 << 2, /* of a symlink */
	COMPARE_LINK = 1 << 3,   /* not a hard link to what it should be, or
	                          * one to what it should not be */
	COMPARE_DEVICE = 1 << 4,
	COMPARE_OWNER = 1 << 5,
	COMPARE_GROUP = 1 << 6,
	COMPARE_MODE = 1 << 7,
	COMPARE_MTIME = 1 << 8,
	COMPARE_XATTRS = 1 << 9,
	COMPARE_FLAGS = 1 << 10, /* of chattr */
};
/* Any of these needs a new inode. */
#define COMPARE_RENEW                                              \
 (COMPARE_TYPE | COMPARE_CONTENT | COMPARE_TARGET | COMPARE_LINK | \
     COMPARE_DEVICE)

struct compare_diff {
	enum compare_kind kind;
	unsigned bits;
	const char *path;               /* relative to the root */
	const struct layer_entry *want; /* NULL: COMPARE_DELETE */
	uint32_t uid, gid;              /* of want, as numbers */
	const struct fsat_stat *have;   /* NULL: COMPARE_CREATE */
};
/* Where attributes are waived, those of `want` lack them, behind the line that
 * says so (waived.h). */
typedef int (*compare_fn)(
    void *arg, const struct compare_diff *diff, struct err *e);

struct compare_options {
	int root; /* held directory that paths are below */
	struct layer *want;
	struct layer *was;              /* the tree applied before, or NULL */
	struct statcache_reader *cache; /* NULL: everything is read */
	struct progress *progress;      /* or NULL */
	bool dir_times; /* of all listed directories, not of exact ones alone */
	/* Waived by name: not compared, and left as they are. */
	bool ignore_owner, ignore_flags;
	const char *ignore_xattrs; /* see waived.h; or NULL */
	const char *const *keep;   /* paths never deleted, nor what is below */
	size_t keep_count;
	const struct fsat_stat *keep_dir; /* the same for one directory, however
	                                   * its path is spelled; or NULL */
};

struct compare_totals {
	uint64_t entries, same, read_bytes;
};

/* manifest_path_cmp of two NUL-ended paths. */
int compare_paths(const char *a, const char *b);

/* Calls `fn` for each difference: creations and changes in path order, the
 * deletions below exact targets as they are come upon, children first.  What
 * is in a directory that something else takes the place of goes too, in any
 * mode, and what `was` lists and `want` does not, parents first and perhaps told
 * twice; implied directories never go.  A damaged stat cache is not used further; that is no error.
 * ERR_UNSUPPORTED: an owner unknown here, a target's parent that is no
 * directory; in the way, a mount point or what is kept or excluded. */
MUST_CHECK int compare_run(const struct compare_options *options, compare_fn fn,
    void *arg, struct compare_totals *totals, struct err *e);

#endif
