/* The chain of trust: what may follow what, and what is kept of it. */
#include "transcripts/trust.h"

#include <check.h>

#include "common/text.h"
#include "tests/samples.h"

/* A store in memory; a put may be made to fail. */
#define STORE_FILES 64

struct store {
	struct {
		char name[256];
		struct buf data;
	} files[STORE_FILES];
	size_t count;
	unsigned puts;
	unsigned fail_at; /* the put that fails, from 1; 0: none */
};

static struct buf *
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
		snprintf(s->files[s->count].name,
		    sizeof(s->files[s->count].name), "%s", name);
		b = &s->files[s->count++].data;
		buf_init(b, LIMIT_RELEASE_BYTES);
	}
	buf_clear(b);
	buf_add(b, data, len);
	return buf_check(b, name, e);
}

static void
store_forget(struct store *s, const char *name)
{
	struct buf *b = store_find(s, name);

	ck_assert_ptr_nonnull(b);
	b = NULL;
	for (size_t i = 0; i < s->count; i++) {
		if (strcmp(s->files[i].name, name) == 0)
			s->files[i].name[0] = '\0';
	}
}

/* One side, and the origin that it hears of. */
struct world {
	struct store store;
	struct trust_store callbacks;
	struct digest anchor;
	struct root root; /* the newest that the origin made */
	struct trust *trust;
	time_t now;
	struct err e;
};

static struct world world;

static void
load(struct world *w)
{
	trust_free(w->trust);
	w->trust = NULL;
	ck_assert_msg(trust_load(&w->callbacks, &w->anchor, w->now, &w->trust,
	                  &w->e) == 0,
	    "%s", w->e.msg);
}

static int
offer_root(struct world *w, const struct buf *text)
{
	return trust_offer_root(w->trust, text->data, text->len, &w->e);
}

static int
offer_roster(struct world *w, const struct buf *text)
{
	return trust_offer_roster(w->trust, text->data, text->len, &w->e);
}

static int
offer_head(struct world *w, const struct buf *text)
{
	struct head h;

	return trust_offer_head(
	    w->trust, SAMPLE_CHANNEL, text->data, text->len, &h, &w->e);
}

static int
commit(struct world *w, const struct buf *text)
{
	return trust_commit_head(
	    w->trust, SAMPLE_CHANNEL, text->data, text->len, &w->e);
}

/* A world that holds root 1 and roster 1. */
static void
setup(void)
{
	struct world *w = &world;
	struct roster roster;
	struct buf text;

	memset(w, 0, sizeof(*w));
	w->callbacks = (struct trust_store){ store_get, store_put, &w->store };
	w->now = SAMPLE_NOW;
	sample_root(&w->root);
	sample_root_text(&text, &w->root);
	digest_of(text.data, text.len, &w->anchor);
	load(w);
	ck_assert_ptr_null(trust_root(w->trust));
	ck_assert_msg(offer_root(w, &text) == 0, "%s", w->e.msg);
	buf_release(&text);
	sample_roster(&roster);
	sample_roster_text(&text, &roster);
	ck_assert_msg(offer_roster(w, &text) == 0, "%s", w->e.msg);
	roster_release(&roster);
	buf_release(&text);
}

static void
teardown(void)
{
	size_t i;

	trust_free(world.trust);
	for (i = 0; i < world.store.count; i++)
		buf_release(&world.store.files[i].data);
}

/* A release of this serial; `variant` is the first byte of its message.  The
 * release before it is of variant 'a'. */
static void
make_release(struct buf *text, uint64_t serial, char variant)
{
	struct release r;
	struct buf before;

	sample_release(&r);
	r.serial = serial;
	r.message[0] = variant;
	if (serial > 1) {
		make_release(&before, serial - 1, 'a');
		r.has_previous = true;
		digest_of(before.data, before.len, &r.previous);
		buf_release(&before);
	}
	sample_release_text(text, &r);
	release_release(&r);
}

static void
head_fields(struct head *h, uint64_t serial, char variant)
{
	struct buf release;

	sample_head(h);
	make_release(&release, serial, variant);
	h->serial = serial;
	digest_of(release.data, release.len, &h->release);
	h->release_bytes = release.len;
	buf_release(&release);
}

static void
make_head(struct buf *text, uint64_t serial, char variant)
{
	struct head h;

	head_fields(&h, serial, variant);
	sample_head_text(text, &h);
}

/* Offers head and release, and commits. */
static int
accept_serial(struct world *w, uint64_t serial, char variant)
{
	struct buf head, release;
	struct release r;
	struct head h;
	int rc;

	make_head(&head, serial, variant);
	make_release(&release, serial, variant);
	rc = trust_offer_head(
	    w->trust, SAMPLE_CHANNEL, head.data, head.len, &h, &w->e);
	if (rc == 0)
		rc = trust_accept_release(
		    w->trust, &h, release.data, release.len, &r, &w->e);
	if (rc == 0) {
		release_release(&r);
		rc = commit(w, &head);
	}
	buf_release(&head);
	buf_release(&release);
	return rc;
}

static uint64_t
accepted_serial(struct world *w)
{
	const struct head *h;

	ck_assert_int_eq(trust_head(w->trust, SAMPLE_CHANNEL, &h, &w->e), 0);
	return h == NULL ? 0 : h->serial;
}

/* The origin's next root, after `change` of its keys. */
static void
make_next_root(struct world *w, struct buf *text)
{
	w->root.version++;
	sample_root_text(text, &w->root);
}

static void
replace_key(struct world *w, enum root_role role, enum sample_key old,
    enum sample_key new)
{
	struct key_public key;
	char id[KEY_ID_HEX];

	sample_id(old, id);
	sample_public(new, &key);
	ck_assert_int_eq(root_add_key(&w->root, role, &key, &w->e), 0);
	ck_assert_int_eq(root_remove_key(&w->root, role, id, &w->e), 0);
}

START_TEST(first_run_takes_the_anchor_and_nothing_else)
{
	struct world *w = &world;
	struct store other = { .count = 0 };
	struct buf text;
	struct head h;

	w->callbacks.arg = &other;
	load(w);
	ck_assert_ptr_null(trust_root(w->trust));
	ck_assert_ptr_null(trust_roster(w->trust));
	ck_assert_uint_eq(trust_alarms(w->trust, SAMPLE_CHANNEL), 0);
	make_head(&text, 1, 'a');
	ck_assert_int_eq(offer_head(w, &text), ERR_NOT_FOUND);
	ck_assert_int_eq(offer_roster(w, &text), ERR_NOT_FOUND);
	buf_release(&text);
	w->root.expires++;
	sample_root_text(&text, &w->root);
	ck_assert_int_eq(offer_root(w, &text), ERR_VERIFY);
	ck_assert_ptr_null(trust_root(w->trust));
	ck_assert_uint_eq(other.puts, 0);
	buf_release(&text);
	make_head(&text, 1, 'a');
	ck_assert_int_eq(trust_offer_head(w->trust, "../etc", text.data,
	                     text.len, &h, &w->e),
	    ERR_USAGE);
	buf_release(&text);
}
END_TEST

START_TEST(accepted_release_is_found_again_after_a_restart)
{
	struct world *w = &world;
	const struct head *h;
	struct release r;

	ck_assert_uint_eq(accepted_serial(w), 0);
	ck_assert_msg(accept_serial(w, 1, 'a') == 0, "%s", w->e.msg);
	ck_assert_msg(accept_serial(w, 2, 'a') == 0, "%s", w->e.msg);
	load(w);
	ck_assert_uint_eq(accepted_serial(w), 2);
	ck_assert_int_eq(trust_head(w->trust, SAMPLE_CHANNEL, &h, &w->e), 0);
	ck_assert_int_eq(trust_find_release(w->trust, h, &r, &w->e), 0);
	ck_assert_uint_eq(r.serial, 2);
	ck_assert_uint_eq(trust_root(w->trust)->version, 1);
	ck_assert_uint_eq(trust_roster(w->trust)->version, 1);
	ck_assert_uint_eq(trust_alarms(w->trust, SAMPLE_CHANNEL), 0);
	release_release(&r);
}
END_TEST

START_TEST(offered_head_is_not_accepted_until_it_is_committed)
{
	struct world *w = &world;
	struct buf head;

	ck_assert_int_eq(accept_serial(w, 1, 'a'), 0);
	make_head(&head, 2, 'a');
	ck_assert_int_eq(offer_head(w, &head), 0);
	ck_assert_uint_eq(accepted_serial(w), 1);
	/* Its release never came. */
	ck_assert_int_eq(commit(w, &head), ERR_NOT_FOUND);
	ck_assert_uint_eq(accepted_serial(w), 1);
	load(w);
	ck_assert_uint_eq(accepted_serial(w), 1);
	/* The next attempt may still succeed. */
	ck_assert_int_eq(accept_serial(w, 2, 'a'), 0);
	ck_assert_uint_eq(accepted_serial(w), 2);
	buf_release(&head);
}
END_TEST

START_TEST(serial_lower_than_one_seen_is_a_rollback_even_after_a_restart)
{
	struct world *w = &world;
	struct buf head;

	ck_assert_int_eq(accept_serial(w, 2, 'a'), 0);
	make_head(&head, 1, 'a');
	ck_assert_int_eq(offer_head(w, &head), ERR_ROLLBACK);
	ck_assert_int_eq(commit(w, &head), ERR_ROLLBACK);
	buf_release(&head);
	make_head(&head, 5, 'a'); /* seen, not accepted */
	ck_assert_int_eq(offer_head(w, &head), 0);
	buf_release(&head);
	load(w);
	make_head(&head, 4, 'a');
	ck_assert_int_eq(offer_head(w, &head), ERR_ROLLBACK);
	ck_assert_ptr_nonnull(strstr(w->e.msg, "5 was seen before"));
	ck_assert_uint_eq(accepted_serial(w), 2);
	buf_release(&head);
}
END_TEST

START_TEST(expired_head_is_refused_when_new)
{
	struct world *w = &world;
	struct buf text;
	struct head h;

	ck_assert_int_eq(accept_serial(w, 1, 'a'), 0);
	head_fields(&h, 2, 'a');
	h.expires = w->now;
	sample_head_text(&text, &h);
	ck_assert_int_eq(offer_head(w, &text), ERR_EXPIRED);
	ck_assert_int_eq(commit(w, &text), ERR_EXPIRED);
	ck_assert_uint_eq(accepted_serial(w), 1);
	trust_set_time(w->trust, w->now - 1);
	ck_assert_int_eq(offer_head(w, &text), 0);
	buf_release(&text);
}
END_TEST

/* A mirror that repeats what it has for ever: the digest is unchanged, so
 * nothing is wrong but the time. */
START_TEST(expired_head_is_an_alarm_when_unchanged)
{
	struct world *w = &world;
	struct buf text;
	struct head h;

	ck_assert_int_eq(accept_serial(w, 1, 'a'), 0);
	ck_assert_uint_eq(trust_alarms(w->trust, SAMPLE_CHANNEL), 0);
	w->now += 2 * SAMPLE_DAY;
	trust_set_time(w->trust, w->now);
	make_head(&text, 1, 'a');
	ck_assert_int_eq(offer_head(w, &text), 0);
	ck_assert_uint_eq(
	    trust_alarms(w->trust, SAMPLE_CHANNEL), TRUST_ALARM_HEAD);
	ck_assert_uint_eq(trust_alarms(w->trust, NULL), 0);
	load(w);
	ck_assert_uint_eq(
	    trust_alarms(w->trust, SAMPLE_CHANNEL), TRUST_ALARM_HEAD);
	buf_release(&text);
	/* Signed again by the origin: the alarm ends. */
	head_fields(&h, 1, 'a');
	h.issued = w->now - 60;
	h.expires = w->now + SAMPLE_DAY;
	sample_head_text(&text, &h);
	ck_assert_int_eq(commit(w, &text), 0);
	ck_assert_uint_eq(trust_alarms(w->trust, SAMPLE_CHANNEL), 0);
	buf_release(&text);
}
END_TEST

START_TEST(older_copy_of_the_same_head_is_taken_and_does_not_replace)
{
	struct world *w = &world;
	const struct head *kept;
	struct buf text;
	struct head h;
	unsigned puts;

	ck_assert_int_eq(accept_serial(w, 1, 'a'), 0);
	puts = w->store.puts;
	head_fields(&h, 1, 'a');
	h.issued -= 600;
	h.expires = w->now - 1;
	sample_head_text(&text, &h);
	ck_assert_int_eq(offer_head(w, &text), 0);
	ck_assert_int_eq(commit(w, &text), 0);
	ck_assert_int_eq(trust_head(w->trust, SAMPLE_CHANNEL, &kept, &w->e), 0);
	ck_assert_int_eq(kept->issued, h.issued + 600);
	ck_assert_uint_eq(w->store.puts, puts);
	buf_release(&text);
}
END_TEST

START_TEST(two_releases_of_one_serial_are_a_fork_and_kept_as_evidence)
{
	struct world *w = &world;
	struct buf first, second, third, *kept;

	make_head(&first, 1, 'a');
	make_head(&second, 1, 'b');
	make_head(&third, 1, 'c');
	if (_i == 0)
		ck_assert_int_eq(accept_serial(w, 1, 'a'), 0);
	else /* only seen */
		ck_assert_int_eq(offer_head(w, &first), 0);
	if (_i == 2)
		load(w);
	ck_assert_int_eq(offer_head(w, &second), ERR_CONFLICT);
	ck_assert_msg(strstr(w->e.msg, "fork") != NULL, "%s", w->e.msg);
	ck_assert_uint_eq(trust_alarms(w->trust, NULL), TRUST_ALARM_FORK);
	ck_assert_int_eq(commit(w, &third), ERR_CONFLICT);
	kept = store_find(&w->store, "evidence/channel/production.1.kept");
	ck_assert_ptr_nonnull(kept);
	ck_assert_str_eq(buf_str(kept), buf_str(&first));
	kept = store_find(&w->store, "evidence/channel/production.1.other");
	ck_assert_ptr_nonnull(kept);
	ck_assert_str_eq(buf_str(kept), buf_str(&second));
	ck_assert_uint_eq(accepted_serial(w), _i == 0 ? 1 : 0);
	buf_release(&first);
	buf_release(&second);
	buf_release(&third);
}
END_TEST

/* The other history shows in the next release. */
START_TEST(next_release_of_another_history_is_an_alarm_with_evidence)
{
	struct world *w = &world;

	ck_assert_int_eq(accept_serial(w, 1, 'x'), 0);
	ck_assert_uint_eq(trust_alarms(w->trust, SAMPLE_CHANNEL), 0);
	ck_assert_int_eq(accept_serial(w, 2, 'a'), 0);
	ck_assert_uint_eq(
	    trust_alarms(w->trust, SAMPLE_CHANNEL), TRUST_ALARM_FORK);
	ck_assert_ptr_nonnull(
	    store_find(&w->store, "evidence/channel/production.1.other"));
	ck_assert_uint_eq(accepted_serial(w), 2);
}
END_TEST

START_TEST(fork_is_reported_even_if_evidence_cannot_be_kept)
{
	struct world *w = &world;
	struct buf text;

	ck_assert_int_eq(accept_serial(w, 1, 'a'), 0);
	make_head(&text, 1, 'b');
	w->store.fail_at = w->store.puts + 1;
	ck_assert_int_eq(offer_head(w, &text), ERR_CONFLICT);
	ck_assert_ptr_nonnull(strstr(w->e.msg, "no space left"));
	buf_release(&text);
}
END_TEST

START_TEST(head_of_another_channel_is_refused)
{
	struct world *w = &world;
	struct buf text;
	struct head h;

	head_fields(&h, 9, 'a');
	memcpy(h.channel, "testing", 8);
	sample_head_text(&text, &h);
	ck_assert_int_eq(offer_head(w, &text), ERR_VERIFY);
	ck_assert_int_eq(trust_offer_head(w->trust, "testing", text.data,
	                     text.len, &h, &w->e),
	    0);
	/* And each channel has its own serials. */
	ck_assert_int_eq(accept_serial(w, 1, 'a'), 0);
	buf_release(&text);
}
END_TEST

START_TEST(release_must_be_what_an_offered_head_names)
{
	struct world *w = &world;
	struct buf text;
	struct release r;
	struct head h;

	head_fields(&h, 1, 'a');
	make_release(&text, 1, 'a');
	ck_assert_int_eq(
	    trust_accept_release(w->trust, &h, text.data, text.len, &r, &w->e),
	    ERR_USAGE);
	buf_release(&text);
	make_head(&text, 1, 'a');
	ck_assert_int_eq(offer_head(w, &text), 0);
	buf_release(&text);
	make_release(&text, 1, 'b');
	ck_assert_int_eq(
	    trust_accept_release(w->trust, &h, text.data, text.len, &r, &w->e),
	    ERR_VERIFY);
	buf_release(&text);
	ck_assert_int_eq(
	    trust_find_release(w->trust, &h, &r, &w->e), ERR_NOT_FOUND);
}
END_TEST

START_TEST(head_is_committed_only_with_the_root_and_roster_that_it_names)
{
	struct world *w = &world;
	struct roster roster;
	struct buf text, head;
	struct head h;

	ck_assert_int_eq(accept_serial(w, 1, 'a'), 0);
	head_fields(&h, 1, 'a');
	h.issued++;
	h.root_version = 2;
	h.roster_version = 2;
	sample_head_text(&head, &h);
	ck_assert_int_eq(offer_head(w, &head), 0);
	ck_assert_int_eq(commit(w, &head), ERR_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(w->e.msg, "names root 2"));
	make_next_root(w, &text);
	ck_assert_int_eq(offer_root(w, &text), 0);
	buf_release(&text);
	ck_assert_int_eq(commit(w, &head), ERR_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(w->e.msg, "names roster 2"));
	sample_roster(&roster);
	roster.version = 2;
	sample_roster_text(&text, &roster);
	ck_assert_int_eq(offer_roster(w, &text), 0);
	roster_release(&roster);
	buf_release(&text);
	ck_assert_int_eq(commit(w, &head), 0);
	buf_release(&head);
	load(w);
	store_forget(&w->store, "root/2");
	ck_assert_int_eq(
	    trust_load(&w->callbacks, &w->anchor, w->now, &w->trust, &w->e),
	    ERR_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(w->e.msg, "stored channel/production"));
}
END_TEST

START_TEST(roots_follow_one_another_and_are_known_again)
{
	struct world *w = &world;
	struct buf first, second, third;

	sample_root_text(&first, &w->root);
	make_next_root(w, &second);
	make_next_root(w, &third);
	ck_assert_int_eq(offer_root(w, &third), ERR_VERIFY); /* a gap */
	ck_assert_int_eq(offer_root(w, &second), 0);
	ck_assert_int_eq(offer_root(w, &third), 0);
	ck_assert_uint_eq(trust_root(w->trust)->version, 3);
	for (int round = 0; round < 2; round++) {
		ck_assert_int_eq(offer_root(w, &first), 0);
		ck_assert_int_eq(offer_root(w, &second), 0);
		ck_assert_int_eq(offer_root(w, &third), 0);
		ck_assert_uint_eq(trust_root(w->trust)->version, 3);
		load(w);
	}
	buf_release(&second);
	/* An older version that is not the one held. */
	w->root.version = 2;
	w->root.expires++;
	sample_root_text(&second, &w->root);
	ck_assert_int_eq(offer_root(w, &second), ERR_ROLLBACK);
	ck_assert_uint_eq(trust_root(w->trust)->version, 3);
	buf_release(&first);
	buf_release(&second);
	buf_release(&third);
}
END_TEST

START_TEST(second_root_of_one_version_is_a_fork)
{
	struct world *w = &world;
	struct buf text;

	make_next_root(w, &text);
	ck_assert_int_eq(offer_root(w, &text), 0);
	buf_release(&text);
	w->root.expires++;
	sample_root_text(&text, &w->root);
	ck_assert_int_eq(offer_root(w, &text), ERR_CONFLICT);
	ck_assert_ptr_nonnull(store_find(&w->store, "evidence/root/2.kept"));
	ck_assert_ptr_nonnull(store_find(&w->store, "evidence/root/2.other"));
	buf_release(&text);
}
END_TEST

/* A root key's holder adds a signature; the statement is still the same. */
START_TEST(root_with_one_more_signature_is_no_fork)
{
	struct world *w = &world;
	struct key *spare = sample_key(SAMPLE_SPARE);
	struct buf text;

	make_next_root(w, &text);
	ck_assert_int_eq(offer_root(w, &text), 0);
	ck_assert_int_eq(statement_cosign(&text, spare, &w->e), 0);
	ck_assert_int_eq(offer_root(w, &text), 0);
	ck_assert_uint_eq(trust_alarms(w->trust, NULL), 0);
	buf_release(&text);
	key_free(spare);
}
END_TEST

START_TEST(expired_root_stops_what_is_new_and_may_be_followed)
{
	struct world *w = &world;
	struct roster roster;
	struct buf text;
	struct head h;

	ck_assert_int_eq(accept_serial(w, 1, 'a'), 0);
	head_fields(&h, 1, 'a');
	h.issued++;
	h.expires = w->root.expires + SAMPLE_DAY;
	sample_head_text(&text, &h);
	w->now = w->root.expires;
	load(w);
	ck_assert_uint_eq(trust_alarms(w->trust, SAMPLE_CHANNEL),
	    TRUST_ALARM_ROOT | TRUST_ALARM_ROSTER | TRUST_ALARM_HEAD);
	ck_assert_int_eq(offer_head(w, &text), 0); /* nothing new in it */
	buf_release(&text);
	head_fields(&h, 2, 'a');
	h.expires = w->root.expires + SAMPLE_DAY;
	sample_head_text(&text, &h);
	ck_assert_int_eq(offer_head(w, &text), ERR_EXPIRED);
	ck_assert_ptr_nonnull(strstr(w->e.msg, "root 1"));
	ck_assert_uint_eq(accepted_serial(w), 1);
	buf_release(&text);
	sample_roster(&roster);
	roster.version = 2;
	roster.expires = w->root.expires + SAMPLE_DAY;
	sample_roster_text(&text, &roster);
	ck_assert_int_eq(offer_roster(w, &text), ERR_EXPIRED);
	buf_release(&text);
	/* Root 2 has expired too; it leads to root 3, which has not. */
	make_next_root(w, &text);
	ck_assert_int_eq(offer_root(w, &text), 0);
	buf_release(&text);
	w->root.expires += 365 * SAMPLE_DAY;
	make_next_root(w, &text);
	ck_assert_int_eq(offer_root(w, &text), 0);
	buf_release(&text);
	sample_roster_text(&text, &roster);
	ck_assert_int_eq(offer_roster(w, &text), 0);
	buf_release(&text);
	sample_head_text(&text, &h);
	ck_assert_int_eq(offer_head(w, &text), 0);
	ck_assert_uint_eq(
	    trust_alarms(w->trust, SAMPLE_CHANNEL), TRUST_ALARM_HEAD);
	buf_release(&text);
	roster_release(&roster);
}
END_TEST

START_TEST(release_key_taken_away_signs_nothing_new_and_what_it_signed_stays)
{
	struct world *w = &world;
	const struct head *kept;
	struct release r;
	struct buf text;

	ck_assert_int_eq(accept_serial(w, 1, 'a'), 0);
	replace_key(w, ROOT_ROLE_RELEASE, SAMPLE_RELEASE, SAMPLE_SPARE);
	make_next_root(w, &text);
	ck_assert_int_eq(offer_root(w, &text), 0);
	ck_assert_int_eq(accept_serial(w, 2, 'a'), ERR_VERIFY);
	ck_assert_ptr_nonnull(strstr(w->e.msg, "role release of root 2"));
	load(w);
	ck_assert_uint_eq(accepted_serial(w), 1);
	ck_assert_int_eq(trust_head(w->trust, SAMPLE_CHANNEL, &kept, &w->e), 0);
	ck_assert_int_eq(trust_find_release(w->trust, kept, &r, &w->e), 0);
	release_release(&r);
	buf_release(&text);
}
END_TEST

START_TEST(head_key_taken_away_cannot_hold_a_channel_at_a_high_serial)
{
	struct world *w = &world;
	struct key *spare = sample_key(SAMPLE_SPARE);
	const struct key *keys[] = { spare };
	struct buf text, root;
	struct head h;

	ck_assert_int_eq(accept_serial(w, 1, 'a'), 0);
	/* The thief names a release that does not exist. */
	head_fields(&h, 1, 'z');
	h.serial = STATEMENT_NUMBER_MAX;
	sample_head_text(&text, &h);
	ck_assert_int_eq(offer_head(w, &text), 0);
	replace_key(w, ROOT_ROLE_HEAD, SAMPLE_HEAD, SAMPLE_SPARE);
	make_next_root(w, &root);
	ck_assert_int_eq(offer_root(w, &root), 0);
	if (_i == 1)
		load(w);
	ck_assert_int_eq(offer_head(w, &text), ERR_VERIFY);
	buf_release(&text);
	head_fields(&h, 2, 'a');
	buf_init(&text, LIMIT_HEAD_BYTES);
	head_write(&text, &h);
	ck_assert_int_eq(statement_sign(&text, keys, 1, &w->e), 0);
	ck_assert_msg(offer_head(w, &text) == 0, "%s", w->e.msg);
	buf_release(&text);
	/* What was accepted is the floor all the same. */
	head_fields(&h, 1, 'b');
	buf_init(&text, LIMIT_HEAD_BYTES);
	head_write(&text, &h);
	ck_assert_int_eq(statement_sign(&text, keys, 1, &w->e), 0);
	ck_assert_int_eq(offer_head(w, &text), ERR_ROLLBACK);
	buf_release(&text);
	buf_release(&root);
	key_free(spare);
}
END_TEST

START_TEST(rosters_do_not_go_back_or_fork)
{
	struct world *w = &world;
	struct roster roster;
	struct buf text;
	unsigned puts = w->store.puts;

	sample_roster(&roster);
	sample_roster_text(&text, &roster);
	ck_assert_int_eq(offer_roster(w, &text), 0);
	ck_assert_uint_eq(w->store.puts, puts); /* unchanged */
	buf_release(&text);
	roster.expires++;
	sample_roster_text(&text, &roster);
	ck_assert_int_eq(offer_roster(w, &text), ERR_CONFLICT);
	ck_assert_ptr_nonnull(store_find(&w->store, "evidence/roster/1.other"));
	buf_release(&text);
	roster.version = 3;
	sample_roster_text(&text, &roster);
	ck_assert_int_eq(offer_roster(w, &text), 0);
	buf_release(&text);
	load(w);
	roster.version = 2;
	sample_roster_text(&text, &roster);
	ck_assert_int_eq(offer_roster(w, &text), ERR_ROLLBACK);
	buf_release(&text);
	roster.version = 4;
	roster.expires = w->now;
	sample_roster_text(&text, &roster);
	ck_assert_int_eq(offer_roster(w, &text), ERR_EXPIRED);
	ck_assert_uint_eq(trust_roster(w->trust)->version, 3);
	roster_release(&roster);
	buf_release(&text);
}
END_TEST

/* After its key was replaced, the same roster is signed again. */
START_TEST(roster_signed_by_a_new_key_replaces_the_same_one)
{
	struct world *w = &world;
	struct key *spare = sample_key(SAMPLE_SPARE);
	const struct key *keys[] = { spare };
	struct roster roster;
	struct buf text;

	replace_key(w, ROOT_ROLE_ROSTER, SAMPLE_ROSTER, SAMPLE_SPARE);
	make_next_root(w, &text);
	ck_assert_int_eq(offer_root(w, &text), 0);
	buf_release(&text);
	load(w); /* the roster held is root 1's */
	ck_assert_uint_eq(trust_roster(w->trust)->version, 1);
	sample_roster(&roster);
	buf_init(&text, LIMIT_ROSTER_BYTES);
	roster_write(&text, &roster);
	ck_assert_int_eq(statement_sign(&text, keys, 1, &w->e), 0);
	ck_assert_int_eq(offer_roster(w, &text), 0);
	ck_assert_str_eq(
	    buf_str(store_find(&w->store, "roster")), buf_str(&text));
	load(w);
	buf_release(&text);
	roster_release(&roster);
	key_free(spare);
}
END_TEST

START_TEST(mirrors_are_known_by_key)
{
	const struct roster_mirror *m = NULL;
	struct digest key;

	sample_digest(0xa2, &key);
	ck_assert(trust_known_key(world.trust, &key, &m));
	ck_assert_str_eq(m->name, "m1");
	ck_assert(trust_known_key(world.trust, &key, NULL));
	sample_digest(0xa3, &key);
	ck_assert(!trust_known_key(world.trust, &key, &m));
}
END_TEST

START_TEST(clock_before_the_head_was_issued_is_an_alarm)
{
	struct world *w = &world;

	ck_assert_int_eq(accept_serial(w, 1, 'a'), 0);
	trust_set_time(w->trust, SAMPLE_NOW - 3600 - TRUST_CLOCK_SKEW_S);
	ck_assert_uint_eq(trust_alarms(w->trust, SAMPLE_CHANNEL), 0);
	trust_set_time(w->trust, SAMPLE_NOW - 3600 - TRUST_CLOCK_SKEW_S - 1);
	ck_assert_uint_eq(
	    trust_alarms(w->trust, SAMPLE_CHANNEL), TRUST_ALARM_CLOCK);
}
END_TEST

/* The puts of a whole update, in order. */
enum {
	PUT_ROOT = 1,
	PUT_ROSTER,
	PUT_SEEN,
	PUT_RELEASE,
	PUT_HEAD
};

static int
update(struct world *w, const struct buf *root, const struct buf *roster)
{
	int rc = offer_root(w, root);

	if (rc == 0)
		rc = offer_roster(w, roster);
	return rc != 0 ? rc : accept_serial(w, 2, 'a');
}

/* Each of them fails once: the old state stays, whole, on both sides of a
 * restart, and the update can be done again. */
START_TEST(failed_write_leaves_the_old_state_and_can_be_repeated)
{
	struct world *w = &world;
	struct roster roster;
	struct buf root, text;

	ck_assert_int_eq(accept_serial(w, 1, 'a'), 0);
	make_next_root(w, &root);
	sample_roster(&roster);
	roster.version = 2;
	sample_roster_text(&text, &roster);
	w->store.fail_at = w->store.puts + (unsigned)_i;
	ck_assert_int_eq(update(w, &root, &text), ERR_SYS);
	ck_assert_ptr_nonnull(strstr(w->e.msg, "no space left"));
	ck_assert_uint_eq(accepted_serial(w), 1);
	if (_i % 2 == 0) {
		load(w);
		ck_assert_uint_eq(accepted_serial(w), 1);
	}
	ck_assert_msg(update(w, &root, &text) == 0, "%s", w->e.msg);
	load(w);
	ck_assert_uint_eq(accepted_serial(w), 2);
	ck_assert_uint_eq(trust_root(w->trust)->version, 2);
	ck_assert_uint_eq(trust_roster(w->trust)->version, 2);
	roster_release(&roster);
	buf_release(&root);
	buf_release(&text);
}
END_TEST

static const char *const stored[] = { "root/1", "root/2", "roster",
	"channel/production", "seen/production" };

static int
load_damaged(void *arg, const void *data, size_t len, struct err *e)
{
	struct world *w = &world;
	struct buf *file = store_find(&w->store, arg);
	struct trust *t = NULL;
	int rc;

	buf_clear(file);
	buf_add(file, data, len);
	rc = trust_load(&w->callbacks, &w->anchor, w->now, &t, e);
	ck_assert_msg(rc == 0 || strstr(e->msg, arg) != NULL, "%s", e->msg);
	trust_free(t);
	return rc;
}

START_TEST(damage_to_what_is_stored_is_found_at_the_next_start)
{
	struct world *w = &world;
	struct buf text, original;
	char name[64];

	make_next_root(w, &text);
	ck_assert_int_eq(offer_root(w, &text), 0);
	ck_assert_int_eq(accept_serial(w, 1, 'a'), 0);
	buf_release(&text);
	make_head(&text, 2, 'a');
	ck_assert_int_eq(offer_head(w, &text), 0);
	snprintf(name, sizeof(name), "%s", stored[_i]);
	buf_init(&original, LIMIT_RELEASE_BYTES);
	buf_add(&original, store_find(&w->store, name)->data,
	    store_find(&w->store, name)->len);
	sample_damage(&original, 11, load_damaged, name);
	buf_release(&original);
	buf_release(&text);
}
END_TEST

START_TEST(store_of_another_organisation_is_refused)
{
	struct world *w = &world;
	struct trust *t = NULL;

	w->anchor.b[0] ^= 1;
	ck_assert_int_eq(
	    trust_load(&w->callbacks, &w->anchor, w->now, &t, &w->e),
	    ERR_VERIFY);
	ck_assert_ptr_nonnull(strstr(w->e.msg, "stored root/1"));
	ck_assert_ptr_null(t);
}
END_TEST

START_TEST(release_damaged_in_the_store_is_refused)
{
	struct world *w = &world;
	char name[DIGEST_HEX + 8], hex[DIGEST_HEX];
	const struct head *h;
	struct release r;

	ck_assert_int_eq(accept_serial(w, 1, 'a'), 0);
	ck_assert_int_eq(trust_head(w->trust, SAMPLE_CHANNEL, &h, &w->e), 0);
	digest_hex(&h->release, hex);
	snprintf(name, sizeof(name), "release/%s", hex);
	store_find(&w->store, name)->data[100] ^= 1;
	ck_assert_int_eq(
	    trust_find_release(w->trust, h, &r, &w->e), ERR_VERIFY);
	ck_assert_ptr_nonnull(strstr(w->e.msg, name));
}
END_TEST

static void
add_all(TCase *tc)
{
	tcase_add_test(tc, first_run_takes_the_anchor_and_nothing_else);
	tcase_add_test(tc, accepted_release_is_found_again_after_a_restart);
	tcase_add_test(tc, offered_head_is_not_accepted_until_it_is_committed);
	tcase_add_test(
	    tc, serial_lower_than_one_seen_is_a_rollback_even_after_a_restart);
	tcase_add_test(tc, expired_head_is_refused_when_new);
	tcase_add_test(tc, expired_head_is_an_alarm_when_unchanged);
	tcase_add_test(
	    tc, older_copy_of_the_same_head_is_taken_and_does_not_replace);
	tcase_add_loop_test(tc,
	    two_releases_of_one_serial_are_a_fork_and_kept_as_evidence, 0, 3);
	tcase_add_test(
	    tc, next_release_of_another_history_is_an_alarm_with_evidence);
	tcase_add_test(tc, fork_is_reported_even_if_evidence_cannot_be_kept);
	tcase_add_test(tc, head_of_another_channel_is_refused);
	tcase_add_test(tc, release_must_be_what_an_offered_head_names);
	tcase_add_test(
	    tc, head_is_committed_only_with_the_root_and_roster_that_it_names);
	tcase_add_test(tc, roots_follow_one_another_and_are_known_again);
	tcase_add_test(tc, second_root_of_one_version_is_a_fork);
	tcase_add_test(tc, root_with_one_more_signature_is_no_fork);
	tcase_add_test(tc, expired_root_stops_what_is_new_and_may_be_followed);
	tcase_add_test(tc,
	    release_key_taken_away_signs_nothing_new_and_what_it_signed_stays);
	tcase_add_loop_test(tc,
	    head_key_taken_away_cannot_hold_a_channel_at_a_high_serial, 0, 2);
	tcase_add_test(tc, rosters_do_not_go_back_or_fork);
	tcase_add_test(tc, roster_signed_by_a_new_key_replaces_the_same_one);
	tcase_add_test(tc, mirrors_are_known_by_key);
	tcase_add_test(tc, clock_before_the_head_was_issued_is_an_alarm);
	tcase_add_loop_test(tc,
	    failed_write_leaves_the_old_state_and_can_be_repeated, PUT_ROOT,
	    PUT_HEAD + 1);
	tcase_add_loop_test(tc,
	    damage_to_what_is_stored_is_found_at_the_next_start, 0,
	    (int)(sizeof(stored) / sizeof(stored[0])));
	tcase_add_test(tc, store_of_another_organisation_is_refused);
	tcase_add_test(tc, release_damaged_in_the_store_is_refused);
}

int
main(void)
{
	Suite *suite = suite_create("trust");
	TCase *tc = tcase_create("trust");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	add_all(tc);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
