/* Learn: what a mirror and a client do alike to hear of news: ask a server for
 * roots, roster, heads and releases, and offer them to the trust store. */
#ifndef TRANSCRIPTS_LEARN_H
#define TRANSCRIPTS_LEARN_H

#include "transcripts/fetch.h"
#include "transcripts/statement.h"
#include "transcripts/trust.h"

/* The entity tag that servers give a head of these bytes. */
#define LEARN_ETAG_BYTES STATEMENT_ETAG_BYTES

struct learn {
	struct trust *trust;
	struct trust_store *store;
	struct fetch *fetch;
	struct digest peer; /* key of the server that answered last */
	/* What is here: behind a later head a server may send its release, and
	 * behind the next one data transcripts of these names, before they are
	 * asked for.  NULL: that is not wanted. */
	const char *transcripts; /* names, with ',' between */
	uint64_t serial;
};

/* Roots after the one held, as many as there are; root 1 when none is. */
MUST_CHECK int learn_roots(struct learn *l, struct err *e);
/* The roster; its keys are told to the fetcher.  One older than held is passed
 * over: that server is behind. */
MUST_CHECK int learn_roster(struct learn *l, struct err *e);
/* Tells the fetcher the keys of the roster held. */
MUST_CHECK int learn_keys(struct learn *l, struct err *e);
/* Asks for a channel's head, and for what follows from it.  *changed: `bytes` is filled with one that is not
 * the accepted one. */
MUST_CHECK int learn_head(struct learn *l, const char *channel,
    struct buf *bytes, bool *changed, struct err *e);
/* The tag of these bytes. */
void learn_etag_of(const struct buf *bytes, char etag[LEARN_ETAG_BYTES]);
/* The tag of the accepted head, "" when there is none. */
void learn_etag(
    struct learn *l, const char *channel, char etag[LEARN_ETAG_BYTES]);
/* Offers a head that came; fetches newer roots and the roster that it names or
 * needs. */
MUST_CHECK int learn_offer(struct learn *l, const char *channel,
    const struct buf *bytes, struct head *head, struct err *e);
/* The release of a head: from the store, or fetched and accepted. */
MUST_CHECK int learn_release(struct learn *l, const struct head *head,
    struct release *out, struct err *e);
/* A release known by its digest and signed size, as it came.  ERR_NET for any
 * answer but 200; ERR_NOT_FOUND for 404. */
MUST_CHECK int learn_get(struct learn *l, const char *path, size_t max_bytes,
    struct buf *body, struct err *e);
/* ERR_VERIFY unless the server that answered last is in the roster; `mirror`
 * may be NULL. */
MUST_CHECK int learn_check_server(
    struct learn *l, const struct roster_mirror **mirror, struct err *e);

#endif
