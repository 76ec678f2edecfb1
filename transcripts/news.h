/* News: what a server sends behind a head, before it is asked for it: files of
 * the repository, each after a line "PATH BYTES".  Kept as they come, all of
 * them in memory, LIMIT_NEWS_BYTES at most.  Nothing of them is believed: they
 * stand for the answers that the server would have given. */
#ifndef TRANSCRIPTS_NEWS_H
#define TRANSCRIPTS_NEWS_H

#include "common/buf.h"
#include "common/limits.h"

struct news_part {
	char path[96];
	size_t at, len; /* in news.bytes: what has come */
	uint64_t size_bytes;
};

struct news {
	struct news_part parts[LIMIT_TRANSCRIPTS + 1];
	size_t count;
	struct buf bytes; /* of all parts; only the last one may be in part */
	char line[128];   /* that announces the next one, so far */
	size_t line_len;
};

void news_init(struct news *n);
/* Forgets them; `n` may be used again. */
void news_drop(struct news *n);
/* The next bytes.  ERR_FORMAT, ERR_LIMIT: no more of them; what was complete
 * stays. */
MUST_CHECK int news_take(
    struct news *n, const uint8_t *data, size_t len, struct err *e);
/* The part of this path, if it is of at most max_bytes; or NULL. */
const struct news_part *news_find(
    const struct news *n, const char *path, uint64_t max_bytes);

#endif
