/* The recorded calls of a run, which of them a power cut may take away, and
 * what a disk holds after those that it left. */
#ifndef TESTS_PROVE_TRAIL_H
#define TESTS_PROVE_TRAIL_H

#include "tests/prove_disk.h"

enum trail_kind {
	TRAIL_CREATE, /* file with mode, rdev and data (a symlink's) at dir/name */
	TRAIL_LINK,
	TRAIL_UNLINK,
	TRAIL_RENAME,   /* dir/name to to_dir/to_name, what is there goes */
	TRAIL_EXCHANGE, /* dir/name with to_dir/to_name */
	TRAIL_WRITE,    /* data at offset */
	TRAIL_TRUNCATE, /* to offset */
	TRAIL_OWNER,
	TRAIL_MODE,
	TRAIL_TIME,
	TRAIL_FLAGS,
	TRAIL_XATTR, /* name, data; is_removal */
	TRAIL_SYNC,  /* of one file or directory */
	TRAIL_SYNC_ALL,
	TRAIL_NOTHING, /* it changed nothing that is looked at */
};

struct trail_call {
	enum trail_kind kind;
	uint64_t file;  /* number of what is made, linked, renamed, changed */
	uint64_t other; /* of what an exchange swaps it with */
	uint64_t dir, to_dir;
	char *name, *to_name;
	uint32_t mode, uid, gid, flags;
	uint64_t rdev, offset;
	struct timespec time;
	bool is_removal;
	struct buf data;
};

struct trail {
	struct trail_call *calls;
	size_t count, room;
};

void trail_init(struct trail *l);
void trail_release(struct trail *l);
/* A new call of this kind, all else zero. */
struct trail_call *trail_add(struct trail *l, enum trail_kind kind);
/* A call in words. */
void trail_describe(const struct trail_call *c, struct buf *text);

/* Which of the first `count` calls are on the disk. */
typedef uint8_t trail_kept;
enum {
	TRAIL_GONE,
	TRAIL_KEPT,
	TRAIL_ZEROED, /* of writes: the size, but zeros for the data */
};
/* Marks TRAIL_KEPT what was synced, all else TRAIL_GONE. */
void trail_durable(const struct trail *l, size_t count, trail_kept *kept);
/* Marks TRAIL_KEPT, too, what the kept ones cannot be without. */
void trail_close(const struct trail *l, size_t count, trail_kept *kept);
/* Marks a call TRAIL_GONE, and those that cannot be without it. */
void trail_drop(
    const struct trail *l, size_t count, size_t which, trail_kept *kept);
bool trail_is_sync(const struct trail_call *c);

/* Carries the kept ones out. */
void trail_replay(const struct trail *l, size_t count, const trail_kept *kept,
    struct disk *d);

#endif
