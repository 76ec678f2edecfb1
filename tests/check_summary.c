/* What a run leaves for monitoring and for pecia status.
 * run: also as nobody */
#include "client/summary.h"

#include <check.h>
#include <sys/stat.h>

#include "client/event.h"
#include "common/fsat.h"
#include "common/json.h"
#include "tests/scratch.h"

#define OK(call)     ck_assert_msg((call) == 0, "%s: %s", #call, e.msg)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct scratch top;
static struct state state = STATE_INIT;
static struct release_profile profile = { .name = "web" };
static struct session session;
static struct plan plan;
static struct plan_item items[3];
static struct plan_delete deletes[2];
static struct plan_spared spared[4];

/* A run with three paths to make or change, two to delete, four protected. */
static struct report
sample_report(void)
{
	memset(&session, 0, sizeof(session));
	(void)snprintf(
	    session.head.channel, sizeof(session.head.channel), "production");
	(void)snprintf(session.site, sizeof(session.site), "site-a");
	(void)snprintf(session.peer.route, sizeof(session.peer.route),
	    "pecia -> pecia.a.example (search) -> 10.1.0.5");
	(void)snprintf(
	    session.peer.source, sizeof(session.peer.source), "search");
	session.served = (struct served){ .count = 2,
		.sites = {
		    { "site-a", false, 5000, 600 }, { "", true, 70, 8 } } };
	session.head.serial = 42;
	session.profile = &profile;
	items[0].op = PLAN_CREATE;
	items[1].op = PLAN_REPLACE;
	items[2].op = PLAN_META;
	plan_init(&plan);
	plan.items = items;
	plan.item_count = COUNT(items);
	plan.deletes = deletes;
	plan.delete_count = COUNT(deletes);
	plan.spared = spared;
	plan.spared_count = COUNT(spared);
	return (struct report){
		.session = &session,
		.plan = &plan,
		.plan_id = "0123",
		.applied = true,
		.result.begun = true,
		.result.new_release = true,
		.result.totals.entries = 100,
		.seconds = 2.5,
		.retrieval_s = 0.25,
		.compare_s = 1,
		.apply_s = 1.125,
	};
}

static void
expect_yaml(const struct summary *s, const char *want)
{
	struct buf b;

	buf_init(&b, 65536);
	summary_yaml(&b, s);
	ck_assert_str_eq(buf_str(&b), want);
	buf_release(&b);
}

START_TEST(yaml_has_puppets_keys)
{
	struct report r = sample_report();
	struct summary s = { .report = &r, .when = 1700000000 };

	expect_yaml(&s,
	    "---\n"
	    "version:\n"
	    "  config: 42\n"
	    "  pecia: \"" PECIA_VERSION "\"\n"
	    "resources:\n"
	    "  changed: 5\n"
	    "  corrective_change: 0\n"
	    "  failed: 0\n"
	    "  failed_to_restart: 0\n"
	    "  out_of_sync: 5\n"
	    "  restarted: 0\n"
	    "  scheduled: 0\n"
	    "  skipped: 4\n"
	    "  total: 100\n"
	    "time:\n"
	    "  config_retrieval: 0.250000\n"
	    "  compare: 1.000000\n"
	    "  apply: 1.125000\n"
	    "  total: 2.500000\n"
	    "  last_run: 1700000002\n"
	    "changes:\n"
	    "  total: 5\n"
	    "events:\n"
	    "  failure: 0\n"
	    "  success: 5\n"
	    "  total: 5\n"
	    "network:\n"
	    "  site: \"site-a\"\n"
	    "  source: \"search\"\n"
	    "  bytes: 5678\n"
	    "  bytes_between_sites: 78\n");
}
END_TEST

static void
expect_line(const struct summary *s, const char *line)
{
	struct buf b;

	buf_init(&b, 65536);
	summary_yaml(&b, s);
	ck_assert_msg(strstr(buf_str(&b), line) != NULL, "no %s in:\n%s", line,
	    buf_str(&b));
	buf_release(&b);
}

START_TEST(failures_are_counted)
{
	struct report r = sample_report();
	struct err e = ERR_INIT;
	struct summary s = { .report = &r, .error = &e };

	/* All is changed, and then something failed. */
	(void)err_set(&e, ERR_CONFLICT, "postrun_command /bin/false");
	expect_line(&s, "  changed: 5\n");
	expect_line(&s, "  failed: 1\n");
	expect_line(&s, "events:\n  failure: 1\n  success: 5\n  total: 6\n");
	/* Nothing could be changed. */
	r.applied = r.result.begun = false;
	expect_line(&s, "  changed: 0\n");
	expect_line(&s, "  failed: 5\n");
	expect_line(&s, "events:\n  failure: 5\n  success: 0\n  total: 5\n");
	/* Not even a server was found. */
	plan.item_count = plan.delete_count = 0;
	session.profile = NULL;
	expect_line(&s, "  config: null\n");
	expect_line(&s, "  failed: 1\n");
	r.session = NULL;
	expect_line(&s, "  config: null\n");
	/* Triggers that others count. */
	s.failed_to_restart = 2;
	s.restarted = 3;
	expect_line(&s, "  failed_to_restart: 2\n");
	expect_line(&s, "  restarted: 3\n");
	expect_line(&s, "events:\n  failure: 3\n  success: 3\n  total: 6\n");
}
END_TEST

START_TEST(drift_is_corrective)
{
	struct report r = sample_report();
	struct summary s = { .report = &r };

	r.result.new_release = false;
	expect_line(&s, "  corrective_change: 5\n");
}
END_TEST

START_TEST(hostile_text_stays_text)
{
	struct report r = sample_report();
	struct err e = ERR_INIT;
	struct summary s = { .report = &r, .error = &e };

	/* Past err_set, which escapes control bytes itself. */
	(void)snprintf(e.msg, sizeof(e.msg),
	    "a\": b\n  failed: 0 \\ \033[31m \xc3\xa9 \xe2\x80\xa8 \xff\x7f");
	expect_line(&s,
	    "application:\n  error: \"a\\\": b\\\\012  failed: 0 \\\\ "
	    "\\\\033[31m \\\\303\\\\251 \\\\342\\\\200\\\\250 "
	    "\\\\377\\\\177\"\nresources:\n");
}
END_TEST

static void
expect_string(const struct json *j, const char *key, const char *want)
{
	struct err e = ERR_INIT;
	const char *s = NULL;

	OK(json_get_string(json_top(j), key, &s, &e));
	ck_assert_str_eq(s, want);
}

static void
expect_number(const struct json *j, const char *key, uint64_t want)
{
	struct err e = ERR_INIT;
	uint64_t n = 0;

	OK(json_get_u64(json_top(j), key, &n, &e));
	ck_assert_uint_eq(n, want);
}

static struct json *
read_json(void)
{
	struct err e = ERR_INIT;
	struct json *j = NULL;
	struct buf b;

	buf_init(&b, 65536);
	OK(fsat_read_file(state.dir, SUMMARY_JSON, 65535, &b, &e));
	OK(json_parse(b.data, b.len, "it", &j, &e));
	buf_release(&b);
	return j;
}

START_TEST(json_says_more)
{
	struct report r = sample_report();
	struct summary s = { .report = &r, .when = 86400 };
	struct err e = ERR_INIT;
	struct json *j;

	OK(summary_store(&state, &s, &e));
	j = read_json();
	expect_string(j, "started", "1970-01-02T00:00:00Z");
	expect_string(j, "outcome", "changed");
	expect_string(j, "channel", "production");
	expect_number(j, "serial", 42);
	expect_string(j, "profile", "web");
	expect_string(j, "site", "site-a");
	expect_string(j, "plan", "0123");
	expect_number(j, "entries", 100);
	expect_number(j, "to_create", 1);
	expect_number(j, "to_change", 2);
	expect_number(j, "to_delete", 2);
	expect_number(j, "protected", 4);
	expect_number(j, "paths_changed", 5);
	expect_number(j, "failures", 0);
	expect_number(j, "bytes_received", 5070);
	expect_number(j, "bytes_sent", 608);
	expect_number(j, "bytes_between_sites", 78);
	ck_assert_ptr_null(json_member(json_top(j), "error"));
	json_free(j);
}
END_TEST

START_TEST(outcomes_are_told_apart)
{
	struct report r = sample_report();
	struct summary s = { .report = &r };
	struct err e = ERR_INIT, why = ERR_INIT;
	struct json *j;

	plan.item_count = plan.delete_count = 0;
	r.result.begun = false;
	OK(summary_store(&state, &s, &e));
	j = read_json();
	expect_string(j, "outcome", "unchanged");
	json_free(j);
	(void)snprintf(why.msg, sizeof(why.msg), "\"x\n\033\xff\\");
	s.error = &why;
	OK(summary_store(&state, &s, &e));
	j = read_json();
	expect_string(j, "outcome", "failed");
	expect_string(j, "error", "\"x\n\033\\377\\134");
	expect_number(j, "failures", 1);
	json_free(j);
}
END_TEST

START_TEST(everybody_may_read_it)
{
	static const char *const names[] = { SUMMARY_JSON, SUMMARY_YAML };
	struct report r = sample_report();
	struct summary s = { .report = &r };
	struct err e = ERR_INIT;
	struct fsat_stat st;

	(void)umask(077);
	OK(summary_store(&state, &s, &e));
	for (size_t i = 0; i < COUNT(names); i++) {
		OK(fsat_stat(state.dir, names[i], &st, &e));
		ck_assert_uint_eq(st.mode & 07777, 0644);
	}
}
END_TEST

START_TEST(status_reads_it_back)
{
	struct report r = sample_report();
	struct summary s = { .report = &r, .when = 86400 };
	struct summary_last last;
	struct err e = ERR_INIT;

	summary_last(&state, &last);
	ck_assert_str_eq(last.when, "");
	OK(summary_store(&state, &s, &e));
	summary_last(&state, &last);
	ck_assert_str_eq(last.when, "1970-01-02T00:00:00Z");
	ck_assert_str_eq(last.outcome, "changed");
	ck_assert_str_eq(last.route, session.peer.route);
	ck_assert_str_eq(last.site, "site-a");
	ck_assert_str_eq(last.source, "search");
	ck_assert_uint_eq(last.served.count, 2);
	ck_assert_str_eq(last.served.sites[0].site, "site-a");
	ck_assert_uint_eq(served_total(&last.served, false).received, 5070);
	ck_assert_uint_eq(served_total(&last.served, true).sent, 8);
	ck_assert(last.seconds > 2.4 && last.seconds < 2.6);
	OK(fsat_write_file(
	    state.dir, SUMMARY_JSON, 0644, "{\"started\"", 10, &e));
	summary_last(&state, &last);
	ck_assert_str_eq(last.when, "");
	OK(fsat_write_file(state.dir, SUMMARY_JSON, 0644,
	    "{\"started\":\"a\\u001b[2J\",\"outcome\":7}", 36, &e));
	summary_last(&state, &last);
	ck_assert_str_eq(last.when, "a?[2J");
	ck_assert_str_eq(last.outcome, "");
}
END_TEST

static void
set_up(void)
{
	struct err e = ERR_INIT;

	scratch_make(&top);
	OK(state_open(&state, top.path, false, &e));
}

static void
tear_down(void)
{
	state_release(&state);
	scratch_remove(&top);
}

int
main(void)
{
	Suite *s = suite_create("summary");
	TCase *t = tcase_create("summary");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, yaml_has_puppets_keys);
	tcase_add_test(t, failures_are_counted);
	tcase_add_test(t, drift_is_corrective);
	tcase_add_test(t, hostile_text_stays_text);
	tcase_add_test(t, json_says_more);
	tcase_add_test(t, outcomes_are_told_apart);
	tcase_add_test(t, everybody_may_read_it);
	tcase_add_test(t, status_reads_it_back);
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
