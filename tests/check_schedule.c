/* When the daemon runs: a host's own moment, and what comes after it. */
#include "client/schedule.h"

#include <check.h>
#include <stdio.h>

#include "common/splay.h"

START_TEST(a_host_keeps_its_moment)
{
	struct schedule s = { .interval_s = 1800, .splay_s = 1800 };

	/* printf web1.example.com | sha256sum begins with these 16 digits. */
	ck_assert_uint_eq(splay_share(s.splay_s, "web1.example.com"),
	    UINT64_C(0x82c1a34869ebe223) % 1800);
	s.splay_s = 77;
	ck_assert_uint_eq(splay_share(s.splay_s, "web1.example.com"),
	    UINT64_C(0x82c1a34869ebe223) % 77);
	s.splay_s = 1;
	ck_assert_uint_eq(splay_share(s.splay_s, "web1.example.com"), 0);
	s.splay_s = 0;
	ck_assert_uint_eq(splay_share(s.splay_s, "web1.example.com"), 0);
}
END_TEST

START_TEST(many_hosts_are_spread_evenly)
{
	enum {
		HOSTS = 10000,
		SLOTS = 10
	};
	const struct schedule s = { .interval_s = 1800, .splay_s = 1000 };
	unsigned slots[SLOTS] = { 0 };

	for (unsigned i = 0; i < HOSTS; i++) {
		char host[32];
		uint64_t at;

		(void)snprintf(host, sizeof(host), "web%u.example.com", i);
		at = splay_share(s.splay_s, host);
		ck_assert_uint_lt(at, 1000);
		slots[at / (1000 / SLOTS)]++;
	}
	/* A thousand each; five standard deviations are 150. */
	for (unsigned i = 0; i < SLOTS; i++)
		ck_assert_msg(slots[i] > 850 && slots[i] < 1150,
		    "slot %u: %u hosts", i, slots[i]);
}
END_TEST

START_TEST(missed_runs_are_one)
{
	static const struct {
		uint64_t now_ms, want_ms;
	} rows[] = {
		{ 0, 5000 }, { 4999, 5000 }, { 5000, 15000 }, { 5001, 15000 },
		{ 14999, 15000 }, { 15000, 25000 },
		{ 36000000, 36005000 }, /* ten hours asleep */
	};
	const struct schedule s = { .interval_s = 10 };

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		ck_assert_uint_eq(schedule_next_ms(&s, 5000, rows[i].now_ms),
		    rows[i].want_ms);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("schedule");
	TCase *t = tcase_create("schedule");
	SRunner *runner;
	int failed;

	tcase_add_test(t, a_host_keeps_its_moment);
	tcase_add_test(t, many_hosts_are_spread_evenly);
	tcase_add_test(t, missed_runs_are_one);
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
