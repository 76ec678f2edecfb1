/* Apply: from what is wanted to what is there, as one transaction. */
#ifndef CLIENT_APPLY_H
#define CLIENT_APPLY_H

#include "client/content.h"
#include "client/kept.h"
#include "client/plan.h"
#include "client/session.h"

/* Finishes or undoes what a crash left: with a journal the commit is carried
 * through, without one the stages are removed.  *recovered: there was something,
 * and the session is to be opened anew. */
MUST_CHECK int apply_recover(struct session *s, bool *recovered, struct err *e);

struct apply_result {
	bool new_release; /* the record of what is applied changed */
	bool begun; /* the machine may be other than before, even on an error */
	struct content_counts content;
	struct compare_totals totals;
};

/* Which tree, and how closely to look. */
struct apply_tree {
	const struct release *release;
	const struct release_profile *profile;
	bool read_all; /* believe nothing of the stat cache */
};
/* What differs from it. */
MUST_CHECK int apply_compare(struct session *s, const struct apply_tree *t,
    struct plan *plan, struct compare_totals *totals, struct err *e);

/* The same of any tree: what differs is told to `fn`. */
struct apply_look {
	struct layer *want;
	struct layer *was; /* as in compare.h */
	uint64_t entries;  /* how many there are, 0: unknown; for progress */
	bool read_all;
	bool dir_times; /* as in compare.h */
	compare_fn fn;
	void *arg;
};
MUST_CHECK int apply_look(struct session *s, const struct apply_look *look,
    struct compare_totals *totals, struct err *e);
/* A name for one run's stages, for plan_finish. */
#define APPLY_ID_BYTES 17
MUST_CHECK int apply_new_id(char id[APPLY_ID_BYTES], struct err *e);

/* Called when all is staged and kept, right before the commit of a plan that is
 * not empty; an error stops it, and nothing is changed. */
struct apply_ready {
	int (*fn)(void *arg, struct err *e); /* NULL: none */
	void *arg;
};

/* Called by another thread while what was committed becomes durable, or not at
 * all. */
struct apply_beside {
	void (*fn)(void *arg); /* NULL: none */
	void *arg;
};

/* What the machine is when a plan was carried out. */
struct apply_goal {
	struct apply_ready ready;
	struct apply_beside beside;
	struct buf head;    /* for the trust store; empty: it stays as it is */
	struct buf applied; /* the record; empty: nothing is applied */
	struct kept_release now;
	bool is_rollback;
	bool *begun; /* set as in apply_result; or NULL */
};
/* Stages, keeps what was there, commits and records; a plan that is empty is
 * recorded only. */
MUST_CHECK int apply_change(struct session *s, struct content *content,
    struct plan *plan, const struct apply_goal *goal, struct err *e);

/* Carries the plan out and makes s->release the applied one.  An empty plan
 * only records a new release, or nothing. */
MUST_CHECK int apply_plan(struct session *s, struct content *content,
    struct plan *plan, const struct apply_ready *ready,
    struct apply_result *result, struct err *e);

#endif
