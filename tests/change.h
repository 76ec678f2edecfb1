/* A change to a tree, taken step by step: compared, planned, staged, written
 * into a journal, committed.  What goes wrong fails the test. */
#ifndef TESTS_CHANGE_H
#define TESTS_CHANGE_H

#include "client/commit.h"
#include "client/journal.h"
#include "client/plan.h"
#include "client/stage.h"
#include "tests/scratch.h"
#include "tests/trees.h"

#define CHANGE_RUN "0123456789abcdef"

struct change {
	struct scratch top;
	int root, state; /* directories in it */
	const struct spec *after;
	struct wanted wanted;
	struct plan plan;
};

/* Lists of a change that has every kind of step in it. */
extern const struct spec change_before[], change_after[];

/* Makes `before` and plans its way to `after`, which is exact; `was` is the
 * tree applied before, or NULL. */
void change_begin(struct change *c, const struct spec *before,
    const struct source *after, const struct source *was);
/* change_before to change_after. */
void change_begin_all(struct change *c);
void change_stage(struct change *c);
void change_journal(struct change *c);
/* Opens the journal of a state directory and takes its steps. */
int change_commit(struct change *c, int state, struct err *e);
/* Writes to state `to` the journal of `from` with its first k steps only;
 * false when it has no more than those. */
bool change_cut_journal(int from, int to, size_t k);
/* Stages, writes the journal, commits. */
void change_make(struct change *c);
void change_end(struct change *c);

/* The item or deletion of this path; fails the test when there is none. */
const struct plan_item *change_item(const struct change *c, const char *path);

#endif
