/* ck_assert for what holds a million times: Check notes each of its own that
 * does in a file. */
#ifndef TESTS_MUST_H
#define TESTS_MUST_H

#include <check.h>

#define must(holds) ((holds) ? (void)0 : ck_abort_msg("%s", #holds))
/* A call that tells its error in `e`. */
#define must_do(call) \
 ((call) == 0 ? (void)0 : ck_abort_msg("%s: %s", #call, e.msg))

#endif
