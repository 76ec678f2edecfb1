/* Whether a stored file is what its name says, one file at a time: for who
 * writes after a crash, and for who reads everything again in idle time. */
#ifndef TRANSCRIPTS_REPO_CHECK_H
#define TRANSCRIPTS_REPO_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#include "common/crypto_digest.h"
#include "common/err.h"

enum repo_check_kind {
	REPO_CHECK_OBJECT,   /* a frame; the name is the content's digest */
	REPO_CHECK_MANIFEST, /* gzip; the name is the text's digest */
	REPO_CHECK_PLAIN,    /* the name is the file's own digest */
};

struct repo;
struct repo_check; /* reusable, one thread at a time */
MUST_CHECK int repo_check_new(
    struct repo *r, struct repo_check **out, struct err *e);
void repo_check_free(struct repo_check *c);

/* Called after every piece that was read, with its bytes as stored: to be
 * slow, or to end the check with an error of its own. */
typedef int (*repo_check_pace)(void *arg, size_t bytes, struct err *e);
void repo_check_set_pace(struct repo_check *c, repo_check_pace pace, void *arg);

/* What remains to be read from fd.  repo_check_is_damage tells errors that are
 * the file's from others. */
MUST_CHECK int repo_check_file(struct repo_check *c, enum repo_check_kind kind,
    int fd, const struct digest *name, struct err *e);
bool repo_check_is_damage(int ret);

#endif
