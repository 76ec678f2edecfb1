/* Retention: which releases a repository keeps, and all that they need.
 *
 * Kept are the newest release of each channel; those before it within all the
 * limits of the policy; those that ceased to be kept less than a grace period
 * ago, as somebody may be fetching them; what the last LIMIT_CHAIN data
 * transcripts need; and releases whose statement is here and newer than their
 * channel's head, as they are being fetched to here. */
#ifndef SERVER_RETAIN_H
#define SERVER_RETAIN_H

#include "server/history.h"
#include "server/retain_list.h"
#include "transcripts/closure.h"

#define RETAIN_GRACE_S 86400

struct retain_policy {
	/* Of each channel; 0: any number. */
	uint64_t releases;
	uint64_t age_s; /* since it was made */
	uint64_t bytes; /* as stored, but for what channels before have; the
	                 * release that passes it is the last */
	uint64_t grace_s;
};

struct retain_options {
	struct retain_policy policy;
	time_t now;
	/* NULL: a manifest that is missing where it must not be is an error.
	 * Else called for each release that lacks files which it had; the set
	 * is of no use for collection then. */
	int (*lacks)(void *arg, const struct history_item *item, bool newest,
	    uint64_t files, struct err *e);
	void *arg;
};

struct retained {
	struct closure *closure;
	struct retain_list list; /* to be saved */
	uint64_t kept, leaving;  /* releases; leaving: in their grace */
};

/* The origin is loaded.  Release `out` also after errors; all zero before. */
MUST_CHECK int retain_mark(struct origin *o,
    const struct retain_options *options, struct retained *out, struct err *e);
void retained_release(struct retained *r);
/* A release by its digest, whose statement was verified before it was stored.
 * Release `out` also after errors; release_init it before. */
MUST_CHECK int retain_read_release(
    struct repo *r, const struct digest *d, struct release *out, struct err *e);

#endif
