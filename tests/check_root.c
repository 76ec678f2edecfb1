/* Trust roots: the text, and the chain from one to the next. */
#include "transcripts/root.h"

#include <check.h>

#include "tests/samples.h"

static void
sample_body(struct buf *body)
{
	struct root r;

	sample_root(&r);
	buf_init(body, LIMIT_ROOT_BYTES);
	root_write(body, &r);
}

START_TEST(what_is_written_is_read_back)
{
	struct root r, again;
	struct err e = ERR_INIT;
	struct buf body, twice;

	sample_root(&r);
	memcpy(r.org, "Universit\xc3\xa4t\\ \n", 16);
	r.version = STATEMENT_NUMBER_MAX;
	buf_init(&body, LIMIT_ROOT_BYTES);
	root_write(&body, &r);
	ck_assert_msg(
	    root_parse(buf_str(&body), body.len, &again, &e) == 0, "%s", e.msg);
	ck_assert_str_eq(again.org, r.org);
	ck_assert_uint_eq(again.version, r.version);
	ck_assert_int_eq(again.expires, r.expires);
	for (int i = 0; i < ROOT_ROLES; i++) {
		ck_assert_uint_eq(again.roles[i].count, r.roles[i].count);
		ck_assert_uint_eq(
		    again.roles[i].threshold, r.roles[i].threshold);
		ck_assert_mem_eq(again.roles[i].keys, r.roles[i].keys,
		    r.roles[i].count * sizeof(struct key_public));
	}
	buf_init(&twice, LIMIT_ROOT_BYTES);
	root_write(&twice, &again);
	ck_assert_str_eq(buf_str(&twice), buf_str(&body));
	buf_release(&body);
	buf_release(&twice);
}
END_TEST

static const struct {
	const char *old, *new;
	const char *says;
} refused[] = {
	{ "pecia root 1", "pecia root 2", "'2' is not 1" },
	{ "pecia root 1", "pecia head 1", "'head' is not root" },
	{ "pecia root 1", "pecia root 1 1", "more than" },
	{ "org ", "Org ", "'org ...' is missing" },
	{ "Example\\040", "Example ", "more than" },
	{ "Example\\040", "Example\\000", "escaped form" },
	{ "Example\\040", "Example\\101", "escaped form" },
	{ "Example\\040", "Example\t", "escaped form" },
	{ "version 1", "version 0", "not a plain number" },
	{ "version 1", "version 01", "not a plain number" },
	{ "version 1", "version +1", "not a plain number" },
	{ "version 1", "version 9223372036854775808", "not a plain number" },
	{ "version 1", "version  1", "one ' ' each" },
	{ "version 1", "version 1 ", "more than" },
	{ "version 1", "version 1\r", "not a plain number" },
	{ "version 1\n", "version 1\nversion 1\n", "'expires ...' is missing" },
	{ "version 1\n", "", "'version ...' is missing" },
	{ "expires 2027-", "expires 2027-13-", "is not a time" },
	{ "-23T06:02:24Z", "-31T06:02:24Z", "is not a time" },
	{ "-23T06:02:24Z", "-23T06:02:24+00:00", "is not a time" },
	{ " ed25519 ", " rsa ", "not ed25519" },
	{ "=\n", "\n", "not 32 bytes" },
	{ "role root 2", "role root 0", "not a plain number" },
	{ "role root 2", "role root 3", "threshold 3, but 2 keys" },
	{ "role root 2", "role root 1 00", "no key line" },
	{ "role root 2", "role head 2", "'head' is not root" },
	{ "role root 2", "role ../root 2", "is not root" },
	{ "role release", "role roster", "is not release" },
};

START_TEST(body_that_is_not_canonical_is_refused)
{
	struct err e = ERR_INIT;
	struct buf body, bad;
	struct root r;

	sample_body(&body);
	sample_replace(&bad, &body, refused[_i].old, refused[_i].new);
	ck_assert_int_eq(
	    root_parse(buf_str(&bad), bad.len, &r, &e), ERR_FORMAT);
	ck_assert_msg(strstr(e.msg, refused[_i].says) != NULL, "%s", e.msg);
	ck_assert_msg(
	    strstr(e.msg, "root statement, line ") == e.msg, "%s", e.msg);
	buf_release(&body);
	buf_release(&bad);
}
END_TEST

/* The lines of two keys, and ids of a role, the other way round. */
START_TEST(keys_and_ids_out_of_order_are_refused)
{
	char a[KEY_ID_HEX], b[KEY_ID_HEX], ids[80], swapped[80];
	struct err e = ERR_INIT;
	struct buf body, bad;
	const char *key, *next;
	struct root r;

	sample_body(&body);
	sample_id(SAMPLE_ROOT_A, a);
	sample_id(SAMPLE_ROOT_B, b);
	(void)snprintf(ids, sizeof(ids), "2 %s %s", strcmp(a, b) < 0 ? a : b,
	    strcmp(a, b) < 0 ? b : a);
	(void)snprintf(swapped, sizeof(swapped), "2 %s %s",
	    strcmp(a, b) < 0 ? b : a, strcmp(a, b) < 0 ? a : b);
	sample_replace(&bad, &body, ids, swapped);
	ck_assert_int_eq(
	    root_parse(buf_str(&bad), bad.len, &r, &e), ERR_FORMAT);
	ck_assert_ptr_nonnull(strstr(e.msg, "repeated or out of order"));
	buf_release(&bad);

	key = strstr(buf_str(&body), "key ");
	next = strchr(key, '\n') + 1;
	buf_init(&bad, LIMIT_ROOT_BYTES);
	buf_add(&bad, body.data, (size_t)(next - buf_str(&body)));
	buf_add_str(&bad, key);
	ck_assert_int_eq(
	    root_parse(buf_str(&bad), bad.len, &r, &e), ERR_FORMAT);
	ck_assert_ptr_nonnull(strstr(e.msg, "repeated or out of order"));
	buf_release(&bad);
	buf_release(&body);
}
END_TEST

START_TEST(id_repeated_in_a_role_does_not_meet_its_threshold)
{
	char id[KEY_ID_HEX], once[80], twice[80];
	struct err e = ERR_INIT;
	struct buf body, bad;
	struct root r;

	sample_body(&body);
	sample_id(SAMPLE_HEAD, id);
	(void)snprintf(once, sizeof(once), "role head 1 %s", id);
	(void)snprintf(twice, sizeof(twice), "role head 2 %s %s", id, id);
	sample_replace(&bad, &body, once, twice);
	ck_assert_int_eq(
	    root_parse(buf_str(&bad), bad.len, &r, &e), ERR_FORMAT);
	ck_assert_ptr_nonnull(strstr(e.msg, "repeated"));
	buf_release(&bad);
	buf_release(&body);
}
END_TEST

START_TEST(key_under_a_false_id_or_without_a_role_is_refused)
{
	char id[KEY_ID_HEX], line[48], other[48];
	struct err e = ERR_INIT;
	struct buf body, bad;
	struct root r;

	sample_body(&body);
	sample_id(SAMPLE_HEAD, id);
	(void)snprintf(line, sizeof(line), "key %s", id);
	id[0] = id[0] == '0' ? '1' : '0';
	(void)snprintf(other, sizeof(other), "key %s", id);
	sample_replace(&bad, &body, line, other);
	ck_assert_int_eq(
	    root_parse(buf_str(&bad), bad.len, &r, &e), ERR_FORMAT);
	ck_assert_ptr_nonnull(strstr(e.msg, "the key's id is"));
	buf_release(&bad);
	buf_release(&body);

	sample_root(&r);
	sample_id(SAMPLE_HEAD, id);
	buf_init(&body, LIMIT_ROOT_BYTES);
	root_write(&body, &r);
	(void)snprintf(line, sizeof(line), "role head 1 %.32s", id);
	sample_id(SAMPLE_ROSTER, id);
	(void)snprintf(other, sizeof(other), "role head 1 %.32s", id);
	sample_replace(&bad, &body, line, other);
	ck_assert_int_eq(
	    root_parse(buf_str(&bad), bad.len, &r, &e), ERR_FORMAT);
	ck_assert_ptr_nonnull(strstr(e.msg, "has no role"));
	buf_release(&bad);
	buf_release(&body);
}
END_TEST

START_TEST(more_keys_than_the_limit_are_refused)
{
	struct err e = ERR_INIT;
	struct key_public key;
	struct root r = { .org = "x", .version = 1 };
	struct buf body;
	int i;

	for (i = 0; i < LIMIT_KEYS; i++) {
		memset(key.b, i, sizeof(key.b));
		ck_assert_int_eq(root_add_key(&r, ROOT_ROLE_ROOT, &key, &e), 0);
	}
	ck_assert_int_eq(
	    root_add_key(&r, ROOT_ROLE_ROOT, &key, &e), ERR_CONFLICT);
	memset(key.b, i, sizeof(key.b));
	ck_assert_int_eq(root_add_key(&r, ROOT_ROLE_ROOT, &key, &e), ERR_LIMIT);
	ck_assert_int_eq(root_add_key(&r, ROOT_ROLE_HEAD, &key, &e), 0);
	for (i = 0; i < ROOT_ROLES; i++)
		r.roles[i].threshold = 1;
	buf_init(&body, LIMIT_ROOT_BYTES);
	root_write(&body, &r);
	ck_assert_int_eq(
	    root_parse(buf_str(&body), body.len, &r, &e), ERR_FORMAT);
	buf_release(&body);
}
END_TEST

START_TEST(keys_are_added_and_removed_by_role)
{
	struct err e = ERR_INIT;
	struct key_public key;
	char id[KEY_ID_HEX];
	struct buf body;
	struct root r;

	sample_root(&r);
	sample_public(SAMPLE_SPARE, &key);
	sample_id(SAMPLE_SPARE, id);
	ck_assert_int_eq(
	    root_remove_key(&r, ROOT_ROLE_HEAD, id, &e), ERR_NOT_FOUND);
	ck_assert_int_eq(root_add_key(&r, ROOT_ROLE_HEAD, &key, &e), 0);
	ck_assert_int_eq(
	    root_add_key(&r, ROOT_ROLE_HEAD, &key, &e), ERR_CONFLICT);
	buf_init(&body, LIMIT_ROOT_BYTES);
	root_write(&body, &r);
	ck_assert_int_eq(root_parse(buf_str(&body), body.len, &r, &e), 0);
	ck_assert_uint_eq(r.roles[ROOT_ROLE_HEAD].count, 2);
	ck_assert_int_eq(root_remove_key(&r, ROOT_ROLE_HEAD, id, &e), 0);
	buf_clear(&body);
	root_write(&body, &r);
	ck_assert_ptr_null(strstr(buf_str(&body), id));
	buf_release(&body);
}
END_TEST

START_TEST(first_root_must_be_the_anchor_and_signed_by_itself)
{
	struct err e = ERR_INIT;
	struct digest anchor;
	struct root r, got;
	struct buf text;

	sample_root(&r);
	sample_root_text(&text, &r);
	digest_of(text.data, text.len, &anchor);
	ck_assert_int_eq(root_first(text.data, text.len, &anchor, &got, &e), 0);
	ck_assert_str_eq(got.org, r.org);
	anchor.b[0] ^= 1;
	ck_assert_int_eq(
	    root_first(text.data, text.len, &anchor, &got, &e), ERR_VERIFY);
	ck_assert_ptr_nonnull(strstr(e.msg, "anchor"));
	buf_release(&text);

	buf_init(&text, LIMIT_ROOT_BYTES);
	root_write(&text, &r);
	sample_sign(&text, SAMPLE_ROOT_A, SAMPLE_HEAD, -1);
	digest_of(text.data, text.len, &anchor);
	ck_assert_int_eq(
	    root_first(text.data, text.len, &anchor, &got, &e), ERR_VERIFY);
	buf_release(&text);

	r.version = 2;
	sample_root_text(&text, &r);
	digest_of(text.data, text.len, &anchor);
	ck_assert_int_eq(
	    root_first(text.data, text.len, &anchor, &got, &e), ERR_VERIFY);
	buf_release(&text);
}
END_TEST

/* Root 1 needs A and B.  Root 2 gives the root role to `new_keys`, all of whom
 * must sign, and is signed by `signed_by`. */
static const struct {
	int new_keys[3];
	int signed_by[4];
	int gives;
} rotations[] = {
	{ { SAMPLE_ROOT_A, SAMPLE_ROOT_B, -1 },
	    { SAMPLE_ROOT_A, SAMPLE_ROOT_B, -1 }, 0 },
	{ { SAMPLE_SPARE, -1 },
	    { SAMPLE_ROOT_A, SAMPLE_ROOT_B, SAMPLE_SPARE, -1 }, 0 },
	/* The old threshold alone. */
	{ { SAMPLE_SPARE, -1 }, { SAMPLE_ROOT_A, SAMPLE_ROOT_B, -1 },
	    ERR_VERIFY },
	/* The new threshold alone. */
	{ { SAMPLE_SPARE, -1 }, { SAMPLE_SPARE, -1 }, ERR_VERIFY },
	/* One of two old ones. */
	{ { SAMPLE_SPARE, -1 }, { SAMPLE_ROOT_A, SAMPLE_SPARE, -1 },
	    ERR_VERIFY },
	{ { SAMPLE_ROOT_A, SAMPLE_SPARE, -1 },
	    { SAMPLE_ROOT_A, SAMPLE_ROOT_B, SAMPLE_SPARE, -1 }, 0 },
	{ { SAMPLE_ROOT_A, SAMPLE_SPARE, -1 },
	    { SAMPLE_ROOT_A, SAMPLE_ROOT_B, -1 }, ERR_VERIFY },
	/* Keys of other roles are not root keys. */
	{ { SAMPLE_HEAD, -1 }, { SAMPLE_HEAD, SAMPLE_RELEASE, -1 },
	    ERR_VERIFY },
};

START_TEST(next_root_needs_both_thresholds)
{
	const int *by = rotations[_i].signed_by;
	struct err e = ERR_INIT;
	struct root old, r, got;
	struct key_public key;
	struct buf text;

	sample_root(&old);
	r = old;
	r.version = 2;
	memset(&r.roles[ROOT_ROLE_ROOT], 0, sizeof(r.roles[0]));
	for (const int *k = rotations[_i].new_keys; *k >= 0; k++) {
		sample_public((enum sample_key) * k, &key);
		ck_assert_int_eq(root_add_key(&r, ROOT_ROLE_ROOT, &key, &e), 0);
		r.roles[ROOT_ROLE_ROOT].threshold++;
	}
	buf_init(&text, LIMIT_ROOT_BYTES);
	root_write(&text, &r);
	sample_sign(&text, by[0], by[1], by[1] < 0 ? -1 : by[2], -1);
	ck_assert_msg(root_next(text.data, text.len, &old, &got, &e) ==
	        rotations[_i].gives,
	    "%s", e.msg);
	buf_release(&text);
}
END_TEST

static const struct {
	uint64_t held, offered;
	const char *org;
	int gives;
} successions[] = {
	{ 1, 2, "Example University", 0 },
	{ 2, 2, "Example University", ERR_ROLLBACK },
	{ 3, 2, "Example University", ERR_ROLLBACK },
	{ 1, 3, "Example University", ERR_VERIFY },
	{ 1, 2, "Another University", ERR_VERIFY },
	{ STATEMENT_NUMBER_MAX, 1, "Example University", ERR_ROLLBACK },
};

START_TEST(next_root_is_the_next_version_of_the_same_org)
{
	struct err e = ERR_INIT;
	struct root old, r, got = { .version = 77 };
	struct buf text;

	sample_root(&old);
	r = old;
	old.version = successions[_i].held;
	r.version = successions[_i].offered;
	memcpy(r.org, successions[_i].org, strlen(successions[_i].org) + 1);
	sample_root_text(&text, &r);
	ck_assert_int_eq(root_next(text.data, text.len, &old, &got, &e),
	    successions[_i].gives);
	ck_assert_uint_eq(got.version, successions[_i].gives == 0 ? 2 : 77);
	buf_release(&text);
}
END_TEST

static int
read_next(void *arg, const void *data, size_t len, struct err *e)
{
	struct root got;

	return root_next(data, len, arg, &got, e);
}

START_TEST(every_truncation_and_bit_flip_is_refused)
{
	struct root old, r;
	struct buf text;

	sample_root(&old);
	r = old;
	r.version = 2;
	sample_root_text(&text, &r);
	sample_damage(&text, 1, read_next, &old);
	buf_release(&text);
}
END_TEST

/* Unsigned: what a holder of stolen keys could make of a body. */
START_TEST(damaged_body_is_refused_or_another_canonical_one)
{
	struct buf body, again;
	struct root r;
	size_t i;

	sample_body(&body);
	buf_init(&again, 2 * body.len);
	for (i = 0; i < 8 * body.len; i++) {
		body.data[i / 8] ^= (uint8_t)(1U << (i % 8));
		if (root_parse(buf_str(&body), body.len, &r, NULL) == 0) {
			buf_clear(&again);
			root_write(&again, &r);
			ck_assert_uint_eq(again.len, body.len);
			ck_assert_mem_eq(again.data, body.data, body.len);
		}
		body.data[i / 8] ^= (uint8_t)(1U << (i % 8));
	}
	for (i = 0; i < body.len; i++)
		ck_assert_int_eq(
		    root_parse(buf_str(&body), i, &r, NULL), ERR_FORMAT);
	buf_release(&body);
	buf_release(&again);
}
END_TEST

#define COUNT(rows) ((int)(sizeof(rows) / sizeof((rows)[0])))

int
main(void)
{
	Suite *suite = suite_create("root");
	TCase *tc = tcase_create("root");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tc, what_is_written_is_read_back);
	tcase_add_loop_test(
	    tc, body_that_is_not_canonical_is_refused, 0, COUNT(refused));
	tcase_add_test(tc, keys_and_ids_out_of_order_are_refused);
	tcase_add_test(tc, id_repeated_in_a_role_does_not_meet_its_threshold);
	tcase_add_test(tc, key_under_a_false_id_or_without_a_role_is_refused);
	tcase_add_test(tc, more_keys_than_the_limit_are_refused);
	tcase_add_test(tc, keys_are_added_and_removed_by_role);
	tcase_add_test(tc, first_root_must_be_the_anchor_and_signed_by_itself);
	tcase_add_loop_test(
	    tc, next_root_needs_both_thresholds, 0, COUNT(rotations));
	tcase_add_loop_test(tc, next_root_is_the_next_version_of_the_same_org,
	    0, COUNT(successions));
	tcase_add_test(tc, every_truncation_and_bit_flip_is_refused);
	tcase_add_test(tc, damaged_body_is_refused_or_another_canonical_one);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
