/* Runs a command and kills it at its Nth call that changes a file system, so
 * that every point of a crash can be tried, one after another.
 *
 *   tool_kill_at N FILE COMMAND...
 *
 * N 0: it is not killed.  FILE gets how many such calls there were.  The exit
 * status is the command's, 137 when it was killed; 77: tracing is not allowed
 * here. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SKIPPED 77

static const long changes[] = { SYS_renameat, SYS_renameat2, SYS_unlinkat,
	SYS_mkdirat, SYS_symlinkat, SYS_linkat, SYS_mknodat, SYS_fchmod,
	SYS_fchmodat, SYS_fchown, SYS_fchownat, SYS_utimensat, SYS_setxattr,
	SYS_fsetxattr, SYS_ftruncate, SYS_fsync, SYS_syncfs, SYS_write };

static int
is_change(long nr)
{
	for (size_t i = 0; i < sizeof(changes) / sizeof(*changes); i++)
		if (changes[i] == nr)
			return 1;
	return 0;
}

static _Noreturn void
run_command(char **argv)
{
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
		_exit(SKIPPED);
	execvp(argv[0], argv);
	_exit(127);
}

/* Whether it stands before a call that counts. */
static int
at_change(pid_t pid)
{
	struct __ptrace_syscall_info info;

	if (ptrace((enum __ptrace_request)PTRACE_GET_SYSCALL_INFO, pid,
	        sizeof(info), &info) <= 0)
		return 0;
	return info.op == PTRACE_SYSCALL_INFO_ENTRY &&
	    is_change((long)info.entry.nr);
}

/* From stop to stop; the status it ended with. */
static int
follow(pid_t pid, long n, long *count)
{
	int status, sig;

	for (;;) {
		while (waitpid(pid, &status, 0) < 0)
			if (errno != EINTR)
				return 1;
		if (WIFEXITED(status))
			return WEXITSTATUS(status);
		if (WIFSIGNALED(status))
			return 128 + WTERMSIG(status);
		sig = WSTOPSIG(status);
		if (sig == (SIGTRAP | 0x80)) {
			sig = 0;
			if (at_change(pid) && ++*count == n)
				kill(pid, SIGKILL);
		} else if (sig == SIGTRAP) {
			sig = 0;
			if (ptrace(PTRACE_SETOPTIONS, pid, NULL,
			        PTRACE_O_TRACESYSGOOD) != 0)
				return SKIPPED;
		}
		if (ptrace(PTRACE_SYSCALL, pid, NULL, (long)sig) != 0 &&
		    errno != ESRCH)
			return 1;
	}
}

int
main(int argc, char **argv)
{
	long count = 0;
	FILE *out;
	pid_t pid;
	int rc;

	if (argc < 4) {
		(void)fprintf(
		    stderr, "usage: tool_kill_at N FILE COMMAND...\n");
		return 64;
	}
	pid = fork();
	if (pid < 0)
		return 1;
	if (pid == 0)
		run_command(argv + 3);
	rc = follow(pid, strtol(argv[1], NULL, 10), &count);
	out = fopen(argv[2], "w");
	if (out == NULL)
		return 1;
	(void)fprintf(out, "%ld\n", count);
	return fclose(out) == 0 ? rc : 1;
}
