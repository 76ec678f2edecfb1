/* Manifests against a file system, in one pass; runs in the client. */
#include "transcripts/compare.h"

#include <grp.h>
#include <pwd.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/limits.h"
#include "common/text.h"
#include "transcripts/scan.h"

/* One open directory on the way to the current path. */
struct frame {
	size_t path_len; /* of the directory, in walk.path; 0: the root */
	int fd;          /* -1: nothing is there, or something else is */
	uint64_t mount_id;
	bool exact;      /* what is not listed below goes */
	struct fsat_names names;
	size_t next;     /* first name not yet passed */
};

struct id {
	char *name;
	uint32_t number;
};
struct ids {
	struct id *list;
	size_t count;
};

struct walk {
	const struct compare_options *o;
	compare_fn fn;
	void *arg;
	struct compare_totals totals;
	struct frame *frames;
	size_t depth, room;
	char path[LIMIT_PATH_BYTES + LIMIT_COMPONENT_BYTES + 2];
	struct ids users, groups;
	char **renewed; /* paths of files that get a new inode, in order */
	size_t renewed_count, renewed_room;
	struct buf xattrs;
};

/* ---- owners ---- */

static int
parse_id(const char *name, uint32_t *number)
{
	uint64_t v;

	if (text_u64(name + 1, strlen(name + 1), UINT32_MAX - 1, &v) != 0)
		return ERR_FORMAT;
	*number = (uint32_t)v;
	return 0;
}

static bool
look_up(const char *name, bool group, uint32_t *number)
{
	struct passwd *pw;
	struct group *gr;

	if (group) {
		if ((gr = getgrnam(name)) == NULL)
			return false;
		*number = gr->gr_gid;
	} else {
		if ((pw = getpwnam(name)) == NULL)
			return false;
		*number = pw->pw_uid;
	}
	return true;
}

/* Few different names own a tree, and mostly the same one twice running. */
static int
find_id(struct ids *ids, const char *name, bool group, uint32_t *number,
    struct err *e)
{
	struct id *list;

	if (name[0] == '#')
		return parse_id(name, number) == 0 ? 0 :
		    err_set(e, ERR_FORMAT, "owner %s", name);
	for (size_t i = ids->count; i-- > 0;)
		if (strcmp(ids->list[i].name, name) == 0) {
			*number = ids->list[i].number;
			return 0;
		}
	if (!look_up(name, group, number))
		return err_set(e, ERR_UNSUPPORTED, "no %s is called %s here",
		    group ? "group" : "user", name);
	list = reallocarray(ids->list, ids->count + 1, sizeof(*list));
	if (list == NULL)
		return err_memory(e);
	ids->list = list;
	list[ids->count].number = *number;
	if ((list[ids->count].name = strdup(name)) == NULL)
		return err_memory(e);
	ids->count++;
	return 0;
}

static void
ids_release(struct ids *ids)
{
	for (size_t i = 0; i < ids->count; i++)
		free(ids->list[i].name);
	free(ids->list);
}

/* ---- reporting ---- */

static int
report(struct walk *w, enum compare_kind kind, unsigned bits, const char *path,
    const struct layer_entry *want, const struct fsat_stat *have,
    struct err *e)
{
	struct compare_diff diff = { .kind = kind, .bits = bits, .path = path,
		.want = want, .have = have };
	int rc;

	if (want != NULL && want->m.type != MANIFEST_HARDLINK &&
	    !w->o->ignore_owner) {
		if ((rc = find_id(&w->users, want->m.owner, false, &diff.uid,
		    e)) != 0 || (rc = find_id(&w->groups, want->m.group, true,
		    &diff.gid, e)) != 0)
			return err_prefix(e, "%s", path);
	} else if (want != NULL) {
		diff.uid = have != NULL ? have->uid : geteuid();
		diff.gid = have != NULL ? have->gid : getegid();
	}
	return w->fn(w->arg, &diff, e);
}

/* A file that gets a new inode takes the other names of its group along. */
static int
note_renewed(struct walk *w, const struct layer_entry *want, struct err *e)
{
	char **list;

	if (want->m.type != MANIFEST_FILE)
		return 0;
	if (w->renewed_count == w->renewed_room) {
		w->renewed_room = w->renewed_room == 0 ? 64 :
							 2 * w->renewed_room;
		list = reallocarray(w->renewed, w->renewed_room,
		    sizeof(*list));
		if (list == NULL)
			return err_memory(e);
		w->renewed = list;
	}
	w->renewed[w->renewed_count] = strdup(want->m.path);
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
	return w->renewed_count > 0 && bsearch(path, w->renewed,
	    w->renewed_count, sizeof(*w->renewed), renewed_cmp) != NULL;
}

/* ---- what is not listed ---- */

static bool
is_kept(const struct walk *w, const char *path)
{
	for (size_t i = 0; i < w->o->keep_count; i++)
		if (strcmp(w->o->keep[i], path) == 0)
			return true;
	return false;
}

struct doomed {
	size_t path_len;
	int fd;
	struct fsat_names names;
	size_t next;
	bool kept; /* something below stays, so this does */
	struct fsat_stat st;
};

static int
doomed_push(struct doomed **list, size_t *depth, int dir, const char *name,
    const struct fsat_stat *st, struct err *e)
{
	struct doomed *p, *d;
	int rc;

	if (*depth >= LIMIT_PATH_DEPTH)
		return err_set(e, ERR_LIMIT, "%s: too deep", name);
	p = reallocarray(*list, *depth + 1, sizeof(*p));
	if (p == NULL)
		return err_memory(e);
	*list = p;
	d = &p[*depth];
	memset(d, 0, sizeof(*d));
	d->st = *st;
	if ((rc = fsat_open_dir(dir, name, &d->fd, e)) != 0)
		return rc;
	if ((rc = fsat_list(d->fd, &d->names, e)) != 0) {
		close(d->fd);
		return rc;
	}
	++*depth;
	return 0;
}

static void
doomed_pop(struct doomed *list, size_t *depth)
{
	struct doomed *d = &list[--*depth];

	close(d->fd);
	fsat_names_release(&d->names);
}

/* Puts "/name" behind the len bytes of walk.path. */
static int
path_join(struct walk *w, size_t len, const char *name, struct err *e)
{
	size_t room = sizeof(w->path) - len;
	int n = snprintf(w->path + len, room, "%s%s", len > 0 ? "/" : "",
	    name);

	if (n < 0 || (size_t)n >= room)
		return err_set(e, ERR_LIMIT, "%.*s: path below it too long",
		    (int)len, w->path);
	return 0;
}

/* One name found below an exact directory: reports it, or goes down. */
static int
doom_name(struct walk *w, struct doomed **list, size_t *depth, struct err *e)
{
	struct doomed *d = &(*list)[*depth - 1];
	const char *name = d->names.names[d->next++];
	struct fsat_stat st;
	int rc;

	if ((rc = path_join(w, d->path_len, name, e)) != 0 ||
	    (rc = fsat_stat(d->fd, name, &st, e)) != 0)
		return rc;
	if (is_kept(w, w->path) ||
	    layer_is_excluded(w->o->want, w->path) ||
	    st.mount_id != d->st.mount_id) {
		d->kept = true;
		return 0;
	}
	if (!S_ISDIR(st.mode))
		return report(w, COMPARE_DELETE, 0, w->path, NULL, &st, e);
	if ((rc = doomed_push(list, depth, d->fd, name, &st, e)) != 0)
		return rc;
	(*list)[*depth - 1].path_len = strlen(w->path);
	return 0;
}

/* Reports everything below the directory at walk.path, children first, then
 * the directory unless something in it stays. */
static int
doom_tree(struct walk *w, int dir, const char *name,
    const struct fsat_stat *st, struct err *e)
{
	struct doomed *list = NULL;
	size_t depth = 0;
	int rc;

	rc = doomed_push(&list, &depth, dir, name, st, e);
	if (rc == 0)
		list[0].path_len = strlen(w->path);
	while (rc == 0 && depth > 0) {
		struct doomed *d = &list[depth - 1];

		if (d->next < d->names.count) {
			rc = doom_name(w, &list, &depth, e);
			continue;
		}
		w->path[d->path_len] = '\0';
		if (!d->kept)
			rc = report(w, COMPARE_DELETE, 0, w->path, NULL,
			    &d->st, e);
		else if (depth > 1)
			list[depth - 2].kept = true;
		doomed_pop(list, &depth);
	}
	while (depth > 0)
		doomed_pop(list, &depth);
	free(list);
	return rc;
}

/* A name in an exact directory that no transcript lists. */
static int
unlisted(struct walk *w, struct frame *f, const char *name, struct err *e)
{
	struct fsat_stat st;
	int rc;

	if ((rc = path_join(w, f->path_len, name, e)) != 0)
		return rc;
	if (is_kept(w, w->path) ||
	    layer_is_excluded(w->o->want, w->path))
		return 0;
	if ((rc = fsat_stat(f->fd, name, &st, e)) != 0)
		return rc;
	if (st.mount_id != f->mount_id)
		return 0;
	if (S_ISDIR(st.mode))
		return doom_tree(w, f->fd, name, &st, e);
	return report(w, COMPARE_DELETE, 0, w->path, NULL, &st, e);
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
		rc = unlisted(w, f, have, e);
	}
	return rc;
}

/* ---- frames ---- */

static void
frame_drop(struct walk *w)
{
	struct frame *f = &w->frames[--w->depth];

	if (f->fd >= 0)
		close(f->fd);
	fsat_names_release(&f->names);
}

static int
frame_pop(struct walk *w, struct err *e)
{
	struct frame *f = &w->frames[w->depth - 1];
	int rc = f->exact && f->fd >= 0 ? pass_names(w, f, NULL, e) : 0;

	w->path[f->path_len] = '\0';
	frame_drop(w);
	return rc;
}

/* Takes over fd (-1: the directory is not there). */
static int
frame_push(struct walk *w, const char *path, int fd,
    const struct layer_entry *entry, struct err *e)
{
	struct fsat_stat st = { .mount_id = 0 };
	struct frame *f;

	if (w->depth == w->room) {
		w->room = w->room == 0 ? 32 : 2 * w->room;
		f = reallocarray(w->frames, w->room, sizeof(*f));
		if (f == NULL) {
			if (fd >= 0)
				close(fd);
			return err_memory(e);
		}
		w->frames = f;
	}
	f = &w->frames[w->depth++];
	memset(f, 0, sizeof(*f));
	f->fd = fd;
	f->path_len = strlen(path);
	memcpy(w->path, path, f->path_len + 1);
	f->exact = entry != NULL && entry->exact;
	if (fd < 0)
		return 0;
	if (fsat_stat_fd(fd, &st, e) != 0)
		return e->code;
	f->mount_id = st.mount_id;
	return f->exact ? fsat_list(fd, &f->names, e) : 0;
}

static bool
is_parent(const struct walk *w, const struct frame *f, const char *path,
    const char *slash)
{
	size_t len = slash == NULL ? 0 : (size_t)(slash - path);

	return f->path_len == len && memcmp(w->path, path, len) == 0;
}

/* Makes the top frame the directory that holds `path`. */
static int
go_to_parent(struct walk *w, const char *path, struct err *e)
{
	const char *slash = strrchr(path, '/');
	int rc;

	while (w->depth > 1 &&
	    !is_parent(w, &w->frames[w->depth - 1], path, slash))
		if ((rc = frame_pop(w, e)) != 0)
			return rc;
	w->path[w->frames[w->depth - 1].path_len] = '\0';
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
content_bits(struct walk *w, int dir, const char *name,
    const struct manifest_entry *m, const struct fsat_stat *st, unsigned *bits,
    struct err *e)
{
	struct digest got;
	int fd = -1, rc;

	if (st->size_bytes != m->size_bytes) {
		*bits |= COMPARE_CONTENT;
		return 0;
	}
	if ((rc = fsat_open_file(dir, name, &fd, e)) != 0)
		return rc;
	rc = digest_of_fd(fd, UINT64_MAX, &got, NULL, e);
	close(fd);
	if (rc != 0)
		return err_prefix(e, "%s", m->path);
	w->totals.read_bytes += st->size_bytes;
	if (!digest_equal(&got, &m->digest))
		*bits |= COMPARE_CONTENT;
	return 0;
}

static int
target_bits(int dir, const char *name, const struct manifest_entry *m,
    unsigned *bits, struct err *e)
{
	char target[LIMIT_PATH_BYTES + 1];
	int rc;

	rc = fsat_readlink(dir, name, target, sizeof(target), e);
	if (rc == 0 && strcmp(target, m->target) != 0)
		*bits |= COMPARE_TARGET;
	return rc;
}

static int
xattr_bits(struct walk *w, int dir, const char *name,
    const struct manifest_entry *m, unsigned *bits, struct err *e)
{
	int rc;

	buf_clear(&w->xattrs);
	if ((rc = scan_xattrs(dir, name, &w->xattrs, e)) != 0)
		return rc;
	if (w->xattrs.len != m->xattrs.len ||
	    (m->xattrs.len > 0 &&
	    memcmp(w->xattrs.data, m->xattrs.text, m->xattrs.len) != 0))
		*bits |= COMPARE_XATTRS;
	return 0;
}

/* What the stat cache does not answer. */
static int
look_closer(struct walk *w, int dir, const char *name,
    const struct manifest_entry *m, const struct fsat_stat *st,
    unsigned *bits, struct err *e)
{
	const struct statcache_record *known = NULL;
	int rc = 0;

	if (w->o->cache != NULL &&
	    (rc = statcache_reader_find(w->o->cache, m->path, st, &known, e)) != 0)
		return rc;
	if (known != NULL) {
		if (m->type == MANIFEST_FILE &&
		    !digest_equal(&known->digest, &m->digest))
			*bits |= COMPARE_CONTENT;
		if (known->xattrs.len != m->xattrs.len ||
		    (m->xattrs.len > 0 && memcmp(known->xattrs.text,
		    m->xattrs.text, m->xattrs.len) != 0))
			*bits |= COMPARE_XATTRS;
	} else {
		if (m->type == MANIFEST_FILE)
			rc = content_bits(w, dir, name, m, st, bits, e);
		if (rc == 0)
			rc = xattr_bits(w, dir, name, m, bits, e);
	}
	if (rc == 0 && m->type == MANIFEST_SYMLINK)
		rc = target_bits(dir, name, m, bits, e);
	return rc;
}

static int
owner_bits(struct walk *w, const struct manifest_entry *m,
    const struct fsat_stat *st, unsigned *bits, struct err *e)
{
	uint32_t uid, gid;
	int rc;

	if (w->o->ignore_owner)
		return 0;
	if ((rc = find_id(&w->users, m->owner, false, &uid, e)) != 0 ||
	    (rc = find_id(&w->groups, m->group, true, &gid, e)) != 0)
		return err_prefix(e, "%s", m->path);
	if (st->uid != uid)
		*bits |= COMPARE_OWNER;
	if (st->gid != gid)
		*bits |= COMPARE_GROUP;
	return 0;
}

static int
same_type_bits(struct walk *w, int dir, const char *name,
    const struct layer_entry *entry, const struct fsat_stat *st,
    unsigned *bits, struct err *e)
{
	const struct manifest_entry *m = &entry->m;
	int rc;

	if ((rc = owner_bits(w, m, st, bits, e)) != 0)
		return rc;
	if (m->type != MANIFEST_SYMLINK && (st->mode & 07777) != m->mode)
		*bits |= COMPARE_MODE;
	/* A directory that others write to as well has no time of ours. */
	if ((m->type != MANIFEST_DIR || entry->exact) &&
	    (st->mtime.tv_sec != m->mtime.tv_sec ||
	    st->mtime.tv_nsec != m->mtime.tv_nsec))
		*bits |= COMPARE_MTIME;
	if ((m->type == MANIFEST_BLOCK || m->type == MANIFEST_CHAR) &&
	    st->rdev != makedev(m->major, m->minor))
		*bits |= COMPARE_DEVICE;
	return look_closer(w, dir, name, m, st, bits, e);
}

static int
hardlink_bits(struct walk *w, const struct manifest_entry *m,
    const struct fsat_stat *st, unsigned *bits, struct err *e)
{
	struct fsat_stat first;
	struct err mine = ERR_INIT;
	int rc;

	if (is_renewed(w, m->target)) {
		*bits |= COMPARE_LINK;
		return 0;
	}
	rc = fsat_stat(w->o->root, m->target, &first, &mine);
	if (rc != 0)
		return err_set(e, ERR_FORMAT, "%s: hard link to %s: %s",
		    m->path, m->target, mine.msg);
	if (first.dev != st->dev || first.ino != st->ino)
		*bits |= COMPARE_LINK;
	return 0;
}

static int
differing_type(struct walk *w, const struct layer_entry *entry,
    const struct fsat_stat *st, struct err *e)
{
	const struct frame *f = &w->frames[w->depth - 1];

	if (entry->implied)
		return err_set(e, ERR_UNSUPPORTED,
		    "%s: on the way to a target, but not a directory%s",
		    entry->m.path, S_ISLNK(st->mode) ?
		    " (a symlink: name the directory it leads to as target)" :
		    "");
	if (st->mount_id != f->mount_id)
		return err_set(e, ERR_UNSUPPORTED,
		    "%s: a mount point, which cannot be replaced",
		    entry->m.path);
	return report(w, COMPARE_CHANGE, COMPARE_TYPE, entry->m.path, entry,
	    st, e);
}

/* Compares what is there; *go_down: it is the directory that is wanted. */
static int
compare_there(struct walk *w, int dir, const char *name,
    const struct layer_entry *entry, const struct fsat_stat *st,
    struct err *e)
{
	const struct manifest_entry *m = &entry->m;
	unsigned bits = 0;
	int rc = 0;

	if (entry->implied)
		return 0;
	if (m->type == MANIFEST_HARDLINK)
		rc = hardlink_bits(w, m, st, &bits, e);
	else
		rc = same_type_bits(w, dir, name, entry, st, &bits, e);
	if (rc != 0)
		return rc;
	if (bits == 0) {
		w->totals.same++;
		return 0;
	}
	if ((bits & COMPARE_RENEW) != 0 &&
	    (rc = note_renewed(w, entry, e)) != 0)
		return rc;
	return report(w, COMPARE_CHANGE, bits, m->path, entry, st, e);
}

static int
compare_missing(struct walk *w, const struct layer_entry *entry,
    struct err *e)
{
	int rc;

	if ((rc = note_renewed(w, entry, e)) != 0)
		return rc;
	return report(w, COMPARE_CREATE, 0, entry->m.path, entry, NULL, e);
}

/* Compares one entry; *fd is its directory, open, where the entry is one and
 * there is one; -1 otherwise. */
static int
compare_entry(struct walk *w, const struct layer_entry *entry, int *fd,
    struct err *e)
{
	struct frame *f = &w->frames[w->depth - 1];
	const char *path = entry->m.path;
	const char *slash = strrchr(path, '/');
	const char *name = slash == NULL ? path : slash + 1;
	struct err mine = ERR_INIT;
	struct fsat_stat st;
	int rc;

	*fd = -1;
	w->totals.entries++;
	if (f->fd < 0)
		return compare_missing(w, entry, e);
	if (f->exact && (rc = pass_names(w, f, name, e)) != 0)
		return rc;
	rc = fsat_stat(f->fd, name, &st, &mine);
	if (rc == ERR_NOT_FOUND)
		return compare_missing(w, entry, e);
	if (rc != 0) {
		*e = mine;
		return err_prefix(e, "%s", path);
	}
	if (!same_type(&entry->m, st.mode)) {
		if ((rc = note_renewed(w, entry, e)) != 0)
			return rc;
		return differing_type(w, entry, &st, e);
	}
	if ((rc = compare_there(w, f->fd, name, entry, &st, e)) != 0)
		return rc;
	return entry->m.type != MANIFEST_DIR ? 0 :
	    fsat_open_dir(f->fd, name, fd, e);
}

/* The root of the file system as an entry: a target of "/". */
static int
compare_root(struct walk *w, const struct layer_entry *entry, struct err *e)
{
	struct frame *f = &w->frames[0];
	struct fsat_stat st;
	int rc;

	if ((rc = fsat_stat(f->fd, ".", &st, e)) != 0)
		return rc;
	f->exact = entry->exact;
	if (f->exact && (rc = fsat_list(f->fd, &f->names, e)) != 0)
		return rc;
	return compare_there(w, f->fd, ".", entry, &st, e);
}

static int
compare_wanted(struct walk *w, struct err *e)
{
	const struct layer_entry *entry;
	int fd, rc;

	for (;;) {
		if ((rc = layer_next(w->o->want, &entry, e)) != 0)
			return rc;
		if (entry == NULL)
			break;
		if (strcmp(entry->m.path, ".") == 0) {
			if ((rc = compare_root(w, entry, e)) != 0)
				return rc;
			continue;
		}
		if ((rc = go_to_parent(w, entry->m.path, e)) != 0 ||
		    (rc = compare_entry(w, entry, &fd, e)) != 0)
			return rc;
		if (entry->m.type == MANIFEST_DIR &&
		    (rc = frame_push(w, entry->m.path, fd, entry, e)) != 0)
			return rc;
	}
	while (w->depth > 0)
		if ((rc = frame_pop(w, e)) != 0)
			return rc;
	return 0;
}

int
compare_run(const struct compare_options *options, compare_fn fn, void *arg,
    struct compare_totals *totals, struct err *e)
{
	struct walk w = { .o = options, .fn = fn, .arg = arg };
	int fd = -1, rc;

	buf_init(&w.xattrs, LIMIT_XATTRS * (size_t)LIMIT_XATTR_BYTES * 2);
	rc = fsat_open_dir(options->root, ".", &fd, e);
	if (rc == 0)
		rc = frame_push(&w, "", fd, NULL, e);
	if (rc == 0)
		rc = compare_wanted(&w, e);
	while (w.depth > 0)
		frame_drop(&w);
	for (size_t i = 0; i < w.renewed_count; i++)
		free(w.renewed[i]);
	free(w.renewed);
	free(w.frames);
	ids_release(&w.users);
	ids_release(&w.groups);
	buf_release(&w.xattrs);
	if (rc == 0)
		*totals = w.totals;
	return rc;
}
