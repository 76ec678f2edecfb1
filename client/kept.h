/* A kept run: what was there before a run changed it, in the state directory.
 *
 *     kept/<n>/facts    when, from which release to which, and the paths: made
 *                       by the run, changed, or with content kept
 *     kept/<n>/before   a manifest of all that the run changed or deleted, as
 *                       it was, and of what leads there
 *     kept/<n>/f/<i>    content of regular files, as hard links or copies
 *     kept/new          the run under way, until its journal is carried out
 *
 *     pecia kept 1
 *     when 2026-11-24T16:00:00Z
 *     by run | rollback
 *     was - | was CHANNEL SERIAL SHA256 PROFILE
 *     now - | ...
 *     n PATH            was not there
 *     c PATH            as in the manifest, content not kept
 *     f INDEX PATH      as in the manifest, content in f/INDEX
 *     before SHA256 BYTES
 *     content BYTES     of all kept files
 *     sum SHA256        of all lines before
 *
 * Paths are escaped and in the order of manifests. */
#ifndef CLIENT_KEPT_H
#define CLIENT_KEPT_H

#include <stdbool.h>
#include <time.h>

#include "transcripts/manifest.h"

#define KEPT_DIR        "kept"
#define KEPT_NEW        "kept/new"
#define KEPT_PATH_BYTES 64

/* A release on this machine; is_any false: none was applied. */
struct kept_release {
	bool is_any;
	char channel[LIMIT_NAME_BYTES + 1];
	uint64_t serial;
	struct digest release;
	char profile[LIMIT_NAME_BYTES + 1];
};

struct kept_facts {
	uint64_t number; /* the n of kept/<n> */
	time_t when;
	bool is_rollback;
	struct kept_release was, now;
	uint64_t content_bytes;
};

enum kept_state {
	KEPT_CONTEXT, /* the run did not change it; it leads to what it did */
	KEPT_ABSENT,  /* the run made it */
	KEPT_CHANGED, /* its content, if it has any, stayed */
	KEPT_CONTENT, /* its content is in f/<index> */
};
struct kept_item {
	enum kept_state state;
	const char *path;
	uint64_t index;                 /* KEPT_CONTENT */
	const struct manifest_entry *m; /* NULL: KEPT_ABSENT */
};

/* ---- reading ---- */

struct kept;
/* Checks both files as a whole first.  ERR_FORMAT or ERR_VERIFY: damaged. */
MUST_CHECK int kept_open(
    int state, uint64_t number, struct kept **out, struct err *e);
void kept_free(struct kept *k);
const struct kept_facts *kept_facts(const struct kept *k);
/* In path order; *more false at the end.  *item is valid until the next call;
 * ERR_FORMAT: paths and manifest contradict each other. */
MUST_CHECK int kept_next(
    struct kept *k, struct kept_item *item, bool *more, struct err *e);
/* Facts alone: the sum is checked, the paths are not looked at. */
MUST_CHECK int kept_read_facts(
    int state, uint64_t number, struct kept_facts *out, struct err *e);
/* Parses a facts file; for tests too.  Paths are only judged. */
MUST_CHECK int kept_parse(
    const void *text, size_t len, struct kept_facts *out, struct err *e);

/* Where content is, below the state directory. */
void kept_content_path(
    char path[KEPT_PATH_BYTES], uint64_t number, uint64_t index);
/* What the content is now, of a record that says what it was: a file may be
 * written to after another one took its name.  Digest and size of *m become
 * those of what is held. */
MUST_CHECK int kept_content_now(int state, uint64_t number, uint64_t index,
    struct manifest_entry *m, struct err *e);
/* Numbers of the kept runs, ascending; free() them. */
MUST_CHECK int kept_list(
    int state, uint64_t **numbers, size_t *count, struct err *e);

/* ---- writing ---- */

struct kept_writer;
/* Into a held directory, which is empty but for f/. */
MUST_CHECK int kept_writer_new(int dir, const struct kept_facts *facts,
    struct kept_writer **out, struct err *e);
/* In path order, context included: the first is ".". */
MUST_CHECK int kept_writer_add(
    struct kept_writer *w, const struct kept_item *item, struct err *e);
/* Writes the ends.  Making it durable is the caller's. */
MUST_CHECK int kept_writer_end(
    struct kept_writer *w, uint64_t content_bytes, struct err *e);
void kept_writer_free(struct kept_writer *w);

#endif
