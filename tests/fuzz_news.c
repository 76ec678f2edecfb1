/* News behind a head, as a server sends them: in pieces of any size. */
#include "transcripts/news.h"

#include <stdlib.h>

#include "tests/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e = ERR_INIT;
	struct news n;
	size_t step = size > 0 ? 1 + data[0] : 1;
	int rc = 0;

	news_init(&n);
	for (size_t at = 0; at < size && rc == 0; at += step)
		rc = news_take(
		    &n, data + at, size - at < step ? size - at : step, &e);
	for (size_t i = 0; i < n.count; i++) {
		const struct news_part *p = &n.parts[i];

		if (p->len > p->size_bytes || p->at > n.bytes.len ||
		    p->len > n.bytes.len - p->at ||
		    (p->len < p->size_bytes && i + 1 < n.count) ||
		    news_find(&n, p->path, p->size_bytes) == NULL)
			abort();
	}
	news_drop(&n);
	return 0;
}
