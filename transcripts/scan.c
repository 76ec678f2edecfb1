/* Walks a tree for the publisher, in the order of manifests: the names of a
 * directory sorted, each directory's content behind it.  The stack of
 * directories is an array; only the deepest are held open. */
#include "transcripts/scan.h"

#include <errno.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/text.h"
#include "transcripts/owners.h"
#include "transcripts/scan_window.h"

#define HELD_LEVELS 64
/* Of a path in a message, so that there is room for the reason. */
#define SHOWN "%.500s"

/* A directory that is being walked. */
struct level {
	struct fsat_names names;
	size_t next; /* of names */
	size_t path_len;
	int fd; /* -1 when it is too far up to be held */
	uint64_t dev, ino;
};

/* A regular file with several names, of which this is the first. */
struct first_name {
	struct table_node node;
	uint64_t dev, ino;
	struct timespec ctime;
	char path[];
};

_Static_assert(MANIFEST_APPEND == FSAT_FLAG_APPEND &&
        MANIFEST_IMMUTABLE == FSAT_FLAG_IMMUTABLE,
    "flags of stat are those of manifests");

struct scan {
	const struct scan_options *o;
	struct scan_totals totals;
	struct window *window;
	struct owners owners;
	struct table first_names;
	struct statcache_reader *was; /* NULL once it is damaged */
	uint64_t mount_id;            /* of the tree's top */

	struct level *levels;
	size_t depth, room;
	char path[LIMIT_PATH_BYTES + 1]; /* of what is being looked at */
	size_t path_len;
	struct buf xattrs;
	char target[LIMIT_PATH_BYTES + 1];
};

/* One name, while it is looked at. */
struct object {
	int dir;
	const char *name;
	struct fsat_stat st;
	struct manifest_entry m;
	int fd; /* of a file whose content is wanted, else -1 */
};

/* Names the path; what was there a moment ago and is not now has changed. */
static int
failed(const struct scan *s, int rc, struct err *e)
{
	bool is_other = rc == ERR_SYS && e != NULL &&
	    (e->sys == ENOTDIR || e->sys == ELOOP || e->sys == ESTALE);

	if (rc == ERR_NOT_FOUND || is_other)
		return err_set(e, ERR_CHANGED,
		    SHOWN ": vanished or was replaced during the scan",
		    s->path);
	err_prefix(e, SHOWN, s->path);
	return rc;
}

static void
skip(struct scan *s, const char *why)
{
	s->totals.skipped++;
	if (s->o->skipped != NULL)
		s->o->skipped(s->o->arg, s->path, why);
}

/* Every ancestor was held against the patterns before, so that one without a
 * slash need only be held against the last component. */
static bool
is_excluded(const struct scan *s, const char *name)
{
	size_t i;

	for (i = 0; i < s->o->exclude_count; i++) {
		const char *pattern = s->o->excludes[i];
		bool is_anchored = strchr(pattern, '/') != NULL;

		if (text_path_match(pattern, is_anchored ? s->path : name))
			return true;
	}
	return false;
}

static int
set_owners(struct scan *s, struct manifest_entry *m, const struct fsat_stat *st,
    struct err *e)
{
	int rc = owners_user(&s->owners, st->uid, &m->owner, e);

	return rc != 0 ? rc : owners_group(&s->owners, st->gid, &m->group, e);
}

static int
remember(const struct scan *s, const struct manifest_entry *m,
    const struct fsat_stat *st, struct err *e)
{
	struct statcache_record record;

	if (s->o->now == NULL)
		return 0;
	statcache_record_init(&record, m->path, st);
	record.digest = m->digest;
	record.xattrs = m->xattrs;
	return statcache_writer_add(s->o->now, &record, e);
}

unsigned
scan_flags(const struct fsat_stat *st)
{
	unsigned flags = st->flags;

	/* The last block may be longer than the file. */
	if (S_ISREG(st->mode) &&
	    st->stored_bytes + MANIFEST_HOLE_BYTES <= st->size_bytes)
		flags |= MANIFEST_SPARSE;
	return flags;
}

/* Where entries come out of the window, in order. */
static int
emit(void *arg, struct manifest_entry *m, const struct fsat_stat *st,
    struct err *e)
{
	struct scan *s = arg;
	int rc;

	s->totals.entries++;
	if (m->type == MANIFEST_HARDLINK)
		return s->o->entry(s->o->arg, m, e);
	m->mode = st->mode & MANIFEST_MODE_MAX;
	m->mtime = st->mtime;
	m->flags = scan_flags(st);
	if (m->type == MANIFEST_FILE) {
		m->size_bytes = st->size_bytes;
		s->totals.files++;
		s->totals.content_bytes += st->size_bytes;
	}
	rc = set_owners(s, m, st, e);
	if (rc == 0)
		rc = remember(s, m, st, e);
	return rc != 0 ? rc : s->o->entry(s->o->arg, m, e);
}

/* What the stat cache knows of the object; xattrs and digest are then set. */
static bool
is_known(struct scan *s, struct object *x)
{
	const struct statcache_record *record;

	if (s->was == NULL)
		return false;
	if (statcache_reader_find(s->was, s->path, &x->st, &record, NULL) !=
	    0) {
		s->was = NULL;
		return false;
	}
	if (record == NULL ||
	    (S_ISREG(x->st.mode) && digest_is_zero(&record->digest)))
		return false;
	x->m.digest = record->digest;
	x->m.xattrs = record->xattrs;
	return true;
}

static int
read_xattrs(struct scan *s, struct object *x, struct err *e)
{
	int rc;

	buf_clear(&s->xattrs);
	if (x->fd >= 0)
		rc = scan_xattrs(x->fd, "", &s->xattrs, e);
	else
		rc = scan_xattrs(x->dir, x->name, &s->xattrs, e);
	if (rc != 0)
		return failed(s, rc, e);
	x->m.xattrs.text = buf_str(&s->xattrs);
	x->m.xattrs.len = s->xattrs.len;
	return 0;
}

static const struct first_name *
first_name_of(const struct scan *s, const struct fsat_stat *st, uint64_t hash)
{
	const struct table_node *node = table_find(&s->first_names, hash);

	for (; node != NULL; node = table_find_next(node)) {
		const struct first_name *f = (const struct first_name *)node;

		if (f->dev == st->dev && f->ino == st->ino)
			return f;
	}
	return NULL;
}

static int
add_first_name(
    struct scan *s, const struct fsat_stat *st, uint64_t hash, struct err *e)
{
	struct first_name *f = malloc(sizeof(*f) + s->path_len + 1);
	int rc;

	if (f == NULL)
		return err_memory(e);
	f->dev = st->dev;
	f->ino = st->ino;
	f->ctime = st->ctime;
	memcpy(f->path, s->path, s->path_len + 1);
	rc = table_add(&s->first_names, &f->node, hash, e);
	if (rc != 0)
		free(f);
	return rc;
}

/* Makes the object a hard link when its file has been seen by another name. */
static int
find_first_name(struct scan *s, struct object *x, struct err *e)
{
	const uint64_t key[2] = { x->st.dev, x->st.ino };
	uint64_t hash;
	const struct first_name *first;

	if (x->st.nlink < 2)
		return 0;
	hash = table_hash(key, sizeof(key));
	first = first_name_of(s, &x->st, hash);
	if (first == NULL)
		return add_first_name(s, &x->st, hash, e);
	/* The inode may have become another file's since. */
	if (first->ctime.tv_sec != x->st.ctime.tv_sec ||
	    first->ctime.tv_nsec != x->st.ctime.tv_nsec)
		return err_set(e, ERR_CHANGED,
		    SHOWN ": changed during the scan, as did %.400s", s->path,
		    first->path);
	x->m.type = MANIFEST_HARDLINK;
	x->m.target = first->path;
	return 0;
}

/* Opens a file for reading; from here on it is what the descriptor says. */
static int
open_content(struct scan *s, struct object *x, struct err *e)
{
	uint64_t dev = x->st.dev, ino = x->st.ino;
	int rc = fsat_open_stat(x->dir, x->name, &x->fd, &x->st, e);

	if (rc == ERR_UNSUPPORTED)
		rc = ERR_NOT_FOUND; /* no regular file any more */
	if (rc == 0 && (x->st.dev != dev || x->st.ino != ino))
		rc = ERR_NOT_FOUND;
	if (rc != 0) {
		if (x->fd >= 0)
			close(x->fd);
		x->fd = -1;
		return failed(s, rc, e);
	}
	return 0;
}

static int
want_content(struct scan *s, struct object *x, struct err *e)
{
	const struct digest *guess;
	struct scan_job *job;
	int rc = window_add_job(s->window, &x->m, &x->st, x->fd, &job, e);

	x->fd = -1;
	if (rc != 0)
		return rc;
	guess = s->was == NULL ? NULL : statcache_reader_guess(s->was, &x->st);
	if (guess != NULL)
		job->likely = *guess;
	s->totals.wanted++;
	s->totals.wanted_bytes += x->st.size_bytes;
	if (s->o->want == NULL) {
		scan_job_hash(job);
		return 0;
	}
	rc = s->o->want(s->o->arg, job, e);
	if (rc != 0)
		scan_job_done(job, NULL, rc, e);
	return rc;
}

static int
scan_file(struct scan *s, struct object *x, struct err *e)
{
	int rc;

	x->m.type = MANIFEST_FILE;
	rc = find_first_name(s, x, e);
	if (rc != 0)
		return rc;
	if (x->m.type == MANIFEST_HARDLINK || is_known(s, x))
		return window_add(s->window, &x->m, &x->st, e);
	rc = open_content(s, x, e);
	if (rc != 0)
		return rc;
	rc = read_xattrs(s, x, e);
	if (rc == 0)
		return want_content(s, x, e);
	close(x->fd);
	return rc;
}

static int
scan_symlink(struct scan *s, struct object *x, struct err *e)
{
	int rc =
	    fsat_readlink(x->dir, x->name, s->target, sizeof(s->target), e);

	if (rc != 0)
		return failed(s, rc, e);
	x->m.type = MANIFEST_SYMLINK;
	x->m.target = s->target;
	return 0;
}

static int
scan_device(struct scan *s, struct object *x, struct err *e)
{
	if (!s->o->devices)
		return err_set(e, ERR_UNSUPPORTED,
		    SHOWN ": is a device, and devices are not asked for",
		    s->path);
	x->m.type = S_ISBLK(x->st.mode) ? MANIFEST_BLOCK : MANIFEST_CHAR;
	x->m.major = major(x->st.rdev);
	x->m.minor = minor(x->st.rdev);
	return 0;
}

static int
grow_levels(struct scan *s, struct err *e)
{
	size_t room = s->room == 0 ? 32 : s->room * 2;
	struct level *levels;

	if (s->depth < s->room)
		return 0;
	levels = realloc(s->levels, room * sizeof(*levels));
	if (levels == NULL)
		return err_memory(e);
	s->levels = levels;
	s->room = room;
	return 0;
}

/* Opens the directory of a level, which must be the one that was looked at. */
static int
open_level(
    struct scan *s, struct level *l, int dir, const char *name, struct err *e)
{
	struct fsat_stat st;
	int rc = fsat_open_dir(dir, name, &l->fd, e);

	if (rc != 0)
		return failed(s, rc, e);
	rc = fsat_stat_fd(l->fd, &st, e);
	if (rc != 0)
		return failed(s, rc, e);
	if (st.dev != l->dev || st.ino != l->ino)
		return failed(s, ERR_NOT_FOUND, e);
	return 0;
}

static void
close_level(struct level *l)
{
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
}

/* Steps down into the directory. */
static int
enter(struct scan *s, const struct object *x, struct err *e)
{
	struct level l = { .path_len = s->path_len,
		.fd = -1,
		.dev = x->st.dev,
		.ino = x->st.ino };
	int rc = grow_levels(s, e);

	if (rc == 0)
		rc = open_level(s, &l, x->dir, x->name, e);
	if (rc == 0 && (rc = fsat_list(l.fd, &l.names, e)) != 0)
		rc = failed(s, rc, e);
	if (rc != 0) {
		close_level(&l);
		return rc;
	}
	if (s->depth >= HELD_LEVELS)
		close_level(&s->levels[s->depth - HELD_LEVELS]);
	s->levels[s->depth++] = l;
	return 0;
}

static void
leave(struct scan *s)
{
	struct level *l = &s->levels[--s->depth];

	close_level(l);
	fsat_names_release(&l->names);
}

static int
scan_other(struct scan *s, struct object *x, struct err *e)
{
	int rc;

	switch (x->st.mode & S_IFMT) {
	case S_IFDIR:
		x->m.type = MANIFEST_DIR;
		rc = 0;
		break;
	case S_IFLNK:
		rc = scan_symlink(s, x, e);
		break;
	case S_IFIFO:
		x->m.type = MANIFEST_FIFO;
		rc = 0;
		break;
	case S_IFBLK:
	case S_IFCHR:
		rc = scan_device(s, x, e);
		break;
	default:
		rc = err_set(e, ERR_UNSUPPORTED, SHOWN ": unknown type of file",
		    s->path);
		break;
	}
	if (rc == 0 && !is_known(s, x))
		rc = read_xattrs(s, x, e);
	return rc != 0 ? rc : window_add(s->window, &x->m, &x->st, e);
}

/* What stands at s->path, and if it is a directory, down into it. */
static int
scan_object(struct scan *s, int dir, const char *name, struct err *e)
{
	struct object x = { .dir = dir, .name = name, .fd = -1 };
	int rc = fsat_stat(dir, name, &x.st, e);

	if (rc != 0)
		return failed(s, rc, e);
	x.m.path = s->path;
	if (S_ISREG(x.st.mode))
		return scan_file(s, &x, e);
	if (S_ISSOCK(x.st.mode)) {
		skip(s, "socket");
		return 0;
	}
	rc = scan_other(s, &x, e);
	if (rc != 0 || !S_ISDIR(x.st.mode))
		return rc;
	if (s->depth == 0)
		s->mount_id = x.st.mount_id;
	if (s->o->one_file_system && x.st.mount_id != s->mount_id) {
		skip(s, "mount point");
		return 0;
	}
	return enter(s, &x, e);
}

/* The path of a name in the level on top.  The top's own path "." leads no
 * other. */
static int
set_path(struct scan *s, const struct level *l, const char *name, struct err *e)
{
	size_t at = s->depth == 1 ? 0 : l->path_len, len = strlen(name);
	size_t slash = at > 0;

	s->path[at] = '\0';
	if (slash + len > LIMIT_PATH_BYTES - at)
		return err_set(e, ERR_LIMIT,
		    SHOWN "/%s: path is longer than %d bytes", s->path, name,
		    LIMIT_PATH_BYTES);
	if (slash)
		s->path[at++] = '/';
	memcpy(s->path + at, name, len + 1);
	s->path_len = at + len;
	return 0;
}

static int
reopen(struct scan *s, struct level *l, struct err *e)
{
	s->path[l->path_len] = '\0';
	if (s->depth == 1)
		s->path[0] = '.';
	return open_level(s, l, s->o->dir, s->path, e);
}

/* The next name of the directory on top, or one level up. */
static int
step(struct scan *s, struct err *e)
{
	struct level *l = &s->levels[s->depth - 1];
	const char *name;
	int rc = 0;

	if (l->next == l->names.count) {
		leave(s);
		return 0;
	}
	if (l->fd < 0)
		rc = reopen(s, l, e);
	name = l->names.names[l->next++];
	if (rc == 0)
		rc = set_path(s, l, name, e);
	if (rc != 0 || is_excluded(s, name))
		return rc;
	return scan_object(s, l->fd, name, e);
}

static int
walk(struct scan *s, struct err *e)
{
	int rc;

	memcpy(s->path, ".", 2);
	s->path_len = 1;
	rc = scan_object(s, s->o->dir, ".", e);
	while (rc == 0 && s->depth > 0)
		rc = step(s, e);
	return rc != 0 ? rc : window_finish(s->window, e);
}

static void
release(struct scan *s)
{
	struct table_node *node;

	while (s->depth > 0)
		leave(s);
	free(s->levels);
	while ((node = table_pop(&s->first_names)) != NULL)
		free(node);
	table_release(&s->first_names);
	owners_release(&s->owners);
	buf_release(&s->xattrs);
	window_free(s->window);
	free(s);
}

int
scan_run(const struct scan_options *options, struct scan_totals *totals,
    struct err *e)
{
	struct scan *s = calloc(1, sizeof(*s));
	int rc;

	if (s == NULL)
		return err_memory(e);
	s->o = options;
	s->was = options->was;
	s->owners.numeric = options->numeric_owner;
	buf_init(&s->xattrs, LIMIT_XATTR_TEXT);
	rc = window_new(emit, s, &s->window, e);
	if (rc == 0) {
		rc = walk(s, e);
		window_wait(s->window);
	}
	if (rc == 0)
		*totals = s->totals;
	release(s);
	return rc;
}
