/* Which file of a repository a URL's path means: the only shapes there are,
 * so nothing else below the repository can be reached. */
#ifndef SERVER_SERVE_PATH_H
#define SERVER_SERVE_PATH_H

#include "common/crypto_digest.h"

enum serve_kind {
	SERVE_ROOT,     /* /v1/root/<n> */
	SERVE_ROSTER,   /* /v1/roster */
	SERVE_CHANNEL,  /* /v1/channel/<name> */
	SERVE_RELEASE,  /* /v1/release/<sha256> */
	SERVE_MANIFEST, /* /v1/manifest/<sha256> */
	SERVE_DATA,     /* /v1/data/<sha256> */
	SERVE_OBJECT,   /* /v1/object/<aa>/<sha256> */
	SERVE_BATCH,    /* /v1/objects, /v1/objects/<sha256> */
	SERVE_HEALTH,   /* /healthz */
	SERVE_METRICS,  /* /metrics */
	SERVE_STATUS,   /* /status */
	SERVE_NONE,     /* anything else */
	SERVE_KINDS,
};

struct serve_path {
	enum serve_kind kind;
	const char *file;     /* relative to the repository; not for BATCH on */
	const char *name;     /* its last component */
	struct digest digest; /* RELEASE, MANIFEST, DATA and OBJECT */
	bool by_number;       /* BATCH: of the manifest `digest` */
};

/* Of a decoded path; *out points into it. */
void serve_path_parse(const char *path, struct serve_path *out);
/* "channel", "object", ..., "none": for metrics. */
const char *serve_kind_name(enum serve_kind kind);
/* Never changes once it is there. */
bool serve_kind_is_immutable(enum serve_kind kind);

#endif
