/* Bytes in memory as a source and as a sink, for tests of what pulls and pushes:
 * the shapes are those of delta.h, data.h and zst.h. */
#ifndef TESTS_FEED_H
#define TESTS_FEED_H

#include <string.h>

#include "common/buf.h"

struct feed {
	const uint8_t *data;
	size_t len, pos;
	size_t step; /* given at a time, at most */
};

static inline int
feed_give(void *arg, void *dst, size_t size, size_t *got, struct err *e)
{
	struct feed *f = arg;
	size_t n = f->len - f->pos;

	(void)e;
	n = n < f->step ? n : f->step;
	n = n < size ? n : size;
	if (n > 0)
		memcpy(dst, f->data + f->pos, n);
	f->pos += n;
	*got = n;
	return 0;
}

/* Into a struct buf. */
static inline int
feed_collect(void *arg, const void *data, size_t len, struct err *e)
{
	struct buf *b = arg;

	(void)e;
	buf_add(b, data, len);
	return b->failed;
}

#endif
