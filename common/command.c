/* Running programs of the operator's and of releases. */
#include "common/command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fsat.h"
#include "common/limits.h"

#define PIECE 4096

struct child {
	pid_t pid;
	int pidfd;
	int output; /* what it prints, to be read */
	struct timespec start;
};

void
command_result_init(struct command_result *r)
{
	memset(r, 0, sizeof(*r));
	buf_init(&r->output, LIMIT_COMMAND_OUTPUT);
}

void
command_result_release(struct command_result *r)
{
	buf_release(&r->output);
}

/* ---- in the child ---- */

static void
reset_signals(void)
{
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		(void)signal(i, SIG_DFL); /* SIGKILL and such refuse */
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* fds: /dev/null, where it prints, where a failure is told, /. */
static _Noreturn void
become(const struct command *c, char *const *env, const int fds[4])
{
	struct err ignored = ERR_INIT;
	int told;

	(void)setpgid(0, 0);
	/* What we were given by whoever started us, too. */
	(void)close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
	reset_signals();
	if (dup2(fds[0], STDIN_FILENO) >= 0 &&
	    dup2(fds[1], STDOUT_FILENO) >= 0 &&
	    dup2(fds[1], STDERR_FILENO) >= 0 && fchdir(fds[3]) == 0)
		(void)execve(c->argv[0], c->argv, env);
	told = errno;
	(void)!fsat_write_all(fds[2], &told, sizeof(told), &ignored);
	_exit(127);
}

/* ---- starting ---- */

static void
close_all(int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* Of the failure pipe: whether execve was reached. */
static int
started(const struct command *c, int fd, struct err *e)
{
	int why;
	ssize_t n;

	do {
		n = read(fd, &why, sizeof(why));
	} while (n < 0 && errno == EINTR);
	if (n != (ssize_t)sizeof(why))
		return 0;
	errno = why;
	return err_sys(e, "%s", c->argv[0]);
}

static void
list_env(const struct command *c, char *env[COMMAND_ENV_MAX + 4])
{
	const char *list[COMMAND_ENV_MAX + 4] = {
		("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:"
		 "/sbin:/bin"),
		"LANG=C.UTF-8",
		"HOME=/",
	};

	for (size_t i = 0;
	     c->env != NULL && c->env[i] != NULL && i < COMMAND_ENV_MAX; i++)
		list[3 + i] = c->env[i];
	/* execve(2) changes none of them, and does not say so. */
	memcpy(env, list, sizeof(list));
}

/* pipes: output's and the failure's, read and write ends. */
static int
start(const struct command *c, int pipes[4], int null, int top,
    struct child *child, struct err *e)
{
	const int fds[4] = { null, pipes[1], pipes[3], top };
	char *env[COMMAND_ENV_MAX + 4];

	list_env(c, env);
	clock_gettime(CLOCK_MONOTONIC, &child->start);
	child->pid = fork();
	if (child->pid < 0)
		return err_sys(e, "fork");
	if (child->pid == 0)
		become(c, env, fds);
	(void)setpgid(child->pid, child->pid); /* whoever is first */
	close(pipes[1]);
	close(pipes[3]);
	pipes[1] = pipes[3] = -1;
	child->output = pipes[0];
	pipes[0] = -1;
	child->pidfd = (int)syscall(SYS_pidfd_open, child->pid, 0);
	return child->pidfd >= 0 ? 0 : err_sys(e, "pidfd_open");
}

/* ---- waiting ---- */

/* What is there now; false at the end of it. */
static bool
drain(int fd, struct command_result *r)
{
	char piece[PIECE];
	ssize_t n;

	while ((n = read(fd, piece, sizeof(piece))) > 0 ||
	    (n < 0 && errno == EINTR)) {
		size_t room = r->output.max - r->output.len;
		size_t take = n < 0 ? 0 : (size_t)n < room ? (size_t)n : room;

		buf_add(&r->output, piece, take);
		r->cut = r->cut || (n > 0 && take < (size_t)n);
	}
	return n != 0;
}

/* Until the child has ended, or its time is over. */
static void
follow(const struct command *c, struct child *child, struct command_result *r)
{
	struct pollfd fds[2] = { { .fd = child->pidfd, .events = POLLIN },
		{ .fd = child->output, .events = POLLIN } };

	for (;;) {
		double left = (double)c->timeout_ms -
		    clock_seconds_since(&child->start) * 1000;
		int n;

		if (left <= 0) {
			r->timed_out = true;
			return;
		}
		n = poll(fds, 2, (int)left + 1);
		if (n > 0 && fds[1].revents != 0 && !drain(child->output, r))
			fds[1].fd = -1;
		if (n > 0 && fds[0].revents != 0) {
			(void)drain(child->output, r);
			return;
		}
	}
}

static int
finish(const struct child *child, struct command_result *r, struct err *e)
{
	int status;

	if (r->timed_out)
		(void)kill(-child->pid, SIGKILL);
	while (waitpid(child->pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_sys(e, "waitpid");
	r->seconds = clock_seconds_since(&child->start);
	r->status =
	    WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	return r->output.failed != 0 ? err_memory(e) : 0;
}

static int
run(const struct command *c, int pipes[4], const int fds[2],
    struct command_result *r, struct err *e)
{
	struct child child = { .pid = -1, .pidfd = -1, .output = -1 };
	struct err ignored = ERR_INIT;
	int rc = start(c, pipes, fds[0], fds[1], &child, e);

	if (rc == 0)
		rc = started(c, pipes[2], e);
	if (rc == 0)
		follow(c, &child, r);
	else
		r->timed_out = true; /* nothing of it stays */
	if (child.pid > 0 && finish(&child, r, &ignored) != 0 && rc == 0) {
		*e = ignored;
		rc = e->code;
	}
	close_all((int[]){ child.pidfd, child.output }, 2);
	return rc;
}

int
command_run(const struct command *c, struct command_result *r, struct err *e)
{
	int pipes[4] = { -1, -1, -1, -1 }, fds[2] = { -1, -1 };
	int rc;

	buf_clear(&r->output);
	r->cut = r->timed_out = false;
	rc = fsat_operator_open("/dev/null", &fds[0], e);
	if (rc == 0)
		rc = fsat_operator_dir("/", false, 0, &fds[1], e);
	if (rc == 0 &&
	    (pipe2(&pipes[0], O_CLOEXEC) != 0 ||
	        pipe2(&pipes[2], O_CLOEXEC) != 0 ||
	        fcntl(pipes[0], F_SETFL, O_NONBLOCK) != 0))
		rc = err_sys(e, "pipe");
	if (rc == 0)
		rc = run(c, pipes, fds, r, e);
	close_all(pipes, 4);
	close_all(fds, 2);
	return rc;
}

/* The last line that is not empty. */
static const char *
last_line(const struct buf *b, int *len)
{
	const char *s = b->len > 0 ? (const char *)b->data : "";
	size_t end = b->len, at;

	while (end > 0 && (s[end - 1] == '\n' || s[end - 1] == ' '))
		end--;
	for (at = end; at > 0 && s[at - 1] != '\n';)
		at--;
	*len = (int)(end - at < 300 ? end - at : 300);
	return s + at;
}

int
command_check(const struct command *c, const struct command_result *r,
    const char *what, struct err *e)
{
	int len;
	const char *line = last_line(&r->output, &len);

	if (r->status == 0 && !r->timed_out)
		return 0;
	if (r->timed_out)
		return err_set(e, ERR_CONFLICT,
		    "%s %.200s: not done after %u s, ended; it said: %.*s",
		    what, c->argv[0], c->timeout_ms / 1000, len, line);
	return err_set(e, ERR_CONFLICT,
	    "%s %.200s: exit status %d; it said: %.*s", what, c->argv[0],
	    r->status, len, line);
}
