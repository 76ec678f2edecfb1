/* What `peciad status` makes of a daemon's document. */
#include "server/status.h"

#include <check.h>
#include <stdlib.h>

#include "common/json.h"

/* A mirror in good health, but for what `more` says of it. */
#define MIRROR(complete, fresh, writable, healthy, replication)       \
 "{\"running\": true, \"healthy\": " healthy ","                      \
 " \"complete\": {\"yes\": " complete ", \"why\": \"why complete\"}," \
 " \"fresh\": {\"yes\": " fresh ", \"why\": \"why fresh\"},"          \
 " \"writable\": {\"yes\": " writable ", \"why\": \"why writable\"}," \
 " \"replication\": {" replication "}}"
#define HEARD "\"silence_seconds\": 60, \"forks\": 0, \"trouble\": \"a cut\""

START_TEST(says_what_has_to_be_looked_at)
{
	static const struct {
		const char *doc;
		enum status_level level;
		const char *why;
	} rows[] = {
		{ MIRROR("true", "true", "true", "true", HEARD), STATUS_OK,
		    "" },
		{ MIRROR("false", "true", "true", "false", HEARD),
		    STATUS_CRITICAL, "not complete: why complete" },
		{ MIRROR("false", "false", "false", "false", HEARD),
		    STATUS_CRITICAL, "not complete: why complete" },
		{ MIRROR("true", "false", "true", "false", HEARD),
		    STATUS_CRITICAL, "not fresh: why fresh" },
		{ MIRROR("true", "false", "true", "true", HEARD),
		    STATUS_WARNING, "not fresh: why fresh" },
		{ MIRROR("true", "true", "false", "true", HEARD),
		    STATUS_WARNING, "not writable: why writable" },
		{ MIRROR("true", "true", "true", "true",
		      "\"silence_seconds\": 60, \"forks\": 1"),
		    STATUS_WARNING,
		    "two different statements were signed; see evidence/" },
		{ MIRROR("true", "true", "true", "true",
		      "\"silence_seconds\": 901, \"trouble\": \"a cut\""),
		    STATUS_WARNING,
		    "no upstream has answered for 901 s: a cut" },
		{ MIRROR("true", "true", "true", "true",
		      "\"silence_seconds\": 900"),
		    STATUS_OK, "" },
		{ MIRROR("true", "true", "true", "true", "\"trouble\": null"),
		    STATUS_WARNING, "no upstream has answered yet: it tries" },
		{ "{\"running\": true, \"healthy\": true, \"rival\": \"mirror "
		  "a\"}",
		    STATUS_WARNING, "another origin publishes: mirror a" },
		{ "{\"running\": false, \"why\": \"refused\"}", STATUS_UNKNOWN,
		    "no peciad answers: refused" },
		/* What is no document of ours is no good news. */
		{ "{}", STATUS_UNKNOWN, "no peciad answers: ?" },
		{ "{\"running\": true}", STATUS_CRITICAL, "not complete: ?" },
		{ "[1]", STATUS_UNKNOWN, "no peciad answers: ?" },
		{ "{\"running\": true, \"healthy\": \"yes\"}", STATUS_CRITICAL,
		    "not complete: ?" },
	};
	struct err e = ERR_INIT;
	char why[256];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct json *doc = NULL;
		enum status_level level;

		ck_assert_msg(json_parse(rows[i].doc, strlen(rows[i].doc),
		                  "row", &doc, &e) == 0,
		    "row %zu: %s", i, e.msg);
		level = status_judge(json_top(doc), why, sizeof(why));
		ck_assert_msg(
		    level == rows[i].level && strcmp(why, rows[i].why) == 0,
		    "row %zu: level %d, %s", i, (int)level, why);
		json_free(doc);
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("status");
	TCase *tc = tcase_create("status");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, says_what_has_to_be_looked_at);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
