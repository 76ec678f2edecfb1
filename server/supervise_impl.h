/* What the files of the supervisor share; included by server/supervise*.c
 * alone. */
#ifndef SERVER_SUPERVISE_IMPL_H
#define SERVER_SUPERVISE_IMPL_H

#include <signal.h>
#include <sys/types.h>
#include <time.h>

#include "common/crypto_identity.h"
#include "common/limits.h"
#include "server/daemon_users.h"
#include "server/board.h"
#include "server/serve_stats.h"
#include "server/serve_view.h"
#include "server/supervise.h"

/* Of the counters: workers, and those that were replaced and still end what
 * they were sending. */
#define SUPERVISE_SLOTS (DAEMON_WORKERS + LIMIT_RETIRING)

enum role {
	ROLE_WORKER,     /* several */
	ROLE_REPLICATOR, /* from here on one each, where it is wanted */
	ROLE_REFRESHER,
	ROLE_LOOKOUT,
	ROLE_KEEPER,
	ROLES,
};

struct child {
	enum role role;
	unsigned number; /* of workers: their slot */
	pid_t pid;       /* 0: to be started at `due` */
	time_t started, due;
	unsigned backoff_s;
	bool retired; /* not to be started again */
	bool renewed; /* was ended by us, to be started again at once */
};

/* Which of the health commands was run last, and which would be next. */
struct announcer {
	bool said, said_healthy; /* announced, and what */
	bool last;               /* the last judgement */
	unsigned in_a_row;
	uint64_t due_ms; /* of the next */
	pid_t pid;       /* of the command that runs, or 0 */
	bool running;    /* what it announces */
	char why[BOARD_TEXT_BYTES];
};

struct supervisor {
	int argc;
	char *const *argv;
	struct daemon_options *o; /* in force; the caller's */
	struct tls_identity *identity;
	struct ssl_ctx_st *tls;
	int listen_fds[DAEMON_LISTENS]; /* as o->listens */
	size_t listen_count;
	int repo_fd;
	struct digest anchor;
	struct serve_stats *stats;
	struct board *board;
	struct serve_self self;
	struct daemon_users users;
	struct child children[SUPERVISE_SLOTS + ROLES];
	size_t child_count;
	struct announcer health;
	sigset_t mask; /* what children begin with */
};

/* supervise.c */
/* In every child, first of all. */
void supervise_quiet_signals(const struct supervisor *s);
void supervise_add_workers(struct supervisor *s);
void supervise_add_child(struct supervisor *s, enum role role);
/* Whether there is to be such a process; not of workers. */
bool supervise_wants(const struct daemon_options *o, enum role role);

/* supervise_open.c */
MUST_CHECK int supervise_open(struct supervisor *s, struct err *e);
/* A mirror's repository is made, and its anchor settled. */
MUST_CHECK int supervise_open_repository(struct supervisor *s, struct err *e);
/* A context for workers to come, as the options say. */
MUST_CHECK int supervise_context(const struct daemon_options *o,
    const struct tls_identity *identity, struct ssl_ctx_st **out,
    struct err *e);
void supervise_describe(struct supervisor *s);
void supervise_close(struct supervisor *s);

/* supervise_reload.c */
/* What SIGHUP asks for.  What makes no sense changes nothing. */
void supervise_reload(struct supervisor *s);

/* supervise_health.c */
/* Looks at the judgements of the workers when it is time for that. */
void supervise_health_turn(struct supervisor *s);
/* Whether that was the process of a health command. */
bool supervise_health_reap(struct supervisor *s, pid_t pid, int status);
/* Withdraws what was announced, before the workers end. */
void supervise_health_end(struct supervisor *s);

#endif
