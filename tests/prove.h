/* The crash prover: what is left after a run is ended at any of its calls, by
 * a kill, by a power cut or by a call that fails, is put in order by the next
 * start.  doc/proving.md says what is tried. */
#ifndef TESTS_PROVE_H
#define TESTS_PROVE_H

#include "tests/prove_scene.h"
#include "tests/prove_trail.h"

/* The watched directory before and after the run; and after the recovery that
 * is being cut off, which `new` is the same as until then. */
struct prove_ends {
	struct disk old, new, recovered;
};

/* A run to prove.  Checks say in `why` what is wrong. */
struct prove_run {
	const char *name;
	bool is_origin_watched;
	bool needs_flags; /* of chattr; without them it is passed over */
	/* Makes the watched directory as it is before the run. */
	void (*set_up)(const struct scene *s);
	int (*act)(const struct scene *s, struct err *e);
	/* The state as it is found, before anything is done about it; may be
	 * NULL. */
	bool (*is_fit_to_read)(const struct disk *now,
	    const struct prove_ends *ends, struct buf *why);
	/* What the next start does first. */
	int (*recover)(const struct scene *s, struct err *e);
	/* Afterwards: all old or all new, and nothing besides. */
	bool (*is_old_or_new)(const struct scene *s, const struct disk *now,
	    const struct prove_ends *ends, struct buf *why);
	/* After a run that went well. */
	bool (*is_new)(const struct scene *s, const struct disk *now,
	    const struct prove_ends *ends, struct buf *why);
};

/* How much is tried. */
struct prove_depth {
	size_t kills;    /* each n-th call a kill is tried after */
	size_t every;    /* each n-th call a power cut is tried at */
	size_t singles;  /* reorderings of single calls, at each of those */
	size_t recovers; /* crash points whose recovery is cut off as well */
	size_t faults;   /* each n-th call that is made to fail */
	size_t enough;   /* failures, after which no more is tried; 0: all is */
};

#define PROVE_TOLD 6 /* failures */
struct prove_counts {
	size_t calls, crash_points, reorderings, recoveries, faults;
	size_t states; /* different ones, of all of these */
	size_t failures;
	char first[PROVE_TOLD * 1024]; /* the first ones, a line each */
};

/* Damages the recording as an error in the program would; may be NULL.  Returns
 * the first call that it changed: up to there all is as without it. */
typedef size_t (*prove_damage)(struct trail *t);

/* false: the disk here cannot hold the run's tree, and nothing was tried. */
bool prove(const struct prove_run *run, const struct prove_depth *depth,
    prove_damage damage, struct prove_counts *out);

#endif
