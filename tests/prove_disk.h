/* What a directory holds, in memory: read from the real one, changed call by
 * call, written back, compared.  Files have the numbers that the recorded run
 * saw as their inodes. */
#ifndef TESTS_PROVE_DISK_H
#define TESTS_PROVE_DISK_H

#include <linux/fs.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "common/buf.h"

/* Those of chattr that are looked at. */
#define DISK_FLAGS ((uint32_t)(FS_APPEND_FL | FS_IMMUTABLE_FL))

struct disk_file {
	uint64_t id;
	uint32_t mode, uid, gid, flags;
	uint64_t rdev;
	struct timespec mtime;
	struct buf data;   /* content; a symlink's target */
	struct buf xattrs; /* sorted: name, NUL, u32 length, value */
};

struct disk_name {
	uint64_t dir, file; /* numbers */
	char *name;
};

struct disk {
	uint64_t top; /* number of the directory itself */
	struct disk_file *files;
	size_t file_count, file_room;
	struct disk_name *names;
	size_t name_count, name_room;
};

void disk_init(struct disk *d);
void disk_release(struct disk *d);
void disk_copy(struct disk *to, const struct disk *from);

struct disk_file *disk_find(const struct disk *d, uint64_t id);
/* The name in a directory, or NULL. */
struct disk_name *disk_name(
    const struct disk *d, uint64_t dir, const char *name);
/* The file at a path below the top, or NULL. */
struct disk_file *disk_at(const struct disk *d, const char *path);
struct disk_file *disk_add_file(struct disk *d, uint64_t id);
void disk_add_name(
    struct disk *d, uint64_t dir, const char *name, uint64_t file);
void disk_remove_name(struct disk *d, struct disk_name *n);
/* value NULL: removes it. */
void disk_set_xattr(
    struct disk_file *f, const char *name, const void *value, size_t len);

/* Reads all below a held directory; `number` (may be NULL) tells a file's
 * number by its inode. */
void disk_read(struct disk *d, int dir, uint64_t (*number)(uint64_t inode));
/* Takes everything out of the held directory, whatever flags it has. */
void disk_empty(int dir);
/* Empties the held directory and makes everything in it; tells `made` the
 * inode that each number got. */
void disk_write(
    const struct disk *d, int dir, void (*made)(uint64_t id, uint64_t inode));
/* A digest of all that is reachable, to know states that were tried. */
uint64_t disk_hash(const struct disk *d);

enum disk_how {
	DISK_EXACT,   /* everything the same, metadata and links as well */
	DISK_CONTENT, /* names and content */
	DISK_HOLDS,   /* `have` may have more names */
};
/* Compares what is below a path; false: `why` says what differs. */
bool disk_same(const struct disk *want, const struct disk *have,
    const char *path, enum disk_how how, struct buf *why);

#endif
