/* Collection: removes what no kept release needs, beside publishers, the
 * replicator and whoever is served.
 *
 * What is needed is marked without the lock, and removed with it, in slices.
 * Each slice begins with a look at heads, and at which releases and manifests
 * there are: when that changed, all is marked anew.  doc/sites.md says why that is enough. */
#ifndef SERVER_COLLECT_H
#define SERVER_COLLECT_H

#include <signal.h>

#include "server/retain.h"

struct collect_options {
	struct retain_policy policy;
	bool noop;                         /* only count */
	unsigned wait_ms;                  /* for the lock, at each slice */
	unsigned pause_ms;                 /* after each slice, at least */
	const volatile sig_atomic_t *stop; /* NULL, or ends it early */
	/* NULL, or told of each file; for noop too. */
	void (*removed)(void *arg, const char *path, uint64_t size_bytes);
	void *arg;
};

struct collected {
	uint64_t kept, leaving; /* releases */
	uint64_t needed;        /* files */
	uint64_t files, bytes;  /* removed */
	uint64_t young;         /* not needed, and left because of their age */
	uint64_t marked;        /* times */
};

/* The origin is open, its lock not held; it is loaded here.  ERR_BUSY: it
 * changed too often, or the lock was not to be had; ERR_NOT_FOUND, ERR_VERIFY
 * and others: it is not known what is needed, and nothing was removed.  *out is
 * filled in also after errors. */
MUST_CHECK int collect_run(struct origin *o,
    const struct collect_options *options, struct collected *out,
    struct err *e);

#endif
