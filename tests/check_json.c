/* JSON: what is built is read back, whatever bytes it holds. */
#include "common/json.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define OK(call) ck_assert_msg((call) == 0, "%s: %s", #call, e.msg)

static struct json *
sample(void)
{
	struct json *j = json_object_new(), *list = json_array_new();

	json_set_string(j, "z", "text");
	json_set_u64(j, "n", 42);
	json_set_i64(j, "minus", -7);
	json_set_bool(j, "yes", true);
	json_set_double(j, "ratio", 0.5);
	json_set_string(j, "nothing", NULL);
	json_append_string(list, "a");
	json_append(list, json_object_new());
	json_set_child(j, "list", list);
	return j;
}

START_TEST(writes_members_in_order)
{
	struct err e = ERR_INIT;
	struct json *j = sample();
	struct buf b;

	buf_init(&b, 10000);
	OK(json_write(j, JSON_ONE_LINE, &b, &e));
	ck_assert_str_eq(buf_str(&b),
	    "{\"z\":\"text\",\"n\":42,\"minus\":-7,\"yes\":true,"
	    "\"ratio\":0.5,\"nothing\":null,\"list\":[\"a\",{}]}");
	buf_clear(&b);
	OK(json_write(j, JSON_PRETTY, &b, &e));
	ck_assert_ptr_nonnull(strstr(buf_str(&b), "{\n  \"z\": \"text\",\n"));
	buf_release(&b);
	buf_init(&b, 10);
	ck_assert_int_eq(json_write(j, JSON_ONE_LINE, &b, &e), ERR_LIMIT);
	buf_release(&b);
	json_free(j);
}
END_TEST

START_TEST(reads_back_what_it_wrote)
{
	struct err e = ERR_INIT;
	struct json *j = sample(), *again = NULL;
	const struct json_value *v, *list;
	const char *s = NULL;
	int64_t i64 = 0;
	uint64_t u64 = 0;
	double number = 0;
	bool yes = false;
	struct buf b;

	buf_init(&b, 10000);
	OK(json_write(j, JSON_PRETTY, &b, &e));
	OK(json_parse(b.data, b.len, "file", &again, &e));
	v = json_top(again);
	OK(json_get_string(v, "z", &s, &e));
	ck_assert_str_eq(s, "text");
	OK(json_get_u64(v, "n", &u64, &e));
	ck_assert_uint_eq(u64, 42);
	OK(json_get_i64(v, "minus", &i64, &e));
	ck_assert_int_eq(i64, -7);
	OK(json_get_bool(v, "yes", &yes, &e));
	ck_assert(yes);
	list = json_member(v, "list");
	ck_assert_uint_eq(json_length(list), 2);
	OK(json_get_string(json_item(list, 0), NULL, &s, &e));
	ck_assert_str_eq(s, "a");
	ck_assert_ptr_null(json_item(list, 2));
	ck_assert_ptr_null(json_member(list, "x"));
	ck_assert_uint_eq(json_length(v), 0);
	ck_assert_int_eq(json_get_string(v, "none", &s, &e), ERR_NOT_FOUND);
	ck_assert_int_eq(json_get_string(v, "n", &s, &e), ERR_FORMAT);
	ck_assert_int_eq(json_get_u64(v, "minus", &u64, &e), ERR_FORMAT);
	ck_assert_int_eq(json_get_u64(v, "z", &u64, &e), ERR_FORMAT);
	ck_assert_int_eq(json_get_i64(v, "z", &i64, &e), ERR_FORMAT);
	ck_assert_int_eq(json_get_bool(v, "z", &yes, &e), ERR_FORMAT);
	OK(json_get_double(v, "minus", &number, &e));
	ck_assert(number < -6.5 && number > -7.5);
	ck_assert_int_eq(json_get_double(v, "z", &number, &e), ERR_FORMAT);
	ck_assert_int_eq(json_get_bool(NULL, NULL, &yes, &e), ERR_NOT_FOUND);
	json_free(again);
	json_free(j);
	buf_release(&b);
}
END_TEST

START_TEST(any_bytes_come_back)
{
	char bytes[256], again[256];
	struct err e = ERR_INIT;
	struct json *j = json_object_new(), *parsed = NULL;
	const char *s = NULL;
	struct buf b;
	size_t i, len;

	for (i = 1; i < 256; i++)
		bytes[i - 1] = (char)i;
	bytes[255] = '\0';
	json_set_string(j, "all", bytes);
	json_set_string(j, "path", "\xc3\xa4/\xff\\x\n");
	json_set_bytes(j, "\\", "ab", 1);
	buf_init(&b, 10000);
	OK(json_write(j, JSON_ONE_LINE, &b, &e));
	OK(json_parse(b.data, b.len, "x", &parsed, &e));
	OK(json_get_string(json_top(parsed), "path", &s, &e));
	ck_assert_str_eq(s, "\xc3\xa4/\\377\\134x\n");
	OK(json_get_string(json_top(parsed), "all", &s, &e));
	ck_assert_int_eq(json_unescape(again, sizeof(again), s, &len), 0);
	ck_assert_uint_eq(len, 255);
	ck_assert_str_eq(again, bytes);
	ck_assert_int_eq(json_unescape(again, 255, s, &len), ERR_LIMIT);
	ck_assert_int_eq(json_unescape(again, 0, "", &len), ERR_LIMIT);
	ck_assert_int_eq(json_unescape(again, 9, "\\4", &len), ERR_FORMAT);
	ck_assert_int_eq(json_unescape(again, 9, "\\400", &len), ERR_FORMAT);
	buf_release(&b);
	json_free(parsed);
	json_free(j);
}
END_TEST

START_TEST(large_numbers_are_not_rounded)
{
	struct err e = ERR_INIT;
	struct json *j = json_object_new(), *again = NULL;
	uint64_t n = 0;
	struct buf b;

	json_set_u64(j, "most", UINT64_MAX);
	json_set_u64(j, "signed", INT64_MAX);
	buf_init(&b, 1000);
	OK(json_write(j, JSON_ONE_LINE, &b, &e));
	ck_assert_str_eq(buf_str(&b),
	    "{\"most\":\"18446744073709551615\","
	    "\"signed\":9223372036854775807}");
	OK(json_parse(b.data, b.len, "x", &again, &e));
	OK(json_get_u64(json_top(again), "most", &n, &e));
	ck_assert_uint_eq(n, UINT64_MAX);
	OK(json_get_u64(json_top(again), "signed", &n, &e));
	ck_assert_uint_eq(n, INT64_MAX);
	json_free(again);
	json_free(j);
	buf_release(&b);
}
END_TEST

START_TEST(malformed_text_is_refused)
{
	static const char *const bad[] = { "", "{", "{\"a\":1", "{\"a\":1}x",
		"{\"a\":1,\"a\":2}", "[1,]", "\xff", "\"\xff\"", "nul",
		"{\"a\":99999999999999999999}" };
	struct json *j = NULL;
	struct err e = ERR_INIT;
	size_t i;

	for (i = 0; i < COUNT(bad); i++) {
		ck_assert_msg(json_parse(bad[i], strlen(bad[i]), "state.json",
		                  &j, &e) == ERR_FORMAT,
		    "%s", bad[i]);
		ck_assert_int_eq(strncmp(e.msg, "state.json:", 11), 0);
	}
	ck_assert_ptr_null(j);
	ck_assert_int_eq(json_parse("1\0", 2, "x", &j, &e), ERR_FORMAT);
}
END_TEST

START_TEST(deep_text_is_refused_and_not_followed)
{
	struct err e = ERR_INIT;
	struct json *j = NULL;
	size_t len = 1000000;
	char *text = malloc(len);

	ck_assert_ptr_nonnull(text);
	memset(text, '[', len);
	ck_assert_int_eq(json_parse(text, len, "x", &j, &e), ERR_FORMAT);
	free(text);
}
END_TEST

START_TEST(builders_take_null)
{
	struct err e = ERR_INIT;
	struct buf b;

	buf_init(&b, 100);
	json_set_string(NULL, "k", "v");
	json_set_child(NULL, "k", json_object_new());
	json_append(NULL, json_array_new());
	json_free(NULL);
	ck_assert_int_eq(
	    json_write(NULL, JSON_ONE_LINE, &b, &e), ERR_NO_MEMORY);
	buf_release(&b);
}
END_TEST

START_TEST(prints_one_line_to_a_stream)
{
	struct err e = ERR_INIT;
	struct json *j = json_array_new();
	char text[100] = "";
	FILE *f = fmemopen(text, sizeof(text), "w");

	json_append_string(j, "a");
	OK(json_print(j, JSON_ONE_LINE, f, &e));
	(void)fclose(f);
	ck_assert_str_eq(text, "[\"a\"]\n");
	json_free(j);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("json");
	TCase *t = tcase_create("json");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, writes_members_in_order);
	tcase_add_test(t, reads_back_what_it_wrote);
	tcase_add_test(t, any_bytes_come_back);
	tcase_add_test(t, large_numbers_are_not_rounded);
	tcase_add_test(t, malformed_text_is_refused);
	tcase_add_test(t, deep_text_is_refused_and_not_followed);
	tcase_add_test(t, builders_take_null);
	tcase_add_test(t, prints_one_line_to_a_stream);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
