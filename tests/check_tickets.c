/* The keys of session tickets over time. */
#include "common/crypto_tickets.h"

#include <check.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/limits.h"

#define STEP_MS (UINT64_C(1000) * LIMIT_TICKET_KEY_S)
#define START   UINT64_C(5000)

static struct ticket_keys *
keys(void)
{
	struct ticket_keys *k = NULL;
	struct err e = ERR_INIT;

	ck_assert_int_eq(ticket_keys_new(START, &k, &e), 0);
	return k;
}

static struct ticket_key
newest(struct ticket_keys *k, uint64_t now_ms)
{
	ticket_keys_turn(k, now_ms);
	return *ticket_keys_newest(k);
}

static bool
same(const struct ticket_key *a, const struct ticket_key *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

START_TEST(a_key_opens_for_as_long_again_as_it_sealed)
{
	struct ticket_keys *k = keys();
	struct ticket_key first = newest(k, START), second;
	const struct ticket_key *found;

	first = newest(k, START + STEP_MS - 1);
	found = ticket_keys_find(k, first.name);
	ck_assert_ptr_nonnull(found);
	second = newest(k, START + STEP_MS);
	ck_assert(memcmp(first.name, second.name, sizeof(first.name)) != 0);
	ck_assert(
	    memcmp(first.cipher, second.cipher, sizeof(first.cipher)) != 0);
	ck_assert(memcmp(first.mac, second.mac, sizeof(first.mac)) != 0);
	ticket_keys_turn(k, START + 2 * STEP_MS - 1);
	found = ticket_keys_find(k, first.name);
	ck_assert_ptr_nonnull(found);
	ck_assert(same(found, &first));
	ticket_keys_turn(k, START + 2 * STEP_MS);
	ck_assert_ptr_null(ticket_keys_find(k, first.name));
	found = ticket_keys_find(k, second.name);
	ck_assert_ptr_nonnull(found);
	ck_assert(same(found, &second));
	ticket_keys_free(k);
}
END_TEST

/* One is asked at every step, the other seldom. */
START_TEST(processes_that_were_forked_agree)
{
	struct ticket_keys *k = keys();
	struct ticket_key here, there;
	int said[2], status;
	pid_t pid;

	ck_assert_int_eq(pipe(said), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		there = newest(k, START + 5 * STEP_MS);
		_exit(write(said[1], &there, sizeof(there)) == sizeof(there)
		        ? 0
		        : 1);
	}
	for (uint64_t at = 0; at < 5 * STEP_MS; at += STEP_MS / 2)
		ticket_keys_turn(k, START + at);
	here = newest(k, START + 5 * STEP_MS);
	ck_assert_int_eq(read(said[0], &there, sizeof(there)), sizeof(there));
	ck_assert(same(&here, &there));
	here = newest(k, START); /* it does not turn back */
	ck_assert(same(&here, &there));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	close(said[0]);
	close(said[1]);
	ticket_keys_free(k);
}
END_TEST

START_TEST(no_two_have_the_same)
{
	struct ticket_keys *one = keys(), *other = keys();
	struct ticket_key a = newest(one, START), b = newest(other, START);

	ck_assert(memcmp(a.cipher, b.cipher, sizeof(a.cipher)) != 0);
	ck_assert_ptr_null(ticket_keys_find(other, a.name));
	ticket_keys_free(one);
	ticket_keys_free(other);
	ticket_keys_free(NULL);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("tickets");
	TCase *t = tcase_create("tickets");
	SRunner *runner;
	int failed;

	tcase_add_test(t, a_key_opens_for_as_long_again_as_it_sealed);
	tcase_add_test(t, processes_that_were_forked_agree);
	tcase_add_test(t, no_two_have_the_same);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
