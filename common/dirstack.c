/* A stack of held directories; used by whoever walks a manifest. */
#include "common/dirstack.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/fsat.h"
#include "common/limits.h"

struct level {
	int fd;
	size_t end; /* path[0..end) names it */
};

struct dirstack {
	int root;
	uint64_t moves;
	size_t depth;
	/* Each stands for one component or several that were come to at once;
	 * the last also for those too deep to be held. */
	struct level levels[DIRSTACK_HELD + 1];
	size_t len;
	char path[LIMIT_PATH_BYTES + 1]; /* of the last level */
};

int
dirstack_new(int root, struct dirstack **out, struct err *e)
{
	struct dirstack *ds = calloc(1, sizeof(*ds));

	if (ds == NULL)
		return err_memory(e);
	ds->root = root;
	ds->moves = 1;
	*out = ds;
	return 0;
}

static void
cut(struct dirstack *ds, size_t depth)
{
	while (ds->depth > depth)
		close(ds->levels[--ds->depth].fd);
	ds->moves++;
	ds->len = depth == 0 ? 0 : ds->levels[depth - 1].end;
	ds->path[ds->len] = '\0';
}

void
dirstack_free(struct dirstack *ds)
{
	if (ds == NULL)
		return;
	cut(ds, 0);
	free(ds);
}

/* How many levels are ancestors of, or are, path[0..len). */
static size_t
common_levels(const struct dirstack *ds, const char *path, size_t len)
{
	size_t depth = 0, from = 0, end;

	while (depth < ds->depth) {
		end = ds->levels[depth].end;
		if (end > len ||
		    memcmp(ds->path + from, path + from, end - from) != 0 ||
		    (end < len && path[end] != '/'))
			break;
		from = end;
		depth++;
	}
	return depth;
}

static int
top(const struct dirstack *ds)
{
	return ds->depth == 0 ? ds->root : ds->levels[ds->depth - 1].fd;
}

/* One more level: what path has up to `end`. */
static int
push(struct dirstack *ds, const char *path, size_t end, struct err *e)
{
	size_t start = ds->depth == 0 ? 0 : ds->len + 1;
	int fd = -1, ret;

	memcpy(ds->path + ds->len, path + ds->len, end - ds->len);
	ds->path[end] = '\0';
	ret = fsat_hold_dir(top(ds), ds->path + start, &fd, e);
	if (ret != 0) {
		ds->path[ds->len] = '\0';
		return ret;
	}
	ds->levels[ds->depth++] = (struct level){ fd, end };
	ds->len = end;
	return 0;
}

/* Makes path[0..len) the last level, in one call: who walks a sorted list comes
 * to each directory through its parent, and who does not has no use for what is
 * between. */
static int
move_to(struct dirstack *ds, const char *path, size_t len, struct err *e)
{
	size_t depth = common_levels(ds, path, len);

	/* The collecting level serves one directory only. */
	if (depth > DIRSTACK_HELD && ds->len != len)
		depth = DIRSTACK_HELD;
	cut(ds, depth);
	return ds->len < len ? push(ds, path, len, e) : 0;
}

int
dirstack_at(struct dirstack *ds, const char *path, int *dir, const char **name,
    struct err *e)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash == NULL ? 0 : (size_t)(slash - path);
	int ret;

	if (len > LIMIT_PATH_BYTES)
		return err_set(e, ERR_LIMIT, "%.64s...: path too long", path);
	if (path[0] == '/')
		return err_set(e, ERR_FORMAT, "%s: an absolute path", path);
	if (len != ds->len || memcmp(path, ds->path, len) != 0) {
		ret = move_to(ds, path, len, e);
		if (ret != 0) {
			err_prefix(e, "%s", path);
			return ret;
		}
	}
	*dir = top(ds);
	*name = slash == NULL ? path : slash + 1;
	return 0;
}

uint64_t
dirstack_moves(const struct dirstack *ds)
{
	return ds->moves;
}

void
dirstack_forget(struct dirstack *ds, const char *path)
{
	size_t depth, len = strlen(path);

	if (strncmp(ds->path, path, len) != 0 ||
	    (len > 0 && ds->path[len] != '/' && ds->path[len] != '\0'))
		return;
	for (depth = 0; depth < ds->depth; depth++) {
		if (ds->levels[depth].end >= len)
			break;
	}
	cut(ds, depth);
}
