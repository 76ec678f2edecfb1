/* A repository as the place where a mirror's trust is kept: roots, roster,
 * heads and releases are its own files; what was only seen, and evidence, lie
 * beside v1 where nobody is served from. */
#ifndef SERVER_REPO_TRUST_H
#define SERVER_REPO_TRUST_H

#include "transcripts/repo.h"
#include "transcripts/trust.h"

/* `r` must outlive the store.  Putting channel/<name> is the switch to a new
 * release: repo_sync comes first, here. */
void repo_trust_store(struct repo *r, struct trust_store *out);

#endif
