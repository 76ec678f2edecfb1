/* The command line and configuration of peciad. */
#ifndef SERVER_DAEMON_OPTIONS_H
#define SERVER_DAEMON_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/rate.h"

#define DAEMON_CONFIG    "/etc/pecia/peciad.conf"
#define DAEMON_REPO      "/var/lib/pecia/repo"
#define DAEMON_IDENTITY  "/etc/pecia/identity"
#define DAEMON_LISTEN    "[::]:7440"
#define DAEMON_LISTENS   16
#define DAEMON_UPSTREAMS 16
#define DAEMON_WORKERS   64
#define DAEMON_RELEASES  10 /* that a mirror keeps */

enum daemon_verb {
	DAEMON_SERVE,
	DAEMON_HELP,
	DAEMON_VERSION,
	DAEMON_SHOW_IDENTITY,
	DAEMON_SEED,
	DAEMON_NEXT_IDENTITY,
	DAEMON_USE_NEXT_IDENTITY,
	DAEMON_STATUS,
};

/* Of the keeper; what is 0 is not bounded, or not done. */
struct daemon_keeping {
	uint64_t releases, age_s, bytes, grace_s;
	uint64_t scrub_rate, scrub_interval_s, collect_interval_s;
	uint64_t delay_s; /* UINT64_MAX: by host */
};

/* Texts are the options' own; release with daemon_options_release. */
struct daemon_options {
	enum daemon_verb verb;
	char *source; /* DAEMON_SEED: directory or archive */
	char *config; /* NULL: the default, which may be missing */
	char *repo, *identity, *keys; /* keys NULL: sign nothing */
	char *anchor;                 /* NULL: as the repository has it */
	char *user; /* NULL: the owner of the repository, or nobody */
	char *listens[DAEMON_LISTENS];
	size_t listen_count;
	char *upstreams[DAEMON_UPSTREAMS];
	size_t upstream_count;
	uint64_t workers;     /* 0: as many as there are processors */
	uint64_t connections; /* of one worker; 0: the server's default */
	uint64_t per_peer;    /* of these, of one peer; 0: the same */
	/* Command lines (words.h) or NULL; as whom they are run, NULL: as the
	 * supervisor; after so many judgements, so far apart. */
	char *on_healthy, *on_unhealthy, *health_user;
	uint64_t health_hold, health_interval_s;
	uint64_t head_lifetime_s;
	struct daemon_keeping keeping;
	uint64_t look_s;       /* between looks at other upstreams */
	uint64_t splay_s;      /* over which mirrors' fetching is spread */
	struct rate_plan rate; /* of what a mirror fetches */
	bool access_log, verbose, json;
	bool tls_resume; /* sessions are given, taken, and kept of upstreams */
};

/* Flags go before the file.  ERR_USAGE says what is wrong. */
MUST_CHECK int daemon_options_load(
    int argc, char *const argv[], struct daemon_options *out, struct err *e);
void daemon_options_release(struct daemon_options *o);
const char *daemon_options_help(void);

#endif
