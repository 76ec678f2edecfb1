/* Recorded calls: durability, dependence, replay. */
#include "tests/prove_trail.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/must.h"

void
trail_init(struct trail *l)
{
	memset(l, 0, sizeof(*l));
}

void
trail_release(struct trail *l)
{
	for (size_t i = 0; i < l->count; i++) {
		free(l->calls[i].name);
		free(l->calls[i].to_name);
		buf_release(&l->calls[i].data);
	}
	free(l->calls);
	trail_init(l);
}

struct trail_call *
trail_add(struct trail *l, enum trail_kind kind)
{
	struct trail_call *c;

	if (l->count == l->room) {
		l->room = l->room == 0 ? 256 : 2 * l->room;
		l->calls = reallocarray(l->calls, l->room, sizeof(*l->calls));
		must(l->calls != NULL);
	}
	c = &l->calls[l->count++];
	memset(c, 0, sizeof(*c));
	c->kind = kind;
	buf_init(&c->data, (size_t)64 << 20);
	return c;
}

void
trail_describe(const struct trail_call *c, struct buf *text)
{
	static const char *const words[] = { "create", "link", "unlink",
		"rename", "exchange", "write", "truncate", "owner", "mode",
		"time", "flags", "attribute", "sync", "sync all", "nothing" };

	buf_addf(text, "%s %s%s%s of file %llu", words[c->kind],
	    c->name != NULL ? c->name : "", c->to_name != NULL ? " to " : "",
	    c->to_name != NULL ? c->to_name : "", (unsigned long long)c->file);
}

/* ---- what hangs together ---- */

static bool
is_name_call(const struct trail_call *c)
{
	return c->kind <= TRAIL_EXCHANGE;
}

static bool
is_meta_call(const struct trail_call *c)
{
	return c->kind >= TRAIL_OWNER && c->kind <= TRAIL_XATTR;
}

bool
trail_is_sync(const struct trail_call *c)
{
	return c->kind >= TRAIL_SYNC;
}

static bool
touches(const struct trail_call *c, uint64_t dir, const char *name)
{
	return (c->dir == dir && strcmp(c->name, name) == 0) ||
	    (c->to_name != NULL && c->to_dir == dir &&
	        strcmp(c->to_name, name) == 0);
}

static bool
is_in(const struct trail_call *c, uint64_t dir)
{
	return is_name_call(c) &&
	    (c->dir == dir || (c->to_name != NULL && c->to_dir == dir));
}

/* Whether `late` cannot be on a disk that `early` is not on. */
static bool
needs(const struct trail_call *late, const struct trail_call *early)
{
	if (early->kind == TRAIL_CREATE &&
	    (late->file == early->file || late->other == early->file ||
	        is_in(late, early->file)))
		return true;
	/* An inode is written as a whole. */
	if (is_meta_call(late) && is_meta_call(early))
		return late->file == early->file;
	if (!is_name_call(late) || !is_name_call(early))
		return false;
	if (touches(early, late->dir, late->name) ||
	    (late->to_name != NULL &&
	        touches(early, late->to_dir, late->to_name)))
		return true;
	/* A directory must be empty to go. */
	return late->kind == TRAIL_UNLINK && is_in(early, late->file);
}

void
trail_close(const struct trail *l, size_t count, trail_kept *kept)
{
	for (size_t i = count; i-- > 0;)
		for (size_t k = 0; kept[i] != TRAIL_GONE && k < i; k++)
			if (kept[k] == TRAIL_GONE &&
			    needs(&l->calls[i], &l->calls[k]))
				kept[k] = TRAIL_KEPT;
}

void
trail_drop(const struct trail *l, size_t count, size_t which, trail_kept *kept)
{
	kept[which] = TRAIL_GONE;
	for (size_t i = which + 1; i < count; i++)
		for (size_t k = which; kept[i] != TRAIL_GONE && k < i; k++)
			if (kept[k] == TRAIL_GONE &&
			    needs(&l->calls[i], &l->calls[k]))
				kept[i] = TRAIL_GONE;
}

static bool
is_synced_by(const struct trail_call *c, const struct trail_call *sync)
{
	if (sync->kind == TRAIL_SYNC_ALL)
		return true;
	if (sync->kind != TRAIL_SYNC)
		return false;
	return is_name_call(c) ? is_in(c, sync->file) : c->file == sync->file;
}

void
trail_durable(const struct trail *l, size_t count, trail_kept *kept)
{
	for (size_t i = 0; i < count; i++) {
		kept[i] = trail_is_sync(&l->calls[i]) ? TRAIL_KEPT : TRAIL_GONE;
		for (size_t s = i + 1; s < count && kept[i] == TRAIL_GONE; s++)
			if (is_synced_by(&l->calls[i], &l->calls[s]))
				kept[i] = TRAIL_KEPT;
	}
	trail_close(l, count, kept);
}

/* ---- replay ---- */

/* Any time but that of before: the clock's. */
static void
touch(struct disk *d, uint64_t id, size_t call)
{
	struct disk_file *f = disk_find(d, id);

	if (f != NULL)
		f->mtime = (struct timespec){ 1600000000, (long)call };
}

static void
rename_one(struct disk *d, const struct trail_call *c)
{
	struct disk_name *from = disk_name(d, c->dir, c->name);
	struct disk_name *to = disk_name(d, c->to_dir, c->to_name);

	if (from == NULL)
		return;
	if (c->kind == TRAIL_EXCHANGE) {
		if (to != NULL) {
			uint64_t file = from->file;

			from->file = to->file;
			to->file = file;
		}
		return;
	}
	if (to != NULL) {
		/* Two names of one file: rename does nothing. */
		if (to->file == from->file)
			return;
		disk_remove_name(d, to);
		from = disk_name(d, c->dir, c->name);
	}
	free(from->name);
	from->name = strdup(c->to_name);
	from->dir = c->to_dir;
}

static void
name_call(struct disk *d, const struct trail_call *c)
{
	struct disk_name *n = disk_name(d, c->dir, c->name);
	struct disk_file *f;

	switch (c->kind) {
	case TRAIL_CREATE:
		f = disk_add_file(d, c->file);
		f->mode = c->mode;
		f->uid = c->uid;
		f->gid = c->gid;
		f->rdev = c->rdev;
		buf_add(&f->data, c->data.data, c->data.len);
		disk_add_name(d, c->dir, c->name, c->file);
		return;
	case TRAIL_LINK:
		disk_add_name(d, c->dir, c->name, c->file);
		return;
	case TRAIL_UNLINK:
		if (n != NULL)
			disk_remove_name(d, n);
		return;
	default:
		rename_one(d, c);
	}
}

static void
resize(struct disk_file *f, size_t len)
{
	static const uint8_t zeros[4096];

	while (f->data.len < len) {
		size_t more = len - f->data.len;

		buf_add(&f->data, zeros,
		    more < sizeof(zeros) ? more : sizeof(zeros));
	}
	f->data.len = len;
}

static void
write_call(struct disk_file *f, const struct trail_call *c, bool zeroed)
{
	size_t end = (size_t)c->offset + c->data.len;

	if (f->data.len < end)
		resize(f, end);
	if (c->data.len > 0 && zeroed)
		memset(f->data.data + c->offset, 0, c->data.len);
	else if (c->data.len > 0)
		memcpy(f->data.data + c->offset, c->data.data, c->data.len);
}

static void
file_call(struct disk_file *f, const struct trail_call *c, bool zeroed)
{
	switch (c->kind) {
	case TRAIL_WRITE:
		write_call(f, c, zeroed);
		break;
	case TRAIL_TRUNCATE:
		resize(f, (size_t)c->offset);
		break;
	case TRAIL_OWNER:
		f->uid = c->uid;
		f->gid = c->gid;
		break;
	case TRAIL_MODE:
		f->mode = (f->mode & S_IFMT) | c->mode;
		break;
	case TRAIL_TIME:
		f->mtime = c->time;
		break;
	case TRAIL_FLAGS:
		f->flags = c->flags;
		break;
	case TRAIL_XATTR:
		disk_set_xattr(f, c->name,
		    c->is_removal ? NULL : (const void *)buf_str(&c->data),
		    c->data.len);
		break;
	default:
		break;
	}
}

void
trail_replay(
    const struct trail *l, size_t count, const trail_kept *kept, struct disk *d)
{
	for (size_t i = 0; i < count; i++) {
		const struct trail_call *c = &l->calls[i];
		struct disk_file *f;

		if (kept[i] == TRAIL_GONE || trail_is_sync(c))
			continue;
		if (is_name_call(c)) {
			name_call(d, c);
			touch(d, c->dir, i);
			touch(d, c->to_dir, i);
			if (c->kind == TRAIL_CREATE)
				touch(d, c->file, i);
			continue;
		}
		f = disk_find(d, c->file);
		if (f == NULL)
			continue;
		if (c->kind == TRAIL_WRITE || c->kind == TRAIL_TRUNCATE)
			touch(d, c->file, i);
		file_call(f, c, kept[i] == TRAIL_ZEROED);
	}
}
