/* Plan: what a run will do to the file system, decided before anything is
 * fetched or written.  Two lists: items in path order (made or changed), and
 * deletions in the order in which they can be done.
 *
 * New and replaced things are *staged* under a temporary name in the directory
 * that will hold them, then renamed.  What lies below a staged directory is
 * made inside it and arrives with that one rename. */
#ifndef CLIENT_PLAN_H
#define CLIENT_PLAN_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "common/crypto_digest.h"
#include "transcripts/compare.h"

enum plan_op {
	PLAN_CREATE,  /* nothing is there */
	PLAN_REPLACE, /* by rename over what is there; neither is a directory */
	PLAN_EXCHANGE, /* the old or the new one is a directory */
	PLAN_META,     /* owner, mode, time or attributes of what is there */
};

struct plan_item {
	enum plan_op op;
	unsigned bits; /* COMPARE_*: what differs */
	uint8_t type;  /* enum manifest_type; a hard link's is 'h' */
	bool implied;  /* a parent that no transcript lists */
	bool fetched;  /* 'f': its content is staged */
	uint32_t mode, uid, gid;
	struct timespec mtime;
	uint64_t size_bytes;
	struct digest digest;
	uint64_t rdev;
	char *path;         /* relative to the root */
	char *target;       /* 'l', 'h' */
	char *xattrs;       /* manifest text, "" when none */
	uint64_t ino;       /* of what is there */
	uint32_t had_flags; /* the same's FSAT_FLAG_* */
	unsigned flags;     /* MANIFEST_APPEND, ... */
	size_t root; /* index of the item it is staged inside; its own when it
			 * is renamed itself; PLAN_NO_ROOT when not staged */
	char *stage; /* of an item that is its own root: where it is staged */
};

#define PLAN_NO_ROOT SIZE_MAX

struct plan_delete {
	char *path;
	bool is_dir;
	uint64_t ino;
	uint32_t had_flags;
	bool inside; /* of a directory that is replaced: it goes with that */
};

/* A directory that stays and whose content changes: its time is set last. */
struct plan_touch {
	char *path;
	struct timespec mtime;
};

/* What differs and is protected. */
struct plan_spared {
	char *path;
	enum compare_kind kind;
	bool is_there;
};

/* What forbids a change, and is taken off while the plan is carried out: flags
 * of chattr and, for an ordinary user, a directory's read-only mode. */
struct plan_lift {
	char *path;
	uint64_t ino;
	uint32_t flags; /* FSAT_FLAG_* that it has */
	uint32_t mode;  /* that it has; 0 when its mode is in nobody's way */
};

struct plan {
	struct plan_item *items; /* sorted by compare_paths */
	size_t item_count, item_room;
	struct plan_delete *deletes; /* children before their directory */
	size_t delete_count, delete_room;
	struct plan_touch *touches; /* sorted, unique */
	size_t touch_count, touch_room;
	struct plan_spared *spared;
	size_t spared_count, spared_room;
	struct plan_lift *lifts; /* sorted, unique; see lift.h */
	size_t lift_count, lift_room;
	uint64_t write_bytes; /* of regular files that are staged */
};

void plan_init(struct plan *p);
void plan_release(struct plan *p);

/* A compare_fn: records one difference. */
MUST_CHECK int plan_add(
    void *plan, const struct compare_diff *diff, struct err *e);
/* Notes one that no run touches. */
MUST_CHECK int plan_spare(
    struct plan *p, const struct compare_diff *diff, struct err *e);
/* After the last difference: sorts, drops duplicate deletions, names the
 * stages with `run_id`, and finds in `layer` (a fresh one over the same manifests) the
 * times of the directories whose content changes. */
MUST_CHECK int plan_finish(
    struct plan *p, struct layer *layer, const char *run_id, struct err *e);
/* What the names of all stages begin with. */
#define PLAN_STAGE_PREFIX ".pecia-"
bool plan_is_empty(const struct plan *p);

/* The item with this path, or NULL. */
const struct plan_item *plan_find(const struct plan *p, const char *path);
/* What was lifted of this path, or NULL. */
const struct plan_lift *plan_find_lift(const struct plan *p, const char *path);
/* Where the item is while it is staged: its path in its root's stage. */
MUST_CHECK int plan_stage_path(const struct plan *p,
    const struct plan_item *item, char *dst, size_t size, struct err *e);

/* "file", "directory", ... of an enum manifest_type. */
const char *plan_type_word(uint8_t type);
/* "content", "owner", ...: a call each for those of the COMPARE_* bits, with *at
 * 0 before the first; NULL behind the last. */
const char *plan_next_word(unsigned bits, unsigned *at);
/* One line for a reader: "change file etc/motd (content, time)". */
void plan_describe(struct buf *text, const struct plan_item *item);
void plan_describe_delete(struct buf *text, const struct plan_delete *d);

#endif
