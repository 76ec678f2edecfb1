/* Waiting for a confirmation. */
#include "client/watcher.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/confirm.h"
#include "client/reach.h"
#include "client/verbs.h"
#include "common/fsat.h"
#include "common/log.h"

#define LOOK_MS  1000   /* so often */
#define AGAIN_MS 15000  /* after a rollback that failed */
#define REACH_MS 20000  /* for one try to reach a server */
#define LOCK_MS  600000 /* what else has the lock ends before */

/* What it is told: which record it watches. */
struct task {
	uint64_t kept, until_ms;
};

/* ---- in the watcher ---- */

static void
sleep_ms(uint64_t ms)
{
	const struct timespec t = { (time_t)(ms / 1000),
		(long)(ms % 1000) * 1000000 };

	if (nanosleep(&t, NULL) != 0)
		log_event(LOG_DEBUG, "woken early", NULL);
}

/* *going false: there is nothing more to wait for. */
static int
look(const struct state *s, const struct task *t, bool *going,
    uint64_t *left_ms, struct err *e)
{
	struct confirm_clock clock;
	struct confirm c;
	int rc = confirm_read(s, &c, e);

	if (rc == ERR_FORMAT) {
		*going = false; /* the operator is told by whatever runs next */
		return 0;
	}
	if (rc == 0)
		rc = confirm_clock_read(&clock, e);
	if (rc != 0)
		return rc;
	*going = c.kept == t->kept && c.until_ms == t->until_ms &&
	    c.stage != CONFIRM_NONE && c.stage != CONFIRM_UNDONE;
	*left_ms = c.stage == CONFIRM_UNDOING ? 0 : confirm_left_ms(&c, &clock);
	return 0;
}

/* To take the lock does it. */
static int
undo(const struct settings *s, struct err *e)
{
	struct session session;
	int rc = verb_open_recovered(s, &session, e);

	if (rc == 0)
		session_release(&session);
	return rc;
}

static uint64_t
smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void
watch(const struct settings *settings, const struct state *state,
    const struct task *task)
{
	struct settings patient = *settings;
	struct err e = ERR_INIT;
	bool going = true;
	uint64_t left;
	int rc;

	patient.wait_ms = LOCK_MS;
	while (going) {
		left = LOOK_MS;
		rc = look(state, task, &going, &left, &e);
		if (rc == 0 && going && left == 0)
			rc = undo(&patient, &e);
		else if (rc == 0 && going && settings->confirm_by_server)
			reach_and_confirm(settings, smaller(left, REACH_MS));
		if (rc != 0)
			log_err(LOG_ERROR, "not rolled back yet", &e, NULL);
		if (going)
			sleep_ms(rc != 0 ? AGAIN_MS : smaller(left, LOOK_MS));
	}
}

static void
wait_and_watch(const struct settings *settings, int told)
{
	struct state state = STATE_INIT;
	struct err e = ERR_INIT;
	struct task task;
	size_t got = 0;

	if (fsat_read_some(told, &task, sizeof(task), &got, &e) != 0 ||
	    got != sizeof(task))
		return;
	close(told);
	verb_raise_open_files();
	if (state_open(&state, settings->state, false, &e) == 0)
		watch(settings, &state, &task);
	else
		log_err(LOG_ERROR, "nobody watches", &e, NULL);
	state_release(&state);
}

/* ---- becoming one ---- */

#define TOLD_FD (STDERR_FILENO + 1)

static void
reset_signals(void)
{
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		(void)signal(i, SIG_DFL); /* SIGKILL and such refuse */
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Nothing of who started us stays, but for the working directory: paths may be
 * relative. */
static int
detach(int told, struct err *e)
{
	int null = -1, rc;

	if (setsid() < 0)
		return err_sys(e, "setsid");
	reset_signals();
	if (told != TOLD_FD && dup3(told, TOLD_FD, O_CLOEXEC) < 0)
		return err_sys(e, "dup");
	if (close_range(TOLD_FD + 1, ~0U, 0) != 0)
		return err_sys(e, "close_range");
	if ((rc = fsat_operator_open("/dev/null", &null, e)) != 0)
		return rc;
	if (dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
	    (log_to_syslog() && dup2(null, STDERR_FILENO) < 0))
		return err_sys(e, "/dev/null");
	if (null > TOLD_FD)
		close(null);
	return 0;
}

/* A child's child, which nobody has to wait for. */
static _Noreturn void
become(const struct settings *s, int told)
{
	struct err e = ERR_INIT;
	pid_t pid;

	if (detach(told, &e) != 0 || (pid = fork()) < 0)
		_exit(1);
	if (pid == 0)
		wait_and_watch(s, TOLD_FD);
	_exit(0);
}

/* ---- in the run ---- */

int
watcher_start(const struct settings *s, struct watcher *out, struct err *e)
{
	int ends[2], status = 1;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) != 0)
		return err_sys(e, "pipe");
	pid = fork();
	if (pid == 0) {
		close(ends[1]);
		become(s, ends[0]);
	}
	close(ends[0]);
	while (pid > 0 && waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			break;
	if (pid < 0 || status != 0) {
		close(ends[1]);
		return err_set(e, ERR_SYS,
		    "confirm: the process that would roll back does not start");
	}
	out->fd = ends[1];
	return 0;
}

int
watcher_tell(
    const struct session *s, const struct kept_release *now, struct err *e)
{
	struct confirm_clock clock;
	struct confirm c;
	struct task task;
	int rc;

	if (s->watcher == NULL || s->watcher->fd < 0)
		return confirm_forget(&s->state, e);
	if (confirm_clock_read(&clock, e) != 0)
		return err_prefix(e, "confirm");
	confirm_init(&c, now, &clock, s->settings->confirm_s);
	if ((rc = confirm_next_kept(&s->state, &c.kept, e)) != 0 ||
	    (rc = confirm_write(&s->state, &c, e)) != 0)
		return rc;
	task = (struct task){ c.kept, c.until_ms };
	rc = fsat_write_all(s->watcher->fd, &task, sizeof(task), e);
	return rc != 0 ? err_prefix(e, "confirm: nobody would roll back") : 0;
}

void
watcher_release(struct watcher *w)
{
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
}
