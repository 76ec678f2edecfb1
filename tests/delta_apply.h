/* What a reader of deltas does with a basis: for tests of deltas. */
#ifndef TESTS_DELTA_APPLY_H
#define TESTS_DELTA_APPLY_H

#include <unistd.h>

#include "transcripts/delta.h"

struct delta_apply {
	int basis_fd;
	delta_source source;
	void *source_arg;
	delta_sink sink;
	void *sink_arg;
	uint64_t max_bytes;
};

static inline int
delta_apply_literal(void *arg, const void *data, size_t len, struct err *e)
{
	const struct delta_apply *a = arg;

	return a->sink(a->sink_arg, data, len, e);
}

static inline int
delta_apply_copy(void *arg, uint64_t offset, uint64_t len, struct err *e)
{
	const struct delta_apply *a = arg;
	uint8_t piece[4096];
	int rc = 0;

	while (rc == 0 && len > 0) {
		ssize_t n = pread(a->basis_fd, piece,
		    len < sizeof(piece) ? (size_t)len : sizeof(piece),
		    (off_t)offset);

		if (n <= 0)
			return err_set(e, ERR_FORMAT, "not in the basis");
		rc = a->sink(a->sink_arg, piece, (size_t)n, e);
		offset += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return rc;
}

static inline int
delta_apply(struct delta_apply *a, struct err *e)
{
	const struct delta_patch patch = { .source = a->source,
		.source_arg = a->source_arg,
		.literal = delta_apply_literal,
		.copy = delta_apply_copy,
		.arg = a,
		.max_bytes = a->max_bytes };

	return delta_read(&patch, e);
}

#endif
