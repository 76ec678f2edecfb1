/* Inside the fsat module (common/fsat*.c) only: where a path's last component
 * is, reached without leaving the held directory. */
#ifndef COMMON_FSAT_PLACE_H
#define COMMON_FSAT_PLACE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

struct place {
	int dir;          /* holds name; the caller's or `held` */
	const char *name; /* no '/'; "" for the descriptor itself */
	int empty;        /* AT_EMPTY_PATH when name is "", else 0 */
	int held;         /* to be closed, or -1 */
};

enum place_kind {
	PLACE_NAME, /* a name in a directory */
	PLACE_ANY,  /* or "", ".": the descriptor itself */
};

/* Checks path and opens its parent, if it names one.  End with place_leave
 * or place_finish, after success only. */
MUST_CHECK int place_enter(int dir, const char *path, enum place_kind kind,
    struct place *p, struct err *e);
/* Keeps errno. */
void place_leave(struct place *p);
/* Leaves p and turns `result` of a system call into 0 or the error
 * "verb path: errno's text". */
int place_finish(struct place *p, long result, const char *verb,
    const char *path, struct err *e);
/* As err_sys, with a word on links where one was in the way. */
int place_fail(const char *verb, const char *path, struct err *e);

/* open() that never leaves dir nor follows a link, not even the last one.
 * -1 and errno on error. */
int place_open(int dir, const char *path, int flags, unsigned mode);

#endif
