/* System calls with a path, made so that none can be led out of the directory
 * it starts from: resolving, opening, looking, content, locks.  Names are in
 * fsat_names.c, metadata in fsat_meta.c.  Every process uses it. */
#include "common/fsat.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/random.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/fsat_place.h"
#include "common/fscalls.h"
#include "common/limits.h"
#include "common/text.h"

#define FIRST_BYTES  4096
#define CHUNK_BYTES  ((size_t)128 * 1024)
#define LOCK_POLL_MS 10

int
place_open(int dir, const char *path, int flags, unsigned mode)
{
	struct open_how how = { 0 };

	flags |= O_CLOEXEC | O_NOFOLLOW;
	if ((flags & O_PATH) == 0) /* openat2 refuses both together */
		flags |= O_NOCTTY;
	how.flags = (unsigned)flags;
	how.mode = (flags & O_CREAT) != 0 ? mode & 07777 : 0;
	how.resolve =
	    RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
	return fscalls()->openat2(dir, path[0] == '\0' ? "." : path, &how);
}

int
place_fail(const char *verb, const char *path, struct err *e)
{
	if (errno == ELOOP)
		return err_sys(
		    e, "%s %s: a symbolic link is in the way", verb, path);
	return err_sys(e, "%s %s", verb, path[0] == '\0' ? "." : path);
}

static bool
is_dot_dot(const char *s)
{
	return s[0] == '.' && s[1] == '.' && (s[2] == '\0' || s[2] == '/');
}

/* RESOLVE_BENEATH stops a path that leaves; this gives it a readable error,
 * and covers last components, which openat2 does not see. */
static int
check_path(const char *path, struct err *e)
{
	const char *s = path;

	if (path[0] == '/')
		return err_set(e, ERR_FORMAT, "%s: an absolute path", path);
	do {
		s += strspn(s, "/");
		if (is_dot_dot(s))
			return err_set(
			    e, ERR_FORMAT, "%s: a path with \"..\"", path);
		s = strchr(s, '/');
	} while (s != NULL);
	return 0;
}

static int
open_parent(int dir, const char *path, size_t len, int *fd, struct err *e)
{
	char parent[LIMIT_PATH_BYTES + 1];

	if (len >= sizeof(parent)) {
		errno = ENAMETOOLONG;
		return place_fail("open the parent of", path, e);
	}
	memcpy(parent, path, len);
	parent[len] = '\0';
	*fd = place_open(dir, parent, O_PATH | O_DIRECTORY, 0);
	if (*fd < 0)
		return place_fail("open the parent of", path, e);
	return 0;
}

int
place_enter(int dir, const char *path, enum place_kind kind, struct place *p,
    struct err *e)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash == NULL ? path : slash + 1;
	bool itself = path[0] == '\0' || (path[0] == '.' && path[1] == '\0');
	int ret;

	*p = (struct place){ .dir = dir, .name = name, .held = -1 };
	if (itself && kind == PLACE_ANY) {
		p->name = "";
		p->empty = AT_EMPTY_PATH;
		return 0;
	}
	ret = check_path(path, e);
	if (ret != 0)
		return ret;
	if (name[0] == '\0' || (name[0] == '.' && name[1] == '\0'))
		return err_set(
		    e, ERR_FORMAT, "\"%s\": no name at the end", path);
	if (slash == NULL)
		return 0;
	ret = open_parent(dir, path, (size_t)(slash - path), &p->held, e);
	if (ret == 0)
		p->dir = p->held;
	return ret;
}

void
place_leave(struct place *p)
{
	int saved = errno;

	if (p->held >= 0)
		close(p->held);
	p->held = -1;
	errno = saved;
}

int
place_finish(struct place *p, long result, const char *verb, const char *path,
    struct err *e)
{
	place_leave(p);
	return result < 0 ? place_fail(verb, path, e) : 0;
}

/* Parents that are missing, with the modes of any new directory. */
static int
make_operator_parents(char *path)
{
	char *s = path;

	while ((s = strchr(s + 1, '/')) != NULL) {
		*s = '\0';
		if (fscalls()->mkdirat(AT_FDCWD, path, 0755) != 0 &&
		    errno != EEXIST)
			return -1;
		*s = '/';
	}
	return 0;
}

static int
make_operator_dir(const char *path, mode_t mode, struct err *e)
{
	char *copy = strdup(path);
	int ret = 0;

	if (copy == NULL)
		return err_memory(e);
	if (make_operator_parents(copy) != 0 ||
	    (fscalls()->mkdirat(AT_FDCWD, path, mode) != 0 && errno != EEXIST))
		ret = err_sys(e, "make directory %s", path);
	free(copy);
	return ret;
}

int
fsat_operator_dir(
    const char *path, bool create, mode_t mode, int *fd, struct err *e)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	int dir, ret;

	dir = open(path, flags);
	if (dir < 0 && errno == ENOENT && create) {
		ret = make_operator_dir(path, mode, e);
		if (ret != 0)
			return ret;
		dir = open(path, flags);
	}
	if (dir < 0)
		return err_sys(e, "open directory %s", path);
	*fd = dir;
	return 0;
}

static int
open_operator(const char *path, int flags, int *fd, struct err *e)
{
	int file = open(path, flags | O_CLOEXEC);

	if (file < 0)
		return err_sys(e, "open %s", path);
	*fd = file;
	return 0;
}

int
fsat_operator_open(const char *path, int *fd, struct err *e)
{
	return open_operator(path, O_RDONLY | O_NOCTTY, fd, e);
}

int
fsat_operator_hold(const char *path, int *fd, struct err *e)
{
	return open_operator(path, O_PATH, fd, e);
}

int
fsat_operator_read(
    const char *path, size_t max_bytes, struct buf *out, struct err *e)
{
	int fd = -1, ret;

	ret = fsat_operator_open(path, &fd, e);
	if (ret != 0)
		return ret;
	ret = fsat_read_all(fd, max_bytes, out, e);
	if (ret != 0)
		err_prefix(e, "%s", path);
	close(fd);
	return ret;
}

static int
open_below(
    int dir, const char *path, int flags, unsigned mode, int *fd, struct err *e)
{
	int file, ret;

	ret = check_path(path, e);
	if (ret != 0)
		return ret;
	file = place_open(dir, path, flags, mode);
	if (file < 0)
		return place_fail("open", path, e);
	*fd = file;
	return 0;
}

int
fsat_open_dir(int dir, const char *path, int *fd, struct err *e)
{
	return open_below(dir, path, O_RDONLY | O_DIRECTORY, 0, fd, e);
}

int
fsat_hold_dir(int dir, const char *path, int *fd, struct err *e)
{
	return open_below(dir, path, O_PATH | O_DIRECTORY, 0, fd, e);
}

int
fsat_hold(int dir, const char *path, int *fd, struct err *e)
{
	return open_below(dir, path, O_PATH, 0, fd, e);
}

static int
not_regular(const char *path, struct err *e)
{
	return err_set(e, ERR_UNSUPPORTED, "open %s: not a regular file", path);
}

/* Whether opening failed for what the name itself is: a link, a socket. */
static bool
is_special(int dir, const char *path)
{
	int saved = errno;
	struct fsat_stat st;
	bool special;

	special = (saved == ELOOP || saved == ENXIO) &&
	    fsat_stat(dir, path, &st, NULL) == 0 && !S_ISREG(st.mode);
	errno = saved;
	return special;
}

struct opened {
	int fd;
	struct fsat_stat st;
};

static int
open_regular(int dir, const char *path, int flags, unsigned mode,
    struct opened *out, struct err *e)
{
	struct opened o;
	int ret = check_path(path, e);

	if (ret != 0)
		return ret;
	o.fd = place_open(dir, path, flags | O_NONBLOCK, mode);
	/* Who is not its owner may not ask for that. */
	if (o.fd < 0 && errno == EPERM && (flags & O_NOATIME) != 0)
		o.fd = place_open(
		    dir, path, (flags & ~O_NOATIME) | O_NONBLOCK, mode);
	if (o.fd < 0)
		return is_special(dir, path) ? not_regular(path, e)
		                             : place_fail("open", path, e);
	ret = fsat_stat_fd(o.fd, &o.st, e);
	if (ret == 0 && !S_ISREG(o.st.mode))
		ret = not_regular(path, e);
	if (ret == 0)
		*out = o;
	else
		close(o.fd);
	return ret;
}

int
fsat_open_file(int dir, const char *path, int *fd, struct err *e)
{
	struct fsat_stat st;

	return fsat_open_stat(dir, path, fd, &st, e);
}

int
fsat_open_stat(
    int dir, const char *path, int *fd, struct fsat_stat *st, struct err *e)
{
	struct opened o;
	/* That we looked is not worth a write to the disk. */
	int ret = open_regular(dir, path, O_RDONLY | O_NOATIME, 0, &o, e);

	if (ret == 0) {
		*fd = o.fd;
		*st = o.st;
	}
	return ret;
}

int
fsat_create(int dir, const char *path, mode_t mode, int *fd, struct err *e)
{
	return open_below(dir, path, O_RDWR | O_CREAT | O_EXCL, mode, fd, e);
}

int
fsat_open_write(int dir, const char *path, mode_t mode, int *fd, struct err *e)
{
	struct opened o;
	int ret = open_regular(dir, path, O_RDWR | O_CREAT, mode, &o, e);

	if (ret == 0)
		*fd = o.fd;
	return ret;
}

/* For a file system that has no O_TMPFILE: made and unlinked, and the
 * directory's time put back. */
static int
make_unnamed(int dir, int *fd, struct err *e)
{
	char name[FSAT_TMP_BYTES];
	struct fsat_stat st;
	int ret = fsat_stat_fd(dir, &st, e);

	if (ret == 0)
		ret = fsat_temporary(dir, 0600, name, fd, e);
	if (ret == 0)
		ret = fsat_unlink(dir, name, e);
	return ret != 0 ? ret : fsat_utime(dir, "", &st.mtime, e);
}

int
fsat_unnamed(int dir, const char *path, int *fd, struct err *e)
{
	int held = -1, ret = fsat_open_dir(dir, path, &held, e);

	if (ret != 0)
		return ret;
	*fd = openat(held, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (*fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR))
		ret = make_unnamed(held, fd, e);
	else if (*fd < 0)
		ret = place_fail("make a file in", path, e);
	close(held);
	return ret;
}

/* From statx(2): whatever the file system's own blocks are. */
#define STAT_BLOCK ((uint64_t)512)

static uint32_t
flags_of(const struct statx *x)
{
	uint32_t flags = 0;

	if (!S_ISREG(x->stx_mode) && !S_ISDIR(x->stx_mode))
		return 0;
	if ((x->stx_attributes & STATX_ATTR_APPEND) != 0)
		flags |= FSAT_FLAG_APPEND;
	if ((x->stx_attributes & STATX_ATTR_IMMUTABLE) != 0)
		flags |= FSAT_FLAG_IMMUTABLE;
	return flags;
}

static void
copy_stat(struct fsat_stat *st, const struct statx *x)
{
	*st = (struct fsat_stat){
		.mode = x->stx_mode,
		.uid = x->stx_uid,
		.gid = x->stx_gid,
		.nlink = x->stx_nlink,
		.dev = makedev(x->stx_dev_major, x->stx_dev_minor),
		.ino = x->stx_ino,
		.size_bytes = x->stx_size,
		.stored_bytes = x->stx_blocks * STAT_BLOCK,
		.rdev = makedev(x->stx_rdev_major, x->stx_rdev_minor),
		.mtime = { x->stx_mtime.tv_sec, x->stx_mtime.tv_nsec },
		.ctime = { x->stx_ctime.tv_sec, x->stx_ctime.tv_nsec },
		.mount_id = x->stx_mnt_id,
		.flags = flags_of(x),
	};
}

int
fsat_stat(int dir, const char *path, struct fsat_stat *st, struct err *e)
{
	const int flags =
	    AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT;
	struct statx x = { 0 };
	struct place p;
	int ret;

	ret = place_enter(dir, path, PLACE_ANY, &p, e);
	if (ret != 0)
		return ret;
	ret = fscalls()->statx(p.dir, p.name, flags | p.empty,
	    STATX_BASIC_STATS | STATX_MNT_ID, &x);
	ret = place_finish(&p, ret, "stat", path, e);
	if (ret == 0)
		copy_stat(st, &x);
	return ret;
}

int
fsat_stat_fd(int fd, struct fsat_stat *st, struct err *e)
{
	return fsat_stat(fd, "", st, e);
}

int
fsat_free_space(int fd, uint64_t *bytes, uint64_t *inodes, struct err *e)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) != 0)
		return err_sys(e, "statfs");
	/* One that counts no blocks, as ramfs, takes what memory gives. */
	*bytes = UINT64_MAX;
	/* The part reserved for root is free to root. */
	if (fs.f_blocks > 0)
		*bytes = (geteuid() == 0 ? fs.f_bfree : fs.f_bavail) *
		    (uint64_t)fs.f_bsize;
	/* File systems without a fixed number of inodes say zero of zero. */
	*inodes = fs.f_files == 0 ? UINT64_MAX : fs.f_ffree;
	return 0;
}

int
fsat_is_read_only(int fd, bool *read_only, struct err *e)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) != 0)
		return err_sys(e, "statfs");
	*read_only = (fs.f_flags & ST_RDONLY) != 0;
	return 0;
}

int
fsat_write_all(int fd, const void *data, size_t len, struct err *e)
{
	const uint8_t *p = data;
	ssize_t n;

	while (len > 0) {
		n = fscalls()->write(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, "write");
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static ssize_t
read_some(int fd, void *dst, size_t len)
{
	ssize_t n;

	do {
		n = read(fd, dst, len);
	} while (n < 0 && errno == EINTR);
	return n;
}

/* After `most` bytes only the end of the file may follow. */
static int
read_end(int fd, size_t most, struct err *e)
{
	uint8_t byte;
	ssize_t n = read_some(fd, &byte, 1);

	if (n < 0)
		return err_sys(e, "read");
	return n == 0 ? 0 : err_set(e, ERR_LIMIT, "more than %zu bytes", most);
}

int
fsat_read_all(int fd, size_t max_bytes, struct buf *out, struct err *e)
{
	size_t room = out->max - out->len, got = 0, want = FIRST_BYTES;
	size_t most = max_bytes < room ? max_bytes : room;
	uint8_t *p;
	ssize_t n;

	while (got < most) {
		want = want > most - got ? most - got : want;
		p = buf_reserve(out, want);
		if (p == NULL)
			return buf_check(out, "read", e);
		n = read_some(fd, p, want);
		if (n < 0)
			return err_sys(e, "read");
		if (n == 0)
			return 0;
		buf_commit(out, (size_t)n);
		got += (size_t)n;
		want = CHUNK_BYTES;
	}
	return read_end(fd, most, e);
}

int
fsat_read_file(
    int dir, const char *path, size_t max_bytes, struct buf *out, struct err *e)
{
	int fd = -1, ret;

	ret = fsat_open_file(dir, path, &fd, e);
	if (ret != 0)
		return ret;
	ret = fsat_read_all(fd, max_bytes, out, e);
	if (ret != 0)
		err_prefix(e, "%s", path);
	close(fd);
	return ret;
}

int
fsat_temporary(
    int dir, mode_t mode, char name[FSAT_TMP_BYTES], int *fd, struct err *e)
{
	uint8_t random[8];
	size_t at = sizeof(FSAT_TMP_PREFIX) - 1;

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return err_sys(e, "getrandom");
	memcpy(name, FSAT_TMP_PREFIX, at);
	text_hex(name + at, random, sizeof(random));
	return fsat_create(dir, name, mode, fd, e);
}

/* How much of a replaced file is synced. */
enum sync_level {
	SYNC_NOTHING,
	SYNC_CONTENT,
	SYNC_NAME
};

struct content {
	const void *data;
	size_t len;
	mode_t mode;
	enum sync_level level;
};

static int
write_content(int fd, const struct content *c, struct err *e)
{
	int ret = fsat_write_all(fd, c->data, c->len, e);

	if (ret == 0 && fscalls()->fchmod(fd, c->mode) != 0)
		ret = err_sys(e, "chmod");
	if (ret == 0 && c->level >= SYNC_CONTENT)
		ret = fsat_fsync(fd, e);
	return ret;
}

/* The directory may be held by a descriptor that only names it. */
static int
fsync_dir(int dir, struct err *e)
{
	int fd = -1, ret;

	ret = fsat_open_dir(dir, ".", &fd, e);
	if (ret != 0)
		return ret;
	ret = fsat_fsync(fd, e);
	close(fd);
	return ret;
}

static int
replace(int dir, const char *path, const struct content *c, struct err *e)
{
	char name[FSAT_TMP_BYTES];
	struct place p;
	int fd = -1, ret;

	ret = place_enter(dir, path, PLACE_NAME, &p, e);
	if (ret != 0)
		return ret;
	ret = fsat_temporary(p.dir, 0600, name, &fd, e);
	if (ret != 0)
		goto out;
	ret = write_content(fd, c, e);
	if (ret == 0)
		ret = fsat_close(&fd, name, e);
	if (ret == 0)
		ret = fsat_rename(p.dir, name, p.dir, p.name, e);
	if (ret != 0)
		fscalls()->unlinkat(p.dir, name, 0);
	else if (c->level >= SYNC_NAME)
		ret = fsync_dir(p.dir, e);
out:
	if (ret != 0)
		err_prefix(e, "write %s", path);
	if (fd >= 0)
		close(fd);
	place_leave(&p);
	return ret;
}

int
fsat_write_file(int dir, const char *path, mode_t mode, const void *data,
    size_t len, struct err *e)
{
	return replace(
	    dir, path, &(struct content){ data, len, mode, SYNC_NAME }, e);
}

int
fsat_replace_file(int dir, const char *path, mode_t mode, const void *data,
    size_t len, struct err *e)
{
	return replace(
	    dir, path, &(struct content){ data, len, mode, SYNC_CONTENT }, e);
}

int
fsat_write_loosely(int dir, const char *path, mode_t mode, const void *data,
    size_t len, struct err *e)
{
	return replace(
	    dir, path, &(struct content){ data, len, mode, SYNC_NOTHING }, e);
}

int
fsat_skip(int fd, uint64_t len, struct err *e)
{
	if (lseek(fd, (off_t)len, SEEK_CUR) < 0)
		return err_sys(e, "leave a hole");
	return 0;
}

int
fsat_end_hole(int fd, struct err *e)
{
	off_t end = lseek(fd, 0, SEEK_CUR);

	if (end < 0 || fscalls()->ftruncate(fd, end) != 0)
		return err_sys(e, "leave a hole");
	return 0;
}

int
fsat_close(int *fd, const char *what, struct err *e)
{
	int file = *fd;

	*fd = -1;
	/* Linux has closed it even when it says EINTR. */
	if (fscalls()->close(file) != 0 && errno != EINTR)
		return err_sys(e, "close %s", what);
	return 0;
}

int
fsat_fsync(int fd, struct err *e)
{
	return fscalls()->fsync(fd) != 0 ? err_sys(e, "fsync") : 0;
}

void
fsat_write_out(int fd)
{
	(void)!fscalls()->sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

int
fsat_syncfs(int fd, struct err *e)
{
	return fscalls()->syncfs(fd) != 0 ? err_sys(e, "syncfs") : 0;
}

int
fsat_lock(int fd, unsigned wait_ms, struct err *e)
{
	const struct timespec pause = { 0, LOCK_POLL_MS * 1000000L };
	struct timespec now;
	int64_t end_ms = -1, now_ms;

	for (;;) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return err_sys(e, "lock");
		clock_gettime(CLOCK_MONOTONIC, &now);
		now_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
		if (end_ms < 0)
			end_ms = now_ms + wait_ms;
		if (now_ms >= end_ms)
			return err_set(
			    e, ERR_CONFLICT, "lock: held by another process");
		nanosleep(&pause, NULL);
	}
}

void
fsat_unlock(int fd)
{
	if (flock(fd, LOCK_UN) != 0)
		errno = 0; /* closing ends it too */
}

int
fsat_watch(int dir, const char *path, int *fd, struct err *e)
{
	char link[64];
	int held = -1, watch = -1, ret;

	ret = fsat_hold_dir(dir, path, &held, e);
	if (ret != 0)
		return ret;
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", held);
	watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (watch < 0 ||
	    inotify_add_watch(
	        watch, link, IN_CREATE | IN_MOVED_TO | IN_ONLYDIR) < 0)
		ret = err_sys(e, "watch %s", path);
	close(held);
	if (ret == 0)
		*fd = watch;
	else if (watch >= 0)
		close(watch);
	return ret;
}

int
fsat_read_some(int fd, void *dst, size_t size, size_t *got, struct err *e)
{
	ssize_t n = read_some(fd, dst, size);

	if (n < 0)
		return err_sys(e, "read");
	*got = (size_t)n;
	return 0;
}
