/* The files of a repository; doc/content.md has the layout.
 *
 * Everything below v1 but the changing names (roots, roster, heads) is
 * immutable and named by digest.  Content is written to a temporary, renamed
 * into place and made durable in one go by repo_sync; only then does
 * repo_switch_head show it to anybody.  One process at a time writes: it
 * holds repo_lock.  Any number may read.
 *
 * Who may write for long (a mirror's replicator) besides claims its job for
 * its life, and takes the lock for each piece of work.
 *
 * A struct repo may be used by several threads at once, except for repo_lock,
 * repo_unlock and repo_close. */
#ifndef TRANSCRIPTS_REPO_H
#define TRANSCRIPTS_REPO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/crypto_digest.h"
#include "common/limits.h"
#include "transcripts/repo_sums.h"

/* Partial files nobody added to for so long are removed. */
#define REPO_PARTIAL_DAYS 7

struct repo;

/* Makes the folders of an empty repository; those that are there are left. */
MUST_CHECK int repo_create(const char *path, struct err *e);
/* ERR_NOT_FOUND names the folder that a repository should have. */
MUST_CHECK int repo_open(const char *path, struct repo **out, struct err *e);
void repo_close(struct repo *r);
/* The repository's folder, as long as it is open. */
int repo_fd(const struct repo *r);
/* The path it was opened by, for messages. */
const char *repo_name(const struct repo *r);

/* The right to write.  ERR_CONFLICT when another process holds it for longer
 * than wait_ms.  Ended by repo_unlock, repo_close or the process's end. */
MUST_CHECK int repo_lock(struct repo *r, unsigned wait_ms, struct err *e);
void repo_unlock(struct repo *r);
/* The right to be the one process of a job ("replicator"), without waiting.
 * *claim is a descriptor: the claim lasts until it is closed, here and in
 * processes forked since, or they end.  ERR_CONFLICT names who has it. */
MUST_CHECK int repo_claim(
    struct repo *r, const char *name, int *claim, struct err *e);
/* Removes what dead processes left: in tmp, and below v1 what is not whole
 * because a crash came before repo_sync.  The caller holds the lock. */
MUST_CHECK int repo_clean(struct repo *r, struct err *e);

/* Paths of files, relative to the repository; with a '/' in front they are
 * the paths of URLs. */
#define REPO_PATH_BYTES 128
void repo_path_root(char path[REPO_PATH_BYTES], uint64_t version);
void repo_path_roster(char path[REPO_PATH_BYTES]);
/* ERR_USAGE unless it is a channel's name. */
MUST_CHECK int repo_path_channel(
    char path[REPO_PATH_BYTES], const char *channel, struct err *e);
void repo_path_release(char path[REPO_PATH_BYTES], const struct digest *d);
void repo_path_manifest(char path[REPO_PATH_BYTES], const struct digest *d);
void repo_path_data(char path[REPO_PATH_BYTES], const struct digest *d);
void repo_path_object(char path[REPO_PATH_BYTES], const struct digest *d);

/* Looking.  Files are opened for reading; *size_bytes (may be NULL) gets the
 * length as stored.  ERR_NOT_FOUND when there is none. */
MUST_CHECK int repo_has(
    struct repo *r, const char *path, bool *has, struct err *e);
MUST_CHECK int repo_open_file(struct repo *r, const char *path, int *fd,
    uint64_t *size_bytes, struct err *e);
MUST_CHECK int repo_has_object(
    struct repo *r, const struct digest *d, bool *has, struct err *e);
MUST_CHECK int repo_open_object(struct repo *r, const struct digest *d, int *fd,
    uint64_t *size_bytes, struct err *e);
/* The highest n of v1/root/<n>, 0 when there is none. */
MUST_CHECK int repo_newest_root(
    struct repo *r, uint64_t *version, struct err *e);
/* Names of v1/channel.  Release with fsat_names_release. */
struct fsat_names;
MUST_CHECK int repo_channels(
    struct repo *r, struct fsat_names *out, struct err *e);

/* Statements: small, read and written as a whole.  Written ones are durable
 * (content and name) when this returns, and old or new after any crash. */
MUST_CHECK int repo_read_statement(struct repo *r, const char *path,
    size_t max_bytes, struct buf *out, struct err *e);
MUST_CHECK int repo_put_statement(struct repo *r, const char *path,
    const void *data, size_t len, struct err *e);
/* repo_sync, then repo_put_statement of the channel's head. */
MUST_CHECK int repo_switch_head(struct repo *r, const char *channel,
    const void *data, size_t len, struct err *e);
/* Makes all that was installed before durable. */
MUST_CHECK int repo_sync(struct repo *r, struct err *e);
/* Whether anything was installed since. */
bool repo_is_unsynced(struct repo *r);

/* A new file on its way into the repository: new, write, then install or
 * discard.  Discard after install or on a fresh REPO_TEMP_INIT does nothing.
 * What is written to fd by other means is not in cache/sums. */
struct repo_temp {
	int fd;
	char name[32];       /* within tmp */
	struct repo_sum sum; /* of what repo_temp_write wrote */
};
#define REPO_TEMP_INIT \
 {                     \
  .fd = -1             \
 }
MUST_CHECK int repo_temp_new(
    struct repo *r, struct repo_temp *t, struct err *e);
MUST_CHECK int repo_temp_write(
    struct repo_temp *t, const void *data, size_t len, struct err *e);
/* Closes it and renames it to the path.  Not durable before repo_sync: after a
 * crash, repo_clean removes what is not whole below v1.  Elsewhere (a cache)
 * it may stay truncated or wrong, which readers have to notice. */
MUST_CHECK int repo_temp_install(
    struct repo *r, struct repo_temp *t, const char *path, struct err *e);
MUST_CHECK int repo_temp_install_object(
    struct repo *r, struct repo_temp *t, const struct digest *d, struct err *e);
void repo_temp_discard(struct repo *r, struct repo_temp *t);
/* A file for reading and writing that no name leads to. */
MUST_CHECK int repo_temp_nameless(struct repo *r, int *fd, struct err *e);

/* Files that a cut transfer may go on with, in tmp under a name of the
 * caller's ("data-<digest>").  Open for reading and writing, positioned at the
 * end; *size_bytes is what is there. */
MUST_CHECK int repo_partial_open(struct repo *r, const char *name, int *fd,
    uint64_t *size_bytes, struct err *e);
MUST_CHECK int repo_partial_install(
    struct repo *r, const char *name, const char *path, struct err *e);
void repo_partial_discard(struct repo *r, const char *name);

/* What repo_verify found. */
enum repo_finding {
	REPO_DAMAGED,      /* content, signature or form is wrong */
	REPO_MISSING,      /* needed by the newest release of a channel */
	REPO_UNKNOWN,      /* no file that a repository has */
	REPO_UNREFERENCED, /* right, but no kept release needs it: not an error */
	REPO_FINDINGS,
};
struct repo_verify {
	const struct digest *anchor; /* of root 1; NULL: root 1 is believed */
	unsigned threads;            /* 0: as many as there are processors */
	/* Called by one thread at a time, not always the same; may be NULL.
	 * A path is relative to the repository. */
	void (*finding)(void *arg, enum repo_finding kind, const char *path,
	    const char *what);
	/* After each file; may be NULL. */
	void (*progress)(void *arg, uint64_t files, uint64_t bytes);
	void *arg;
};
struct repo_verified {
	uint64_t files, bytes; /* looked at, as stored */
	uint64_t releases;     /* reachable from heads */
	uint64_t findings[REPO_FINDINGS];
};
/* Reads every file below v1: all chains of signatures (root 1..n, roster,
 * heads, releases back through `previous` as far as they are kept), all
 * digests, and for the newest release of each channel that manifests, data
 * transcripts and objects are all there with the signed sizes.  Expiry is not
 * judged.  Memory: 16 bytes an object, 16 a record of cache/sums, and what is in
 * flight.
 * 0: nothing damaged, missing or unknown.  ERR_VERIFY: something was; each
 * was told to `finding` and *out is filled in.  Else it could not look. */
MUST_CHECK int repo_verify(struct repo *r, const struct repo_verify *how,
    struct repo_verified *out, struct err *e);

#endif
