/* The supervisor; the one process of peciad that may be root. */
#include "server/supervise.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/crypto_tls.h"
#include "common/fsat.h"
#include "common/http_server.h"
#include "common/log.h"
#include "common/notify.h"
#include "common/pool.h"
#include "common/sandbox.h"
#include "server/board.h"
#include "server/daemon_users.h"
#include "server/keeper.h"
#include "server/refresh.h"
#include "server/replicate.h"
#include "server/repo_anchor.h"
#include "server/serve.h"
#include "transcripts/fetcher.h"

#define RESTART_S     1 /* pause before a process is started again */
#define RESTART_MAX_S 60
#define STEADY_S      60 /* one that ran so long failed for the first time */
#define END_MS        (HTTP_GRACE_MS + 5000)

static volatile sig_atomic_t stop_signal, hup_signal;

static void
on_signal(int sig)
{
	if (sig == SIGHUP)
		hup_signal = 1;
	else if (sig != SIGCHLD)
		stop_signal = 1;
}

enum role {
	ROLE_WORKER,
	ROLE_REPLICATOR,
	ROLE_REFRESHER,
	ROLE_KEEPER
};

struct child {
	enum role role;
	unsigned number; /* of workers */
	pid_t pid;       /* 0: to be started at `due` */
	time_t started, due;
	unsigned backoff_s;
};

struct supervisor {
	const struct daemon_options *o;
	struct tls_identity *identity;
	struct ssl_ctx_st *tls;
	int listen_fds[DAEMON_LISTENS];
	size_t listen_count;
	int repo_fd;
	bool has_anchor;
	struct digest anchor;
	struct serve_stats *stats;
	struct board *board;
	struct daemon_users users;
	struct child children[DAEMON_WORKERS + 3];
	size_t child_count;
};

/* ---- what the processes do ---- */

static void
quiet_signals(void)
{
	struct sigaction sa = { .sa_handler = on_signal };

	stop_signal = hup_signal = 0;
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	sa.sa_handler = SIG_DFL;
	sigaction(SIGCHLD, &sa, NULL);
	sa.sa_handler = SIG_IGN;
	sigaction(SIGHUP, &sa, NULL);
}

static int
run_worker(struct supervisor *s, unsigned number, struct err *e)
{
	struct sandbox box = { .user = s->users.reader,
		.read_fds = &s->repo_fd,
		.read_count = 1,
		.parent = getppid() };
	struct serve_options o = { .listen_fds = s->listen_fds,
		.listen_count = s->listen_count,
		.repo = s->repo_fd,
		.tls = s->tls,
		.stats = s->stats,
		.worker = number,
		.max_connections = (unsigned)s->o->connections,
		.access_log = s->o->access_log };
	int v1 = -1, rc;

	if ((rc = sandbox_enter(&box, e)) != 0)
		return rc;
	rc = fsat_open_dir(s->repo_fd, "v1", &v1, e);
	if (rc != 0)
		return err_prefix(e,
		    "the repository is not readable for "
		    "user %s",
		    s->users.reader);
	close(v1);
	return serve_run(&o, e);
}

static int
run_replicator(struct supervisor *s, struct err *e)
{
	struct replicate_options o = { .anchor = &s->anchor,
		.identity = s->identity,
		.upstreams = (const char *const *)s->o->upstreams,
		.upstream_count = s->o->upstream_count,
		.port = 7440,
		.user = s->users.reader };
	struct sandbox box = { .user = daemon_users_owner(&s->users),
		.read_paths = fetcher_read_paths(),
		.write_count = 1,
		.parent = getppid() };
	int fd, rc;

	/* Nothing needs an orderly end, and its waiting knows none. */
	(void)signal(SIGTERM, SIG_DFL);
	(void)signal(SIGINT, SIG_DFL);
	if ((rc = repo_open(s->o->repo, &o.repo, e)) != 0)
		return rc;
	fd = repo_fd(o.repo);
	box.write_fds = &fd;
	rc = sandbox_enter(&box, e);
	if (rc == 0)
		rc = replicate_run(&o, e);
	repo_close(o.repo);
	return rc;
}

static int
run_refresher(struct supervisor *s, struct err *e)
{
	struct refresh_options o = { .repo = s->o->repo,
		.keys = s->o->keys,
		.user = daemon_users_owner(&s->users),
		.lifetime_s = s->o->head_lifetime_s,
		.stop = &stop_signal };

	return refresh_run(&o, e);
}

static int
run_keeper(struct supervisor *s, struct err *e)
{
	const struct daemon_keeping *k = &s->o->keeping;
	struct keeper_options o = { .repo = s->o->repo,
		.owner = daemon_users_owner(&s->users),
		.reader = s->users.reader,
		.delay_s = k->delay_s,
		.scrub_rate = k->scrub_rate,
		.scrub_interval_s = k->scrub_interval_s,
		.collect_interval_s = k->collect_interval_s,
		.policy = { k->releases, k->age_s, k->bytes, k->grace_s },
		.upstreams = (const char *const *)s->o->upstreams,
		.upstream_count = s->o->upstream_count,
		.identity = s->identity,
		.has_anchor = s->o->upstream_count > 0,
		.anchor = s->anchor,
		.board = &s->board->keeping };

	(void)signal(SIGTERM, SIG_DFL);
	(void)signal(SIGINT, SIG_DFL);
	return keeper_run(&o, e);
}

static int
run_role(struct supervisor *s, const struct child *c, struct err *e)
{
	switch (c->role) {
	case ROLE_WORKER:
		return run_worker(s, c->number, e);
	case ROLE_REPLICATOR:
		return run_replicator(s, e);
	case ROLE_REFRESHER:
		return run_refresher(s, e);
	case ROLE_KEEPER:
		return run_keeper(s, e);
	}
	return 0;
}

static const char *
role_name(enum role role)
{
	switch (role) {
	case ROLE_WORKER:
		return "worker";
	case ROLE_REPLICATOR:
		return "replicator";
	case ROLE_KEEPER:
		return "keeper";
	case ROLE_REFRESHER:
		break;
	}
	return "refresher";
}

static _Noreturn void
child_main(struct supervisor *s, const struct child *c, const sigset_t *mask)
{
	struct err e = ERR_INIT;
	int rc;

	quiet_signals();
	sigprocmask(SIG_SETMASK, mask, NULL);
	rc = run_role(s, c, &e);
	if (rc != 0)
		log_err(LOG_ERROR, "process failed", &e, "role",
		    role_name(c->role), NULL);
	_exit(rc == 0 ? 0 : 1);
}

/* ---- keeping them running ---- */

static void
start_child(struct supervisor *s, struct child *c, const sigset_t *mask)
{
	c->started = time(NULL);
	c->pid = fork();
	if (c->pid == 0)
		child_main(s, c, mask);
	if (c->pid < 0) {
		log_event(
		    LOG_ERROR, "fork failed", "role", role_name(c->role), NULL);
		c->pid = 0;
		c->due = c->started + RESTART_MAX_S;
	}
}

static void
note_end(struct child *c, int status)
{
	time_t now = time(NULL);

	c->pid = 0;
	c->backoff_s = now - c->started >= STEADY_S || c->backoff_s == 0
	    ? RESTART_S
	    : c->backoff_s * 2;
	if (c->backoff_s > RESTART_MAX_S)
		c->backoff_s = RESTART_MAX_S;
	c->due = now + c->backoff_s;
	log_event(LOG_WARNING, "process ended", "role", role_name(c->role),
	    "how",
	    WIFSIGNALED(status)            ? strsignal(WTERMSIG(status))
	        : WEXITSTATUS(status) == 0 ? "by itself"
	                                   : "failed",
	    NULL);
}

static void
reap(struct supervisor *s)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (size_t i = 0; i < s->child_count; i++)
			if (s->children[i].pid == pid)
				note_end(&s->children[i], status);
}

static void
start_due(struct supervisor *s, const sigset_t *mask)
{
	time_t now = time(NULL);

	for (size_t i = 0; i < s->child_count; i++)
		if (s->children[i].pid == 0 && s->children[i].due <= now)
			start_child(s, &s->children[i], mask);
}

static void
signal_all(struct supervisor *s, int sig)
{
	for (size_t i = 0; i < s->child_count; i++)
		if (s->children[i].pid > 0)
			kill(s->children[i].pid, sig);
}

static bool
any_left(const struct supervisor *s)
{
	for (size_t i = 0; i < s->child_count; i++)
		if (s->children[i].pid > 0)
			return true;
	return false;
}

/* Requests under way may end; then nobody waits any longer. */
static void
end_children(struct supervisor *s)
{
	const struct timespec turn = { 0, 20000000 };
	struct timespec start, now;

	signal_all(s, SIGTERM);
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (;;) {
		int status;
		pid_t pid;

		while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
			for (size_t i = 0; i < s->child_count; i++)
				if (s->children[i].pid == pid)
					s->children[i].pid = 0;
		if (!any_left(s))
			return;
		clock_gettime(CLOCK_MONOTONIC, &now);
		if ((now.tv_sec - start.tv_sec) * 1000 > END_MS)
			signal_all(s, SIGKILL);
		nanosleep(&turn, NULL);
	}
}

static void
watch(struct supervisor *s)
{
	struct sigaction sa = { .sa_handler = on_signal };
	const struct timespec turn = { 1, 0 };
	sigset_t blocked, old;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigaddset(&blocked, SIGINT);
	sigaddset(&blocked, SIGHUP);
	sigaddset(&blocked, SIGCHLD);
	sigprocmask(SIG_BLOCK, &blocked, &old);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	sigaction(SIGCHLD, &sa, NULL);
	while (stop_signal == 0) {
		siginfo_t info;
		int sig;

		start_due(s, &old);
		sig = sigtimedwait(&blocked, &info, &turn);
		if (sig > 0)
			on_signal(sig);
		if (hup_signal != 0) {
			hup_signal = 0;
			signal_all(s, SIGHUP);
		}
		if (stop_signal == 0)
			reap(s);
	}
	end_children(s);
	sigprocmask(SIG_SETMASK, &old, NULL);
}

/* ---- opening ---- */

static int
open_listeners(struct supervisor *s, struct err *e)
{
	for (size_t i = 0; i < s->o->listen_count; i++) {
		int rc = http_listen(s->o->listens[i], &s->listen_fds[i], e);

		if (rc != 0)
			return rc;
		s->listen_count++;
	}
	return 0;
}

/* An origin's repository exists; a mirror's is made. */
static int
open_repository(struct supervisor *s, struct err *e)
{
	bool mirror = s->o->upstream_count > 0;
	int rc;

	if (mirror && (rc = repo_create(s->o->repo, e)) != 0)
		return rc;
	rc = fsat_operator_dir(s->o->repo, false, 0, &s->repo_fd, e);
	if (rc != 0 || !mirror)
		return rc;
	return repo_anchor_settle(s->repo_fd, s->o->anchor, &s->anchor, e);
}

static void
add_child(struct supervisor *s, enum role role, unsigned number)
{
	s->children[s->child_count++] =
	    (struct child){ .role = role, .number = number };
}

/* Returns the number of workers. */
static unsigned
add_children(struct supervisor *s)
{
	uint64_t workers = s->o->workers > 0 ? s->o->workers : pool_cpus();

	if (workers > DAEMON_WORKERS)
		workers = DAEMON_WORKERS;
	for (unsigned i = 0; i < workers; i++)
		add_child(s, ROLE_WORKER, i);
	if (s->o->upstream_count > 0)
		add_child(s, ROLE_REPLICATOR, 0);
	else if (s->o->keys != NULL)
		add_child(s, ROLE_REFRESHER, 0);
	if (s->o->keeping.scrub_rate > 0 ||
	    s->o->keeping.collect_interval_s > 0)
		add_child(s, ROLE_KEEPER, 0);
	return (unsigned)workers;
}

static int
say_ready(const struct supervisor *s, struct err *e)
{
	(void)printf("ready");
	for (size_t i = 0; i < s->listen_count; i++) {
		const char *colon = strrchr(s->o->listens[i], ':');
		uint16_t port;
		int rc;

		if ((rc = http_port_of(s->listen_fds[i], &port, e)) != 0)
			return rc;
		(void)printf(" %.*s:%u", (int)(colon - s->o->listens[i]),
		    s->o->listens[i], (unsigned)port);
	}
	(void)putchar('\n');
	(void)fflush(stdout);
	return notify_ready(e);
}

int
supervise(const struct daemon_options *o, struct err *e)
{
	struct supervisor *s = calloc(1, sizeof(*s));
	int rc;

	if (s == NULL)
		return err_memory(e);
	s->o = o;
	s->repo_fd = -1;
	if ((rc = tls_identity_open(o->identity, true, &s->identity, e)) != 0 ||
	    (rc = tls_server_context(s->identity, &s->tls, e)) != 0 ||
	    (rc = open_repository(s, e)) != 0 ||
	    (rc = daemon_users_choose(s->o->user, s->repo_fd, &s->users, e)) !=
	        0 ||
	    (rc = open_listeners(s, e)) != 0 ||
	    (rc = serve_stats_new(add_children(s), &s->stats, e)) != 0 ||
	    (rc = board_new(&s->board, e)) != 0 || (rc = say_ready(s, e)) != 0)
		goto out;
	watch(s);
out:
	for (size_t i = 0; i < s->listen_count; i++)
		close(s->listen_fds[i]);
	if (s->repo_fd >= 0)
		close(s->repo_fd);
	serve_stats_free(s->stats);
	board_free(s->board);
	tls_context_free(s->tls);
	tls_identity_free(s->identity);
	free(s);
	return rc;
}
