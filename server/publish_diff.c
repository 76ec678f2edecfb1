/* The new manifest against the one before: one merge of both, then one pass
 * over the old one for contents that it has at other paths.  Memory grows with
 * what changed. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/fsat.h"
#include "common/gzip.h"
#include "server/publish_impl.h"

#define PIECE_BYTES   ((size_t)128 * 1024)
#define REMOVED_MAX   16384 /* files that may become the basis of others */
#define REMOVED_BYTES ((uint64_t)256 * 1024 * 1024) /* the largest of them */

struct diff {
	struct publish_tree *t;
	struct manifest_reader *old_reader, *new_reader;
	const struct manifest_entry *old, *new;
};

static uint64_t
hash_of(const struct digest *d)
{
	return table_hash(d->b, sizeof(d->b));
}

static struct publish_wanted *
find_wanted(const struct publish_tree *t, const struct digest *d)
{
	struct table_node *n = table_find(&t->table, hash_of(d));

	for (; n != NULL; n = table_find_next(n)) {
		struct publish_wanted *w = (struct publish_wanted *)n;

		if (digest_equal(&w->digest, d))
			return w;
	}
	return NULL;
}

/* NULL without memory. */
static struct publish_wanted *
add_wanted(
    struct publish_tree *t, const struct manifest_entry *m, struct err *e)
{
	size_t size = strlen(m->path) + 1;
	struct publish_wanted *w = calloc(1, sizeof(*w) + size);

	if (w == NULL) {
		err_memory(e);
		return NULL;
	}
	w->digest = m->digest;
	w->size_bytes = m->size_bytes;
	memcpy(w->path, m->path, size);
	if (table_add(&t->table, &w->node, hash_of(&m->digest), e) != 0) {
		free(w);
		return NULL;
	}
	return w;
}

static int
want_content(struct publish_tree *t, const struct manifest_entry *new,
    const struct manifest_entry *old, struct err *e)
{
	bool has_old = old != NULL && old->type == MANIFEST_FILE;
	struct publish_wanted *w;

	if (new->type != MANIFEST_FILE ||
	    (has_old && digest_equal(&new->digest, &old->digest)))
		return 0;
	w = find_wanted(t, &new->digest);
	if (w == NULL)
		w = add_wanted(t, new, e);
	if (w == NULL)
		return ERR_NO_MEMORY;
	if (has_old && !w->has_basis) {
		w->has_basis = true;
		w->basis = old->digest;
		w->basis_bytes = old->size_bytes;
	}
	return 0;
}

static int
grow_removed(struct publish_tree *t, struct err *e)
{
	size_t room = t->removed_room == 0 ? 64 : 2 * t->removed_room;
	struct publish_removed *more;

	if (t->removed_count < t->removed_room)
		return 0;
	more = reallocarray(t->removed, room, sizeof(*more));
	if (more == NULL)
		return err_memory(e);
	t->removed = more;
	t->removed_room = room;
	return 0;
}

static int
keep_removed(
    struct publish_tree *t, const struct manifest_entry *old, struct err *e)
{
	struct publish_removed *r;

	if (old->type != MANIFEST_FILE || t->removed_count == REMOVED_MAX ||
	    old->size_bytes < PUBLISH_DELTA_MIN ||
	    old->size_bytes > REMOVED_BYTES)
		return 0;
	if (grow_removed(t, e) != 0)
		return ERR_NO_MEMORY;
	r = &t->removed[t->removed_count];
	r->digest = old->digest;
	r->size_bytes = old->size_bytes;
	r->path = strdup(old->path);
	if (r->path == NULL)
		return err_memory(e);
	t->removed_count++;
	return 0;
}

static void
tell(struct publish_tree *t, enum publish_change kind, const char *path)
{
	const struct publish_options *o = t->p->options;

	t->result->changes[kind]++;
	if (o->change != NULL)
		o->change(o->arg, t->t->name, kind, path);
}

static bool
same_text(const char *a, const char *b)
{
	return strcmp(a == NULL ? "" : a, b == NULL ? "" : b) == 0;
}

static bool
same_entry(const struct manifest_entry *a, const struct manifest_entry *b)
{
	if (a->type != b->type)
		return false;
	if (a->type == MANIFEST_HARDLINK)
		return same_text(a->target, b->target);
	return a->mode == b->mode && same_text(a->owner, b->owner) &&
	    same_text(a->group, b->group) &&
	    a->mtime.tv_sec == b->mtime.tv_sec &&
	    a->mtime.tv_nsec == b->mtime.tv_nsec &&
	    a->size_bytes == b->size_bytes &&
	    digest_equal(&a->digest, &b->digest) &&
	    same_text(a->target, b->target) && a->major == b->major &&
	    a->minor == b->minor && a->flags == b->flags &&
	    a->xattrs.len == b->xattrs.len &&
	    memcmp(a->xattrs.len == 0 ? "" : a->xattrs.text,
	        b->xattrs.len == 0 ? "" : b->xattrs.text, a->xattrs.len) == 0;
}

static int
next_old(struct diff *d, struct err *e)
{
	if (d->old_reader == NULL)
		return 0;
	return manifest_reader_next(d->old_reader, &d->old, e);
}

static int
next_new(struct diff *d, struct err *e)
{
	return manifest_reader_next(d->new_reader, &d->new, e);
}

static int
order(const struct diff *d)
{
	if (d->old == NULL)
		return 1;
	if (d->new == NULL)
		return -1;
	return manifest_path_cmp(d->old->path, strlen(d->old->path),
	    d->new->path, strlen(d->new->path));
}

/* One path of either or both. */
static int
step(struct diff *d, struct err *e)
{
	int which = order(d), ret = 0;

	if (which < 0) {
		tell(d->t, PUBLISH_REMOVED, d->old->path);
		ret = keep_removed(d->t, d->old, e);
		return ret == 0 ? next_old(d, e) : ret;
	}
	if (which > 0) {
		tell(d->t, PUBLISH_ADDED, d->new->path);
		/* Without an old manifest there is nobody who lacks it. */
		if (d->old_reader != NULL)
			ret = want_content(d->t, d->new, NULL, e);
		return ret == 0 ? next_new(d, e) : ret;
	}
	if (!same_entry(d->old, d->new))
		tell(d->t, PUBLISH_CHANGED, d->new->path);
	ret = want_content(d->t, d->new, d->old, e);
	if (ret == 0)
		ret = next_old(d, e);
	return ret == 0 ? next_new(d, e) : ret;
}

static int
open_text(int fd, struct manifest_reader **out, struct err *e)
{
	int ret;

	if (lseek(fd, 0, SEEK_SET) != 0)
		return err_sys(e, "manifest");
	ret = manifest_reader_open(fd, LIMIT_MANIFEST_BYTES, out, e);
	if (ret == 0)
		manifest_reader_skip_digest(*out);
	return ret;
}

static int
merge(struct publish_tree *t, struct err *e)
{
	struct diff d = { .t = t };
	int ret = open_text(t->text_fd, &d.new_reader, e);

	if (ret == 0 && t->was_fd >= 0)
		ret = open_text(t->was_fd, &d.old_reader, e);
	if (ret == 0)
		ret = next_old(&d, e);
	if (ret == 0)
		ret = next_new(&d, e);
	while (ret == 0 && (d.old != NULL || d.new != NULL))
		ret = step(&d, e);
	manifest_reader_free(d.old_reader);
	manifest_reader_free(d.new_reader);
	return ret;
}

/* Contents that moved or were copied. */
static int
mark_held(struct publish_tree *t, struct err *e)
{
	struct manifest_reader *r = NULL;
	const struct manifest_entry *m = NULL;
	struct publish_wanted *w;
	int ret;

	if (t->table.count == 0)
		return 0;
	ret = open_text(t->was_fd, &r, e);
	if (ret == 0)
		ret = manifest_reader_next(r, &m, e);
	while (ret == 0 && m != NULL) {
		w = m->type == MANIFEST_FILE ? find_wanted(t, &m->digest)
		                             : NULL;
		if (w != NULL)
			w->is_held = true;
		ret = manifest_reader_next(r, &m, e);
	}
	manifest_reader_free(r);
	return ret;
}

/* "libfoo.so.1" and "libfoo.so.2" next to each other, and all ".py". */
static const char *
extension(const char *path)
{
	const char *name = strrchr(path, '/');
	const char *dot = strrchr(name == NULL ? path : name, '.');

	return dot == NULL ? "" : dot;
}

static const char *
base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? path : slash + 1;
}

/* What is alike stands together, so that compression finds it. */
static int
by_likeness(const void *x, const void *y)
{
	const struct publish_wanted *a = *(struct publish_wanted *const *)x;
	const struct publish_wanted *b = *(struct publish_wanted *const *)y;
	int order = strcmp(extension(a->path), extension(b->path));

	if (order == 0)
		order = strcmp(base_name(a->path), base_name(b->path));
	if (order == 0)
		order = (a->size_bytes > b->size_bytes) -
		    (a->size_bytes < b->size_bytes);
	return order != 0
	    ? order
	    : memcmp(a->digest.b, b->digest.b, sizeof(a->digest.b));
}

static int
collect(struct publish_tree *t, struct err *e)
{
	struct table_node *n;

	t->wanted = calloc(t->table.count + 1, sizeof(struct publish_wanted *));
	if (t->wanted == NULL)
		return err_memory(e);
	while ((n = table_pop(&t->table)) != NULL) {
		struct publish_wanted *w = (struct publish_wanted *)n;

		if (w->is_held)
			free(w);
		else
			t->wanted[t->wanted_count++] = w;
	}
	qsort(t->wanted, t->wanted_count, sizeof(struct publish_wanted *),
	    by_likeness);
	return 0;
}

/* A stat cache speaks of contents that were stored once, maybe not here. */
static int
check_present(struct publish_tree *t, const struct digest *d, struct err *e)
{
	bool has = false;
	int ret = repo_has_object(t->p->o->repo, d, &has, e);

	if (ret != 0 || has)
		return ret;
	t->cache_is_wrong = true;
	return err_set(e, ERR_NOT_FOUND, "an object is not there");
}

static int
check_all_present(struct publish_tree *t, struct err *e)
{
	struct manifest_reader *r = NULL;
	const struct manifest_entry *m = NULL;
	int ret = open_text(t->text_fd, &r, e);

	if (ret == 0)
		ret = manifest_reader_next(r, &m, e);
	while (ret == 0 && m != NULL) {
		if (m->type == MANIFEST_FILE)
			ret = check_present(t, &m->digest, e);
		if (ret == 0)
			ret = manifest_reader_next(r, &m, e);
	}
	manifest_reader_free(r);
	return ret;
}

static int
check_cache(struct publish_tree *t, struct err *e)
{
	int ret = 0;

	if (!t->used_cache || t->p->options->noop)
		return 0;
	if (t->was == NULL)
		return check_all_present(t, e);
	for (size_t i = 0; ret == 0 && i < t->wanted_count; i++)
		ret = check_present(t, &t->wanted[i]->digest, e);
	return ret;
}

static int
copy_text(struct publish_tree *t, struct gzip_reader *gz,
    struct digest_state *digest, struct err *e)
{
	uint8_t *piece = malloc(PIECE_BYTES);
	size_t got = 1;
	int ret = piece == NULL ? err_memory(e) : 0;

	while (ret == 0 && got > 0) {
		ret = gzip_reader_read(gz, piece, PIECE_BYTES, &got, e);
		if (ret == 0 && got > 0) {
			digest_add(digest, piece, got);
			ret = fsat_write_all(t->was_fd, piece, got, e);
		}
	}
	free(piece);
	return ret;
}

static int
unpack_was(struct publish_tree *t, int fd, struct err *e)
{
	struct gzip_reader *gz = NULL;
	struct digest_state *digest = NULL;
	struct digest got;
	int ret = digest_new(&digest, e);

	if (ret == 0)
		ret = gzip_reader_new(fd, t->was->manifest_bytes, &gz, e);
	if (ret == 0)
		ret = copy_text(t, gz, digest, e);
	if (ret == 0) {
		digest_end(digest, &got);
		if (!digest_equal(&got, &t->was->manifest))
			ret = err_set(e, ERR_VERIFY,
			    "damaged: its text has another digest");
	}
	gzip_reader_free(gz);
	digest_free(digest);
	return ret;
}

int
publish_open_was(struct publish_tree *t, struct err *e)
{
	char path[REPO_PATH_BYTES];
	int fd = -1, ret;

	repo_path_manifest(path, &t->was->manifest);
	ret = repo_open_file(t->p->o->repo, path, &fd, NULL, e);
	if (ret == 0)
		ret = publish_scratch(t->p, &t->was_fd, e);
	if (ret == 0)
		ret = unpack_was(t, fd, e);
	if (fd >= 0)
		close(fd);
	return ret == 0 ? 0 : err_prefix(e, "%s", path);
}

static int
compare(struct publish_tree *t, struct err *e)
{
	int ret = merge(t, e);

	if (ret == 0 && t->was != NULL)
		ret = mark_held(t, e);
	if (ret == 0)
		ret = collect(t, e);
	return ret == 0 ? check_cache(t, e) : ret;
}

/* What needs no more than both texts, beside the comparison. */
static int
begin_spool(struct publish_tree *t, struct err *e)
{
	int ret = publish_scratch(t->p, &t->spool_fd, e);

	if (ret == 0)
		pool_submit(t->p->pool, publish_manifest_delta, t);
	return ret;
}

int
publish_diff(struct publish_tree *t, struct err *e)
{
	int ret = 0, done;

	if (t->was != NULL && digest_equal(&t->was->manifest, &t->t->manifest))
		return 0;
	progress_begin(t->p->options->progress, "comparing", t->t->name);
	if (t->was != NULL && !t->was_begun)
		ret = publish_open_was(t, e);
	if (ret == 0 && t->was != NULL && !t->p->options->noop)
		ret = begin_spool(t, e);
	if (ret == 0)
		ret = compare(t, e);
	done = pool_wait(t->p->pool, ret == 0 ? e : NULL);
	return ret == 0 ? done : ret;
}

void
publish_diff_forget(struct publish_tree *t)
{
	struct table_node *n;

	while ((n = table_pop(&t->table)) != NULL)
		free(n);
	table_release(&t->table);
	for (size_t i = 0; i < t->wanted_count; i++)
		free(t->wanted[i]);
	free(t->wanted);
	for (size_t i = 0; i < t->removed_count; i++)
		free(t->removed[i].path);
	free(t->removed);
	t->wanted = NULL;
	t->removed = NULL;
	t->wanted_count = t->removed_count = t->removed_room = 0;
}
