/* Metadata of names: owner, mode, times, extended attributes.  None of these
 * follows a link; where the kernel is too old to say so in one call, the
 * object is held by an O_PATH descriptor and named through /proc. */
#include "common/fsat.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "common/fsat_place.h"
#include "common/fscalls.h"
#include "common/limits.h"

/* The same on every architecture; newer than the C library's headers. */
#define CALL_GETXATTRAT  464 /* Linux 6.13 */
#define CALL_LISTXATTRAT 465

#define PROC_BYTES  32 /* "/proc/self/fd/2147483647" */
#define SMALL_BYTES 1024

struct xattr_args_at { /* struct xattr_args of the kernel */
	uint64_t value;
	uint32_t size;
	uint32_t flags;
};

int
fsat_chown(int dir, const char *path, uint32_t uid, uint32_t gid, struct err *e)
{
	struct place p;
	int ret;

	ret = place_enter(dir, path, PLACE_ANY, &p, e);
	if (ret != 0)
		return ret;
	ret = fscalls()->fchownat(
	    p.dir, p.name, uid, gid, AT_SYMLINK_NOFOLLOW | p.empty);
	return place_finish(&p, ret, "chown", path, e);
}

/* An object held by descriptor and its name below /proc. */
struct proc_name {
	int fd; /* to be closed, or -1 */
	char text[PROC_BYTES];
};

static int
proc_open(const struct place *p, struct proc_name *name)
{
	int fd = p->dir;

	name->fd = -1;
	if (p->empty == 0) {
		fd = place_open(p->dir, p->name, O_PATH, 0);
		if (fd < 0)
			return -1;
		name->fd = fd;
	}
	(void)snprintf(name->text, sizeof(name->text), "/proc/self/fd/%d", fd);
	return 0;
}

static void
proc_close(struct proc_name *name)
{
	int saved = errno;

	if (name->fd >= 0)
		close(name->fd);
	errno = saved;
}

/* chmod of a link's own /proc name would reach the link itself on some file
 * systems; the kernel's new call refuses links, and so must this. */
static int
chmod_by_proc(const struct place *p, uint32_t mode)
{
	struct proc_name name;
	struct stat st;
	int ret;

	if (p->empty != 0 && fscalls()->fchmod(p->dir, mode) == 0)
		return 0;
	if (proc_open(p, &name) != 0)
		return -1;
	ret = fstat(name.fd >= 0 ? name.fd : p->dir, &st);
	if (ret == 0 && S_ISLNK(st.st_mode)) {
		errno = EOPNOTSUPP;
		ret = -1;
	}
	if (ret == 0)
		ret = fscalls()->chmod(name.text, mode);
	proc_close(&name);
	return ret;
}

static int
unsupported(const char *verb, const char *path, struct err *e)
{
	return err_set(e, ERR_UNSUPPORTED,
	    "%s %s: not supported here for this kind of file", verb,
	    *path == '\0' ? "it" : path);
}

int
fsat_chmod(int dir, const char *path, uint32_t mode, struct err *e)
{
	struct place p;
	int ret;

	ret = place_enter(dir, path, PLACE_ANY, &p, e);
	if (ret != 0)
		return ret;
	ret = fscalls()->fchmodat2(
	    p.dir, p.name, mode, AT_SYMLINK_NOFOLLOW | p.empty);
	if (ret != 0 && errno == ENOSYS)
		ret = chmod_by_proc(&p, mode);
	if (ret != 0 && errno == EOPNOTSUPP) {
		place_leave(&p);
		return unsupported("chmod", path, e);
	}
	return place_finish(&p, ret, "chmod", path, e);
}

int
fsat_utime(
    int dir, const char *path, const struct timespec *mtime, struct err *e)
{
	const struct timespec times[2] = { { 0, UTIME_OMIT }, *mtime };
	struct place p;
	int ret;

	ret = place_enter(dir, path, PLACE_ANY, &p, e);
	if (ret != 0)
		return ret;
	ret = fscalls()->utimensat(
	    p.dir, p.name, times, AT_SYMLINK_NOFOLLOW | p.empty);
	return place_finish(&p, ret, "set time of", path, e);
}

static int
change_flags(int fd, uint32_t flags)
{
	int have = 0, want;

	if (ioctl(fd, FS_IOC_GETFLAGS, &have) != 0)
		return -1;
	want = have & ~(FS_APPEND_FL | FS_IMMUTABLE_FL);
	if ((flags & FSAT_FLAG_APPEND) != 0)
		want |= FS_APPEND_FL;
	if ((flags & FSAT_FLAG_IMMUTABLE) != 0)
		want |= FS_IMMUTABLE_FL;
	return want == have ? 0 : fscalls()->setflags(fd, want);
}

/* Opens what is held, once it is known to be no fifo or device: opening those
 * does something. */
static int
flags_by_proc(const struct place *p, uint32_t flags)
{
	struct proc_name name;
	struct stat st;
	int fd, saved, ret;

	if (proc_open(p, &name) != 0)
		return -1;
	ret = fstat(name.fd >= 0 ? name.fd : p->dir, &st);
	if (ret == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
		errno = ENOTTY;
		ret = -1;
	}
	fd = ret == 0 ? open(name.text, O_RDONLY | O_CLOEXEC) : -1;
	ret = fd >= 0 ? change_flags(fd, flags) : -1;
	saved = errno;
	if (fd >= 0)
		close(fd);
	proc_close(&name);
	errno = saved;
	return ret;
}

int
fsat_set_flags(int dir, const char *path, uint32_t flags, struct err *e)
{
	struct place p;
	int ret;

	ret = place_enter(dir, path, PLACE_ANY, &p, e);
	if (ret != 0)
		return ret;
	ret = flags_by_proc(&p, flags);
	if (ret != 0 && (errno == ENOTTY || errno == EOPNOTSUPP)) {
		place_leave(&p);
		return unsupported("set flags of", path, e);
	}
	return place_finish(&p, ret, "set flags of", path, e);
}

/* Whether the kernel's new calls could not do it: it has none, or what is held
 * is held by name only (O_PATH), which they refuse where /proc does not. */
static bool
needs_proc(const struct place *p)
{
	return errno == ENOSYS || (errno == EBADF && p->empty != 0);
}

/* One question to the kernel about attributes: the list when name is NULL. */
static ssize_t
ask_by_proc(const struct place *p, const char *name, void *dst, size_t size)
{
	struct proc_name proc;
	ssize_t n;

	if (proc_open(p, &proc) != 0)
		return -1;
	n = name == NULL ? listxattr(proc.text, dst, size)
	                 : getxattr(proc.text, name, dst, size);
	proc_close(&proc);
	return n;
}

static ssize_t
ask(const struct place *p, const char *name, void *dst, size_t size)
{
	const int flags = AT_SYMLINK_NOFOLLOW | p->empty;
	struct xattr_args_at args = { .value = (uintptr_t)dst,
		.size = (uint32_t)size };
	long n;

	if (name == NULL)
		n = syscall(
		    CALL_LISTXATTRAT, p->dir, p->name, flags, dst, size);
	else
		n = syscall(CALL_GETXATTRAT, p->dir, p->name, flags, name,
		    &args, sizeof(args));
	if (n < 0 && needs_proc(p))
		return ask_by_proc(p, name, dst, size);
	return n;
}

/* Most answers are small; the largest the kernel gives is LIMIT_XATTR_BYTES. */
static ssize_t
ask_all(const struct place *p, const char *name, struct buf *out)
{
	uint8_t small[SMALL_BYTES], *large;
	ssize_t n = ask(p, name, small, sizeof(small));

	if (n >= 0) {
		buf_add(out, small, (size_t)n);
		return n;
	}
	if (errno != ERANGE)
		return -1;
	large = malloc(LIMIT_XATTR_BYTES);
	if (large == NULL)
		return -1;
	n = ask(p, name, large, LIMIT_XATTR_BYTES);
	if (n >= 0)
		buf_add(out, large, (size_t)n);
	free(large);
	return n;
}

int
fsat_xattr_list(int dir, const char *path, struct buf *names, struct err *e)
{
	struct place p;
	ssize_t n;
	int ret;

	ret = place_enter(dir, path, PLACE_ANY, &p, e);
	if (ret != 0)
		return ret;
	n = ask_all(&p, NULL, names);
	if (n < 0 && errno == EOPNOTSUPP)
		n = 0;
	ret = place_finish(&p, n, "list attributes of", path, e);
	return ret != 0 ? ret : buf_check(names, path, e);
}

/* What errno says of one attribute; `result` as a system call gave it. */
static int
finish_xattr(struct place *p, long result, const char *verb, const char *path,
    struct err *e)
{
	int ret;

	if (result >= 0 || (errno != EOPNOTSUPP && errno != ENODATA))
		return place_finish(p, result, verb, path, e);
	place_leave(p);
	if (errno == EOPNOTSUPP)
		return unsupported(verb, path, e);
	ret = err_set(e, ERR_NOT_FOUND, "%s %s: no such attribute", verb, path);
	if (e != NULL)
		e->sys = ENODATA;
	return ret;
}

int
fsat_xattr_get(int dir, const char *path, const char *name, struct buf *value,
    struct err *e)
{
	struct place p;
	ssize_t n;
	int ret;

	ret = place_enter(dir, path, PLACE_ANY, &p, e);
	if (ret != 0)
		return ret;
	n = ask_all(&p, name, value);
	ret = finish_xattr(&p, n, "of", path, e);
	if (ret == 0)
		ret = buf_check(value, path, e);
	if (ret != 0)
		err_prefix(e, "get attribute %s", name);
	return ret;
}

static int
set_by_proc(
    const struct place *p, const char *name, const void *value, size_t len)
{
	struct proc_name proc;
	int ret;

	if (proc_open(p, &proc) != 0)
		return -1;
	ret = value == NULL
	    ? fscalls()->removexattr(proc.text, name)
	    : fscalls()->setxattr(proc.text, name, value, len, 0);
	proc_close(&proc);
	return ret;
}

int
fsat_xattr_set(int dir, const char *path, const char *name, const void *value,
    size_t len, struct err *e)
{
	struct place p;
	int n, ret;

	if (len > LIMIT_XATTR_BYTES)
		return err_set(e, ERR_LIMIT,
		    "attribute %s of %s: more than %d bytes", name, path,
		    LIMIT_XATTR_BYTES);
	ret = place_enter(dir, path, PLACE_ANY, &p, e);
	if (ret != 0)
		return ret;
	n = fscalls()->setxattrat(
	    p.dir, p.name, AT_SYMLINK_NOFOLLOW | p.empty, name, value, len);
	if (n != 0 && needs_proc(&p))
		n = set_by_proc(&p, name, value == NULL ? "" : value, len);
	ret = finish_xattr(&p, n, "of", path, e);
	if (ret != 0)
		err_prefix(e, "set attribute %s", name);
	return ret;
}

int
fsat_xattr_remove(int dir, const char *path, const char *name, struct err *e)
{
	struct place p;
	int n, ret;

	ret = place_enter(dir, path, PLACE_ANY, &p, e);
	if (ret != 0)
		return ret;
	n = fscalls()->removexattrat(
	    p.dir, p.name, AT_SYMLINK_NOFOLLOW | p.empty, name);
	if (n != 0 && needs_proc(&p))
		n = set_by_proc(&p, name, NULL, 0);
	ret = finish_xattr(&p, n, "of", path, e);
	if (ret != 0)
		err_prefix(e, "remove attribute %s", name);
	return ret;
}
