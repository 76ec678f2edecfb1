/* The kernel's own calls; every process uses them. */
#include "common/fscalls.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

/* The same on every architecture; newer than the C library's headers. */
#define CALL_FCHMODAT2     452 /* Linux 6.6 */
#define CALL_SETXATTRAT    463 /* Linux 6.13 */
#define CALL_REMOVEXATTRAT 466

struct xattr_args_at { /* struct xattr_args of the kernel */
	uint64_t value;
	uint32_t size;
	uint32_t flags;
};

static int
kernel_openat2(int dir, const char *path, const struct open_how *how)
{
	return (int)syscall(SYS_openat2, dir, path, how, sizeof(*how));
}

static int
kernel_fchmodat2(int dir, const char *path, mode_t mode, int flags)
{
	return (int)syscall(CALL_FCHMODAT2, dir, path, mode, flags);
}

static int
kernel_setxattrat(int dir, const char *path, int flags, const char *name,
    const void *value, size_t len)
{
	struct xattr_args_at args = { .value = (uintptr_t)value,
		.size = (uint32_t)len };

	return (int)syscall(
	    CALL_SETXATTRAT, dir, path, flags, name, &args, sizeof(args));
}

static int
kernel_removexattrat(int dir, const char *path, int flags, const char *name)
{
	return (int)syscall(CALL_REMOVEXATTRAT, dir, path, flags, name);
}

static int
kernel_setflags(int fd, int flags)
{
	return ioctl(fd, FS_IOC_SETFLAGS, &flags);
}

const struct fscalls fscalls_kernel = {
	.openat2 = kernel_openat2,
	.statx = statx,
	.write = write,
	.copy_file_range = copy_file_range,
	.ftruncate = ftruncate,
	.close = close,
	.mkdirat = mkdirat,
	.symlinkat = symlinkat,
	.linkat = linkat,
	.mknodat = mknodat,
	.renameat2 = renameat2,
	.unlinkat = unlinkat,
	.fchown = fchown,
	.fchownat = fchownat,
	.fchmod = fchmod,
	.fchmodat2 = kernel_fchmodat2,
	.chmod = chmod,
	.futimens = futimens,
	.utimensat = utimensat,
	.setxattrat = kernel_setxattrat,
	.setxattr = setxattr,
	.removexattrat = kernel_removexattrat,
	.removexattr = removexattr,
	.setflags = kernel_setflags,
	.fsync = fsync,
	.syncfs = syncfs,
	.sync_file_range = sync_file_range,
};

#ifdef PECIA_PROVE
const struct fscalls *fscalls_proving = &fscalls_kernel;
#endif
