/* Pull: makes a release complete in a mirror's repository.  Nothing is served
 * of it before its head is committed. */
#ifndef SERVER_PULL_H
#define SERVER_PULL_H

#include "server/wants.h"
#include "transcripts/fetch.h"
#include "transcripts/object.h"
#include "transcripts/release.h"
#include "transcripts/repo.h"

struct pull {
	struct repo *repo;
	struct fetch *fetch;
	struct object_writer *writer;
	struct object_reader *reader;
	struct err failing; /* the first object that upstream could not give */
	bool spoiled;       /* the rest of the current one is passed over */

	/* Counted, for the log. */
	uint64_t data_objects; /* that came by data transcripts */
	uint64_t objects;      /* that came as frames */
	uint64_t data_bytes;   /* of data transcripts */
};

MUST_CHECK int pull_init(struct pull *p, struct repo *repo, struct err *e);
void pull_release(struct pull *p);

/* Everything below `release` that the repository lacks: manifests, data
 * transcripts, objects.  `before` is the release just before it, complete here,
 * or NULL: then deltas have nothing to start from.  With only_data, objects
 * that no data transcript brings are left out (for a release that is only on
 * the way to a newer one).  What a cut left behind is gone on with. */
MUST_CHECK int pull_one(struct pull *p, const struct release *release,
    const struct release *before, bool only_data, struct err *e);

/* For who has content from elsewhere. */
/* All manifests of the release. */
MUST_CHECK int pull_manifests(
    struct pull *p, const struct release *release, struct err *e);
/* Adds the objects of its manifests, all here, that the repository lacks; then
 * sorts. */
MUST_CHECK int pull_missing(struct pull *p, const struct release *release,
    struct wants *missing, struct err *e);
/* Fetches its data transcripts; adds what their deltas to missing objects start
 * from (sizes are 0: unknown), then sorts. */
MUST_CHECK int pull_bases(struct pull *p, const struct release *release,
    const struct wants *missing, struct wants *bases, struct err *e);

#endif
