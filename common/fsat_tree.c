/* Removing whole trees.  Two descriptors are enough at any depth: the way up
 * is "..", believed only when it leads to the directory it was entered from,
 * so a tree that is moved meanwhile is not followed elsewhere. */
#include "common/fsat.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fsat_place.h"
#include "common/fscalls.h"
#include "common/limits.h"

struct level {
	struct fsat_names names; /* of one open directory */
	size_t next;
	uint64_t dev, ino;
};

struct walk {
	struct level *levels; /* from the top down to the open directory */
	size_t depth, room;
	int fd; /* directory of the last level; -1 when depth is 0 */
	uint64_t mount_id;
};

static int
list_level(struct walk *w, int fd, const char *path, struct err *e)
{
	struct level level = { 0 };
	struct fsat_stat st = { 0 };
	int ret;

	ret = fsat_stat_fd(fd, &st, e);
	if (ret != 0)
		return ret;
	if (w->depth == 0)
		w->mount_id = st.mount_id;
	if (st.mount_id != w->mount_id)
		return err_set(e, ERR_UNSUPPORTED,
		    "%s: another file system is mounted there", path);
	ret = fsat_list(fd, &level.names, e);
	if (ret != 0)
		return ret;
	level.dev = st.dev;
	level.ino = st.ino;
	w->levels[w->depth++] = level;
	return 0;
}

static int
grow(struct walk *w, struct err *e)
{
	size_t room = w->room == 0 ? 16 : w->room * 2;
	struct level *levels;

	if (w->depth < w->room)
		return 0;
	if (w->depth >= LIMIT_PATH_DEPTH)
		return err_set(e, ERR_LIMIT, "more than %d directories deep",
		    LIMIT_PATH_DEPTH);
	levels = realloc(w->levels, room * sizeof(*levels));
	if (levels == NULL)
		return err_memory(e);
	w->levels = levels;
	w->room = room;
	return 0;
}

/* A read-only directory stops an ordinary user even where it is his. */
static int
make_writable(int dir, const char *name, struct err *e)
{
	struct fsat_stat st = { 0 };
	int ret = fsat_stat(dir, name, &st, e);

	if (ret != 0 || !S_ISDIR(st.mode) || st.uid != geteuid() ||
	    (st.mode & S_IRWXU) == S_IRWXU)
		return ret;
	return fsat_chmod(dir, name, (st.mode & 07777) | S_IRWXU, e);
}

static int
down(struct walk *w, int dir, const char *name, struct err *e)
{
	int fd = -1, ret;

	ret = grow(w, e);
	if (ret == 0 && geteuid() != 0)
		ret = make_writable(dir, name, e);
	if (ret == 0)
		ret = fsat_open_dir(dir, name, &fd, e);
	if (ret == 0)
		ret = list_level(w, fd, name, e);
	if (ret != 0) {
		if (fd >= 0)
			close(fd);
		return ret;
	}
	if (w->fd >= 0)
		close(w->fd);
	w->fd = fd;
	return 0;
}

/* Back to the parent, which is closed with the tree's top. */
static int
up(struct walk *w, struct err *e)
{
	const struct level *parent;
	struct fsat_stat st = { 0 };
	int fd = -1;

	fsat_names_release(&w->levels[--w->depth].names);
	if (w->depth > 0) {
		fd = openat(w->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			return err_sys(e, "open parent directory");
	}
	close(w->fd);
	w->fd = fd;
	if (fd < 0)
		return 0;
	parent = &w->levels[w->depth - 1];
	if (fsat_stat_fd(fd, &st, e) != 0)
		return err_prefix(e, "parent directory");
	if (st.dev != parent->dev || st.ino != parent->ino)
		return err_set(e, ERR_CHANGED,
		    "a directory was moved while it was removed");
	return 0;
}

/* The next name of the open directory, or the way up and rmdir of what was
 * left. */
static int
step(struct walk *w, struct err *e)
{
	struct level *level = &w->levels[w->depth - 1];
	const char *name;
	int ret;

	if (level->next < level->names.count) {
		name = level->names.names[level->next++];
		if (fscalls()->unlinkat(w->fd, name, 0) == 0 || errno == ENOENT)
			return 0;
		if (errno != EISDIR)
			return place_fail("remove", name, e);
		return down(w, w->fd, name, e);
	}
	ret = up(w, e);
	if (ret != 0 || w->depth == 0)
		return ret;
	level = &w->levels[w->depth - 1];
	name = level->names.names[level->next - 1];
	if (fscalls()->unlinkat(w->fd, name, AT_REMOVEDIR) != 0 &&
	    errno != ENOENT)
		return place_fail("remove directory", name, e);
	return 0;
}

static int
remove_below(int dir, const char *name, struct err *e)
{
	struct walk w = { .fd = -1 };
	int ret;

	ret = down(&w, dir, name, e);
	while (ret == 0 && w.depth > 0)
		ret = step(&w, e);
	while (w.depth > 0)
		fsat_names_release(&w.levels[--w.depth].names);
	if (w.fd >= 0)
		close(w.fd);
	free(w.levels);
	return ret;
}

int
fsat_remove_tree(int dir, const char *path, struct err *e)
{
	struct place p;
	int ret;

	ret = place_enter(dir, path, PLACE_NAME, &p, e);
	if (ret != 0)
		return ret == ERR_NOT_FOUND ? 0 : ret;
	if (fscalls()->unlinkat(p.dir, p.name, 0) == 0 || errno == ENOENT) {
		place_leave(&p);
		return 0;
	}
	if (errno != EISDIR)
		return place_finish(&p, -1, "remove", path, e);
	ret = remove_below(p.dir, p.name, e);
	if (ret == 0 && fscalls()->unlinkat(p.dir, p.name, AT_REMOVEDIR) != 0 &&
	    errno != ENOENT)
		ret = err_sys(e, "remove directory");
	if (ret != 0)
		err_prefix(e, "%s", path);
	place_leave(&p);
	return ret;
}
