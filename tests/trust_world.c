#include "tests/trust_world.h"

#include <check.h>

#include "common/text.h"

struct buf *
store_find(struct store *s, const char *name)
{
	size_t i;

	for (i = 0; i < s->count; i++) {
		if (strcmp(s->files[i].name, name) == 0)
			return &s->files[i].data;
	}
	return NULL;
}

static int
store_get(void *arg, const char *name, struct buf *out, struct err *e)
{
	struct buf *b = store_find(arg, name);

	if (b == NULL)
		return err_set(e, ERR_NOT_FOUND, "%s: not there", name);
	buf_add(out, b->data, b->len);
	return 0;
}

/* Each part of a name is a name: whatever a statement says, no path. */
static void
must_be_safe(const char *name)
{
	size_t len;

	for (;; name += len + 1) {
		len = strcspn(name, "/");
		ck_assert_msg(text_is_name(name, len) || len > 64, "%s", name);
		ck_assert_int_ne(name[0], '.');
		if (name[len] == '\0')
			return;
	}
}

static int
store_put(
    void *arg, const char *name, const void *data, size_t len, struct err *e)
{
	struct store *s = arg;
	struct buf *b = store_find(s, name);

	must_be_safe(name);
	if (++s->puts == s->fail_at)
		return err_set(e, ERR_SYS, "no space left");
	if (b == NULL) {
		ck_assert_uint_lt(s->count, STORE_FILES);
		(void)snprintf(s->files[s->count].name,
		    sizeof(s->files[s->count].name), "%s", name);
		b = &s->files[s->count++].data;
		buf_init(b, LIMIT_RELEASE_BYTES);
	}
	buf_clear(b);
	buf_add(b, data, len);
	return buf_check(b, name, e);
}

void
store_forget(struct store *s, const char *name)
{
	size_t i;

	for (i = 0; i < s->count; i++) {
		if (strcmp(s->files[i].name, name) == 0)
			s->files[i].name[0] = '\0';
	}
}

void
store_release(struct store *s)
{
	size_t i;

	for (i = 0; i < s->count; i++)
		buf_release(&s->files[i].data);
}

void
world_restart(struct world *w)
{
	trust_free(w->trust);
	w->trust = NULL;
	ck_assert_msg(trust_load(&w->callbacks, &w->anchor, w->now, &w->trust,
	                  &w->e) == 0,
	    "%s", w->e.msg);
}

int
world_offer_root(struct world *w, const struct buf *text)
{
	return trust_offer_root(w->trust, text->data, text->len, &w->e);
}

int
world_offer_roster(struct world *w, const struct buf *text)
{
	return trust_offer_roster(w->trust, text->data, text->len, &w->e);
}

int
world_offer_head(struct world *w, const struct buf *text)
{
	struct head h;

	return trust_offer_head(
	    w->trust, SAMPLE_CHANNEL, text->data, text->len, &h, &w->e);
}

int
world_commit(struct world *w, const struct buf *text)
{
	return trust_commit_head(
	    w->trust, SAMPLE_CHANNEL, text->data, text->len, &w->e);
}

void
world_open(struct world *w)
{
	struct roster roster;
	struct buf text;

	memset(w, 0, sizeof(*w));
	w->callbacks = (struct trust_store){ store_get, store_put, &w->store };
	w->now = SAMPLE_NOW;
	sample_root(&w->root);
	sample_root_text(&text, &w->root);
	digest_of(text.data, text.len, &w->anchor);
	world_restart(w);
	ck_assert_ptr_null(trust_root(w->trust));
	ck_assert_msg(world_offer_root(w, &text) == 0, "%s", w->e.msg);
	buf_release(&text);
	sample_roster(&roster);
	sample_roster_text(&text, &roster);
	ck_assert_msg(world_offer_roster(w, &text) == 0, "%s", w->e.msg);
	roster_release(&roster);
	buf_release(&text);
}

void
world_close(struct world *w)
{
	trust_free(w->trust);
	store_release(&w->store);
}

void
world_make_release(struct buf *text, uint64_t serial, char variant)
{
	struct digest previous = { { 0 } };
	struct release r;
	uint64_t i;

	for (i = 1; i <= serial; i++) {
		sample_release(&r);
		r.serial = i;
		if (i == serial)
			r.message[0] = variant;
		else
			r.message[0] = 'a';
		r.has_previous = i > 1;
		r.previous = previous;
		sample_release_text(text, &r);
		digest_of(text->data, text->len, &previous);
		release_release(&r);
		if (i < serial)
			buf_release(text);
	}
}

void
world_head_fields(struct head *h, uint64_t serial, char variant)
{
	struct buf release = { 0 };

	sample_head(h);
	world_make_release(&release, serial, variant);
	h->serial = serial;
	digest_of(release.data, release.len, &h->release);
	h->release_bytes = release.len;
	buf_release(&release);
}

void
world_make_head(struct buf *text, uint64_t serial, char variant)
{
	struct head h;

	world_head_fields(&h, serial, variant);
	sample_head_text(text, &h);
}

int
world_accept(struct world *w, uint64_t serial, char variant)
{
	struct buf head = { 0 }, release = { 0 };
	struct release r;
	struct head h;
	int rc;

	world_make_head(&head, serial, variant);
	world_make_release(&release, serial, variant);
	rc = trust_offer_head(
	    w->trust, SAMPLE_CHANNEL, head.data, head.len, &h, &w->e);
	if (rc == 0)
		rc = trust_accept_release(
		    w->trust, &h, release.data, release.len, &r, &w->e);
	if (rc == 0) {
		release_release(&r);
		rc = world_commit(w, &head);
	}
	buf_release(&head);
	buf_release(&release);
	return rc;
}

uint64_t
world_serial(struct world *w)
{
	const struct head *h;

	ck_assert_int_eq(trust_head(w->trust, SAMPLE_CHANNEL, &h, &w->e), 0);
	return h == NULL ? 0 : h->serial;
}

void
world_make_root(struct world *w, struct buf *text)
{
	w->root.version++;
	sample_root_text(text, &w->root);
}

void
world_replace_key(struct world *w, enum root_role role, enum sample_key old,
    enum sample_key new)
{
	struct key_public key;
	char id[KEY_ID_HEX];

	sample_id(old, id);
	sample_public(new, &key);
	ck_assert_int_eq(root_add_key(&w->root, role, &key, &w->e), 0);
	ck_assert_int_eq(root_remove_key(&w->root, role, id, &w->e), 0);
}
