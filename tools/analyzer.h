/* Read before each file by tools/lint-tidy: the analyzer looks at one file at a
 * time and cannot know that what records an error never returns 0. */
#ifndef TOOLS_ANALYZER_H
#define TOOLS_ANALYZER_H

#include "common/err.h"

static inline int
analyzer_failed(int code)
{
	if (code >= 0)
		__builtin_unreachable();
	return code;
}

#define err_set(...)    analyzer_failed(err_set(__VA_ARGS__))
#define err_sys(...)    analyzer_failed(err_sys(__VA_ARGS__))
#define err_prefix(...) analyzer_failed(err_prefix(__VA_ARGS__))
#define err_memory(...) analyzer_failed(err_memory(__VA_ARGS__))

#endif
