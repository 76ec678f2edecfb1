/* One run's context: what is held, who is talked to, what is wanted. */
#ifndef CLIENT_SESSION_H
#define CLIENT_SESSION_H

#include "client/served.h"
#include "client/settings.h"
#include "client/state.h"
#include "common/crypto_tls.h"
#include "common/progress.h"
#include "transcripts/learn.h"

struct line;
struct sessions;
struct watcher;

/* Going through the candidates, and how often that was begun again. */
struct session_search {
	bool home_only;       /* as wan_fallback says */
	bool died;            /* a server was lost that may come back */
	struct timespec lost; /* when servers began to fail */
	unsigned returns;     /* since then */
	unsigned losses;      /* servers that failed in the middle */
	uint64_t roster; /* version that s->extras are of, 0: none of any */
};

struct session {
	const struct settings *settings;
	struct state state;
	int root; /* held directory that is applied to */
	time_t now;
	struct timespec changed; /* CLOCK_MONOTONIC of a commit's last step, or
				  * zero */
	struct progress *progress;     /* borrowed, or NULL */
	struct tls_identity *identity; /* NULL: not needed so far */
	struct trust_store store;
	struct trust *trust;

	/* What was applied before; has_applied false on a new machine. */
	bool has_applied;
	struct applied applied;
	struct release was;
	const struct release_profile *was_profile; /* of was, or NULL */

	/* Of a change that is to be confirmed, or NULL. */
	const struct watcher *watcher;

	/* The network. */
	struct sessions *sessions; /* for fetch_options, or NULL */
	struct fetch_options fetch_options;
	const char **extras; /* addresses of the roster, borrowed from trust */
	struct fetch *fetch;
	struct line *line; /* that the daemon lends, or NULL */
	struct learn learn;
	struct buf transcripts; /* of the applied profile, for learn */
	struct fetch_peer peer;
	char site[LIMIT_NAME_BYTES + 1];
	char mirror[LIMIT_NAME_BYTES + 1];
	char home[LIMIT_NAME_BYTES + 1]; /* our own site; "": not known */
	struct session_search search;
	struct served served;
	uint64_t
	    failures; /* runs in a row that did not get to their own site */
	struct buf troubles; /* why candidates before this one did not do */

	/* What is wanted. */
	struct buf head_bytes;
	struct head head;
	struct release release;
	const struct release_profile *profile;
};

/* Everything of the state that a run needs: opens, locks when asked, checks. */
MUST_CHECK int session_open(const struct settings *settings, bool lock,
    struct session *out, struct err *e);
/* s->identity, for whoever goes to a server. */
MUST_CHECK int session_identity(struct session *s, struct err *e);
void session_release(struct session *s);

#endif
