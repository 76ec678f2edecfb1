/* What the crash prover's runs need around them: an origin with its keys and
 * two trees to publish, and a directory, on a disk in memory where there is
 * one, in which a run is watched. */
#ifndef TESTS_PROVE_SCENE_H
#define TESTS_PROVE_SCENE_H

#include "client/settings.h"
#include "server/origin.h"
#include "tests/scratch.h"

enum {
	SCENE_BEFORE, /* the trees */
	SCENE_AFTER,
	SCENE_FLAGGED_BEFORE, /* only with has_flags */
	SCENE_FLAGGED_AFTER,
};

struct scene {
	struct scratch top;
	int watched;            /* top/watched */
	bool has_flags;         /* chattr's can be set there */
	char repo[300];         /* top/watched/repo */
	char origin[300];       /* top/origin */
	struct repo *upstream;  /* the origin, for clients and mirrors */
	struct key *key;        /* of all roles */
	struct digest server;   /* key of the one mirror of the roster */
	struct digest anchor;   /* of root 1 */
	struct settings client; /* in watched/root and watched/state */
};

/* Makes trees and keys, and an origin at `path`: scene->origin or ->repo. */
void scene_make(struct scene *s, bool is_origin_watched);
void scene_remove(struct scene *s);
/* The origin's folder. */
MUST_CHECK int scene_publish(
    const struct scene *s, const char *origin, int tree, struct err *e);
/* A mirror in watched/repo takes what the origin has. */
MUST_CHECK int scene_replicate(const struct scene *s, struct err *e);
/* Makes the client's root and state. */
void scene_set_up_client(const struct scene *s);
/* What `pecia run` does; ERR_SYS with what it said when it fails, or when it
 * leaves out what was due. */
MUST_CHECK int scene_run(const struct scene *s, struct err *e);
/* What `pecia rollback --to 1` does; fine as well when that is applied. */
MUST_CHECK int scene_rollback(const struct scene *s, struct err *e);
/* What both do first, after a crash. */
MUST_CHECK int scene_recover(const struct scene *s, struct err *e);

#endif
