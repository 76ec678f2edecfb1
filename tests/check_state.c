/* The client's state directory. */
#include "client/state.h"

#include <check.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/fsat.h"
#include "tests/scratch.h"

#define OK(call) ck_assert_msg((call) == 0, "%s: %s", #call, e.msg)

static struct scratch top;
static struct state state = STATE_INIT;
static char path[300];

static void
set_up(void)
{
	struct err e = ERR_INIT;

	umask(022);
	scratch_make(&top);
	(void)snprintf(path, sizeof(path), "%s/a/state", top.path);
	OK(state_open(&state, path, true, &e));
}

static void
tear_down(void)
{
	state_release(&state);
	state_release(&state);
	scratch_remove(&top);
}

static void
put(const char *name, const char *text)
{
	struct err e = ERR_INIT;

	OK(fsat_write_file(state.dir, name, 0600, text, strlen(text), &e));
}

START_TEST(is_passed_through_by_others_and_no_more)
{
	struct state other = STATE_INIT;
	struct err e = ERR_INIT;
	struct stat st;

	ck_assert_int_eq(fstat(state.dir, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0711);
	ck_assert_int_eq(fstatat(state.dir, "manifest", &st, 0), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0700);
	ck_assert_int_eq(fstatat(state.dir, "tmp", &st, 0), 0);
	/* Only init makes one. */
	(void)snprintf(path, sizeof(path), "%s/nowhere", top.path);
	ck_assert_int_eq(state_open(&other, path, false, &e), ERR_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(e.msg, "nowhere"));
	state_release(&other);
	(void)snprintf(path, sizeof(path), "%s/a/state", top.path);
	OK(state_open(&other, path, false, &e));
	state_release(&other);
}
END_TEST

START_TEST(one_run_at_a_time_holds_the_lock)
{
	struct state other = STATE_INIT;
	struct err e = ERR_INIT;

	OK(state_lock(&state, 0, &e));
	OK(state_open(&other, path, false, &e));
	ck_assert_int_eq(state_lock(&other, 0, &e), ERR_BUSY);
	ck_assert_ptr_nonnull(strstr(e.msg, "another run is under way"));
	ck_assert_ptr_nonnull(strstr(e.msg, path));
	state_release(&other);
	state_release(&state);
	OK(state_open(&state, path, false, &e));
	OK(state_lock(&state, 0, &e));
}
END_TEST

START_TEST(waits_for_the_lock)
{
	struct state other = STATE_INIT;
	struct err e = ERR_INIT;
	int ready[2], status = -1;
	pid_t pid;
	char c;

	ck_assert_int_eq(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		struct timespec nap = { 0, 100000000 };

		if (state_lock(&state, 0, &e) != 0 ||
		    write(ready[1], "x", 1) != 1)
			_exit(1);
		nanosleep(&nap, NULL);
		_exit(0);
	}
	ck_assert_int_eq(read(ready[0], &c, 1), 1);
	OK(state_open(&other, path, false, &e));
	OK(state_lock(&other, 20000, &e));
	state_release(&other);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	close(ready[0]);
	close(ready[1]);
}
END_TEST

START_TEST(keeps_the_anchor)
{
	static const char *const bad[] = { "", "\n", "sha256:", "sha256:00\n",
		"sha512:0000000000000000000000000000000000000000000000000000000"
		"000000000\n",
		"sha256:0000000000000000000000000000000000000000000000000000000"
		"00000000G\n",
		"sha256:0000000000000000000000000000000000000000000000000000000"
		"000000000\n\n" };
	struct digest d, got;
	struct err e = ERR_INIT;

	ck_assert_int_eq(state_anchor(&state, &got, &e), ERR_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(e.msg, "pecia init"));
	digest_of("x", 1, &d);
	OK(state_set_anchor(&state, &d, &e));
	OK(state_anchor(&state, &got, &e));
	ck_assert(digest_equal(&d, &got));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		put("anchor", bad[i]);
		ck_assert_msg(
		    state_anchor(&state, &got, &e) == ERR_FORMAT, "row %zu", i);
		ck_assert_ptr_nonnull(strstr(e.msg, "/anchor"));
	}
}
END_TEST

/* ---- applied ---- */

static void
fill(struct applied *a)
{
	memset(a, 0, sizeof(*a));
	(void)snprintf(a->channel, sizeof(a->channel), "production");
	a->serial = 42;
	digest_of("release", 7, &a->release);
	(void)snprintf(a->profile, sizeof(a->profile), "www");
	a->when = 1795413744;
	(void)snprintf(a->site, sizeof(a->site), "site-a");
	(void)snprintf(a->from, sizeof(a->from),
	    "pecia -> pecia.a.example (search) -> 10.1.0.5:7440");
}

static void
expect_round_trip(const struct applied *a)
{
	struct applied got;
	struct err e = ERR_INIT;
	struct buf text;

	buf_init(&text, 1 << 16);
	applied_write(&text, a);
	OK(state_set_applied(&state, &text, &e));
	OK(state_applied(&state, &got, &e));
	ck_assert_str_eq(got.channel, a->channel);
	ck_assert_uint_eq(got.serial, a->serial);
	ck_assert(digest_equal(&got.release, &a->release));
	ck_assert_str_eq(got.profile, a->profile);
	ck_assert_int_eq(got.when, a->when);
	ck_assert_str_eq(got.site, a->site);
	ck_assert_str_eq(got.from, a->from);
	buf_release(&text);
}

START_TEST(reads_back_what_is_applied)
{
	struct applied a;
	struct err e = ERR_INIT;

	ck_assert_int_eq(state_applied(&state, &a, &e), ERR_NOT_FOUND);
	fill(&a);
	expect_round_trip(&a);
	a.site[0] = '\0';
	a.from[0] = '\0';
	a.serial = INT64_MAX;
	a.when = 0;
	expect_round_trip(&a);
	memset(a.channel, 'c', LIMIT_NAME_BYTES);
	memset(a.profile, 'p', LIMIT_NAME_BYTES);
	memset(a.site, 's', LIMIT_NAME_BYTES);
	memset(a.from, '\n', sizeof(a.from) - 1);
	expect_round_trip(&a);
}
END_TEST

START_TEST(refuses_a_damaged_record)
{
	struct applied a, got;
	struct err e = ERR_INIT;
	struct buf text;

	fill(&a);
	buf_init(&text, 1 << 16);
	applied_write(&text, &a);
	for (size_t n = 0; n < text.len; n++) {
		ck_assert_msg(
		    applied_parse(buf_str(&text), n, &got, &e) == ERR_FORMAT,
		    "cut at %zu", n);
		ck_assert_ptr_nonnull(strstr(e.msg, "applied"));
	}
	buf_add_byte(&text, '\n');
	ck_assert_int_eq(
	    applied_parse(buf_str(&text), text.len, &got, &e), ERR_FORMAT);
	buf_release(&text);
}
END_TEST

START_TEST(refuses_what_it_would_not_have_written)
{
	static const struct {
		const char *old, *new;
	} rows[] = {
		{ "applied 1", "applied 2" },
		{ "channel production", "channel ../production" },
		{ "channel production", "channel " },
		{ "channel production", "Channel production" },
		{ "serial 42", "serial 042" },
		{ "serial 42", "serial 9223372036854775808" },
		{ "serial 42", "serial -1" },
		{ "release ", "release 0" },
		{ "profile www", "profile a b" },
		{ "when 2026", "when 2026 " },
		{ "site site-a", "site a/b" },
		{ "site site-a", "site" },
		{ "from pecia\\040", "from pecia " },
		{ "profile www", "profile www\nprofile www" },
	};
	struct applied a, got;
	struct buf text, bad;

	fill(&a);
	buf_init(&text, 1 << 16);
	buf_init(&bad, 1 << 16);
	applied_write(&text, &a);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *at = strstr(buf_str(&text), rows[i].old);
		struct err e = ERR_INIT;

		ck_assert_msg(at != NULL, "%s", rows[i].old);
		buf_clear(&bad);
		buf_add(&bad, text.data, (size_t)(at - buf_str(&text)));
		buf_add_str(&bad, rows[i].new);
		buf_add_str(&bad, at + strlen(rows[i].old));
		ck_assert_msg(applied_parse(buf_str(&bad), bad.len, &got, &e) ==
		        ERR_FORMAT,
		    "%s", rows[i].new);
	}
	/* A NUL would end a name early. */
	text.data[strlen("pecia applied 1\nchannel prod")] = '\0';
	ck_assert_int_eq(applied_parse(buf_str(&text), text.len, &got,
	                     &(struct err)ERR_INIT),
	    ERR_FORMAT);
	buf_release(&text);
	buf_release(&bad);
}
END_TEST

/* ---- the rest ---- */

START_TEST(counts_failures)
{
	static const char *const bad[] = { "", "7", "x\n", "-1\n", "07\n",
		"99999999999999999999\n" };
	struct err e = ERR_INIT;
	struct stat before, after;
	uint64_t n = 99;

	OK(state_failures(&state, &n, &e));
	ck_assert_uint_eq(n, 0);
	OK(state_set_failures(&state, 0, &e));
	OK(state_set_failures(&state, 3, &e));
	OK(state_failures(&state, &n, &e));
	ck_assert_uint_eq(n, 3);
	/* Not written again for the same. */
	ck_assert_int_eq(fstatat(state.dir, "failures", &before, 0), 0);
	OK(state_set_failures(&state, 3, &e));
	ck_assert_int_eq(fstatat(state.dir, "failures", &after, 0), 0);
	ck_assert_uint_eq(before.st_ino, after.st_ino);
	OK(state_set_failures(&state, 0, &e));
	ck_assert_int_ne(fstatat(state.dir, "failures", &after, 0), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		put("failures", bad[i]);
		n = 99;
		OK(state_failures(&state, &n, &e));
		ck_assert_uint_eq(n, 0);
	}
}
END_TEST

START_TEST(keeps_the_manifests_it_is_told_to)
{
	struct digest d[3];
	char names[3][STATE_PATH_BYTES];
	struct err e = ERR_INIT;
	struct fsat_stat st;

	for (int i = 0; i < 3; i++) {
		digest_of(&i, sizeof(i), &d[i]);
		state_manifest_path(names[i], &d[i]);
		put(names[i], "text");
	}
	put("manifest/rubbish", "x");
	OK(state_prune_manifests(&state, d, 2, &e));
	OK(fsat_stat(state.dir, names[0], &st, &e));
	OK(fsat_stat(state.dir, names[1], &st, &e));
	ck_assert_int_eq(
	    fsat_stat(state.dir, names[2], &st, &e), ERR_NOT_FOUND);
	ck_assert_int_eq(
	    fsat_stat(state.dir, "manifest/rubbish", &st, &e), ERR_NOT_FOUND);
}
END_TEST

START_TEST(cleans_what_was_on_its_way)
{
	struct err e = ERR_INIT;
	struct fsat_stat st;

	put("tmp/a", "x");
	put("tmp/b", "x");
	OK(state_clean_tmp(&state, &e));
	ck_assert_int_eq(fsat_stat(state.dir, "tmp/a", &st, &e), ERR_NOT_FOUND);
	OK(fsat_stat(state.dir, "tmp", &st, &e));
	OK(state_clean_tmp(&state, &e));
}
END_TEST

START_TEST(is_a_store_for_the_chain_of_trust)
{
	struct trust_store store;
	struct err e = ERR_INIT;
	struct buf b;

	state_trust_store(&state, &store);
	buf_init(&b, 64);
	ck_assert_int_eq(
	    store.get(store.arg, "channel/x", &b, &e), ERR_NOT_FOUND);
	OK(store.put(store.arg, "channel/x", "one", 3, &e));
	OK(store.put(store.arg, "channel/x", "two", 3, &e));
	OK(store.put(store.arg, "roster", "r", 1, &e));
	OK(store.get(store.arg, "channel/x", &b, &e));
	ck_assert_str_eq(buf_str(&b), "two");
	buf_release(&b);
	buf_init(&b, 2);
	ck_assert_int_eq(store.get(store.arg, "channel/x", &b, &e), ERR_LIMIT);
	buf_release(&b);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("state");
	TCase *t = tcase_create("state");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, is_passed_through_by_others_and_no_more);
	tcase_add_test(t, one_run_at_a_time_holds_the_lock);
	tcase_add_test(t, waits_for_the_lock);
	tcase_add_test(t, keeps_the_anchor);
	tcase_add_test(t, reads_back_what_is_applied);
	tcase_add_test(t, refuses_a_damaged_record);
	tcase_add_test(t, refuses_what_it_would_not_have_written);
	tcase_add_test(t, counts_failures);
	tcase_add_test(t, keeps_the_manifests_it_is_told_to);
	tcase_add_test(t, cleans_what_was_on_its_way);
	tcase_add_test(t, is_a_store_for_the_chain_of_trust);
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
