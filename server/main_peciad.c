/* peciad: serves a repository, and keeps a mirror's replicated. */
#include <signal.h>
#include <stdio.h>

#include "common/crypto_identity.h"
#include "common/log.h"
#include "server/daemon_options.h"
#include "server/seed_verb.h"
#include "server/supervise.h"

#define EXIT_USAGE 64

static int
show_identity(const struct daemon_options *o, struct err *e)
{
	struct tls_identity *id = NULL;
	char hex[DIGEST_HEX];
	struct digest d;
	int rc;

	if ((rc = tls_identity_open(o->identity, true, &id, e)) != 0)
		return rc;
	tls_identity_digest(id, &d);
	tls_identity_free(id);
	digest_hex(&d, hex);
	(void)printf("sha256:%s\n", hex);
	return 0;
}

static int
dispatch(const struct daemon_options *o, struct err *e)
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
	case DAEMON_SEED:
	case DAEMON_SERVE:
		break;
	}
	log_start(
	    "peciad", o->verbose || o->access_log ? LOG_INFO : LOG_NOTICE);
	return o->verb == DAEMON_SEED ? seed_verb(o, e) : supervise(o, e);
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
		rc = dispatch(&o, &e);
		daemon_options_release(&o);
	}
	if (rc == 0)
		return 0;
	(void)fprintf(stderr, "peciad: %s\n", e.msg);
	return rc == ERR_USAGE ? EXIT_USAGE : 1;
}
