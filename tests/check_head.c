/* Heads of channels. */
#include "transcripts/head.h"

#include <check.h>

#include "tests/samples.h"

START_TEST(what_is_written_is_read_back)
{
	struct head h, again = { 0 };
	struct err e = ERR_INIT;
	struct buf body;

	sample_head(&h);
	h.serial = STATEMENT_NUMBER_MAX;
	h.roster_version = 0;
	buf_init(&body, LIMIT_HEAD_BYTES);
	head_write(&body, &h);
	ck_assert_msg(
	    head_parse(buf_str(&body), body.len, &again, &e) == 0, "%s", e.msg);
	ck_assert_str_eq(again.channel, h.channel);
	ck_assert_uint_eq(again.serial, h.serial);
	ck_assert(digest_equal(&again.release, &h.release));
	ck_assert_uint_eq(again.release_bytes, h.release_bytes);
	ck_assert_uint_eq(again.root_version, h.root_version);
	ck_assert_uint_eq(again.roster_version, 0);
	ck_assert_int_eq(again.issued, h.issued);
	ck_assert_int_eq(again.expires, h.expires);
	buf_release(&body);
}
END_TEST

static const struct {
	const char *old, *new;
	const char *says;
} refused[] = {
	{ "pecia head 1", "pecia release 1", "is not head" },
	{ "channel production", "channel ../x", "is not a name" },
	{ "channel production", "channel .x", "is not a name" },
	{ "channel production", "channel \\-", "is not a name" },
	{ "channel production", "channel a/b", "is not a name" },
	{ "channel production", "channel a b", "more than" },
	{ "channel production",
	    "channel 0123456789012345678901234567890123456789"
	    "0123456789012345678901234",
	    "is not a name" },
	{ "serial 1", "serial 0", "plain number" },
	{ "serial 1", "serial 0x1", "plain number" },
	{ "serial 1", "serial 99999999999999999999", "plain number" },
	{ "serial 1", "serial 18446744073709551617", "plain number" },
	{ "release ", "release sha256:", "SHA-256" },
	{ "release ", "release 0", "SHA-256" },
	{ "release ", "release 00 ", "SHA-256" },
	{ "\nroot 1", " 7\nroot 1", "more than" },
	{ "\nroot 1", "0000000\nroot 1", "plain number" },
	{ "root 1", "root 0", "plain number" },
	{ "roster 1", "roster -1", "plain number" },
	{ "roster 1\n", "roster 1\nroster 1\n", "'issued ...' is missing" },
	{ "issued 2026", "issued 2036", "before it was issued" },
	{ "issued 2026", "issued 1969", "is not a time" },
	{ "issued 2026", "issued 26", "is not a time" },
	{ "expires", "\nexpires", "'expires ...' is missing" },
	{ "Z\nexpires", "z\nexpires", "is not a time" },
	{ "pecia head 1\n", "", "'pecia ...' is missing" },
	{ "pecia head 1\n", " pecia head 1\n", "'pecia ...' is missing" },
	{ "pecia head 1\n", "\xef\xbb\xbfpecia head 1\n",
	    "'pecia ...' is missing" },
};

START_TEST(body_that_is_not_canonical_is_refused)
{
	struct err e = ERR_INIT;
	struct buf body, bad;
	struct head h;

	sample_head(&h);
	buf_init(&body, LIMIT_HEAD_BYTES);
	head_write(&body, &h);
	sample_replace(&bad, &body, refused[_i].old, refused[_i].new);
	ck_assert_int_eq(
	    head_parse(buf_str(&bad), bad.len, &h, &e), ERR_FORMAT);
	ck_assert_msg(strstr(e.msg, refused[_i].says) != NULL, "%s", e.msg);
	ck_assert_msg(
	    strstr(e.msg, "head statement, line ") == e.msg, "%s", e.msg);
	buf_release(&body);
	buf_release(&bad);
}
END_TEST

START_TEST(trailing_bytes_and_nul_are_refused)
{
	struct err e = ERR_INIT;
	struct buf body;
	struct head h;

	sample_head(&h);
	buf_init(&body, LIMIT_HEAD_BYTES);
	head_write(&body, &h);
	buf_add_str(&body, "\n");
	ck_assert_int_eq(
	    head_parse(buf_str(&body), body.len, &h, &e), ERR_FORMAT);
	buf_clear(&body);
	head_write(&body, &h);
	buf_add_byte(&body, 0);
	ck_assert_int_eq(
	    head_parse(buf_str(&body), body.len, &h, &e), ERR_FORMAT);
	buf_clear(&body);
	head_write(&body, &h);
	body.data[18] = 0; /* in the channel's name */
	ck_assert_int_eq(
	    head_parse(buf_str(&body), body.len, &h, &e), ERR_FORMAT);
	buf_release(&body);
}
END_TEST

static int
read_production(void *arg, const void *data, size_t len, struct err *e)
{
	struct head h;

	return head_read(arg, SAMPLE_CHANNEL, data, len, &h, e);
}

START_TEST(every_truncation_and_bit_flip_is_refused)
{
	struct root root;
	struct buf text;
	struct head h;

	sample_root(&root);
	sample_head(&h);
	sample_head_text(&text, &h);
	sample_damage(&text, 1, read_production, &root);
	buf_release(&text);
}
END_TEST

/* A signature is good for its kind and its channel only. */
START_TEST(head_of_another_channel_or_role_is_refused)
{
	struct err e = ERR_INIT;
	struct root root;
	struct buf text;
	struct head h;

	sample_root(&root);
	sample_head(&h);
	sample_head_text(&text, &h);
	ck_assert_int_eq(
	    head_read(&root, "testing", text.data, text.len, &h, &e),
	    ERR_VERIFY);
	ck_assert_ptr_nonnull(strstr(e.msg, "channel production"));
	buf_release(&text);

	for (int key = 0; key < SAMPLE_KEYS; key++) {
		sample_head(&h);
		buf_init(&text, LIMIT_HEAD_BYTES);
		head_write(&text, &h);
		sample_sign(&text, key, -1);
		ck_assert_int_eq(head_read(&root, SAMPLE_CHANNEL, text.data,
		                     text.len, &h, &e),
		    key == SAMPLE_HEAD ? 0 : ERR_VERIFY);
		buf_release(&text);
	}
}
END_TEST

START_TEST(head_beyond_its_limit_is_refused_before_it_is_read)
{
	struct err e = ERR_INIT;
	struct root root;
	struct head h;
	struct buf text;

	sample_root(&root);
	buf_init(&text, (size_t)2 * LIMIT_HEAD_BYTES);
	while (text.len <= LIMIT_HEAD_BYTES)
		buf_add_byte(&text, '\n');
	ck_assert_int_eq(
	    head_read(&root, SAMPLE_CHANNEL, text.data, text.len, &h, &e),
	    ERR_LIMIT);
	buf_release(&text);
}
END_TEST

#define COUNT(rows) ((int)(sizeof(rows) / sizeof((rows)[0])))

int
main(void)
{
	Suite *suite = suite_create("head");
	TCase *tc = tcase_create("head");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tc, what_is_written_is_read_back);
	tcase_add_loop_test(
	    tc, body_that_is_not_canonical_is_refused, 0, COUNT(refused));
	tcase_add_test(tc, trailing_bytes_and_nul_are_refused);
	tcase_add_test(tc, every_truncation_and_bit_flip_is_refused);
	tcase_add_test(tc, head_of_another_channel_or_role_is_refused);
	tcase_add_test(tc, head_beyond_its_limit_is_refused_before_it_is_read);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
