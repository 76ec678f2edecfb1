/* What pecia disable leaves in the state directory. */
#include "client/disable.h"

#include <check.h>

#include "common/fsat.h"
#include "tests/scratch.h"

#define OK(call) ck_assert_msg((call) == 0, "%s: %s", #call, e.msg)

static struct scratch top;
static struct state state = STATE_INIT;

static void
set_up(void)
{
	struct err e = ERR_INIT;

	scratch_make(&top);
	OK(state_open(&state, top.path, false, &e));
}

static void
tear_down(void)
{
	state_release(&state);
	scratch_remove(&top);
}

START_TEST(gives_back_what_was_set)
{
	static const char *const messages[] = { "", "disk is being replaced",
		" two  blanks ", "\xc3\xa9t\xc3\xa9" };
	struct err e = ERR_INIT;
	struct disable d;
	bool disabled = false, was = false;

	for (size_t i = 0; i < sizeof(messages) / sizeof(*messages); i++) {
		OK(disable_set(&state, 86400, messages[i], &e));
		OK(disable_read(&state, &disabled, &d, &e));
		ck_assert(disabled);
		ck_assert_str_eq(d.when, "1970-01-02T00:00:00Z");
		ck_assert_str_eq(d.message, messages[i]);
	}
	OK(disable_clear(&state, &was, &e));
	ck_assert(was);
	OK(disable_read(&state, &disabled, &d, &e));
	ck_assert(!disabled);
	OK(disable_clear(&state, &was, &e));
	ck_assert(!was);
}
END_TEST

START_TEST(refuses_what_is_no_line)
{
	char full[DISABLE_MESSAGE_BYTES + 1];
	const char *const messages[] = { "two\nlines", "\033[31m", "\xff",
		full };
	struct disable d;
	bool disabled = true;
	struct err e = ERR_INIT;

	memset(full, 'a', DISABLE_MESSAGE_BYTES);
	full[DISABLE_MESSAGE_BYTES] = '\0';
	for (size_t i = 0; i < sizeof(messages) / sizeof(*messages); i++)
		ck_assert_int_eq(
		    disable_set(&state, 0, messages[i], &e), ERR_USAGE);
	OK(disable_read(&state, &disabled, &d, &e));
	ck_assert(!disabled);
	full[DISABLE_MESSAGE_BYTES - 1] = '\0';
	OK(disable_set(&state, 0, full, &e));
	OK(disable_read(&state, &disabled, &d, &e));
	ck_assert_str_eq(d.message, full);
}
END_TEST

START_TEST(disables_when_in_doubt)
{
	static const char *const texts[] = { "", "\n", "no time\n",
		"a time that is much too long for one, really", " \n" };
	char large[8192];
	struct disable d;
	bool disabled;
	struct err e = ERR_INIT;

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		OK(fsat_write_file(state.dir, "disabled", 0600, texts[i],
		    strlen(texts[i]), &e));
		disabled = false;
		OK(disable_read(&state, &disabled, &d, &e));
		ck_assert_msg(disabled, "row %zu", i);
	}
	memset(large, 'x', sizeof(large));
	OK(fsat_write_file(
	    state.dir, "disabled", 0600, large, sizeof(large), &e));
	disabled = false;
	OK(disable_read(&state, &disabled, &d, &e));
	ck_assert(disabled);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("disable");
	TCase *t = tcase_create("disable");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, gives_back_what_was_set);
	tcase_add_test(t, refuses_what_is_no_line);
	tcase_add_test(t, disables_when_in_doubt);
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
