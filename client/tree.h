/* The tree that a release gives a profile: its manifests, kept in the state
 * directory, layered into one stream. */
#ifndef CLIENT_TREE_H
#define CLIENT_TREE_H

#include "client/state.h"
#include "common/fsat.h"
#include "transcripts/layer.h"
#include "transcripts/release.h"

struct tree;

/* The manifest that is kept was found right just now. */
void tree_note_manifest(
    struct state *s, const struct digest *manifest, const struct fsat_stat *st);
/* Whether the transcript's manifest is kept; one that is damaged was removed. */
MUST_CHECK int tree_has_manifest(struct state *s,
    const struct release_transcript *rt, bool *has, struct err *e);
/* The manifests must be there.  ERR_VERIFY: one is damaged; it was removed.  One
 * that was found right and not touched since is not read again for that.
 * `release` and `profile` must outlive it. */
MUST_CHECK int tree_open(struct state *s, const struct release *release,
    const struct release_profile *profile, struct tree **out, struct err *e);
void tree_free(struct tree *t);
/* The stream, at its beginning after tree_open. */
struct layer *tree_layer(struct tree *t);

#endif
