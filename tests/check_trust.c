/* The chain of trust: roots, roster, what is stored and what is kept of it. */
#include "transcripts/trust.h"

#include <check.h>

#include "tests/trust_world.h"

static struct world world;

static void
setup(void)
{
	world_open(&world);
}

static void
teardown(void)
{
	world_close(&world);
}

START_TEST(first_run_takes_the_anchor_and_nothing_else)
{
	struct world *w = &world;
	struct store other = { .count = 0 };
	struct buf text;
	struct head h;

	w->callbacks.arg = &other;
	world_restart(w);
	ck_assert_ptr_null(trust_root(w->trust));
	ck_assert_ptr_null(trust_roster(w->trust));
	ck_assert_uint_eq(trust_alarms(w->trust, SAMPLE_CHANNEL), 0);
	world_make_head(&text, 1, 'a');
	ck_assert_int_eq(world_offer_head(w, &text), ERR_NOT_FOUND);
	ck_assert_int_eq(world_offer_roster(w, &text), ERR_NOT_FOUND);
	buf_release(&text);
	w->root.expires++;
	sample_root_text(&text, &w->root);
	ck_assert_int_eq(world_offer_root(w, &text), ERR_VERIFY);
	ck_assert_ptr_null(trust_root(w->trust));
	ck_assert_uint_eq(other.puts, 0);
	buf_release(&text);
	world_make_head(&text, 1, 'a');
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

	ck_assert_uint_eq(world_serial(w), 0);
	ck_assert_msg(world_accept(w, 1, 'a') == 0, "%s", w->e.msg);
	ck_assert_msg(world_accept(w, 2, 'a') == 0, "%s", w->e.msg);
	world_restart(w);
	ck_assert_uint_eq(world_serial(w), 2);
	ck_assert_int_eq(trust_head(w->trust, SAMPLE_CHANNEL, &h, &w->e), 0);
	ck_assert_int_eq(trust_find_release(w->trust, h, &r, &w->e), 0);
	ck_assert_uint_eq(r.serial, 2);
	ck_assert_uint_eq(trust_root(w->trust)->version, 1);
	ck_assert_uint_eq(trust_roster(w->trust)->version, 1);
	ck_assert_uint_eq(trust_alarms(w->trust, SAMPLE_CHANNEL), 0);
	release_release(&r);
}
END_TEST

START_TEST(roots_follow_one_another_and_are_known_again)
{
	struct world *w = &world;
	struct buf first, second, third;

	sample_root_text(&first, &w->root);
	world_make_root(w, &second);
	world_make_root(w, &third);
	ck_assert_int_eq(world_offer_root(w, &third), ERR_VERIFY); /* a gap */
	ck_assert_int_eq(world_offer_root(w, &second), 0);
	ck_assert_int_eq(world_offer_root(w, &third), 0);
	ck_assert_uint_eq(trust_root(w->trust)->version, 3);
	for (int round = 0; round < 2; round++) {
		ck_assert_int_eq(world_offer_root(w, &first), 0);
		ck_assert_int_eq(world_offer_root(w, &second), 0);
		ck_assert_int_eq(world_offer_root(w, &third), 0);
		ck_assert_uint_eq(trust_root(w->trust)->version, 3);
		world_restart(w);
	}
	buf_release(&second);
	/* An older version that is not the one held. */
	w->root.version = 2;
	w->root.expires++;
	sample_root_text(&second, &w->root);
	ck_assert_int_eq(world_offer_root(w, &second), ERR_ROLLBACK);
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

	world_make_root(w, &text);
	ck_assert_int_eq(world_offer_root(w, &text), 0);
	buf_release(&text);
	w->root.expires++;
	sample_root_text(&text, &w->root);
	ck_assert_int_eq(world_offer_root(w, &text), ERR_CONFLICT);
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

	world_make_root(w, &text);
	ck_assert_int_eq(world_offer_root(w, &text), 0);
	ck_assert_int_eq(statement_cosign(&text, spare, &w->e), 0);
	ck_assert_int_eq(world_offer_root(w, &text), 0);
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

	ck_assert_int_eq(world_accept(w, 1, 'a'), 0);
	world_head_fields(&h, 1, 'a');
	h.issued++;
	h.expires = w->root.expires + SAMPLE_DAY;
	sample_head_text(&text, &h);
	w->now = w->root.expires;
	world_restart(w);
	ck_assert_uint_eq(trust_alarms(w->trust, SAMPLE_CHANNEL),
	    TRUST_ALARM_ROOT | TRUST_ALARM_ROSTER | TRUST_ALARM_HEAD);
	ck_assert_int_eq(world_offer_head(w, &text), 0); /* nothing new in it */
	buf_release(&text);
	world_head_fields(&h, 2, 'a');
	h.expires = w->root.expires + SAMPLE_DAY;
	sample_head_text(&text, &h);
	ck_assert_int_eq(world_offer_head(w, &text), ERR_EXPIRED);
	ck_assert_ptr_nonnull(strstr(w->e.msg, "root 1"));
	ck_assert_uint_eq(world_serial(w), 1);
	buf_release(&text);
	sample_roster(&roster);
	roster.version = 2;
	roster.expires = w->root.expires + SAMPLE_DAY;
	sample_roster_text(&text, &roster);
	ck_assert_int_eq(world_offer_roster(w, &text), ERR_EXPIRED);
	buf_release(&text);
	/* Root 2 has expired too; it leads to root 3, which has not. */
	world_make_root(w, &text);
	ck_assert_int_eq(world_offer_root(w, &text), 0);
	buf_release(&text);
	w->root.expires += 365 * SAMPLE_DAY;
	world_make_root(w, &text);
	ck_assert_int_eq(world_offer_root(w, &text), 0);
	buf_release(&text);
	sample_roster_text(&text, &roster);
	ck_assert_int_eq(world_offer_roster(w, &text), 0);
	buf_release(&text);
	sample_head_text(&text, &h);
	ck_assert_int_eq(world_offer_head(w, &text), 0);
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

	ck_assert_int_eq(world_accept(w, 1, 'a'), 0);
	world_replace_key(w, ROOT_ROLE_RELEASE, SAMPLE_RELEASE, SAMPLE_SPARE);
	world_make_root(w, &text);
	ck_assert_int_eq(world_offer_root(w, &text), 0);
	ck_assert_int_eq(world_accept(w, 2, 'a'), ERR_VERIFY);
	ck_assert_ptr_nonnull(strstr(w->e.msg, "role release of root 2"));
	world_restart(w);
	ck_assert_uint_eq(world_serial(w), 1);
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

	ck_assert_int_eq(world_accept(w, 1, 'a'), 0);
	/* The thief names a release that does not exist. */
	world_head_fields(&h, 1, 'z');
	h.serial = STATEMENT_NUMBER_MAX;
	sample_head_text(&text, &h);
	ck_assert_int_eq(world_offer_head(w, &text), 0);
	world_replace_key(w, ROOT_ROLE_HEAD, SAMPLE_HEAD, SAMPLE_SPARE);
	world_make_root(w, &root);
	ck_assert_int_eq(world_offer_root(w, &root), 0);
	if (_i == 1)
		world_restart(w);
	ck_assert_int_eq(world_offer_head(w, &text), ERR_VERIFY);
	buf_release(&text);
	world_head_fields(&h, 2, 'a');
	buf_init(&text, LIMIT_HEAD_BYTES);
	head_write(&text, &h);
	ck_assert_int_eq(statement_sign(&text, keys, 1, &w->e), 0);
	ck_assert_msg(world_offer_head(w, &text) == 0, "%s", w->e.msg);
	buf_release(&text);
	/* What was accepted is the floor all the same. */
	world_head_fields(&h, 1, 'b');
	buf_init(&text, LIMIT_HEAD_BYTES);
	head_write(&text, &h);
	ck_assert_int_eq(statement_sign(&text, keys, 1, &w->e), 0);
	ck_assert_int_eq(world_offer_head(w, &text), ERR_ROLLBACK);
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
	ck_assert_int_eq(world_offer_roster(w, &text), 0);
	ck_assert_uint_eq(w->store.puts, puts); /* unchanged */
	buf_release(&text);
	roster.expires++;
	sample_roster_text(&text, &roster);
	ck_assert_int_eq(world_offer_roster(w, &text), ERR_CONFLICT);
	ck_assert_ptr_nonnull(store_find(&w->store, "evidence/roster/1.other"));
	buf_release(&text);
	roster.version = 3;
	sample_roster_text(&text, &roster);
	ck_assert_int_eq(world_offer_roster(w, &text), 0);
	buf_release(&text);
	world_restart(w);
	roster.version = 2;
	sample_roster_text(&text, &roster);
	ck_assert_int_eq(world_offer_roster(w, &text), ERR_ROLLBACK);
	buf_release(&text);
	roster.version = 4;
	roster.expires = w->now;
	sample_roster_text(&text, &roster);
	ck_assert_int_eq(world_offer_roster(w, &text), ERR_EXPIRED);
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

	world_replace_key(w, ROOT_ROLE_ROSTER, SAMPLE_ROSTER, SAMPLE_SPARE);
	world_make_root(w, &text);
	ck_assert_int_eq(world_offer_root(w, &text), 0);
	buf_release(&text);
	world_restart(w); /* the roster held is root 1's */
	ck_assert_uint_eq(trust_roster(w->trust)->version, 1);
	sample_roster(&roster);
	buf_init(&text, LIMIT_ROSTER_BYTES);
	roster_write(&text, &roster);
	ck_assert_int_eq(statement_sign(&text, keys, 1, &w->e), 0);
	ck_assert_int_eq(world_offer_roster(w, &text), 0);
	ck_assert_str_eq(
	    buf_str(store_find(&w->store, "roster")), buf_str(&text));
	world_restart(w);
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
	int rc = world_offer_root(w, root);

	if (rc == 0)
		rc = world_offer_roster(w, roster);
	return rc != 0 ? rc : world_accept(w, 2, 'a');
}

/* Each of them fails once: the old state stays, whole, on both sides of a
 * restart, and the update can be done again. */
START_TEST(failed_write_leaves_the_old_state_and_can_be_repeated)
{
	struct world *w = &world;
	struct roster roster;
	struct buf root, text;

	ck_assert_int_eq(world_accept(w, 1, 'a'), 0);
	world_make_root(w, &root);
	sample_roster(&roster);
	roster.version = 2;
	sample_roster_text(&text, &roster);
	w->store.fail_at = w->store.puts + (unsigned)_i;
	ck_assert_int_eq(update(w, &root, &text), ERR_SYS);
	ck_assert_ptr_nonnull(strstr(w->e.msg, "no space left"));
	ck_assert_uint_eq(world_serial(w), 1);
	if (_i % 2 == 0) {
		world_restart(w);
		ck_assert_uint_eq(world_serial(w), 1);
	}
	ck_assert_msg(update(w, &root, &text) == 0, "%s", w->e.msg);
	world_restart(w);
	ck_assert_uint_eq(world_serial(w), 2);
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

	world_make_root(w, &text);
	ck_assert_int_eq(world_offer_root(w, &text), 0);
	ck_assert_int_eq(world_accept(w, 1, 'a'), 0);
	buf_release(&text);
	world_make_head(&text, 2, 'a');
	ck_assert_int_eq(world_offer_head(w, &text), 0);
	(void)snprintf(name, sizeof(name), "%s", stored[_i]);
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

int
main(void)
{
	Suite *suite = suite_create("trust");
	TCase *tc = tcase_create("trust");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, first_run_takes_the_anchor_and_nothing_else);
	tcase_add_test(tc, accepted_release_is_found_again_after_a_restart);
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
	tcase_add_loop_test(tc,
	    failed_write_leaves_the_old_state_and_can_be_repeated, PUT_ROOT,
	    PUT_HEAD + 1);
	tcase_add_loop_test(tc,
	    damage_to_what_is_stored_is_found_at_the_next_start, 0,
	    (int)(sizeof(stored) / sizeof(stored[0])));
	tcase_add_test(tc, store_of_another_organisation_is_refused);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
