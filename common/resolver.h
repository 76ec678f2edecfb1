/* Where a server may be: candidates, best first, each resolved only when it
 * is asked for.
 *
 *	resolver_new(&options, &r, &e);
 *	while ((ret = resolver_next(r, &c, &e)) == 0)
 *		if (dial(c.addrs, c.count, NULL, &fd, &i, &e) == 0)
 *			break;
 *	resolver_free(r);
 *
 * Order: the server that was asked for; then for each search domain its SRV
 * record and the short name in it; then the fallback hosts; then the roster's.
 * We expand names ourselves, one absolute query a domain, because libc takes
 * the next domain's server when the first domain's name service is ill, and
 * asks the root for the bare name.  Here NXDOMAIN or no data means the next
 * domain; anything else ends the search.  Where a server may be says nothing
 * about who it is: no name from here carries trust. */
#ifndef COMMON_RESOLVER_H
#define COMMON_RESOLVER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/dial.h"
#include "common/limits.h"

#define RESOLVER_LABEL      "pecia"
#define RESOLVER_PORT       7440
#define RESOLVER_TIMEOUT_MS 2000
#define RESOLVER_ROUNDS     2
/* "_pecia._tcp." and a name, NUL. */
#define RESOLVER_ASKED_BYTES (12 + LIMIT_HOST_BYTES + 1)
/* asked, host, port, source and address of resolver_describe. */
#define RESOLVER_DESCRIBE_BYTES \
 (2 * RESOLVER_ASKED_BYTES + DIAL_TEXT_BYTES + 48)

enum resolver_source {
	RESOLVER_BY_SERVER, /* --server, PECIA_SERVER */
	RESOLVER_BY_SRV,
	RESOLVER_BY_SEARCH, /* the short name in a search domain */
	RESOLVER_BY_FALLBACK,
	RESOLVER_BY_ROSTER,
};

/* "server", "srv", "search", "fallback", "roster". */
const char *resolver_source_text(enum resolver_source source);

struct resolver_candidate {
	enum resolver_source source;
	char asked[RESOLVER_ASKED_BYTES];  /* what was looked for: "pecia",
					     "_pecia._tcp.DOMAIN", or host */
	char domain[LIMIT_HOST_BYTES + 1]; /* search domain, "" without one */
	char host[LIMIT_HOST_BYTES + 1];   /* absolute name or address, to be
					      sent as the HTTP host */
	uint16_t port;
	struct dial_address addrs[LIMIT_ADDRESSES]; /* with the port */
	size_t count;                               /* 1 or more */
};

/* All pointers are borrowed until resolver_free; zero or NULL: the default in
 * brackets. */
struct resolver_options {
	/* HOST or HOST:PORT.  With a dot, a port, or numeric it is used as it
	 * is; else it is looked for in each search domain, without SRV. */
	const char *server;
	bool server_only;  /* no other candidate when `server` is given */
	const char *label; /* short name, one label [RESOLVER_LABEL] */
	uint16_t port;     /* where nothing else names one [RESOLVER_PORT] */
	bool use_srv;
	bool no_search;              /* only `server`, fallback and roster */
	bool srv_only;               /* of the search only SRV records */
	const char *const *fallback; /* HOST or HOST:PORT, in order */
	size_t fallback_count;
	const char *const *roster; /* the same, used last */
	size_t roster_count;

	const char *resolv_conf; /* ["/etc/resolv.conf"] */
	const char *hosts;       /* ["/etc/hosts"] */
	const char *hostname;    /* [gethostname()] */
	/* Asked instead of the name servers of resolv_conf. */
	const struct sockaddr_in *nameserver;
	unsigned timeout_ms; /* a server, a round [RESOLVER_TIMEOUT_MS] */
	unsigned rounds;     /* [RESOLVER_ROUNDS] */
	/* A number from 0 to `last`, for RFC 2782 [getrandom] */
	uint32_t (*random)(void *arg, uint32_t last);
	void *random_arg;
};

struct resolver;

/* Reads resolv.conf; asks nobody yet.  A resolv.conf that is missing or
 * unreadable is no error: the trace says so.  ERR_USAGE: server, label or a
 * fallback host cannot be what it is given as.  Takes LOCALDOMAIN, RES_OPTIONS
 * and HOSTALIASES out of the environment, so call it before there are threads.
 * *r is to be freed with resolver_free. */
MUST_CHECK int resolver_new(
    const struct resolver_options *options, struct resolver **r, struct err *e);
void resolver_free(struct resolver *r);

/* Resolves the next candidate.  A host and port that was given out once is
 * not given again; there are at most LIMIT_CANDIDATES.  ERR_NOT_FOUND: there
 * is no more, and the message has what came of each step; other errors: of
 * this machine.  Each name costs at most
 * 2 * (name servers) * rounds * timeout_ms, twice that where answers are
 * truncated, and as much once more where the name is used as it is.
 *
 * A name is looked for in the hosts file, where it is found without any query
 * and even when the name servers are ill or say NXDOMAIN; then by our own
 * query, which decides.  What exists gets its addresses from getaddrinfo with
 * the search off, so that they come in the order of gai.conf and from all that
 * nsswitch.conf names; our own answer stands in where that fails.  A name of
 * one label is looked for in the hosts file only. */
MUST_CHECK int resolver_next(
    struct resolver *r, struct resolver_candidate *c, struct err *e);

/* All steps so far, one a line: "pecia.site-a.example.com: NXDOMAIN".
 * Borrowed until the next call with r. */
const char *resolver_trace(const struct resolver *r);
/* The search ended early because the local name service is ill. */
bool resolver_is_ill(const struct resolver *r);

/* "pecia -> pecia.site-a.example.com (search) -> 10.1.0.5": how the candidate
 * was found and its address number `index`; the port where it is not
 * RESOLVER_PORT. */
void resolver_describe(const struct resolver_candidate *c, size_t index,
    char dst[RESOLVER_DESCRIBE_BYTES]);

#endif
