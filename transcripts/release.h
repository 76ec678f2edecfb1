/* Release: exactly these transcripts, profiles and hosts, under one serial of
 * one channel.  Signed by the release role. */
#ifndef TRANSCRIPTS_RELEASE_H
#define TRANSCRIPTS_RELEASE_H

#include <time.h>

#include "common/crypto_digest.h"
#include "transcripts/actions.h"
#include "transcripts/root.h"

enum release_mode {
	RELEASE_OVERLAY,
	RELEASE_EXACT
};

struct release_transcript {
	char name[LIMIT_NAME_BYTES + 1];
	enum release_mode mode;
	struct digest manifest;  /* of the manifest's text */
	uint64_t manifest_bytes; /* of the text, at least 1 */
	uint64_t entries;
	uint64_t content_bytes; /* sum of the sizes of regular files */
	bool has_data;          /* false: no data transcript */
	struct digest data;     /* of the data transcript's file */
	uint64_t data_bytes;    /* of the file; 0 when there is none */
	char *target;    /* absolute, no trailing '/', "/" for the root */
	char **excludes; /* patterns relative to the target */
	size_t exclude_count;
};

struct release_profile {
	char name[LIMIT_NAME_BYTES + 1];
	uint16_t
	    *transcripts; /* indexes into release.transcripts; later wins */
	size_t count;     /* at least 1; no transcript twice */
};

struct release_host {
	char *pattern;    /* shell pattern on the host's name */
	uint16_t profile; /* index into release.profiles */
	char channel[LIMIT_NAME_BYTES + 1]; /* "" for any */
};

struct release {
	char channel[LIMIT_NAME_BYTES + 1];
	bool has_previous;
	struct digest previous; /* of the statement of serial - 1 */
	uint64_t serial;        /* 1..STATEMENT_NUMBER_MAX */
	time_t created;
	char *author, *message, *source; /* "" when not given; NULL counts so */
	struct release_transcript *transcripts; /* sorted by name, unique */
	size_t transcript_count;
	struct release_profile *profiles; /* sorted by name, unique */
	size_t profile_count;
	struct release_host *hosts; /* in order: first match counts */
	size_t host_count;
	struct actions triggers, checks;
};

/* All zero and empty.  release_release frees every pointer in it, so that
 * arrays and texts that a caller puts in must come from malloc. */
void release_init(struct release *r);
void release_release(struct release *r);

/* Of a verified body.  `out` owns what it points to; what it held before is
 * not released. */
MUST_CHECK int release_parse(
    const char *body, size_t len, struct release *out, struct err *e);
/* Adds the body (without signatures) in canonical form, of a release whose
 * indexes are in range.  It does not judge the rest: a publisher parses what
 * it wrote before it signs. */
void release_write(struct buf *text, const struct release *r);

struct head;
/* Digest and size against the head, root_verify with ROOT_ROLE_RELEASE,
 * release_parse, channel and serial against the head. */
MUST_CHECK int release_read(const struct root *root, const struct head *head,
    const void *data, size_t len, struct release *out, struct err *e);
/* The same for the release before another, known by its digest only. */
MUST_CHECK int release_read_previous(const struct root *root,
    const struct release *next, const void *data, size_t len,
    struct release *out, struct err *e);

/* By name, or NULL. */
const struct release_transcript *release_find_transcript(
    const struct release *r, const char *name);
const struct release_profile *release_find_profile(
    const struct release *r, const char *name);
/* The profile of a host in this channel: the first host pattern that matches
 * (shell pattern, case-insensitive).  ERR_NOT_FOUND says what the release has
 * instead. */
MUST_CHECK int release_profile_of(const struct release *r, const char *host,
    const struct release_profile **out, struct err *e);

/* Whether a text may be a transcript's target: absolute, no empty, "." or
 * ".." component, none over-long, no '/' at the end but in "/" itself. */
bool release_is_target(const char *path);

#endif
