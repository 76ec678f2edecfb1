/* Runs a command and says what it cost.
 *
 *   tool_measure FILE COMMAND...
 *
 * Writes to FILE one line: wall seconds, CPU seconds (user and system, with
 * all processes waited for), peak memory in bytes of the largest process,
 * exit status.  This process is small: a command's peak cannot be less than
 * that of whoever started it. */
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double
seconds(const struct timeval *t)
{
	return (double)t->tv_sec + (double)t->tv_usec / 1e6;
}

int
main(int argc, char *argv[])
{
	struct timespec start, end;
	struct rusage usage;
	int status;
	pid_t pid;
	FILE *f;

	if (argc < 3) {
		(void)fprintf(stderr, "usage: tool_measure FILE COMMAND...\n");
		return 64;
	}
	clock_gettime(CLOCK_MONOTONIC, &start);
	pid = fork();
	if (pid == 0) {
		execvp(argv[2], argv + 2);
		_exit(127);
	}
	if (pid < 0 || wait4(pid, &status, 0, &usage) != pid) {
		perror("tool_measure");
		return 1;
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	f = fopen(argv[1], "w");
	if (f == NULL) {
		perror(argv[1]);
		return 1;
	}
	(void)fprintf(f, "%.6f %.6f %ld %d\n",
	    (double)(end.tv_sec - start.tv_sec) +
	        (double)(end.tv_nsec - start.tv_nsec) / 1e9,
	    seconds(&usage.ru_utime) + seconds(&usage.ru_stime),
	    usage.ru_maxrss * 1024L,
	    WIFEXITED(status) ? WEXITSTATUS(status) : 255);
	return fclose(f) == 0 ? 0 : 1;
}
