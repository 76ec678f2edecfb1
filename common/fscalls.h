/* The table of system calls that change a file system or make it durable, and
 * of the one that tells a file's identity.  Everything else of the project
 * makes such calls through fscalls(); a lint rule holds that.
 *
 * Each entry is what the kernel does by that name: its result, errno, and
 * flags.  A build with PECIA_PROVE puts its own table in place, which records
 * the calls, lets them fail, or says what was the case on another day. */
#ifndef COMMON_FSCALLS_H
#define COMMON_FSCALLS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

struct open_how;
struct statx;

struct fscalls {
	int (*openat2)(int dir, const char *path, const struct open_how *how);
	int (*statx)(int dir, const char *path, int flags, unsigned mask,
	    struct statx *out);

	/* Content of an open file. */
	ssize_t (*write)(int fd, const void *data, size_t len);
	ssize_t (*copy_file_range)(int from, off_t *from_at, int to,
	    off_t *to_at, size_t len, unsigned flags);
	int (*ftruncate)(int fd, off_t size);
	int (*close)(int fd); /* of a file that was written */

	/* Names. */
	int (*mkdirat)(int dir, const char *path, mode_t mode);
	int (*symlinkat)(const char *target, int dir, const char *path);
	int (*linkat)(int from_dir, const char *from, int to_dir,
	    const char *to, int flags);
	int (*mknodat)(int dir, const char *path, mode_t mode, dev_t rdev);
	int (*renameat2)(int from_dir, const char *from, int to_dir,
	    const char *to, unsigned flags);
	int (*unlinkat)(int dir, const char *path, int flags);

	/* Metadata.  The three without "at" follow links: they are for the
	 * names below /proc of what is held, where a kernel lacks the others. */
	int (*fchown)(int fd, uid_t uid, gid_t gid);
	int (*fchownat)(
	    int dir, const char *path, uid_t uid, gid_t gid, int flags);
	int (*fchmod)(int fd, mode_t mode);
	int (*fchmodat2)(int dir, const char *path, mode_t mode, int flags);
	int (*chmod)(const char *path, mode_t mode);
	int (*futimens)(int fd, const struct timespec times[2]);
	int (*utimensat)(int dir, const char *path,
	    const struct timespec times[2], int flags);
	int (*setxattrat)(int dir, const char *path, int flags,
	    const char *name, const void *value, size_t len);
	int (*setxattr)(const char *path, const char *name, const void *value,
	    size_t len, int flags);
	int (*removexattrat)(
	    int dir, const char *path, int flags, const char *name);
	int (*removexattr)(const char *path, const char *name);
	int (*setflags)(int fd, int flags); /* all of FS_IOC_SETFLAGS */

	/* Durability. */
	int (*fsync)(int fd);
	int (*syncfs)(int fd);
	int (*sync_file_range)(int fd, off_t from, off_t len, unsigned flags);
};

extern const struct fscalls fscalls_kernel;

#ifdef PECIA_PROVE
/* Which table is in place; the kernel's, until a test puts another. */
extern const struct fscalls *fscalls_proving;
#endif

static inline const struct fscalls *
fscalls(void)
{
#ifdef PECIA_PROVE
	return fscalls_proving;
#else
	return &fscalls_kernel;
#endif
}

#endif
