/* One side of the chain of trust with its store in memory, and the origin that
 * it hears of. */
#ifndef TESTS_TRUST_WORLD_H
#define TESTS_TRUST_WORLD_H

#include "tests/samples.h"
#include "transcripts/trust.h"

#define STORE_FILES 64

/* A put may be made to fail. */
struct store {
	struct {
		char name[256];
		struct buf data;
	} files[STORE_FILES];
	size_t count;
	unsigned puts;
	unsigned fail_at; /* the put that fails, from 1; 0: none */
};

/* The bytes by this name, or NULL. */
struct buf *store_find(struct store *s, const char *name);
void store_forget(struct store *s, const char *name);
void store_release(struct store *s);

struct world {
	struct store store;
	struct trust_store callbacks;
	struct digest anchor;
	struct root root; /* the newest that the origin made */
	struct trust *trust;
	time_t now;
	struct err e; /* of the last call */
};

/* A world that holds root 1 and roster 1 of the samples. */
void world_open(struct world *w);
void world_close(struct world *w);
/* The process ends and starts again. */
void world_restart(struct world *w);

/* What the side is offered, in SAMPLE_CHANNEL; what trust says to it. */
int world_offer_root(struct world *w, const struct buf *text);
int world_offer_roster(struct world *w, const struct buf *text);
int world_offer_head(struct world *w, const struct buf *text);
int world_commit(struct world *w, const struct buf *text);
/* Head and release of this serial, offered and committed. */
int world_accept(struct world *w, uint64_t serial, char variant);
/* Of the accepted head; 0 when there is none. */
uint64_t world_serial(struct world *w);

/* What the origin makes.  A release is of this serial, with `variant` as the
 * first byte of its message; those before it are of variant 'a'. */
void world_make_release(struct buf *text, uint64_t serial, char variant);
void world_make_head(struct buf *text, uint64_t serial, char variant);
void world_head_fields(struct head *h, uint64_t serial, char variant);
/* One version more than the last, signed by the sample's root keys. */
void world_make_root(struct world *w, struct buf *text);
void world_replace_key(struct world *w, enum root_role role,
    enum sample_key old, enum sample_key new);

#endif
