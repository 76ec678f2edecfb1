/* The heads that a worker serves: in memory, read again when they are
 * replaced, and with those who wait for that. */
#ifndef SERVER_SERVE_HEADS_H
#define SERVER_SERVE_HEADS_H

#include <sys/queue.h>
#include <time.h>

#include "common/buf.h"
#include "common/crypto_digest.h"
#include "common/fsat.h"
#include "common/http_server.h"
#include "common/limits.h"
#include "transcripts/statement.h"

struct serve_waiter;
TAILQ_HEAD(serve_waiters, serve_waiter);

struct serve_head {
	char name[LIMIT_NAME_BYTES + 1];
	bool present;  /* there is such a file */
	bool good;     /* ... and it is a head of this channel */
	char why[256]; /* why not */
	struct fsat_stat id;
	uint64_t turn; /* of the loop in which it was looked at for a request */
	struct buf bytes;
	char tag[STATEMENT_ETAG_BYTES];
	uint64_t serial;
	struct digest release;
	time_t issued, expires;
	struct serve_waiters waiters;
};

struct serve_heads;
struct serve_slot;

/* Reads the heads there are below repo (a directory, not owned) and watches
 * them in the server's loop.  A folder that is not there yet is no error. */
MUST_CHECK int serve_heads_new(struct http_server *server, int repo,
    struct serve_slot *slot, struct serve_heads **out, struct err *e);
/* No request may be waiting. */
void serve_heads_free(struct serve_heads *h);
/* The i-th head known, for i from 0; NULL past the last. */
const struct serve_head *serve_heads_at(const struct serve_heads *h, size_t i);

/* GET of a head, with ?after=SERIAL&wait=S&with=NAMES. */
void serve_heads_handle(
    struct serve_heads *h, struct http_request *r, const char *name);
/* What `done` of any request must call. */
void serve_heads_forget(struct serve_heads *h, struct http_request *r);

#endif
