/* Giving up privilege, for good, before the first byte from outside is read.
 *
 * Order: the user is looked up and rules are made while paths can still be
 * opened; then user, parent, environment, limits, no_new_privs, Landlock, and
 * last the descriptors.  Call it in a process that has one thread; after an
 * error the process must end. */
#ifndef COMMON_SANDBOX_H
#define COMMON_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/err.h"

struct sandbox {
	/* Whose ids to take when started as root; NULL: stay.  Anybody but
	 * root stays what he is. */
	const char *user;

	/* What may be opened from here on: files, or directories with all
	 * below.  Paths that do not exist are passed over.  A file that is open
	 * stays usable in any case; a held directory only if it is listed. */
	const char *const *read_paths; /* ends with NULL; may be NULL */
	const int *read_fds;           /* directories, held before */
	size_t read_count;
	const int *write_fds; /* all may be made, changed, removed below */
	size_t write_count;
	/* No TCP connection made or accepted anew (where the kernel can). */
	bool no_tcp;

	/* Descriptors to keep beside 0, 1, 2; all others are closed when
	 * close_others is set. */
	const int *keep_fds;
	size_t keep_count;
	bool close_others;
	/* Variables to keep, ends with NULL; NULL: none.  PATH is set anew. */
	const char *const *keep_env;

	/* 0: as it is. */
	uint64_t max_memory_bytes; /* address space */
	uint64_t max_file_bytes;   /* of a file written */
	uint64_t max_files;        /* open at a time */
	/* Ends, by SIGKILL, when this process, the parent, does; 0: not. */
	pid_t parent;
};

/* Anything that this kernel can do and does not is an error; what it cannot is
 * passed over.  Built with PECIA_NO_SANDBOX only the user, the parent and the
 * environment are dealt with. */
MUST_CHECK int sandbox_enter(const struct sandbox *s, struct err *e);

/* Only takes a user's ids, with his first group alone, when we are root: for
 * programs of the operator's.  Root is refused; NULL: stays. */
MUST_CHECK int sandbox_become(const char *user, struct err *e);

/* The Landlock ABI that sandbox_enter uses here, for logs: 0 without any (old
 * kernel, or not built in), 1 files, 4 TCP too. */
int sandbox_landlock_abi(void);

#endif
