/* Kept runs put together; runs in the applier. */
#include "client/past.h"

#include <stdlib.h>

#include "transcripts/compare.h"

#define TEXT_MAX ((size_t)1 << 32)

/* What one record says of one path. */
struct mention {
	char *path;
	size_t age; /* of its run: 0 the oldest */
	enum kept_state state;
	uint64_t index;          /* KEPT_CONTENT */
	uint8_t type;            /* but for KEPT_ABSENT: */
	struct manifest_entry m; /* with texts of its own */
	char *texts;             /* owner, group, target, xattrs */
	bool dropped;
	bool has_content; /* a regular file's digest is that of kept content */
};

struct past {
	const struct session *s;
	struct kept_release was;
	uint64_t *numbers; /* of the runs, oldest first */
	size_t runs;
	struct mention *list; /* sorted by path, then by age, until chosen */
	size_t count, room;
	struct buf text; /* the manifest */
	struct reader in;
	struct manifest_reader *reader;
	struct layer_source source;
	struct layer *layer;
};

static void
close_layer(struct past *p)
{
	layer_free(p->layer);
	manifest_reader_free(p->reader);
	p->layer = NULL;
	p->reader = NULL;
}

void
past_free(struct past *p)
{
	if (p == NULL)
		return;
	close_layer(p);
	for (size_t i = 0; i < p->count; i++) {
		free(p->list[i].path);
		free(p->list[i].texts);
	}
	free(p->list);
	free(p->numbers);
	buf_release(&p->text);
	free(p);
}

const struct kept_release *
past_release(const struct past *p)
{
	return &p->was;
}

/* ---- reading the records ---- */

static void
add_text(struct buf *b, const char *s)
{
	const char *text = s != NULL ? s : "";

	buf_add(b, text, strlen(text) + 1);
}

/* Copies the entry's texts. */
static int
own_entry(struct mention *x, const struct manifest_entry *m, struct err *e)
{
	struct buf b;
	char *at;
	int rc;

	buf_init(&b, SIZE_MAX / 2);
	add_text(&b, m->owner);
	add_text(&b, m->group);
	add_text(&b, m->target);
	if (m->xattrs.len > 0)
		buf_add(&b, m->xattrs.text, m->xattrs.len);
	buf_add_byte(&b, '\0');
	if ((rc = buf_check(&b, "kept", e)) != 0) {
		buf_release(&b);
		return rc;
	}
	x->m = *m;
	x->m.path = x->path;
	at = x->texts = (char *)buf_detach(&b, NULL);
	x->m.owner = at;
	x->m.group = at += strlen(at) + 1;
	x->m.target = at += strlen(at) + 1;
	x->m.xattrs.text = at + strlen(at) + 1;
	return 0;
}

static int
add_mention(
    struct past *p, const struct kept_item *item, size_t age, struct err *e)
{
	struct mention *x;
	int rc = 0;

	if (p->count == p->room) {
		size_t room = p->room == 0 ? 256 : 2 * p->room;

		x = reallocarray(p->list, room, sizeof(*x));
		if (x == NULL)
			return err_memory(e);
		p->list = x;
		p->room = room;
	}
	x = &p->list[p->count];
	*x = (struct mention){ .path = strdup(item->path),
		.age = age,
		.state = item->state,
		.index = item->index,
		.has_content = item->state == KEPT_CONTENT };
	if (x->path == NULL)
		return err_memory(e);
	p->count++;
	if (item->m != NULL)
		rc = own_entry(x, item->m, e);
	return rc;
}

/* A run that only put right what others had changed: on the way back to an
 * older state, that is not to be wrong again. */
static bool
is_repair(const struct kept_facts *f)
{
	return f->was.is_any && f->now.is_any &&
	    digest_equal(&f->was.release, &f->now.release) &&
	    strcmp(f->was.profile, f->now.profile) == 0;
}

static int
read_run(struct past *p, size_t age, struct err *e)
{
	struct kept_item item;
	struct kept *k = NULL;
	bool more = true;
	int rc = kept_open(p->s->state.dir, p->numbers[age], &k, e);

	if (rc == 0 && age == 0)
		p->was = kept_facts(k)->was;
	else if (rc == 0 && is_repair(kept_facts(k)))
		more = false;
	while (more && rc == 0 && (rc = kept_next(k, &item, &more, e)) == 0 &&
	    more)
		if ((rc = add_mention(p, &item, age, e)) != 0)
			break;
	kept_free(k);
	return rc;
}

static int
mention_cmp(const void *a, const void *b)
{
	const struct mention *x = a, *y = b;
	int order = compare_paths(x->path, y->path);

	if (order != 0)
		return order;
	return x->age < y->age ? -1 : x->age > y->age;
}

static int
read_runs(struct past *p, uint64_t from, struct err *e)
{
	uint64_t *all = NULL;
	size_t count = 0, first = 0;
	int rc = kept_list(p->s->state.dir, &all, &count, e);

	if (rc != 0)
		return rc;
	while (first < count && all[first] < from)
		first++;
	p->runs = count - first;
	p->numbers = calloc(p->runs + 1, sizeof(*all));
	if (p->numbers == NULL)
		rc = err_memory(e);
	else if (p->runs > 0)
		memcpy(p->numbers, all + first, p->runs * sizeof(*all));
	free(all);
	for (size_t age = 0; age < p->runs && rc == 0; age++)
		rc = read_run(p, age, e);
	if (rc == 0 && p->count > 0)
		qsort(p->list, p->count, sizeof(*p->list), mention_cmp);
	return rc;
}

/* ---- content ---- */

/* The mention that counts for a path, of those in [from, to): the oldest of a
 * change, or the oldest. */
static size_t
choose(const struct past *p, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		if (p->list[i].state != KEPT_CONTEXT)
			return i;
	return from;
}

/* A run that only changed metadata left the content to a later one. */
static int
find_content(struct past *p, size_t at, size_t to, struct err *e)
{
	struct mention *x = &p->list[at];
	int rc;

	if (x->state == KEPT_ABSENT || x->m.type != MANIFEST_FILE)
		return 0;
	for (size_t i = at; i < to; i++) {
		struct mention *y = &p->list[i];

		if (y->state == KEPT_ABSENT)
			break;
		if (y->state != KEPT_CONTENT)
			continue;
		rc = kept_content_now(
		    p->s->state.dir, p->numbers[y->age], y->index, &y->m, e);
		if (rc != 0)
			return rc;
		x->m.digest = y->m.digest;
		x->m.size_bytes = y->m.size_bytes;
		x->has_content = true;
		break;
	}
	return 0;
}

/* One mention a path stays. */
static int
choose_all(struct past *p, struct err *e)
{
	int rc = 0;

	for (size_t from = 0, to, at; from < p->count && rc == 0; from = to) {
		for (to = from + 1; to < p->count &&
		     strcmp(p->list[to].path, p->list[from].path) == 0;
		     to++)
			;
		at = choose(p, from, to);
		rc = find_content(p, at, to, e);
		for (size_t i = from; i < to; i++)
			p->list[i].dropped = i != at;
	}
	return rc;
}

static void
compact(struct past *p)
{
	size_t kept = 0;

	for (size_t i = 0; i < p->count; i++) {
		if (p->list[i].dropped) {
			free(p->list[i].path);
			free(p->list[i].texts);
		} else {
			p->list[kept++] = p->list[i];
		}
	}
	p->count = kept;
}

/* ---- one tree ---- */

static const struct mention *
find(const struct past *p, const char *path)
{
	size_t lo = 0, hi = p->count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int order = compare_paths(p->list[mid].path, path);

		if (order == 0)
			return &p->list[mid];
		if (order < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

/* Below what was no directory there was nothing, whatever later runs found. */
static void
drop_orphans(struct past *p)
{
	char parent[LIMIT_PATH_BYTES + 1];

	for (size_t i = 0; i < p->count; i++) {
		struct mention *x = &p->list[i];
		const char *slash = strrchr(x->path, '/');
		const struct mention *up;

		if (slash == NULL || x->state == KEPT_ABSENT)
			continue;
		memcpy(parent, x->path, (size_t)(slash - x->path));
		parent[slash - x->path] = '\0';
		up = find(p, parent);
		x->dropped = up == NULL || up->dropped ||
		    up->state == KEPT_ABSENT || up->m.type != MANIFEST_DIR;
	}
}

/* A link whose first name was no file then cannot be made. */
static void
drop_links(struct past *p)
{
	for (size_t i = 0; i < p->count; i++) {
		struct mention *x = &p->list[i];
		const struct mention *first;

		if (x->state == KEPT_ABSENT || x->m.type != MANIFEST_HARDLINK)
			continue;
		first = find(p, x->m.target);
		x->dropped = first == NULL || first->state == KEPT_ABSENT ||
		    first->m.type != MANIFEST_FILE;
	}
}

static int
text_sink(void *arg, const void *data, size_t len, struct err *e)
{
	struct past *p = arg;

	buf_add(&p->text, data, len);
	return buf_check(&p->text, "kept", e);
}

static int
write_text(struct past *p, struct err *e)
{
	struct manifest_writer *w = NULL;
	struct manifest_totals totals;
	int rc = manifest_writer_new(text_sink, p, &w, e);

	for (size_t i = 0; i < p->count && rc == 0; i++)
		if (p->list[i].state != KEPT_ABSENT)
			rc = manifest_writer_add(w, &p->list[i].m, e);
	if (rc == 0)
		rc = manifest_writer_end(w, &totals, e);
	manifest_writer_free(w);
	return rc;
}

int
past_open(
    const struct session *s, uint64_t from, struct past **out, struct err *e)
{
	struct past *p = calloc(1, sizeof(*p));
	int rc;

	if (p == NULL)
		return err_memory(e);
	p->s = s;
	buf_init(&p->text, TEXT_MAX);
	rc = read_runs(p, from, e);
	if (rc == 0)
		rc = choose_all(p, e);
	if (rc == 0) {
		compact(p);
		drop_orphans(p);
		compact(p);
		drop_links(p);
		compact(p);
		rc = write_text(p, e);
	}
	if (rc != 0)
		past_free(p);
	else
		*out = p;
	return rc;
}

static int
text_source(void *arg, void *dst, size_t size, size_t *got, struct err *e)
{
	struct reader *r = arg;

	(void)e;
	*got = size < reader_left(r) ? size : reader_left(r);
	return *got == 0 ? 0 : reader_copy(r, dst, *got);
}

int
past_layer(struct past *p, struct layer **out, struct err *e)
{
	int rc;

	close_layer(p);
	reader_init(&p->in, p->text.data, p->text.len);
	rc = manifest_reader_new(text_source, &p->in, &p->reader, e);
	if (rc != 0)
		return rc;
	p->source = (struct layer_source){ .name = "kept",
		.reader = p->reader,
		.target = "/",
		.own_target = true };
	rc = layer_new(&p->source, 1, &p->layer, e);
	if (rc == 0)
		*out = p->layer;
	return rc;
}

enum past_state
past_state(const struct past *p, const char *path)
{
	const struct mention *x = find(p, path), *first = x;

	if (x == NULL || x->state == KEPT_CONTEXT)
		return PAST_UNTOUCHED;
	if (x->state == KEPT_ABSENT)
		return PAST_ABSENT;
	if (x->m.type == MANIFEST_HARDLINK)
		first = find(p, x->m.target);
	if (first != x && first->state == KEPT_CONTEXT)
		return PAST_CONTENT; /* that file is still there */
	return first->m.type != MANIFEST_FILE || first->has_content
	    ? PAST_CONTENT
	    : PAST_META;
}

int
past_each_absent(const struct past *p, past_fn fn, void *arg, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; i < p->count && rc == 0; i++)
		if (p->list[i].state == KEPT_ABSENT)
			rc = fn(arg, p->list[i].path, e);
	return rc;
}
