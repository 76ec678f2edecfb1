/* Several manifests as one; publishers check with it, clients apply it.  A
 * merge of sorted streams: those not at their end stand in a list ordered by
 * the path they are at, of equal paths the last source first. */
#include "transcripts/layer.h"

#include "common/text.h"
#include "transcripts/overridden.h"

/* Directories above a target, for which no manifest has an entry. */
static const struct manifest_entry above = {
	.type = MANIFEST_DIR, .mode = 0755, .owner = "root", .group = "root"
};

/* One source and the entry it is at. */
struct cursor {
	const struct layer_source *source;
	size_t index;
	const char *target; /* relative to the root, "" for the root */
	size_t target_len;
	size_t above_at; /* how much of target was given as implied, so far */
	bool above_done;

	const struct manifest_entry *m;
	bool implied;
	const char *path; /* full; in `full` or in the manifest's entry */
	size_t path_len;
	char full[LIMIT_PATH_BYTES + 1];

	/* What a later source put in the place of a directory of this one's:
	 * nothing below it counts. */
	bool is_masked;
	char mask[LIMIT_PATH_BYTES + 1];
	size_t mask_len;
	struct overridden overridden;
};

struct layer {
	struct cursor *cursors;
	size_t count;
	struct cursor **order;
	size_t live;  /* cursors in order, not at their end */
	size_t taken; /* of these, first ones whose entry was used up */
	size_t room;  /* bytes left for overridden files */
	bool started;
	int status; /* what ended the merge early */
	struct layer_entry entry;
	char target[LIMIT_PATH_BYTES + 1]; /* of a hard link */
};

static bool
is_below(const char *path, size_t len, const char *top, size_t top_len)
{
	if (top_len == 0)
		return true;
	return len > top_len && path[top_len] == '/' &&
	    memcmp(path, top, top_len) == 0;
}

static bool
is_within(const char *path, size_t len, const char *top, size_t top_len)
{
	return is_below(path, len, top, top_len) ||
	    (len == top_len && memcmp(path, top, len) == 0);
}

/* "." and each directory between it and the target. */
static void
enter_above(struct cursor *c)
{
	size_t len = c->above_at;

	c->m = &above;
	c->implied = true;
	memcpy(c->full, c->target, len);
	c->path_len = len;
	if (len == 0)
		memcpy(c->full, ".", c->path_len = 1);
	c->full[c->path_len] = '\0';
	c->path = c->full;
	/* The next ends before the next slash; at the last is the target. */
	len += len > 0;
	len += strcspn(c->target + len, "/");
	c->above_done = len == c->target_len;
	c->above_at = len;
}

static int
too_long(const struct cursor *c, const char *path, struct err *e)
{
	return err_set(e, ERR_LIMIT,
	    "transcript %s: %.400s: path is longer than %d bytes below %.400s",
	    c->source->name, path, LIMIT_PATH_BYTES, c->source->target);
}

/* The full path of one in this source's manifest, into dst; the length. */
static int
join(const struct cursor *c, const char *path, char *dst, size_t *len,
    struct err *e)
{
	size_t add = strlen(path), at = c->target_len;

	if (add > LIMIT_PATH_BYTES - 1 - at && at > 0)
		return too_long(c, path, e);
	memcpy(dst, c->target, at);
	if (at > 0)
		dst[at++] = '/';
	memcpy(dst + at, path, add + 1);
	*len = at + add;
	return 0;
}

static int
enter_entry(struct cursor *c, const struct manifest_entry *m, struct err *e)
{
	bool is_target = strcmp(m->path, ".") == 0;

	c->m = m;
	c->implied = is_target && !c->source->exact && !c->source->own_target;
	if (c->target_len == 0) {
		c->path = m->path;
		c->path_len = strlen(m->path);
		return 0;
	}
	c->path = c->full;
	if (!is_target)
		return join(c, m->path, c->full, &c->path_len, e);
	memcpy(c->full, c->target, c->target_len + 1);
	c->path_len = c->target_len;
	return 0;
}

/* The next entry of one source, masked or not; c->m is NULL at the end. */
static int
step(struct cursor *c, struct err *e)
{
	const struct manifest_entry *m;
	int rc;

	if (!c->above_done) {
		enter_above(c);
		return 0;
	}
	rc = manifest_reader_next(c->source->reader, &m, e);
	if (rc != 0) {
		err_prefix(e, "transcript %s", c->source->name);
		return rc;
	}
	if (m != NULL)
		return enter_entry(c, m, e);
	c->m = NULL;
	return 0;
}

/* What a source has is not taken: should it be a file's first name, the other
 * names will ask for it. */
static int
drop(struct layer *l, struct cursor *c, struct err *e)
{
	if (c->m->type != MANIFEST_FILE)
		return 0;
	return overridden_add(&c->overridden, c->m, &l->room, e);
}

static int
advance(struct layer *l, struct cursor *c, struct err *e)
{
	int rc;

	for (;;) {
		rc = step(c, e);
		if (rc != 0 || c->m == NULL || !c->is_masked)
			return rc;
		c->is_masked =
		    is_below(c->path, c->path_len, c->mask, c->mask_len);
		if (!c->is_masked)
			return 0;
		rc = drop(l, c, e);
		if (rc != 0)
			return rc;
	}
}

/* Whether a comes before b in the order. */
static bool
precedes(const struct cursor *a, const struct cursor *b)
{
	int cmp = manifest_path_cmp(a->path, a->path_len, b->path, b->path_len);

	return cmp != 0 ? cmp < 0 : a->index > b->index;
}

/* Moves the cursor at `at` to its place among those behind it, which are in
 * order; one at its end goes out. */
static void
settle(struct layer *l, size_t at)
{
	struct cursor *c = l->order[at];

	for (; at + 1 < l->live; at++) {
		if (c->m != NULL && precedes(c, l->order[at + 1]))
			break;
		l->order[at] = l->order[at + 1];
	}
	l->order[at] = c;
	if (c->m == NULL)
		l->live--;
}

/* Advances the sources whose entries were used up. */
static int
refresh(struct layer *l, struct err *e)
{
	size_t i = l->taken;

	l->taken = 0;
	while (i > 0) {
		int rc = advance(l, l->order[--i], e);

		if (rc != 0)
			return rc;
		settle(l, i);
	}
	return 0;
}

/* How many sources are at the first path. */
static size_t
group_size(const struct layer *l)
{
	const struct cursor *first = l->order[0];
	size_t n = 1;

	while (n < l->live && l->order[n]->path_len == first->path_len &&
	    memcmp(l->order[n]->path, first->path, first->path_len) == 0)
		n++;
	return n;
}

/* Of the sources at one path, the one whose entry counts. */
static struct cursor *
choose(struct cursor *const *group, size_t n)
{
	struct cursor *best = NULL;
	size_t i;

	for (i = 0; i < n; i++) {
		struct cursor *c = group[i];

		/* A directory that the manifest of an overlay describes is
		 * better than one that only has to be there. */
		if (c->implied) {
			if (best == NULL ||
			    (best->m == &above && c->m != &above))
				best = c;
			continue;
		}
		return best == NULL || c->m->type == MANIFEST_DIR ? c : best;
	}
	return best;
}

static void
mask(struct cursor *c)
{
	c->is_masked = true;
	memcpy(c->mask, c->path, c->path_len);
	c->mask_len = c->path_len;
}

/* Deals with what does not count at the first path. */
static int
settle_losers(
    struct layer *l, size_t n, const struct cursor *winner, struct err *e)
{
	bool is_replaced = false;
	size_t i;

	for (i = 0; i < n; i++) {
		struct cursor *c = l->order[i];
		int rc = c == winner ? 0 : drop(l, c, e);

		if (rc != 0)
			return rc;
		if (is_replaced)
			mask(c);
		is_replaced = is_replaced || c->m->type != MANIFEST_DIR;
	}
	return 0;
}

static bool
is_exact(const struct layer *l, const char *path, size_t len)
{
	size_t i;

	if (len == 1 && path[0] == '.')
		len = 0;
	for (i = 0; i < l->count; i++) {
		const struct cursor *c = &l->cursors[i];

		if (c->source->exact &&
		    is_within(path, len, c->target, c->target_len))
			return true;
	}
	return false;
}

/* A hard link whose first name is gone: the first name left is the file. */
static int
inherit(struct layer *l, struct overridden_file *f, struct err *e)
{
	struct manifest_entry *m = &l->entry.m;
	const char *path = m->path;

	if (f->heir != NULL) {
		m->target = f->heir;
		return 0;
	}
	f->heir = strdup(path);
	if (f->heir == NULL)
		return err_memory(e);
	*m = f->m;
	m->path = path;
	return 0;
}

static int
resolve_link(struct layer *l, struct cursor *c, struct err *e)
{
	struct overridden_file *f;
	size_t len;
	int rc = overridden_find(&c->overridden, c->m->target, &f, e);

	if (rc != 0) {
		err_prefix(
		    e, "transcript %s: %.400s", c->source->name, c->path);
		return rc;
	}
	if (f != NULL)
		return inherit(l, f, e);
	l->entry.m.target = l->target;
	return join(c, c->m->target, l->target, &len, e);
}

static int
take(struct layer *l, struct cursor *c, struct err *e)
{
	l->entry.m = *c->m;
	l->entry.m.path = c->path;
	l->entry.implied = c->implied;
	l->entry.source = c->index;
	l->entry.exact =
	    c->m->type == MANIFEST_DIR && is_exact(l, c->path, c->path_len);
	if (c->m->type == MANIFEST_HARDLINK)
		return resolve_link(l, c, e);
	return 0;
}

static int
start(struct layer *l, struct err *e)
{
	l->started = true;
	l->live = l->count;
	l->taken = l->count;
	return refresh(l, e);
}

/* The next entry, with *entry NULL at the end. */
static int
merge(struct layer *l, const struct layer_entry **entry, struct err *e)
{
	struct cursor *winner;
	size_t n;
	int rc = l->started ? refresh(l, e) : start(l, e);

	if (rc != 0)
		return rc;
	if (l->live == 0) {
		*entry = NULL;
		return 0;
	}
	n = group_size(l);
	winner = choose(l->order, n);
	rc = take(l, winner, e);
	if (rc == 0)
		rc = settle_losers(l, n, winner, e);
	if (rc != 0)
		return rc;
	l->taken = n;
	*entry = &l->entry;
	return 0;
}

int
layer_next(struct layer *l, const struct layer_entry **entry, struct err *e)
{
	if (l->status != 0)
		return err_set(e, l->status, "transcripts: refused before");
	l->status = merge(l, entry, e);
	return l->status;
}

static int
cursor_init(struct cursor *c, const struct layer_source *source, size_t index,
    struct err *e)
{
	const char *target = source->target;

	if (target[0] != '/' ||
	    (target[1] != '\0' &&
	        manifest_path_fault(target + 1, strlen(target + 1)) != NULL))
		return err_set(e, ERR_USAGE,
		    "transcript %s: target %s is no clean absolute path",
		    source->name, target);
	c->source = source;
	c->index = index;
	c->target = target + 1;
	c->target_len = strlen(c->target);
	c->above_done = c->target_len == 0;
	return 0;
}

int
layer_new(const struct layer_source *sources, size_t count, struct layer **out,
    struct err *e)
{
	struct layer *l;
	int rc = 0;
	size_t i;

	if (count == 0)
		return err_set(e, ERR_USAGE, "no transcripts to lay down");
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return err_memory(e);
	l->room = LAYER_OVERRIDDEN_BYTES;
	l->cursors = calloc(count, sizeof(*l->cursors));
	l->order = calloc(count, sizeof(struct cursor *));
	if (l->cursors == NULL || l->order == NULL)
		rc = err_memory(e);
	for (i = 0; i < count && rc == 0; i++) {
		rc = cursor_init(&l->cursors[i], &sources[i], i, e);
		l->order[i] = &l->cursors[i];
		l->count++;
	}
	if (rc != 0) {
		layer_free(l);
		return rc;
	}
	*out = l;
	return 0;
}

void
layer_free(struct layer *l)
{
	size_t i;

	if (l == NULL)
		return;
	for (i = 0; i < l->count; i++)
		overridden_release(&l->cursors[i].overridden);
	free(l->cursors);
	free(l->order);
	free(l);
}

static bool
excludes(const struct cursor *c, const char *path, size_t len)
{
	size_t i, top = c->target_len;

	if (!c->source->exact || !is_below(path, len, c->target, top))
		return false;
	path += top + (top > 0);
	for (i = 0; i < c->source->exclude_count; i++) {
		if (text_path_match(c->source->excludes[i], path))
			return true;
	}
	return false;
}

bool
layer_is_excluded(const struct layer *l, const char *path)
{
	size_t i, len = strlen(path);

	for (i = 0; i < l->count; i++) {
		if (excludes(&l->cursors[i], path, len))
			return true;
	}
	return false;
}
