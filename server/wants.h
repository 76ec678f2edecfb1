/* Objects by digest, with the sizes that a manifest signs for. */
#ifndef SERVER_WANTS_H
#define SERVER_WANTS_H

#include "transcripts/fetch.h"

struct wants {
	struct fetch_want *list; /* owned; sorted by digest after wants_sort */
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
const struct fetch_want *wants_find(
    const struct wants *w, const struct digest *digest);
void wants_release(struct wants *w);

#endif
