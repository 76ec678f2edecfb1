/* Publishing: trees become the next release of a channel.
 *
 * Everything below the head is written first; the switch of the head is the
 * one step that counts.  Whatever ends a run before it (an error, a crash)
 * leaves the release that was, and objects that nothing refers to. */
#ifndef SERVER_PUBLISH_H
#define SERVER_PUBLISH_H

#include "server/origin.h"
#include "server/releasefile.h"

struct progress;

/* zstd's level for objects up to OBJECT_WHOLE_BYTES.  From: 19,989 contents,
 * 242 MB: level 1 takes 86.5 MB, 2 takes 85.5 MB and 1.06 of the time, 3 84.1
 * MB and 1.22 of it; solid in groups, or with a dictionary, they take more. */
#define PUBLISH_OBJECT_LEVEL 3

enum publish_change {
	PUBLISH_ADDED,
	PUBLISH_CHANGED,
	PUBLISH_REMOVED,
	PUBLISH_CHANGES, /* that paths have */
	/* Of triggers and checks, which run in order: to another place among
	 * those that were there before. */
	PUBLISH_MOVED = PUBLISH_CHANGES,
	PUBLISH_ACTION_CHANGES,
};

struct publish_options {
	const struct releasefile *file;
	const char *channel;
	const char *author, *message, *source; /* NULL: "" */
	bool noop;                             /* write nothing */
	bool full; /* believe no stat cache: read every file */
	bool expects;
	uint64_t expect; /* serial that the channel must have; 0: no head */
	uint64_t lifetime_s;
	/* Not for noop. */
	const struct key *release_key, *head_key;

	struct progress *progress; /* may be NULL */
	/* Told of each path that differs from the release before ("." of a
	 * transcript that is no more), and of what is left out and why; in the
	 * caller's thread; may be NULL. */
	void (*change)(void *arg, const char *transcript,
	    enum publish_change kind, const char *path);
	void (*skipped)(void *arg, const char *transcript, const char *path,
	    const char *why);
	/* Told of each "trigger" and "check" that differs from the release
	 * before, perhaps twice: PUBLISH_CHANGED and PUBLISH_MOVED.  May be
	 * NULL. */
	void (*action)(void *arg, const char *what, enum publish_change kind,
	    const char *name);
	void *arg;
};

struct publish_transcript {
	char name[LIMIT_NAME_BYTES + 1];
	uint64_t entries, content_bytes;
	uint64_t changes[PUBLISH_CHANGES]; /* paths */
	uint64_t read_files, read_bytes;   /* that no stat cache answered for */
	uint64_t new_objects, new_bytes;   /* contents that were not there */
	uint64_t stored_bytes;             /* what they take */
	uint64_t deltas, full_objects;     /* in the data transcript */
	uint64_t data_bytes;               /* of the data transcript */
};

struct publish_result {
	bool published; /* false: nothing changed, or noop */
	bool differs;   /* from the release before; for noop */
	bool is_new_channel;
	uint64_t serial; /* of the channel now */
	struct digest release;
	struct publish_transcript *transcripts; /* free() */
	size_t count;
};

/* The caller holds the lock (but for noop) and has loaded `o`.  ERR_CONFLICT:
 * the channel is not at the serial expected; ERR_CHANGED, naming the path: a
 * file changed while it was read; other errors name what cannot be read. */
MUST_CHECK int publish_run(struct origin *o,
    const struct publish_options *options, struct publish_result *out,
    struct err *e);

#endif
