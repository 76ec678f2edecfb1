/* Claims: one process at a time does a job that takes its life.  Used by
 * peciad's processes. */
#include <errno.h>
#include <unistd.h>

#include "common/fsat.h"
#include "common/fscalls.h"
#include "common/text.h"
#include "transcripts/repo.h"

#define PID_BYTES 24 /* of a process's number, a newline and a NUL */

/* Only others read it, so that failing to write it is no failure. */
static void
write_pid(int fd)
{
	char text[PID_BYTES];
	int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());

	if (fscalls()->ftruncate(fd, 0) != 0 ||
	    fsat_write_all(fd, text, (size_t)len, NULL) != 0)
		errno = 0;
}

/* 0 where it does not say. */
static uint64_t
read_pid(struct repo *r, const char *path)
{
	uint64_t pid = 0;
	struct buf text;

	buf_init(&text, PID_BYTES);
	if (fsat_read_file(repo_fd(r), path, PID_BYTES, &text, NULL) != 0 ||
	    text_u64(buf_str(&text), strcspn(buf_str(&text), "\n"), INT32_MAX,
	        &pid) != 0)
		pid = 0;
	buf_release(&text);
	return pid;
}

static int
is_taken(struct repo *r, const char *path, const char *name, struct err *e)
{
	uint64_t pid = read_pid(r, path);

	if (pid == 0)
		return err_set(e, ERR_CONFLICT,
		    "repository %s has a %s already, another process",
		    repo_name(r), name);
	return err_set(e, ERR_CONFLICT,
	    "repository %s has a %s already, process %llu", repo_name(r), name,
	    (unsigned long long)pid);
}

int
repo_claim(struct repo *r, const char *name, int *claim, struct err *e)
{
	char path[REPO_PATH_BYTES];
	int fd = -1, ret;

	(void)snprintf(path, sizeof(path), "claim-%s", name);
	ret = fsat_open_write(repo_fd(r), path, 0600, &fd, e);
	if (ret == 0)
		ret = fsat_lock(fd, 0, e);
	if (ret != 0) {
		if (fd >= 0)
			close(fd);
		return ret == ERR_CONFLICT ? is_taken(r, path, name, e)
		                           : err_prefix(e, "%s", path);
	}
	write_pid(fd);
	*claim = fd;
	return 0;
}
