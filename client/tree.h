/* The tree that a release gives a profile: its manifests, kept in the state
 * directory, layered into one stream. */
#ifndef CLIENT_TREE_H
#define CLIENT_TREE_H

#include "client/state.h"
#include "transcripts/layer.h"
#include "transcripts/release.h"

struct tree;

/* The manifests must be there.  ERR_VERIFY: one is damaged; it was removed.  One
 * that was found right and not touched since is not read again for that.
 * `release` and `profile` must outlive it. */
MUST_CHECK int tree_open(struct state *s, const struct release *release,
    const struct release_profile *profile, struct tree **out, struct err *e);
void tree_free(struct tree *t);
/* The stream, at its beginning after tree_open. */
struct layer *tree_layer(struct tree *t);

#endif
