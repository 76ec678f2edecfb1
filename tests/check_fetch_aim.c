/* Fetching from one upstream of many: whom it goes to, what is counted of it,
 * and the turns that others get meanwhile. */
#include <check.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/rate.h"
#include "tests/fetch_visit.h"
#include "transcripts/fetch_impl.h"

#define OK(call) ck_assert_msg((call) == 0, "%s: %s", #call, visit.e.msg)

#define DATA_BYTES 1000000

static struct site site[2];
static struct fetch_visit visit;
static struct shared {
	_Atomic uint64_t received[FETCH_KINDS];
	struct rate_gate gate;
} * shared;

static void
set_up(void)
{
	static uint8_t data[DATA_BYTES];

	visit_set_up();
	memset(site, 0, sizeof(site));
	for (size_t i = 0; i < 2; i++) {
		site_add_text(&site[i], "GET /v1/roster", "200 OK", "",
		    i == 0 ? "first" : "second");
		site_add(&site[i], "GET /v1/data/x", "200 OK", "",
		    (struct route_body){ .data = data, .len = DATA_BYTES });
		site_open(&site[i]);
	}
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(shared, MAP_FAILED);
	fetch_visit_start(&visit, site, 2, true);
}

static void
tear_down(void)
{
	fetch_visit_stop(&visit);
	for (size_t i = 0; i < 2; i++)
		site_close(&site[i]);
	munmap(shared, sizeof(*shared));
	visit_tear_down();
}

static void
expect_roster(const char *text)
{
	struct fetch_answer answer;
	struct buf body;

	buf_init(&body, 100);
	ck_assert_int_eq(
	    fetch_visit_get(&visit, "/v1/roster", &body, &answer), 200);
	ck_assert_str_eq(buf_str(&body), text);
	buf_release(&body);
}

START_TEST(it_goes_to_the_one_it_is_aimed_at)
{
	expect_roster("first");
	OK(fetch_aim(visit.fetch, FETCH_AIM_HOST, visit.places[1], &visit.e));
	OK(fetch_visit_next(&visit));
	ck_assert_str_eq(visit.peer.source, "fallback");
	expect_roster("second");
	/* There are no others. */
	ck_assert_int_eq(fetch_visit_next(&visit), ERR_NOT_FOUND);
	OK(fetch_aim(visit.fetch, FETCH_AIM_ROSTER, visit.places[0], &visit.e));
	OK(fetch_visit_next(&visit));
	ck_assert_str_eq(visit.peer.source, "roster");
	expect_roster("first");
	OK(fetch_aim(visit.fetch, FETCH_AIM_OPTIONS, NULL, &visit.e));
	OK(fetch_visit_next(&visit));
	expect_roster("first");
	OK(fetch_visit_next(&visit));
	expect_roster("second");
}
END_TEST

START_TEST(what_is_no_host_is_an_error_of_the_aim)
{
	char longest[FETCH_HOST_BYTES + 2];

	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	ck_assert_int_eq(
	    fetch_aim(visit.fetch, FETCH_AIM_HOST, longest, &visit.e),
	    ERR_LIMIT);
	ck_assert_int_eq(
	    fetch_aim(visit.fetch, FETCH_AIM_HOST, "a b", &visit.e), ERR_USAGE);
	OK(fetch_aim(visit.fetch, FETCH_AIM_HOST, visit.places[1], &visit.e));
	OK(fetch_visit_next(&visit));
	expect_roster("second");
}
END_TEST

START_TEST(a_fetcher_in_place_of_one_that_died_has_the_same_aim)
{
	struct fetch_answer answer;
	struct buf body;

	OK(fetch_aim(visit.fetch, FETCH_AIM_ROSTER, visit.places[1], &visit.e));
	ck_assert_int_eq(kill(visit.fetch->pid, SIGKILL), 0);
	buf_init(&body, 100);
	ck_assert_int_lt(
	    fetch_visit_get(&visit, "/v1/roster", &body, &answer), 0);
	buf_release(&body);
	OK(fetch_visit_next(&visit));
	expect_roster("second");
}
END_TEST

static void
count(void *arg)
{
	unsigned *turns = arg;

	++*turns;
}

static void
download(struct fetch *f)
{
	int fd = memfd_create("data", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	OK(fetch_download(f, "/v1/data/x", NULL, DATA_BYTES, fd, &visit.e));
	ck_assert_int_eq(lseek(fd, 0, SEEK_END), DATA_BYTES);
	close(fd);
}

START_TEST(others_get_their_turn_while_content_comes)
{
	unsigned turns = 0, then;

	fetch_set_tick(visit.fetch, count, &turns);
	download(visit.fetch);
	ck_assert_uint_gt(turns, 8);
	then = turns;
	fetch_set_tick(visit.fetch, NULL, NULL);
	download(visit.fetch);
	ck_assert_uint_eq(turns, then);
}
END_TEST

START_TEST(what_comes_is_counted_by_its_kind_and_held_back)
{
	struct rate_plan plan = { .count = 0 };
	struct timespec from, to;
	double took;

	fetch_stop(visit.fetch);
	visit.fetch = NULL;
	OK(rate_add(&plan, "2MB", &visit.e));
	visit.options.received = shared->received;
	visit.options.gate = &shared->gate;
	visit.options.rate = &plan;
	OK(fetch_start(&visit.options, &visit.fetch, &visit.e));
	fetch_visit_keys(&visit, true);
	OK(fetch_visit_next(&visit));
	expect_roster("first");
	ck_assert_uint_eq(shared->received[FETCH_KIND_STATEMENT], 5);
	clock_gettime(CLOCK_MONOTONIC, &from);
	download(visit.fetch);
	clock_gettime(CLOCK_MONOTONIC, &to);
	took = (double)(to.tv_sec - from.tv_sec) +
	    (double)(to.tv_nsec - from.tv_nsec) / 1e9;
	ck_assert_uint_eq(shared->received[FETCH_KIND_DATA], DATA_BYTES);
	ck_assert_uint_eq(shared->received[FETCH_KIND_OBJECT], 0);
	ck_assert_uint_eq(shared->received[FETCH_KIND_STATEMENT], 5);
	(void)printf("%.2f of the rate\n", DATA_BYTES / took / 2e6);
	/* A slow machine only makes it slower. */
	ck_assert_msg(took > 0.35, "1 MB at 2 MB/s took %.3f s", took);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("fetch_aim");
	TCase *t = tcase_create("fetch_aim");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, it_goes_to_the_one_it_is_aimed_at);
	tcase_add_test(t, what_is_no_host_is_an_error_of_the_aim);
	tcase_add_test(t, a_fetcher_in_place_of_one_that_died_has_the_same_aim);
	tcase_add_test(t, others_get_their_turn_while_content_comes);
	tcase_add_test(t, what_comes_is_counted_by_its_kind_and_held_back);
	suite_add_tcase(suite, t);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
