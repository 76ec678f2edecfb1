/* One question to the name servers, and what came of it.
 *
 * The exchange is ours because libresolv's cannot be bounded: glibc 2.36 waits
 * for ever on a TCP answer that does not come, which any name server can cause
 * with a truncated UDP answer.  The bytes of an answer are read with libresolv
 * (ns_initparse, ns_parserr).  A server may say what it likes: only an answer
 * with our id and our question counts, and each wait ends. */
#ifndef COMMON_RESOLVER_QUERY_H
#define COMMON_RESOLVER_QUERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/dial.h"
#include "common/limits.h"

/* Above RESOLVER_NO_DATA the local name service is ill: the answer says
 * nothing about the name. */
enum resolver_status {
	RESOLVER_FOUND,
	RESOLVER_NXDOMAIN,    /* there is no such name */
	RESOLVER_NO_DATA,     /* the name has no record of the type */
	RESOLVER_TIMEOUT,     /* no server answered */
	RESOLVER_UNREACHABLE, /* nothing listens there, or there is no route */
	RESOLVER_SERVFAIL,
	RESOLVER_REFUSED,
	RESOLVER_LAME,      /* neither authoritative nor recursive */
	RESOLVER_MALFORMED, /* answers that cannot be read */
	RESOLVER_OTHER,     /* another error code */
};

bool resolver_status_is_ill(enum resolver_status status);
/* "NXDOMAIN", "no data", "timed out", … */
const char *resolver_status_text(enum resolver_status status);

enum resolver_type {
	RESOLVER_A,
	RESOLVER_AAAA,
	RESOLVER_SRV,
};

struct resolver_srv {
	uint16_t priority; /* lowest first */
	uint16_t weight;
	uint16_t port;
	char target[LIMIT_HOST_BYTES + 1]; /* lower case; "": not available */
};

/* Where and how to ask. */
struct resolver_servers {
	const struct dial_address *addrs;
	size_t count;
	size_t first;        /* the one that answered last is asked first */
	unsigned timeout_ms; /* for each server in each round */
	unsigned rounds;
};

struct resolver_answer {
	enum resolver_status status;
	size_t count; /* of the kind that was asked for; > 0 if FOUND */
	struct dial_address addrs[LIMIT_ADDRESSES];
	struct resolver_srv srv[LIMIT_CANDIDATES];
};

/* Asks for the absolute `name` (resolver_conf_is_name).  Addresses get `port`.
 * What went wrong with the network or the answer is a status; the result is
 * negative only for what is wrong here (memory, randomness).  Records past
 * the arrays are left out, as are those that break their type's form.
 * Takes at most count * rounds * timeout_ms, twice that where every server
 * truncates.  From: RFC 1035, RFC 2782. */
MUST_CHECK int resolver_query(struct resolver_servers *servers,
    const char *name, enum resolver_type type, uint16_t port,
    struct resolver_answer *answer, struct err *e);

/* Reads a message as the answer to the question; exposed for tests. */
void resolver_answer_parse(struct resolver_answer *answer, const void *data,
    size_t len, const char *name, enum resolver_type type, uint16_t port);

/* A number from 0 to `last`. */
typedef uint32_t resolver_random_fn(void *arg, uint32_t last);

/* Puts records into the order of use: by priority, and by weight and chance
 * within one.  From: RFC 2782, "Usage rules". */
void resolver_srv_order(struct resolver_srv *srv, size_t count,
    resolver_random_fn *random, void *arg);

#endif
