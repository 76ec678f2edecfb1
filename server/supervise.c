/* The supervisor; the one process of peciad that may be root. */
#include "server/supervise.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/crypto_tls.h"
#include "common/fsat.h"
#include "common/http_server.h"
#include "common/log.h"
#include "common/pool.h"
#include "common/sandbox.h"
#include "common/splay.h"
#include "server/board.h"
#include "server/daemon_users.h"
#include "server/keeper.h"
#include "server/lookout.h"
#include "server/refresh.h"
#include "server/replicate.h"
#include "server/serve.h"
#include "server/supervise_impl.h"
#include "transcripts/fetcher.h"
#include "transcripts/repo.h"

#define RESTART_S     1 /* pause before a process is started again */
#define RESTART_MAX_S 60
#define STEADY_S      60 /* one that ran so long failed for the first time */
#define END_MS        (HTTP_GRACE_MS + 5000)
#define DESCRIPTORS   65536 /* of a worker, if it may */

static volatile sig_atomic_t stop_signal, hup_signal;

static void
on_signal(int sig)
{
	if (sig == SIGHUP)
		hup_signal = 1;
	else if (sig != SIGCHLD)
		stop_signal = 1;
}

/* ---- what the processes do ---- */

void
supervise_quiet_signals(const struct supervisor *s)
{
	struct sigaction sa = { .sa_handler = on_signal };

	stop_signal = hup_signal = 0;
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	sa.sa_handler = SIG_DFL;
	sigaction(SIGCHLD, &sa, NULL);
	sa.sa_handler = SIG_IGN;
	sigaction(SIGHUP, &sa, NULL);
	sigprocmask(SIG_SETMASK, &s->mask, NULL);
}

/* Half of them are for connections, half for what those are sent. */
static void
raise_descriptors(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) != 0)
		return;
	rl.rlim_cur = rl.rlim_max < DESCRIPTORS ? rl.rlim_max : DESCRIPTORS;
	/* As many connections as there are descriptors: http_server.h. */
	(void)setrlimit(RLIMIT_NOFILE, &rl);
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
		.own_listeners = true,
		.repo = s->repo_fd,
		.tls = s->tls,
		.self = &s->self,
		.board = s->board,
		.stats = s->stats,
		.worker = number,
		.max_connections = (unsigned)s->o->connections,
		.max_per_peer = (unsigned)s->o->per_peer,
		.access_log = s->o->access_log };
	int v1 = -1, rc;

	raise_descriptors();
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
		.user = s->users.reader,
		.board = s->board,
		.rate = &s->o->rate,
		.look_s = (unsigned)s->o->look_s,
		.news_delay_s = (unsigned)splay_own_share(s->o->splay_s),
		.tls_resume = s->o->tls_resume };
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
		.lookout = &s->board->lookout,
		.stop = &stop_signal };

	return refresh_run(&o, e);
}

static int
run_lookout(struct supervisor *s, struct err *e)
{
	struct digest self;
	struct lookout_options o = { .repo = s->o->repo,
		.user = daemon_users_owner(&s->users),
		.self = &self,
		.board = &s->board->lookout,
		.stop = &stop_signal };

	tls_identity_digest(s->identity, &self);
	return lookout_run(&o, e);
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
		.gate = &s->board->line,
		.rate = &s->o->rate,
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
	case ROLE_LOOKOUT:
		return run_lookout(s, e);
	case ROLE_KEEPER:
		return run_keeper(s, e);
	case ROLES:
		break;
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
	case ROLE_LOOKOUT:
		return "lookout";
	case ROLE_KEEPER:
		return "keeper";
	case ROLE_REFRESHER:
	case ROLES:
		break;
	}
	return "refresher";
}

/* An address that nobody accepts at any more shall be nobody's. */
static void
close_listeners(struct supervisor *s)
{
	for (size_t i = 0; i < s->listen_count; i++)
		close(s->listen_fds[i]);
	s->listen_count = 0;
}

static _Noreturn void
child_main(struct supervisor *s, const struct child *c)
{
	struct err e = ERR_INIT;
	int rc;

	supervise_quiet_signals(s);
	if (c->role != ROLE_WORKER) {
		close_listeners(s);
		/* With the keys of its tickets. */
		tls_context_free(s->tls);
		s->tls = NULL;
	}
	rc = run_role(s, c, &e);
	if (rc != 0)
		log_err(LOG_ERROR, "process failed", &e, "role",
		    role_name(c->role), NULL);
	_exit(rc == 0 ? 0 : 1);
}

/* ---- keeping them running ---- */

static void
start_child(struct supervisor *s, struct child *c)
{
	c->started = time(NULL);
	c->pid = fork();
	if (c->pid == 0)
		child_main(s, c);
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
	if (c->renewed || c->retired) {
		c->renewed = false;
		c->due = now;
		return;
	}
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

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (supervise_health_reap(s, pid, status))
			continue;
		for (size_t i = 0; i < s->child_count; i++)
			if (s->children[i].pid == pid)
				note_end(&s->children[i], status);
	}
}

static void
start_due(struct supervisor *s)
{
	time_t now = time(NULL);
	size_t kept = 0;

	for (size_t i = 0; i < s->child_count; i++) {
		const struct child *c = &s->children[i];

		if (!c->retired || c->pid > 0)
			s->children[kept++] = *c;
	}
	s->child_count = kept;
	for (size_t i = 0; i < s->child_count; i++)
		if (s->children[i].pid == 0 && s->children[i].due <= now)
			start_child(s, &s->children[i]);
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
	sigset_t blocked;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigaddset(&blocked, SIGINT);
	sigaddset(&blocked, SIGHUP);
	sigaddset(&blocked, SIGCHLD);
	sigprocmask(SIG_BLOCK, &blocked, &s->mask);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	sigaction(SIGCHLD, &sa, NULL);
	while (stop_signal == 0) {
		siginfo_t info;
		int sig;

		tls_server_turn(s->tls, clock_ms());
		start_due(s);
		sig = sigtimedwait(&blocked, &info, &turn);
		if (sig > 0)
			on_signal(sig);
		if (hup_signal != 0) {
			hup_signal = 0;
			supervise_reload(s);
		}
		if (stop_signal == 0) {
			reap(s);
			supervise_health_turn(s);
		}
	}
	supervise_health_end(s);
	/* Clients are refused from now on, and go elsewhere at once. */
	close_listeners(s);
	end_children(s);
	sigprocmask(SIG_SETMASK, &s->mask, NULL);
}

/* ---- which processes there are ---- */

/* A slot of the counters that nobody uses. */
static unsigned
free_slot(const struct supervisor *s)
{
	bool used[SUPERVISE_SLOTS] = { false };
	unsigned slot = 0;

	for (size_t i = 0; i < s->child_count; i++)
		if (s->children[i].role == ROLE_WORKER)
			used[s->children[i].number] = true;
	while (slot < SUPERVISE_SLOTS - 1 && used[slot])
		slot++;
	return slot;
}

bool
supervise_wants(const struct daemon_options *o, enum role role)
{
	switch (role) {
	case ROLE_REPLICATOR:
		return o->upstream_count > 0;
	case ROLE_REFRESHER:
	case ROLE_LOOKOUT:
		return o->upstream_count == 0 && o->keys != NULL;
	case ROLE_KEEPER:
		return o->keeping.scrub_rate > 0 ||
		    o->keeping.collect_interval_s > 0;
	case ROLE_WORKER:
	case ROLES:
		break;
	}
	return false;
}

void
supervise_add_child(struct supervisor *s, enum role role)
{
	struct child c = { .role = role };

	if (role == ROLE_WORKER)
		c.number = free_slot(s);
	s->children[s->child_count++] = c;
}

void
supervise_add_workers(struct supervisor *s)
{
	uint64_t workers = s->o->workers > 0 ? s->o->workers : pool_cpus();

	if (workers > DAEMON_WORKERS)
		workers = DAEMON_WORKERS;
	for (unsigned i = 0; i < workers; i++)
		supervise_add_child(s, ROLE_WORKER);
}

int
supervise(int argc, char *const argv[], struct daemon_options *o, struct err *e)
{
	struct supervisor *s = calloc(1, sizeof(*s));
	int rc;

	if (s == NULL)
		return err_memory(e);
	s->argc = argc;
	s->argv = argv;
	s->o = o;
	s->repo_fd = -1;
	rc = supervise_open(s, e);
	if (rc == 0) {
		supervise_add_workers(s);
		for (enum role r = ROLE_REPLICATOR; r < ROLES; r++)
			if (supervise_wants(o, r))
				supervise_add_child(s, r);
		watch(s);
	}
	supervise_close(s);
	free(s);
	return rc;
}
