/* Conditions and ranges of HTTP requests (RFC 9110 13 and 14), as pure
 * functions of header texts. */
#ifndef SERVER_SERVE_RANGE_H
#define SERVER_SERVE_RANGE_H

#include <stdbool.h>
#include <stdint.h>

enum serve_range {
	SERVE_RANGE_WHOLE, /* none, or one that is to be ignored: send it all */
	SERVE_RANGE_PART,
	SERVE_RANGE_UNSATISFIABLE,
};

/* Of `bytes=a-b`, `bytes=a-` or `bytes=-n`; several ranges count as none.
 * *first and *len are written for SERVE_RANGE_PART only, and lie within
 * size_bytes. */
enum serve_range serve_range_parse(
    const char *range, uint64_t size_bytes, uint64_t *first, uint64_t *len);

/* Whether an If-None-Match value lists the tag (with its quotes), or is "*".
 * NULL lists nothing. */
bool serve_tag_listed(const char *if_none_match, const char *tag);

#endif
