/* Swaps directories for symlinks that lead elsewhere, and back, as fast as it
 * can: who is between checking a path and using it, is led astray.
 *
 *   tool_swap ASIDE ELSEWHERE DIR...
 *
 * Paths are absolute. *
 * ASIDE, an empty directory on the same file system, holds what is not in its
 * place.  Ends at SIGTERM, puts back what it can, and prints how often it
 * swapped. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PATH_BYTES 4096
#define DIRS_MAX   16
#define PAUSE_NS   100000

static volatile sig_atomic_t ended;

static void
end(int signal_number)
{
	(void)signal_number;
	ended = 1;
}

static _Noreturn void
fail(const char *what)
{
	(void)fprintf(stderr, "tool_swap: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Its own links must not lead it astray. */
static int
open_parent(const char *path)
{
	struct open_how how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_NO_SYMLINKS };
	char parent[PATH_BYTES];

	(void)snprintf(parent, sizeof(parent), "%.*s",
	    (int)(strrchr(path, '/') - path), path);
	return (int)syscall(SYS_openat2, AT_FDCWD, parent, &how, sizeof(how));
}

static int
swap(const char *path, const char *aside)
{
	int dir = open_parent(path), ok;

	ok = dir >= 0 &&
	    renameat2(dir, strrchr(path, '/') + 1, AT_FDCWD, aside,
	        RENAME_EXCHANGE) == 0;
	if (dir >= 0)
		close(dir);
	return ok;
}

static int
is_dir(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int
main(int argc, char **argv)
{
	char aside[DIRS_MAX][PATH_BYTES];
	struct sigaction act = { .sa_handler = end };
	const struct timespec pause = { 0, PAUSE_NS };
	unsigned long swaps = 0;
	int count = argc - 3;

	if (count < 1 || count > DIRS_MAX) {
		(void)fprintf(
		    stderr, "usage: tool_swap ASIDE ELSEWHERE DIR...\n");
		return 2;
	}
	if (sigaction(SIGTERM, &act, NULL) != 0)
		fail("sigaction");
	for (int i = 0; i < count; i++) {
		(void)snprintf(aside[i], PATH_BYTES, "%s/%d", argv[1], i);
		if (symlink(argv[2], aside[i]) != 0)
			fail(aside[i]);
	}
	while (!ended) {
		for (int i = 0; i < count; i++)
			swaps += (unsigned long)(swap(argv[3 + i], aside[i]) +
			    swap(argv[3 + i], aside[i]));
		/* A run that always failed at once would show nothing. */
		nanosleep(&pause, NULL);
	}
	for (int i = 0; i < count; i++)
		if (is_dir(aside[i]))
			(void)swap(argv[3 + i], aside[i]);
	printf("%lu\n", swaps);
	return 0;
}
