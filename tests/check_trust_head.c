/* The chain of trust: heads and releases of a channel. */
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

START_TEST(offered_head_is_not_accepted_until_it_is_committed)
{
	struct world *w = &world;
	struct buf head;

	ck_assert_int_eq(world_accept(w, 1, 'a'), 0);
	world_make_head(&head, 2, 'a');
	ck_assert_int_eq(world_offer_head(w, &head), 0);
	ck_assert_uint_eq(world_serial(w), 1);
	/* Its release never came. */
	ck_assert_int_eq(world_commit(w, &head), ERR_NOT_FOUND);
	ck_assert_uint_eq(world_serial(w), 1);
	world_restart(w);
	ck_assert_uint_eq(world_serial(w), 1);
	/* The next attempt may still succeed. */
	ck_assert_int_eq(world_accept(w, 2, 'a'), 0);
	ck_assert_uint_eq(world_serial(w), 2);
	buf_release(&head);
}
END_TEST

START_TEST(serial_lower_than_one_seen_is_a_rollback_even_after_a_restart)
{
	struct world *w = &world;
	struct buf head;

	ck_assert_int_eq(world_accept(w, 2, 'a'), 0);
	world_make_head(&head, 1, 'a');
	ck_assert_int_eq(world_offer_head(w, &head), ERR_ROLLBACK);
	ck_assert_int_eq(world_commit(w, &head), ERR_ROLLBACK);
	buf_release(&head);
	world_make_head(&head, 5, 'a'); /* seen, not accepted */
	ck_assert_int_eq(world_offer_head(w, &head), 0);
	buf_release(&head);
	world_restart(w);
	world_make_head(&head, 4, 'a');
	ck_assert_int_eq(world_offer_head(w, &head), ERR_ROLLBACK);
	ck_assert_ptr_nonnull(strstr(w->e.msg, "5 was seen before"));
	ck_assert_uint_eq(world_serial(w), 2);
	buf_release(&head);
}
END_TEST

START_TEST(expired_head_is_refused_when_new)
{
	struct world *w = &world;
	struct buf text;
	struct head h;

	ck_assert_int_eq(world_accept(w, 1, 'a'), 0);
	world_head_fields(&h, 2, 'a');
	h.expires = w->now;
	sample_head_text(&text, &h);
	ck_assert_int_eq(world_offer_head(w, &text), ERR_EXPIRED);
	ck_assert_int_eq(world_commit(w, &text), ERR_EXPIRED);
	ck_assert_uint_eq(world_serial(w), 1);
	trust_set_time(w->trust, w->now - 1);
	ck_assert_int_eq(world_offer_head(w, &text), 0);
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

	ck_assert_int_eq(world_accept(w, 1, 'a'), 0);
	ck_assert_uint_eq(trust_alarms(w->trust, SAMPLE_CHANNEL), 0);
	w->now += 2 * SAMPLE_DAY;
	trust_set_time(w->trust, w->now);
	world_make_head(&text, 1, 'a');
	ck_assert_int_eq(world_offer_head(w, &text), 0);
	ck_assert_uint_eq(
	    trust_alarms(w->trust, SAMPLE_CHANNEL), TRUST_ALARM_HEAD);
	ck_assert_uint_eq(trust_alarms(w->trust, NULL), 0);
	world_restart(w);
	ck_assert_uint_eq(
	    trust_alarms(w->trust, SAMPLE_CHANNEL), TRUST_ALARM_HEAD);
	buf_release(&text);
	/* Signed again by the origin: the alarm ends. */
	world_head_fields(&h, 1, 'a');
	h.issued = w->now - 60;
	h.expires = w->now + SAMPLE_DAY;
	sample_head_text(&text, &h);
	ck_assert_int_eq(world_commit(w, &text), 0);
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

	ck_assert_int_eq(world_accept(w, 1, 'a'), 0);
	puts = w->store.puts;
	world_head_fields(&h, 1, 'a');
	h.issued -= 600;
	h.expires = w->now - 1;
	sample_head_text(&text, &h);
	ck_assert_int_eq(world_offer_head(w, &text), 0);
	ck_assert_int_eq(world_commit(w, &text), 0);
	ck_assert_int_eq(trust_head(w->trust, SAMPLE_CHANNEL, &kept, &w->e), 0);
	ck_assert_int_eq(kept->issued, h.issued + 600);
	ck_assert_uint_eq(w->store.puts, puts);
	buf_release(&text);
}
END_TEST

START_TEST(of_two_heads_of_one_second_the_one_with_the_newer_roster_counts)
{
	struct world *w = &world;
	const struct head *kept;
	struct buf text, older;
	struct roster roster;
	struct head h;

	ck_assert_int_eq(world_accept(w, 1, 'a'), 0);
	world_head_fields(&h, 1, 'a');
	sample_head_text(&older, &h);
	sample_roster(&roster);
	roster.version = h.roster_version = 2;
	sample_roster_text(&text, &roster);
	ck_assert_int_eq(world_offer_roster(w, &text), 0);
	roster_release(&roster);
	buf_release(&text);
	sample_head_text(&text, &h);
	ck_assert_int_eq(world_commit(w, &text), 0);
	ck_assert_int_eq(trust_head(w->trust, SAMPLE_CHANNEL, &kept, &w->e), 0);
	ck_assert_uint_eq(kept->roster_version, 2);
	ck_assert_int_eq(world_commit(w, &older), 0);
	ck_assert_int_eq(trust_head(w->trust, SAMPLE_CHANNEL, &kept, &w->e), 0);
	ck_assert_uint_eq(kept->roster_version, 2);
	buf_release(&text);
	buf_release(&older);
}
END_TEST

START_TEST(two_releases_of_one_serial_are_a_fork_and_kept_as_evidence)
{
	struct world *w = &world;
	struct buf first, second, third, *kept;

	world_make_head(&first, 1, 'a');
	world_make_head(&second, 1, 'b');
	world_make_head(&third, 1, 'c');
	if (_i == 0)
		ck_assert_int_eq(world_accept(w, 1, 'a'), 0);
	else /* only seen */
		ck_assert_int_eq(world_offer_head(w, &first), 0);
	if (_i == 2)
		world_restart(w);
	ck_assert_int_eq(world_offer_head(w, &second), ERR_CONFLICT);
	ck_assert_msg(strstr(w->e.msg, "fork") != NULL, "%s", w->e.msg);
	ck_assert_uint_eq(trust_alarms(w->trust, NULL), TRUST_ALARM_FORK);
	ck_assert_int_eq(world_commit(w, &third), ERR_CONFLICT);
	kept = store_find(&w->store, "evidence/channel/production.1.kept");
	ck_assert_ptr_nonnull(kept);
	ck_assert_str_eq(buf_str(kept), buf_str(&first));
	kept = store_find(&w->store, "evidence/channel/production.1.other");
	ck_assert_ptr_nonnull(kept);
	ck_assert_str_eq(buf_str(kept), buf_str(&second));
	ck_assert_uint_eq(world_serial(w), _i == 0 ? 1 : 0);
	buf_release(&first);
	buf_release(&second);
	buf_release(&third);
}
END_TEST

START_TEST(neither_of_two_releases_of_one_serial_is_accepted_anew)
{
	struct world *w = &world;
	struct buf first, second, text;
	const struct head *wanted;
	struct release r;
	struct head h;

	ck_assert_int_eq(world_accept(w, 1, 'a'), 0);
	world_make_head(&first, 2, 'a');
	world_make_head(&second, 2, 'b');
	ck_assert_int_eq(world_offer_head(w, &first), 0);
	world_head_fields(&h, 2, 'a');
	world_make_release(&text, 2, 'a');
	ck_assert_int_eq(
	    trust_accept_release(w->trust, &h, text.data, text.len, &r, &w->e),
	    0);
	release_release(&r);
	ck_assert_uint_eq(trust_forks(w->trust), 0);
	ck_assert_int_eq(world_offer_head(w, &second), ERR_CONFLICT);
	ck_assert_int_eq(world_offer_head(w, &second), ERR_CONFLICT);
	ck_assert_uint_eq(trust_forks(w->trust), 1);
	for (int turn = 0; turn < 2; turn++) {
		/* All of the first is here, and it could be committed. */
		ck_assert_int_eq(world_commit(w, &first), ERR_CONFLICT);
		ck_assert_msg(
		    strstr(w->e.msg, "neither is") != NULL, "%s", w->e.msg);
		ck_assert_int_eq(trust_wanted(w->trust, SAMPLE_CHANNEL, &wanted,
		                     NULL, &w->e),
		    0);
		ck_assert_ptr_null(wanted);
		ck_assert_uint_eq(world_serial(w), 1);
		world_restart(w);
	}
	buf_release(&text);
	ck_assert_int_eq(world_accept(w, 3, 'a'), 0);
	buf_release(&first);
	buf_release(&second);
}
END_TEST

static void
make_signed_later(struct buf *text, uint64_t serial, time_t later_s)
{
	struct head h;

	world_head_fields(&h, serial, 'a');
	h.issued += later_s;
	h.expires += later_s;
	sample_head_text(text, &h);
}

START_TEST(newest_signature_of_what_is_wanted_is_kept)
{
	struct world *w = &world;
	const struct head *wanted;
	const struct buf *raw;
	struct buf first, again;

	ck_assert_int_eq(world_accept(w, 1, 'a'), 0);
	ck_assert_int_eq(
	    trust_wanted(w->trust, SAMPLE_CHANNEL, &wanted, NULL, &w->e), 0);
	ck_assert_ptr_null(wanted);
	make_signed_later(&first, 2, 0);
	make_signed_later(&again, 2, 60);
	ck_assert_int_eq(world_offer_head(w, &first), 0);
	ck_assert_int_eq(world_offer_head(w, &again), 0);
	ck_assert_int_eq(world_offer_head(w, &first), 0);
	world_restart(w);
	ck_assert_int_eq(
	    trust_wanted(w->trust, SAMPLE_CHANNEL, &wanted, &raw, &w->e), 0);
	ck_assert_ptr_nonnull(wanted);
	ck_assert_uint_eq(wanted->serial, 2);
	ck_assert_str_eq(buf_str(raw), buf_str(&again));
	buf_release(&first);
	buf_release(&again);
}
END_TEST

/* A release that takes hours to come must not let the one before expire. */
START_TEST(accepted_head_signed_again_is_taken_though_a_newer_was_seen)
{
	struct world *w = &world;
	const struct head *kept;
	struct buf next, again, older;
	time_t issued;

	ck_assert_int_eq(world_accept(w, 1, 'a'), 0);
	ck_assert_int_eq(world_accept(w, 2, 'a'), 0);
	ck_assert_int_eq(trust_head(w->trust, SAMPLE_CHANNEL, &kept, &w->e), 0);
	issued = kept->issued;
	make_signed_later(&next, 3, 0);
	make_signed_later(&again, 2, 60);
	make_signed_later(&older, 1, 60);
	ck_assert_int_eq(world_offer_head(w, &next), 0);
	ck_assert_int_eq(world_offer_head(w, &again), ERR_ROLLBACK);
	ck_assert_int_eq(world_commit(w, &again), 0);
	ck_assert_int_eq(trust_head(w->trust, SAMPLE_CHANNEL, &kept, &w->e), 0);
	ck_assert_int_eq(kept->issued, issued + 60);
	ck_assert_uint_eq(world_serial(w), 2);
	ck_assert_int_eq(world_commit(w, &older), ERR_ROLLBACK);
	ck_assert_int_eq(
	    trust_wanted(w->trust, SAMPLE_CHANNEL, &kept, NULL, &w->e), 0);
	ck_assert_uint_eq(kept->serial, 3);
	buf_release(&next);
	buf_release(&again);
	buf_release(&older);
}
END_TEST

/* The other history shows in the next release. */
START_TEST(next_release_of_another_history_is_an_alarm_with_evidence)
{
	struct world *w = &world;

	ck_assert_int_eq(world_accept(w, 1, 'x'), 0);
	ck_assert_uint_eq(trust_alarms(w->trust, SAMPLE_CHANNEL), 0);
	ck_assert_int_eq(world_accept(w, 2, 'a'), 0);
	ck_assert_uint_eq(
	    trust_alarms(w->trust, SAMPLE_CHANNEL), TRUST_ALARM_FORK);
	ck_assert_ptr_nonnull(
	    store_find(&w->store, "evidence/channel/production.1.other"));
	ck_assert_uint_eq(world_serial(w), 2);
}
END_TEST

START_TEST(fork_is_reported_even_if_evidence_cannot_be_kept)
{
	struct world *w = &world;
	struct buf text;

	ck_assert_int_eq(world_accept(w, 1, 'a'), 0);
	world_make_head(&text, 1, 'b');
	w->store.fail_at = w->store.puts + 1;
	ck_assert_int_eq(world_offer_head(w, &text), ERR_CONFLICT);
	ck_assert_ptr_nonnull(strstr(w->e.msg, "no space left"));
	buf_release(&text);
}
END_TEST

START_TEST(head_of_another_channel_is_refused)
{
	struct world *w = &world;
	struct buf text;
	struct head h;

	world_head_fields(&h, 9, 'a');
	memcpy(h.channel, "testing", 8);
	sample_head_text(&text, &h);
	ck_assert_int_eq(world_offer_head(w, &text), ERR_VERIFY);
	ck_assert_int_eq(trust_offer_head(w->trust, "testing", text.data,
	                     text.len, &h, &w->e),
	    0);
	/* And each channel has its own serials. */
	ck_assert_int_eq(world_accept(w, 1, 'a'), 0);
	buf_release(&text);
}
END_TEST

START_TEST(release_must_be_what_an_offered_head_names)
{
	struct world *w = &world;
	struct buf text;
	struct release r;
	struct head h;

	world_head_fields(&h, 1, 'a');
	world_make_release(&text, 1, 'a');
	ck_assert_int_eq(
	    trust_accept_release(w->trust, &h, text.data, text.len, &r, &w->e),
	    ERR_USAGE);
	buf_release(&text);
	world_make_head(&text, 1, 'a');
	ck_assert_int_eq(world_offer_head(w, &text), 0);
	buf_release(&text);
	world_make_release(&text, 1, 'b');
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

	ck_assert_int_eq(world_accept(w, 1, 'a'), 0);
	world_head_fields(&h, 1, 'a');
	h.issued++;
	h.root_version = 2;
	h.roster_version = 2;
	sample_head_text(&head, &h);
	ck_assert_int_eq(world_offer_head(w, &head), 0);
	ck_assert_int_eq(world_commit(w, &head), ERR_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(w->e.msg, "names root 2"));
	world_make_root(w, &text);
	ck_assert_int_eq(world_offer_root(w, &text), 0);
	buf_release(&text);
	ck_assert_int_eq(world_commit(w, &head), ERR_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(w->e.msg, "names roster 2"));
	sample_roster(&roster);
	roster.version = 2;
	sample_roster_text(&text, &roster);
	ck_assert_int_eq(world_offer_roster(w, &text), 0);
	roster_release(&roster);
	buf_release(&text);
	ck_assert_int_eq(world_commit(w, &head), 0);
	buf_release(&head);
	world_restart(w);
	store_forget(&w->store, "root/2");
	ck_assert_int_eq(
	    trust_load(&w->callbacks, &w->anchor, w->now, &w->trust, &w->e),
	    ERR_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(w->e.msg, "stored channel/production"));
}
END_TEST

START_TEST(clock_before_the_head_was_issued_is_an_alarm)
{
	struct world *w = &world;

	ck_assert_int_eq(world_accept(w, 1, 'a'), 0);
	trust_set_time(w->trust, SAMPLE_NOW - 3600 - TRUST_CLOCK_SKEW_S);
	ck_assert_uint_eq(trust_alarms(w->trust, SAMPLE_CHANNEL), 0);
	trust_set_time(w->trust, SAMPLE_NOW - 3600 - TRUST_CLOCK_SKEW_S - 1);
	ck_assert_uint_eq(
	    trust_alarms(w->trust, SAMPLE_CHANNEL), TRUST_ALARM_CLOCK);
}
END_TEST

START_TEST(release_damaged_in_the_store_is_refused)
{
	struct world *w = &world;
	char name[DIGEST_HEX + 8], hex[DIGEST_HEX];
	const struct head *h;
	struct release r;

	ck_assert_int_eq(world_accept(w, 1, 'a'), 0);
	ck_assert_int_eq(trust_head(w->trust, SAMPLE_CHANNEL, &h, &w->e), 0);
	digest_hex(&h->release, hex);
	(void)snprintf(name, sizeof(name), "release/%s", hex);
	store_find(&w->store, name)->data[100] ^= 1;
	ck_assert_int_eq(
	    trust_find_release(w->trust, h, &r, &w->e), ERR_VERIFY);
	ck_assert_ptr_nonnull(strstr(w->e.msg, name));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("trust_head");
	TCase *tc = tcase_create("trust_head");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, offered_head_is_not_accepted_until_it_is_committed);
	tcase_add_test(
	    tc, serial_lower_than_one_seen_is_a_rollback_even_after_a_restart);
	tcase_add_test(tc, expired_head_is_refused_when_new);
	tcase_add_test(tc, expired_head_is_an_alarm_when_unchanged);
	tcase_add_test(
	    tc, older_copy_of_the_same_head_is_taken_and_does_not_replace);
	tcase_add_test(tc,
	    of_two_heads_of_one_second_the_one_with_the_newer_roster_counts);
	tcase_add_loop_test(tc,
	    two_releases_of_one_serial_are_a_fork_and_kept_as_evidence, 0, 3);
	tcase_add_test(
	    tc, neither_of_two_releases_of_one_serial_is_accepted_anew);
	tcase_add_test(tc, newest_signature_of_what_is_wanted_is_kept);
	tcase_add_test(
	    tc, accepted_head_signed_again_is_taken_though_a_newer_was_seen);
	tcase_add_test(
	    tc, next_release_of_another_history_is_an_alarm_with_evidence);
	tcase_add_test(tc, fork_is_reported_even_if_evidence_cannot_be_kept);
	tcase_add_test(tc, head_of_another_channel_is_refused);
	tcase_add_test(tc, release_must_be_what_an_offered_head_names);
	tcase_add_test(
	    tc, head_is_committed_only_with_the_root_and_roster_that_it_names);
	tcase_add_test(tc, clock_before_the_head_was_issued_is_an_alarm);
	tcase_add_test(tc, release_damaged_in_the_store_is_refused);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
