/* What pull.c and pull_objects.c share. */
#ifndef SERVER_PULL_IMPL_H
#define SERVER_PULL_IMPL_H

#include "server/pull.h"
#include "transcripts/manifest.h"

typedef int (*pull_file_fn)(
    void *arg, const struct manifest_entry *m, struct err *e);

/* Calls fn for each regular file of a manifest in the repository. */
MUST_CHECK int pull_each_file(struct repo *repo,
    const struct release_transcript *t, pull_file_fn fn, void *arg,
    struct err *e);
MUST_CHECK int pull_has_manifest(struct pull *p,
    const struct release_transcript *t, bool *has, struct err *e);
/* Of what a cut transfer goes on with. */
void pull_partial_name(
    const char *kind, const struct digest *digest, char name[REPO_PATH_BYTES]);

/* What one upstream lacks or has wrong another may have; the rest is taken: 0
 * after noting that.  A connection that fails says nothing of what there is. */
MUST_CHECK int pull_pass_over_lack(
    struct pull *p, int rc, const struct err *why, struct err *e);
/* What the transcript's manifest, if it is here, names and the repository
 * lacks; as many as a request may name at a time, whatever their number. */
MUST_CHECK int pull_objects(
    struct pull *p, const struct release_transcript *t, struct err *e);

#endif
