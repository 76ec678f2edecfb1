/* Stands in for transcripts/fetch: every call is answered in this process from
 * an upstream's repository, so that a run is one process and starts none.
 * Data transcripts come as files and unpack to nothing: manifests and objects
 * then come by themselves. */
#ifndef TESTS_PROVE_FETCH_H
#define TESTS_PROVE_FETCH_H

#include "transcripts/repo.h"

/* Where all bytes come from, and the key that the server is known by; the
 * repository is borrowed. */
void upstream_set(struct repo *repo, const struct digest *key);

#endif
