/* What the supervisor opens before it forks: identity, repository, listening
 * sockets, shared memory. */
#include <stdio.h>
#include <unistd.h>

#include "common/crypto_tls.h"
#include "common/fsat.h"
#include "common/http_server.h"
#include "common/notify.h"
#include "server/repo_anchor.h"
#include "server/supervise_impl.h"
#include "transcripts/repo.h"

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
int
supervise_open_repository(struct supervisor *s, struct err *e)
{
	bool mirror = s->o->upstream_count > 0;
	int rc;

	if (mirror && (rc = repo_create(s->o->repo, e)) != 0)
		return rc;
	rc = s->repo_fd >= 0
	    ? 0
	    : fsat_operator_dir(s->o->repo, false, 0, &s->repo_fd, e);
	if (rc != 0 || !mirror)
		return rc;
	return repo_anchor_settle(s->repo_fd, s->o->anchor, &s->anchor, e);
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
supervise_context(const struct daemon_options *o,
    const struct tls_identity *identity, struct ssl_ctx_st **out, struct err *e)
{
	int rc = tls_server_context(identity, out, e);

	if (rc == 0 && !o->tls_resume)
		tls_server_forget_sessions(*out);
	return rc;
}

void
supervise_describe(struct supervisor *s)
{
	s->self.repo = s->o->repo;
	s->self.mirror = s->o->upstream_count > 0;
	tls_identity_digest(s->identity, &s->self.key);
}

int
supervise_open(struct supervisor *s, struct err *e)
{
	int rc;

	if ((rc = tls_identity_open(s->o->identity, true, &s->identity, e)) !=
	        0 ||
	    (rc = supervise_context(s->o, s->identity, &s->tls, e)) != 0 ||
	    (rc = supervise_open_repository(s, e)) != 0 ||
	    (rc = daemon_users_choose(s->o->user, s->repo_fd, &s->users, e)) !=
	        0 ||
	    (rc = open_listeners(s, e)) != 0 ||
	    (rc = board_new(&s->board, e)) != 0 ||
	    (rc = serve_stats_new(SUPERVISE_SLOTS, &s->stats, e)) != 0)
		return rc;
	s->self.started = time(NULL);
	supervise_describe(s);
	return say_ready(s, e);
}

void
supervise_close(struct supervisor *s)
{
	for (size_t i = 0; i < s->listen_count; i++)
		close(s->listen_fds[i]);
	if (s->repo_fd >= 0)
		close(s->repo_fd);
	serve_stats_free(s->stats);
	board_free(s->board);
	tls_context_free(s->tls);
	tls_identity_free(s->identity);
}
