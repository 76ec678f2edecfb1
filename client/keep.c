/* Keeping what a run replaces; runs in the applier. */
#include "client/keep.h"

#include <errno.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "client/cache.h"
#include "client/dirtimes.h"
#include "client/keep_inodes.h"
#include "client/keep_links.h"
#include "client/stage.h"
#include "common/dirstack.h"
#include "common/fsat.h"
#include "transcripts/scan.h"

#define NAME_BYTES 32

/* One path of the plan, or another name of a file of it. */
enum mark_kind {
	MARK_MADE,
	MARK_META, /* changed in place: the content stays */
	MARK_GONE, /* replaced or deleted */
	MARK_CONTEXT,
};
struct mark {
	const char *path;
	enum mark_kind kind;
	const struct plan_item *item;
};

struct keeper {
	struct session *s;
	const struct plan *plan;
	int dir; /* kept/new */
	struct dirstack *dirs;
	struct cache cache;
	struct kept_writer *writer;
	struct table inodes;
	struct dirtimes times; /* of directories, before things were staged */
	struct buf xattrs;
	const char *before; /* the path before, or NULL */
	uint64_t index, content_bytes;
};

/* ---- marks ---- */

static enum mark_kind
kind_of(const struct plan_item *item)
{
	switch (item->op) {
	case PLAN_CREATE:
		return MARK_MADE;
	case PLAN_META:
		return MARK_META;
	default:
		return MARK_GONE;
	}
}

/* All of them in path order: what is deleted is listed backwards. */
struct marks {
	const struct plan *plan;
	const struct keep_links *links;
	size_t item, deletes_left, link;
};

static struct marks
marks_of(const struct plan *p, const struct keep_links *links)
{
	return (struct marks){ p, links, 0, p->delete_count, 0 };
}

static bool
is_first(const char *path, const char *than)
{
	return path != NULL && (than == NULL || compare_paths(path, than) <= 0);
}

static bool
next_mark(struct marks *m, struct mark *out)
{
	const struct plan *p = m->plan;
	const struct plan_item *item =
	    m->item < p->item_count ? plan_item(p, m->item) : NULL;
	const char *made = item != NULL ? item->path : NULL;
	const char *gone = m->deletes_left > 0
	    ? plan_deletion(p, m->deletes_left - 1)->path
	    : NULL;
	const char *link =
	    m->link < m->links->count ? m->links->paths[m->link] : NULL;

	if (is_first(made, gone) && is_first(made, link)) {
		*out = (struct mark){ made, kind_of(item), item };
		m->item++;
	} else if (is_first(gone, link)) {
		*out = (struct mark){ gone, MARK_GONE, NULL };
		m->deletes_left--;
	} else if (link != NULL) {
		*out = (struct mark){ link, MARK_CONTEXT, NULL };
		m->link++;
	} else {
		return false;
	}
	return true;
}

/* ---- what is there ---- */

/* Nothing is there, or its directory is something else by now. */
static bool
is_gone(int rc, const struct err *e)
{
	return rc == ERR_NOT_FOUND ||
	    (rc == ERR_SYS && (e->sys == ENOTDIR || e->sys == ELOOP));
}

struct there {
	int dir;
	const char *name;
	struct fsat_stat st;
	bool is_any;
};

static int
look(struct dirstack *dirs, const char *path, struct there *t, struct err *e)
{
	struct err mine = ERR_INIT;
	int rc = dirstack_at(dirs, path, &t->dir, &t->name, &mine);

	if (rc == 0)
		rc = fsat_stat(t->dir, t->name, &t->st, &mine);
	t->is_any = rc == 0;
	if (rc == 0 || is_gone(rc, &mine))
		return 0;
	*e = mine;
	return err_prefix(e, "%s", path);
}

static uint8_t
type_of(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return MANIFEST_FILE;
	case S_IFDIR:
		return MANIFEST_DIR;
	case S_IFLNK:
		return MANIFEST_SYMLINK;
	case S_IFIFO:
		return MANIFEST_FIFO;
	case S_IFBLK:
		return MANIFEST_BLOCK;
	case S_IFCHR:
		return MANIFEST_CHAR;
	default:
		return 0; /* a socket: without its process it is nothing */
	}
}

/* ---- content ---- */

/* A link is not always to be had; then it is a copy. */
static bool
is_no_link(const struct err *e)
{
	return e->sys == EPERM || e->sys == EXDEV || e->sys == EMLINK ||
	    e->sys == EOPNOTSUPP || e->sys == EACCES;
}

static int
copy_file(struct keeper *k, const struct there *t, const char *name,
    const char *path, struct err *e)
{
	int from = -1, to = -1, rc;

	rc = fsat_open_file(t->dir, t->name, &from, e);
	if (rc == 0)
		rc = fsat_create(k->dir, name, 0600, &to, e);
	if (rc == 0)
		rc = stage_copy_content(from, to, t->st.size_bytes, path, e);
	if (rc == 0)
		rc = fsat_close(&to, path, e);
	if (from >= 0)
		close(from);
	if (to >= 0)
		close(to);
	return rc;
}

/* Holds the file's content as `name`; *t is of what is held afterwards, and
 * *same whether that is what was looked at. */
static int
hold_content(struct keeper *k, struct there *t, const char *name,
    const char *path, bool *same, struct err *e)
{
	struct err mine = ERR_INIT;
	struct fsat_stat st;
	int rc;

	*same = t->st.nlink == 1;
	if (!*same)
		return copy_file(k, t, name, path, e);
	rc = fsat_link(t->dir, t->name, k->dir, name, &mine);
	if (rc == ERR_SYS && is_no_link(&mine)) {
		*same = false;
		return copy_file(k, t, name, path, e);
	}
	if (rc == 0)
		rc = fsat_stat(k->dir, name, &st, &mine);
	if (rc == 0 && !S_ISREG(st.mode))
		rc = err_set(&mine, ERR_CHANGED, "changed while it was kept");
	if (rc != 0) {
		*e = mine;
		return err_prefix(e, "%s", path);
	}
	*same = st.ino == t->st.ino && st.size_bytes == t->st.size_bytes &&
	    st.mtime.tv_sec == t->st.mtime.tv_sec &&
	    st.mtime.tv_nsec == t->st.mtime.tv_nsec;
	t->st = st;
	return 0;
}

static int
hash_file(int dir, const char *name, struct manifest_entry *m, struct err *e)
{
	int fd = -1, rc = fsat_open_file(dir, name, &fd, e);

	if (rc == 0) {
		rc =
		    digest_of_fd(fd, UINT64_MAX, &m->digest, &m->size_bytes, e);
		close(fd);
	}
	return rc != 0 ? err_prefix(e, "%s", m->path) : 0;
}

/* The digest that the stat cache knows. */
static int
known_digest(struct keeper *k, const char *path, const struct fsat_stat *st,
    struct digest *out, bool *known, struct err *e)
{
	const struct statcache_record *record = NULL;
	struct err mine = ERR_INIT;
	int rc = 0;

	*known = false;
	if (k->cache.reader == NULL)
		return 0;
	rc = statcache_reader_find(k->cache.reader, path, st, &record, &mine);
	if (rc == ERR_FORMAT) {
		cache_close(&k->cache); /* damaged: of no use */
		return 0;
	}
	if (rc != 0) {
		*e = mine;
		return rc;
	}
	*known = record != NULL;
	if (*known)
		*out = record->digest;
	return 0;
}

/* Size and digest of a regular file; its content is held where it goes. */
static int
keep_file(struct keeper *k, const struct mark *mark, struct there *t,
    struct manifest_entry *m, struct kept_item *item, struct err *e)
{
	char name[NAME_BYTES];
	bool known = false, same = true;
	int rc;

	m->size_bytes = t->st.size_bytes;
	if (mark->kind == MARK_META && mark->item->type == MANIFEST_FILE) {
		m->digest = mark->item->digest;
		return 0;
	}
	rc = known_digest(k, m->path, &t->st, &m->digest, &known, e);
	if (rc != 0)
		return rc;
	if (mark->kind == MARK_CONTEXT)
		return known ? 0 : hash_file(t->dir, t->name, m, e);
	(void)snprintf(
	    name, sizeof(name), "f/%llu", (unsigned long long)k->index);
	rc = hold_content(k, t, name, m->path, &same, e);
	if (rc == 0 && (!known || !same))
		rc = hash_file(k->dir, name, m, e);
	if (rc != 0)
		return rc;
	item->state = KEPT_CONTENT;
	item->index = k->index++;
	k->content_bytes += m->size_bytes;
	return 0;
}

/* ---- entries ---- */

static int
fill_type(struct keeper *k, const struct mark *mark, struct there *t,
    struct manifest_entry *m, struct kept_item *item, struct err *e)
{
	switch (m->type) {
	case MANIFEST_FILE:
		return keep_file(k, mark, t, m, item, e);
	case MANIFEST_BLOCK:
	case MANIFEST_CHAR:
		m->major = major(t->st.rdev);
		m->minor = minor(t->st.rdev);
		return 0;
	default:
		return 0;
	}
}

/* Staging changes the times of the directories that it stages in. */
static struct timespec
mtime_of(const struct keeper *k, const char *path, const struct there *t)
{
	const struct timespec *before =
	    S_ISDIR(t->st.mode) ? dirtimes_find(&k->times, path) : NULL;

	return before != NULL ? *before : t->st.mtime;
}

/* Everything but a hard link. */
/* As they were before staging, which takes off what would forbid it. */
static void
set_mode_and_flags(
    const struct keeper *k, const struct there *t, struct manifest_entry *m)
{
	const struct plan_lift *lift = plan_find_lift(k->plan, m->path);

	m->mode = t->st.mode & MANIFEST_MODE_MAX;
	if (m->type == MANIFEST_FILE || m->type == MANIFEST_DIR)
		m->flags = scan_flags(&t->st);
	if (lift == NULL || lift->ino != t->st.ino)
		return;
	m->flags |= lift->flags;
	if (lift->mode != 0)
		m->mode = lift->mode & MANIFEST_MODE_MAX;
}

static int
write_thing(struct keeper *k, const struct mark *mark, struct there *t,
    struct kept_item *item, struct err *e)
{
	struct manifest_entry m = { .type = type_of(t->st.mode),
		.path = mark->path };
	char target[LIMIT_PATH_BYTES + 1], owner[NAME_BYTES], group[NAME_BYTES];
	int rc = 0;

	if (m.type == MANIFEST_SYMLINK) {
		rc = fsat_readlink(t->dir, t->name, target, sizeof(target), e);
		m.target = target;
	}
	buf_clear(&k->xattrs);
	if (rc == 0)
		rc = scan_xattrs(t->dir, t->name, &k->xattrs, e);
	if (rc == 0)
		rc = fill_type(k, mark, t, &m, item, e);
	if (rc != 0)
		return rc;
	(void)snprintf(owner, sizeof(owner), "#%u", t->st.uid);
	(void)snprintf(group, sizeof(group), "#%u", t->st.gid);
	m.owner = owner;
	m.group = group;
	set_mode_and_flags(k, t, &m);
	m.mtime = mtime_of(k, mark->path, t);
	m.xattrs =
	    (struct manifest_xattrs){ buf_str(&k->xattrs), k->xattrs.len };
	item->m = &m;
	rc = kept_writer_add(k->writer, item, e);
	item->m = NULL;
	return rc;
}

static int
write_there(
    struct keeper *k, const struct mark *mark, struct there *t, struct err *e)
{
	struct kept_item item = { .path = mark->path,
		.state =
		    mark->kind == MARK_CONTEXT ? KEPT_CONTEXT : KEPT_CHANGED };
	struct manifest_entry link = { .type = MANIFEST_HARDLINK,
		.path = mark->path };
	int rc;

	if (type_of(t->st.mode) == 0) {
		item.state = KEPT_ABSENT;
		return kept_writer_add(k->writer, &item, e);
	}
	rc = keep_inodes_meet(&k->inodes, &t->st, mark->path, &link.target, e);
	if (rc != 0)
		return rc;
	if (link.target == NULL)
		return write_thing(k, mark, t, &item, e);
	item.m = &link;
	return kept_writer_add(k->writer, &item, e);
}

/* Whether `path` starts with `len` bytes of what was just written, at a
 * component's end: then all up to there is written. */
static bool
is_written(const struct keeper *k, const char *path, size_t len)
{
	return k->before != NULL && strncmp(k->before, path, len) == 0 &&
	    (k->before[len] == '/' || k->before[len] == '\0');
}

/* What leads to the path, as far as it is there. */
static int
write_ancestors(struct keeper *k, const char *path, struct err *e)
{
	char part[LIMIT_PATH_BYTES + 1];
	struct there t;
	int rc = 0;

	for (const char *s = strchr(path, '/'); s != NULL && rc == 0;
	     s = strchr(s + 1, '/')) {
		size_t len = (size_t)(s - path);
		struct mark mark = { part, MARK_CONTEXT, NULL };

		if (is_written(k, path, len))
			continue;
		memcpy(part, path, len);
		part[len] = '\0';
		rc = look(k->dirs, part, &t, e);
		if (rc != 0 || !t.is_any || !S_ISDIR(t.st.mode))
			break;
		rc = write_there(k, &mark, &t, e);
	}
	return rc;
}

static int
write_mark(struct keeper *k, const struct mark *mark, struct err *e)
{
	const struct kept_item made = { .state = KEPT_ABSENT,
		.path = mark->path };
	struct there t;
	int rc = write_ancestors(k, mark->path, e);

	if (rc != 0)
		return rc;
	k->before = mark->path;
	if (mark->kind == MARK_MADE)
		return kept_writer_add(k->writer, &made, e);
	rc = look(k->dirs, mark->path, &t, e);
	return rc != 0 || !t.is_any ? rc : write_there(k, mark, &t, e);
}

static int
write_marks(struct keeper *k, struct marks *marks, struct err *e)
{
	const struct mark top = { ".", MARK_CONTEXT, NULL };
	struct mark mark;
	int rc = 0;

	while (rc == 0 && next_mark(marks, &mark)) {
		if (k->before == NULL && strcmp(mark.path, ".") != 0)
			rc = write_mark(k, &top, e);
		if (rc == 0)
			rc = write_mark(k, &mark, e);
	}
	return rc;
}

/* ---- the whole ---- */

static void
keeper_release(struct keeper *k)
{
	keep_inodes_release(&k->inodes);
	dirtimes_release(&k->times);
	kept_writer_free(k->writer);
	cache_close(&k->cache);
	dirstack_free(k->dirs);
	buf_release(&k->xattrs);
	if (k->dir >= 0)
		close(k->dir);
}

static int
keeper_open(struct keeper *k, const struct kept_facts *facts, struct err *e)
{
	int state = k->s->state.dir, rc;

	if ((rc = keep_discard(state, e)) != 0 ||
	    (rc = fsat_mkdir_all(state, KEPT_NEW "/f", 0700, e)) != 0 ||
	    (rc = fsat_open_dir(state, KEPT_NEW, &k->dir, e)) != 0 ||
	    (rc = dirstack_new(k->s->root, &k->dirs, e)) != 0 ||
	    (rc = dirtimes_load(state, &k->times, e)) != 0 ||
	    (rc = cache_open(&k->s->state, k->s->settings->ignore_xattrs,
	         &k->cache, e)) != 0)
		return rc;
	return kept_writer_new(k->dir, facts, &k->writer, e);
}

static int
store(struct keeper *k, const struct plan *p, const struct kept_facts *facts,
    bool linked, struct err *e)
{
	struct keep_links links = { NULL, 0, 0 };
	struct marks marks;
	int rc = keeper_open(k, facts, e);

	if (rc == 0 && linked)
		rc = keep_links_find(k->s, p, &links, e);
	marks = marks_of(p, &links);
	if (rc == 0)
		rc = write_marks(k, &marks, e);
	if (rc == 0)
		rc = kept_writer_end(k->writer, k->content_bytes, e);
	keep_links_release(&links);
	return rc;
}

int
keep_store(struct session *s, const struct plan *p,
    const struct kept_facts *facts, const struct keep_space *space,
    struct err *e)
{
	struct keeper k = {
		.s = s, .plan = p, .dir = -1, .cache = { -1, NULL }
	};
	int rc;

	if (s->settings->keep_runs == 0)
		return 0;
	buf_init(&k.xattrs, LIMIT_XATTRS * (size_t)LIMIT_XATTR_BYTES * 2);
	rc = store(&k, p, facts, space->linked, e);
	keeper_release(&k);
	return rc != 0 ? err_prefix(e, "keeping what was there") : 0;
}

/* ---- how much ---- */

struct measure {
	uint64_t dev;
	struct table inodes;
	struct keep_space space;
};

static int
measure_file(struct measure *m, const char *path, const struct fsat_stat *st,
    struct err *e)
{
	const char *first;
	int rc = keep_inodes_meet(&m->inodes, st, path, &first, e);

	if (rc != 0 || first != NULL)
		return rc;
	m->space.files++;
	m->space.linked = m->space.linked || st->nlink > 1;
	if (st->dev != m->dev || st->nlink > 1)
		m->space.copy_bytes += st->size_bytes;
	return 0;
}

static int
measure_plan(const struct session *s, const struct plan *p, struct measure *m,
    struct err *e)
{
	const struct keep_links none = { NULL, 0, 0 };
	struct marks marks = marks_of(p, &none);
	struct dirstack *dirs = NULL;
	struct mark mark;
	struct there t;
	int rc = dirstack_new(s->root, &dirs, e);

	while (rc == 0 && next_mark(&marks, &mark)) {
		if (mark.kind != MARK_GONE)
			continue;
		rc = look(dirs, mark.path, &t, e);
		if (rc == 0 && t.is_any && S_ISREG(t.st.mode))
			rc = measure_file(m, mark.path, &t.st, e);
	}
	dirstack_free(dirs);
	return rc;
}

int
keep_space(const struct session *s, const struct plan *p,
    struct keep_space *out, struct err *e)
{
	struct measure m = { .dev = 0 };
	struct fsat_stat state;
	int rc = 0;

	if (s->settings->keep_runs > 0) {
		rc = fsat_stat_fd(s->state.dir, &state, e);
		m.dev = state.dev;
		if (rc == 0)
			rc = measure_plan(s, p, &m, e);
		keep_inodes_release(&m.inodes);
	}
	*out = m.space;
	return rc;
}
