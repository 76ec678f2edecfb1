/* The recording and failing table of calls. */
#ifndef PECIA_PROVE
# define PECIA_PROVE
#endif
#include "tests/prove_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/fscalls.h"
#include "common/limits.h"
#include "tests/must.h"

#define NUMBERS    8192 /* power of two */
#define FIRST_NEW  ((uint64_t)1 << 32)
#define IS_UNKNOWN ((uint64_t)1 << 48)

static struct {
	pthread_mutex_t lock;
	struct {
		uint64_t inode, id; /* id 0: free */
	} numbers[NUMBERS];
	uint64_t next; /* number of the next new file */
	struct trail *trail;
	size_t count, fail_at;
	int error;
	bool failed;
} calls = { .lock = PTHREAD_MUTEX_INITIALIZER, .next = FIRST_NEW };

/* ---- numbers ---- */

static size_t
slot(uint64_t inode)
{
	size_t at = (size_t)(inode * 0x9e3779b97f4a7c15u >> 32) % NUMBERS;

	while (calls.numbers[at].id != 0 && calls.numbers[at].inode != inode)
		at = (at + 1) % NUMBERS;
	return at;
}

/* 0: none of ours. */
static uint64_t
number(uint64_t inode)
{
	return calls.numbers[slot(inode)].id;
}

static void
set_number(uint64_t id, uint64_t inode)
{
	size_t at = slot(inode);

	calls.numbers[at].inode = inode;
	calls.numbers[at].id = id;
}

static uint64_t
number_or_inode(uint64_t inode)
{
	uint64_t id = number(inode);

	return id != 0 ? id : inode | IS_UNKNOWN;
}

static uint64_t
number_of_fd(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? number(st.st_ino) : 0;
}

static uint64_t
number_at(int dir, const char *path, int flags)
{
	struct stat st;

	return fstatat(dir, path, &st, flags) == 0 ? number(st.st_ino) : 0;
}

static uint64_t
number_of_name(int dir, const char *path, int flags)
{
	return number_at(
	    dir, path, AT_SYMLINK_NOFOLLOW | (flags & AT_EMPTY_PATH));
}

void
calls_put_disk(const struct disk *d, int dir)
{
	memset(calls.numbers, 0, sizeof(calls.numbers));
	disk_write(d, dir, set_number);
}

void
calls_get_disk(struct disk *d, int dir)
{
	disk_read(d, dir, number_or_inode);
}

/* ---- the moment of a call ---- */

/* Whether this one is to fail; the lock is held until done() either way. */
static bool
fails(uint64_t ours)
{
	pthread_mutex_lock(&calls.lock);
	if (ours == 0 || calls.fail_at == 0 || ++calls.count != calls.fail_at ||
	    calls.error == CALLS_SHORT)
		return false;
	calls.failed = true;
	errno = calls.error;
	return true;
}

/* Whether only half of this write is to be made; after fails(). */
static bool
is_short(uint64_t ours, size_t len)
{
	if (ours == 0 || calls.error != CALLS_SHORT ||
	    calls.count != calls.fail_at || calls.fail_at == 0 || len < 2)
		return false;
	calls.failed = true;
	return true;
}

static long
done(long result)
{
	int saved = errno;

	pthread_mutex_unlock(&calls.lock);
	errno = saved;
	return result;
}

static struct trail_call *
note(uint64_t ours, bool happened, enum trail_kind kind)
{
	if (ours == 0 || !happened || calls.trail == NULL)
		return NULL;
	return trail_add(calls.trail, kind);
}

static const char *
base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? path : slash + 1;
}

/* Number of the directory that a path's last name is in. */
static uint64_t
number_of_parent(int dir, const char *path)
{
	char parent[LIMIT_PATH_BYTES + 1];
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return dir == AT_FDCWD ? number_at(dir, ".", 0)
		                       : number_of_fd(dir);
	(void)snprintf(
	    parent, sizeof(parent), "%.*s", (int)(slash - path), path);
	return number_at(dir, *parent == '\0' ? "/" : parent, 0);
}

/* A new file at dir/path. */
static void
note_new(uint64_t parent, int dir, const char *path, const char *target)
{
	struct trail_call *c;
	struct stat st;

	if (parent == 0 || fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return;
	set_number(++calls.next, st.st_ino);
	c = note(parent, true, TRAIL_CREATE);
	if (c == NULL)
		return;
	c->file = calls.next;
	c->dir = parent;
	c->name = strdup(base_name(path));
	c->mode = st.st_mode;
	c->uid = st.st_uid;
	c->gid = st.st_gid;
	c->rdev = st.st_rdev;
	if (target != NULL)
		buf_add_str(&c->data, target);
}

/* ---- opening, looking ---- */

static int
call_openat2(int dir, const char *path, const struct open_how *how)
{
	uint64_t parent = 0;
	int fd;

	if ((how->flags & O_CREAT) != 0 &&
	    faccessat(dir, path, F_OK, AT_SYMLINK_NOFOLLOW) != 0)
		parent = number_of_parent(dir, path);
	if (fails(parent))
		return (int)done(-1);
	fd = fscalls_kernel.openat2(dir, path, how);
	if (fd >= 0)
		note_new(parent, dir, path, NULL);
	return (int)done(fd);
}

static int
call_statx(
    int dir, const char *path, int flags, unsigned mask, struct statx *out)
{
	int ret = fscalls_kernel.statx(dir, path, flags, mask, out);
	uint64_t id;

	if (ret == 0 && (id = number(out->stx_ino)) != 0)
		out->stx_ino = id;
	return ret;
}

/* ---- content ---- */

static off_t
place_of(int fd)
{
	struct stat st;

	if ((fcntl(fd, F_GETFL) & O_APPEND) == 0)
		return lseek(fd, 0, SEEK_CUR);
	return fstat(fd, &st) == 0 ? st.st_size : 0;
}

static ssize_t
call_write(int fd, const void *data, size_t len)
{
	uint64_t ours = number_of_fd(fd);
	struct trail_call *c;
	off_t at;
	ssize_t n;

	if (fails(ours))
		return done(-1);
	at = ours != 0 ? place_of(fd) : 0;
	n = fscalls_kernel.write(fd, data, is_short(ours, len) ? len / 2 : len);
	if ((c = note(ours, n > 0, TRAIL_WRITE)) != NULL) {
		c->file = ours;
		c->offset = (uint64_t)at;
		buf_add(&c->data, data, (size_t)n);
	}
	return done(n);
}

static ssize_t
call_copy_file_range(
    int from, off_t *from_at, int to, off_t *to_at, size_t len, unsigned flags)
{
	uint64_t ours = number_of_fd(to);
	off_t at = to_at != NULL ? *to_at : lseek(to, 0, SEEK_CUR);
	struct trail_call *c;
	uint8_t *copied;
	ssize_t n;

	if (fails(ours))
		return done(-1);
	n = fscalls_kernel.copy_file_range(from, from_at, to, to_at,
	    is_short(ours, len) ? len / 2 : len, flags);
	if ((c = note(ours, n > 0, TRAIL_WRITE)) != NULL) {
		c->file = ours;
		c->offset = (uint64_t)at;
		copied = buf_reserve(&c->data, (size_t)n);
		must(pread(to, copied, (size_t)n, at) == n);
		buf_commit(&c->data, (size_t)n);
	}
	return done(n);
}

static int
call_ftruncate(int fd, off_t size)
{
	uint64_t ours = number_of_fd(fd);
	struct trail_call *c;
	int ret;

	if (fails(ours))
		return (int)done(-1);
	ret = fscalls_kernel.ftruncate(fd, size);
	if ((c = note(ours, ret == 0, TRAIL_TRUNCATE)) != NULL) {
		c->file = ours;
		c->offset = (uint64_t)size;
	}
	return (int)done(ret);
}

/* It is closed even when it says that something went wrong. */
static int
call_close(int fd)
{
	bool fail = fails(number_of_fd(fd));
	int saved = errno, ret = fscalls_kernel.close(fd);

	errno = fail ? saved : errno;
	return (int)done(fail ? -1 : ret);
}

/* ---- names ---- */

static int
call_mkdirat(int dir, const char *path, mode_t mode)
{
	uint64_t parent = number_of_parent(dir, path);
	int ret;

	if (fails(parent))
		return (int)done(-1);
	ret = fscalls_kernel.mkdirat(dir, path, mode);
	if (ret == 0)
		note_new(parent, dir, path, NULL);
	return (int)done(ret);
}

static int
call_symlinkat(const char *target, int dir, const char *path)
{
	uint64_t parent = number_of_parent(dir, path);
	int ret;

	if (fails(parent))
		return (int)done(-1);
	ret = fscalls_kernel.symlinkat(target, dir, path);
	if (ret == 0)
		note_new(parent, dir, path, target);
	return (int)done(ret);
}

static int
call_mknodat(int dir, const char *path, mode_t mode, dev_t rdev)
{
	uint64_t parent = number_of_parent(dir, path);
	int ret;

	if (fails(parent))
		return (int)done(-1);
	ret = fscalls_kernel.mknodat(dir, path, mode, rdev);
	if (ret == 0)
		note_new(parent, dir, path, NULL);
	return (int)done(ret);
}

/* A call on one name or two, of a file that is known already. */
static void
note_name(enum trail_kind kind, uint64_t file, uint64_t parent,
    const char *path, bool happened)
{
	struct trail_call *c = note(parent, happened, kind);

	if (c == NULL)
		return;
	c->file = file;
	c->dir = parent;
	c->name = strdup(base_name(path));
}

static int
call_linkat(
    int from_dir, const char *from, int to_dir, const char *to, int flags)
{
	uint64_t parent = number_of_parent(to_dir, to);
	uint64_t file = number_of_name(from_dir, from, flags);
	int ret;

	if (fails(parent))
		return (int)done(-1);
	ret = fscalls_kernel.linkat(from_dir, from, to_dir, to, flags);
	note_name(TRAIL_LINK, file, parent, to, ret == 0);
	return (int)done(ret);
}

static int
call_renameat2(
    int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
	uint64_t parent = number_of_parent(from_dir, from);
	uint64_t to_parent = number_of_parent(to_dir, to);
	uint64_t file = number_of_name(from_dir, from, 0);
	uint64_t other = number_of_name(to_dir, to, 0);
	struct trail_call *c;
	int ret;

	if (fails(parent))
		return (int)done(-1);
	ret = fscalls_kernel.renameat2(from_dir, from, to_dir, to, flags);
	c = note(parent, ret == 0,
	    (flags & RENAME_EXCHANGE) != 0 ? TRAIL_EXCHANGE : TRAIL_RENAME);
	if (c != NULL) {
		c->file = file;
		c->other = (flags & RENAME_EXCHANGE) != 0 ? other : 0;
		c->dir = parent;
		c->name = strdup(base_name(from));
		c->to_dir = to_parent;
		c->to_name = strdup(base_name(to));
	}
	return (int)done(ret);
}

static int
call_unlinkat(int dir, const char *path, int flags)
{
	uint64_t parent = number_of_parent(dir, path);
	uint64_t file = number_of_name(dir, path, 0);
	int ret;

	/* One that is not there changes nothing, whatever comes of it. */
	if (fails(file != 0 ? parent : 0))
		return (int)done(-1);
	ret = fscalls_kernel.unlinkat(dir, path, flags);
	note_name(TRAIL_UNLINK, file, parent, path, ret == 0);
	return (int)done(ret);
}

/* ---- metadata ---- */

static int
note_owner(uint64_t ours, uid_t uid, gid_t gid, int ret)
{
	struct trail_call *c = note(ours, ret == 0, TRAIL_OWNER);

	if (c != NULL) {
		c->file = ours;
		c->uid = uid;
		c->gid = gid;
	}
	return (int)done(ret);
}

static int
call_fchown(int fd, uid_t uid, gid_t gid)
{
	uint64_t ours = number_of_fd(fd);

	if (fails(ours))
		return (int)done(-1);
	return note_owner(ours, uid, gid, fscalls_kernel.fchown(fd, uid, gid));
}

static int
call_fchownat(int dir, const char *path, uid_t uid, gid_t gid, int flags)
{
	uint64_t ours = number_of_name(dir, path, flags);

	if (fails(ours))
		return (int)done(-1);
	return note_owner(ours, uid, gid,
	    fscalls_kernel.fchownat(dir, path, uid, gid, flags));
}

static int
note_mode(uint64_t ours, mode_t mode, int ret)
{
	struct trail_call *c = note(ours, ret == 0, TRAIL_MODE);

	if (c != NULL) {
		c->file = ours;
		c->mode = mode & 07777;
	}
	return (int)done(ret);
}

static int
call_fchmod(int fd, mode_t mode)
{
	uint64_t ours = number_of_fd(fd);

	if (fails(ours))
		return (int)done(-1);
	return note_mode(ours, mode, fscalls_kernel.fchmod(fd, mode));
}

static int
call_fchmodat2(int dir, const char *path, mode_t mode, int flags)
{
	uint64_t ours = number_of_name(dir, path, flags);

	if (fails(ours))
		return (int)done(-1);
	return note_mode(
	    ours, mode, fscalls_kernel.fchmodat2(dir, path, mode, flags));
}

static int
call_chmod(const char *path, mode_t mode)
{
	uint64_t ours = number_at(AT_FDCWD, path, 0);

	if (fails(ours))
		return (int)done(-1);
	return note_mode(ours, mode, fscalls_kernel.chmod(path, mode));
}

static int
note_time(uint64_t ours, const struct timespec times[2], int ret)
{
	struct trail_call *c = note(ours, ret == 0, TRAIL_TIME);

	if (c != NULL) {
		c->file = ours;
		c->time = times[1];
	}
	return (int)done(ret);
}

static int
call_futimens(int fd, const struct timespec times[2])
{
	uint64_t ours = number_of_fd(fd);

	if (fails(ours))
		return (int)done(-1);
	return note_time(ours, times, fscalls_kernel.futimens(fd, times));
}

static int
call_utimensat(
    int dir, const char *path, const struct timespec times[2], int flags)
{
	uint64_t ours = number_of_name(dir, path, flags);

	if (fails(ours))
		return (int)done(-1);
	return note_time(
	    ours, times, fscalls_kernel.utimensat(dir, path, times, flags));
}

/* value NULL: it was removed. */
static int
note_xattr(
    uint64_t ours, const char *name, const void *value, size_t len, int ret)
{
	struct trail_call *c = note(ours, ret == 0, TRAIL_XATTR);

	if (c != NULL) {
		c->file = ours;
		c->name = strdup(name);
		c->is_removal = value == NULL;
		buf_add(&c->data, value == NULL ? "" : value, len);
	}
	return (int)done(ret);
}

static int
call_setxattrat(int dir, const char *path, int flags, const char *name,
    const void *value, size_t len)
{
	uint64_t ours = number_of_name(dir, path, flags);

	if (fails(ours))
		return (int)done(-1);
	return note_xattr(ours, name, value == NULL ? "" : value, len,
	    fscalls_kernel.setxattrat(dir, path, flags, name, value, len));
}

static int
call_setxattr(const char *path, const char *name, const void *value, size_t len,
    int flags)
{
	uint64_t ours = number_at(AT_FDCWD, path, 0);

	if (fails(ours))
		return (int)done(-1);
	return note_xattr(ours, name, value == NULL ? "" : value, len,
	    fscalls_kernel.setxattr(path, name, value, len, flags));
}

static int
call_removexattrat(int dir, const char *path, int flags, const char *name)
{
	uint64_t ours = number_of_name(dir, path, flags);

	if (fails(ours))
		return (int)done(-1);
	return note_xattr(ours, name, NULL, 0,
	    fscalls_kernel.removexattrat(dir, path, flags, name));
}

static int
call_removexattr(const char *path, const char *name)
{
	uint64_t ours = number_at(AT_FDCWD, path, 0);

	if (fails(ours))
		return (int)done(-1);
	return note_xattr(
	    ours, name, NULL, 0, fscalls_kernel.removexattr(path, name));
}

static int
call_setflags(int fd, int flags)
{
	uint64_t ours = number_of_fd(fd);
	struct trail_call *c;
	int ret;

	if (fails(ours))
		return (int)done(-1);
	ret = fscalls_kernel.setflags(fd, flags);
	if ((c = note(ours, ret == 0, TRAIL_FLAGS)) != NULL) {
		c->file = ours;
		c->flags = (uint32_t)flags & DISK_FLAGS;
	}
	return (int)done(ret);
}

/* ---- durability: recorded, and not waited for ---- */

static int
call_fsync(int fd)
{
	uint64_t ours = number_of_fd(fd);
	struct trail_call *c;

	if (fails(ours))
		return (int)done(-1);
	if ((c = note(ours, true, TRAIL_SYNC)) != NULL)
		c->file = ours;
	return (int)done(0);
}

static int
call_syncfs(int fd)
{
	uint64_t ours = number_of_fd(fd);

	if (fails(ours))
		return (int)done(-1);
	(void)note(ours, true, TRAIL_SYNC_ALL);
	return (int)done(0);
}

/* What it writes counts as not written until a sync says so. */
static int
call_sync_file_range(int fd, off_t from, off_t len, unsigned flags)
{
	return fscalls_kernel.sync_file_range(fd, from, len, flags);
}

static const struct fscalls table = {
	.openat2 = call_openat2,
	.statx = call_statx,
	.write = call_write,
	.copy_file_range = call_copy_file_range,
	.ftruncate = call_ftruncate,
	.close = call_close,
	.mkdirat = call_mkdirat,
	.symlinkat = call_symlinkat,
	.linkat = call_linkat,
	.mknodat = call_mknodat,
	.renameat2 = call_renameat2,
	.unlinkat = call_unlinkat,
	.fchown = call_fchown,
	.fchownat = call_fchownat,
	.fchmod = call_fchmod,
	.fchmodat2 = call_fchmodat2,
	.chmod = call_chmod,
	.futimens = call_futimens,
	.utimensat = call_utimensat,
	.setxattrat = call_setxattrat,
	.setxattr = call_setxattr,
	.removexattrat = call_removexattrat,
	.removexattr = call_removexattr,
	.setflags = call_setflags,
	.fsync = call_fsync,
	.syncfs = call_syncfs,
	.sync_file_range = call_sync_file_range,
};

void
calls_begin(void)
{
	fscalls_proving = &table;
}

void
calls_end(void)
{
	fscalls_proving = &fscalls_kernel;
}

void
calls_record(struct trail *t)
{
	calls.trail = t;
}

void
calls_fail(size_t n, int error)
{
	calls.count = 0;
	calls.fail_at = n;
	calls.error = error;
	calls.failed = false;
}

bool
calls_have_failed(void)
{
	return calls.failed;
}
