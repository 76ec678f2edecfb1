/* Directories in memory, for the crash prover. */
#include "tests/prove_disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "common/crypto_digest.h"
#include "common/fsat.h"
#include "common/limits.h"
#include "tests/must.h"

#define MUST(call) \
 ((call) >= 0 ? (void)0 : ck_abort_msg("%s: %s", #call, strerror(errno)))
#define BYTES_MAX ((size_t)64 << 20)

void
disk_init(struct disk *d)
{
	memset(d, 0, sizeof(*d));
}

void
disk_release(struct disk *d)
{
	for (size_t i = 0; i < d->file_count; i++) {
		buf_release(&d->files[i].data);
		buf_release(&d->files[i].xattrs);
	}
	for (size_t i = 0; i < d->name_count; i++)
		free(d->names[i].name);
	free(d->files);
	free(d->names);
	disk_init(d);
}

void
disk_copy(struct disk *to, const struct disk *from)
{
	disk_init(to);
	to->top = from->top;
	for (size_t i = 0; i < from->file_count; i++) {
		const struct disk_file *f = &from->files[i];
		struct disk_file *copy = disk_add_file(to, f->id);
		struct buf data = copy->data, xattrs = copy->xattrs;

		*copy = *f;
		copy->data = data;
		copy->xattrs = xattrs;
		buf_add(&copy->data, f->data.data, f->data.len);
		buf_add(&copy->xattrs, f->xattrs.data, f->xattrs.len);
	}
	for (size_t i = 0; i < from->name_count; i++)
		disk_add_name(to, from->names[i].dir, from->names[i].name,
		    from->names[i].file);
}

struct disk_file *
disk_find(const struct disk *d, uint64_t id)
{
	for (size_t i = d->file_count; i-- > 0;)
		if (d->files[i].id == id)
			return &d->files[i];
	return NULL;
}

struct disk_name *
disk_name(const struct disk *d, uint64_t dir, const char *name)
{
	for (size_t i = 0; i < d->name_count; i++)
		if (d->names[i].dir == dir &&
		    strcmp(d->names[i].name, name) == 0)
			return &d->names[i];
	return NULL;
}

struct disk_file *
disk_at(const struct disk *d, const char *path)
{
	char *copy = strdup(path), *save = NULL;
	uint64_t at = d->top;
	bool found = true;

	must(copy != NULL);
	for (char *part = strtok_r(copy, "/", &save); part != NULL && found;
	     part = strtok_r(NULL, "/", &save)) {
		const struct disk_name *n = disk_name(d, at, part);

		found = n != NULL;
		at = found ? n->file : 0;
	}
	free(copy);
	return found ? disk_find(d, at) : NULL;
}

struct disk_file *
disk_add_file(struct disk *d, uint64_t id)
{
	struct disk_file *f;

	if (d->file_count == d->file_room) {
		d->file_room = d->file_room == 0 ? 64 : 2 * d->file_room;
		d->files =
		    reallocarray(d->files, d->file_room, sizeof(*d->files));
		must(d->files != NULL);
	}
	f = &d->files[d->file_count++];
	memset(f, 0, sizeof(*f));
	f->id = id;
	buf_init(&f->data, BYTES_MAX);
	buf_init(&f->xattrs, BYTES_MAX);
	return f;
}

void
disk_add_name(struct disk *d, uint64_t dir, const char *name, uint64_t file)
{
	if (d->name_count == d->name_room) {
		d->name_room = d->name_room == 0 ? 64 : 2 * d->name_room;
		d->names =
		    reallocarray(d->names, d->name_room, sizeof(*d->names));
		must(d->names != NULL);
	}
	d->names[d->name_count++] = (struct disk_name){
		.dir = dir, .file = file, .name = strdup(name)
	};
}

void
disk_remove_name(struct disk *d, struct disk_name *n)
{
	free(n->name);
	*n = d->names[--d->name_count];
}

/* ---- attributes ---- */

struct xattr {
	const char *name;
	const uint8_t *value;
	uint32_t len;
};

static bool
next_xattr(struct reader *r, struct xattr *x)
{
	const uint8_t *end;

	if (reader_left(r) == 0)
		return false;
	x->name = (const char *)r->data + r->pos;
	end = (const uint8_t *)strchr(x->name, '\0');
	must(reader_bytes(
	         r, (size_t)(end - (const uint8_t *)x->name) + 1, &end) == 0);
	must(reader_u32(r, &x->len) == 0);
	must(reader_bytes(r, x->len, &x->value) == 0);
	return true;
}

static void
put_xattr(struct buf *b, const char *name, const void *value, size_t len)
{
	buf_add(b, name, strlen(name) + 1);
	buf_add_u32(b, (uint32_t)len);
	buf_add(b, value, len);
}

void
disk_set_xattr(
    struct disk_file *f, const char *name, const void *value, size_t len)
{
	struct buf old = f->xattrs;
	bool put = value == NULL;
	struct reader r;
	struct xattr x;

	reader_init(&r, old.data, old.len);
	buf_init(&f->xattrs, BYTES_MAX);
	while (next_xattr(&r, &x)) {
		int order = strcmp(x.name, name);

		if (order >= 0 && !put) {
			put_xattr(&f->xattrs, name, value, len);
			put = true;
		}
		if (order != 0)
			put_xattr(&f->xattrs, x.name, x.value, x.len);
	}
	if (!put)
		put_xattr(&f->xattrs, name, value, len);
	buf_release(&old);
}

/* ---- walking ---- */

/* One path of a file below the top. */
static void
path_of(const struct disk *d, uint64_t id, char path[LIMIT_PATH_BYTES + 1])
{
	char *end = path + LIMIT_PATH_BYTES, *at = end;

	*end = '\0';
	while (id != d->top) {
		const struct disk_name *n = d->names;
		size_t len;

		while (n < d->names + d->name_count && n->file != id)
			n++;
		must(n < d->names + d->name_count);
		len = strlen(n->name);
		must(at - path > (ptrdiff_t)len + 1);
		if (at < end)
			*--at = '/';
		at = memcpy(at - len, n->name, len);
		id = n->dir;
	}
	if (at == end)
		*--at = '.';
	memmove(path, at, (size_t)(end - at) + 1);
}

static int
open_number(const struct disk *d, int top, uint64_t id)
{
	char path[LIMIT_PATH_BYTES + 1];
	int fd;

	path_of(d, id, path);
	fd = openat(top, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	MUST(fd);
	return fd;
}

/* What can be reached from the top, each file once, a directory before what it
 * holds: where they are in d->files.  The caller frees it. */
static size_t *
reachable(const struct disk *d, size_t *count)
{
	size_t *order = calloc(d->file_count + 1, sizeof(*order));
	bool *seen = calloc(d->file_count + 1, sizeof(*seen));

	must(order != NULL && seen != NULL);
	order[0] = (size_t)(disk_find(d, d->top) - d->files);
	*count = 1;
	for (size_t i = 0; i < *count; i++) {
		for (size_t j = 0; j < d->name_count; j++) {
			size_t at;

			if (d->names[j].dir != d->files[order[i]].id)
				continue;
			at =
			    (size_t)(disk_find(d, d->names[j].file) - d->files);
			if (!seen[at])
				order[(*count)++] = at;
			seen[at] = true;
		}
	}
	free(seen);
	return order;
}

/* ---- reading ---- */

struct reading {
	struct disk *d;
	uint64_t (*number)(uint64_t inode);
};

static void
read_xattrs(struct disk_file *f, int dir, const char *name)
{
	struct buf names, value;
	struct err e = ERR_INIT;

	buf_init(&names, LIMIT_XATTR_BYTES);
	buf_init(&value, LIMIT_XATTR_BYTES);
	must_do(fsat_xattr_list(dir, name, &names, &e));
	for (size_t at = 0; at < names.len;
	     at += strlen((char *)names.data + at) + 1) {
		const char *x = (const char *)names.data + at;

		buf_clear(&value);
		must_do(fsat_xattr_get(dir, name, x, &value, &e));
		disk_set_xattr(f, x, buf_str(&value), value.len);
	}
	buf_release(&names);
	buf_release(&value);
}

static void
read_content(struct disk_file *f, int dir, const char *name)
{
	char target[LIMIT_PATH_BYTES + 1];
	struct err e = ERR_INIT;

	if (S_ISREG(f->mode)) {
		must_do(fsat_read_file(dir, name, BYTES_MAX, &f->data, &e));
	} else if (S_ISLNK(f->mode)) {
		must_do(fsat_readlink(dir, name, target, sizeof(target), &e));
		buf_add_str(&f->data, target);
	}
}

static uint32_t
read_flags(int dir, const char *name)
{
	uint32_t flags = 0;
	struct statx x;

	MUST(statx(dir, name, AT_SYMLINK_NOFOLLOW, 0, &x));
	if ((x.stx_attributes & STATX_ATTR_APPEND) != 0)
		flags |= FS_APPEND_FL;
	if ((x.stx_attributes & STATX_ATTR_IMMUTABLE) != 0)
		flags |= FS_IMMUTABLE_FL;
	return flags;
}

static uint64_t
read_one(const struct reading *r, int dir, const char *name)
{
	struct disk_file *f;
	struct stat st;
	uint64_t id;

	MUST(fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW));
	id = r->number != NULL ? r->number(st.st_ino) : st.st_ino;
	if (disk_find(r->d, id) != NULL)
		return id;
	f = disk_add_file(r->d, id);
	f->mode = st.st_mode;
	f->uid = st.st_uid;
	f->gid = st.st_gid;
	f->rdev = st.st_rdev;
	f->mtime = st.st_mtim;
	f->flags = read_flags(dir, name);
	read_content(f, dir, name);
	read_xattrs(f, dir, name);
	return id;
}

static void
read_dir(const struct reading *r, int dir, uint64_t id)
{
	struct fsat_names names;
	struct err e = ERR_INIT;

	must_do(fsat_list(dir, &names, &e));
	for (size_t i = 0; i < names.count; i++)
		disk_add_name(
		    r->d, id, names.names[i], read_one(r, dir, names.names[i]));
	fsat_names_release(&names);
}

void
disk_read(struct disk *d, int dir, uint64_t (*number)(uint64_t inode))
{
	struct reading r = { d, number };

	disk_init(d);
	d->top = read_one(&r, dir, ".");
	/* What a directory holds comes behind it. */
	for (size_t i = 0; i < d->file_count; i++) {
		int fd;

		if (!S_ISDIR(d->files[i].mode))
			continue;
		fd = open_number(d, dir, d->files[i].id);
		read_dir(&r, fd, d->files[i].id);
		close(fd);
	}
}

/* ---- writing ---- */

struct writing {
	const struct disk *d;
	int top;
	void (*made)(uint64_t id, uint64_t inode);
	size_t *first; /* 1 + the name by which each file was made, or 0 */
};

static void
write_xattrs(const struct disk_file *f, int dir, const char *name)
{
	struct err e = ERR_INIT;
	struct reader r;
	struct xattr x;

	reader_init(&r, f->xattrs.data, f->xattrs.len);
	while (next_xattr(&r, &x))
		must_do(fsat_xattr_set(dir, name, x.name, x.value, x.len, &e));
}

static const struct disk_name *
first_name(const struct writing *w, const struct disk_file *f)
{
	size_t first = w->first[f - w->d->files];

	return first > 0 ? &w->d->names[first - 1] : NULL;
}

static void
write_flags(int dir, const char *name, uint32_t flags)
{
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	int all = 0;

	MUST(fd);
	MUST(ioctl(fd, FS_IOC_GETFLAGS, &all));
	all = (all & ~(int)DISK_FLAGS) | (int)flags;
	MUST(ioctl(fd, FS_IOC_SETFLAGS, &all));
	close(fd);
}

static void
write_meta(const struct writing *w, const struct disk_file *f)
{
	const struct timespec times[2] = { { 0, UTIME_OMIT }, f->mtime };
	const struct disk_name *n = first_name(w, f);
	const char *name = n != NULL ? n->name : ".";
	int dir = open_number(w->d, w->top, n != NULL ? n->dir : f->id);
	struct stat st;

	MUST(fchownat(dir, name, f->uid, f->gid, AT_SYMLINK_NOFOLLOW));
	if (f->xattrs.len > 0)
		write_xattrs(f, dir, name);
	if (!S_ISLNK(f->mode))
		MUST(fchmodat(dir, name, f->mode & 07777, 0));
	MUST(utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW));
	if (f->flags != 0)
		write_flags(dir, name, f->flags);
	MUST(fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW));
	w->made(f->id, st.st_ino);
	close(dir);
}

static void
write_content(const struct disk_file *f, int dir, const char *name)
{
	int fd =
	    openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	MUST(fd);
	if (f->data.len > 0)
		must(write(fd, f->data.data, f->data.len) ==
		    (ssize_t)f->data.len);
	close(fd);
}

static void
write_one(const struct disk_file *f, int dir, const char *name)
{
	switch (f->mode & S_IFMT) {
	case S_IFREG:
		write_content(f, dir, name);
		break;
	case S_IFLNK:
		MUST(symlinkat(buf_str(&f->data), dir, name));
		break;
	default:
		MUST(mknodat(dir, name, (f->mode & S_IFMT) | 0600, f->rdev));
	}
}

/* Gives a file its name, and makes it if this is its first. */
static void
write_name(struct writing *w, int dir, const struct disk_name *n)
{
	const struct disk_file *f = disk_find(w->d, n->file);
	const struct disk_name *first = first_name(w, f);
	int fd;

	if (first != NULL) {
		fd = open_number(w->d, w->top, first->dir);
		MUST(linkat(fd, first->name, dir, n->name, 0));
		close(fd);
		return;
	}
	w->first[f - w->d->files] = (size_t)(n - w->d->names) + 1;
	if (S_ISDIR(f->mode))
		MUST(mkdirat(dir, n->name, 0700));
	else
		write_one(f, dir, n->name);
}

static void
write_dir(struct writing *w, uint64_t id)
{
	int fd = open_number(w->d, w->top, id);

	for (size_t i = 0; i < w->d->name_count; i++)
		if (w->d->names[i].dir == id)
			write_name(w, fd, &w->d->names[i]);
	close(fd);
}

/* Of all that is below. */
static void
take_flags_off(int dir)
{
	struct disk d;

	disk_read(&d, dir, NULL);
	for (size_t i = 0; i < d.file_count; i++) {
		const struct disk_file *f = &d.files[i];
		char path[LIMIT_PATH_BYTES + 1];

		if (f->flags == 0)
			continue;
		path_of(&d, f->id, path);
		write_flags(dir, path, 0);
	}
	disk_release(&d);
}

static bool
try_empty(int dir, struct err *e)
{
	struct fsat_names names;
	int rc = fsat_list(dir, &names, e);

	for (size_t i = 0; rc == 0 && i < names.count; i++)
		rc = fsat_remove_tree(dir, names.names[i], e);
	fsat_names_release(&names);
	return rc == 0;
}

void
disk_empty(int dir)
{
	struct err e = ERR_INIT;

	if (try_empty(dir, &e))
		return;
	take_flags_off(dir);
	err_clear(&e);
	must(try_empty(dir, &e));
}

void
disk_write(
    const struct disk *d, int dir, void (*made)(uint64_t id, uint64_t inode))
{
	struct writing w = { .d = d, .top = dir, .made = made };
	size_t count, *order = reachable(d, &count);

	w.first = calloc(d->file_count + 1, sizeof(*w.first));
	must(w.first != NULL);
	disk_empty(dir);
	for (size_t i = 0; i < count; i++)
		if (S_ISDIR(d->files[order[i]].mode))
			write_dir(&w, d->files[order[i]].id);
	/* A directory's mode and times come after what it holds. */
	while (count-- > 0)
		write_meta(&w, &d->files[order[count]]);
	free(w.first);
	free(order);
}

/* ---- comparing ---- */

static uint64_t
mix(uint64_t state, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++)
		state = (state ^ p[i]) * 0x100000001b3u;
	return state ^ (state >> 29);
}

static uint64_t
hash_file(const struct disk *d, const struct disk_file *f)
{
	uint64_t sum = mix(f->id, &f->mode, 4 * sizeof(f->mode)), names = 0;

	sum = mix(sum, &f->mtime, sizeof(f->mtime));
	sum = mix(sum, f->data.data, f->data.len);
	sum = mix(sum, f->xattrs.data, f->xattrs.len);
	/* In any order. */
	for (size_t i = 0; i < d->name_count; i++)
		if (d->names[i].dir == f->id)
			names += mix(d->names[i].file, d->names[i].name,
			    strlen(d->names[i].name));
	return mix(sum, &names, sizeof(names));
}

uint64_t
disk_hash(const struct disk *d)
{
	size_t count, *order = reachable(d, &count);
	uint64_t sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += hash_file(d, &d->files[order[i]]);
	free(order);
	return sum;
}

struct comparing {
	const struct disk *want, *have;
	enum disk_how how;
	struct buf *why;
	uint64_t *pairs; /* the number in `have` of each file of `want` */
	size_t *dirs;    /* files of `want` to be looked into */
	size_t count;
};

static bool
differs(const struct comparing *c, const struct disk *d, uint64_t id,
    const char *what)
{
	char path[LIMIT_PATH_BYTES + 1];

	path_of(d, id, path);
	buf_addf(c->why, "%s: %s", path, what);
	return false;
}

static bool
same_bytes(const struct buf *a, const struct buf *b)
{
	return a->len == b->len &&
	    (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

/* What of the metadata is another, or NULL. */
static const char *
other_meta(const struct disk_file *w, const struct disk_file *h)
{
	if (w->mode != h->mode)
		return "another mode";
	if (w->uid != h->uid || w->gid != h->gid)
		return "another owner";
	if (!S_ISDIR(w->mode) && w->rdev != h->rdev)
		return "another device";
	if (w->flags != h->flags)
		return "other flags";
	if (w->mtime.tv_sec != h->mtime.tv_sec ||
	    w->mtime.tv_nsec != h->mtime.tv_nsec)
		return "another time";
	return same_bytes(&w->xattrs, &h->xattrs) ? NULL : "other attributes";
}

/* What a directory holds is left for later. */
static bool
same_file(
    struct comparing *c, const struct disk_file *w, const struct disk_file *h)
{
	uint64_t *pair = &c->pairs[w - c->want->files];
	const char *what = NULL;

	if ((w->mode & S_IFMT) != (h->mode & S_IFMT))
		what = "another type";
	else if (c->how == DISK_EXACT && other_meta(w, h) != NULL)
		what = other_meta(w, h);
	else if (!same_bytes(&w->data, &h->data))
		what = "other content";
	else if (c->how == DISK_EXACT && *pair != 0 && *pair != h->id)
		what = "not the same file as its other name";
	if (what != NULL)
		return differs(c, c->want, w->id, what);
	if (S_ISDIR(w->mode))
		c->dirs[c->count++] = (size_t)(w - c->want->files);
	*pair = h->id;
	return true;
}

static bool
same_names(struct comparing *c, uint64_t want, uint64_t have)
{
	for (size_t i = 0; i < c->want->name_count; i++) {
		const struct disk_name *n = &c->want->names[i], *other;

		if (n->dir != want)
			continue;
		other = disk_name(c->have, have, n->name);
		if (other == NULL)
			return differs(c, c->want, n->file, "is not there");
		if (!same_file(c, disk_find(c->want, n->file),
		        disk_find(c->have, other->file)))
			return false;
	}
	for (size_t i = 0; i < c->have->name_count; i++) {
		const struct disk_name *n = &c->have->names[i];

		if (c->how != DISK_HOLDS && n->dir == have &&
		    disk_name(c->want, want, n->name) == NULL)
			return differs(
			    c, c->have, n->file, "should not be there");
	}
	return true;
}

bool
disk_same(const struct disk *want, const struct disk *have, const char *path,
    enum disk_how how, struct buf *why)
{
	struct comparing c = { want, have, how, why, NULL, NULL, 0 };
	const struct disk_file *w = disk_at(want, path);
	const struct disk_file *h = disk_at(have, path);
	bool same;

	if (w == NULL || h == NULL) {
		if (w != h)
			buf_addf(why, "%s: %s", path,
			    w == NULL ? "should not be there" : "is not there");
		return w == h;
	}
	c.pairs = calloc(want->file_count, sizeof(*c.pairs));
	c.dirs = calloc(want->file_count, sizeof(*c.dirs));
	must(c.pairs != NULL && c.dirs != NULL);
	same = same_file(&c, w, h);
	for (size_t i = 0; same && i < c.count; i++)
		same = same_names(
		    &c, want->files[c.dirs[i]].id, c.pairs[c.dirs[i]]);
	free(c.pairs);
	free(c.dirs);
	return same;
}
