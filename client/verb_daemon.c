/* pecia daemon: a loop over signals, one timer and a line to a server, which
 * starts a process a run.
 *
 * The process is a fork, without exec: it runs with the configuration that the
 * daemon holds, not with what stands in the file by then and may be wrong.
 * Whatever a run takes or breaks goes away with its process; the daemon itself
 * has no state but this.  What comes over the line is read by such processes
 * only, too: client/line.h. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "client/line.h"
#include "client/verbs.h"
#include "common/log.h"
#include "common/notify.h"
#include "common/splay.h"
#include "common/text.h"

#define STATUS_BYTES 256

/* A line that was lost is called again after a pause that grows. */
#define FIRST_PAUSE_MS   1000
#define LONGEST_PAUSE_MS 300000
#define LATE_MS          30000 /* an answer may be */

enum job {
	JOB_RUN,
	JOB_RUN_ON_LINE,
	JOB_HEAR, /* and run when it is news */
	JOB_CALL,
};

struct run_daemon {
	const struct options *o;
	const struct settings *settings; /* those in force */
	struct settings reloaded;        /* what it points to after a reload */
	int signals, timer;
	sigset_t old_mask;
	uint64_t started_ms, first_ms, due_ms; /* by now_ms */
	pid_t run;                             /* 0: none */
	enum job job;                          /* what it is for */
	uint64_t run_ms;                       /* when it was started */
	struct line *line;
	uint64_t line_ms;  /* when to look after it; 0: when a run has ended */
	uint64_t pause_ms; /* before the next call */
	bool stale;        /* the line, which is in use, is to be closed then */
	bool again;        /* asked for while it ran */
	bool stop;
	const char *last; /* how the last run ended; NULL: there was none */
};

/* Goes on while the machine sleeps, and does not step with the clock. */
static uint64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- the service manager ---- */

static void
tell(const char *lines)
{
	struct err e = ERR_INIT;

	if (notify_send(lines, &e) != 0)
		log_err(LOG_WARNING, "service manager not told", &e, NULL);
}

static void
tell_status(const struct run_daemon *d)
{
	char text[STATUS_BYTES], when[TEXT_TIME_BYTES];
	uint64_t now = now_ms();

	text_time(when,
	    time(NULL) +
	        (time_t)(d->due_ms > now ? (d->due_ms - now) / 1000 : 0));
	(void)snprintf(text, sizeof(text), "STATUS=%s%s; next run at %s",
	    d->run > 0            ? "running"
	        : d->last == NULL ? "no run yet"
	                          : "last run: ",
	    d->run > 0 || d->last == NULL ? "" : d->last, when);
	tell(text);
}

/* ---- the line ---- */

/* If we follow and have none.  true: there is a new one, which goes nowhere
 * yet. */
static bool
open_line(struct run_daemon *d)
{
	struct err why = ERR_INIT;

	if (!d->settings->schedule.follow || line_is_open(d->line))
		return false;
	if (line_open(d->line, d->settings, &why) == 0)
		return true;
	log_err(LOG_WARNING, "no news are waited for", &why, NULL);
	return false;
}

/* Hosts that lost the same server do not come back all at once. */
static void
lose_line(struct run_daemon *d)
{
	line_close(d->line);
	d->line_ms = 0;
	if (d->settings->schedule.follow)
		d->line_ms = now_ms() + d->pause_ms +
		    splay_share(d->pause_ms, d->settings->host);
	d->pause_ms *= 2;
	if (d->pause_ms > LONGEST_PAUSE_MS)
		d->pause_ms = LONGEST_PAUSE_MS;
}

/* A call that succeeds says nothing of what the next run will do. */
static void
end_line_use(struct run_daemon *d)
{
	if (d->stale || (line_waits(d->line) && d->job != JOB_CALL))
		d->pause_ms = FIRST_PAUSE_MS;
	if (d->stale || !line_waits(d->line))
		lose_line(d);
	else
		d->line_ms = now_ms() + LINE_WAIT_MS + LATE_MS;
	d->stale = false;
}

/* What was configured anew holds for it too. */
static void
renew_line(struct run_daemon *d)
{
	if (d->run > 0) {
		d->stale = true;
	} else if (d->line_ms != 0 || d->last != NULL) {
		d->pause_ms = FIRST_PAUSE_MS;
		lose_line(d);
	}
}

/* ---- a run ---- */

/* Until then a TERM ends it, and with it nothing but the line. */
static void
await_turn(const struct run_daemon *d)
{
	const struct schedule *s = &d->settings->schedule;
	uint64_t ms = splay_share(s->follow_splay_s * 1000, d->settings->host);
	const struct timespec pause = { .tv_sec = (time_t)(ms / 1000),
		.tv_nsec = (long)(ms % 1000) * 1000000 };

	(void)nanosleep(&pause, NULL);
	line_begin_run(d->line, now_ms());
}

static int
do_job(struct run_daemon *d)
{
	struct options o = *d->o;

	o.verb = VERB_RUN;
	o.detailed_exitcodes = true;
	switch (d->job) {
	case JOB_RUN:
		return verb_run(&o, d->settings);
	case JOB_CALL:
		line_call(d->line);
		return EXIT_SAME;
	case JOB_HEAR:
		if (!line_hear(d->line))
			return EXIT_SAME;
		await_turn(d);
		break;
	default:
		break;
	}
	return run_on_line(&o, d->settings, d->line);
}

static _Noreturn void
job_main(struct run_daemon *d)
{
	int status;

	close(d->signals);
	close(d->timer);
	/* They are for the daemon, but a service manager may send them to all
	 * of its processes. */
	(void)signal(SIGHUP, SIG_IGN);
	(void)signal(SIGUSR1, SIG_IGN);
	(void)sigprocmask(SIG_SETMASK, &d->old_mask, NULL);
	status = do_job(d);
	(void)fflush(stdout);
	_exit(status);
}

static void
start_job(struct run_daemon *d, enum job job)
{
	struct err e = ERR_INIT;
	pid_t pid;

	(void)fflush(NULL);
	d->job = job;
	d->run_ms = now_ms();
	if (job != JOB_RUN)
		line_hand_over(d->line);
	pid = fork();
	if (pid == 0)
		job_main(d);
	if (pid > 0) {
		d->run = pid;
		return;
	}
	(void)err_sys(&e, "fork");
	log_err(LOG_ERROR, "run not started", &e, NULL);
	d->last = "not started";
	end_line_use(d);
}

/* It begins with the first of the servers, wherever the line led to. */
static void
start_run(struct run_daemon *d)
{
	line_close(d->line);
	start_job(d, open_line(d) ? JOB_RUN_ON_LINE : JOB_RUN);
	tell_status(d);
}

/* It makes way for a run. */
static bool
is_no_run(const struct run_daemon *d)
{
	return d->job == JOB_CALL ||
	    (d->job == JOB_HEAR && line_run_ms(d->line) == 0);
}

/* What one log line says of the run. */
static void
judge(struct run_daemon *d, int status)
{
	char seconds[32];
	uint64_t took = now_ms() - d->run_ms;
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;

	(void)snprintf(seconds, sizeof(seconds), "%llu.%02llu",
	    (unsigned long long)(took / 1000),
	    (unsigned long long)(took % 1000 / 10));
	if (code == EXIT_DISABLED || code == EXIT_BUSY ||
	    code == EXIT_WAITING) {
		d->last = "skipped";
		log_event(LOG_NOTICE, "run skipped", "why",
		    code == EXIT_BUSY ? "another is under way"
		        : code == EXIT_WAITING
		        ? "a change waits to be confirmed"
		        : "disabled",
		    NULL);
	} else if (code == EXIT_SAME || code == EXIT_CHANGED) {
		d->last = code == EXIT_SAME ? "nothing to change"
		    : d->o->noop            ? "would change"
		                            : "changed";
		log_event(LOG_NOTICE, "run ended", "result", d->last, "seconds",
		    seconds, NULL);
	} else if (code >= 0) {
		d->last = "failed";
		log_event(LOG_ERROR, "run ended", "result", d->last, "status",
		    log_u64((char[LOG_NUMBER_BYTES]){ 0 }, (uint64_t)code),
		    "seconds", seconds, NULL);
	} else if (d->stop && WTERMSIG(status) == SIGTERM) {
		d->last = "cut short";
		log_event(LOG_NOTICE, "run ended", "result", d->last, "seconds",
		    seconds, NULL);
	} else {
		d->last = "killed";
		log_event(LOG_ERROR, "run ended", "result", d->last, "signal",
		    strsignal(WTERMSIG(status)), "seconds", seconds, NULL);
	}
}

static void
on_end(struct run_daemon *d, int status)
{
	d->run = 0;
	if (d->job == JOB_HEAR && line_run_ms(d->line) != 0)
		d->run_ms = line_run_ms(d->line);
	if (!is_no_run(d)) {
		judge(d, status);
		tell_status(d);
	}
	end_line_use(d);
}

/* All of them: as the first process of a container we get others' too. */
static void
reap(struct run_daemon *d)
{
	siginfo_t ended = { .si_pid = 0 };
	int status;

	while (waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	    ended.si_pid > 0) {
		if (line_is_fetcher(d->line, ended.si_pid))
			lose_line(d); /* which waits for it */
		else if (waitpid(ended.si_pid, &status, 0) == d->run)
			on_end(d, status);
		ended.si_pid = 0;
	}
}

/* ---- time ---- */

static int
set_timer(const struct run_daemon *d, struct err *e)
{
	const struct itimerspec at = { .it_value = { (time_t)(d->due_ms / 1000),
		                           (long)(d->due_ms % 1000) *
		                               1000000 } };

	return timerfd_settime(d->timer, TFD_TIMER_ABSTIME, &at, NULL) == 0
	    ? 0
	    : err_sys(e, "timer");
}

/* From the settings in force. */
static void
plan_first(struct run_daemon *d)
{
	d->first_ms = d->started_ms +
	    splay_share(d->settings->schedule.splay_s, d->settings->host) *
	        1000;
}

static int
on_timer(struct run_daemon *d, struct err *e)
{
	uint64_t times;

	if (read(d->timer, &times, sizeof(times)) < 0)
		return errno == EAGAIN ? 0 : err_sys(e, "timer");
	/* However many were slept through, it is one. */
	d->due_ms =
	    schedule_next_ms(&d->settings->schedule, d->first_ms, now_ms());
	if (d->run > 0 && !is_no_run(d))
		log_event(LOG_NOTICE, "run skipped", "why",
		    "the last one goes on", NULL);
	else
		d->again = true;
	return set_timer(d, e);
}

/* ---- signals ---- */

/* A configuration that makes no sense changes nothing. */
static int
reload(struct run_daemon *d, struct err *e)
{
	struct err why = ERR_INIT;
	struct settings new;
	char text[64];
	int rc = 0;

	(void)snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu",
	    (unsigned long long)now_ms() * 1000);
	tell(text);
	if (settings_load(d->o, &new, &why) != 0) {
		log_err(LOG_ERROR,
		    "configuration not reloaded, the old one stays", &why,
		    NULL);
	} else {
		settings_release(&d->reloaded);
		d->reloaded = new;
		d->settings = &d->reloaded;
		plan_first(d);
		d->due_ms = schedule_next_ms(
		    &d->settings->schedule, d->first_ms, now_ms());
		rc = set_timer(d, e);
		renew_line(d);
		log_event(LOG_NOTICE, "configuration reloaded", NULL);
	}
	tell("READY=1");
	tell_status(d);
	return rc;
}

static void
begin_stop(struct run_daemon *d)
{
	if (!d->stop)
		tell("STOPPING=1\nSTATUS=ending");
	d->stop = true;
	d->again = false;
	/* It ends at once, or after its commit: client/apply.c. */
	if (d->run > 0)
		(void)kill(d->run, SIGTERM);
}

static int
on_signal(struct run_daemon *d, struct err *e)
{
	struct signalfd_siginfo info;

	if (read(d->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return errno == EAGAIN ? 0 : err_sys(e, "signals");
	switch (info.ssi_signo) {
	case SIGCHLD:
		reap(d);
		break;
	case SIGHUP:
		return d->stop ? 0 : reload(d, e);
	case SIGUSR1:
		d->again = !d->stop;
		break;
	default:
		begin_stop(d);
	}
	return 0;
}

/* ---- the loop ---- */

static int
line_timeout_ms(const struct run_daemon *d)
{
	uint64_t now = now_ms();

	if (d->run > 0 || d->line_ms == 0)
		return -1;
	if (d->line_ms <= now)
		return 0;
	return d->line_ms - now < INT_MAX ? (int)(d->line_ms - now) : INT_MAX;
}

static void
look_after_line(struct run_daemon *d, bool answered)
{
	if (answered)
		start_job(d, JOB_HEAR);
	else if (d->line_ms == 0 || now_ms() < d->line_ms)
		return;
	else if (open_line(d))
		start_job(d, JOB_CALL);
	else
		lose_line(d); /* it could not be opened, or hangs */
}

static int
loop(struct run_daemon *d, struct err *e)
{
	struct pollfd fds[3] = { { .fd = d->signals, .events = POLLIN },
		{ .fd = d->timer, .events = POLLIN }, { .events = POLLIN } };
	int rc = 0;

	while (rc == 0 && !(d->stop && d->run == 0)) {
		fds[2].fd =
		    d->run == 0 && line_waits(d->line) ? line_fd(d->line) : -1;
		fds[2].revents = 0;
		if (poll(fds, d->stop ? 1 : 3, line_timeout_ms(d)) < 0) {
			if (errno == EINTR)
				continue;
			return err_sys(e, "poll");
		}
		if (fds[0].revents != 0)
			rc = on_signal(d, e);
		if (rc == 0 && fds[1].revents != 0 && !d->stop)
			rc = on_timer(d, e);
		if (rc != 0 || d->stop)
			continue;
		if (d->again && d->run > 0 && is_no_run(d)) {
			(void)kill(d->run, SIGTERM);
		} else if (d->again && d->run == 0) {
			d->again = false;
			start_run(d);
		} else if (d->run == 0) {
			look_after_line(d, fds[2].revents != 0);
		}
	}
	return rc;
}

static int
open_sources(struct run_daemon *d, struct err *e)
{
	static const int taken[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1,
		SIGCHLD };
	sigset_t set;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < sizeof(taken) / sizeof(*taken); i++)
		(void)sigaddset(&set, taken[i]);
	if (sigprocmask(SIG_BLOCK, &set, &d->old_mask) != 0)
		return err_sys(e, "signals");
	d->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (d->signals < 0)
		return err_sys(e, "signalfd");
	d->timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	return d->timer >= 0 ? 0 : err_sys(e, "timerfd");
}

static int
serve(struct run_daemon *d, struct err *e)
{
	const struct schedule *s = &d->settings->schedule;
	int rc;

	if ((rc = line_new(&d->line, e)) != 0 || (rc = open_sources(d, e)) != 0)
		return rc;
	d->pause_ms = FIRST_PAUSE_MS;
	d->started_ms = now_ms();
	plan_first(d);
	d->due_ms = d->first_ms;
	if ((rc = set_timer(d, e)) != 0 || (rc = notify_ready(e)) != 0)
		return rc;
	log_event(LOG_NOTICE, "daemon started", "runinterval",
	    log_u64((char[LOG_NUMBER_BYTES]){ 0 }, s->interval_s), "first_in",
	    log_u64((char[LOG_NUMBER_BYTES]){ 0 },
	        (d->first_ms - d->started_ms) / 1000),
	    NULL);
	tell_status(d);
	rc = loop(d, e);
	if (rc == 0)
		log_event(LOG_NOTICE, "daemon ended", NULL);
	return rc;
}

int
verb_daemon(const struct options *o, const struct settings *s)
{
	struct run_daemon d = {
		.o = o, .settings = s, .signals = -1, .timer = -1
	};
	struct err e = ERR_INIT;
	int rc;

	/* Its lines are all there is to see of it. */
	log_start("pecia", o->verbose ? LOG_INFO : LOG_NOTICE);
	rc = serve(&d, &e);
	if (d.signals >= 0)
		close(d.signals);
	if (d.timer >= 0)
		close(d.timer);
	line_free(d.line);
	settings_release(&d.reloaded);
	return rc == 0 ? EXIT_SAME : verb_failed(&e);
}
