/* Confirming because a server was reached; runs in the watcher. */
#include "client/reach.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/confirm.h"
#include "client/update.h"
#include "client/verbs.h"
#include "common/log.h"

/* ---- in the child ---- */

/* A look is no run: it does not bring the machine nearer to roaming. */
static int
find_server(struct session *s, struct err *e)
{
	struct err ignored = ERR_INIT;
	int rc = update_find(s, e);

	if (rc != 0 &&
	    state_set_failures(&s->state, s->failures, &ignored) != 0)
		log_err(LOG_WARNING, "failures not counted", &ignored, NULL);
	return rc;
}

static int
confirm(struct session *s, struct err *e)
{
	struct confirm c;
	int rc = confirm_read(&s->state, &c, e);

	if (rc != 0 || c.stage != CONFIRM_WAITING)
		return rc;
	if ((rc = find_server(s, e)) != 0 ||
	    (rc = confirm_forget(&s->state, e)) != 0)
		return rc;
	log_event(LOG_NOTICE, "confirmed, as a server was reached", "serial",
	    log_u64((char[LOG_NUMBER_BYTES]){ 0 }, c.serial), "route",
	    s->peer.route, NULL);
	return 0;
}

static void
try(const struct settings *settings)
{
	struct settings now = *settings;
	struct err e = ERR_INIT;
	struct session session;
	int rc;

	now.wait_ms = 0; /* whoever has the lock is not done yet */
	rc = verb_open_unsettled(&now, &session, &e);
	if (rc == 0) {
		rc = confirm(&session, &e);
		session_release(&session);
	}
	if (rc != 0)
		log_err(LOG_INFO, "not confirmed yet", &e, NULL);
}

/* ---- in the watcher ---- */

void
reach_and_confirm(const struct settings *s, uint64_t limit_ms)
{
	struct pollfd end = { .events = POLLIN };
	pid_t pid = fork();

	if (pid == 0) {
		try(s);
		_exit(0);
	}
	if (pid < 0)
		return; /* there is a next time */
	end.fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (end.fd < 0 || poll(&end, 1, (int)limit_ms) != 1)
		(void)kill(pid, SIGKILL);
	if (end.fd >= 0)
		close(end.fd);
	while (waitpid(pid, NULL, 0) < 0)
		if (errno != EINTR)
			break;
}
