/* Free bytes and inodes, a file system at a time. */
#include "client/space.h"

#include <unistd.h>

#include "common/fsat.h"
#include "common/text.h"
#include "transcripts/manifest.h"

/* Names, directories and extents beside the content itself. */
#define PER_ITEM 4096
/* Others write too while we do. */
#define MARGIN_BYTES ((uint64_t)256 << 10)
#define MARGIN_ITEMS 8
#define MARGIN_SHARE 32
/* More than that are not kept apart: the last one takes the rest. */
#define FILE_SYSTEMS 64

struct need {
	uint64_t dev;
	char *dir; /* one that is on it */
	uint64_t bytes, items;
};

struct needs {
	struct need of[FILE_SYSTEMS];
	size_t count;
	size_t at;  /* what the last directory is on */
	char *last; /* that directory */
};

static void
needs_release(struct needs *n)
{
	for (size_t i = 0; i < n->count; i++)
		free(n->of[i].dir);
	free(n->last);
}

static int
find_need(
    struct needs *n, const struct fsat_stat *st, const char *dir, struct err *e)
{
	for (n->at = 0; n->at < n->count; n->at++)
		if (n->of[n->at].dev == st->dev)
			return 0;
	if (n->count == FILE_SYSTEMS) {
		n->at = FILE_SYSTEMS - 1;
		return 0;
	}
	n->of[n->at] = (struct need){ .dev = st->dev, .dir = strdup(dir) };
	if (n->of[n->at].dir == NULL)
		return err_memory(e);
	n->count++;
	return 0;
}

/* n->at becomes the need of the directory in which the item is staged. */
static int
place(struct needs *n, int root, const char *path, struct err *e)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash == NULL ? 0 : (size_t)(slash - path);
	struct fsat_stat st;
	char *dir;
	int rc;

	if (n->last != NULL && strlen(n->last) == len &&
	    memcmp(n->last, path, len) == 0)
		return 0;
	if ((dir = strndup(path, len)) == NULL)
		return err_memory(e);
	free(n->last);
	n->last = dir;
	rc = fsat_stat(root, len == 0 ? "." : dir, &st, e);
	return rc != 0 ? rc : find_need(n, &st, len == 0 ? "." : dir, e);
}

static int
add_up(struct needs *n, int root, const struct plan *p, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; i < p->item_count && rc == 0; i++) {
		const struct plan_item *item = plan_item(p, i);

		if (item->op == PLAN_META)
			continue;
		/* What is inside a new directory follows it at once. */
		if (item->root == i)
			rc = place(n, root, item->path, e);
		if (rc != 0)
			break;
		n->of[n->at].items++;
		n->of[n->at].bytes += PER_ITEM;
		/* How much of a file is holes is seen when it comes. */
		if ((item->flags & MANIFEST_SPARSE) == 0)
			n->of[n->at].bytes += item->size_bytes;
	}
	return rc;
}

static int
check_bytes(
    const struct need *n, uint64_t have, const char *where, struct err *e)
{
	uint64_t want = n->bytes + n->bytes / MARGIN_SHARE + MARGIN_BYTES;
	char have_text[32], want_text[32];

	if (want <= have)
		return 0;
	text_bytes(have_text, sizeof(have_text), have);
	text_bytes(want_text, sizeof(want_text), want);
	return err_set(e, ERR_UNSUPPORTED,
	    "%s free below %s, %s needed: nothing was changed", have_text,
	    where, want_text);
}

static int
check_items(
    const struct need *n, uint64_t have, const char *where, struct err *e)
{
	uint64_t want = n->items + n->items / MARGIN_SHARE + MARGIN_ITEMS;

	if (want <= have)
		return 0;
	return err_set(e, ERR_UNSUPPORTED,
	    "%llu inodes free below %s, %llu needed: nothing was changed",
	    (unsigned long long)have, where, (unsigned long long)want);
}

static int
check_free(int dir, const char *where, const struct need *n, struct err *e)
{
	uint64_t bytes, inodes;
	int rc = fsat_free_space(dir, &bytes, &inodes, e);

	if (rc == 0)
		rc = check_bytes(n, bytes, where, e);
	return rc != 0 ? rc : check_items(n, inodes, where, e);
}

static int
check_need(int root, const char *root_path, const struct need *n, struct err *e)
{
	char *where = NULL;
	int dir = -1, rc;

	if (asprintf(&where, "%s%s%s", root_path,
	        root_path[strlen(root_path) - 1] == '/' ? "" : "/",
	        strcmp(n->dir, ".") == 0 ? "" : n->dir) < 0)
		return err_memory(e);
	rc = fsat_open_dir(root, n->dir, &dir, e);
	if (rc == 0)
		rc = check_free(dir, where, n, e);
	if (dir >= 0)
		close(dir);
	free(where);
	return rc;
}

/* Together with what the plan needs where both are on one file system. */
static int
add_extra(struct needs *n, const struct space_extra *extra, struct err *e)
{
	struct need alone = { .bytes = extra->bytes, .items = extra->files };
	struct fsat_stat st;
	int rc;

	if (extra->bytes == 0 && extra->files == 0)
		return 0;
	if ((rc = fsat_stat_fd(extra->dir, &st, e)) != 0)
		return rc;
	for (size_t i = 0; i < n->count; i++)
		if (n->of[i].dev == st.dev) {
			n->of[i].bytes += extra->bytes;
			n->of[i].items += extra->files;
			return 0;
		}
	return check_free(extra->dir, extra->path, &alone, e);
}

int
space_check(int root, const char *root_path, const struct plan *p,
    const struct space_extra *extra, struct err *e)
{
	struct needs n = { .count = 0 };
	int rc = add_up(&n, root, p, e);

	if (rc == 0)
		rc = add_extra(&n, extra, e);
	for (size_t i = 0; i < n.count && rc == 0; i++)
		rc = check_need(root, root_path, &n.of[i], e);
	needs_release(&n);
	return rc;
}
