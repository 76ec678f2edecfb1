#include "server/seed_verb.h"

#include <stdio.h>
#include <unistd.h>

#include "common/crypto_identity.h"
#include "common/fsat.h"
#include "common/progress.h"
#include "common/sandbox.h"
#include "common/text.h"
#include "server/daemon_users.h"
#include "server/repo_anchor.h"
#include "server/seed.h"
#include "transcripts/fetcher.h"

static void
tell(const struct daemon_options *o, const struct seed_result *r)
{
	char found[32], wanted[32], bases[32];

	if (r->channels == 0) {
		(void)puts("nothing was published yet");
		return;
	}
	if (r->wanted == 0) {
		(void)puts("nothing is missing");
		return;
	}
	text_bytes(found, sizeof(found), r->found_bytes);
	text_bytes(wanted, sizeof(wanted), r->wanted_bytes);
	(void)printf("%llu of %llu objects, %s of %s, were found in %s\n",
	    (unsigned long long)r->found, (unsigned long long)r->wanted, found,
	    wanted, o->source);
	if (r->bases > 0) {
		text_bytes(bases, sizeof(bases), r->base_bytes);
		(void)printf("%llu old versions, %s, for deltas\n",
		    (unsigned long long)r->bases, bases);
	}
	(void)puts("peciad fetches the rest when it is started");
}

static int
enter_sandbox(struct repo *repo, const struct seed_source *source,
    const struct daemon_users *users, struct err *e)
{
	int write_fd = repo_fd(repo);
	struct sandbox box = { .user = daemon_users_owner(users),
		.read_paths = fetcher_read_paths(),
		.read_fds = &source->fd,
		.read_count = source->is_archive ? 0 : 1,
		.write_fds = &write_fd,
		.write_count = 1 };

	return sandbox_enter(&box, e);
}

static int
run(const struct daemon_options *o, struct replicate_options *r, struct err *e)
{
	struct seed_options options = { .replicate = r, .source = o->source };
	struct seed_source source = { .fd = -1 };
	struct seed_result result;
	struct daemon_users users;
	int rc;

	rc = daemon_users_choose(o->user, repo_fd(r->repo), &users, e);
	if (rc == 0)
		rc = seed_source_open(o->source, &source, e);
	if (rc == 0)
		rc = enter_sandbox(r->repo, &source, &users, e);
	if (rc == 0) {
		r->user = users.reader;
		options.progress = progress_new(o->verbose, TERMINAL_AUTO);
		rc = seed_run(&options, &source, &result, e);
		progress_free(options.progress);
	}
	seed_source_close(&source);
	if (rc == 0)
		tell(o, &result);
	return rc;
}

int
seed_verb(const struct daemon_options *o, struct err *e)
{
	struct replicate_options r = {
		.upstreams = (const char *const *)o->upstreams,
		.upstream_count = o->upstream_count,
		.port = 7440,
	};
	struct tls_identity *identity = NULL;
	struct digest anchor;
	int rc;

	if ((rc = tls_identity_open(o->identity, true, &identity, e)) != 0)
		return rc;
	r.identity = identity;
	r.anchor = &anchor;
	if ((rc = repo_create(o->repo, e)) == 0 &&
	    (rc = repo_open(o->repo, &r.repo, e)) == 0)
		rc = repo_anchor_settle(repo_fd(r.repo), o->anchor, &anchor, e);
	if (rc == 0)
		rc = run(o, &r, e);
	repo_close(r.repo);
	tls_identity_free(identity);
	return rc;
}
