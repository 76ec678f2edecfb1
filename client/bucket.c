/* Finding things in kept runs; runs in the applier. */
#include "client/bucket.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/operand.h"
#include "common/fsat.h"

/* ---- each ---- */

struct visit {
	const struct bucket_choice *choice;
	const char *top;
	bucket_fn fn;
	void *arg;
};

static bool
is_chosen(const struct bucket_choice *c, const struct kept_facts *f)
{
	return (!c->is_number || f->number == c->number) &&
	    (!c->is_serial || (f->was.is_any && f->was.serial == c->serial));
}

static int
visit_run(struct kept *k, const struct visit *v, struct err *e)
{
	struct bucket_entry entry = { .facts = *kept_facts(k) };
	struct kept_item item;
	bool more = true;
	int rc = 0;

	if (!is_chosen(v->choice, &entry.facts))
		return 0;
	while (rc == 0 && (rc = kept_next(k, &item, &more, e)) == 0 && more) {
		if (item.m == NULL || item.state == KEPT_CONTEXT ||
		    (v->top != NULL && !operand_within(item.path, v->top)))
			continue;
		entry.state = item.state;
		entry.index = item.index;
		entry.path = item.path;
		entry.m = item.m;
		rc = v->fn(v->arg, &entry, e);
	}
	return rc;
}

int
bucket_each(int state, const struct bucket_choice *choice, const char *top,
    bucket_fn fn, void *arg, struct err *e)
{
	const struct visit v = { choice, top, fn, arg };
	uint64_t *numbers = NULL;
	size_t count = 0;
	int rc = kept_list(state, &numbers, &count, e);

	while (rc == 0 && count > 0) {
		struct kept *k = NULL;

		rc = kept_open(state, numbers[--count], &k, e);
		if (rc == 0)
			rc = visit_run(k, &v, e);
		kept_free(k);
	}
	free(numbers);
	return rc;
}

/* ---- one ---- */

struct finding {
	const char *path;
	struct bucket_item *item;
	bool found;
};

void
bucket_item_release(struct bucket_item *item)
{
	for (size_t i = 0; i < sizeof(item->texts) / sizeof(*item->texts); i++)
		free(item->texts[i]);
	memset(item, 0, sizeof(*item));
}

static int
own(char **dst, const char *text, size_t len, struct err *e)
{
	*dst = strndup(text != NULL ? text : "", text != NULL ? len : 0);
	return *dst != NULL ? 0 : err_memory(e);
}

static int
own_text(char **dst, const char *text, struct err *e)
{
	return own(dst, text, text != NULL ? strlen(text) : 0, e);
}

static int
copy_entry(
    struct bucket_item *item, const struct bucket_entry *entry, struct err *e)
{
	const struct manifest_entry *m = entry->m;
	char **t = item->texts;

	if (own_text(&t[0], entry->path, e) != 0 ||
	    own_text(&t[1], m->owner, e) != 0 ||
	    own_text(&t[2], m->group, e) != 0 ||
	    own_text(&t[3], m->target, e) != 0 ||
	    own(&t[4], m->xattrs.text, m->xattrs.len, e) != 0)
		return ERR_NO_MEMORY;
	item->entry = *entry;
	item->m = *m;
	item->entry.path = item->m.path = t[0];
	item->entry.m = &item->m;
	item->m.owner = t[1];
	item->m.group = t[2];
	item->m.target = t[3];
	item->m.xattrs.text = t[4];
	return 0;
}

static int
take_first(void *arg, const struct bucket_entry *entry, struct err *e)
{
	struct finding *f = arg;

	assert(f->path != NULL);
	if (f->found || strcmp(entry->path, f->path) != 0)
		return 0;
	f->found = true;
	return copy_entry(f->item, entry, e);
}

int
bucket_find(int state, const struct bucket_choice *choice, const char *path,
    struct bucket_item *out, struct err *e)
{
	struct finding f = { .path = path, .item = out };
	int rc;

	memset(out, 0, sizeof(*out));
	rc = bucket_each(state, choice, path, take_first, &f, e);
	if (rc == 0 && !f.found)
		rc = err_set(e, ERR_NOT_FOUND,
		    "%s: no kept run%s replaced, changed or deleted it; see "
		    "pecia bucket list",
		    path,
		    choice->is_number || choice->is_serial ? " of these" : "");
	if (rc != 0)
		bucket_item_release(out);
	return rc;
}

/* ---- content ---- */

/* Opens a file and says what its digest is; it is at its beginning. */
static int
open_hashed(
    int dir, const char *path, int *fd, struct digest *digest, struct err *e)
{
	int rc = fsat_open_file(dir, path, fd, e);

	if (rc != 0)
		return rc;
	rc = digest_of_fd(*fd, UINT64_MAX, digest, NULL, e);
	if (rc == 0 && lseek(*fd, 0, SEEK_SET) < 0)
		rc = err_sys(e, "%s", path);
	if (rc != 0) {
		close(*fd);
		*fd = -1;
	}
	return rc;
}

struct wanted {
	int state;
	const struct digest *digest;
	int fd;
};

static int
take_content(void *arg, const struct bucket_entry *entry, struct err *e)
{
	struct wanted *w = arg;
	char path[KEPT_PATH_BYTES];
	struct err ignored = ERR_INIT;
	struct digest got;

	(void)e;
	if (w->fd >= 0 || entry->state != KEPT_CONTENT ||
	    !digest_equal(&entry->m->digest, w->digest))
		return 0;
	kept_content_path(path, entry->facts.number, entry->index);
	if (open_hashed(w->state, path, &w->fd, &got, &ignored) == 0 &&
	    !digest_equal(&got, w->digest)) {
		close(w->fd);
		w->fd = -1;
	}
	return 0;
}

int
bucket_open_digest(
    int state, const struct digest *digest, int *fd, struct err *e)
{
	const struct bucket_choice all = { .is_number = false };
	struct wanted w = { state, digest, -1 };
	int rc = bucket_each(state, &all, NULL, take_content, &w, e);

	if (rc != 0) {
		if (w.fd >= 0)
			close(w.fd);
		return rc;
	}
	*fd = w.fd;
	return w.fd >= 0
	    ? 0
	    : err_set(e, ERR_NOT_FOUND, "no kept run has this content");
}

/* A file whose metadata alone were changed: the content stayed in its place,
 * unless a later run took it. */
static int
open_left(const struct session *s, const struct bucket_item *item, int *fd,
    struct err *e)
{
	struct err ignored = ERR_INIT;
	struct digest got;

	if (open_hashed(s->root, item->m.path, fd, &got, &ignored) == 0) {
		if (digest_equal(&got, &item->m.digest))
			return 0;
		close(*fd);
		*fd = -1;
	}
	if (bucket_open_digest(s->state.dir, &item->m.digest, fd, &ignored) ==
	    0)
		return 0;
	return err_set(e, ERR_NOT_FOUND,
	    "%s: that run changed its metadata only, and its content is not "
	    "here any more",
	    item->m.path);
}

static int
open_file(const struct session *s, const struct bucket_item *item, int *fd,
    bool *changed, struct err *e)
{
	char path[KEPT_PATH_BYTES];
	struct digest got;
	int rc;

	if (item->entry.state != KEPT_CONTENT)
		return open_left(s, item, fd, e);
	kept_content_path(path, item->entry.facts.number, item->entry.index);
	rc = open_hashed(s->state.dir, path, fd, &got, e);
	if (rc == 0)
		*changed = !digest_equal(&got, &item->m.digest);
	return rc;
}

static int
open_first(const struct session *s, const struct bucket_item *item, int *fd,
    bool *changed, struct err *e)
{
	const struct bucket_choice run = { .is_number = true,
		.number = item->entry.facts.number };
	struct err why = ERR_INIT;
	struct bucket_item first;
	int rc = bucket_find(s->state.dir, &run, item->m.target, &first, &why);

	/* The run left it alone: it is still there. */
	if (rc == ERR_NOT_FOUND)
		return fsat_open_file(s->root, item->m.target, fd, e);
	if (rc != 0) {
		*e = why;
		return rc;
	}
	rc = first.m.type != MANIFEST_FILE
	    ? err_set(
	          e, ERR_FORMAT, "%s: a link to what is no file", item->m.path)
	    : open_file(s, &first, fd, changed, e);
	bucket_item_release(&first);
	return rc;
}

int
bucket_open(const struct session *s, const struct bucket_item *item, int *fd,
    bool *changed, struct err *e)
{
	*changed = false;
	if (item->m.type == MANIFEST_HARDLINK)
		return open_first(s, item, fd, changed, e);
	if (item->m.type == MANIFEST_FILE)
		return open_file(s, item, fd, changed, e);
	return err_set(e, ERR_UNSUPPORTED,
	    "%s: it was no regular file; bucket restore makes it again",
	    item->m.path);
}
