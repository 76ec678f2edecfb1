/* peciad: serves a repository, and keeps a mirror's replicated. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/crypto_identity.h"
#include "common/fsat.h"
#include "common/log.h"
#include "server/daemon_options.h"
#include "server/seed_verb.h"
#include "server/status.h"
#include "server/supervise.h"

#define EXIT_USAGE 64

static int
print_key(const char *dir, const char *before, struct err *e)
{
	struct tls_identity *id = NULL;
	char hex[DIGEST_HEX];
	struct digest d;
	int rc;

	if ((rc = tls_identity_open(dir, true, &id, e)) != 0)
		return rc;
	tls_identity_digest(id, &d);
	tls_identity_free(id);
	digest_hex(&d, hex);
	(void)printf("%ssha256:%s\n", before, hex);
	return 0;
}

static int
next_of(const struct daemon_options *o, char **dir, struct err *e)
{
	return asprintf(dir, "%s/" TLS_IDENTITY_NEXT, o->identity) >= 0
	    ? 0
	    : err_memory(e);
}

static int
show_identity(const struct daemon_options *o, struct err *e)
{
	char *next = NULL;
	int fd = -1, rc;

	if ((rc = print_key(o->identity, "", e)) != 0 ||
	    (rc = next_of(o, &next, e)) != 0)
		return rc;
	rc = fsat_operator_dir(next, false, 0, &fd, e);
	if (rc == 0) {
		close(fd);
		rc = print_key(next, "next ", e);
	} else if (rc == ERR_NOT_FOUND) {
		err_clear(e);
		rc = 0;
	}
	free(next);
	return rc;
}

static int
next_identity(const struct daemon_options *o, struct err *e)
{
	char *next = NULL;
	int rc;

	if ((rc = next_of(o, &next, e)) != 0)
		return rc;
	rc = print_key(next, "", e);
	free(next);
	return rc;
}

static int
use_next_identity(const struct daemon_options *o, struct err *e)
{
	int rc = tls_identity_advance(o->identity, e);

	if (rc == ERR_NOT_FOUND)
		return err_set(e, ERR_USAGE,
		    "%s has no next key; make it with --next-identity",
		    o->identity);
	return rc == 0 ? print_key(o->identity, "", e) : rc;
}

static int
dispatch(int argc, char *const argv[], struct daemon_options *o, struct err *e)
{
	switch (o->verb) {
	case DAEMON_HELP:
		(void)fputs(daemon_options_help(), stdout);
		return 0;
	case DAEMON_VERSION:
		(void)puts("peciad " PECIA_VERSION);
		return 0;
	case DAEMON_SHOW_IDENTITY:
		return show_identity(o, e);
	case DAEMON_NEXT_IDENTITY:
		return next_identity(o, e);
	case DAEMON_USE_NEXT_IDENTITY:
		return use_next_identity(o, e);
	case DAEMON_STATUS:
		return status_run(o, e);
	case DAEMON_SEED:
	case DAEMON_SERVE:
		break;
	}
	log_start(
	    "peciad", o->verbose || o->access_log ? LOG_INFO : LOG_NOTICE);
	return o->verb == DAEMON_SEED ? seed_verb(o, e)
	                              : supervise(argc, argv, o, e);
}

int
main(int argc, char *argv[])
{
	struct daemon_options o;
	struct err e = ERR_INIT;
	int rc;

	(void)signal(SIGPIPE, SIG_IGN);
	rc = daemon_options_load(argc, argv, &o, &e);
	if (rc == 0) {
		rc = dispatch(argc, argv, &o, &e);
		daemon_options_release(&o);
	}
	if (rc >= 0)
		return rc;
	(void)fprintf(stderr, "peciad: %s\n", e.msg);
	return rc == ERR_USAGE ? EXIT_USAGE : 1;
}
