/* Names: listing, making, moving and removing them. */
#include "common/fsat.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/fsat_place.h"
#include "common/fscalls.h"
#include "common/limits.h"

#define LIST_BYTES ((size_t)64 * 1024)

int
fsat_readlink(
    int dir, const char *path, char *target, size_t size, struct err *e)
{
	struct place p;
	ssize_t n;
	int ret;

	ret = place_enter(dir, path, PLACE_NAME, &p, e);
	if (ret != 0)
		return ret;
	n = readlinkat(p.dir, p.name, target, size);
	ret = place_finish(&p, n, "read link", path, e);
	if (ret != 0)
		return ret;
	if ((size_t)n >= size)
		return err_set(e, ERR_LIMIT,
		    "read link %s: target longer than %zu bytes", path,
		    size - 1);
	target[n] = '\0';
	return 0;
}

static bool
is_dots(const char *s)
{
	return s[0] == '.' && (s[1] == '\0' || (s[1] == '.' && s[2] == '\0'));
}

/* The names of one read of the directory, each with its NUL. */
static void
add_names(struct buf *text, size_t *count, const uint8_t *chunk, size_t len)
{
	size_t at = 0;

	while (at < len) {
		const struct dirent64 *d = (const void *)(chunk + at);

		if (!is_dots(d->d_name)) {
			buf_add(text, d->d_name, strlen(d->d_name) + 1);
			++*count;
		}
		at += d->d_reclen;
	}
}

static int
read_names(int fd, struct buf *text, size_t *count, struct err *e)
{
	uint8_t *chunk = aligned_alloc(_Alignof(struct dirent64), LIST_BYTES);
	ssize_t n = 0;
	int ret = 0;

	if (chunk == NULL)
		return err_memory(e);
	if (lseek(fd, 0, SEEK_SET) < 0) {
		ret = err_sys(e, "list directory");
		goto out;
	}
	while ((n = getdents64(fd, chunk, LIST_BYTES)) > 0) {
		add_names(text, count, chunk, (size_t)n);
		if (*count > LIMIT_DIR_ENTRIES) {
			ret = err_set(e, ERR_LIMIT,
			    "list directory: more than %d names",
			    LIMIT_DIR_ENTRIES);
			goto out;
		}
	}
	if (n < 0)
		ret = err_sys(e, "list directory");
	if (ret == 0)
		ret = buf_check(text, "list directory", e);
out:
	free(chunk);
	return ret;
}

static int
by_bytes(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return strcmp(*x, *y);
}

/* One block holds the pointers and, behind them, the text. */
static int
index_names(
    const struct buf *text, size_t count, struct fsat_names *out, struct err *e)
{
	char **names = malloc(count * sizeof(*names) + text->len + 1);
	char *s;
	size_t i;

	if (names == NULL)
		return err_memory(e);
	s = (char *)(names + count);
	if (text->len > 0)
		memcpy(s, text->data, text->len);
	for (i = 0; i < count; i++) {
		names[i] = s;
		s += strlen(s) + 1;
	}
	qsort(names, count, sizeof(*names), by_bytes);
	out->names = names;
	out->count = count;
	return 0;
}

int
fsat_list(int dir_fd, struct fsat_names *out, struct err *e)
{
	struct buf text;
	size_t count = 0;
	int ret;

	buf_init(
	    &text, (size_t)LIMIT_DIR_ENTRIES * (LIMIT_COMPONENT_BYTES + 1));
	ret = read_names(dir_fd, &text, &count, e);
	if (ret == 0)
		ret = index_names(&text, count, out, e);
	buf_release(&text);
	return ret;
}

void
fsat_names_release(struct fsat_names *names)
{
	free(names->names);
	names->names = NULL;
	names->count = 0;
}

int
fsat_mkdir(int dir, const char *path, mode_t mode, struct err *e)
{
	struct place p;
	int ret;

	ret = place_enter(dir, path, PLACE_NAME, &p, e);
	if (ret != 0)
		return ret;
	ret = fscalls()->mkdirat(p.dir, p.name, mode);
	return place_finish(&p, ret, "make directory", path, e);
}

/* One step down, made where it is missing. */
static int
enter_or_make(int dir, const char *name, mode_t mode)
{
	int fd = place_open(dir, name, O_PATH | O_DIRECTORY, 0);

	if (fd >= 0 || errno != ENOENT)
		return fd;
	if (fscalls()->mkdirat(dir, name, mode) != 0 && errno != EEXIST)
		return -1;
	return place_open(dir, name, O_PATH | O_DIRECTORY, 0);
}

/* names is taken apart. */
static int
make_all(int dir, char *names, mode_t mode)
{
	char *name = names, *next;
	int held = -1, fd;

	while (name != NULL && name[0] != '\0') {
		next = strchr(name, '/');
		while (next != NULL && *next == '/')
			*next++ = '\0';
		fd = enter_or_make(held >= 0 ? held : dir, name, mode);
		if (held >= 0)
			close(held);
		if (fd < 0)
			return -1;
		held = fd;
		name = next;
	}
	if (held >= 0)
		close(held);
	return 0;
}

int
fsat_mkdir_all(int dir, const char *path, mode_t mode, struct err *e)
{
	char *copy;
	int fd = -1, ret;

	/* Checks the path, too. */
	ret = fsat_hold_dir(dir, path, &fd, e);
	if (ret == 0)
		close(fd);
	if (ret != ERR_NOT_FOUND)
		return ret;
	copy = strdup(path);
	if (copy == NULL)
		return err_memory(e);
	ret = 0;
	if (make_all(dir, copy, mode) != 0)
		ret = place_fail("make directories", path, e);
	free(copy);
	return ret;
}

int
fsat_symlink(const char *target, int dir, const char *path, struct err *e)
{
	struct place p;
	int ret;

	ret = place_enter(dir, path, PLACE_NAME, &p, e);
	if (ret != 0)
		return ret;
	ret = fscalls()->symlinkat(target, p.dir, p.name);
	return place_finish(&p, ret, "make link", path, e);
}

int
fsat_mknod(
    int dir, const char *path, uint32_t mode, uint64_t rdev, struct err *e)
{
	struct place p;
	int ret;

	ret = place_enter(dir, path, PLACE_NAME, &p, e);
	if (ret != 0)
		return ret;
	ret = fscalls()->mknodat(p.dir, p.name, mode, rdev);
	return place_finish(&p, ret, "make node", path, e);
}

static int
enter_both(int from_dir, const char *from, int to_dir, const char *to,
    struct place p[2], struct err *e)
{
	int ret = place_enter(from_dir, from, PLACE_NAME, &p[0], e);

	if (ret != 0)
		return ret;
	ret = place_enter(to_dir, to, PLACE_NAME, &p[1], e);
	if (ret != 0)
		place_leave(&p[0]);
	return ret;
}

/* verb names the source, so that the message holds both paths. */
static int
finish_both(struct place p[2], int result, const char *verb, const char *to,
    struct err *e)
{
	place_leave(&p[0]);
	return place_finish(&p[1], result, verb, to, e);
}

int
fsat_link(
    int from_dir, const char *from, int to_dir, const char *to, struct err *e)
{
	struct place p[2];
	int ret;

	ret = enter_both(from_dir, from, to_dir, to, p, e);
	if (ret != 0)
		return ret;
	ret = fscalls()->linkat(p[0].dir, p[0].name, p[1].dir, p[1].name, 0);
	ret = finish_both(p, ret, "to", to, e);
	return ret == 0 ? 0 : (err_prefix(e, "link %s", from), ret);
}

static int
rename_flags(struct place p[2], unsigned flags, const char *to, struct err *e)
{
	int ret = fscalls()->renameat2(
	    p[0].dir, p[0].name, p[1].dir, p[1].name, flags);

	return finish_both(p, ret, "to", to, e);
}

int
fsat_rename(
    int from_dir, const char *from, int to_dir, const char *to, struct err *e)
{
	struct place p[2];
	int ret;

	ret = enter_both(from_dir, from, to_dir, to, p, e);
	if (ret != 0)
		return ret;
	ret = rename_flags(p, 0, to, e);
	if (ret != 0)
		err_prefix(e, "rename %s", from);
	return ret;
}

int
fsat_exchange(
    int from_dir, const char *from, int to_dir, const char *to, struct err *e)
{
	struct place p[2];
	int ret;

	ret = enter_both(from_dir, from, to_dir, to, p, e);
	if (ret != 0)
		return ret;
	ret = rename_flags(p, RENAME_EXCHANGE, to, e);
	if (ret != 0)
		err_prefix(e, "exchange %s", from);
	return ret;
}

int
fsat_unlink(int dir, const char *path, struct err *e)
{
	struct place p;
	int ret;

	ret = place_enter(dir, path, PLACE_NAME, &p, e);
	if (ret != 0)
		return ret;
	ret = fscalls()->unlinkat(p.dir, p.name, 0);
	return place_finish(&p, ret, "remove", path, e);
}

int
fsat_rmdir(int dir, const char *path, struct err *e)
{
	struct place p;
	int ret;

	ret = place_enter(dir, path, PLACE_NAME, &p, e);
	if (ret != 0)
		return ret;
	ret = fscalls()->unlinkat(p.dir, p.name, AT_REMOVEDIR);
	return place_finish(&p, ret, "remove directory", path, e);
}

int
fsat_remove_temporaries(int dir, const char *path, struct err *e)
{
	const size_t len = strlen(FSAT_TMP_PREFIX);
	struct fsat_names names = { NULL, 0 };
	struct err mine = ERR_INIT;
	int fd = -1, ret = fsat_open_dir(dir, path, &fd, &mine);

	if (ret == ERR_NOT_FOUND)
		return 0;
	if (ret == 0)
		ret = fsat_list(fd, &names, &mine);
	for (size_t i = 0; ret == 0 && i < names.count; i++)
		if (strncmp(names.names[i], FSAT_TMP_PREFIX, len) == 0)
			ret = fsat_unlink(fd, names.names[i], &mine);
	fsat_names_release(&names);
	if (fd >= 0)
		close(fd);
	if (ret == 0)
		return 0;
	if (e != NULL)
		*e = mine;
	return err_prefix(e, "clean %s", path);
}
