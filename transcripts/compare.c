/* Manifests against a file system, in one pass; runs in the client. */
#include "transcripts/compare.h"

#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/limits.h"
#include "transcripts/compare_ahead.h"
#include "transcripts/compare_dropped.h"
#include "transcripts/compare_ids.h"
#include "transcripts/compare_shared.h"
#include "transcripts/compare_unlisted.h"
#include "transcripts/scan.h"
#include "transcripts/waived.h"

/* One open directory on the way to the current path. */
struct frame {
	struct unlisted_dir
	    dir;           /* fd -1: nothing is there, or something else */
	bool exact;        /* what is not listed in it goes */
	bool exact_target; /* it is in a target of which that is said */
	struct fsat_names names; /* of an exact one */
	size_t next;             /* first name not yet passed */
};

struct walk {
	const struct compare_options *o;
	struct statcache_reader *cache; /* NULL once it is damaged */
	compare_fn fn;
	void *arg;
	struct compare_totals totals;
	struct compare_ahead *ahead;
	struct compare_dropped *dropped; /* NULL: nothing was applied before */
	struct frame *frames;
	size_t depth, room;
	struct unlisted unlisted; /* with the path of the last frame */
	struct compare_ids users, groups;
	struct compare_shared shared;
	char **renewed; /* paths of files that get a new inode, in order */
	size_t renewed_count, renewed_room;
	struct buf xattrs;
	struct buf waived; /* lines left of a manifest's when some are waived */
};

/* An entry and what is there by its name. */
struct pair {
	const struct layer_entry *entry;
	const struct manifest_entry *m; /* of entry */
	const struct frame *frame;      /* the directory */
	const char *name;
	struct fsat_stat st;
	unsigned bits; /* what differs */
};

/* ---- reporting ---- */

static int
find_owner(struct walk *w, const struct manifest_entry *m, uint32_t *uid,
    uint32_t *gid, struct err *e)
{
	if (compare_ids_find(&w->users, m->owner, uid, e) != 0 ||
	    compare_ids_find(&w->groups, m->group, gid, e) != 0)
		return err_prefix(e, "%s", m->path);
	return 0;
}

/* What is waived stays as it is, and is not made. */
static int
report_waived(struct walk *w, const struct compare_diff *diff, struct err *e)
{
	struct layer_entry entry = *diff->want;
	struct compare_diff as_waived = *diff;
	bool stays = diff->have != NULL && (diff->bits & COMPARE_RENEW) == 0;

	if (w->o->ignore_flags)
		entry.m.flags = (entry.m.flags & ~MANIFEST_CHATTR) |
		    (stays ? diff->have->flags : 0);
	if (w->o->ignore_xattrs != NULL) {
		buf_clear(&w->waived);
		waived_line(w->o->ignore_xattrs, &w->waived);
		waived_filter(w->o->ignore_xattrs, entry.m.xattrs, &w->waived);
		entry.m.xattrs = (struct manifest_xattrs){ buf_str(&w->waived),
			w->waived.len };
		if (buf_check(&w->waived, "attributes", e) != 0)
			return err_prefix(e, "%s", entry.m.path);
	}
	as_waived.want = &entry;
	return w->fn(w->arg, &as_waived, e);
}

/* Fills in the owner that is wanted, or what is there where none is. */
static int
report(struct walk *w, struct compare_diff diff, struct err *e)
{
	const struct manifest_entry *m = &diff.want->m;
	int rc;

	diff.path = m->path;
	if (m->type != MANIFEST_HARDLINK && !w->o->ignore_owner) {
		rc = find_owner(w, m, &diff.uid, &diff.gid, e);
		if (rc != 0)
			return rc;
	} else {
		diff.uid = diff.have != NULL ? diff.have->uid : geteuid();
		diff.gid = diff.have != NULL ? diff.have->gid : getegid();
	}
	return w->o->ignore_xattrs != NULL || w->o->ignore_flags
	    ? report_waived(w, &diff, e)
	    : w->fn(w->arg, &diff, e);
}

/* A file that gets a new inode takes the other names of its group along. */
static int
note_renewed(struct walk *w, const struct manifest_entry *m, struct err *e)
{
	size_t room = w->renewed_room == 0 ? 64 : 2 * w->renewed_room;
	char **list;

	if (m->type != MANIFEST_FILE)
		return 0;
	if (w->renewed_count == w->renewed_room) {
		list = reallocarray(w->renewed, room, sizeof(*list));
		if (list == NULL)
			return err_memory(e);
		w->renewed = list;
		w->renewed_room = room;
	}
	w->renewed[w->renewed_count] = strdup(m->path);
	if (w->renewed[w->renewed_count] == NULL)
		return err_memory(e);
	w->renewed_count++;
	return 0;
}

static int
renewed_cmp(const void *key, const void *element)
{
	const char *const *path = element;

	return compare_paths(key, *path);
}

static bool
is_renewed(const struct walk *w, const char *path)
{
	return w->renewed_count > 0 &&
	    bsearch(path, w->renewed, w->renewed_count, sizeof(*w->renewed),
	        renewed_cmp) != NULL;
}

/* ---- frames ---- */

static struct frame *
last_frame(const struct walk *w)
{
	return &w->frames[w->depth - 1];
}

/* Passes the names before `name` (NULL: all that are left). */
static int
pass_names(struct walk *w, struct frame *f, const char *name, struct err *e)
{
	int rc = 0;

	while (rc == 0 && f->next < f->names.count) {
		const char *have = f->names.names[f->next];
		int order = name == NULL ? -1 : strcmp(have, name);

		if (order > 0)
			break;
		f->next++;
		if (order == 0)
			break;
		rc = unlisted_report(&w->unlisted, &f->dir, have, e);
	}
	return rc;
}

static void
frame_drop(struct walk *w)
{
	struct frame *f = &w->frames[--w->depth];

	if (f->dir.fd >= 0)
		close(f->dir.fd);
	fsat_names_release(&f->names);
}

static int
frame_pop(struct walk *w, struct err *e)
{
	struct frame *f = last_frame(w);
	int rc = f->exact && f->dir.fd >= 0 ? pass_names(w, f, NULL, e) : 0;

	frame_drop(w);
	return rc;
}

static int
frames_grow(struct walk *w, struct err *e)
{
	size_t room = w->room == 0 ? 32 : 2 * w->room;
	struct frame *f;

	if (w->depth < w->room)
		return 0;
	f = reallocarray(w->frames, room, sizeof(*f));
	if (f == NULL)
		return err_memory(e);
	w->frames = f;
	w->room = room;
	return 0;
}

/* Takes over fd (-1: the directory is not there), after failure too. */
static int
frame_push(struct walk *w, const char *path, int fd, bool exact, struct err *e)
{
	struct fsat_stat st;
	struct frame *f;
	int rc = frames_grow(w, e);

	if (rc != 0) {
		if (fd >= 0)
			close(fd);
		return rc;
	}
	f = &w->frames[w->depth++];
	*f = (struct frame){ .dir = { fd, strlen(path), 0 },
		.exact = exact,
		.exact_target = exact };
	memcpy(w->unlisted.path, path, f->dir.path_len + 1);
	if (fd < 0)
		return 0;
	rc = fsat_stat_fd(fd, &st, e);
	if (rc != 0)
		return rc;
	f->dir.mount_id = st.mount_id;
	/* What is mounted inside an exact target holds what nobody listed. */
	if (exact && w->depth > 1 && f[-1].exact_target &&
	    f[-1].dir.mount_id != st.mount_id)
		f->exact = false;
	return f->exact ? fsat_list(fd, &f->names, e) : 0;
}

/* Makes the last frame the directory that holds `path`. */
static int
go_to_parent(struct walk *w, const char *path, struct err *e)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash == NULL ? 0 : (size_t)(slash - path);
	int rc;

	while (w->depth > 1 &&
	    (last_frame(w)->dir.path_len != len ||
	        memcmp(w->unlisted.path, path, len) != 0)) {
		rc = frame_pop(w, e);
		if (rc != 0)
			return rc;
	}
	return 0;
}

/* ---- one entry ---- */

static bool
same_type(const struct manifest_entry *m, uint32_t mode)
{
	switch (m->type) {
	case MANIFEST_DIR:
		return S_ISDIR(mode);
	case MANIFEST_FILE:
	case MANIFEST_HARDLINK:
		return S_ISREG(mode);
	case MANIFEST_SYMLINK:
		return S_ISLNK(mode);
	case MANIFEST_FIFO:
		return S_ISFIFO(mode);
	case MANIFEST_BLOCK:
		return S_ISBLK(mode);
	case MANIFEST_CHAR:
		return S_ISCHR(mode);
	}
	return false;
}

static int
content_bits(struct walk *w, struct pair *p, struct err *e)
{
	struct digest got;
	int fd = -1, rc;

	if (p->st.size_bytes != p->m->size_bytes) {
		p->bits |= COMPARE_CONTENT;
		return 0;
	}
	rc = fsat_open_file(p->frame->dir.fd, p->name, &fd, e);
	if (rc == 0) {
		rc = digest_of_fd(fd, UINT64_MAX, &got, NULL, e);
		close(fd);
	}
	if (rc != 0)
		return err_prefix(e, "%s", p->m->path);
	w->totals.read_bytes += p->st.size_bytes;
	if (!digest_equal(&got, &p->m->digest))
		p->bits |= COMPARE_CONTENT;
	return 0;
}

static int
target_bits(struct pair *p, struct err *e)
{
	char target[LIMIT_PATH_BYTES + 1];
	int rc;

	rc =
	    fsat_readlink(p->frame->dir.fd, p->name, target, sizeof(target), e);
	if (rc == 0 && strcmp(target, p->m->target) != 0)
		p->bits |= COMPARE_TARGET;
	return rc;
}

static bool
is_same_text(struct manifest_xattrs a, struct manifest_xattrs b)
{
	return a.len == b.len &&
	    (a.len == 0 || memcmp(a.text, b.text, a.len) == 0);
}

static int
xattr_bits(
    struct walk *w, struct pair *p, struct manifest_xattrs have, struct err *e)
{
	const char *waived = w->o->ignore_xattrs;
	struct manifest_xattrs want = p->m->xattrs;
	struct buf *b = &w->waived;
	size_t half;

	if (waived != NULL) {
		buf_clear(b);
		waived_filter(waived, want, b);
		half = b->len;
		waived_filter(waived, have, b);
		if (buf_check(b, "attributes", e) != 0)
			return err_prefix(e, "%s", p->m->path);
		want = (struct manifest_xattrs){ buf_str(b), half };
		have = (struct manifest_xattrs){ buf_str(b) + half,
			b->len - half };
	}
	if (!is_same_text(want, have))
		p->bits |= COMPARE_XATTRS;
	return 0;
}

/* The stat cache's record of what is there, or NULL. */
static int
find_known(struct walk *w, const struct pair *p,
    const struct statcache_record **known, struct err *e)
{
	struct err mine = ERR_INIT;
	int rc;

	*known = NULL;
	if (w->cache == NULL)
		return 0;
	rc = statcache_reader_find(w->cache, p->m->path, &p->st, known, &mine);
	if (rc == 0)
		return 0;
	*known = NULL;
	if (rc == ERR_FORMAT) {
		w->cache = NULL;
		return 0;
	}
	*e = mine;
	return rc;
}

static int
read_xattrs(struct walk *w, struct pair *p, struct err *e)
{
	int rc;

	buf_clear(&w->xattrs);
	rc = scan_xattrs(p->frame->dir.fd, p->name, &w->xattrs, e);
	return rc != 0 ? rc
	               : xattr_bits(w, p,
	                     (struct manifest_xattrs){
	                         buf_str(&w->xattrs), w->xattrs.len },
	                     e);
}

/* What stat alone does not tell. */
static int
look_closer(struct walk *w, struct pair *p, struct err *e)
{
	const struct statcache_record *known;
	bool is_file = p->m->type == MANIFEST_FILE;
	int rc = find_known(w, p, &known, e);

	if (rc == 0 && known != NULL) {
		if (is_file && !digest_equal(&known->digest, &p->m->digest))
			p->bits |= COMPARE_CONTENT;
		rc = xattr_bits(w, p, known->xattrs, e);
	} else if (rc == 0) {
		rc = is_file ? content_bits(w, p, e) : 0;
		if (rc == 0)
			rc = read_xattrs(w, p, e);
	}
	if (rc == 0 && p->m->type == MANIFEST_SYMLINK)
		rc = target_bits(p, e);
	return rc;
}

static int
owner_bits(struct walk *w, struct pair *p, struct err *e)
{
	uint32_t uid, gid;
	int rc;

	if (w->o->ignore_owner)
		return 0;
	rc = find_owner(w, p->m, &uid, &gid, e);
	if (rc != 0)
		return rc;
	if (p->st.uid != uid)
		p->bits |= COMPARE_OWNER;
	if (p->st.gid != gid)
		p->bits |= COMPARE_GROUP;
	return 0;
}

static int
same_type_bits(struct walk *w, struct pair *p, struct err *e)
{
	const struct manifest_entry *m = p->m;
	const struct fsat_stat *st = &p->st;
	int rc = owner_bits(w, p, e);

	if (rc != 0)
		return rc;
	if (m->type != MANIFEST_SYMLINK && (st->mode & 07777) != m->mode)
		p->bits |= COMPARE_MODE;
	/* A directory that others write to as well has no time of ours. */
	if ((m->type != MANIFEST_DIR || p->entry->exact || w->o->dir_times) &&
	    (st->mtime.tv_sec != m->mtime.tv_sec ||
	        st->mtime.tv_nsec != m->mtime.tv_nsec))
		p->bits |= COMPARE_MTIME;
	if ((m->type == MANIFEST_BLOCK || m->type == MANIFEST_CHAR) &&
	    st->rdev != makedev(m->major, m->minor))
		p->bits |= COMPARE_DEVICE;
	if (!w->o->ignore_flags && st->flags != (m->flags & MANIFEST_CHATTR))
		p->bits |= COMPARE_FLAGS;
	return look_closer(w, p, e);
}

/* Two objects of the release that are one here would change each other. */
static int
shared_bits(struct walk *w, struct pair *p, struct err *e)
{
	bool was_seen = false;
	int rc;

	if (p->st.nlink < 2 || S_ISDIR(p->st.mode) ||
	    (p->bits & COMPARE_RENEW) != 0)
		return 0;
	rc = compare_shared_see(&w->shared, &p->st, &was_seen, e);
	if (was_seen)
		p->bits |= COMPARE_LINK;
	return rc;
}

static int
hardlink_bits(struct walk *w, struct pair *p, struct err *e)
{
	struct fsat_stat first;
	int rc;

	if (is_renewed(w, p->m->target)) {
		p->bits |= COMPARE_LINK;
		return 0;
	}
	rc = fsat_stat(w->o->root, p->m->target, &first, e);
	if (rc != 0)
		return err_prefix(e, "%s: hard link", p->m->path);
	if (first.dev != p->st.dev || first.ino != p->st.ino)
		p->bits |= COMPARE_LINK;
	return 0;
}

static int
note_replaced(struct walk *w, const struct pair *p, struct err *e)
{
	if (p->st.mount_id != p->frame->dir.mount_id)
		return err_set(e, ERR_UNSUPPORTED,
		    "%s: a mount point, which cannot be replaced", p->m->path);
	return note_renewed(w, p->m, e);
}

static int
compare_type(struct walk *w, struct pair *p, struct err *e)
{
	const struct fsat_stat *st = &p->st;
	int rc;

	if (p->entry->implied)
		return err_set(e, ERR_UNSUPPORTED,
		    "%s: on the way to a target, but not a directory%s",
		    p->m->path,
		    S_ISLNK(st->mode) ? " (a symlink: name the directory it "
		                        "leads to as target)"
		                      : "");
	rc = note_replaced(w, p, e);
	if (rc == 0 && S_ISDIR(st->mode))
		rc = unlisted_clear(&w->unlisted, &p->frame->dir, p->name, e);
	if (rc != 0)
		return rc;
	return report(w,
	    (struct compare_diff){ .kind = COMPARE_CHANGE,
	        .bits = COMPARE_TYPE,
	        .want = p->entry,
	        .have = st },
	    e);
}

/* Compares with a thing of the same type. */
static int
compare_there(struct walk *w, struct pair *p, struct err *e)
{
	int rc;

	if (p->entry->implied)
		return 0;
	if (p->m->type == MANIFEST_HARDLINK)
		rc = hardlink_bits(w, p, e);
	else
		rc = same_type_bits(w, p, e);
	if (rc == 0 && p->m->type != MANIFEST_HARDLINK)
		rc = shared_bits(w, p, e);
	if (rc != 0)
		return rc;
	if (p->bits == 0) {
		w->totals.same++;
		return 0;
	}
	if ((p->bits & COMPARE_RENEW) != 0) {
		rc = note_replaced(w, p, e);
		if (rc != 0)
			return rc;
	}
	return report(w,
	    (struct compare_diff){ .kind = COMPARE_CHANGE,
	        .bits = p->bits,
	        .want = p->entry,
	        .have = &p->st },
	    e);
}

static int
compare_missing(struct walk *w, const struct layer_entry *entry, struct err *e)
{
	int rc = note_renewed(w, &entry->m, e);

	if (rc != 0)
		return rc;
	return report(w,
	    (struct compare_diff){ .kind = COMPARE_CREATE, .want = entry }, e);
}

/* The directory that is wanted and there.  One that is not listed need not be
 * readable. */
static int
enter(const struct pair *p, int *fd, struct err *e)
{
	if (p->m->type != MANIFEST_DIR)
		return 0;
	return p->entry->exact
	    ? fsat_open_dir(p->frame->dir.fd, p->name, fd, e)
	    : fsat_hold_dir(p->frame->dir.fd, p->name, fd, e);
}

/* Compares one entry; *fd is the directory, held, where it is one and there
 * is one; -1 otherwise. */
static int
compare_entry(
    struct walk *w, const struct compare_seen *seen, int *fd, struct err *e)
{
	const struct layer_entry *entry = &seen->entry;
	const char *slash = strrchr(entry->m.path, '/');
	struct frame *f = last_frame(w);
	struct pair p = {
		.entry = entry, .m = &entry->m, .frame = f, .st = seen->st
	};
	struct err mine = ERR_INIT;
	int rc;

	p.name = slash == NULL ? entry->m.path : slash + 1;
	*fd = -1;
	w->totals.entries++;
	if (f->dir.fd < 0)
		return compare_missing(w, entry, e);
	if (f->exact) {
		rc = pass_names(w, f, p.name, e);
		if (rc != 0)
			return rc;
	}
	rc = seen->is_seen ? 0 : fsat_stat(f->dir.fd, p.name, &p.st, &mine);
	if (rc == ERR_NOT_FOUND)
		return compare_missing(w, entry, e);
	if (rc != 0) {
		*e = mine;
		return err_prefix(e, "%s", entry->m.path);
	}
	if (!same_type(p.m, p.st.mode))
		return compare_type(w, &p, e);
	rc = compare_there(w, &p, e);
	return rc != 0 ? rc : enter(&p, fd, e);
}

/* The root of the file system as an entry: a target of "/". */
static int
compare_root(struct walk *w, const struct layer_entry *entry, struct err *e)
{
	struct frame *f = &w->frames[0];
	struct pair p = {
		.entry = entry, .m = &entry->m, .frame = f, .name = "."
	};
	int rc;

	w->totals.entries++;
	rc = fsat_stat(f->dir.fd, p.name, &p.st, e);
	if (rc != 0)
		return rc;
	f->exact = entry->exact;
	f->exact_target = entry->exact;
	if (f->exact) {
		rc = fsat_list(f->dir.fd, &f->names, e);
		if (rc != 0)
			return rc;
	}
	return compare_there(w, &p, e);
}

static int
compare_next(struct walk *w, const struct compare_seen *seen, struct err *e)
{
	const struct layer_entry *entry = &seen->entry;
	int fd, rc;

	if (strcmp(entry->m.path, ".") == 0)
		return compare_root(w, entry, e);
	rc = go_to_parent(w, entry->m.path, e);
	if (rc == 0)
		rc = compare_entry(w, seen, &fd, e);
	if (rc != 0 || entry->m.type != MANIFEST_DIR)
		return rc;
	return frame_push(w, entry->m.path, fd, entry->exact, e);
}

static int
compare_wanted(struct walk *w, struct err *e)
{
	const struct compare_seen *seen;
	int rc;

	for (;;) {
		rc = compare_ahead_next(w->ahead, &seen, e);
		if (rc == 0 && w->dropped != NULL)
			rc = compare_dropped_pass(w->dropped,
			    seen == NULL ? NULL : seen->entry.m.path, e);
		if (rc == 0 && seen == NULL)
			break;
		if (rc == 0)
			rc = compare_next(w, seen, e);
		if (rc != 0)
			return rc;
		progress_set(
		    w->o->progress, w->totals.entries, w->totals.read_bytes);
	}
	while (w->depth > 0) {
		rc = frame_pop(w, e);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static int
walk_begin(struct walk *w, struct err *e)
{
	const struct compare_options *o = w->o;
	int fd = -1, rc;

	buf_init(&w->xattrs, LIMIT_XATTRS * (size_t)LIMIT_XATTR_BYTES * 2);
	buf_init(&w->waived, SIZE_MAX / 2);
	rc = fsat_open_dir(o->root, ".", &fd, e);
	if (rc == 0)
		rc = frame_push(w, "", fd, false, e);
	if (rc == 0)
		rc = compare_ahead_new(o->want, o->root, &w->ahead, e);
	if (rc == 0 && o->was != NULL)
		rc = compare_dropped_new(o, w->fn, w->arg, &w->dropped, e);
	return rc;
}

static void
walk_release(struct walk *w)
{
	compare_ahead_free(w->ahead);
	compare_dropped_free(w->dropped);
	while (w->depth > 0)
		frame_drop(w);
	free(w->frames);
	for (size_t i = 0; i < w->renewed_count; i++)
		free(w->renewed[i]);
	free(w->renewed);
	compare_shared_release(&w->shared);
	compare_ids_release(&w->users);
	compare_ids_release(&w->groups);
	buf_release(&w->xattrs);
	buf_release(&w->waived);
}

int
compare_run(const struct compare_options *options, compare_fn fn, void *arg,
    struct compare_totals *totals, struct err *e)
{
	struct walk w = {
		.o = options,
		.cache = options->cache,
		.fn = fn,
		.arg = arg,
		.unlisted = { .o = options, .fn = fn, .arg = arg },
		.users.kind = COMPARE_USERS,
		.groups.kind = COMPARE_GROUPS,
	};
	int rc = walk_begin(&w, e);

	if (rc == 0)
		rc = compare_wanted(&w, e);
	walk_release(&w);
	if (rc == 0)
		*totals = w.totals;
	return rc;
}
