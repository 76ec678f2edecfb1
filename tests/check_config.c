/* Configuration files: what is read, and how what is not is named. */
#include "common/config.h"

#include <check.h>
#include <string.h>

#include "common/buf.h"
#include "common/fsat.h"
#include "common/limits.h"
#include "tests/scratch.h"

#define COUNT(a)   (sizeof(a) / sizeof((a)[0]))
#define OK(call)   ck_assert_msg((call) == 0, "%s: %s", #call, e.msg)
#define BAD(x, to) ck_assert_int_eq((x), (to))

static struct config *
parse(const char *text)
{
	struct config *c = NULL;
	struct err e = ERR_INIT;

	OK(config_parse("f.conf", text, strlen(text), &c, &e));
	return c;
}

START_TEST(keeps_sections_and_values_in_order)
{
	static const char text[] = "\xef\xbb\xbf# a comment\n"
	                           "[main]\n"
	                           "  server = a b  c ; rest\n"
	                           "\tport=8443\r\n"
	                           "; another\n"
	                           "colon: x=y;z\n"
	                           "empty =\n"
	                           "\n"
	                           " [ transcript   base ] # comment\n"
	                           "target = /\n"
	                           "target = /srv\n"
	                           "[empty]\n"
	                           "[transcript web]\n"
	                           "target = /var/www";
	struct config *c = parse(text);
	struct err e = ERR_INIT;
	const struct config_section *s;
	const char *v = NULL;
	uint64_t port = 0;

	ck_assert_uint_eq(config_count(c), 4);
	s = config_at(c, 0);
	ck_assert_str_eq(config_type(s), "main");
	ck_assert_str_eq(config_name(s), "");
	OK(config_string(s, "server", &v, &e));
	ck_assert_str_eq(v, "a b  c");
	OK(config_string(s, "colon", &v, &e));
	ck_assert_str_eq(v, "x=y;z");
	OK(config_string(s, "empty", &v, &e));
	ck_assert_str_eq(v, "");
	OK(config_u64(s, "port", 65535, &port, &e));
	ck_assert_uint_eq(port, 8443);
	ck_assert_str_eq(config_type(config_at(c, 1)), "transcript");
	ck_assert_str_eq(config_name(config_at(c, 1)), "base");
	ck_assert_str_eq(config_type(config_at(c, 2)), "empty");
	s = config_find(c, "transcript", "web");
	ck_assert_ptr_nonnull(s);
	OK(config_string(s, "target", &v, &e));
	ck_assert_str_eq(v, "/var/www");
	ck_assert_ptr_null(config_find(c, "transcript", "x"));
	ck_assert(config_has(s, "target") && !config_has(s, "port"));
	config_free(c);
}
END_TEST

START_TEST(names_file_and_line_of_what_it_refuses)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "[a]\nnonsense\n", "f.conf:2: neither" },
		{ "\n\n[a\n", "f.conf:3: section header without \"]\"" },
		{ "[]\n", "f.conf:1: section header without a type" },
		{ "[a] x = 1\n", "f.conf:1: text behind" },
		{ "[a]\n= 1\n", "f.conf:2: a value without a key" },
		{ "[a]\nx=1\n[b]\n[a]\n",
		    "f.conf:4: section [a] was already "
		    "given in line 1" },
		{ "[t x]\n[t  x]", "f.conf:2: section [t x] was already" },
		{ "[a]\nx = \x1b[2J\n", "f.conf:2: control byte" },
	};
	struct config *c = NULL;
	struct err e = ERR_INIT;
	size_t i;

	for (i = 0; i < COUNT(cases); i++) {
		BAD(config_parse(
		        "f.conf", cases[i].text, strlen(cases[i].text), &c, &e),
		    ERR_FORMAT);
		ck_assert_msg(
		    strncmp(e.msg, cases[i].want, strlen(cases[i].want)) == 0,
		    "%s", e.msg);
	}
	BAD(config_parse("f", "[a]\nx=\0\n", 8, &c, &e), ERR_FORMAT);
	BAD(config_parse("f", "", LIMIT_CONFIG_BYTES + 1ULL, &c, &e),
	    ERR_LIMIT);
	BAD(config_load("/nonexistent/f", &c, &e), ERR_NOT_FOUND);
	ck_assert_ptr_null(c);
}
END_TEST

/* "[s]", then a pair whose line has len bytes, then "z=1". */
static void
add_long_line(struct buf *text, size_t len)
{
	size_t i;

	buf_add_str(text, "[s]\nk=");
	for (i = 2; i < len; i++)
		buf_add_byte(text, 'v');
	buf_add_str(text, "\nz=1\n");
}

START_TEST(long_lines_are_whole_or_refused)
{
	struct config *c = NULL;
	struct err e = ERR_INIT;
	const char *v = NULL;
	struct buf text;
	size_t len;

	buf_init(&text, SIZE_MAX);
	for (len = 150; len <= CONFIG_LINE_BYTES; len += 67) {
		buf_clear(&text);
		add_long_line(&text, len);
		c = parse(buf_str(&text));
		OK(config_string(config_at(c, 0), "k", &v, &e));
		ck_assert_uint_eq(strlen(v), len - 2);
		ck_assert(config_has(config_at(c, 0), "z"));
		config_free(c);
	}
	buf_clear(&text);
	add_long_line(&text, CONFIG_LINE_BYTES + 1);
	BAD(config_parse("f.conf", text.data, text.len, &c, &e), ERR_FORMAT);
	ck_assert_str_eq(e.msg, "f.conf:2: line too long");
	buf_release(&text);
}
END_TEST

/* The library itself keeps 49 bytes of one. */
START_TEST(names_of_sections_are_kept_whole)
{
	static const char text[] =
	    "[transcript n234567890123456789012345678901234567890"
	    "12345678901234567890x]\nk=1\n";
	struct config *c = parse(text);

	ck_assert_uint_eq(strlen(config_name(config_at(c, 0))), 61);
	config_free(c);
}
END_TEST

START_TEST(every_truncation_is_read_or_refused)
{
	static const char text[] = "[main]\nserver = a\n[t b]\nx: 1\n; c\n";
	struct config *c;
	struct err e = ERR_INIT;
	size_t len;

	for (len = 0; len < sizeof(text); len++) {
		c = NULL;
		if (config_parse("f", text, len, &c, &e) != 0)
			ck_assert_int_eq(strncmp(e.msg, "f:", 2), 0);
		config_free(c);
	}
}
END_TEST

START_TEST(unknown_keys_and_sections_are_refused)
{
	static const char *const main_keys[] = { "server", "port", NULL };
	static const char *const named_keys[] = { "target", NULL };
	static const struct config_rule rules[] = {
		{ "main", CONFIG_UNNAMED, main_keys },
		{ "transcript", CONFIG_NAMED, named_keys },
		{ "host", CONFIG_PATTERN, named_keys },
	};
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "[main]\nserver=1\n[transcript a]\ntarget=/\n", NULL },
		{ "", NULL },
		{ "[host web[0-9]*.a]\ntarget=1\n[host *]\n", NULL },
		{ "[host]\n", "f.conf:1: [host PATTERN] needs one" },
		{ "[main]\n\nsever = x\n",
		    "f.conf:3: unknown key \"sever\" in [main]" },
		{ "[main]\nport=1\n[man]\n",
		    "f.conf:3: unknown section [man]" },
		{ "[main x]\n", "f.conf:1: [main] takes no name" },
		{ "[transcript]\n", "f.conf:1: [transcript NAME] needs" },
		{ "[transcript ../x]\n", "f.conf:1: [transcript NAME] needs" },
		{ "a=1\n[main]\n", "f.conf:1: a key before the first" },
	};
	struct err e = ERR_INIT;
	struct config *c;
	size_t i;
	int ret;

	for (i = 0; i < COUNT(cases); i++) {
		c = parse(cases[i].text);
		ret = config_check(c, rules, COUNT(rules), &e);
		ck_assert_int_eq(ret, cases[i].want == NULL ? 0 : ERR_USAGE);
		if (ret != 0)
			ck_assert_msg(strncmp(e.msg, cases[i].want,
			                  strlen(cases[i].want)) == 0,
			    "%s", e.msg);
		config_free(c);
	}
}
END_TEST

START_TEST(values_are_converted_or_named)
{
	static const struct {
		const char *text;
		int64_t seconds, bytes, flag; /* -1: refused */
	} cases[] = {
		{ "0", 0, 0, 0 },
		{ "1", 1, 1, 1 },
		{ "90", 90, 90, -1 },
		{ "90s", 90, -1, -1 },
		{ "2m", 120, -1, -1 },
		{ "3h", 10800, -1, -1 },
		{ "2d", 172800, -1, -1 },
		{ "4K", -1, 4096, -1 },
		{ "4M", -1, 4194304, -1 },
		{ "1G", -1, 1073741824, -1 },
		{ "1T", -1, 1099511627776, -1 },
		{ "9000000T", -1, -1, -1 },
		{ "-1", -1, -1, -1 },
		{ "1.5h", -1, -1, -1 },
		{ "h", -1, -1, -1 },
		{ "", -1, -1, -1 },
		{ "yes", -1, -1, 1 },
		{ "off", -1, -1, 0 },
		{ "true", -1, -1, 1 },
		{ "No", -1, -1, -1 },
	};
	struct err e = ERR_INIT;
	const struct config_section *s;
	struct config *c;
	char text[100];
	uint64_t n;
	bool flag;
	size_t i;

	for (i = 0; i < COUNT(cases); i++) {
		(void)snprintf(
		    text, sizeof(text), "[m]\nk = %s\n", cases[i].text);
		c = parse(text);
		s = config_at(c, 0);
		n = 77;
		flag = false;
		BAD(config_seconds(s, "k", &n, &e),
		    cases[i].seconds < 0 ? ERR_USAGE : 0);
		ck_assert_int_eq(
		    (int64_t)n, cases[i].seconds < 0 ? 77 : cases[i].seconds);
		n = 77;
		BAD(config_bytes(s, "k", &n, &e),
		    cases[i].bytes < 0 ? ERR_USAGE : 0);
		ck_assert_int_eq(
		    (int64_t)n, cases[i].bytes < 0 ? 77 : cases[i].bytes);
		BAD(config_bool(s, "k", &flag, &e),
		    cases[i].flag < 0 ? ERR_USAGE : 0);
		ck_assert_int_eq(flag, cases[i].flag == 1);
		config_free(c);
	}
	ck_assert_str_eq(e.msg, "f.conf:2: k: \"No\" is not yes or no");
}
END_TEST

START_TEST(missing_keys_leave_defaults)
{
	struct err e = ERR_INIT;
	struct config *c = parse("[m]\nx=1\nx=2\n");
	const struct config_section *s = config_at(c, 0);
	struct config_list list;
	const char *v = "default";
	uint64_t n = 5;
	bool flag = true;

	OK(config_string(s, "k", &v, &e));
	OK(config_u64(s, "k", 9, &n, &e));
	OK(config_bool(s, "k", &flag, &e));
	OK(config_seconds(NULL, "k", &n, &e));
	OK(config_bytes(NULL, "k", &n, &e));
	OK(config_words(NULL, "k", &list, &e));
	ck_assert_uint_eq(list.count, 0);
	config_list_release(&list);
	ck_assert_str_eq(v, "default");
	ck_assert_uint_eq(n, 5);
	ck_assert(flag);
	BAD(config_string(s, "x", &v, &e), ERR_USAGE);
	ck_assert_str_eq(e.msg, "f.conf:3: x: already given in line 2");
	BAD(config_complain(s, "none", &e, "is needed"), ERR_USAGE);
	ck_assert_str_eq(e.msg, "f.conf:1: none: is needed");
	config_free(c);
}
END_TEST

START_TEST(lists_go_over_lines)
{
	static const char *const words[] = { "a", "b", "c", "d", "e" };
	struct err e = ERR_INIT;
	struct config *c = parse("[m]\nk = a  b\tc\nother = x\nk =\nk = d e\n");
	const struct config_section *s = config_at(c, 0);
	struct config_list list;
	size_t i;

	OK(config_words(s, "k", &list, &e));
	ck_assert_uint_eq(list.count, COUNT(words));
	for (i = 0; i < COUNT(words); i++)
		ck_assert_str_eq(list.items[i], words[i]);
	config_list_release(&list);
	OK(config_values(s, "k", &list, &e));
	ck_assert_uint_eq(list.count, 3);
	ck_assert_str_eq(list.items[0], "a  b\tc");
	ck_assert_str_eq(list.items[1], "");
	ck_assert_str_eq(list.items[2], "d e");
	config_list_release(&list);
	config_free(c);
}
END_TEST

START_TEST(a_file_is_loaded_and_named)
{
	struct scratch s;
	struct err e = ERR_INIT;
	struct config *c = NULL;
	char path[300];

	scratch_make(&s);
	OK(fsat_write_file(s.fd, "c", 0600, "[a]\nb\n", 6, &e));
	(void)snprintf(path, sizeof(path), "%s/c", s.path);
	BAD(config_load(path, &c, &e), ERR_FORMAT);
	ck_assert_ptr_nonnull(strstr(e.msg, path));
	OK(fsat_write_file(s.fd, "c", 0600, "", 0, &e));
	OK(config_load(path, &c, &e));
	ck_assert_uint_eq(config_count(c), 0);
	config_free(c);
	scratch_remove(&s);
}
END_TEST

START_TEST(a_program_s_own_file_has_one_section_or_is_not_there)
{
	static const char *const keys[] = { "k", NULL };
	static const struct {
		const char *text; /* NULL: no file */
		bool needed;
		int want;
		bool is_file, is_section;
	} rows[] = {
		{ NULL, false, 0, false, false },
		{ NULL, true, ERR_NOT_FOUND, false, false },
		{ "", true, 0, true, false },
		{ "[main]\nk = v\n", false, 0, true, true },
		{ "[main]\nother = v\n", false, ERR_USAGE, false, false },
		{ "[other]\nk = v\n", false, ERR_USAGE, false, false },
		{ "[main]\nk\n", false, ERR_FORMAT, false, false },
	};
	struct scratch s;
	char path[300];

	scratch_make(&s);
	(void)snprintf(path, sizeof(path), "%s/c", s.path);
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct config_section *section = NULL;
		const char *text = rows[i].text;
		struct config *c = NULL;
		struct err e = ERR_INIT;

		if (text != NULL)
			OK(fsat_write_file(
			    s.fd, "c", 0600, text, strlen(text), &e));
		BAD(config_load_main(
		        path, rows[i].needed, keys, &c, &section, &e),
		    rows[i].want);
		ck_assert_int_eq(c != NULL, rows[i].is_file);
		ck_assert_int_eq(section != NULL, rows[i].is_section);
		config_free(c);
	}
	scratch_remove(&s);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("config");
	TCase *t = tcase_create("config");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, keeps_sections_and_values_in_order);
	tcase_add_test(t, names_file_and_line_of_what_it_refuses);
	tcase_add_test(t, long_lines_are_whole_or_refused);
	tcase_add_test(t, names_of_sections_are_kept_whole);
	tcase_add_test(t, every_truncation_is_read_or_refused);
	tcase_add_test(t, unknown_keys_and_sections_are_refused);
	tcase_add_test(t, values_are_converted_or_named);
	tcase_add_test(t, missing_keys_leave_defaults);
	tcase_add_test(t, lists_go_over_lines);
	tcase_add_test(t, a_file_is_loaded_and_named);
	tcase_add_test(t, a_program_s_own_file_has_one_section_or_is_not_there);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
