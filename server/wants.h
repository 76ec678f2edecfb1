/* What is sought, by digest, with the sizes that a manifest signs for: 16 bytes
 * each, so that a million are no burden.  Kept is the beginning of each digest:
 * who finds one has the content's own digest checked, here or elsewhere, and two
 * that begin alike cost a question more, no more than that. */
#ifndef SERVER_WANTS_H
#define SERVER_WANTS_H

#include <stddef.h>
#include <stdint.h>

#include "common/crypto_digest.h"
#include "common/err.h"

struct want {
	uint64_t beginning; /* of the digest */
	uint64_t size_bytes;
};
struct wants {
	struct want *list; /* owned; sorted after wants_sort */
	size_t count, room;
};
#define WANTS_INIT \
 {                 \
  NULL, 0, 0       \
 }

MUST_CHECK int wants_add(struct wants *w, const struct digest *digest,
    uint64_t size_bytes, struct err *e);
/* Each once. */
void wants_sort(struct wants *w);
/* Of sorted ones; NULL when it is not among them. */
const struct want *wants_find(
    const struct wants *w, const struct digest *digest);
void wants_release(struct wants *w);

#endif
