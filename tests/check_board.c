/* The board: texts are old or new while another process writes. */
#include <check.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/board.h"

#define READS 2000

static struct board *board;

static void
setup(void)
{
	struct err e = ERR_INIT;

	ck_assert_msg(board_new(&board, &e) == 0, "%s", e.msg);
}

static void
teardown(void)
{
	board_free(board);
}

START_TEST(texts_are_cut_off_at_their_room)
{
	char longer[2 * BOARD_TEXT_BYTES], got[BOARD_TEXT_BYTES];

	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	board_say(&board->replication.upstream, longer);
	board_read(&board->replication.upstream, got);
	ck_assert_uint_eq(strlen(got), BOARD_TEXT_BYTES - 1);
	board_say(&board->replication.upstream, "");
	board_read(&board->replication.upstream, got);
	ck_assert_str_eq(got, "");
}
END_TEST

START_TEST(what_a_dead_writer_left_is_not_read)
{
	char got[BOARD_TEXT_BYTES];

	board_say(&board->replication.trouble, "whole");
	board->replication.trouble.turn++;
	board_read(&board->replication.trouble, got);
	ck_assert_str_eq(got, "");
	board_say(&board->replication.trouble, "next");
	board_read(&board->replication.trouble, got);
	ck_assert_str_eq(got, "next");
}
END_TEST

static _Noreturn void
write_for_ever(void)
{
	static const char *const texts[] = { "aaaaaaaaaaaaaaaaaaaaaaaa",
		"bbbbbbbbbbbb" };

	for (unsigned i = 0;; i++)
		board_say(&board->replication.upstream, texts[i % 2]);
}

START_TEST(readers_see_old_or_new)
{
	char got[BOARD_TEXT_BYTES];
	unsigned seen = 0;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		write_for_ever();
	/* Check's time limit ends it if the child never writes. */
	while (seen < READS) {
		board_read(&board->replication.upstream, got);
		if (got[0] == '\0')
			continue;
		seen++;
		if (strcmp(got, "bbbbbbbbbbbb") != 0)
			ck_assert_str_eq(got, "aaaaaaaaaaaaaaaaaaaaaaaa");
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}
END_TEST

START_TEST(children_and_parent_share_counters)
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		board_add(&board->keeping.damaged, 3);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	ck_assert_uint_eq(board_get(&board->keeping.damaged), 3);
	board_set(&board->keeping.damaged, 1);
	ck_assert_uint_eq(board_get(&board->keeping.damaged), 1);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("board");
	TCase *t = tcase_create("board");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, texts_are_cut_off_at_their_room);
	tcase_add_test(t, what_a_dead_writer_left_is_not_read);
	tcase_add_test(t, readers_see_old_or_new);
	tcase_add_test(t, children_and_parent_share_counters);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
