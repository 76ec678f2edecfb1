/* What holds for this run: flags, then environment, then the configuration
 * file, then what `pecia init` was told, then defaults. */
#ifndef CLIENT_SETTINGS_H
#define CLIENT_SETTINGS_H

#include "client/guard.h"
#include "client/hooks.h"
#include "client/options.h"
#include "client/schedule.h"
#include "common/config.h"
#include "common/limits.h"

#define SETTINGS_CONFIG "/etc/pecia/pecia.conf"
#define SETTINGS_INIT   "client.conf" /* in the state directory */

enum wan_fallback {
	WAN_ALWAYS,
	WAN_NEVER,
	WAN_AFTER_FAILURES
};

struct settings {
	char *root, *state, *channel, *host, *name;
	char *site;   /* our own; NULL: where the search leads */
	char *server; /* NULL: search */
	char *user;   /* whom the fetcher becomes */
	char **fallbacks;
	size_t fallback_count;
	uint16_t port;
	bool srv;
	bool tls_resume;
	enum wan_fallback wan_fallback;
	uint64_t wan_failures; /* of WAN_AFTER_FAILURES */
	bool ignore_owner, ignore_flags;
	char *ignore_xattrs; /* words as in waived.h; NULL: none */
	struct guard guard;
	struct hooks hooks;
	struct schedule schedule;
	unsigned wait_ms;        /* for the lock */
	unsigned server_wait_ms; /* for servers that are gone */
	unsigned confirm_s; /* for a change to be confirmed; 0: need not be */
	bool confirm_by_server; /* to reach one is enough */

	/* How many runs can be undone; any of them 0: none. */
	uint64_t keep_runs, keep_age_days, keep_bytes;
};

void settings_release(struct settings *s);
/* Errors name file and line. */
MUST_CHECK int settings_load(
    const struct options *o, struct settings *out, struct err *e);

#endif
