/* A mirror's anchor: given once, kept in the repository beside v1. */
#ifndef SERVER_REPO_ANCHOR_H
#define SERVER_REPO_ANCHOR_H

#include "common/crypto_digest.h"

#define REPO_ANCHOR "anchor" /* its file; an origin's repository has none */

/* `given` ("sha256:...", or NULL) against REPO/anchor: one of the two must be
 * there, and both must agree (ERR_CONFLICT).  Keeps a new one. */
MUST_CHECK int repo_anchor_settle(
    int repo_fd, const char *given, struct digest *out, struct err *e);

#endif
