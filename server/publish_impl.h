/* What the files publish*.c share; everybody else includes publish.h. */
#ifndef SERVER_PUBLISH_IMPL_H
#define SERVER_PUBLISH_IMPL_H

#include <pthread.h>

#include "common/pool.h"
#include "common/progress.h"
#include "common/table.h"
#include "common/zst.h"
#include "server/publish.h"
#include "transcripts/manifest.h"
#include "transcripts/object.h"
#include "transcripts/object_stream.h"
#include "transcripts/scan.h"

/* Less than this is never worth a delta. */
#define PUBLISH_DELTA_MIN 128
/* Name and header of one more member, compressed, and its basis's digest. */
#define PUBLISH_DELTA_COST 64

/* What one thread needs to work on contents. */
struct publish_kit {
	struct publish_kit *next;
	struct object_writer *writer;
	struct object_reader *reader;
	struct object_stream *basis, *content;
	struct zst_encoder *encoder;
};

struct publish {
	struct origin *o;
	const struct publish_options *options;
	struct publish_result *result;
	struct pool *pool;
	pthread_mutex_t lock; /* of kits, and of what jobs add to a tree */
	struct publish_kit *kits;
	pthread_mutex_t far; /* one delta at a time that decodes two long
			      * contents: each needs a window */

	bool has_head;
	struct head head;
	struct release was;         /* the head's, when there is one */
	struct release now;         /* texts are its own, see publish.c */
	struct publish_tree *trees; /* one a transcript */
	struct timespec started;
};

/* A delta in the spool; of 0 bytes: there is none. */
struct publish_spooled {
	uint64_t at, bytes;
};

/* A content that the new manifest has and the old one has not at the same
 * path. */
struct publish_wanted {
	struct table_node node; /* by digest */
	struct digest digest;
	uint64_t size_bytes;
	bool is_held; /* the release before has it somewhere else */
	bool has_basis;
	struct digest basis;
	uint64_t basis_bytes;
	struct publish_spooled delta;
	char path[];
};

/* A file of the old manifest whose path the new one has not. */
struct publish_removed {
	struct digest digest;
	uint64_t size_bytes;
	char *path;
};

/* One transcript in the making. */
struct publish_tree {
	struct publish *p;
	const struct releasefile_source *source;
	struct release_transcript *t;         /* of p->now */
	const struct release_transcript *was; /* NULL: the first of its name */
	struct publish_transcript *result;
	struct repo_temp cache; /* the next stat cache */
	int dir;                /* the tree, held */
	int text_fd;            /* of the manifest */
	int was_fd;             /* of the manifest before, -1 */
	int spool_fd;           /* of deltas, one after another */
	uint64_t spool_bytes;
	bool was_begun; /* was_fd is being made */
	bool used_cache;
	bool cache_is_wrong; /* it named a content that is not there */

	struct table originals;

	struct table table;
	struct publish_wanted **wanted; /* those not held */
	size_t wanted_count;
	struct publish_removed *removed;
	size_t removed_count, removed_room;
	struct publish_spooled manifest_delta; /* none: it goes in full */
};

/* publish_kit.c: a free set of tools, made when there is none. */
MUST_CHECK int publish_kit_take(
    struct publish *p, struct publish_kit **out, struct err *e);
void publish_kit_give(struct publish *p, struct publish_kit *kit);
/* In place of giving it: what long contents took of memory goes. */
void publish_kit_free(struct publish_kit *kit);
void publish_kits_free(struct publish *p);
/* What is left of a part of a file, for delta_walk and data_writer_add. */
struct publish_part {
	int fd;
	uint64_t at, left;
};
MUST_CHECK int publish_read_part(
    void *part, void *dst, size_t size, size_t *got, struct err *e);
/* A nameless file; in memory for noop. */
MUST_CHECK int publish_scratch(struct publish *p, int *fd, struct err *e);

/* publish_actions.c: tells which triggers and checks differ. */
MUST_CHECK int publish_actions(const struct publish *p, struct err *e);

/* publish_scan.c: reads the tree; stores objects, writes the manifest to
 * text_fd, sets all of t->t but the data transcript.  The pool may still be
 * unpacking the manifest before when it returns, also after an error. */
MUST_CHECK int publish_scan(
    struct publish_tree *t, bool use_cache, struct err *e);
/* The stat cache of this scan is the next one's, once what it says is durable.
 * What goes wrong costs time and nothing else. */
void publish_keep_cache(struct publish_tree *t);

/* publish_original.c: notes the file of a content that was stored; from any
 * thread. */
MUST_CHECK int publish_keep_original(struct publish_tree *t,
    const struct scan_job *job, const struct digest *digest, struct err *e);
/* A file that still has the content by what stat says of it, for
 * publish_read_part. */
struct publish_file {
	struct publish_part part;
	const struct publish_original *original;
};
bool publish_open_original(const struct publish_tree *t,
    const struct publish_wanted *w, struct publish_file *out);
/* False: it changed, and what was read may be anything. */
MUST_CHECK bool publish_close_original(const struct publish_file *f);
void publish_forget_originals(struct publish_tree *t);

/* publish_diff.c: unpacks the manifest before to was_fd. */
MUST_CHECK int publish_open_was(struct publish_tree *t, struct err *e);
/* Compares with the manifest before, counts and tells what
 * changed, and finds the contents that a holder of it lacks.  ERR_NOT_FOUND
 * with cache_is_wrong: scan again without the cache. */
MUST_CHECK int publish_diff(struct publish_tree *t, struct err *e);
void publish_diff_forget(struct publish_tree *t);

/* publish_match.c: gives contents that have no basis at their own path the
 * removed one they resemble most. */
MUST_CHECK int publish_match(struct publish_tree *t, struct err *e);

/* publish_delta.c: the manifest's delta, into the spool; a pool_fn on a tree. */
MUST_CHECK int publish_manifest_delta(void *tree, struct err *e);
/* The deltas that are worth it, into the spool. */
MUST_CHECK int publish_deltas(struct publish_tree *t, struct err *e);

/* publish_data.c: installs the manifest; writes and installs the data
 * transcript, where there is a release before. */
MUST_CHECK int publish_put_manifest(struct publish_tree *t, struct err *e);
MUST_CHECK int publish_put_data(struct publish_tree *t, struct err *e);

#endif
