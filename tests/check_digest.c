/* SHA-256 against FIPS 180-4, and of descriptors. */
#include "common/crypto_digest.h"

#include <check.h>
#include <string.h>
#include <unistd.h>

#include "common/fsat.h"
#include "tests/scratch.h"

static const struct vector {
	const char *text, *hex;
} vectors[] = {
	{ "",
	    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85"
	    "5" },
	{ "abc",
	    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015a"
	    "d" },
	{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
	    "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c"
	    "1" },
};
#define VECTORS ((int)(sizeof(vectors) / sizeof(vectors[0])))

START_TEST(agrees_with_the_standard)
{
	const struct vector *v = &vectors[_i];
	struct digest_state *d = NULL;
	struct err e = ERR_INIT;
	struct digest once, bytewise, parsed;
	char hex[DIGEST_HEX];
	size_t i;
	int round;

	digest_of(v->text, strlen(v->text), &once);
	digest_hex(&once, hex);
	ck_assert_str_eq(hex, v->hex);
	ck_assert_int_eq(digest_parse(v->hex, 64, &parsed), 0);
	ck_assert(digest_equal(&once, &parsed));
	ck_assert_int_eq(digest_new(&d, &e), 0);
	for (round = 0; round < 3; round++) {
		for (i = 0; i < strlen(v->text); i++)
			digest_add(d, v->text + i, 1);
		digest_end(d, &bytewise);
		ck_assert(digest_equal(&once, &bytewise));
		digest_reset(d);
	}
	digest_add(d, "left over", 9);
	digest_reset(d);
	digest_add(d, v->text, strlen(v->text));
	digest_end(d, &bytewise);
	ck_assert(digest_equal(&once, &bytewise));
	digest_free(d);
}
END_TEST

START_TEST(reads_a_descriptor_up_to_the_limit)
{
	static const size_t sizes[] = { 0, 1, 4096, 262143, 262144, 262145,
		1000000 };
	struct err e = ERR_INIT;
	struct digest want, got;
	static uint8_t bytes[1000000];
	struct scratch s;
	uint64_t size;
	size_t i;
	int fd;

	memset(bytes, 0x5a, sizeof(bytes));
	scratch_make(&s);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		ck_assert_int_eq(
		    fsat_write_file(s.fd, "f", 0600, bytes, sizes[i], &e), 0);
		digest_of(bytes, sizes[i], &want);
		ck_assert_int_eq(fsat_open_file(s.fd, "f", &fd, &e), 0);
		ck_assert_int_eq(
		    digest_of_fd(fd, sizes[i], &got, &size, &e), 0);
		ck_assert(digest_equal(&want, &got));
		ck_assert_uint_eq(size, sizes[i]);
		ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
		if (sizes[i] > 0)
			ck_assert_int_eq(
			    digest_of_fd(fd, sizes[i] - 1, &got, NULL, &e),
			    ERR_LIMIT);
		close(fd);
	}
	ck_assert_int_eq(digest_of_fd(s.fd, 10, &got, NULL, &e), ERR_SYS);
	scratch_remove(&s);
}
END_TEST

START_TEST(zero_is_told_from_everything_else)
{
	struct digest d = { { 0 } };
	size_t i;

	ck_assert(digest_is_zero(&d));
	for (i = 0; i < DIGEST_BYTES; i++) {
		d.b[i] = 1;
		ck_assert(!digest_is_zero(&d));
		d.b[i] = 0;
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("digest");
	TCase *t = tcase_create("digest");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_loop_test(t, agrees_with_the_standard, 0, VECTORS);
	tcase_add_test(t, reads_a_descriptor_up_to_the_limit);
	tcase_add_test(t, zero_is_told_from_everything_else);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
