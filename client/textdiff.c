/* Runs diff(1), without a shell: the two files are handed down as
 * descriptors. */
#include "client/textdiff.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/fsat.h"

#define DIFF_PROGRAM "/usr/bin/diff"
#define CHILD_FAILED 126
#define FD_PATH      32
#define FIRST_FD     10 /* above all that a shell of ours has open */

/* A copy of the descriptor that survives execve, at its beginning. */
static int
hand_down(int fd, int null)
{
	int copy = fcntl(fd >= 0 ? fd : null, F_DUPFD, FIRST_FD);

	if (copy >= 0 && fd >= 0 && lseek(copy, 0, SEEK_SET) < 0)
		return -1;
	return copy;
}

static _Noreturn void
run_diff_program(const struct textdiff_side *old,
    const struct textdiff_side *new_side, int null)
{
	char program[] = DIFF_PROGRAM, unified[] = "-u", label[] = "--label";
	char *old_label = strdup(old->label);
	char *new_label = strdup(new_side->label);
	char from[FD_PATH], to[FD_PATH];
	int a = hand_down(old->fd, null), b = hand_down(new_side->fd, null);
	char *const argv[] = { program, unified, label, old_label, label,
		new_label, from, to, NULL };
	char *const no_environment[] = { NULL };

	if (a < 0 || b < 0 || old_label == NULL || new_label == NULL)
		_exit(CHILD_FAILED);
	(void)snprintf(from, sizeof(from), "/dev/fd/%d", a);
	(void)snprintf(to, sizeof(to), "/dev/fd/%d", b);
	(void)execve(program, argv, no_environment);
	_exit(CHILD_FAILED);
}

static int
wait_for_child(pid_t pid, struct err *e)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_sys(e, "diff");
	/* 1: they differ. */
	if (WIFEXITED(status) && WEXITSTATUS(status) <= 1)
		return 0;
	return err_set(e, ERR_SYS, "%s failed (status %d)", DIFF_PROGRAM,
	    WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

int
textdiff_print(const struct textdiff_side *old,
    const struct textdiff_side *new_side, struct err *e)
{
	int null = -1, program = -1, rc;
	pid_t pid;

	rc = fsat_operator_hold(DIFF_PROGRAM, &program, e);
	if (rc != 0)
		return err_prefix(e, "install diffutils to see differences");
	close(program);
	if ((rc = fsat_operator_open("/dev/null", &null, e)) != 0)
		return rc;
	if (fflush(stdout) != 0) {
		rc = err_sys(e, "standard output");
	} else if ((pid = fork()) < 0) {
		rc = err_sys(e, "diff");
	} else if (pid == 0) {
		run_diff_program(old, new_side, null);
	} else {
		rc = wait_for_child(pid, e);
	}
	close(null);
	return rc;
}
