/* The one module that calls system calls with a path.
 *
 * Two kinds of function.  fsat_operator_* take a path that the operator gave
 * (a flag, a configuration file): symlinks are followed.  All others take a
 * held directory and a relative path and never leave it: every component is
 * resolved with openat2(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
 * RESOLVE_NO_MAGICLINKS), and the last one is never followed.  A path of one
 * component costs no extra system call.  "" and "." mean the directory itself
 * for fsat_open_dir, fsat_hold_dir, fsat_hold, fsat_stat, fsat_mkdir_all, fsat_watch and
 * all metadata; with "", metadata may be of any held file, by its descriptor.
 * Elsewhere, and for absolute paths and "..", the error is ERR_FORMAT.  Every
 * descriptor is O_CLOEXEC and the caller's to close.  New names get their mode
 * less the umask.  Errors name the path; ERR_NOT_FOUND is ENOENT, err.sys has
 * errno. */
#ifndef COMMON_FSAT_H
#define COMMON_FSAT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#include "common/buf.h"
#include "common/err.h"

struct fsat_stat {
	uint32_t mode; /* type and permission bits */
	uint32_t uid, gid;
	uint32_t nlink;
	uint64_t dev, ino;
	uint64_t size_bytes;
	uint64_t stored_bytes; /* less than its size: it has holes */
	uint64_t rdev;
	struct timespec mtime, ctime;
	uint64_t mount_id;
	uint32_t flags; /* FSAT_FLAG_*; none where the file system has none */
};
/* As chattr sets them, on files and directories only. */
#define FSAT_FLAG_APPEND    1u
#define FSAT_FLAG_IMMUTABLE 2u

/* Operator's paths.  create makes the directory where it is missing, with
 * mode, and its parents with 0755. */
MUST_CHECK int fsat_operator_dir(
    const char *path, bool create, mode_t mode, int *fd, struct err *e);
/* Whole file, at most max_bytes. */
MUST_CHECK int fsat_operator_read(
    const char *path, size_t max_bytes, struct buf *out, struct err *e);
MUST_CHECK int fsat_operator_open(const char *path, int *fd, struct err *e);
/* Only names what is there (O_PATH). */
MUST_CHECK int fsat_operator_hold(const char *path, int *fd, struct err *e);

/* Opening, below a held directory. */
MUST_CHECK int fsat_open_dir(int dir, const char *path, int *fd, struct err *e);
/* Only names the directory, for use as `dir` of these functions: it need not
 * be readable, and cannot be listed or synced. */
MUST_CHECK int fsat_hold_dir(int dir, const char *path, int *fd, struct err *e);
/* The same of anything, a symlink itself too. */
MUST_CHECK int fsat_hold(int dir, const char *path, int *fd, struct err *e);
/* A regular file for reading; anything else is ERR_UNSUPPORTED (a fifo is not
 * waited for).  Its access time stays, if it is ours or we may do as with ours. */
MUST_CHECK int fsat_open_file(
    int dir, const char *path, int *fd, struct err *e);
/* The same, with what fsat_stat_fd says of it: no call more. */
MUST_CHECK int fsat_open_stat(
    int dir, const char *path, int *fd, struct fsat_stat *st, struct err *e);
/* A new file for reading and writing, exclusively made. */
MUST_CHECK int fsat_create(
    int dir, const char *path, mode_t mode, int *fd, struct err *e);
/* Opens or creates for reading and writing, e.g. a lock or a partial file.
 * ERR_UNSUPPORTED for anything but a regular file. */
MUST_CHECK int fsat_open_write(
    int dir, const char *path, mode_t mode, int *fd, struct err *e);
/* A new file without a name, on the file system that holds the directory
 * path; it goes when it is closed. */
MUST_CHECK int fsat_unnamed(int dir, const char *path, int *fd, struct err *e);
/* A new file under a random name that starts with FSAT_TMP_PREFIX; such a file
 * found later was left by a crash. */
#define FSAT_TMP_PREFIX ".pecia-tmp-"
#define FSAT_TMP_BYTES  (sizeof(FSAT_TMP_PREFIX) + 16)
MUST_CHECK int fsat_temporary(
    int dir, mode_t mode, char name[FSAT_TMP_BYTES], int *fd, struct err *e);
/* Removes such files of a directory; one that is not there has none.  Only for
 * who knows that nobody else is writing there. */
MUST_CHECK int fsat_remove_temporaries(
    int dir, const char *path, struct err *e);

/* Looking. */
MUST_CHECK int fsat_stat(
    int dir, const char *path, struct fsat_stat *st, struct err *e);
MUST_CHECK int fsat_stat_fd(int fd, struct fsat_stat *st, struct err *e);
/* target gets the link's bytes and a NUL; size at least LIMIT_PATH_BYTES+1. */
MUST_CHECK int fsat_readlink(
    int dir, const char *path, char *target, size_t size, struct err *e);
struct fsat_names {
	char **names; /* sorted by bytes, without "." and ".." */
	size_t count;
};
/* All names of a directory from fsat_open_dir.  Release with fsat_names_release. */
MUST_CHECK int fsat_list(int dir_fd, struct fsat_names *out, struct err *e);
void fsat_names_release(struct fsat_names *names);
/* Bytes and inodes free to us on the file system of fd; UINT64_MAX inodes
 * where there is no fixed number. */
MUST_CHECK int fsat_free_space(
    int fd, uint64_t *bytes, uint64_t *inodes, struct err *e);
/* Whether the file system of fd is mounted read-only, by whomever. */
MUST_CHECK int fsat_is_read_only(int fd, bool *read_only, struct err *e);

/* Changing names. */
MUST_CHECK int fsat_mkdir(
    int dir, const char *path, mode_t mode, struct err *e);
/* mkdir of each missing component. */
MUST_CHECK int fsat_mkdir_all(
    int dir, const char *path, mode_t mode, struct err *e);
MUST_CHECK int fsat_symlink(
    const char *target, int dir, const char *path, struct err *e);
MUST_CHECK int fsat_link(
    int from_dir, const char *from, int to_dir, const char *to, struct err *e);
MUST_CHECK int fsat_mknod(
    int dir, const char *path, uint32_t mode, uint64_t rdev, struct err *e);
MUST_CHECK int fsat_rename(
    int from_dir, const char *from, int to_dir, const char *to, struct err *e);
/* Swaps two existing names (RENAME_EXCHANGE). */
MUST_CHECK int fsat_exchange(
    int from_dir, const char *from, int to_dir, const char *to, struct err *e);
MUST_CHECK int fsat_unlink(int dir, const char *path, struct err *e);
MUST_CHECK int fsat_rmdir(int dir, const char *path, struct err *e);
/* Removes path and all below it, within one file system, without recursion
 * on the C stack deeper than LIMIT_PATH_DEPTH.  Missing is no error.  What is
 * read-only in it and ours is made writable first. */
MUST_CHECK int fsat_remove_tree(int dir, const char *path, struct err *e);

/* Metadata, of the name itself (symlinks are not followed). */
MUST_CHECK int fsat_chown(
    int dir, const char *path, uint32_t uid, uint32_t gid, struct err *e);
MUST_CHECK int fsat_chmod(int dir, const char *path, uint32_t mode,
    struct err *e); /* not for symlinks: ERR_UNSUPPORTED */
MUST_CHECK int fsat_utime(
    int dir, const char *path, const struct timespec *mtime, struct err *e);
/* Exactly these FSAT_FLAG_*; the file system's other flags stay.
 * ERR_UNSUPPORTED where it has none, and for what is no file or directory. */
MUST_CHECK int fsat_set_flags(
    int dir, const char *path, uint32_t flags, struct err *e);
/* Adds the names of all extended attributes, one after another, each
 * NUL-ended; none where the file system has none. */
MUST_CHECK int fsat_xattr_list(
    int dir, const char *path, struct buf *names, struct err *e);
/* Adds the value.  ERR_NOT_FOUND: no such attribute (err.sys is ENODATA). */
MUST_CHECK int fsat_xattr_get(int dir, const char *path, const char *name,
    struct buf *value, struct err *e);
/* ERR_UNSUPPORTED where the file system has no such attributes. */
MUST_CHECK int fsat_xattr_set(int dir, const char *path, const char *name,
    const void *value, size_t len, struct err *e);
MUST_CHECK int fsat_xattr_remove(
    int dir, const char *path, const char *name, struct err *e);

/* Content. */
MUST_CHECK int fsat_write_all(
    int fd, const void *data, size_t len, struct err *e);
/* Adds the rest of fd, at most max_bytes and what out has room for (ERR_LIMIT
 * past either). */
MUST_CHECK int fsat_read_all(
    int fd, size_t max_bytes, struct buf *out, struct err *e);
/* Whole file below dir. */
MUST_CHECK int fsat_read_file(int dir, const char *path, size_t max_bytes,
    struct buf *out, struct err *e);
/* Replaces a file as a whole: temporary in the same directory, write, exactly
 * `mode`, fsync, rename, fsync of the directory.  Old or new at any crash. */
MUST_CHECK int fsat_write_file(int dir, const char *path, mode_t mode,
    const void *data, size_t len, struct err *e);
/* The same without the fsync of the directory: old or new at any crash, and new
 * for certain once something else has synced the directory. */
MUST_CHECK int fsat_replace_file(int dir, const char *path, mode_t mode,
    const void *data, size_t len, struct err *e);
/* The same without any fsync, for what nothing depends on: readers see old or
 * new; after a power cut it may be neither. */
MUST_CHECK int fsat_write_loosely(int dir, const char *path, mode_t mode,
    const void *data, size_t len, struct err *e);
/* Leaves len zeros out: a hole, where the file system has them.  What ends in
 * a hole needs fsat_end_hole. */
MUST_CHECK int fsat_skip(int fd, uint64_t len, struct err *e);
/* Makes the file as long as what was written and skipped. */
MUST_CHECK int fsat_end_hole(int fd, struct err *e);
/* Closes and reports what close says.  fd is -1 afterwards. */
MUST_CHECK int fsat_close(int *fd, const char *what, struct err *e);
MUST_CHECK int fsat_fsync(int fd, struct err *e);
MUST_CHECK int fsat_syncfs(int fd, struct err *e);
/* Begins to write the file's data to disk and does not wait; makes nothing
 * durable by itself.  A sync later tells what failed. */
void fsat_write_out(int fd);

/* Takes an exclusive flock on the open file; ERR_CONFLICT when wait_ms pass
 * (0: at once) and somebody else still holds it. */
MUST_CHECK int fsat_lock(int fd, unsigned wait_ms, struct err *e);
/* Ends it, whoever else has the open file. */
void fsat_unlock(int fd);
/* An inotify descriptor (non-blocking) that becomes readable when a name in
 * the directory is replaced or made. */
MUST_CHECK int fsat_watch(int dir, const char *path, int *fd, struct err *e);

/* One read of up to size bytes (EINTR is retried); *got 0 at the end. */
MUST_CHECK int fsat_read_some(
    int fd, void *dst, size_t size, size_t *got, struct err *e);

#endif
