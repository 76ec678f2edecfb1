/* Errors: a code for the program, a sentence for the reader.
 *
 * Calling sequence: the caller that decides keeps a `struct err e = ERR_INIT`
 * and passes &e down; the function that fails calls err_set or err_sys and
 * returns what they return; those between may add what they were doing with
 * err_prefix.  Nothing below a program's main files prints. */
#ifndef COMMON_ERR_H
#define COMMON_ERR_H

#include "common/banned.h"

#define ERR_MSG_BYTES 1024

enum {
	ERR_SYS = -1,       /* a system call failed; err.sys holds errno */
	ERR_NOT_FOUND = -2, /* the thing named does not exist (ENOENT too) */
	ERR_FORMAT = -3,    /* bytes from outside break a format's rules */
	ERR_VERIFY = -4,    /* signature, digest, size or key does not match */
	ERR_LIMIT = -5,     /* larger, longer or more than limits.h allows */
	ERR_NO_MEMORY = -6,
	ERR_NET = -7, /* name, connection or protocol of a peer failed */
	ERR_TIMEOUT = -8,
	ERR_USAGE = -9, /* what the operator gave makes no sense */
	ERR_CONFLICT =
	    -10, /* somebody else was first: lock, compare-and-swap */
	ERR_ROLLBACK = -11, /* older than what was seen before */
	ERR_EXPIRED = -12,
	ERR_UNSUPPORTED = -13, /* the target system cannot hold it */
	ERR_CHANGED = -14,     /* a file changed while it was read */
	ERR_BUSY = -15,        /* another process is at it: later */
};

struct err {
	int code;
	int sys; /* errno of an ERR_SYS or ERR_NOT_FOUND, else 0 */
	char msg[ERR_MSG_BYTES];
};

#define ERR_INIT \
 {               \
  0, 0, ""       \
 }

#define MUST_CHECK __attribute__((warn_unused_result))

/* Records `code` (one of ERR_*) and a message; control bytes in it become
 * \ooo, so text from outside may be formatted in.  `e` may be NULL.
 * Returns code. */
int err_set(struct err *e, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* As err_set with errno's text added; ENOENT gives ERR_NOT_FOUND, ENOMEM
 * ERR_NO_MEMORY, all else ERR_SYS.  Returns the code. */
int err_sys(struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Puts "<text>: " before the message.  Returns e->code (ERR_SYS if NULL). */
int err_prefix(struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Records that memory ran out.  Returns ERR_NO_MEMORY. */
int err_memory(struct err *e);

/* Forgets what was recorded. */
void err_clear(struct err *e);

#endif
