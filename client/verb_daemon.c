/* pecia daemon: a loop over signals and one timer, which starts a process a
 * run.
 *
 * The process is a fork, without exec: it runs with the configuration that the
 * daemon holds, not with what stands in the file by then and may be wrong.
 * Whatever a run takes or breaks goes away with its process; the daemon itself
 * has no state but this. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "client/verbs.h"
#include "common/log.h"
#include "common/notify.h"
#include "common/text.h"

#define STATUS_BYTES 256

struct run_daemon {
	const struct options *o;
	const struct settings *settings; /* those in force */
	struct settings reloaded;        /* what it points to after a reload */
	int signals, timer;
	sigset_t old_mask;
	uint64_t started_ms, first_ms, due_ms; /* by now_ms */
	pid_t run;                             /* 0: none */
	uint64_t run_ms;                       /* when it was started */
	bool again;                            /* asked for while it ran */
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

/* ---- a run ---- */

static _Noreturn void
run_main(struct run_daemon *d)
{
	struct options o = *d->o;
	int status;

	close(d->signals);
	close(d->timer);
	/* They are for the daemon, but a service manager may send them to all
	 * of its processes. */
	(void)signal(SIGHUP, SIG_IGN);
	(void)signal(SIGUSR1, SIG_IGN);
	(void)sigprocmask(SIG_SETMASK, &d->old_mask, NULL);
	o.verb = VERB_RUN;
	o.detailed_exitcodes = true;
	status = verb_run(&o, d->settings);
	(void)fflush(stdout);
	_exit(status);
}

static void
start_run(struct run_daemon *d)
{
	pid_t pid;

	(void)fflush(NULL);
	d->run_ms = now_ms();
	pid = fork();
	if (pid == 0)
		run_main(d);
	if (pid > 0) {
		d->run = pid;
	} else {
		struct err e = ERR_INIT;

		(void)err_sys(&e, "fork");
		log_err(LOG_ERROR, "run not started", &e, NULL);
		d->last = "not started";
	}
	tell_status(d);
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

/* All of them: as the first process of a container we get others' too. */
static void
reap(struct run_daemon *d)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == d->run) {
			d->run = 0;
			judge(d, status);
			tell_status(d);
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
	    schedule_offset_s(&d->settings->schedule, d->settings->host) * 1000;
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
	if (d->run > 0)
		log_event(LOG_NOTICE, "run skipped", "why",
		    "the last one goes on", NULL);
	else
		start_run(d);
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
loop(struct run_daemon *d, struct err *e)
{
	struct pollfd fds[2] = { { .fd = d->signals, .events = POLLIN },
		{ .fd = d->timer, .events = POLLIN } };
	int rc = 0;

	while (rc == 0 && !(d->stop && d->run == 0)) {
		if (poll(fds, d->stop ? 1 : 2, -1) < 0) {
			if (errno == EINTR)
				continue;
			return err_sys(e, "poll");
		}
		if (fds[0].revents != 0)
			rc = on_signal(d, e);
		if (rc == 0 && fds[1].revents != 0 && !d->stop)
			rc = on_timer(d, e);
		if (rc == 0 && d->again && d->run == 0) {
			d->again = false;
			start_run(d);
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

	if ((rc = open_sources(d, e)) != 0)
		return rc;
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
	settings_release(&d.reloaded);
	return rc == 0 ? EXIT_SAME : verb_failed(&e);
}
