/* The health commands: a route is announced while this server is healthy, and
 * withdrawn when it is not.
 *
 * The workers judge (health.h); here it is seen whether the last judgements
 * agree, and whether that is news.  A command runs in a process of its own, as
 * health_user or else as whoever started peciad. */
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/command.h"
#include "common/log.h"
#include "common/sandbox.h"
#include "common/words.h"
#include "server/supervise_impl.h"

/* Workers judge each second; one that has not for so long hangs. */
#define STALE_MS 15000
#define TURN_NS  20000000
/* Of the command that withdraws, when we are to end: before a service manager
 * loses patience. */
#define END_COMMAND_MS 10000

static const char *
name_of(bool healthy)
{
	return healthy ? "healthy" : "unhealthy";
}

static const char *
command_of(const struct supervisor *s, bool healthy)
{
	return healthy ? s->o->on_healthy : s->o->on_unhealthy;
}

static int
run_command(const struct supervisor *s, bool healthy, const char *why,
    unsigned timeout_ms, struct err *e)
{
	char state[32], reason[BOARD_TEXT_BYTES + 16];
	const char *const env[] = { state, reason, NULL };
	struct words words = WORDS_INIT;
	struct command_result result;
	struct command c = { .env = env, .timeout_ms = timeout_ms };
	int rc;

	(void)snprintf(
	    state, sizeof(state), "PECIAD_HEALTH=%s", name_of(healthy));
	(void)snprintf(reason, sizeof(reason), "PECIAD_WHY=%s", why);
	command_result_init(&result);
	rc = words_command(command_of(s, healthy), &words, e);
	c.argv = words.list;
	if (rc == 0)
		rc = sandbox_become(s->o->health_user, e);
	if (rc == 0)
		rc = command_run(&c, &result, e);
	if (rc == 0)
		rc = command_check(
		    &c, &result, healthy ? "on_healthy" : "on_unhealthy", e);
	words_release(&words);
	command_result_release(&result);
	return rc;
}

static void
start(struct supervisor *s, bool healthy, const char *why, unsigned timeout_ms)
{
	struct announcer *a = &s->health;
	struct err e = ERR_INIT;

	a->running = healthy;
	a->pid = fork();
	if (a->pid == 0) {
		int rc;

		supervise_quiet_signals(s);
		rc = run_command(s, healthy, why, timeout_ms, &e);
		if (rc != 0)
			log_err(LOG_WARNING, "health command failed", &e, NULL);
		_exit(rc == 0 ? 0 : 1);
	}
	if (a->pid < 0) {
		a->pid = 0;
		(void)err_sys(&e, "fork");
		log_err(LOG_ERROR, "health command not started", &e, NULL);
	}
}

static void
announce(struct supervisor *s, bool healthy)
{
	struct announcer *a = &s->health;

	if (!a->said || a->said_healthy != healthy)
		log_event(healthy ? LOG_NOTICE : LOG_ERROR, "health", "state",
		    name_of(healthy), "why", a->why, NULL);
	a->said = true;
	a->said_healthy = healthy;
	if (command_of(s, healthy) != NULL)
		start(s, healthy, a->why, LIMIT_HEALTH_COMMAND_S * 1000);
}

void
supervise_health_turn(struct supervisor *s)
{
	struct announcer *a = &s->health;
	uint64_t now = clock_ms();
	bool healthy = false;

	if (now < a->due_ms)
		return;
	a->due_ms = now + s->o->health_interval_s * 1000;
	if (!serve_stats_health(s->stats, STALE_MS, &healthy, a->why))
		(void)snprintf(a->why, sizeof(a->why), "no worker serves");
	a->in_a_row =
	    a->in_a_row > 0 && healthy == a->last ? a->in_a_row + 1 : 1;
	a->last = healthy;
	if (a->pid == 0 && a->in_a_row >= s->o->health_hold &&
	    (!a->said || a->said_healthy != healthy))
		announce(s, healthy);
}

bool
supervise_health_reap(struct supervisor *s, pid_t pid, int status)
{
	struct announcer *a = &s->health;

	if (a->pid == 0 || pid != a->pid)
		return false;
	a->pid = 0;
	/* It is tried again after as many judgements as before. */
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		a->said = false;
		a->in_a_row = 0;
	}
	return true;
}

/* Waits for the command that runs, but not for ever. */
static void
await(struct supervisor *s, unsigned ms)
{
	const struct timespec turn = { 0, TURN_NS };
	uint64_t until = clock_ms() + ms;
	int status;

	while (s->health.pid > 0 && clock_ms() < until) {
		if (waitpid(s->health.pid, &status, WNOHANG) == s->health.pid)
			s->health.pid = 0;
		else
			nanosleep(&turn, NULL);
	}
	if (s->health.pid > 0) {
		(void)kill(s->health.pid, SIGKILL);
		(void)waitpid(s->health.pid, &status, 0);
		s->health.pid = 0;
	}
}

void
supervise_health_end(struct supervisor *s)
{
	bool announced = s->health.pid > 0
	    ? s->health.running
	    : s->health.said && s->health.said_healthy;

	await(s, END_COMMAND_MS);
	if (!announced || s->o->on_unhealthy == NULL)
		return;
	start(s, false, "peciad ends", END_COMMAND_MS);
	await(s, END_COMMAND_MS + 1000);
}
