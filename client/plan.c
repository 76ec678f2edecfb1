/* The plan; pure bookkeeping, no system call. */
#include "client/plan.h"

#include <sys/sysmacros.h>

#include "common/text.h"

#define TEXT_BYTES ((size_t)65536)
#define MANY_ITEMS ((size_t)65536)

void
plan_init(struct plan *p)
{
	memset(p, 0, sizeof(*p));
	plan_spill(p, -1);
}

void
plan_spill(struct plan *p, int dir)
{
	spill_init(&p->item_memory, dir);
	spill_init(&p->delete_memory, dir);
	spill_init(&p->text_memory, dir);
}

void
plan_release(struct plan *p)
{
	for (size_t i = 0; i < p->touch_count; i++)
		free(p->touches[i].path);
	for (size_t i = 0; i < p->spared_count; i++)
		free(p->spared[i].path);
	free(p->spared);
	for (size_t i = 0; i < p->lift_count; i++)
		free(p->lifts[i].path);
	free(p->touches);
	free(p->lifts);
	free(p->manifests);
	spill_release(&p->item_memory);
	spill_release(&p->delete_memory);
	spill_release(&p->text_memory);
	plan_init(p);
}

void
plan_ease(const struct plan *p)
{
	spill_ease(&p->item_memory);
	spill_ease(&p->delete_memory);
	spill_ease(&p->text_memory);
}

bool
plan_is_empty(const struct plan *p)
{
	return p->item_count == 0 && p->delete_count == 0;
}

/* The list with room for one more element of `size` bytes; NULL when memory ran
 * out. */
static void *
grow(void *list, size_t count, size_t *room, size_t size)
{
	size_t want = *room == 0 ? 64 : *room * 2;

	if (count < *room)
		return list;
	list = reallocarray(list, want, size);
	if (list != NULL)
		*room = want;
	return list;
}

/* Room for one more in a list that may not fit memory. */
static int
grow_spilled(void **list, size_t count, size_t *room, size_t size,
    struct spill *memory, struct err *e)
{
	size_t more = *room < MANY_ITEMS ? *room : MANY_ITEMS;
	int rc;

	if (count < *room)
		return 0;
	if (more == 0)
		more = 64;
	rc = spill_resize(memory, (*room + more) * size, list, e);
	if (rc == 0)
		*room += more;
	return rc;
}

/* Room for a text or several; a long one gets a piece of its own. */
static int
text_room(struct plan *p, size_t len, char **out, struct err *e)
{
	size_t bytes = len < TEXT_BYTES ? TEXT_BYTES : len;
	void *piece = NULL;
	int rc;

	if (p->text_memory.fd >= 0 && bytes == TEXT_BYTES)
		bytes *= 16; /* each is a mapping of its own */
	if (len > p->text_left) {
		rc = spill_add(&p->text_memory, bytes, &piece, e);
		if (rc != 0)
			return rc;
		p->text_at = piece;
		p->text_left = bytes;
	}
	*out = p->text_at;
	p->text_at += len;
	p->text_left -= len;
	return 0;
}

static int
copy_text(char **dst, const char *src, size_t len, struct err *e)
{
	*dst = strndup(src, len);
	return *dst != NULL ? 0 : err_memory(e);
}

static int
add_delete(struct plan *p, const struct compare_diff *diff, struct err *e)
{
	size_t size = strlen(diff->path) + 1;
	void *list = p->deletes;
	struct plan_delete *d;
	char *path = NULL;
	int rc = grow_spilled(&list, p->delete_count, &p->delete_room,
	    sizeof(*d), &p->delete_memory, e);

	if (rc == 0)
		p->deletes = list;
	if (rc == 0)
		rc = text_room(p, size, &path, e);
	if (rc != 0)
		return rc;
	memcpy(path, diff->path, size);
	d = plan_deletion(p, p->delete_count++);
	*d = (struct plan_delete){ .path = path,
		.is_dir = S_ISDIR(diff->have->mode),
		.ino = diff->have->ino,
		.had_flags = diff->have->flags };
	return 0;
}

static enum plan_op
op_of(const struct compare_diff *diff)
{
	if (diff->kind == COMPARE_CREATE)
		return PLAN_CREATE;
	if ((diff->bits & COMPARE_RENEW) == 0)
		return PLAN_META;
	if (S_ISDIR(diff->have->mode) || diff->want->m.type == MANIFEST_DIR)
		return PLAN_EXCHANGE;
	return PLAN_REPLACE;
}

/* Appends a text to a block that has room for it. */
static char *
put_text(char **at, const char *text, size_t len)
{
	char *start = *at;

	if (len > 0)
		memcpy(start, text, len);
	start[len] = '\0';
	*at += len + 1;
	return start;
}

static int
copy_texts(struct plan *p, struct plan_item *item, const char *path,
    const struct manifest_entry *m, struct err *e)
{
	const char *target = m->target != NULL ? m->target : "";
	size_t path_len = strlen(path), target_len = strlen(target);
	char *at = NULL;
	int rc =
	    text_room(p, path_len + target_len + m->xattrs.len + 3, &at, e);

	if (rc != 0)
		return rc;
	item->path = put_text(&at, path, path_len);
	item->target = put_text(&at, target, target_len);
	item->xattrs = put_text(&at, m->xattrs.text, m->xattrs.len);
	return 0;
}

static int
fill_item(struct plan *p, struct plan_item *item,
    const struct compare_diff *diff, struct err *e)
{
	const struct manifest_entry *m = &diff->want->m;

	item->op = op_of(diff);
	item->bits = diff->bits;
	item->type = (uint8_t)m->type;
	item->implied = diff->want->implied;
	item->mode = m->mode;
	item->uid = diff->uid;
	item->gid = diff->gid;
	item->mtime = m->mtime;
	item->root = PLAN_NO_ROOT;
	if (m->type == MANIFEST_FILE) {
		item->size_bytes = m->size_bytes;
		item->digest = m->digest;
		item->number = m->number;
		item->source = (uint32_t)diff->want->source;
	}
	item->flags = m->flags;
	if (diff->have != NULL) {
		item->ino = diff->have->ino;
		item->had_flags = diff->have->flags;
	}
	item->rdev = makedev(m->major, m->minor);
	return copy_texts(p, item, diff->path, m, e);
}

int
plan_note_manifests(struct plan *p, const struct release *r,
    const struct release_profile *profile, struct err *e)
{
	free(p->manifests);
	p->manifests = calloc(profile->count, sizeof(*p->manifests));
	if (p->manifests == NULL)
		return err_memory(e);
	p->manifest_count = profile->count;
	for (size_t i = 0; i < profile->count; i++)
		p->manifests[i] =
		    r->transcripts[profile->transcripts[i]].manifest;
	return 0;
}

int
plan_add(void *plan, const struct compare_diff *diff, struct err *e)
{
	struct plan *p = plan;
	void *list = p->items;
	struct plan_item *item;
	int rc;

	p->has_links = p->has_links ||
	    (diff->kind != COMPARE_DELETE &&
	        diff->want->m.type == MANIFEST_HARDLINK) ||
	    (diff->kind != COMPARE_CREATE && S_ISREG(diff->have->mode) &&
	        diff->have->nlink > 1);
	if (diff->kind == COMPARE_DELETE)
		return add_delete(p, diff, e);
	rc = grow_spilled(&list, p->item_count, &p->item_room, sizeof(*item),
	    &p->item_memory, e);
	if (rc != 0)
		return rc;
	p->items = list;
	item = plan_item(p, p->item_count);
	memset(item, 0, sizeof(*item));
	if ((rc = fill_item(p, item, diff, e)) != 0)
		return rc;
	p->item_count++;
	if (item->type == MANIFEST_FILE && item->op != PLAN_META)
		p->write_bytes += item->size_bytes;
	return 0;
}

int
plan_spare(struct plan *p, const struct compare_diff *diff, struct err *e)
{
	struct plan_spared *s;
	int rc;

	s = grow(p->spared, p->spared_count, &p->spared_room, sizeof(*s));
	if (s == NULL)
		return err_memory(e);
	p->spared = s;
	s += p->spared_count;
	s->kind = diff->kind;
	s->is_there = diff->have != NULL;
	if ((rc = copy_text(&s->path, diff->path, strlen(diff->path), e)) == 0)
		p->spared_count++;
	return rc;
}

/* ---- finishing ---- */

static int
item_cmp(const void *a, const void *b)
{
	const struct plan_item *x = a, *y = b;

	return compare_paths(x->path, y->path);
}

const struct plan_item *
plan_find(const struct plan *p, const char *path)
{
	size_t lo = 0, hi = p->item_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = compare_paths(p->items[mid].path, path);

		if (c == 0)
			return &p->items[mid];
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

const struct plan_lift *
plan_find_lift(const struct plan *p, const char *path)
{
	size_t lo = 0, hi = p->lift_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = compare_paths(p->lifts[mid].path, path);

		if (c == 0)
			return &p->lifts[mid];
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

static bool
is_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && path[n] == '/';
}

/* Differences come in order, but for those of two passes. */
static void
sort_items(struct plan *p)
{
	size_t i = 1;

	while (i < p->item_count &&
	    item_cmp(&p->items[i - 1], plan_item(p, i)) < 0)
		i++;
	if (i < p->item_count)
		qsort(p->items, p->item_count, sizeof(*p->items), item_cmp);
}

static void
place_stages(struct plan *p)
{
	size_t root = PLAN_NO_ROOT;

	for (size_t i = 0; i < p->item_count; i++) {
		struct plan_item *item = plan_item(p, i);

		if (item->op == PLAN_META)
			continue;
		if (root != PLAN_NO_ROOT &&
		    is_below(item->path, p->items[root].path)) {
			item->root = root;
			continue;
		}
		item->root = i;
		root = item->type == MANIFEST_DIR ? i : PLAN_NO_ROOT;
	}
}

static int
delete_cmp(const void *a, const void *b)
{
	const struct plan_delete *x = a, *y = b;

	/* Children sort behind their directory, so the reverse order works. */
	return compare_paths(y->path, x->path);
}

static void
swap_deletes(struct plan_delete *x, struct plan_delete *y)
{
	struct plan_delete was = *x;

	*x = *y;
	*y = was;
}

/* They come in the order of paths, but for those of two passes. */
static void
sort_deletes(struct plan *p)
{
	size_t i = 1, n = p->delete_count;

	while (i < n && delete_cmp(&p->deletes[i - 1], plan_deletion(p, i)) > 0)
		i++;
	if (i < n) {
		qsort(p->deletes, n, sizeof(*p->deletes), delete_cmp);
		return;
	}
	for (i = 0; i < n / 2; i++)
		swap_deletes(plan_deletion(p, i), &p->deletes[n - 1 - i]);
}

/* A path may be found twice: by exact mode and by the former release. */
static void
unique_deletes(struct plan *p)
{
	size_t kept = 0;

	if (p->delete_count == 0)
		return;
	sort_deletes(p);
	for (size_t i = 1; i < p->delete_count; i++) {
		struct plan_delete *d = plan_deletion(p, i);

		if (strcmp(d->path, p->deletes[kept].path) != 0)
			p->deletes[++kept] = *d;
	}
	p->delete_count = kept + 1;
}

/* Whether an ancestor of the path is replaced by what is no directory. */
static bool
is_inside(const struct plan *p, const char *path)
{
	char part[LIMIT_PATH_BYTES + 1];
	const struct plan_item *item = NULL;

	for (const char *s = strchr(path, '/'); s != NULL;
	     s = strchr(s + 1, '/')) {
		(void)snprintf(
		    part, sizeof(part), "%.*s", (int)(s - path), path);
		item = plan_find(p, part);
		if (item != NULL && item->type != MANIFEST_DIR)
			return true;
	}
	return false;
}

static void
mark_inside(struct plan *p)
{
	bool any = false;

	for (size_t i = 0; i < p->item_count && !any; i++)
		any = plan_item(p, i)->op == PLAN_EXCHANGE;
	for (size_t i = 0; any && i < p->delete_count; i++)
		plan_deletion(p, i)->inside = is_inside(p, p->deletes[i].path);
}

/* ---- directories whose content changes ---- */

struct dirs {
	char **paths;
	size_t count, room;
};

static void
dirs_release(struct dirs *d)
{
	for (size_t i = 0; i < d->count; i++)
		free(d->paths[i]);
	free(d->paths);
}

static int
dirs_add_parent(struct dirs *d, const char *path, struct err *e)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash == NULL ? 0 : (size_t)(slash - path);
	char **paths;
	int rc;

	if (d->count > 0 && strlen(d->paths[d->count - 1]) == len &&
	    strncmp(d->paths[d->count - 1], path, len) == 0)
		return 0;
	paths = grow(d->paths, d->count, &d->room, sizeof(*paths));
	if (paths == NULL)
		return err_memory(e);
	d->paths = paths;
	rc = len == 0 ? copy_text(&paths[d->count], ".", 1, e)
	              : copy_text(&paths[d->count], path, len, e);
	if (rc == 0)
		d->count++;
	return rc;
}

static int
text_cmp(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return compare_paths(*x, *y);
}

static void
unique_dirs(struct dirs *d)
{
	size_t kept = 0;

	for (size_t i = 1; i < d->count; i++) {
		if (strcmp(d->paths[i], d->paths[kept]) == 0)
			free(d->paths[i]);
		else
			d->paths[++kept] = d->paths[i];
	}
	d->count = kept + 1;
}

static int
collect_dirs(const struct plan *p, struct dirs *d, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; i < p->item_count && rc == 0; i++)
		if (plan_item(p, i)->root == i)
			rc = dirs_add_parent(d, p->items[i].path, e);
	for (size_t i = 0; i < p->delete_count && rc == 0; i++)
		if (!plan_deletion(p, i)->inside)
			rc = dirs_add_parent(d, p->deletes[i].path, e);
	if (rc != 0 || d->count == 0)
		return rc;
	qsort(d->paths, d->count, sizeof(*d->paths), text_cmp);
	unique_dirs(d);
	return 0;
}

static int
add_touch(struct plan *p, const struct layer_entry *entry, struct err *e)
{
	const char *path = entry->m.path;
	struct plan_touch *t;
	int rc;

	/* An item sets the time of its directory itself; what no transcript
	 * lists has no time to be given. */
	if (entry->implied || plan_find(p, path) != NULL)
		return 0;
	t = grow(p->touches, p->touch_count, &p->touch_room, sizeof(*t));
	if (t == NULL)
		return err_memory(e);
	p->touches = t;
	t += p->touch_count;
	t->mtime = entry->m.mtime;
	if ((rc = copy_text(&t->path, path, strlen(path), e)) == 0)
		p->touch_count++;
	return rc;
}

static int
add_touches(struct plan *p, struct layer *layer, struct err *e)
{
	const struct layer_entry *entry;
	struct dirs d = { NULL, 0, 0 };
	size_t at = 0;
	int order, rc;

	rc = collect_dirs(p, &d, e);
	while (rc == 0 && at < d.count) {
		rc = layer_next(layer, &entry, e);
		if (rc != 0 || entry == NULL)
			break;
		/* Those that the layer does not have are passed over. */
		order = -1;
		while (at < d.count && order < 0) {
			order = compare_paths(d.paths[at], entry->m.path);
			if (order <= 0)
				at++;
		}
		if (order == 0 && entry->m.type == MANIFEST_DIR)
			rc = add_touch(p, entry, e);
	}
	dirs_release(&d);
	return rc;
}

int
plan_finish(
    struct plan *p, struct layer *layer, const char *run_id, struct err *e)
{
	(void)snprintf(p->run_id, sizeof(p->run_id), "%s", run_id);
	sort_items(p);
	unique_deletes(p);
	mark_inside(p);
	/* Stages first: they say which directories' content changes. */
	place_stages(p);
	return add_touches(p, layer, e);
}

int
plan_stage_path(const struct plan *p, const struct plan_item *item, char *dst,
    size_t size, struct err *e)
{
	const struct plan_item *root = &p->items[item->root];
	const char *slash = strrchr(root->path, '/');
	int n, dir_len = slash == NULL ? 0 : (int)(slash - root->path) + 1;

	n = snprintf(dst, size, "%.*s" PLAN_STAGE_PREFIX "%s-%zu%s", dir_len,
	    root->path, p->run_id, item->root, item->path + strlen(root->path));
	if (n < 0 || (size_t)n >= size)
		return err_set(
		    e, ERR_LIMIT, "%s: path too long to stage", item->path);
	return 0;
}

/* ---- words ---- */

const char *
plan_type_word(uint8_t type)
{
	switch (type) {
	case MANIFEST_DIR:
		return "directory";
	case MANIFEST_FILE:
		return "file";
	case MANIFEST_SYMLINK:
		return "symlink";
	case MANIFEST_HARDLINK:
		return "hard link";
	case MANIFEST_FIFO:
		return "fifo";
	default:
		return "device";
	}
}

const char *
plan_next_word(unsigned bits, unsigned *at)
{
	static const struct {
		unsigned bit;
		const char *word;
	} words[] = {
		{ COMPARE_TYPE, "type" },
		{ COMPARE_CONTENT, "content" },
		{ COMPARE_TARGET, "target" },
		{ COMPARE_LINK, "link" },
		{ COMPARE_DEVICE, "device" },
		{ COMPARE_OWNER, "owner" },
		{ COMPARE_GROUP, "group" },
		{ COMPARE_MODE, "mode" },
		{ COMPARE_MTIME, "time" },
		{ COMPARE_XATTRS, "attributes" },
		{ COMPARE_FLAGS, "flags" },
	};

	while (*at < sizeof(words) / sizeof(words[0])) {
		unsigned i = (*at)++;

		if ((bits & words[i].bit) != 0)
			return words[i].word;
	}
	return NULL;
}

void
plan_describe(struct buf *text, const struct plan_item *item)
{
	const char *sep = " (", *word;
	unsigned at = 0;

	buf_addf(text, "%s %s ", item->op == PLAN_CREATE ? "create" : "change",
	    plan_type_word(item->type));
	text_escape(text, item->path, strlen(item->path));
	while ((word = plan_next_word(item->bits, &at)) != NULL) {
		buf_addf(text, "%s%s", sep, word);
		sep = ", ";
	}
	if (sep[0] == ',')
		buf_add_byte(text, ')');
}

void
plan_describe_delete(struct buf *text, const struct plan_delete *d)
{
	buf_addf(text, "delete %s ", d->is_dir ? "directory" : "file");
	text_escape(text, d->path, strlen(d->path));
}
