/* Text forms: one spelling each, everything else refused. */
#include "common/text.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

START_TEST(hex_is_lower_case_and_exact)
{
	static const char *const bad[] = { "", "0", "0f0", "0F", "0g", "0f1e",
		" f", "\xff\xff" };
	uint8_t v[2] = { 0x0f, 0xa0 }, one;
	char hex[5];
	size_t i;

	text_hex(hex, v, 2);
	ck_assert_str_eq(hex, "0fa0");
	ck_assert_int_eq(text_unhex(v, 2, "ff01", 4), 0);
	ck_assert_uint_eq(v[0], 0xff);
	ck_assert_uint_eq(v[1], 1);
	for (i = 0; i < COUNT(bad); i++)
		ck_assert_int_eq(
		    text_unhex(&one, 1, bad[i], strlen(bad[i])), ERR_FORMAT);
}
END_TEST

START_TEST(every_byte_survives_escaping)
{
	char in[256], out[256];
	struct buf b;
	size_t i, len;

	for (i = 1; i < 256; i++)
		in[i - 1] = (char)i;
	buf_init(&b, 4096);
	text_escape(&b, in, 255);
	for (i = 0; i < b.len; i++)
		ck_assert(b.data[i] > 0x20 && b.data[i] != 0x7f);
	ck_assert_int_eq(
	    text_unescape(out, sizeof(out), buf_str(&b), b.len, &len), 0);
	ck_assert_uint_eq(len, 255);
	ck_assert_mem_eq(in, out, 255);
	ck_assert_int_eq(
	    text_unescape(out, 255, buf_str(&b), b.len, &len), ERR_LIMIT);
	buf_clear(&b);
	text_escape(&b, "", 0);
	text_escape(&b, "\\-", 2);
	ck_assert_str_eq(buf_str(&b), "\\-\\134-");
	buf_release(&b);
}
END_TEST

START_TEST(only_canonical_escapes_are_read)
{
	static const char *const bad[] = { "", "\\", "\\0", "\\04", "\\101",
		"\\000", "\\400", "\\777", "\\08a", "\\x41", "a b", "a\tb",
		"a\x7f", "a\\-", "\\-a", "\\-\\-", "\\040\\", "\\0400\\9" };
	char out[64];
	size_t i, len = 99;

	for (i = 0; i < COUNT(bad); i++)
		ck_assert_msg(text_unescape(out, sizeof(out), bad[i],
		                  strlen(bad[i]), &len) == ERR_FORMAT,
		    "accepted \"%s\"", bad[i]);
	ck_assert_uint_eq(len, 99);
	ck_assert_int_eq(text_unescape(out, sizeof(out), "\\-", 2, &len), 0);
	ck_assert_uint_eq(len, 0);
	ck_assert_int_eq(
	    text_unescape(out, sizeof(out), "\\040\\1341", 9, &len), 0);
	ck_assert_str_eq(out, " \\1");
}
END_TEST

START_TEST(numbers_have_one_spelling)
{
	static const struct {
		const char *s;
		uint64_t max;
		int ret;
		uint64_t v;
	} cases[] = { { "0", 0, 0, 0 }, { "7", 7, 0, 7 },
		{ "8", 7, ERR_LIMIT, 0 },
		{ "18446744073709551615", UINT64_MAX, 0, UINT64_MAX },
		{ "18446744073709551616", UINT64_MAX, ERR_LIMIT, 0 },
		{ "99999999999999999999", UINT64_MAX, ERR_LIMIT, 0 },
		{ "100000000000000000000", UINT64_MAX, ERR_FORMAT, 0 },
		{ "255", 255, 0, 255 }, { "256", 255, ERR_LIMIT, 0 },
		{ "", 9, ERR_FORMAT, 0 }, { "00", 9, ERR_FORMAT, 0 },
		{ "01", 9, ERR_FORMAT, 0 }, { "+1", 9, ERR_FORMAT, 0 },
		{ "-1", 9, ERR_FORMAT, 0 }, { " 1", 9, ERR_FORMAT, 0 },
		{ "1 ", 99, ERR_FORMAT, 0 }, { "0x1", 99, ERR_FORMAT, 0 } };
	uint64_t v;
	uint32_t o;
	size_t i;

	for (i = 0; i < COUNT(cases); i++) {
		v = 0;
		ck_assert_msg(text_u64(cases[i].s, strlen(cases[i].s),
		                  cases[i].max, &v) == cases[i].ret &&
		        v == cases[i].v,
		    "%s", cases[i].s);
	}
	ck_assert_int_eq(text_octal("0755", 4, &o), 0);
	ck_assert_uint_eq(o, 0755);
	ck_assert_int_eq(text_octal("0785", 4, &o), ERR_FORMAT);
	ck_assert_int_eq(text_octal("", 0, &o), ERR_FORMAT);
	ck_assert_int_eq(text_octal("00000000000", 11, &o), ERR_FORMAT);
}
END_TEST

START_TEST(times_round_trip_and_nothing_else_is_one)
{
	static const char *const bad[] = { "2026-02-30T00:00:00Z",
		"2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z",
		"2026-01-01T24:00:00Z", "2026-01-01T00:00:60Z",
		"2026-01-01 00:00:00Z", "2026-01-01T00:00:00z",
		"2026-01-01T00:00:00", "1969-12-31T23:59:59Z",
		"2023-02-29T00:00:00Z", "20a6-01-01T00:00:00Z",
		"2026-01-01T00:00:00+", "" };
	static const time_t good[] = { 0, 1, 951782400, 1718000000, 4102444800,
		253402300799 };
	char s[TEXT_TIME_BYTES];
	time_t t = 0;
	size_t i;

	for (i = 0; i < COUNT(good); i++) {
		text_time(s, good[i]);
		ck_assert_int_eq(text_untime(s, strlen(s), &t), 0);
		ck_assert_int_eq(t, good[i]);
	}
	text_time(s, 951782400);
	ck_assert_str_eq(s, "2000-02-29T00:00:00Z");
	text_time(s, -5);
	ck_assert_str_eq(s, "1970-01-01T00:00:00Z");
	text_time(s, 999999999999999);
	ck_assert_str_eq(s, "9999-12-31T23:59:59Z");
	for (i = 0; i < COUNT(bad); i++)
		ck_assert_msg(
		    text_untime(bad[i], strlen(bad[i]), &t) == ERR_FORMAT, "%s",
		    bad[i]);
}
END_TEST

START_TEST(names_are_safe_file_names)
{
	static const char *const good[] = { "a", "0", "web-1.2_x", "Base" };
	static const char *const bad[] = { "", ".", "..", ".a", "-a", "_a",
		"a/b", "a b", "a\n", "\xc3\xa4", "a\\" };
	char longest[66];
	size_t i;

	for (i = 0; i < COUNT(good); i++)
		ck_assert(text_is_name(good[i], strlen(good[i])));
	for (i = 0; i < COUNT(bad); i++)
		ck_assert(!text_is_name(bad[i], strlen(bad[i])));
	memset(longest, 'a', sizeof(longest));
	ck_assert(text_is_name(longest, 64));
	ck_assert(!text_is_name(longest, 65));
	ck_assert(!text_is_name("a\0b", 3));
}
END_TEST

START_TEST(digests_take_an_optional_prefix)
{
	char s[72] = "sha256:";
	uint8_t v[32];

	memset(s + 7, 'a', 64);
	ck_assert_int_eq(text_sha256(s, v), 0);
	ck_assert_int_eq(text_sha256(s + 7, v), 0);
	ck_assert_uint_eq(v[31], 0xaa);
	ck_assert_int_eq(text_sha256(s + 8, v), ERR_FORMAT);
	ck_assert_int_eq(text_sha256("sha256:", v), ERR_FORMAT);
	s[0] = 'S';
	ck_assert_int_eq(text_sha256(s, v), ERR_FORMAT);
}
END_TEST

START_TEST(hosts_and_ports_are_taken_apart)
{
	static const struct {
		const char *s, *host;
		unsigned port;
	} good[] = { { "pecia", "pecia", 99 },
		{ "a.example.com.", "a.example.com.", 99 }, { "a:1", "a", 1 },
		{ "10.0.0.1:65535", "10.0.0.1", 65535 }, { "[::1]", "::1", 99 },
		{ "[fe80::1%eth0]:80", "fe80::1%eth0", 80 },
		{ "127.0.0.1:0", "127.0.0.1", 0 } };
	static const char *const bad[] = { "", ":", ":1", "a:", "a:65536",
		"a:-1", "a:01", "a:1x", "::1", "1:2:3", "[::1", "[::1]80",
		"[::1]:", "[]", "[a]", "[1.2.3.4]", "a b", "a/b", "-a", ".a",
		"a\n", "[::1%]", "[::1%a/b]", "http://a" };
	struct err e = ERR_INIT;
	char host[256], longest[300];
	uint16_t port;
	size_t i;

	for (i = 0; i < COUNT(good); i++) {
		ck_assert_msg(
		    text_host_port(good[i].s, 99, host, &port, &e) == 0, "%s",
		    e.msg);
		ck_assert_str_eq(host, good[i].host);
		ck_assert_uint_eq(port, good[i].port);
	}
	for (i = 0; i < COUNT(bad); i++)
		ck_assert_msg(
		    text_host_port(bad[i], 1, host, &port, &e) == ERR_FORMAT,
		    "%s", bad[i]);
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	ck_assert_int_eq(
	    text_host_port(longest, 1, host, &port, &e), ERR_FORMAT);
	longest[253] = '\0';
	ck_assert_int_eq(text_host_port(longest, 1, host, &port, &e), 0);
}
END_TEST

START_TEST(sizes_are_rounded_for_people)
{
	static const struct {
		uint64_t n;
		const char *s;
	} cases[] = { { 0, "0 B" }, { 999, "999 B" }, { 1000, "1.0 kB" },
		{ 1234567, "1.2 MB" }, { 999949, "999.9 kB" },
		{ 999950, "1.0 MB" }, { 999999999, "1.0 GB" },
		{ UINT64_MAX, "18.4 EB" } };
	char s[32];
	size_t i;

	for (i = 0; i < COUNT(cases); i++) {
		text_bytes(s, sizeof(s), cases[i].n);
		ck_assert_str_eq(s, cases[i].s);
	}
}
END_TEST

START_TEST(paths_sort_with_a_directory_before_its_siblings)
{
	static const char *const sorted[] = { "", "a", "a/", "a/b", "a/b/c",
		"a/c", "a\x01", "a b", "a-b", "a.b", "a0", "ab", "b", "\x7f",
		"\x80", "\xff" };
	size_t i, j;

	for (i = 0; i < COUNT(sorted); i++) {
		for (j = 0; j < COUNT(sorted); j++)
			ck_assert_int_eq(text_path_cmp(sorted[i], sorted[j]),
			    i < j ? -1 : i > j);
	}
}
END_TEST

START_TEST(patterns_take_names_anywhere_or_paths_from_the_top)
{
	static const struct {
		const char *pattern, *path;
		bool match;
	} cases[] = { { "*.log", "var/x.log", true },
		{ "*.log", "x.log", true }, { "*.log", "x.logs", false },
		{ "cache", "var/cache/x/y", true },
		{ "cache", "var/caches", false }, { "var/*", "var/x", true },
		{ "var/*", "var/x/y", true }, { "var/*", "var", false },
		{ "var/*", "x/var/y", false }, { "/var", "var", true },
		{ "/var", "var/x/y", true }, { "/var", "x/var", false },
		{ "var/", "var/x", true }, { "a/*/c", "a/b/c/d", true },
		{ "a/*/c", "a/b/b/c", false }, { "*", ".hidden", true },
		{ "[a-c]/?", "b/z", true }, { "a\\*", "a*", true },
		{ "a\\*", "ab", false }, { "", "a", false },
		{ "/", "a", false }, { "*", "", false },
		{ "\xff*", "x/\xff\xfe", true } };
	size_t i;

	for (i = 0; i < COUNT(cases); i++)
		ck_assert_msg(text_path_match(cases[i].pattern,
		                  cases[i].path) == cases[i].match,
		    "%s %s", cases[i].pattern, cases[i].path);
}
END_TEST

START_TEST(utf8_is_well_formed_and_visible)
{
	static const struct {
		const char *s;
		size_t n;
	} cases[] = { { "a", 1 }, { " ", 1 }, { "\n", 0 }, { "\x7f", 0 },
		{ "", 0 }, { "\xc3\xa4", 2 }, { "\xc2\x85", 0 },
		{ "\xc2\xa0", 2 }, { "\xc0\xaf", 0 }, { "\xe0\x80\xaf", 0 },
		{ "\xe2\x82\xac", 3 }, { "\xed\xa0\x80", 0 },
		{ "\xf0\x9f\x98\x80", 4 }, { "\xf0\x80\x80\xaf", 0 },
		{ "\xf4\x90\x80\x80", 0 }, { "\xf5\x80\x80\x80", 0 },
		{ "\x80", 0 }, { "\xff", 0 }, { "\xc3", 0 }, { "\xe2\x82", 0 },
		{ "\xc3(", 0 } };
	size_t i;

	for (i = 0; i < COUNT(cases); i++)
		ck_assert_uint_eq(
		    text_utf8(cases[i].s, strlen(cases[i].s)), cases[i].n);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("text");
	TCase *t = tcase_create("text");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, hex_is_lower_case_and_exact);
	tcase_add_test(t, every_byte_survives_escaping);
	tcase_add_test(t, only_canonical_escapes_are_read);
	tcase_add_test(t, numbers_have_one_spelling);
	tcase_add_test(t, times_round_trip_and_nothing_else_is_one);
	tcase_add_test(t, names_are_safe_file_names);
	tcase_add_test(t, digests_take_an_optional_prefix);
	tcase_add_test(t, hosts_and_ports_are_taken_apart);
	tcase_add_test(t, sizes_are_rounded_for_people);
	tcase_add_test(t, paths_sort_with_a_directory_before_its_siblings);
	tcase_add_test(t, patterns_take_names_anywhere_or_paths_from_the_top);
	tcase_add_test(t, utf8_is_well_formed_and_visible);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
