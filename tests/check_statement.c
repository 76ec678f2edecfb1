/* The frame of statements: splitting, signing, thresholds. */
#include "transcripts/statement.h"

#include <check.h>
#include <stdarg.h>

#include "tests/samples.h"

static const char body[] = "pecia test 1\nvalue 7\n";

static void
signed_body(struct buf *text)
{
	buf_init(text, 16384);
	buf_add_str(text, body);
	sample_sign(text, SAMPLE_ROOT_A, SAMPLE_ROOT_B, -1);
}

START_TEST(split_gives_the_exact_body_and_sorted_signatures)
{
	struct err e = ERR_INIT;
	struct statement s;
	struct buf text;

	signed_body(&text);
	ck_assert_int_eq(statement_split(text.data, text.len, &s, &e), 0);
	ck_assert_uint_eq(s.body_len, strlen(body));
	ck_assert_mem_eq(s.body, body, s.body_len);
	ck_assert_uint_eq(s.sig_count, 2);
	ck_assert_int_lt(strcmp(s.sigs[0].id, s.sigs[1].id), 0);
	buf_release(&text);
}
END_TEST

/* $ is the body; < and > are its two valid signature lines, in order. */
#define ID "0123456789abcdef0123456789abcdef"
static const struct {
	const char *text;
	const char *says;
} malformed[] = {
	{ "", "no line '--'" },
	{ "$", "no line '--'" },
	{ "$--", "no line '--'" },
	{ "$-- \n<", "no line '--'" },
	{ "$--\r\n<", "no line '--'" },
	{ "--\n<", "empty" },
	{ "$--\n", "'sig ...' is missing" },
	{ "$--\n\n<", "'sig ...' is missing" },
	{ "$--\n--\n<", "'sig ...' is missing" },
	{ "$--\n<<", "repeated" },
	{ "$--\n><", "out of order" },
	{ "$--\n<>\n", "what follows" },
	{ "$--\n<>value 8\n", "what follows" },
	{ "$--\n<>sig ed25519", "what follows" },
	{ "$--\n<--\n>", "what follows" },
	{ "$--\nsig ed25519 \n", "field 2" },
	{ "$--\nsig rsa 00 00\n", "not ed25519" },
	{ "$--\nsig ed25519 00 00\n", "key id" },
	{ "$--\nsig ed25519 0123456789ABCDEF0123456789abcdef AAAA\n",
	    "key id" },
	{ "$--\nsig ed25519 " ID " AAAA\n", "64 bytes" },
	{ "$--\nsig ed25519 " ID "\n", "missing" },
	{ "$--\nsig  ed25519 " ID " AAAA\n", "one ' ' each" },
	{ "$--\nsig\ted25519 " ID " AAAA\n", "missing" },
};

static void
expand(struct buf *out, const char *row)
{
	const char *first, *second;
	struct buf whole;

	signed_body(&whole);
	first = strstr(buf_str(&whole), "--\n") + 3;
	second = strchr(first, '\n') + 1;
	buf_init(out, 16384);
	for (; *row != '\0'; row++) {
		if (*row == '$')
			buf_add_str(out, body);
		else if (*row == '<')
			buf_add(out, first, (size_t)(second - first));
		else if (*row == '>')
			buf_add_str(out, second);
		else
			buf_add_byte(out, (uint8_t)*row);
	}
	buf_release(&whole);
}

START_TEST(malformed_frame_is_refused)
{
	struct err e = ERR_INIT;
	struct statement s;
	struct buf text;

	expand(&text, malformed[_i].text);
	ck_assert_int_eq(
	    statement_split(text.data, text.len, &s, &e), ERR_FORMAT);
	ck_assert_msg(strstr(e.msg, malformed[_i].says) != NULL, "%s", e.msg);
	buf_release(&text);
}
END_TEST

START_TEST(more_signatures_than_the_limit_are_refused)
{
	struct err e = ERR_INIT;
	struct statement s;
	struct buf text;
	uint8_t sig[KEY_SIGNATURE_BYTES] = { 0 };
	int i;

	for (i = LIMIT_SIGNATURES; i <= LIMIT_SIGNATURES + 1; i++) {
		buf_init(&text, 1 << 20);
		buf_addf(&text, "%s--\n", body);
		for (int j = 0; j < i; j++) {
			buf_addf(&text, "sig ed25519 %032x ", (unsigned)j);
			base64_add(&text, sig, sizeof(sig));
			buf_add_byte(&text, '\n');
		}
		ck_assert_int_eq(statement_split(text.data, text.len, &s, &e),
		    i == LIMIT_SIGNATURES ? 0 : ERR_LIMIT);
		buf_release(&text);
	}
}
END_TEST

static const struct {
	int signed_by[3];
	int may[3];
	unsigned threshold;
	int gives;
} thresholds[] = {
	{ { SAMPLE_ROOT_A, -1 }, { SAMPLE_ROOT_A, -1 }, 1, 0 },
	{ { SAMPLE_ROOT_A, SAMPLE_ROOT_B, -1 },
	    { SAMPLE_ROOT_A, SAMPLE_ROOT_B, -1 }, 2, 0 },
	/* One of two is not two of two. */
	{ { SAMPLE_ROOT_A, -1 }, { SAMPLE_ROOT_A, SAMPLE_ROOT_B, -1 }, 2,
	    ERR_VERIFY },
	{ { SAMPLE_ROOT_A, -1 }, { SAMPLE_ROOT_A, SAMPLE_ROOT_B, -1 }, 1, 0 },
	/* A key that is listed twice counts once. */
	{ { SAMPLE_ROOT_A, -1 }, { SAMPLE_ROOT_A, SAMPLE_ROOT_A, -1 }, 2,
	    ERR_VERIFY },
	/* Strangers do not count and do no harm. */
	{ { SAMPLE_SPARE, -1 }, { SAMPLE_ROOT_A, -1 }, 1, ERR_VERIFY },
	{ { SAMPLE_SPARE, SAMPLE_ROOT_A, -1 }, { SAMPLE_ROOT_A, -1 }, 1, 0 },
	{ { SAMPLE_SPARE, SAMPLE_ROOT_A, -1 },
	    { SAMPLE_ROOT_A, SAMPLE_ROOT_B, -1 }, 2, ERR_VERIFY },
	/* Nobody may sign; a threshold of none is not met by none. */
	{ { SAMPLE_ROOT_A, -1 }, { -1 }, 1, ERR_VERIFY },
	{ { SAMPLE_ROOT_A, -1 }, { -1 }, 0, ERR_VERIFY },
};

START_TEST(threshold_counts_different_keys_that_signed)
{
	struct statement_signers signers = { 0 };
	struct err e = ERR_INIT;
	struct statement s;
	struct buf text;
	const int *by = thresholds[_i].signed_by;

	signers.threshold = thresholds[_i].threshold;
	for (const int *k = thresholds[_i].may; *k >= 0; k++)
		sample_public(
		    (enum sample_key) * k, &signers.keys[signers.count++]);
	buf_init(&text, 4096);
	buf_add_str(&text, body);
	sample_sign(&text, by[0], by[1], by[1] < 0 ? -1 : by[2]);
	ck_assert_int_eq(statement_split(text.data, text.len, &s, &e), 0);
	ck_assert_int_eq(
	    statement_verify(&s, &signers, &e), thresholds[_i].gives);
	if (thresholds[_i].gives != 0)
		ck_assert_ptr_nonnull(strstr(e.msg, "may sign"));
	buf_release(&text);
}
END_TEST

START_TEST(wrong_signature_of_a_known_key_is_an_error_even_if_others_suffice)
{
	struct statement_signers signers = { .count = 2, .threshold = 1 };
	struct err e = ERR_INIT;
	struct statement s;
	struct buf text;

	sample_public(SAMPLE_ROOT_A, &signers.keys[0]);
	sample_public(SAMPLE_ROOT_B, &signers.keys[1]);
	signed_body(&text);
	ck_assert_int_eq(statement_split(text.data, text.len, &s, &e), 0);
	s.sigs[1].sig[0] ^= 1;
	ck_assert_int_eq(statement_verify(&s, &signers, &e), ERR_VERIFY);
	ck_assert_ptr_nonnull(strstr(e.msg, s.sigs[1].id));
	buf_release(&text);
}
END_TEST

/* The same id, another key's bytes: an id alone proves nothing. */
START_TEST(signature_under_a_borrowed_id_is_refused)
{
	struct statement_signers signers = { .count = 1, .threshold = 1 };
	struct err e = ERR_INIT;
	struct statement s;
	struct buf text;

	sample_public(SAMPLE_ROOT_A, &signers.keys[0]);
	buf_init(&text, 4096);
	buf_add_str(&text, body);
	sample_sign(&text, SAMPLE_SPARE, -1);
	ck_assert_int_eq(statement_split(text.data, text.len, &s, &e), 0);
	sample_id(SAMPLE_ROOT_A, s.sigs[0].id);
	ck_assert_int_eq(statement_verify(&s, &signers, &e), ERR_VERIFY);
	buf_release(&text);
}
END_TEST

static int
read_both_signed(void *arg, const void *data, size_t len, struct err *e)
{
	struct statement s;
	int rc = statement_split(data, len, &s, e);

	return rc != 0 ? rc : statement_verify(&s, arg, e);
}

START_TEST(every_truncation_and_bit_flip_is_refused)
{
	struct statement_signers signers = { .count = 2, .threshold = 2 };
	struct buf text;

	sample_public(SAMPLE_ROOT_A, &signers.keys[0]);
	sample_public(SAMPLE_ROOT_B, &signers.keys[1]);
	signed_body(&text);
	sample_damage(&text, 1, read_both_signed, &signers);
	buf_release(&text);
}
END_TEST

static const char *const unsignable[] = {
	"",
	"no line feed at its end",
	"pecia test 1\n--\nvalue 7\n",
	"--\n",
};

START_TEST(text_that_would_be_split_elsewhere_is_not_signed)
{
	struct key *k = sample_key(SAMPLE_SPARE);
	const struct key *keys[] = { k };
	struct err e = ERR_INIT;
	struct buf text;

	buf_init(&text, 4096);
	buf_add_str(&text, unsignable[_i]);
	ck_assert_int_eq(statement_sign(&text, keys, 1, &e), ERR_USAGE);
	ck_assert_str_eq(buf_str(&text), unsignable[_i]);
	buf_release(&text);
	key_free(k);
}
END_TEST

START_TEST(signing_needs_a_key_and_takes_each_once)
{
	struct key *k = sample_key(SAMPLE_SPARE);
	const struct key *keys[] = { k, k };
	struct err e = ERR_INIT;
	struct buf text;

	buf_init(&text, 4096);
	buf_add_str(&text, body);
	ck_assert_int_eq(statement_sign(&text, keys, 0, &e), ERR_USAGE);
	ck_assert_int_eq(statement_sign(&text, keys, 2, &e), ERR_CONFLICT);
	ck_assert_str_eq(buf_str(&text), body);
	ck_assert_int_eq(statement_sign(&text, keys, 1, &e), 0);
	buf_release(&text);
	key_free(k);
}
END_TEST

START_TEST(signatures_added_one_by_one_give_the_same_bytes)
{
	struct key *a = sample_key(SAMPLE_ROOT_A);
	struct key *b = sample_key(SAMPLE_ROOT_B);
	struct err e = ERR_INIT;
	struct buf at_once, text;

	signed_body(&at_once);
	for (int order = 0; order < 2; order++) {
		const struct key *first = order ? a : b;

		buf_init(&text, 4096);
		buf_add_str(&text, body);
		ck_assert_int_eq(statement_sign(&text, &first, 1, &e), 0);
		ck_assert_int_eq(statement_cosign(&text, order ? b : a, &e), 0);
		ck_assert_str_eq(buf_str(&text), buf_str(&at_once));
		ck_assert_int_eq(statement_cosign(&text, a, &e), ERR_CONFLICT);
		ck_assert_str_eq(buf_str(&text), buf_str(&at_once));
		buf_release(&text);
	}
	buf_release(&at_once);
	key_free(a);
	key_free(b);
}
END_TEST

#define COUNT(rows) ((int)(sizeof(rows) / sizeof((rows)[0])))

int
main(void)
{
	Suite *suite = suite_create("statement");
	TCase *tc = tcase_create("statement");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tc, split_gives_the_exact_body_and_sorted_signatures);
	tcase_add_loop_test(
	    tc, malformed_frame_is_refused, 0, COUNT(malformed));
	tcase_add_test(tc, more_signatures_than_the_limit_are_refused);
	tcase_add_loop_test(tc, threshold_counts_different_keys_that_signed, 0,
	    COUNT(thresholds));
	tcase_add_test(tc,
	    wrong_signature_of_a_known_key_is_an_error_even_if_others_suffice);
	tcase_add_test(tc, signature_under_a_borrowed_id_is_refused);
	tcase_add_test(tc, every_truncation_and_bit_flip_is_refused);
	tcase_add_loop_test(tc,
	    text_that_would_be_split_elsewhere_is_not_signed, 0,
	    COUNT(unsignable));
	tcase_add_test(tc, signing_needs_a_key_and_takes_each_once);
	tcase_add_test(tc, signatures_added_one_by_one_give_the_same_bytes);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
