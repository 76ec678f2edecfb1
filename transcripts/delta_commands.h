/* librsync's delta format, writing: commands in the order of the new content,
 * gathered into pieces for a sink.  Publishers only. */
#ifndef TRANSCRIPTS_DELTA_COMMANDS_H
#define TRANSCRIPTS_DELTA_COMMANDS_H

#include "common/buf.h"
#include "transcripts/delta.h"

struct delta_commands {
	delta_sink sink;
	void *arg;
	uint64_t left; /* bytes that the sink may still get */
	/* A copy that the next one may go on with. */
	uint64_t copy_at, copy_bytes;
	struct buf piece;
};

/* The header.  At most max_bytes will reach the sink: ERR_LIMIT. */
void delta_commands_init(
    struct delta_commands *c, delta_sink sink, void *arg, uint64_t max_bytes);
void delta_commands_release(struct delta_commands *c);
MUST_CHECK int delta_commands_copy(
    struct delta_commands *c, uint64_t at, uint64_t bytes, struct err *e);
MUST_CHECK int delta_commands_literal(
    struct delta_commands *c, const void *data, size_t len, struct err *e);
/* The end command, and all that was gathered. */
MUST_CHECK int delta_commands_end(struct delta_commands *c, struct err *e);

#endif
