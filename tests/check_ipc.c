/* Messages between processes: whole, in order, and safe against an end that
 * sends anything else. */
#include "common/ipc.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/fsat.h"
#include "common/limits.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define OK(call) ck_assert_msg((call) == 0, "%s: %s", #call, e.msg)

#define MEASURED_BYTES (4ULL << 30)

static size_t
open_descriptors(void)
{
	struct err e = ERR_INIT;
	struct fsat_names names;
	size_t count;
	int fd;

	OK(fsat_operator_dir("/proc/self/fd", false, 0, &fd, &e));
	OK(fsat_list(fd, &names, &e));
	count = names.count - 1;
	fsat_names_release(&names);
	close(fd);
	return count;
}

static struct ipc_slots *slots; /* from a to b, or NULL: none */

/* Before each test, as one may leave all of them taken. */
static void
no_slots(void)
{
	ipc_slots_free(slots);
	slots = NULL;
}

static void
make_slots(void)
{
	struct err e = ERR_INIT;

	no_slots();
	OK(ipc_slots_new(&slots, &e));
}

static void
make_pair(struct ipc **a, struct ipc **b)
{
	struct err e = ERR_INIT;
	int fds[2];

	OK(ipc_pair(fds, &e));
	OK(ipc_new(fds[0], a, &e));
	OK(ipc_new(fds[1], b, &e));
	if (slots == NULL)
		return;
	ipc_send_by(*a, slots);
	OK(ipc_take_from(*b, slots, &e));
}

static uint8_t pattern[LIMIT_IPC_BYTES];

static void
fill_pattern(void)
{
	size_t i;

	for (i = 0; i < sizeof(pattern); i++)
		pattern[i] = (uint8_t)(i * 7 + i / 251);
}

static const size_t sizes[] = { 0, 1, 7, 8, 9, 4096, 65536, 131072,
	LIMIT_IPC_BYTES - 1, LIMIT_IPC_BYTES };

/* Each size in one part and cut in two, then nothing more. */
static void *
send_sizes(void *arg)
{
	struct err e = ERR_INIT;
	size_t round, i;

	for (round = 0; round < 20; round++) {
		for (i = 0; i < COUNT(sizes); i++) {
			OK(ipc_send(arg, (uint32_t)i, pattern, sizes[i], &e));
			OK(ipc_send2(arg, 0xfffffff0U + (uint32_t)i,
			    (const struct ipc_part[2]){
			        { pattern, sizes[i] / 3 },
			        { pattern + sizes[i] / 3,
			            sizes[i] - sizes[i] / 3 } },
			    &e));
		}
	}
	ipc_free(arg);
	return NULL;
}

START_TEST(messages_arrive_whole_and_in_order)
{
	struct err e = ERR_INIT;
	struct ipc *a, *b;
	struct ipc_msg m;
	pthread_t t;
	size_t round, i;

	fill_pattern();
	if (_i == 1)
		make_slots();
	make_pair(&a, &b);
	ck_assert_int_eq(pthread_create(&t, NULL, send_sizes, a), 0);
	for (round = 0; round < 20; round++) {
		for (i = 0; i < 2 * COUNT(sizes); i++) {
			OK(ipc_recv(b, &m, 30000, &e));
			ck_assert_uint_eq(
			    m.type, (i % 2 == 0 ? 0 : 0xfffffff0U) + i / 2);
			ck_assert_uint_eq(m.len, sizes[i / 2]);
			ck_assert_int_eq(memcmp(m.data, pattern, m.len), 0);
			ck_assert(!m.has_fd);
		}
	}
	ck_assert_int_eq(ipc_recv(b, &m, 30000, &e), ERR_NET);
	ck_assert_int_eq(ipc_recv(b, &m, IPC_FOREVER, &e), ERR_NET);
	pthread_join(t, NULL);
	ipc_free(b);
}
END_TEST

static ssize_t
waiting_bytes(const struct ipc *ipc)
{
	static uint8_t all[4 * LIMIT_IPC_BYTES];

	return recv(ipc_fd(ipc), all, sizeof(all), MSG_PEEK | MSG_DONTWAIT);
}

START_TEST(held_messages_go_together_and_in_order)
{
	static const size_t held[] = { 100, 0, 1000, 200000, 10, 70000, 70000 };
	struct err e = ERR_INIT;
	struct ipc *a, *b;
	struct ipc_msg m;
	uint8_t end = 1;

	fill_pattern();
	if (_i == 1)
		make_slots();
	make_pair(&a, &b);
	ipc_hold(a);
	for (uint32_t i = 0; i < COUNT(held); i++) {
		OK(ipc_send(a, i, pattern, held[i], &e));
		/* What is worth a call of its own takes along what waits. */
		ck_assert_int_eq(waiting_bytes(b) < 0, i < 3);
	}
	OK(ipc_flush(a, &e));
	OK(ipc_send(a, 100, &end, 1, &e));
	for (uint32_t i = 0; i < COUNT(held); i++) {
		OK(ipc_recv(b, &m, 30000, &e));
		ck_assert_uint_eq(m.type, i);
		ck_assert_uint_eq(m.len, held[i]);
		ck_assert_int_eq(memcmp(m.data, pattern, m.len), 0);
	}
	OK(ipc_recv(b, &m, 30000, &e));
	ck_assert_uint_eq(m.type, 100);
	ck_assert_int_lt(waiting_bytes(b), 0);
	/* A descriptor's message comes behind what waits. */
	ipc_hold(a);
	OK(ipc_send(a, 1, pattern, 10, &e));
	OK(ipc_send_fd(a, 2, pattern, 10, 0, &e));
	OK(ipc_recv(b, &m, 30000, &e));
	ck_assert(m.type == 1 && !m.has_fd);
	OK(ipc_recv(b, &m, 30000, &e));
	ck_assert(m.type == 2 && m.has_fd);
	ipc_free(a);
	ipc_free(b);
}
END_TEST

START_TEST(nothing_comes_within_the_time)
{
	struct err e = ERR_INIT;
	struct ipc *a, *b;
	struct ipc_msg m;

	make_pair(&a, &b);
	ck_assert_int_eq(ipc_recv(b, &m, 0, &e), ERR_TIMEOUT);
	ck_assert_int_eq(ipc_recv(b, &m, 20, &e), ERR_TIMEOUT);
	/* Half a header is no message. */
	ck_assert_int_eq(send(ipc_fd(a), "\0\0\0", 3, 0), 3);
	ck_assert_int_eq(ipc_recv(b, &m, 20, &e), ERR_TIMEOUT);
	ck_assert(!ipc_is_ready(b));
	ck_assert_int_eq(send(ipc_fd(a), "\1\0\0\0\1x", 6, 0), 6);
	OK(ipc_recv(b, &m, 0, &e));
	ck_assert_uint_eq(m.type, 1);
	ck_assert_uint_eq(m.len, 1);
	OK(ipc_send(a, 1, "x", 1, &e));
	OK(ipc_send(a, 2, "y", 1, &e));
	OK(ipc_recv(b, &m, 0, &e));
	ck_assert(ipc_is_ready(b));
	OK(ipc_recv(b, &m, 0, &e));
	ck_assert(!ipc_is_ready(b));
	ipc_free(a);
	ipc_free(b);
}
END_TEST

START_TEST(an_end_that_went_is_noticed_by_both)
{
	struct err e = ERR_INIT;
	struct ipc *a, *b;
	struct ipc_msg m;

	make_pair(&a, &b);
	OK(ipc_send(a, 1, "last", 4, &e));
	ipc_free(a);
	ck_assert_int_eq(ipc_send(b, 1, "x", 1, &e), ERR_NET);
	OK(ipc_recv(b, &m, 0, &e));
	ck_assert_mem_eq(m.data, "last", 4);
	ck_assert_int_eq(ipc_recv(b, &m, 0, &e), ERR_NET);
	ipc_free(b);
	ipc_free(NULL);
}
END_TEST

START_TEST(too_much_is_refused_at_both_ends)
{
	static const uint8_t headers[][8] = {
		{ 0, 0, 0, 1, 0, 4, 0, 1 },
		{ 0, 0, 0, 1, 0x7f, 0xff, 0xff, 0xff },
		{ 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff },
	};
	struct err e = ERR_INIT;
	struct ipc *a, *b;
	struct ipc_msg m;
	size_t i;

	for (i = 0; i < COUNT(headers); i++) {
		make_pair(&a, &b);
		ck_assert_int_eq(
		    ipc_send(a, 1, pattern, LIMIT_IPC_BYTES + 1, &e),
		    ERR_LIMIT);
		ck_assert_int_eq(
		    ipc_send2(a, 1,
		        (const struct ipc_part[2]){
		            { pattern, SIZE_MAX }, { pattern, 2 } },
		        &e),
		    ERR_LIMIT);
		ck_assert_int_eq(ipc_send2(a, 1,
		                     (const struct ipc_part[2]){ { pattern, 1 },
		                         { pattern, LIMIT_IPC_BYTES } },
		                     &e),
		    ERR_LIMIT);
		ck_assert_int_eq(send(ipc_fd(a), headers[i], 8, 0), 8);
		ck_assert_int_eq(ipc_recv(b, &m, 1000, &e), ERR_NET);
		ipc_free(a);
		ipc_free(b);
	}
}
END_TEST

/* The first slot says `text`, and the socket that slot `which` holds len bytes. */
static int
hear_of_slot(const char *text, size_t text_len, uint8_t which, uint32_t len)
{
	uint8_t header[8] = { 0, 0, 0, which, (uint8_t)(0x40 | len >> 24),
		(uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len };
	struct err e = ERR_INIT;
	struct ipc *a, *b;
	struct ipc_msg m;
	uint8_t *slot;
	int rc;

	make_slots();
	make_pair(&a, &b);
	OK(ipc_slots_claim(slots, 0, ipc_fd(a), &slot, &e));
	memcpy(slot, text, text_len);
	ck_assert_int_eq(send(ipc_fd(a), header, 8, 0), 8);
	rc = ipc_recv(b, &m, 1000, &e);
	ipc_free(a);
	ipc_free(b);
	return rc;
}

START_TEST(a_slot_that_lies_is_refused)
{
	static const struct {
		const char *text;
		size_t text_len;
		uint8_t which;
		uint32_t len;
		int rc;
	} cases[] = {
		{ "\0\0\0\1\0\0\0\2ab", 10, 0, 10, 0 },
		{ "\0\0\0\1\0\0\0\2ab", 10, IPC_SLOTS, 10, ERR_NET },
		{ "\0\0\0\1\0\0\0\2ab", 10, 255, 10, ERR_NET },
		{ "\0\0\0\1\0\0\0\2ab", 10, 0, 0, ERR_NET },
		{ "\0\0\0\1\0\0\0\2ab", 10, 0, 7, ERR_NET },
		{ "\0\0\0\1\0\0\0\2ab", 10, 0, 9, ERR_NET },
		{ "\0\0\0\1\0\0\0\2ab", 10, 0, IPC_SLOT_BYTES + 1, ERR_NET },
		{ "\0\0\0\1\0\0\0\2ab", 10, 0, 0x3fffffff, ERR_NET },
		{ "\0\0\0\1\x7f\xff\xff\xff", 8, 0, 8, ERR_NET },
		/* Neither a descriptor nor another slot. */
		{ "\0\0\0\1\x80\0\0\0", 8, 0, 8, ERR_NET },
		{ "\0\0\0\1\x40\0\0\0", 8, 0, 8, ERR_NET },
	};
	static const uint8_t header[8] = { 0, 0, 0, 0, 0x40, 0, 0, 1 };
	struct err e = ERR_INIT;
	struct ipc *a, *b;
	struct ipc_msg m;

	for (size_t i = 0; i < COUNT(cases); i++)
		ck_assert_int_eq(hear_of_slot(cases[i].text, cases[i].text_len,
		                     cases[i].which, cases[i].len),
		    cases[i].rc);
	/* Where there are none. */
	no_slots();
	make_pair(&a, &b);
	ck_assert_int_eq(send(ipc_fd(a), header, 8, 0), 8);
	ck_assert_int_eq(ipc_recv(b, &m, 1000, &e), ERR_NET);
	ipc_free(a);
	ipc_free(b);
}
END_TEST

START_TEST(what_came_is_not_changed_any_more)
{
	struct err e = ERR_INIT;
	struct ipc *a, *b;
	struct ipc_msg m;
	uint8_t *slot;

	make_slots();
	make_pair(&a, &b);
	ipc_hold(a);
	OK(ipc_send(a, 1, "one", 3, &e));
	OK(ipc_send(a, 2, "two", 3, &e));
	OK(ipc_flush(a, &e));
	OK(ipc_recv(b, &m, 1000, &e));
	for (size_t i = 0; i < IPC_SLOTS; i++) {
		OK(ipc_slots_claim(slots, i, ipc_fd(a), &slot, &e));
		memset(slot, 0xff, IPC_SLOT_BYTES);
	}
	ck_assert_mem_eq(m.data, "one", 3);
	ck_assert(ipc_is_ready(b));
	OK(ipc_recv(b, &m, 1000, &e));
	ck_assert_mem_eq(m.data, "two", 3);
	ck_assert(!ipc_is_ready(b));
	ipc_free(a);
	ipc_free(b);
}
END_TEST

/* As a daemon's runs do with the fetcher that it holds. */
START_TEST(a_child_may_take_some_and_its_parent_the_next)
{
	struct err e = ERR_INIT;
	struct ipc *a, *b;
	struct ipc_msg m;
	int status;
	pid_t pid;

	fill_pattern();
	make_slots();
	make_pair(&a, &b);
	for (uint32_t i = 0; i < 2 * IPC_SLOTS; i++) {
		OK(ipc_send(a, i, pattern + i, 50000, &e));
		pid = i % 3 == 0 ? fork() : getpid();
		ck_assert_int_ge(pid, 0);
		if (pid != 0 && i % 3 == 0) {
			ck_assert_int_eq(waitpid(pid, &status, 0), pid);
			ck_assert_int_eq(status, 0);
			continue;
		}
		OK(ipc_recv(b, &m, 1000, &e));
		ck_assert_uint_eq(m.type, i);
		ck_assert_mem_eq(m.data, pattern + i, 50000);
		if (pid == 0)
			_exit(0);
	}
	ipc_free(a);
	ipc_free(b);
}
END_TEST

START_TEST(who_waits_for_a_slot_sees_the_other_end_go)
{
	struct err e = ERR_INIT;
	struct ipc *a, *b;

	make_slots();
	make_pair(&a, &b);
	for (size_t i = 0; i < IPC_SLOTS; i++)
		OK(ipc_send(a, 1, pattern, 100000, &e));
	ipc_free(b);
	ck_assert_int_eq(ipc_send(a, 1, pattern, 100000, &e), ERR_NET);
	ipc_free(a);
}
END_TEST

static char
read_byte(int fd)
{
	char c = 0;

	ck_assert_int_eq(read(fd, &c, 1), 1);
	return c;
}

START_TEST(descriptors_come_with_their_messages)
{
	struct err e = ERR_INIT;
	size_t before = open_descriptors(), i;
	struct ipc *a, *b;
	struct ipc_msg m;
	int ends[3][2], fd;

	make_pair(&a, &b);
	for (i = 0; i < 3; i++) {
		ck_assert_int_eq(pipe2(ends[i], O_CLOEXEC), 0);
		ck_assert_int_eq(write(ends[i][1], &"abc"[i], 1), 1);
		OK(ipc_send(a, 9, "between", 7, &e));
		OK(ipc_send_fd(a, 5, pattern, 60000 * i, ends[i][0], &e));
		close(ends[i][0]);
		close(ends[i][1]);
	}
	ck_assert_int_eq(ipc_send_fd(a, 5, NULL, 0, -1, &e), ERR_USAGE);
	for (i = 0; i < 3; i++) {
		OK(ipc_recv(b, &m, 1000, &e));
		ck_assert_uint_eq(m.type, 9);
		ck_assert_int_eq(ipc_take_fd(b), -1);
		OK(ipc_recv(b, &m, 1000, &e));
		ck_assert_uint_eq(m.type, 5);
		ck_assert_uint_eq(m.len, 60000 * i);
		ck_assert(m.has_fd);
		if (i == 1)
			continue; /* not taken: closed */
		fd = ipc_take_fd(b);
		ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
		ck_assert_int_eq(read_byte(fd), "abc"[i]);
		close(fd);
		ck_assert_int_eq(ipc_take_fd(b), -1);
	}
	ipc_free(a);
	ipc_free(b);
	ck_assert_uint_eq(open_descriptors(), before);
}
END_TEST

/* len bytes with count copies of fd. */
static void
send_raw(int to, const void *bytes, size_t len, int fd, size_t count)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(20 * sizeof(int))];
	uint8_t copy[16];
	struct iovec part = { copy, len };
	struct msghdr m = { .msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = CMSG_SPACE(count * sizeof(int)) };
	struct cmsghdr *c;
	size_t i;

	memset(control, 0, sizeof(control));
	memcpy(copy, bytes, len);
	c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(count * sizeof(int));
	for (i = 0; i < count; i++)
		memcpy(CMSG_DATA(c) + i * sizeof(int), &fd, sizeof(fd));
	ck_assert_int_eq(sendmsg(to, &m, 0), (ssize_t)len);
}

START_TEST(stray_descriptors_are_closed)
{
	static const uint8_t plain[8] = { 0, 0, 0, 1, 0, 0, 0, 0 };
	static const uint8_t flagged[8] = { 0, 0, 0, 1, 0x80, 0, 0, 0 };
	struct err e = ERR_INIT;
	size_t before = open_descriptors(), i, n;
	struct ipc *a, *b;
	struct ipc_msg m;
	int ret;

	/* Many at once: more than are kept, more than fit. */
	for (n = 1; n <= 20; n++) {
		make_pair(&a, &b);
		send_raw(ipc_fd(a), flagged, 8, STDERR_FILENO, n);
		ret = ipc_recv(b, &m, 1000, &e);
		ck_assert(ret == 0 || ret == ERR_NET);
		ck_assert(n < 3 || ret == ERR_NET);
		ipc_free(a);
		ipc_free(b);
		ck_assert_uint_eq(open_descriptors(), before);
	}
	/* With messages that announce none, until it is too much. */
	make_pair(&a, &b);
	ret = 0;
	for (i = 0; i < 10 && ret == 0; i++) {
		send_raw(ipc_fd(a), plain, 8, STDERR_FILENO, 1);
		ret = ipc_recv(b, &m, 1000, &e);
	}
	ck_assert_int_eq(ret, ERR_NET);
	ipc_free(a);
	ipc_free(b);
	/* Announced and missing; sent with half a message, then gone. */
	make_pair(&a, &b);
	ck_assert_int_eq(send(ipc_fd(a), flagged, 8, 0), 8);
	ck_assert_int_eq(ipc_recv(b, &m, 1000, &e), ERR_NET);
	send_raw(ipc_fd(a), flagged, 3, STDERR_FILENO, 1);
	ipc_free(a);
	ck_assert_int_eq(ipc_recv(b, &m, 1000, &e), ERR_NET);
	ipc_free(b);
	ck_assert_uint_eq(open_descriptors(), before);
}
END_TEST

static void *
send_much(void *arg)
{
	struct err e = ERR_INIT;
	uint64_t left = MEASURED_BYTES;

	while (left > 0) {
		OK(ipc_send2(arg, 1,
		    (const struct ipc_part[2]){
		        { pattern, 8 }, { pattern + 8, 131072 - 8 } },
		    &e));
		left -= 131072;
	}
	return NULL;
}

/* A report, and a floor that only a mistake would fall through. */
START_TEST(throughput_is_measured)
{
	struct err e = ERR_INIT;
	struct timespec from, to;
	struct ipc *a, *b;
	struct ipc_msg m;
	uint64_t got = 0, sum = 0;
	pthread_t t;
	double s;

	if (_i == 1)
		make_slots();
	make_pair(&a, &b);
	memset(pattern, 0, sizeof(pattern));
	clock_gettime(CLOCK_MONOTONIC, &from);
	ck_assert_int_eq(pthread_create(&t, NULL, send_much, a), 0);
	while (got < MEASURED_BYTES) {
		OK(ipc_recv(b, &m, 30000, &e));
		got += m.len;
		sum += m.data[m.len - 1];
	}
	clock_gettime(CLOCK_MONOTONIC, &to);
	pthread_join(t, NULL);
	s = (double)(to.tv_sec - from.tv_sec) +
	    (double)(to.tv_nsec - from.tv_nsec) / 1e9;
	(void)printf("ipc: %.2f GB/s in messages of 128 KiB%s\n",
	    (double)got / s / 1e9, slots != NULL ? ", by slots" : "");
	ck_assert_uint_eq(sum, 0);
	ck_assert(s < 60);
	ipc_free(a);
	ipc_free(b);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("ipc");
	TCase *t = tcase_create("ipc");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, no_slots, NULL);
	tcase_add_loop_test(t, messages_arrive_whole_and_in_order, 0, 2);
	tcase_add_loop_test(t, held_messages_go_together_and_in_order, 0, 2);
	tcase_add_test(t, nothing_comes_within_the_time);
	tcase_add_test(t, an_end_that_went_is_noticed_by_both);
	tcase_add_test(t, too_much_is_refused_at_both_ends);
	tcase_add_test(t, a_slot_that_lies_is_refused);
	tcase_add_test(t, what_came_is_not_changed_any_more);
	tcase_add_test(t, a_child_may_take_some_and_its_parent_the_next);
	tcase_add_test(t, who_waits_for_a_slot_sees_the_other_end_go);
	tcase_add_test(t, descriptors_come_with_their_messages);
	tcase_add_test(t, stray_descriptors_are_closed);
	tcase_add_loop_test(t, throughput_is_measured, 0, 2);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
