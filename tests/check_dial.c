/* dial: who wins, how fast, and what is said when nobody does. */
#include <arpa/inet.h>
#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/dial.h"
#include "common/limits.h"

#define FILLERS 8 /* connections that fill a queue of one */

static unsigned
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (unsigned)((uint64_t)t.tv_sec * 1000 +
	    (uint64_t)t.tv_nsec / 1000000);
}

static size_t
open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t n = 0;

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

/* A socket bound to a free port of the address; listens when backlog >= 0. */
static int
bound(const char *address, int backlog, struct dial_address *a)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	int fd;

	ck_assert_int_eq(dial_address_parse(a, address, 0), 0);
	fd = socket(a->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(
	    bind(fd, (const struct sockaddr *)&a->addr, a->len), 0);
	if (backlog >= 0)
		ck_assert_int_eq(listen(fd, backlog), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	memcpy(&a->addr, &addr, len);
	return fd;
}

static bool
has_ipv6(void)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6,
		.sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool ok = fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0;

	if (fd >= 0)
		close(fd);
	return ok;
}

struct hole {
	int listener;
	int fillers[FILLERS];
	struct dial_address addr;
};

/* An address that swallows what is sent to it: its accept queue is full, so
 * the kernel drops each further SYN. */
static void
hole_open(struct hole *h)
{
	h->listener = bound("127.0.0.1", 0, &h->addr);
	for (size_t i = 0; i < FILLERS; i++) {
		h->fillers[i] = socket(
		    AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		ck_assert_int_ge(h->fillers[i], 0);
		(void)!connect(h->fillers[i],
		    (const struct sockaddr *)&h->addr.addr, h->addr.len);
	}
}

static void
hole_close(struct hole *h)
{
	for (size_t i = 0; i < FILLERS; i++)
		close(h->fillers[i]);
	close(h->listener);
}

static const struct {
	const char *text;
	int family;
	const char *shown;
} parse_cases[] = {
	{ "10.1.0.5", AF_INET, "10.1.0.5" },
	{ "::1", AF_INET6, "::1" },
	{ "FD00:0:0::5", AF_INET6, "fd00::5" },
	{ "fe80::1%lo", AF_INET6, "fe80::1%lo" },
	{ "::ffff:10.0.0.1", AF_INET6, "::ffff:10.0.0.1" },
	{ "", 0, NULL },
	{ "127.1", 0, NULL },
	{ "10", 0, NULL },
	{ "0x7f000001", 0, NULL },
	{ "010.0.0.1", 0, NULL },
	{ "[::1]", 0, NULL },
	{ "::1 ", 0, NULL },
	{ "10.1.0.5:80", 0, NULL },
	{ "localhost", 0, NULL },
	{ "fe80::1%no-such-interface", 0, NULL },
};

START_TEST(only_numeric_addresses_are_taken)
{
	struct dial_address a;
	int ret;

	ret = dial_address_parse(&a, parse_cases[_i].text, 7440);
	if (parse_cases[_i].family == 0) {
		ck_assert_int_eq(ret, ERR_FORMAT);
		return;
	}
	ck_assert_int_eq(ret, 0);
	ck_assert_int_eq(a.addr.ss_family, parse_cases[_i].family);
	ck_assert_str_eq(a.text, parse_cases[_i].shown);
	ck_assert_uint_eq(
	    ((const struct sockaddr_in *)&a.addr)->sin_port, htons(7440));
}
END_TEST

START_TEST(a_connection_is_ready_to_use)
{
	const struct dial_options nonblocking = { .nonblocking = true };
	struct err e = ERR_INIT;
	struct dial_address a;
	int listener = bound("127.0.0.1", 4, &a), fd = -1, on = 0;
	socklen_t len = sizeof(on);
	size_t index = 9;

	ck_assert_int_eq(dial(&a, 1, NULL, &fd, &index, &e), 0);
	ck_assert_uint_eq(index, 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_eq(
	    getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
	ck_assert_int_ne(on, 0);
	ck_assert_int_eq(send(fd, "x", 1, 0), 1);
	close(fd);
	ck_assert_int_eq(dial(&a, 1, &nonblocking, &fd, &index, &e), 0);
	ck_assert_int_eq(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	close(fd);
	close(listener);
}
END_TEST

START_TEST(a_black_hole_costs_one_stagger)
{
	struct err e = ERR_INIT;
	struct hole h;
	struct dial_address a[2];
	int listener = bound("127.0.0.1", 4, &a[1]), fd = -1;
	size_t index = 9, before;
	unsigned start, took;

	hole_open(&h);
	a[0] = h.addr;
	before = open_descriptors();
	start = now_ms();
	ck_assert_int_eq(dial(a, 2, NULL, &fd, &index, &e), 0);
	took = now_ms() - start;
	ck_assert_uint_eq(index, 1);
	ck_assert_uint_ge(took, LIMIT_STAGGER_MS);
	ck_assert_uint_lt(took, 1000);
	close(fd);
	ck_assert_uint_eq(open_descriptors(), before);
	hole_close(&h);
	close(listener);
}
END_TEST

START_TEST(a_refusal_starts_the_next_at_once)
{
	const struct dial_options options = { .stagger_ms = 5000 };
	struct err e = ERR_INIT;
	struct dial_address a[3];
	int closed[2], listener, fd = -1;
	size_t index = 9;
	unsigned start = now_ms();

	closed[0] = bound("127.0.0.1", -1, &a[0]);
	closed[1] = bound("127.0.0.1", -1, &a[1]);
	listener = bound("127.0.0.1", 4, &a[2]);
	ck_assert_int_eq(dial(a, 3, &options, &fd, &index, &e), 0);
	ck_assert_uint_lt(now_ms() - start, 2500);
	ck_assert_uint_eq(index, 2);
	close(fd);
	close(listener);
	close(closed[0]);
	close(closed[1]);
}
END_TEST

START_TEST(the_error_has_what_each_address_said)
{
	const struct dial_options options = { .stagger_ms = 10,
		.connect_ms = 150 };
	struct err e = ERR_INIT;
	struct hole h;
	struct dial_address a[2];
	int closed = bound("127.0.0.1", -1, &a[1]), fd = -1;
	size_t index, before;
	char want[64];

	hole_open(&h);
	a[0] = h.addr;
	before = open_descriptors();
	ck_assert_int_eq(dial(a, 2, &options, &fd, &index, &e), ERR_NET);
	ck_assert_ptr_nonnull(strstr(e.msg, ": Connection timed out; "));
	(void)snprintf(want, sizeof(want),
	    "127.0.0.1 port %u: Connection refused",
	    ntohs(((const struct sockaddr_in *)&a[1].addr)->sin_port));
	ck_assert_ptr_nonnull(strstr(e.msg, want));
	ck_assert_int_eq(fd, -1);
	ck_assert_int_eq(dial(a, 1, &options, &fd, &index, &e), ERR_TIMEOUT);
	ck_assert_uint_eq(open_descriptors(), before);
	hole_close(&h);
	close(closed);
}
END_TEST

/* The message lists attempts in the order in which they were made. */
START_TEST(families_take_turns)
{
	const struct dial_options options = { .stagger_ms = 10,
		.connect_ms = 200 };
	struct err e = ERR_INIT;
	struct dial_address a[5];
	const char *const from[] = { "::1", "::1", "::1", "127.0.0.1",
		"127.0.0.2" };
	const char *const order[] = { "::1 ", "127.0.0.1 ", "::1 ",
		"127.0.0.2 ", "::1 " };
	int closed[5], fd;
	size_t index;
	const char *at = e.msg;

	if (!has_ipv6())
		return;
	for (size_t i = 0; i < 5; i++)
		closed[i] = bound(from[i], -1, &a[i]);
	ck_assert_int_eq(dial(a, 5, &options, &fd, &index, &e), ERR_NET);
	for (size_t i = 0; i < 5; i++) {
		at = strstr(at, order[i]);
		ck_assert_msg(at != NULL, "%zu: %s", i, e.msg);
		at++;
		close(closed[i]);
	}
}
END_TEST

START_TEST(no_address_and_too_many_are_refused)
{
	static struct dial_address a[LIMIT_ADDRESSES + 1];
	struct err e = ERR_INIT;
	int fd;
	size_t index;

	ck_assert_int_eq(dial(NULL, 0, NULL, &fd, &index, &e), ERR_USAGE);
	ck_assert_int_eq(
	    dial(a, LIMIT_ADDRESSES + 1, NULL, &fd, &index, &e), ERR_LIMIT);
}
END_TEST

START_TEST(as_many_as_allowed_are_tried)
{
	const struct dial_options options = { .stagger_ms = 1,
		.connect_ms = 400 };
	struct err e = ERR_INIT;
	struct hole h;
	struct dial_address a[LIMIT_ADDRESSES];
	int listener, fd = -1;
	size_t index = 0;

	hole_open(&h);
	for (size_t i = 0; i < LIMIT_ADDRESSES; i++)
		a[i] = h.addr;
	listener = bound("127.0.0.1", 4, &a[LIMIT_ADDRESSES - 1]);
	ck_assert_int_eq(
	    dial(a, LIMIT_ADDRESSES, &options, &fd, &index, &e), 0);
	ck_assert_uint_eq(index, LIMIT_ADDRESSES - 1);
	close(fd);
	close(listener);
	hole_close(&h);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("dial");
	TCase *t = tcase_create("dial");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(t, only_numeric_addresses_are_taken, 0,
	    (int)(sizeof(parse_cases) / sizeof(parse_cases[0])));
	tcase_add_test(t, a_connection_is_ready_to_use);
	tcase_add_test(t, a_black_hole_costs_one_stagger);
	tcase_add_test(t, a_refusal_starts_the_next_at_once);
	tcase_add_test(t, the_error_has_what_each_address_said);
	tcase_add_test(t, families_take_turns);
	tcase_add_test(t, no_address_and_too_many_are_refused);
	tcase_add_test(t, as_many_as_allowed_are_tried);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
