/* The client's state directory:
 *
 *     anchor           digest of the first root, given once by the operator
 *     client.conf      what `pecia init` was told
 *     lock             one run at a time
 *     identity/        our key and certificate
 *     root/ roster channel/ release/ seen/ evidence/   the trust store
 *     manifest/<hex>   texts of the manifests of the applied release and of
 *                      those that can be rolled back to
 *     failures         runs in a row that did not get to their own site
 *     home             our own site: client/home.h
 *     applied          which release the machine is on (text)
 *     cache            stat cache of the applied release
 *     tickets          TLS sessions for the next run: client/tickets.h
 *     tmp/             data transcripts on their way
 *     kept/<n>/        what the last runs replaced: client/kept.h
 *     held             the release that was rolled back: client/held.h
 *     stages dirtimes  what is staged, beside what
 *     journal          a commit under way
 *     due.new due      triggers and checks that follow it: client/due.h
 *     last_error       why the last run failed
 *     last_run_summary.yaml .json   what the last run came to (0644)
 *     plans/<id>       the last plans that were shown
 *     confirm          a change that waits to be confirmed: client/confirm.h
 *     disabled         the operator's word that nothing is to change
 */
#ifndef CLIENT_STATE_H
#define CLIENT_STATE_H

#include <time.h>

#include "common/buf.h"
#include "common/crypto_digest.h"
#include "common/limits.h"
#include "transcripts/trust.h"

#define STATE_CHECKED 16

/* A file that was read to its end and was what it should be. */
struct state_checked {
	struct digest digest;
	uint64_t ino;
	struct timespec ctime;
};

struct state {
	int dir;
	int lock_fd;
	char *path; /* for messages */
	/* The manifests last checked: each is, once a run. */
	struct state_checked checked[STATE_CHECKED];
	unsigned checked_next;
};
#define STATE_INIT          \
 {                          \
  .dir = -1, .lock_fd = -1, \
 }

/* Opens or makes the directory: 0711, as monitoring reads the summaries.  All
 * else in it is 0600 or, for directories, 0700: so it has to be made. */
MUST_CHECK int state_open(
    struct state *s, const char *path, bool create, struct err *e);
void state_release(struct state *s);
/* ERR_BUSY when another run holds it. */
MUST_CHECK int state_lock(struct state *s, unsigned wait_ms, struct err *e);
/* Gives a directory of mode 0700, as it was made before, the mode it is made
 * with now. */
MUST_CHECK int state_let_in(const struct state *s, struct err *e);
/* Removes what a crash left half written.  The caller holds the lock. */
MUST_CHECK int state_clean(const struct state *s, struct err *e);

/* "sha256:..." as written by pecia init.  ERR_NOT_FOUND: not initialised. */
MUST_CHECK int state_anchor(
    const struct state *s, struct digest *out, struct err *e);
MUST_CHECK int state_set_anchor(
    const struct state *s, const struct digest *anchor, struct err *e);

/* A trust store in this directory; `s` must outlive it. */
void state_trust_store(struct state *s, struct trust_store *out);

/* The record of what is applied. */
struct applied {
	char channel[LIMIT_NAME_BYTES + 1];
	uint64_t serial;
	struct digest release;
	char profile[LIMIT_NAME_BYTES + 1];
	time_t when;
	char from[512]; /* route to the server */
	char site[LIMIT_NAME_BYTES + 1];
};
void applied_write(struct buf *text, const struct applied *a);
MUST_CHECK int applied_parse(
    const char *text, size_t len, struct applied *out, struct err *e);
/* ERR_NOT_FOUND: nothing was applied yet. */
MUST_CHECK int state_applied(
    const struct state *s, struct applied *out, struct err *e);
/* An empty text: nothing is applied. */
MUST_CHECK int state_set_applied(
    const struct state *s, const struct buf *text, struct err *e);
/* The release that a record names, from the trust store, where it was put when
 * it was verified; here its digest is.  ERR_NOT_FOUND: it is not there. */
MUST_CHECK int state_find_release(const struct state *s,
    const struct applied *a, struct release *out, struct err *e);

/* How many runs in a row did not get to their own site; written only when it
 * changes. */
MUST_CHECK int state_failures(
    const struct state *s, uint64_t *out, struct err *e);
MUST_CHECK int state_set_failures(
    const struct state *s, uint64_t n, struct err *e);

/* manifest/<hex>. */
#define STATE_PATH_BYTES 128
void state_manifest_path(
    char path[STATE_PATH_BYTES], const struct digest *digest);
/* Removes manifests that `keep` does not name. */
MUST_CHECK int state_prune_manifests(const struct state *s,
    const struct digest *keep, size_t count, struct err *e);

/* Removes what is left in tmp/. */
MUST_CHECK int state_clean_tmp(const struct state *s, struct err *e);

#endif
