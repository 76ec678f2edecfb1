/* Which transcript of the applied release a path comes from. */
#ifndef CLIENT_WHICH_H
#define CLIENT_WHICH_H

#include "client/session.h"
#include "transcripts/manifest.h"

struct which {
	const struct release_transcript *winner; /* NULL: none has it */
	uint8_t type; /* of the winner's entry; enum manifest_type */
	bool implied; /* a directory that only leads to a target */
	bool exact;   /* in a target of which everything else goes */
	const struct release_transcript *hidden[LIMIT_TRANSCRIPTS];
	size_t hidden_count; /* that have it too, but lose; lowest first */
};

/* A release must be applied.  What *out points to belongs to the session. */
MUST_CHECK int which_find(
    struct session *s, const char *path, struct which *out, struct err *e);

#endif
