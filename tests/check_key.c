/* Keys, signatures, base64: against RFC 8032 and against stock openssl. */
#include "common/crypto_key.h"

#include <check.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/fsat.h"
#include "common/text.h"
#include "tests/scratch.h"

/* RFC 8032 section 7.1, TEST 1 to 3. */
static const struct vector {
	const char *secret, *public, *msg, *sig;
} vectors[] = {
	{ "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
	    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
	    "",
	    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
	    "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100"
	    "b" },
	{ "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
	    "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
	    "72",
	    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
	    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c0"
	    "0" },
	{ "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
	    "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
	    "af82",
	    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
	    "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40"
	    "a" },
};
#define VECTORS ((int)(sizeof(vectors) / sizeof(*vectors)))

static size_t
unhex(uint8_t *dst, size_t size, const char *hex)
{
	size_t len = strlen(hex) / 2;

	ck_assert_uint_le(len, size);
	ck_assert_int_eq(text_unhex(dst, len, hex, strlen(hex)), 0);
	return len;
}

/* The PKCS #8 text that holds a raw secret (RFC 8410 section 7). */
static void
pem_of_secret(struct buf *pem, const char *secret_hex)
{
	uint8_t der[48];

	unhex(der, 16, "302e020100300506032b657004220420");
	unhex(der + 16, 32, secret_hex);
	buf_init(pem, 4096);
	buf_add_str(pem, "-----BEGIN PRIVATE KEY-----\n");
	base64_add(pem, der, sizeof(der));
	buf_add_str(pem, "\n-----END PRIVATE KEY-----\n");
}

START_TEST(signs_and_verifies_as_rfc_8032_does)
{
	const struct vector *v = &vectors[_i];
	uint8_t msg[8], want[64], sig[64];
	struct err e = ERR_INIT;
	struct key_public pub;
	struct key *k = NULL;
	struct buf pem;
	char hex[65];
	size_t len;

	pem_of_secret(&pem, v->secret);
	ck_assert_msg(
	    key_from_pem(buf_str(&pem), pem.len, &k, &e) == 0, "%s", e.msg);
	key_public_of(k, &pub);
	text_hex(hex, pub.b, sizeof(pub.b));
	ck_assert_str_eq(hex, v->public);
	len = unhex(msg, sizeof(msg), v->msg);
	unhex(want, sizeof(want), v->sig);
	ck_assert_int_eq(key_sign(k, msg, len, sig, &e), 0);
	ck_assert_mem_eq(sig, want, sizeof(want));
	ck_assert_int_eq(key_verify(&pub, msg, len, want, &e), 0);
	buf_release(&pem);
	key_free(k);
}
END_TEST

START_TEST(any_flipped_bit_of_a_signature_is_refused)
{
	const struct vector *v = &vectors[2];
	struct err e = ERR_INIT;
	struct key_public pub;
	uint8_t msg[2], sig[64];

	unhex(pub.b, sizeof(pub.b), v->public);
	unhex(msg, sizeof(msg), v->msg);
	unhex(sig, sizeof(sig), v->sig);
	for (size_t bit = 0; bit < 8 * sizeof(sig); bit++) {
		sig[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert_int_eq(key_verify(&pub, msg, 2, sig, &e), ERR_VERIFY);
		sig[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	msg[0] ^= 1;
	ck_assert_int_eq(key_verify(&pub, msg, 2, sig, &e), ERR_VERIFY);
	msg[0] ^= 1;
	ck_assert_int_eq(key_verify(&pub, msg, 1, sig, &e), ERR_VERIFY);
	for (size_t bit = 0; bit < 8 * sizeof(pub.b); bit++) {
		pub.b[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert_int_eq(key_verify(&pub, msg, 2, sig, &e), ERR_VERIFY);
		pub.b[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	ck_assert_int_eq(key_verify(&pub, msg, 2, sig, &e), 0);
}
END_TEST

/* S + L signs too where a verifier is careless (RFC 8032 section 5.1.7). */
START_TEST(a_signature_has_one_spelling)
{
	static const uint8_t order[32] = { 0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63,
		0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
		0x14, [31] = 0x10 };
	const struct vector *v = &vectors[1];
	struct err e = ERR_INIT;
	struct key_public pub;
	uint8_t msg[1], sig[64];
	unsigned carry = 0;

	unhex(pub.b, sizeof(pub.b), v->public);
	unhex(msg, sizeof(msg), v->msg);
	unhex(sig, sizeof(sig), v->sig);
	for (size_t i = 0; i < 32; i++) {
		carry += (unsigned)sig[32 + i] + order[i];
		sig[32 + i] = (uint8_t)carry;
		carry >>= 8;
	}
	ck_assert_int_eq(key_verify(&pub, msg, 1, sig, &e), ERR_VERIFY);
}
END_TEST

START_TEST(the_key_id_is_half_a_digest)
{
	struct key_public pub;
	struct digest d;
	char id[KEY_ID_HEX], hex[DIGEST_HEX];

	unhex(pub.b, sizeof(pub.b), vectors[0].public);
	key_id(&pub, id);
	digest_of(pub.b, sizeof(pub.b), &d);
	digest_hex(&d, hex);
	ck_assert_uint_eq(strlen(id), 32);
	ck_assert_int_eq(strncmp(id, hex, 32), 0);
}
END_TEST

START_TEST(a_new_key_survives_pem)
{
	struct err e = ERR_INIT;
	struct key *a = NULL, *b = NULL;
	struct key_public pa, pb;
	struct buf pem;

	buf_init(&pem, 4096);
	ck_assert_int_eq(key_generate(&a, &e), 0);
	ck_assert_int_eq(key_to_pem(a, &pem, &e), 0);
	ck_assert_int_eq(key_from_pem(buf_str(&pem), pem.len, &b, &e), 0);
	key_public_of(a, &pa);
	key_public_of(b, &pb);
	ck_assert_mem_eq(pa.b, pb.b, sizeof(pa.b));
	key_free(a);
	key_free(b);
	/* No prefix of it is a key, but for the line's end. */
	for (size_t len = 0; len + 1 < pem.len; len++)
		ck_assert_int_eq(
		    key_from_pem(buf_str(&pem), len, &b, &e), ERR_FORMAT);
	buf_release(&pem);
}
END_TEST

START_TEST(pem_too_large_for_the_writer_is_an_error)
{
	struct err e = ERR_INIT;
	struct key *k = NULL;
	struct buf pem;

	buf_init(&pem, 100);
	ck_assert_int_eq(key_generate(&k, &e), 0);
	ck_assert_int_eq(key_to_pem(k, &pem, &e), ERR_LIMIT);
	key_free(k);
	buf_release(&pem);
}
END_TEST

/* Runs openssl with up to nine arguments in dir; its exit code, or 127. */
static int
openssl_in(const char *dir, char *const argv[])
{
	int status = 0;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		if (chdir(dir) == 0)
			execvp("openssl", argv);
		_exit(127);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 126;
}

#define ARGV(...) ((char *const[]){ __VA_ARGS__, NULL })

static char a_openssl[] = "openssl", a_genpkey[] = "genpkey", a_pkey[] = "pkey",
            a_pkeyutl[] = "pkeyutl", a_alg[] = "-algorithm", a_ed[] = "ed25519",
            a_ec[] = "EC", a_pkeyopt[] = "-pkeyopt",
            a_p256[] = "ec_paramgen_curve:P-256", a_in[] = "-in",
            a_out[] = "-out", a_pubout[] = "-pubout", a_verify[] = "-verify",
            a_sign[] = "-sign", a_pubin[] = "-pubin", a_inkey[] = "-inkey",
            a_rawin[] = "-rawin", a_sigfile[] = "-sigfile", a_pass[] = "-pass",
            a_secret[] = "pass:secret", a_aes[] = "-aes256",
            a_version[] = "version", f_key[] = "key.pem", f_pub[] = "pub.pem",
            f_msg[] = "msg", f_sig[] = "sig";

static int
read_key(int dir, struct key **k, struct err *e)
{
	struct buf pem;
	int ret;

	buf_init(&pem, 8192);
	ck_assert_int_eq(fsat_read_file(dir, f_key, 8192, &pem, e), 0);
	ret = key_from_pem(buf_str(&pem), pem.len, k, e);
	buf_release(&pem);
	return ret;
}

START_TEST(stock_openssl_reads_our_keys_and_signatures)
{
	struct err e = ERR_INIT;
	struct scratch s;
	struct key *k = NULL;
	uint8_t sig[64];
	struct buf pem;

	scratch_make(&s);
	buf_init(&pem, 8192);
	if (openssl_in(s.path, ARGV(a_openssl, a_version)) == 127)
		goto out;
	ck_assert_int_eq(key_generate(&k, &e), 0);
	ck_assert_int_eq(key_to_pem(k, &pem, &e), 0);
	ck_assert_int_eq(key_sign(k, "a message", 9, sig, &e), 0);
	ck_assert_int_eq(
	    fsat_write_file(s.fd, f_key, 0600, pem.data, pem.len, &e), 0);
	ck_assert_int_eq(
	    fsat_write_file(s.fd, f_msg, 0600, "a message", 9, &e), 0);
	ck_assert_int_eq(fsat_write_file(s.fd, f_sig, 0600, sig, 64, &e), 0);
	ck_assert_int_eq(
	    openssl_in(s.path,
	        ARGV(a_openssl, a_pkey, a_in, f_key, a_pubout, a_out, f_pub)),
	    0);
	ck_assert_int_eq(
	    openssl_in(s.path,
	        ARGV(a_openssl, a_pkeyutl, a_verify, a_pubin, a_inkey, f_pub,
	            a_rawin, a_in, f_msg, a_sigfile, f_sig)),
	    0);
out:
	buf_release(&pem);
	key_free(k);
	scratch_remove(&s);
}
END_TEST

START_TEST(we_read_keys_and_signatures_of_stock_openssl)
{
	struct err e = ERR_INIT;
	struct key_public pub;
	struct scratch s;
	struct key *k = NULL;
	struct buf sig;

	scratch_make(&s);
	buf_init(&sig, 64);
	if (openssl_in(s.path,
	        ARGV(a_openssl, a_genpkey, a_alg, a_ed, a_out, f_key)) == 127)
		goto out;
	ck_assert_int_eq(fsat_write_file(s.fd, f_msg, 0600, "other", 5, &e), 0);
	ck_assert_int_eq(openssl_in(s.path,
	                     ARGV(a_openssl, a_pkeyutl, a_sign, a_inkey, f_key,
	                         a_rawin, a_in, f_msg, a_out, f_sig)),
	    0);
	ck_assert_msg(read_key(s.fd, &k, &e) == 0, "%s", e.msg);
	ck_assert_int_eq(fsat_read_file(s.fd, f_sig, 64, &sig, &e), 0);
	ck_assert_uint_eq(sig.len, 64);
	key_public_of(k, &pub);
	ck_assert_int_eq(key_verify(&pub, "other", 5, sig.data, &e), 0);
out:
	buf_release(&sig);
	key_free(k);
	scratch_remove(&s);
}
END_TEST

START_TEST(other_kinds_of_key_and_locked_ones_are_refused)
{
	struct err e = ERR_INIT;
	struct scratch s;
	struct key *k = NULL;

	scratch_make(&s);
	if (openssl_in(s.path,
	        ARGV(a_openssl, a_genpkey, a_alg, a_ec, a_pkeyopt, a_p256,
	            a_out, f_key)) == 127)
		goto out;
	ck_assert_int_eq(read_key(s.fd, &k, &e), ERR_FORMAT);
	ck_assert_ptr_nonnull(strstr(e.msg, "not an Ed25519 key"));
	ck_assert_int_eq(openssl_in(s.path,
	                     ARGV(a_openssl, a_genpkey, a_alg, a_ed, a_aes,
	                         a_pass, a_secret, a_out, f_key)),
	    0);
	ck_assert_int_eq(read_key(s.fd, &k, &e), ERR_FORMAT);
	ck_assert_ptr_nonnull(strstr(e.msg, "not an unencrypted"));
out:
	scratch_remove(&s);
}
END_TEST

static const struct {
	const char *bytes, *text;
} spellings[] = { /* RFC 4648 section 10 */
	{ "", "" }, { "f", "Zg==" },
	{ "f"
	  "o",
	    "Zm8=" },
	{ "foo", "Zm9v" }, { "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" },
	{ "foobar", "Zm9vYmFy" }, { "\xff\xef\xfe", "/+/+" }
};
#define SPELLINGS ((int)(sizeof(spellings) / sizeof(*spellings)))

START_TEST(base64_is_that_of_rfc_4648)
{
	const char *bytes = spellings[_i].bytes, *text = spellings[_i].text;
	uint8_t back[8];
	struct buf b;
	size_t len = 99;

	buf_init(&b, 64);
	base64_add(&b, bytes, strlen(bytes));
	ck_assert_str_eq(buf_str(&b), text);
	buf_release(&b);
	ck_assert_int_eq(
	    base64_decode(text, strlen(text), back, sizeof(back), &len), 0);
	ck_assert_uint_eq(len, strlen(bytes));
	ck_assert_mem_eq(back, bytes, len);
	if (len > 0)
		ck_assert_int_eq(
		    base64_decode(text, strlen(text), back, len - 1, &len),
		    ERR_LIMIT);
}
END_TEST

static const char *const not_base64[] = { "Z", "Zg", "Zg=", "Zg===", "=",
	"==", "====", "Zh==", "Zm9=", "Zg==Zg==", "Zm8=Zm8=", "Zm 9", "Zm9v\n",
	"Zm-v", "Zm_v", "Z===", "=g==", "Z=g=", "Zm9v====", "Zm\x80v" };
#define NOT_BASE64 ((int)(sizeof(not_base64) / sizeof(*not_base64)))

START_TEST(base64_has_one_spelling)
{
	uint8_t back[16];
	size_t len;

	ck_assert_int_eq(base64_decode(not_base64[_i], strlen(not_base64[_i]),
	                     back, sizeof(back), &len),
	    ERR_FORMAT);
}
END_TEST

START_TEST(random_bytes_differ)
{
	struct err e = ERR_INIT;
	uint8_t a[32], b[32];

	ck_assert_int_eq(random_bytes(a, sizeof(a), &e), 0);
	ck_assert_int_eq(random_bytes(b, sizeof(b), &e), 0);
	ck_assert_mem_ne(a, b, sizeof(a));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("key");
	TCase *t = tcase_create("key");
	SRunner *runner;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, signs_and_verifies_as_rfc_8032_does, 0, VECTORS);
	tcase_add_test(t, any_flipped_bit_of_a_signature_is_refused);
	tcase_add_test(t, a_signature_has_one_spelling);
	tcase_add_test(t, the_key_id_is_half_a_digest);
	tcase_add_test(t, a_new_key_survives_pem);
	tcase_add_test(t, pem_too_large_for_the_writer_is_an_error);
	tcase_add_test(t, stock_openssl_reads_our_keys_and_signatures);
	tcase_add_test(t, we_read_keys_and_signatures_of_stock_openssl);
	tcase_add_test(t, other_kinds_of_key_and_locked_ones_are_refused);
	tcase_add_loop_test(t, base64_is_that_of_rfc_4648, 0, SPELLINGS);
	tcase_add_loop_test(t, base64_has_one_spelling, 0, NOT_BASE64);
	tcase_add_test(t, random_bytes_differ);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
