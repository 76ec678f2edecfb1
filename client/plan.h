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

#include "client/spill.h"
#include "common/crypto_digest.h"
#include "transcripts/compare.h"
#include "transcripts/release.h"

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
	uint64_t number; /* 'f': of the manifest's files */
	uint32_t source; /* index of the manifest, of plan_note_manifests */
	uint64_t rdev;
	const char *path;   /* relative to the root; it and the next two live */
	const char *target; /* as long as the plan; 'l', 'h'; else "" */
	const char *xattrs; /* manifest text, "" when none */
	uint64_t ino;       /* of what is there */
	uint32_t had_flags; /* the same's FSAT_FLAG_* */
	unsigned flags;     /* MANIFEST_APPEND, ... */
	size_t root; /* index of the item it is staged inside; its own when it
			 * is renamed itself; PLAN_NO_ROOT when not staged */
};

#define PLAN_NO_ROOT      SIZE_MAX
#define PLAN_RUN_ID_BYTES 33

struct plan_delete {
	const char *path; /* lives as long as the plan */
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
	uint64_t write_bytes;     /* of regular files that are staged */
	struct digest *manifests; /* of the profile, in its order */
	size_t manifest_count;
	bool has_links; /* some are names of a file that has, or gets, more */
	char run_id[PLAN_RUN_ID_BYTES]; /* in the names of stages */
	struct spill item_memory, delete_memory, text_memory;
	char *text_at; /* free, at the end of text_memory */
	size_t text_left;
};

void plan_init(struct plan *p);
void plan_release(struct plan *p);
/* Before anything is added: where a plan goes that is too large for memory, a
 * held directory that outlives it.  Without, all of it is in memory. */
void plan_spill(struct plan *p, int dir);
/* Gives back what is in the way; no pointer changes. */
void plan_ease(const struct plan *p);
/* The i-th item or deletion, for those who pass over all of them, in either
 * direction. */
#define PLAN_EASE_ITEMS 4096
static inline struct plan_item *
plan_item(const struct plan *p, size_t i)
{
	if (i % PLAN_EASE_ITEMS == 0)
		plan_ease(p);
	return &p->items[i];
}
static inline struct plan_delete *
plan_deletion(const struct plan *p, size_t i)
{
	if (i % PLAN_EASE_ITEMS == 0)
		plan_ease(p);
	return &p->deletes[i];
}

/* Whose entries the differences are that come. */
MUST_CHECK int plan_note_manifests(struct plan *p, const struct release *r,
    const struct release_profile *profile, struct err *e);
/* A compare_fn: records one difference. */
MUST_CHECK int plan_add(
    void *plan, const struct compare_diff *diff, struct err *e);
/* Notes one that no run touches. */
MUST_CHECK int plan_spare(
    struct plan *p, const struct compare_diff *diff, struct err *e);
/* After the last difference: sorts, drops duplicate deletions, names the
 * stages with `run_id` (less than PLAN_RUN_ID_BYTES), and finds in `layer` (a fresh
 * one over the same manifests) the times of the directories whose content changes. */
MUST_CHECK int plan_finish(
    struct plan *p, struct layer *layer, const char *run_id, struct err *e);
/* What the names of all stages begin with. */
#define PLAN_STAGE_PREFIX ".pecia-"
bool plan_is_empty(const struct plan *p);

/* The item with this path, or NULL. */
const struct plan_item *plan_find(const struct plan *p, const char *path);
/* What was lifted of this path, or NULL. */
const struct plan_lift *plan_find_lift(const struct plan *p, const char *path);
#define PLAN_STAGE_BYTES (LIMIT_PATH_BYTES + 64)
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
