/* What forbids changes; runs in the applier.  The file: for each thing u64
 * inode, u32 flags, u32 mode, u32 length + path. */
#include "client/lift.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/probe.h"
#include "client/syncs.h"
#include "common/buf.h"
#include "common/fsat.h"
#include "common/limits.h"
#include "transcripts/manifest.h"

#define OWNER_CHANGES 0300u

/* ---- finding ---- */

static int
add(struct plan *p, const char *path, size_t len, struct plan_lift l,
    struct err *e)
{
	struct plan_lift *list = p->lifts;

	if (p->lift_count == p->lift_room) {
		p->lift_room = p->lift_room == 0 ? 16 : 2 * p->lift_room;
		list = reallocarray(list, p->lift_room, sizeof(*list));
		if (list == NULL)
			return err_memory(e);
		p->lifts = list;
	}
	l.path = strndup(path, len);
	if (l.path == NULL)
		return err_memory(e);
	p->lifts[p->lift_count++] = l;
	return 0;
}

/* Root needs no permission.  What is not ours cannot be changed. */
static bool
is_read_only(const struct fsat_stat *st)
{
	return S_ISDIR(st->mode) && geteuid() != 0 && st->uid == geteuid() &&
	    (st->mode & OWNER_CHANGES) != OWNER_CHANGES;
}

static int
look(struct plan *p, int root, const char *path, size_t len, struct err *e)
{
	char text[LIMIT_PATH_BYTES + 1];
	struct plan_lift l = { NULL, 0, 0, 0 };
	struct err mine = ERR_INIT;
	struct fsat_stat st;

	(void)snprintf(text, sizeof(text), "%.*s", (int)len, path);
	/* What is gone or replaced by now is told by who needs it. */
	if (fsat_stat(root, text, &st, &mine) != 0)
		return 0;
	l.ino = st.ino;
	l.flags = st.flags;
	l.mode = is_read_only(&st) ? st.mode & MANIFEST_MODE_MAX : 0;
	return l.flags == 0 && l.mode == 0 ? 0 : add(p, text, len, l, e);
}

/* The directory that holds path, unless it is the one looked at before: those
 * of one directory mostly stand together. */
static int
look_at_holder(struct plan *p, int root, const char *path, const char **last,
    struct err *e)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash == NULL ? 0 : (size_t)(slash - path);
	const char *before = *last;

	*last = path;
	if (before != NULL && strncmp(before, path, len) == 0 &&
	    (len == 0 || before[len] == '/') &&
	    strchr(before + len + (len > 0), '/') == NULL)
		return 0;
	return len == 0 ? look(p, root, ".", 1, e)
	                : look(p, root, path, len, e);
}

static int
find_item(struct plan *p, int root, const struct plan_item *item, struct err *e)
{
	const struct plan_lift l = { NULL, item->ino, item->had_flags, 0 };
	bool will_have =
	    item->op == PLAN_META && (item->flags & MANIFEST_CHATTR) != 0;
	const struct plan_item *first;
	int rc = 0;

	if (item->had_flags != 0 || will_have)
		rc = add(p, item->path, strlen(item->path), l, e);
	if (rc != 0 || item->type != MANIFEST_HARDLINK)
		return rc;
	/* Nothing links to what is immutable. */
	first = plan_find(p, item->target);
	return first == NULL
	    ? look(p, root, item->target, strlen(item->target), e)
	    : 0;
}

static int
lift_cmp(const void *a, const void *b)
{
	const struct plan_lift *x = a, *y = b;
	int order = compare_paths(x->path, y->path);

	/* The one with a mode first: it was looked at closest. */
	return order != 0 ? order : (x->mode == 0) - (y->mode == 0);
}

static void
unique(struct plan *p)
{
	size_t kept = 0;

	if (p->lift_count == 0)
		return;
	qsort(p->lifts, p->lift_count, sizeof(*p->lifts), lift_cmp);
	for (size_t i = 1; i < p->lift_count; i++) {
		if (strcmp(p->lifts[i].path, p->lifts[kept].path) == 0)
			free(p->lifts[i].path);
		else
			p->lifts[++kept] = p->lifts[i];
	}
	p->lift_count = kept + 1;
}

static int
find(struct plan *p, int root, struct err *e)
{
	const char *last = NULL;
	int rc = 0;

	for (size_t i = 0; i < p->item_count && rc == 0; i++) {
		const struct plan_item *item = plan_item(p, i);

		rc = find_item(p, root, item, e);
		if (rc == 0 && (item->root == i || probe_is_beside(item)))
			rc = look_at_holder(p, root, item->path, &last, e);
	}
	for (size_t i = 0; i < p->delete_count && rc == 0; i++) {
		const struct plan_delete *d = plan_deletion(p, i);
		const struct plan_lift l = { NULL, d->ino, d->had_flags, 0 };

		if (d->had_flags != 0)
			rc = add(p, d->path, strlen(d->path), l, e);
		if (rc == 0)
			rc = look_at_holder(p, root, d->path, &last, e);
	}
	unique(p);
	return rc;
}

/* ---- taking off, putting back ---- */

static int
note(int state, const struct plan *p, struct err *e)
{
	struct buf b;
	int rc;

	buf_init(&b, SIZE_MAX / 2);
	/* Backwards: what is in a directory is put back before its own mode. */
	for (size_t i = p->lift_count; i-- > 0;) {
		const struct plan_lift *l = &p->lifts[i];

		buf_add_u64(&b, l->ino);
		buf_add_u32(&b, l->flags);
		buf_add_u32(&b, l->mode);
		buf_add_u32(&b, (uint32_t)strlen(l->path));
		buf_add_str(&b, l->path);
	}
	rc = buf_check(&b, "what is lifted", e);
	if (rc == 0)
		rc = fsat_write_file(state, LIFT_NAME, 0600, b.data, b.len, e);
	buf_release(&b);
	return rc;
}

static int
take_off(int root, const struct plan_lift *l, struct err *e)
{
	int rc = 0;

	if (l->flags != 0)
		rc = fsat_set_flags(root, l->path, 0, e);
	if (rc == 0 && l->mode != 0)
		rc = fsat_chmod(root, l->path, l->mode | OWNER_CHANGES, e);
	return rc;
}

int
lift_off(int state, int root, struct plan *p, struct err *e)
{
	int rc = find(p, root, e);

	if (rc != 0 || p->lift_count == 0)
		return rc;
	rc = note(state, p, e);
	/* In path order: a directory is made writable before what is in it. */
	for (size_t i = 0; i < p->lift_count && rc == 0; i++)
		rc = take_off(root, &p->lifts[i], e);
	return rc;
}

struct noted {
	struct plan_lift *list; /* as in the file */
	size_t count, room;
};

static void
noted_release(struct noted *n)
{
	for (size_t i = 0; i < n->count; i++)
		free(n->list[i].path);
	free(n->list);
}

static int
read_one(struct reader *r, struct noted *n, struct err *e)
{
	struct plan_lift l = { NULL, 0, 0, 0 }, *list = n->list;
	const uint8_t *text;
	uint32_t len;

	if (reader_u64(r, &l.ino) != 0 || reader_u32(r, &l.flags) != 0 ||
	    reader_u32(r, &l.mode) != 0 || reader_u32(r, &len) != 0 ||
	    len > LIMIT_PATH_BYTES || reader_bytes(r, len, &text) != 0)
		return err_set(e, ERR_FORMAT, "%s: damaged", LIFT_NAME);
	if (n->count == n->room) {
		n->room = n->room == 0 ? 16 : 2 * n->room;
		list = reallocarray(list, n->room, sizeof(*list));
		if (list == NULL)
			return err_memory(e);
		n->list = list;
	}
	l.path = strndup((const char *)text, len);
	if (l.path == NULL)
		return err_memory(e);
	n->list[n->count++] = l;
	return 0;
}

/* ERR_NOT_FOUND: nothing is. */
static int
read_noted(int state, struct noted *n, struct err *e)
{
	struct reader r;
	struct buf b;
	int rc;

	buf_init(&b, SIZE_MAX / 2);
	rc = fsat_read_file(state, LIFT_NAME, SIZE_MAX / 4, &b, e);
	reader_init(&r, b.data, b.len);
	while (rc == 0 && reader_left(&r) > 0)
		rc = read_one(&r, n, e);
	buf_release(&b);
	return rc;
}

/* Takes off, or puts back. */
static int
set_held(int fd, const struct fsat_stat *st, const struct plan_lift *l,
    bool is_off, struct err *e)
{
	uint32_t mode = is_off ? l->mode | OWNER_CHANGES : l->mode;
	int rc = 0;

	if (is_off && l->flags != 0 && st->flags != 0)
		rc = fsat_set_flags(fd, "", 0, e);
	if (rc == 0 && l->mode != 0 && (st->mode & MANIFEST_MODE_MAX) != mode)
		rc = fsat_chmod(fd, "", mode, e);
	if (rc == 0 && !is_off && st->flags != l->flags)
		rc = fsat_set_flags(fd, "", l->flags, e);
	return rc;
}

/* Somebody else may have been there meanwhile. */
static int
set_noted(int root, const struct plan_lift *l, bool is_off, struct err *e)
{
	struct err mine = ERR_INIT;
	struct fsat_stat st;
	int fd = -1, rc;

	rc = fsat_hold(root, l->path, &fd, &mine);
	if (rc == 0)
		rc = fsat_stat_fd(fd, &st, &mine);
	if (rc == 0 && st.ino == l->ino)
		rc = set_held(fd, &st, l, is_off, &mine);
	if (fd >= 0)
		close(fd);
	if (rc == 0 || rc == ERR_NOT_FOUND || mine.sys == ENOTDIR ||
	    mine.sys == ELOOP)
		return 0;
	*e = mine;
	return err_prefix(e, "%s", l->path);
}

/* The file system that a path is on, by the directory it is in. */
static int
add_sync(
    struct syncs *syncs, int root, const struct plan_lift *l, struct err *e)
{
	const char *slash = strrchr(l->path, '/');
	char holder[LIMIT_PATH_BYTES + 1];
	struct err ignored = ERR_INIT;
	int fd = -1, rc = 0;

	(void)snprintf(holder, sizeof(holder), "%.*s",
	    slash == NULL ? 1 : (int)(slash - l->path),
	    slash == NULL ? "." : l->path);
	if (fsat_hold_dir(root, holder, &fd, &ignored) != 0)
		return 0;
	rc = syncs_add(syncs, fd, e);
	close(fd);
	return rc;
}

static int
put_back(int root, const struct noted *n, struct err *e)
{
	struct syncs syncs = SYNCS_INIT;
	int rc = 0;

	for (size_t i = 0; i < n->count && rc == 0; i++) {
		rc = set_noted(root, &n->list[i], false, e);
		if (rc == 0)
			rc = add_sync(&syncs, root, &n->list[i], e);
	}
	if (rc == 0)
		rc = syncs_all(&syncs, e);
	syncs_release(&syncs);
	return rc;
}

void
lift_again(int state, int root)
{
	struct noted n = { NULL, 0, 0 };
	struct err ignored = ERR_INIT;

	if (read_noted(state, &n, &ignored) == 0)
		for (size_t i = n.count; i-- > 0;)
			if (set_noted(root, &n.list[i], true, &ignored) != 0)
				err_clear(&ignored);
	noted_release(&n);
}

int
lift_restore(int state, int root, struct err *e)
{
	struct noted n = { NULL, 0, 0 };
	struct err mine = ERR_INIT;
	int rc = read_noted(state, &n, &mine);

	if (rc == 0)
		rc = put_back(root, &n, &mine);
	noted_release(&n);
	if (rc == 0)
		return lift_forget(state, e);
	if (rc == ERR_NOT_FOUND)
		return 0;
	*e = mine;
	return rc;
}

int
lift_forget(int state, struct err *e)
{
	struct err mine = ERR_INIT;
	int rc = fsat_unlink(state, LIFT_NAME, &mine);

	if (rc == 0 || rc == ERR_NOT_FOUND)
		return 0;
	*e = mine;
	return rc;
}
