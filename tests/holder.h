/* What a holder of the release before makes of a data transcript: each content
 * that is not what its name says fails the test. */
#ifndef TESTS_HOLDER_H
#define TESTS_HOLDER_H

#include <stdbool.h>

#include "transcripts/data.h"

struct repo;

struct holder {
	struct repo *repo;
	struct object_reader *objects;
	struct data_reader *data;
	size_t members[DATA_OBJECT + 1];
	struct digest got[16];
	size_t count;
};

/* Sets members, got and count. */
void holder_unpack(struct holder *h, struct repo *r, const struct digest *data);
bool holder_has(const struct holder *h, const struct digest *d);

#endif
