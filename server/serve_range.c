/* HTTP conditions and ranges. */
#include "server/serve_range.h"

#include <string.h>
#include <strings.h>

#include "common/text.h"

static enum serve_range
suffix_range(const char *digits, uint64_t size, uint64_t *first, uint64_t *len)
{
	uint64_t n;

	if (text_u64(digits, strlen(digits), UINT64_MAX, &n) != 0)
		return SERVE_RANGE_WHOLE;
	if (n == 0 || size == 0)
		return SERVE_RANGE_UNSATISFIABLE;
	*len = n < size ? n : size;
	*first = size - *len;
	return SERVE_RANGE_PART;
}

enum serve_range
serve_range_parse(
    const char *range, uint64_t size, uint64_t *first, uint64_t *len)
{
	uint64_t from, to = UINT64_MAX;
	const char *dash;

	if (range == NULL || strncasecmp(range, "bytes=", 6) != 0)
		return SERVE_RANGE_WHOLE;
	range += 6;
	dash = strchr(range, '-');
	if (dash == NULL)
		return SERVE_RANGE_WHOLE;
	if (dash == range)
		return suffix_range(dash + 1, size, first, len);
	if (text_u64(range, (size_t)(dash - range), UINT64_MAX, &from) != 0)
		return SERVE_RANGE_WHOLE;
	if (dash[1] != '\0' &&
	    text_u64(dash + 1, strlen(dash + 1), UINT64_MAX, &to) != 0)
		return SERVE_RANGE_WHOLE;
	if (to < from)
		return SERVE_RANGE_WHOLE;
	if (from >= size)
		return SERVE_RANGE_UNSATISFIABLE;
	*first = from;
	*len = (to < size - 1 ? to : size - 1) - from + 1;
	return SERVE_RANGE_PART;
}

bool
serve_tag_listed(const char *list, const char *tag)
{
	size_t want = strlen(tag);

	if (list == NULL)
		return false;
	if (strcmp(list, "*") == 0)
		return true;
	while (*list != '\0') {
		size_t len;

		list += strspn(list, " \t,");
		if (strncmp(list, "W/", 2) == 0)
			list += 2;
		len = strcspn(list, " \t,");
		if (len == want && memcmp(list, tag, want) == 0)
			return true;
		list += len;
	}
	return false;
}
