/* Which old content a new one resembles most: so that a file which was renamed
 * and edited is sent as a delta.
 *
 * A sketch is the RESEMBLE_VALUES smallest hashes of the content's windows of
 * 64 bytes, of which one in 32 is looked at, chosen by content: an insertion
 * moves none of the others.  The share of values that two sketches have in
 * common estimates the share of the contents (Broder, 1997). */
#ifndef TRANSCRIPTS_RESEMBLE_H
#define TRANSCRIPTS_RESEMBLE_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define RESEMBLE_VALUES 48
/* Less than this in common, in percent, and a delta saves too little. */
#define RESEMBLE_MIN_PERCENT 10

struct resemble_sketch {
	uint16_t count;
	uint64_t values[RESEMBLE_VALUES]; /* ascending, unique */
};

/* Content in pieces. */
struct resemble_state {
	uint64_t rolling;
	struct resemble_sketch sketch;
};
void resemble_init(struct resemble_state *s);
void resemble_add(struct resemble_state *s, const void *data, size_t len);
/* Of an open file, read by offset from its start. */
MUST_CHECK int resemble_file(
    int fd, struct resemble_sketch *out, struct err *e);

/* Estimated share in common, 0 to 100. */
unsigned resemble_percent(
    const struct resemble_sketch *a, const struct resemble_sketch *b);

/* Old contents to choose from. */
struct resemble_index;
#define RESEMBLE_NONE SIZE_MAX
struct resemble_candidate {
	struct resemble_sketch sketch;
	uint64_t size_bytes;
	const char *path; /* borrowed by the index */
};
/* The candidates are borrowed. */
MUST_CHECK int resemble_index_new(const struct resemble_candidate *candidates,
    size_t count, struct resemble_index **out, struct err *e);
void resemble_index_free(struct resemble_index *index);
/* Sets *best to the candidate that has most in common with `wanted`, or to
 * RESEMBLE_NONE when none has RESEMBLE_MIN_PERCENT.  Of equals the one with
 * the same file name, then the one nearest in size, then the first.  Not for
 * several threads at once. */
void resemble_index_best(struct resemble_index *index,
    const struct resemble_candidate *wanted, size_t *best);

#endif
