/* Rates by the hour: lines, moments, and how fast a gate lets bytes pass. */
#include "common/rate.h"

#include <check.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct {
	const char *text;
	uint64_t bytes_s;
} rates[] = {
	{ "64kbit", 8000 },
	{ "20Mbit", 2500000 },
	{ "1Gbit/s", 125000000 },
	{ "8kB", 8000 },
	{ "500kB/s", 500000 },
	{ " 3MB/s ", 3000000 },
	{ "1GB\tmon-sun", 1000000000 },
	{ "2Mbit mon,wed,fri-sat", 250000 },
	{ "2Mbit 00:00-24:00", 250000 },
	{ "none", 0 },
};

START_TEST(rates_are_read)
{
	struct rate_plan plan = { .count = 0 };
	struct err e = ERR_INIT;

	ck_assert_msg(rate_add(&plan, rates[_i].text, &e) == 0, "%s", e.msg);
	/* 2026-11-27, a Friday. */
	ck_assert_uint_eq(rate_at(&plan, 1795737600), rates[_i].bytes_s);
}
END_TEST

static const char *const wrong[] = { "", "20", "Mbit", "20mbit", "20 Mbit",
	"-1Mbit", "020Mbit", "7999kB/m", "1Mbit monday", "1Mbit mon-",
	"1Mbit mon,", "1Mbit ,mon", "1Mbit 8:00-18:00", "1Mbit 08:00",
	"1Mbit 08:00-08:00", "1Mbit 08:60-09:00", "1Mbit 08:00-24:01",
	"1Mbit 24:00-08:00", "1Mbit 08:00-00:00", "1Mbit 08:00-18:00 mon",
	"1Mbit mon 08:00-18:00 x", "none!", "63kbit", "7kB", "0Mbit",
	"99999999Gbit" };

START_TEST(what_is_no_rate_is_refused)
{
	struct rate_plan plan = { .count = 0 };
	struct err e = ERR_INIT;

	ck_assert_int_eq(rate_add(&plan, wrong[_i], &e), ERR_USAGE);
	ck_assert_uint_eq(plan.count, 0);
	ck_assert_msg(strstr(e.msg, wrong[_i]) != NULL, "%s", e.msg);
}
END_TEST

START_TEST(there_are_only_so_many)
{
	struct rate_plan plan = { .count = 0 };
	struct err e = ERR_INIT;

	for (size_t i = 0; i < LIMIT_RATE_LINES; i++)
		ck_assert_int_eq(rate_add(&plan, "1Mbit", &e), 0);
	ck_assert_int_eq(rate_add(&plan, "1Mbit", &e), ERR_USAGE);
}
END_TEST

static const struct {
	const char *when; /* TZ is UTC: day, hour */
	long day, hour, minute;
	uint64_t kB;
} moments[] = {
	{ "Friday noon", 0, 12, 0, 100 },
	{ "Friday, the last minute", 0, 17, 59, 100 },
	{ "Friday evening", 0, 18, 0, 300 },
	{ "Friday, late", 0, 22, 30, 200 },
	{ "Saturday, small hours", 1, 5, 59, 200 },
	{ "Saturday morning", 1, 6, 0, 300 },
	{ "Saturday noon", 1, 12, 0, 300 },
	{ "Sunday, late", 2, 23, 0, 300 },
	{ "Monday, small hours", 3, 3, 0, 300 },
	{ "Monday, eight", 3, 8, 0, 100 },
};

START_TEST(the_first_line_that_fits_counts)
{
	struct rate_plan plan = { .count = 0 };
	struct err e = ERR_INIT;
	time_t friday = 1795737600; /* 2026-11-27T00:00Z */
	time_t at = friday + moments[_i].day * 86400 + moments[_i].hour * 3600 +
	    moments[_i].minute * 60;

	ck_assert_int_eq(setenv("TZ", "UTC", 1), 0);
	tzset();
	ck_assert_int_eq(rate_add(&plan, "100kB mon-fri 08:00-18:00", &e), 0);
	ck_assert_int_eq(rate_add(&plan, "200kB fri 22:00-06:00", &e), 0);
	ck_assert_uint_eq(rate_at(&plan, at),
	    moments[_i].kB == 300 ? 0 : moments[_i].kB * 1000);
	ck_assert_int_eq(rate_add(&plan, "300kB", &e), 0);
	ck_assert_msg(rate_at(&plan, at) == moments[_i].kB * 1000, "%s",
	    moments[_i].when);
}
END_TEST

static double
seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Two processes, one with many small pieces and one with large ones. */
START_TEST(several_processes_keep_one_rate)
{
	struct rate_gate *gate = mmap(NULL, sizeof(*gate),
	    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct rate_plan plan = { .count = 0 };
	struct err e = ERR_INIT;
	double begun = seconds(), ratio;
	pid_t child;

	ck_assert_ptr_ne(gate, MAP_FAILED);
	ck_assert_int_eq(rate_add(&plan, "8Mbit", &e), 0);
	rate_pass(gate, &plan, 1); /* what was not used is not made up for */
	if ((child = fork()) == 0) {
		for (int i = 0; i < 5000; i++)
			rate_pass(gate, &plan, 100);
		_exit(0);
	}
	for (int i = 0; i < 50; i++)
		rate_pass(gate, &plan, 10000);
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
	ratio = 1000000 / ((seconds() - begun) * 1000000);
	(void)printf("1 MB at 1 MB/s by two: %.2f of the rate\n", ratio);
	/* A slow machine only makes it slower. */
	ck_assert_msg(ratio < 1.15, "%.2f of the rate", ratio);
	munmap(gate, sizeof(*gate));
}
END_TEST

START_TEST(slow_lines_have_small_windows)
{
	static const struct {
		const char *rate;
		int bytes;
	} windows[] = { { "10kB", 16384 }, { "300kB", 100000 },
		{ "20Mbit", 212992 }, { "100Mbit", 0 }, { "none", 0 } };
	struct err e = ERR_INIT;

	for (size_t i = 0; i < sizeof(windows) / sizeof(*windows); i++) {
		struct rate_plan plan = { .count = 0 };

		ck_assert_int_eq(rate_window(&plan, 0), 0);
		ck_assert_int_eq(rate_add(&plan, windows[i].rate, &e), 0);
		ck_assert_int_eq(rate_window(&plan, 0), windows[i].bytes);
	}
}
END_TEST

#define COUNT(x) ((int)(sizeof(x) / sizeof(*(x))))

int
main(void)
{
	Suite *suite = suite_create("rate");
	TCase *t = tcase_create("rate");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(t, rates_are_read, 0, COUNT(rates));
	tcase_add_loop_test(t, what_is_no_rate_is_refused, 0, COUNT(wrong));
	tcase_add_test(t, there_are_only_so_many);
	tcase_add_loop_test(
	    t, the_first_line_that_fits_counts, 0, COUNT(moments));
	tcase_add_test(t, several_processes_keep_one_rate);
	tcase_add_test(t, slow_lines_have_small_windows);
	suite_add_tcase(suite, t);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
