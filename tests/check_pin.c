/* Names of plans: what they depend on, what is kept, what is told. */
#include "client/pin.h"

#include <check.h>

#include "common/fsat.h"
#include "common/limits.h"
#include "tests/change.h"

#define OK(call) ck_assert_msg((call) == 0, "%s: %s", #call, e.msg)

static const struct digest release = { { 1, 2, 3 } };

/* The pin of the plan from one list to another. */
static void
make(struct pin *pin, const struct spec *before, const struct spec *after,
    const char *run_id)
{
	struct change c;
	struct err e = ERR_INIT;

	change_begin(&c, before, &(struct source){ .specs = after }, NULL);
	c.plan.run_id[0] = *run_id;
	pin_init(pin);
	OK(pin_make(pin, &release, "web", &c.plan, &e));
	change_end(&c);
}

static const struct spec before[] = { D("."), F("a", "1"), F("b", "1"), END };
static const struct spec after[] = { D("."), F("a", "2"), F("c d", "1"), END };
static const struct spec other[] = { D("."), F("a", "2"), END };

START_TEST(lists_release_and_actions)
{
	struct pin pin, again;

	make(&pin, before, after, "x");
	make(&again, before, after, "y");
	ck_assert_str_eq(buf_str(&pin.text),
	    "pecia plan 1\n"
	    "release 0102030000000000000000000000000000000000000000000000000000"
	    "000000\n"
	    "profile web\n"
	    "change file a (content)\n"
	    "create file c\\040d\n"
	    "delete file b\n");
	ck_assert(pin_is_id(pin.id));
	ck_assert_str_eq(pin.id, again.id);
	pin_release(&pin);
	pin_release(&again);
}
END_TEST

START_TEST(tells_what_changed)
{
	struct state s = STATE_INIT;
	struct scratch top;
	struct pin was, is;
	struct buf changes;
	struct err e = ERR_INIT;

	scratch_make(&top);
	OK(state_open(&s, top.path, false, &e));
	make(&was, before, after, "x");
	make(&is, before, other, "x");
	buf_init(&changes, LIMIT_CONFIG_BYTES);
	ck_assert_int_eq(
	    pin_check(&s, &is, was.id, &changes, &e), ERR_CONFLICT);
	ck_assert_ptr_nonnull(strstr(e.msg, "not kept"));
	ck_assert_uint_eq(changes.len, 0);
	OK(pin_keep(&s, &was, &e));
	ck_assert_int_eq(
	    pin_check(&s, &is, was.id, &changes, &e), ERR_CONFLICT);
	ck_assert_str_eq(buf_str(&changes), "- create file c\\040d\n");
	OK(pin_check(&s, &is, is.id, &changes, &e));
	buf_release(&changes);
	pin_release(&was);
	pin_release(&is);
	state_release(&s);
	scratch_remove(&top);
}
END_TEST

START_TEST(keeps_the_newest_only)
{
	struct fsat_names names = { NULL, 0 };
	struct state s = STATE_INIT;
	struct scratch top;
	struct pin pin;
	int dir = -1;
	struct err e = ERR_INIT;

	scratch_make(&top);
	OK(state_open(&s, top.path, false, &e));
	make(&pin, before, after, "x");
	for (int c = '0'; c <= '9'; c++) {
		pin.id[0] = (char)c;
		OK(pin_keep(&s, &pin, &e));
	}
	OK(fsat_open_dir(s.dir, "plans", &dir, &e));
	OK(fsat_list(dir, &names, &e));
	ck_assert_uint_eq(names.count, PIN_KEPT);
	ck_assert_int_eq(names.names[PIN_KEPT - 1][0], '9');
	fsat_names_release(&names);
	OK(fsat_close(&dir, "plans", &e));
	pin_release(&pin);
	state_release(&s);
	scratch_remove(&top);
}
END_TEST

START_TEST(knows_an_id)
{
	ck_assert(pin_is_id("00112233445566778899aabbccddeeff"));
	ck_assert(!pin_is_id(""));
	ck_assert(!pin_is_id("00112233445566778899aabbccddeefF"));
	ck_assert(!pin_is_id("../00112233445566778899aabbccdde"));
	ck_assert(!pin_is_id("00112233445566778899aabbccddeeff0"));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("pin");
	TCase *t = tcase_create("pin");
	SRunner *runner;
	int failed;

	tcase_add_test(t, lists_release_and_actions);
	tcase_add_test(t, tells_what_changed);
	tcase_add_test(t, keeps_the_newest_only);
	tcase_add_test(t, knows_an_id);
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
