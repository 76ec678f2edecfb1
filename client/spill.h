/* Spill: memory for what grows with a tree.  The first SPILL_MEMORY_BYTES are
 * of the heap; what is more lies in a nameless file that is mapped, so that the
 * kernel may write it out and take the pages.  Room in that file is written
 * before it is mapped: a full disk is an error here, no signal later. */
#ifndef CLIENT_SPILL_H
#define CLIENT_SPILL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define SPILL_MEMORY_BYTES ((size_t)2 << 20)

struct spill_part {
	void *at;
	size_t bytes;
	bool is_mapped;
};

struct spill {
	int dir; /* where the file is made, borrowed; -1: all in memory */
	int fd;  /* of the file, -1 before there is one */
	uint64_t file_bytes, heap_bytes;
	struct spill_part *parts;
	size_t count, room;
};

void spill_init(struct spill *s, int dir);
void spill_release(struct spill *s);
/* For one array: it is `bytes` long from here on, with what it had, maybe
 * elsewhere.  After an error it is as it was. */
MUST_CHECK int spill_resize(
    struct spill *s, size_t bytes, void **out, struct err *e);
/* For many texts: another piece of memory, which stays where it is. */
MUST_CHECK int spill_add(
    struct spill *s, size_t bytes, void **out, struct err *e);
/* Gives mapped pages back: what is read again comes from the file.  To be called
 * now and then by those who pass over all of it. */
void spill_ease(const struct spill *s);

#endif
