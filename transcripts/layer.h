/* Layer: the manifests of a profile as one sorted stream of entries, with
 * paths relative to the root of the file system.  Later sources win, path by
 * path; memory does not grow with the trees (but for overridden files, within
 * LAYER_OVERRIDDEN_BYTES).
 *
 * Rules, for sources in profile order:
 * - Of several entries with one path the last source's is taken.  Where it is
 *   not a directory, nothing that earlier sources have below it is.
 * - Directories above a target are implied: there is an entry for each, with
 *   0755 root root, to make it when it is missing and else not to look at it.
 *   The target of an overlay source is implied too, with the metadata that its
 *   manifest has.  An implied directory counts where nothing else is said of
 *   its path, or only that it is no directory by an earlier source.
 * - A directory is exact when it is the target of an exact source or below it:
 *   what no source lists in it is to go, unless layer_is_excluded.
 * - A hard link goes with its own source's first name.  Where a later source
 *   took that away, the first name left in the group becomes the file, and the
 *   others link to it. */
#ifndef TRANSCRIPTS_LAYER_H
#define TRANSCRIPTS_LAYER_H

#include <stdbool.h>

#include "transcripts/manifest.h"

/* Memory for regular files that later sources override, as hard links may ask
 * for them: about 300,000.  Only a link that asks for one beyond is an error
 * (ERR_LIMIT). */
#define LAYER_OVERRIDDEN_BYTES 67108864

/* All of it is borrowed and must outlive the layer.  The reader has not been
 * read from. */
struct layer_source {
	const char *name; /* of the transcript, for errors */
	struct manifest_reader *reader;
	const char *target; /* absolute, no trailing '/', "/" for the root */
	bool exact;
	bool own_target;       /* of an overlay: its target is not implied */
	char *const *excludes; /* patterns relative to the target */
	size_t exclude_count;
};

struct layer_entry {
	struct manifest_entry m; /* path, and a hard link's target, are full */
	bool implied; /* a directory to be made when missing, else left alone */
	bool exact;   /* a directory in which nothing else may be */
	size_t source; /* index of the source whose entry this is */
};

struct layer;
/* ERR_USAGE: no source, or a target that is no clean absolute path. */
MUST_CHECK int layer_new(const struct layer_source *sources, size_t count,
    struct layer **out, struct err *e);
void layer_free(struct layer *l);
/* *entry is NULL at the end; else it and all it points to are valid until the
 * next call.  The first is "."; all that lead to another come before it.
 * Errors of readers have the transcript's name before them; ERR_LIMIT for a
 * path that gets too long below its target. */
MUST_CHECK int layer_next(
    struct layer *l, const struct layer_entry **entry, struct err *e);

/* Whether an exclude pattern of an exact source takes the path, which need not
 * be in the stream: it is then neither to be changed nor to be deleted, unless
 * a source lists it. */
bool layer_is_excluded(const struct layer *l, const char *path);

#endif
