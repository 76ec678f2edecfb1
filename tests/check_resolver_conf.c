/* resolver_conf: the search list, the name servers, the hosts file. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/resolver_conf.h"

#define COUNT(a)              (sizeof(a) / sizeof((a)[0]))
#define ADD_LOOP(t, f, cases) tcase_add_loop_test(t, f, 0, (int)COUNT(cases))

static const struct {
	const char *name;
	bool ok;
} name_cases[] = {
	{ "a", true },
	{ "a.b", true },
	{ "_pecia._tcp.A-1.example", true },
	{ "", false },
	{ ".", false },
	{ "a.", false },
	{ ".a", false },
	{ "a..b", false },
	{ "a b", false },
	{ "a/b", false },
	{ "a\\046b", false },
	{ "\xc3\xa9.example", false },
	{ "123456789012345678901234567890123456789012345678901234567890123",
	    true },
	{ "1234567890123456789012345678901234567890123456789012345678901234",
	    false },
};

START_TEST(names_have_one_form)
{
	char longest[LIMIT_HOST_BYTES + 2];

	for (size_t i = 0; i < COUNT(name_cases); i++)
		ck_assert_msg(resolver_conf_is_name(name_cases[i].name) ==
		        name_cases[i].ok,
		    "%s", name_cases[i].name);
	for (size_t i = 0; i <= LIMIT_HOST_BYTES; i++)
		longest[i] = i % 2 == 0 ? 'a' : '.';
	longest[LIMIT_HOST_BYTES + 1] = '\0';
	ck_assert(!resolver_conf_is_name(longest));
	longest[LIMIT_HOST_BYTES] = '\0';
	ck_assert(resolver_conf_is_name(longest));
}
END_TEST

static const struct {
	const char *text;
	const char *domains;
} conf_cases[] = {
	{ "", "home.example" },
	{ "search a.example b.example\n", "a.example b.example" },
	{ "search a.example\tb.example", "a.example b.example" },
	{ "search\ta.example. \r\n", "a.example" },
	{ "domain a.example b.example\n", "a.example" },
	{ "domain a.example\nsearch b.example c.example\n",
	    "b.example c.example" },
	{ "search b.example c.example\ndomain a.example\n", "a.example" },
	{ "search a.example\nsearch\ndomain \n", "a.example" },
	{ "# search x.example\n;search y.example\nsearch a.example # b\n",
	    "a.example" },
	{ " search x.example\n", "home.example" },
	{ "searchx x.example\nSEARCH y.example\n", "home.example" },
	{ "search . a.example\n", "a.example" },
	{ "search A.Example a.example a.EXAMPLE.\n", "a.example" },
	{ "search ..x a..b -_-.example sp\\032ce a/b\n", "-_-.example" },
	{ "options ndots:5\nnameserver 10.0.0.1\nsearch a.example\n",
	    "a.example" },
	{ "search com\n", "com" },
};

START_TEST(the_last_search_or_domain_line_wins)
{
	struct resolver_conf c;
	char got[1024] = "";

	resolver_conf_parse(
	    &c, conf_cases[_i].text, strlen(conf_cases[_i].text));
	resolver_conf_default_domain(&c, "host.home.example");
	for (size_t i = 0; i < c.domain_count; i++)
		(void)snprintf(got + strlen(got), sizeof(got) - strlen(got),
		    "%s%s", i > 0 ? " " : "", c.domains[i]);
	ck_assert_str_eq(got, conf_cases[_i].domains);
}
END_TEST

START_TEST(conf_is_bounded)
{
	struct resolver_conf c;
	struct buf b;

	buf_init(&b, 1 << 20);
	buf_add_str(&b, "search");
	for (unsigned i = 0; i < 3 * LIMIT_SEARCH_DOMAINS; i++)
		buf_addf(&b, " d%u.example", i);
	buf_add_str(&b, "\n# ");
	for (size_t i = 0; i < 300000; i++)
		buf_add_byte(&b, 'x');
	buf_add_str(&b,
	    "\nnameserver 10.0.0.1\nnameserver fe80::1%lo\n"
	    "nameserver junk\nnameserver 10.0.0.3\n"
	    "nameserver 10.0.0.4\n");
	for (size_t i = 0; i < 100000; i++)
		buf_add_byte(&b, (uint8_t)i);
	resolver_conf_parse(&c, b.data, b.len);
	ck_assert_uint_eq(c.domain_count, LIMIT_SEARCH_DOMAINS);
	ck_assert_uint_eq(c.skipped, 64);
	ck_assert_str_eq(c.domains[31], "d31.example");
	ck_assert_uint_eq(c.server_count, 3);
	ck_assert_str_eq(c.servers[0].text, "10.0.0.1");
	ck_assert_str_eq(c.servers[1].text, "fe80::1%lo");
	ck_assert_str_eq(c.servers[2].text, "10.0.0.3");
	buf_release(&b);
}
END_TEST

START_TEST(each_truncation_of_a_conf_is_read)
{
	static const char text[] =
	    "domain x.example\nsearch a.example b.example # c\n"
	    "nameserver 10.0.0.1\nnameserver ::1\noptions rotate\n";
	struct resolver_conf c;

	for (size_t len = 0; len < sizeof(text); len++) {
		char *copy = malloc(len + 1);

		ck_assert_ptr_nonnull(copy);
		memcpy(copy, text, len);
		resolver_conf_parse(&c, copy, len);
		ck_assert_uint_le(c.domain_count, 2);
		ck_assert_uint_ge(c.server_count, 1);
		free(copy);
	}
}
END_TEST

START_TEST(without_a_name_server_it_is_this_host)
{
	struct resolver_conf c;

	resolver_conf_parse(&c, "", 0);
	ck_assert_uint_eq(c.server_count, 1);
	ck_assert_str_eq(c.servers[0].text, "127.0.0.1");
	resolver_conf_default_domain(&c, "nodot");
	resolver_conf_default_domain(&c, "dot.");
	ck_assert_uint_eq(c.domain_count, 0);
}
END_TEST

static const struct {
	const char *name;
	const char *addresses;
} hosts_cases[] = {
	{ "localhost", "127.0.0.1 ::1" },
	{ "pecia.a.example", "10.0.0.1 10.0.0.2" },
	{ "PECIA.A.EXAMPLE", "10.0.0.1 10.0.0.2" },
	{ "alias", "10.0.0.1" },
	{ "dotted.example", "10.0.0.3" },
	{ "last.example", "10.0.0.4" },
	{ "comment", "" },
	{ "10.0.0.1", "" },
	{ "bad.example", "" },
	{ "pecia", "" },
};

START_TEST(the_hosts_file_is_read)
{
	static const char text[] =
	    "127.0.0.1\tlocalhost\n::1 localhost ip6-localhost\n"
	    "  10.0.0.1 pecia.a.example alias# comment\r\n"
	    "10.0.0.2 x Pecia.a.Example\n# 10.0.0.9 comment\n"
	    "10.0.0.3 dotted.example.\nbad bad.example\n\n10.0.0.8\n"
	    "10.0.0.4 last.example";
	struct dial_address a[4];
	char got[256] = "";
	size_t n;

	n = resolver_conf_hosts(
	    text, sizeof(text) - 1, hosts_cases[_i].name, 7440, a, 4);
	for (size_t i = 0; i < n; i++)
		(void)snprintf(got + strlen(got), sizeof(got) - strlen(got),
		    "%s%s", i > 0 ? " " : "", a[i].text);
	ck_assert_str_eq(got, hosts_cases[_i].addresses);
	ck_assert_uint_le(resolver_conf_hosts(text, sizeof(text) - 1,
	                      hosts_cases[_i].name, 7440, a, 1),
	    1);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("resolver_conf");
	TCase *t = tcase_create("files");
	SRunner *runner;
	int failed;

	tcase_add_test(t, names_have_one_form);
	ADD_LOOP(t, the_last_search_or_domain_line_wins, conf_cases);
	tcase_add_test(t, conf_is_bounded);
	tcase_add_test(t, each_truncation_of_a_conf_is_read);
	tcase_add_test(t, without_a_name_server_it_is_this_host);
	ADD_LOOP(t, the_hosts_file_is_read, hosts_cases);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
