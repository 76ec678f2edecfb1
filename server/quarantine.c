/* What was found wrong; runs in the keeper. */
#include "server/quarantine.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "common/fsat.h"

#define TOP "quarantine"
/* v1/object/<aa>/<digest> is the deepest. */
#define DEPTH      3
#define PATH_BYTES (REPO_PATH_BYTES + NAME_MAX + sizeof(TOP "/"))

static void
inside(char out[PATH_BYTES], const char *path)
{
	(void)snprintf(
	    out, PATH_BYTES, TOP "/%.*s", (int)PATH_BYTES - 16, path);
}

int
quarantine_has(struct repo *r, const char *path, bool *has, struct err *e)
{
	char there[PATH_BYTES];

	inside(there, path);
	return repo_has(r, there, has, e);
}

/* One folder of the walk. */
struct level {
	struct fsat_names names;
	size_t next;
	size_t len; /* of the path */
};

struct walk {
	struct repo *repo;
	char path[PATH_BYTES];
	struct level levels[DEPTH + 1];
	size_t depth; /* levels that are open */
};

static int
open_level(struct walk *w, struct err *e)
{
	struct level *l = &w->levels[w->depth];
	int fd = -1, ret = fsat_open_dir(repo_fd(w->repo), w->path, &fd, e);

	*l = (struct level){ .len = strlen(w->path) };
	if (ret == 0)
		ret = fsat_list(fd, &l->names, e);
	if (fd >= 0)
		close(fd);
	if (ret == 0)
		w->depth++;
	return ret;
}

static void
close_level(struct walk *w)
{
	fsat_names_release(&w->levels[--w->depth].names);
}

int
quarantine_each(struct repo *r,
    int (*fn)(void *arg, const char *path, uint64_t size_bytes, struct err *e),
    void *arg, struct err *e)
{
	struct walk w = { .repo = r, .path = TOP };
	struct fsat_stat st;
	int ret = open_level(&w, e);

	if (ret == ERR_NOT_FOUND) {
		err_clear(e);
		return 0;
	}
	while (ret == 0 && w.depth > 0) {
		struct level *l = &w.levels[w.depth - 1];

		if (l->next == l->names.count) {
			close_level(&w);
			continue;
		}
		(void)snprintf(w.path + l->len, PATH_BYTES - l->len, "/%.255s",
		    l->names.names[l->next++]);
		ret = fsat_stat(repo_fd(r), w.path, &st, e);
		if (ret == 0 && (st.mode & S_IFMT) == S_IFREG)
			ret = fn(arg, w.path + sizeof(TOP), st.size_bytes, e);
		else if (ret == 0 && (st.mode & S_IFMT) == S_IFDIR &&
		    w.depth <= DEPTH)
			ret = open_level(&w, e);
	}
	while (w.depth > 0)
		close_level(&w);
	return ret;
}

struct counting {
	struct repo *repo;
	bool remove_replaced;
	uint64_t files, bytes;
};

static int
count_one(void *arg, const char *path, uint64_t size_bytes, struct err *e)
{
	struct counting *c = arg;
	char there[PATH_BYTES];
	bool replaced = false;
	int ret = 0;

	if (c->remove_replaced)
		ret = repo_has(c->repo, path, &replaced, e);
	if (ret == 0 && replaced) {
		inside(there, path);
		return fsat_unlink(repo_fd(c->repo), there, e);
	}
	c->files++;
	c->bytes += size_bytes;
	return ret;
}

static int
make_room(struct repo *r, uint64_t size_bytes, struct err *e)
{
	int ret = 0;

	for (int i = 0; ret == 0 && i < 2; i++) {
		struct counting c = { .repo = r, .remove_replaced = i == 1 };

		ret = quarantine_each(r, count_one, &c, e);
		if (ret == 0 &&
		    (c.files == 0 ||
		        (c.files < LIMIT_QUARANTINE_FILES &&
		            c.bytes + size_bytes <= LIMIT_QUARANTINE_BYTES)))
			return 0;
	}
	return ret != 0 ? ret
	                : err_set(e, ERR_LIMIT,
	                      TOP " is full: look at what is in it, and why "
	                          "there is so much");
}

static void
folder_of(char out[PATH_BYTES], const char *path)
{
	const char *slash = strrchr(path, '/');

	(void)snprintf(out, PATH_BYTES, "%.*s",
	    slash == NULL ? 1 : (int)(slash - path),
	    slash == NULL ? "." : path);
}

static int
sync_folder(struct repo *r, const char *path, struct err *e)
{
	char folder[PATH_BYTES];
	int fd = -1, ret;

	folder_of(folder, path);
	ret = fsat_open_dir(repo_fd(r), folder, &fd, e);
	if (ret == 0)
		ret = fsat_fsync(fd, e);
	if (fd >= 0)
		close(fd);
	return ret;
}

int
quarantine_put(
    struct repo *r, const char *path, int fd, bool *moved, struct err *e)
{
	char there[PATH_BYTES], folder[PATH_BYTES];
	struct fsat_stat held, now;
	int ret = fsat_stat_fd(fd, &held, e);

	*moved = false;
	if (ret == 0)
		ret = fsat_stat(repo_fd(r), path, &now, e);
	if (ret == ERR_NOT_FOUND ||
	    (ret == 0 && (now.dev != held.dev || now.ino != held.ino))) {
		err_clear(e);
		return 0;
	}
	if (ret == 0)
		ret = make_room(r, held.size_bytes, e);
	inside(there, path);
	folder_of(folder, there);
	if (ret == 0)
		ret = fsat_mkdir_all(repo_fd(r), folder, 0700, e);
	if (ret == 0)
		ret = fsat_rename(repo_fd(r), path, repo_fd(r), there, e);
	if (ret == 0)
		ret = sync_folder(r, there, e);
	if (ret == 0)
		ret = sync_folder(r, path, e);
	*moved = ret == 0;
	return ret == 0 ? 0 : err_prefix(e, "quarantine of %s", path);
}
