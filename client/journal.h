/* Journal: the steps of a commit, written and synced before the first one is
 * taken.  Steps are read back from the file to be taken, in a run and after a
 * crash alike; each may be taken again. */
#ifndef CLIENT_JOURNAL_H
#define CLIENT_JOURNAL_H

#include "client/plan.h"

/* Names in the state directory. */
#define JOURNAL_NAME   "journal"
#define JOURNAL_STAGES "stages"

/* Which release the machine is on when the steps are done. */
struct journal_header {
	char run_id[33];
	struct buf head;    /* raw bytes of the head, for the trust store */
	struct buf applied; /* raw bytes of the new `applied` record */
};

void journal_header_init(struct journal_header *h);
void journal_header_release(struct journal_header *h);

enum journal_kind {
	JOURNAL_RENAME = 1, /* stage -> path */
	JOURNAL_EXCHANGE,   /* stage <-> path */
	JOURNAL_UNLINK,
	JOURNAL_RMDIR, /* not empty is no error: what is in it is not ours */
	JOURNAL_META,
	JOURNAL_TIME,
	JOURNAL_LEFTOVER, /* remove what an exchange left at stage */
	JOURNAL_FLAGS,    /* of chattr: exactly `bits` */
	JOURNAL_MODE,     /* put back after it was lifted */
};
struct journal_step {
	enum journal_kind kind;
	const char *path;
	const char *stage; /* RENAME, EXCHANGE, LEFTOVER */
	uint64_t ino;      /* EXCHANGE: of what is staged; META, FLAGS, MODE: of
			    * path */
	unsigned bits;     /* META: COMPARE_*; FLAGS: FSAT_FLAG_* */
	uint8_t type;      /* META: enum manifest_type of what path is */
	uint32_t mode, uid, gid;
	struct timespec mtime;
	const char *xattrs; /* META */
};

/* Before staging: the names that will be staged, so that a crash while staging
 * leaves nothing behind. */
MUST_CHECK int journal_write_stages(
    int state, const struct plan *p, struct err *e);
/* Removes what the list names below root, and the list.  ERR_FORMAT: it names
 * what can be no stage; nothing is removed then. */
MUST_CHECK int journal_undo_stages(int state, int root, struct err *e);

/* After staging and syncing.  `root` tells the staged inodes. */
MUST_CHECK int journal_write(int state, int root,
    const struct journal_header *h, const struct plan *p, struct err *e);

/* Reading: checks the whole file's digest first.  ERR_NOT_FOUND: there is no
 * journal. */
struct journal;
MUST_CHECK int journal_open(
    int state, struct journal **out, struct journal_header *h, struct err *e);
/* *more false at the end; the step is valid until the next call. */
MUST_CHECK int journal_next(
    struct journal *j, struct journal_step *step, bool *more, struct err *e);
void journal_free(struct journal *j);
/* Forgets journal and list of stages: the commit is done. */
MUST_CHECK int journal_remove(int state, struct err *e);

#endif
