/* Times of directories; runs in the applier.  The file: for each directory u64
 * seconds, u32 nanoseconds, u32 length + path. */
#include "client/dirtimes.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/syncs.h"
#include "common/buf.h"
#include "common/fsat.h"
#include "common/limits.h"

/* Length of the directory part of a stage's path. */
static size_t
dir_len(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? 0 : (size_t)(slash - path);
}

static int
note(struct buf *b, int root, const char *staged, size_t len, struct err *e)
{
	char path[LIMIT_PATH_BYTES + 1];
	struct fsat_stat st;
	int rc;

	(void)snprintf(path, sizeof(path), "%.*s", len > 0 ? (int)len : 1,
	    len > 0 ? staged : ".");
	if ((rc = fsat_stat(root, path, &st, e)) != 0)
		return rc;
	buf_add_u64(b, (uint64_t)st.mtime.tv_sec);
	buf_add_u32(b, (uint32_t)st.mtime.tv_nsec);
	buf_add_u32(b, (uint32_t)strlen(path));
	buf_add_str(b, path);
	return 0;
}

int
dirtimes_note(int state, int root, const struct plan *p, struct err *e)
{
	const char *last = NULL;
	struct buf b;
	int rc = 0;

	buf_init(&b, SIZE_MAX / 2);
	/* In path order those of one directory mostly stand together. */
	for (size_t i = 0; i < p->item_count && rc == 0; i++) {
		const char *path = plan_item(p, i)->path;
		size_t len = dir_len(path);

		if (p->items[i].root != i ||
		    (last != NULL && dir_len(last) == len &&
		        memcmp(last, path, len) == 0))
			continue;
		last = path;
		rc = note(&b, root, path, len, e);
	}
	if (rc == 0)
		rc = buf_check(&b, "times of directories", e);
	if (rc == 0 && b.len > 0)
		rc = fsat_replace_file(
		    state, DIRTIMES_NAME, 0600, b.data, b.len, e);
	buf_release(&b);
	return rc;
}

/* The next directory of the file; `path` has room for LIMIT_PATH_BYTES + 1. */
static int
next_entry(struct reader *r, char *path, struct timespec *mtime, struct err *e)
{
	const uint8_t *text;
	uint32_t nsec, len;
	uint64_t sec;

	if (reader_u64(r, &sec) != 0 || reader_u32(r, &nsec) != 0 ||
	    reader_u32(r, &len) != 0 || len > LIMIT_PATH_BYTES ||
	    reader_bytes(r, len, &text) != 0)
		return err_set(e, ERR_FORMAT, "%s: damaged", DIRTIMES_NAME);
	memcpy(path, text, len);
	path[len] = '\0';
	*mtime = (struct timespec){ (time_t)sec, (long)nsec };
	return 0;
}

static int
set_time(struct syncs *syncs, int root, const char *path,
    const struct timespec *mtime, struct err *e)
{
	int fd = -1, rc = fsat_hold_dir(root, path, &fd, e);

	if (rc != 0)
		return rc;
	rc = syncs_add(syncs, fd, e);
	if (rc == 0)
		rc = fsat_utime(fd, "", mtime, e);
	close(fd);
	return rc;
}

static int
restore_one(struct reader *r, struct syncs *syncs, int root, struct err *e)
{
	char path[LIMIT_PATH_BYTES + 1];
	struct err mine = ERR_INIT;
	struct timespec mtime;
	struct fsat_stat st;
	int rc = next_entry(r, path, &mtime, e);

	if (rc != 0)
		return rc;
	rc = fsat_stat(root, path, &st, &mine);
	if (rc == 0 &&
	    (st.mtime.tv_sec != mtime.tv_sec ||
	        st.mtime.tv_nsec != mtime.tv_nsec))
		rc = set_time(syncs, root, path, &mtime, &mine);
	/* Somebody else was there meanwhile. */
	if (rc == 0 || rc == ERR_NOT_FOUND || mine.sys == ENOTDIR ||
	    mine.sys == ELOOP)
		return 0;
	*e = mine;
	return rc;
}

int
dirtimes_restore(int state, int root, struct err *e)
{
	struct syncs syncs = SYNCS_INIT;
	struct err mine = ERR_INIT;
	struct reader r;
	struct buf b;
	int rc;

	buf_init(&b, SIZE_MAX / 2);
	rc = fsat_read_file(state, DIRTIMES_NAME, SIZE_MAX / 4, &b, &mine);
	reader_init(&r, b.data, b.len);
	while (rc == 0 && reader_left(&r) > 0)
		rc = restore_one(&r, &syncs, root, &mine);
	if (rc == 0)
		rc = syncs_all(&syncs, &mine);
	syncs_release(&syncs);
	buf_release(&b);
	if (rc == 0)
		return dirtimes_forget(state, e);
	if (rc == ERR_NOT_FOUND)
		return 0;
	*e = mine;
	return rc;
}

int
dirtimes_forget(int state, struct err *e)
{
	struct err mine = ERR_INIT;
	int rc = fsat_unlink(state, DIRTIMES_NAME, &mine);

	if (rc == 0 || rc == ERR_NOT_FOUND)
		return 0;
	*e = mine;
	return rc;
}

/* ---- while things are staged ---- */

static int
add_entry(struct dirtimes *d, const char *path, const struct timespec *mtime,
    struct err *e)
{
	struct dirtimes_entry *list;
	size_t room = d->room == 0 ? 64 : 2 * d->room;

	if (d->count == d->room) {
		list = reallocarray(d->list, room, sizeof(*list));
		if (list == NULL)
			return err_memory(e);
		d->list = list;
		d->room = room;
	}
	d->list[d->count] = (struct dirtimes_entry){ strdup(path), *mtime };
	if (d->list[d->count].path == NULL)
		return err_memory(e);
	d->count++;
	return 0;
}

static int
entry_cmp(const void *a, const void *b)
{
	const struct dirtimes_entry *x = a, *y = b;

	return strcmp(x->path, y->path);
}

int
dirtimes_load(int state, struct dirtimes *out, struct err *e)
{
	char path[LIMIT_PATH_BYTES + 1];
	struct dirtimes d = { NULL, 0, 0 };
	struct err mine = ERR_INIT;
	struct timespec mtime;
	struct reader r;
	struct buf b;
	int rc;

	buf_init(&b, SIZE_MAX / 2);
	rc = fsat_read_file(state, DIRTIMES_NAME, SIZE_MAX / 4, &b, &mine);
	reader_init(&r, b.data, b.len);
	while (rc == 0 && reader_left(&r) > 0) {
		rc = next_entry(&r, path, &mtime, &mine);
		if (rc == 0)
			rc = add_entry(&d, path, &mtime, &mine);
	}
	buf_release(&b);
	if (rc != 0 && rc != ERR_NOT_FOUND) {
		dirtimes_release(&d);
		*e = mine;
		return rc;
	}
	if (d.count > 0)
		qsort(d.list, d.count, sizeof(*d.list), entry_cmp);
	*out = d;
	return 0;
}

const struct timespec *
dirtimes_find(const struct dirtimes *d, const char *path)
{
	size_t lo = 0, hi = d->count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int order = strcmp(d->list[mid].path, path);

		if (order == 0)
			return &d->list[mid].mtime;
		if (order < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

void
dirtimes_release(struct dirtimes *d)
{
	for (size_t i = 0; i < d->count; i++)
		free(d->list[i].path);
	free(d->list);
	*d = (struct dirtimes){ NULL, 0, 0 };
}
