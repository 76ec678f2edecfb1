/* Served: which sites' servers gave a run its bytes, and which of these crossed
 * a line between sites. */
#ifndef CLIENT_SERVED_H
#define CLIENT_SERVED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/limits.h"

struct buf;
struct json;
struct json_value;
struct session;

struct served_site {
	char site[LIMIT_NAME_BYTES + 1]; /* "": servers that no roster lists */
	bool away;                       /* another site than this machine's */
	uint64_t received, sent;         /* bytes, TLS included */
};
struct served {
	struct served_site sites[LIMIT_CANDIDATES];
	size_t count;
	/* What the fetcher had counted when it was asked last. */
	uint64_t seen_received, seen_sent;
};

/* Counts what came since the last call for the server that is talked to now;
 * when that is another one than before, by its key, s->site and s->mirror
 * become its.  Called before another server is gone to, and at the end. */
void served_count(struct session *s);

/* Of all sites, or of those away only. */
struct served_bytes {
	uint64_t received, sent;
};
struct served_bytes served_total(const struct served *v, bool away);

/* "site-a 1.5 MB, site-b 20 kB; 20 kB between sites". */
void served_text(const struct served *v, struct buf *b);
/* Members of an object: bytes_received, bytes_sent, bytes_between_sites, and a
 * list `sites` of objects. */
void served_json(const struct served *v, struct json *j);
/* Reads that list again; what makes no sense is left out. */
void served_parse(const struct json_value *v, struct served *out);

#endif
