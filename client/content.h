/* Content: brings manifests into the state directory and the bytes of regular
 * files into their stages, from wherever they are nearest: the machine itself,
 * a data transcript of the release, or the objects of a server. */
#ifndef CLIENT_CONTENT_H
#define CLIENT_CONTENT_H

#include "client/plan.h"
#include "client/session.h"
#include "client/stage.h"

struct content;

/* Borrows the session.  Without a fetcher in it, only what is on this machine
 * is used. */
MUST_CHECK int content_new(
    struct session *s, struct content **out, struct err *e);
void content_free(struct content *c);

/* Makes sure that every manifest of the wanted profile is in the state
 * directory, durable. */
MUST_CHECK int content_manifests(struct content *c, struct err *e);

/* Fills every regular file of the plan through `stage`, going on to other
 * servers when one fails. */
MUST_CHECK int content_fill(
    struct content *c, struct plan *plan, struct stage *stage, struct err *e);

/* What came from where. */
struct content_counts {
	uint64_t local_files, kept_files, data_files, object_files,
	    copied_files;
};
void content_counts(const struct content *c, struct content_counts *out);

#endif
