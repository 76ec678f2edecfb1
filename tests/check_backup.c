/* Backups: what goes in comes out, and nothing else is believed. */
#include "server/backup.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "server/backup_files.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct seal_cost cheap = { 1, 1 };

struct vault {
	struct backup b;
	struct buf secret, file;
	struct err e;
};

static void
vault_open(struct vault *v)
{
	memset(v, 0, sizeof(*v));
	backup_init(&v->b);
	buf_init(&v->secret, LIMIT_SECRET_BYTES);
	buf_init(&v->file, LIMIT_BACKUP_BYTES);
	buf_add_str(&v->secret, "open sesame");
}

static void
vault_close(struct vault *v)
{
	backup_release(&v->b);
	buf_wipe(&v->secret);
	buf_release(&v->file);
}

static void
vault_add(struct vault *v, const char *name, const void *data, size_t len)
{
	ck_assert_msg(
	    backup_add(&v->b, name, data, len, &v->e) == 0, "%s", v->e.msg);
}

static void
vault_seal(struct vault *v)
{
	vault_add(v, "keys/root.pem", "root", 4);
	vault_add(v, "policy/empty.conf", "", 0);
	ck_assert_msg(backup_seal(&v->b, BACKUP_PASSPHRASE, &cheap, &v->secret,
	                  &v->file, &v->e) == 0,
	    "%s", v->e.msg);
}

/* What opening the first len bytes of a file says. */
static int
open_bytes(struct vault *v, const void *data, size_t len)
{
	struct backup out;
	int rc;

	backup_init(&out);
	rc = backup_open(data, len, &v->secret, &out, &v->e);
	backup_release(&out);
	return rc;
}

START_TEST(what_goes_in_comes_out)
{
	static const size_t sizes[] = { 0, 1, 511, 512, 513, 100000 };
	uint8_t *data = calloc(1, 100000);
	struct backup out;
	struct vault v;
	char name[32];

	ck_assert_ptr_nonnull(data);
	memset(data, 0xa5, 100000);
	vault_open(&v);
	for (size_t i = 0; i < COUNT(sizes); i++) {
		(void)snprintf(name, sizeof(name), "policy/%zu", sizes[i]);
		vault_add(&v, name, data, sizes[i]);
	}
	ck_assert_int_eq(backup_seal(&v.b, BACKUP_KEY_FILE, &cheap, &v.secret,
	                     &v.file, &v.e),
	    0);
	ck_assert_ptr_null(
	    memmem(v.file.data, v.file.len, "\xa5\xa5\xa5\xa5", 4));
	backup_init(&out);
	ck_assert_msg(
	    backup_open(v.file.data, v.file.len, &v.secret, &out, &v.e) == 0,
	    "%s", v.e.msg);
	ck_assert_uint_eq(out.count, COUNT(sizes));
	for (size_t i = 0; i < COUNT(sizes); i++) {
		const struct backup_entry *entry;

		(void)snprintf(name, sizeof(name), "policy/%zu", sizes[i]);
		entry = backup_find(&out, name);
		ck_assert_ptr_nonnull(entry);
		ck_assert_uint_eq(entry->content.len, sizes[i]);
		ck_assert(sizes[i] == 0 ||
		    memcmp(entry->content.data, data, sizes[i]) == 0);
	}
	backup_release(&out);
	vault_close(&v);
	free(data);
}
END_TEST

START_TEST(another_secret_opens_nothing)
{
	static const char *const others[] = { "open sesamE", "open sesam",
		"open sesame ", "" };
	struct vault v;

	vault_open(&v);
	vault_seal(&v);
	for (size_t i = 0; i < COUNT(others); i++) {
		buf_clear(&v.secret);
		buf_add_str(&v.secret, others[i]);
		ck_assert_int_eq(
		    open_bytes(&v, v.file.data, v.file.len), ERR_VERIFY);
		ck_assert_ptr_nonnull(strstr(v.e.msg, "wrong passphrase"));
	}
	vault_close(&v);
}
END_TEST

START_TEST(no_byte_can_be_changed_or_left_out)
{
	struct vault v;

	vault_open(&v);
	vault_seal(&v);
	ck_assert_int_eq(open_bytes(&v, v.file.data, v.file.len), 0);
	for (size_t i = 0; i < v.file.len; i++) {
		v.file.data[i] ^= 1;
		ck_assert_int_ne(open_bytes(&v, v.file.data, v.file.len), 0);
		v.file.data[i] ^= 1;
	}
	for (size_t len = 0; len < v.file.len; len++)
		ck_assert_int_ne(open_bytes(&v, v.file.data, len), 0);
	vault_close(&v);
}
END_TEST

START_TEST(a_header_has_one_spelling_and_bounds)
{
	static const struct {
		const char *header;
		int want;
	} cases[] = {
		{ "scrypt 2 8 1 %s\nbytes 0\n--\n", 0 },
		{ "scrypt 262144 8 4 %s\nbytes 0\n--\n", 0 },
		{ "scrypt 524288 8 1 %s\nbytes 0\n--\n", ERR_LIMIT },
		{ "scrypt 16384 16 1 %s\nbytes 0\n--\n", ERR_LIMIT },
		{ "scrypt 16384 8 5 %s\nbytes 0\n--\n", ERR_LIMIT },
		{ "scrypt 16384 8 0 %s\nbytes 0\n--\n", ERR_FORMAT },
		{ "scrypt 3 8 1 %s\nbytes 0\n--\n", ERR_FORMAT },
		{ "scrypt 02 8 1 %s\nbytes 0\n--\n", ERR_FORMAT },
		{ "scrypt 2 8 1 %s\nbytes 1\n--\n", ERR_FORMAT },
		{ "scrypt 2 8 1 %s\nbytes 16777217\n--\n", ERR_LIMIT },
		{ "scrypt 2 8 1 %s\nbytes 0\nmore 1\n--\n", ERR_FORMAT },
		{ "scrypt 2 8 1 %s\nbytes 0 0\n--\n", ERR_FORMAT },
	};
	struct backup_header h;
	struct err e = ERR_INIT;
	char salt[65], text[512];

	memset(salt, 'a', 64);
	salt[64] = '\0';
	for (size_t i = 0; i < COUNT(cases); i++) {
		size_t len;
		int rc;

		(void)snprintf(text, sizeof(text),
		    "pecia backup 1\nmade 2026-11-27T01:02:03Z\n"
		    "secret passphrase\n");
		len = strlen(text);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		(void)snprintf(
		    text + len, sizeof(text) - len, cases[i].header, salt);
#pragma GCC diagnostic pop
		len = strlen(text);
		memset(text + len, 0, SEAL_MAC_BYTES);
		rc = backup_read_header(text, len + SEAL_MAC_BYTES, &h, &e);
		ck_assert_msg(rc == cases[i].want ||
		        (cases[i].want == ERR_LIMIT && rc == ERR_FORMAT),
		    "%s: %d %s", cases[i].header, rc, e.msg);
	}
}
END_TEST

START_TEST(a_cost_out_of_range_is_refused_before_it_is_paid)
{
	static const struct seal_cost costs[] = { { 0, 1 }, { 19, 1 },
		{ 63, 1 }, { 14, 0 }, { 14, 5 } };
	static const uint8_t salt[SEAL_SALT_BYTES] = { 0 };
	struct seal_keys keys;
	struct err e = ERR_INIT;

	for (size_t i = 0; i < COUNT(costs); i++)
		ck_assert_int_eq(
		    seal_keys_derive("x", 1, salt, &costs[i], &keys, &e),
		    ERR_LIMIT);
}
END_TEST

/* RFC 7914 section 12: P "", S "" is for another length of salt than ours; so
 * the parts are tried against themselves, and the shell test against
 * openssl(1). */
START_TEST(keys_depend_on_secret_salt_and_cost)
{
	static const struct seal_cost other = { 2, 1 };
	uint8_t salt[SEAL_SALT_BYTES] = { 0 };
	struct seal_keys k[4];
	struct err e = ERR_INIT;

	ck_assert_int_eq(seal_keys_derive("x", 1, salt, &cheap, &k[0], &e), 0);
	ck_assert_int_eq(seal_keys_derive("y", 1, salt, &cheap, &k[1], &e), 0);
	ck_assert_int_eq(seal_keys_derive("x", 1, salt, &other, &k[2], &e), 0);
	salt[31] = 1;
	ck_assert_int_eq(seal_keys_derive("x", 1, salt, &cheap, &k[3], &e), 0);
	for (size_t i = 0; i < COUNT(k); i++) {
		ck_assert_mem_ne(k[i].cipher, k[i].mac, sizeof(k[i].cipher));
		for (size_t j = 0; j < i; j++)
			ck_assert_mem_ne(&k[i], &k[j], sizeof(k[i]));
	}
	seal_keys_wipe(&k[0]);
	ck_assert_int_eq(k[0].cipher[0] | k[0].mac[31], 0);
}
END_TEST

START_TEST(names_stay_below_their_folder)
{
	static const struct {
		const char *name;
		bool is_name;
	} cases[] = {
		{ "keys/root.pem", true },
		{ "a", true },
		{ "a/b/c-d_e.f", true },
		{ "", false },
		{ "/a", false },
		{ "a/", false },
		{ "a//b", false },
		{ "..", false },
		{ "a/../b", false },
		{ ".hidden", false },
		{ "a/.b", false },
		{ "a b", false },
		{ "a\nb", false },
		{ "a\\b", false },
	};
	char longest[BACKUP_NAME_BYTES + 1];

	for (size_t i = 0; i < COUNT(cases); i++)
		ck_assert_msg(backup_is_name(cases[i].name) == cases[i].is_name,
		    "%s", cases[i].name);
	memset(longest, 'a', sizeof(longest));
	longest[BACKUP_NAME_BYTES] = '\0';
	ck_assert(!backup_is_name(longest));
	longest[BACKUP_NAME_BYTES - 1] = '\0';
	ck_assert(backup_is_name(longest));
}
END_TEST

START_TEST(a_name_is_there_once)
{
	struct vault v;

	vault_open(&v);
	vault_add(&v, "policy/a", "1", 1);
	ck_assert_int_eq(
	    backup_add(&v.b, "policy/a", "2", 1, &v.e), ERR_CONFLICT);
	ck_assert_int_eq(backup_add(&v.b, "../a", "2", 1, &v.e), ERR_USAGE);
	ck_assert_uint_eq(v.b.count, 1);
	vault_close(&v);
}
END_TEST

START_TEST(a_tar_of_another_kind_is_refused)
{
	struct backup out;
	struct vault v;
	struct buf tar;

	vault_open(&v);
	vault_add(&v, "keys/head.pem", "head", 4);
	buf_init(&tar, LIMIT_BACKUP_BYTES);
	ck_assert_int_eq(backup_write_tar(&v.b, &tar, &v.e), 0);
	backup_init(&out);
	for (size_t i = 0; i < tar.len; i++) {
		int rc;

		/* The content itself is anybody's. */
		if (i >= 512 && i < 516)
			continue;
		tar.data[i] ^= 4;
		rc = backup_read_tar(tar.data, tar.len, &out, &v.e);
		ck_assert_msg(rc != 0, "byte %zu", i);
		ck_assert_ptr_null(out.entries);
		tar.data[i] ^= 4;
	}
	for (size_t len = 0; len < tar.len; len++)
		ck_assert_int_ne(backup_read_tar(tar.data, len, &out, &v.e), 0);
	buf_release(&tar);
	vault_close(&v);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("backup");
	TCase *t = tcase_create("backup");
	SRunner *r;
	int failed;

	tcase_add_test(t, what_goes_in_comes_out);
	tcase_add_test(t, another_secret_opens_nothing);
	tcase_add_test(t, no_byte_can_be_changed_or_left_out);
	tcase_add_test(t, a_header_has_one_spelling_and_bounds);
	tcase_add_test(t, a_cost_out_of_range_is_refused_before_it_is_paid);
	tcase_add_test(t, keys_depend_on_secret_salt_and_cost);
	tcase_add_test(t, names_stay_below_their_folder);
	tcase_add_test(t, a_name_is_there_once);
	tcase_add_test(t, a_tar_of_another_kind_is_refused);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_set_fork_status(r, CK_NOFORK);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
