/* Settings of the client: which source wins, and how mistakes are named. */
#include "client/settings.h"

#include <check.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/fsat.h"
#include "tests/scratch.h"

#define OK(call) ck_assert_msg((call) == 0, "%s: %s", #call, e.msg)

static struct scratch top;
static char config[300], state[300];

static void
set_up(void)
{
	struct err e = ERR_INIT;

	scratch_make(&top);
	(void)snprintf(config, sizeof(config), "%s/pecia.conf", top.path);
	(void)snprintf(state, sizeof(state), "%s/state", top.path);
	OK(fsat_mkdir(top.fd, "state", 0700, &e));
	unsetenv("PECIA_SERVER");
}

static void
tear_down(void)
{
	scratch_remove(&top);
}

static void
put(const char *name, const char *text)
{
	struct err e = ERR_INIT;

	OK(fsat_write_file(top.fd, name, 0600, text, strlen(text), &e));
}
#define put_config(text) put("pecia.conf", text)
#define put_init(text)   put("state/client.conf", text)

static void
load(struct options o, struct settings *s)
{
	struct err e = ERR_INIT;

	o.config = config;
	OK(settings_load(&o, s, &e));
}

static void
expect_server(const char *flag, const char *want)
{
	struct settings s;

	load((struct options){ .server = flag, .state = state }, &s);
	if (want == NULL)
		ck_assert_ptr_null(s.server);
	else
		ck_assert_str_eq(s.server, want);
	settings_release(&s);
}

START_TEST(has_defaults)
{
	char host[LIMIT_HOST_BYTES + 2] = "";
	struct settings s;

	put_config("");
	ck_assert_int_eq(gethostname(host, sizeof(host) - 1), 0);
	load((struct options){ .state = state }, &s);
	ck_assert_str_eq(s.root, "/");
	ck_assert_str_eq(s.state, state);
	ck_assert_str_eq(s.channel, "production");
	ck_assert_str_eq(s.host, host);
	ck_assert_str_eq(s.name, "pecia");
	ck_assert_str_eq(s.user, "nobody");
	ck_assert_ptr_null(s.server);
	ck_assert_uint_eq(s.fallback_count, 0);
	ck_assert_uint_eq(s.port, 7440);
	ck_assert(s.srv);
	ck_assert_int_eq(s.wan_fallback, WAN_ALWAYS);
	ck_assert_uint_eq(s.server_wait_ms, 4000);
	ck_assert(!s.ignore_owner);
	ck_assert(!s.ignore_flags);
	ck_assert_ptr_null(s.ignore_xattrs);
	ck_assert_uint_eq(s.wait_ms, 0);
	ck_assert_uint_eq(s.confirm_s, 0);
	ck_assert(!s.confirm_by_server);
	ck_assert_uint_eq(s.schedule.interval_s, 1800);
	ck_assert_uint_eq(s.schedule.splay_s, 0);
	ck_assert(!s.schedule.follow);
	ck_assert_uint_eq(s.schedule.follow_splay_s, 0);
	settings_release(&s);
}
END_TEST

START_TEST(takes_every_key)
{
	struct settings s;

	put_config("[main]\nroot = /r\nstate = /s\nchannel = testing\n"
	           "host = web1\nname = mirror\nsite = site-a\nserver = "
	           "a.example:8443\n"
	           "user = fetch\nfallback = b.example c.example:1\n"
	           "fallback = [::1]:2\nport = 65535\nsrv = no\n"
	           "wan_fallback = after-failures 3\nignore = owner\n"
	           "ignore = flags xattr:user.*\n"
	           "ignore = xattr:security.selinux\n"
	           "waitforlock = 2m\nwaitforserver = 0\nconfirm = "
	           "5m\nconfirm_by = server\n"
	           "keep_runs = 3\nkeep_age = 4\n"
	           "keep_bytes = 5K\nruninterval = 1h\nsplay = 10m\n"
	           "follow = yes\nfollow_splay = 2m\n");
	load((struct options){ 0 }, &s);
	ck_assert_str_eq(s.root, "/r");
	ck_assert_str_eq(s.state, "/s");
	ck_assert_str_eq(s.channel, "testing");
	ck_assert_str_eq(s.host, "web1");
	ck_assert_str_eq(s.name, "mirror");
	ck_assert_str_eq(s.site, "site-a");
	ck_assert_str_eq(s.server, "a.example:8443");
	ck_assert_str_eq(s.user, "fetch");
	ck_assert_uint_eq(s.fallback_count, 3);
	ck_assert_str_eq(s.fallbacks[0], "b.example");
	ck_assert_str_eq(s.fallbacks[1], "c.example:1");
	ck_assert_str_eq(s.fallbacks[2], "[::1]:2");
	ck_assert_uint_eq(s.port, 65535);
	ck_assert(!s.srv);
	ck_assert_int_eq(s.wan_fallback, WAN_AFTER_FAILURES);
	ck_assert_uint_eq(s.wan_failures, 3);
	ck_assert(s.ignore_owner);
	ck_assert(s.ignore_flags);
	ck_assert_str_eq(s.ignore_xattrs, "user.* security.selinux");
	ck_assert_uint_eq(s.wait_ms, 120000);
	ck_assert_uint_eq(s.server_wait_ms, 0);
	ck_assert_uint_eq(s.confirm_s, 300);
	ck_assert(s.confirm_by_server);
	ck_assert_uint_eq(s.keep_runs, 3);
	ck_assert_uint_eq(s.keep_age_days, 4);
	ck_assert_uint_eq(s.keep_bytes, 5120);
	ck_assert_uint_eq(s.schedule.interval_s, 3600);
	ck_assert_uint_eq(s.schedule.splay_s, 600);
	ck_assert(s.schedule.follow);
	ck_assert_uint_eq(s.schedule.follow_splay_s, 120);
	settings_release(&s);
	/* Nothing to keep for any time, or in no space, is nothing kept. */
	put_config("[main]\nkeep_bytes = 0\n");
	load((struct options){ 0 }, &s);
	ck_assert_uint_eq(s.keep_runs, 0);
	settings_release(&s);
}
END_TEST

START_TEST(the_nearer_source_wins)
{
	put_config("");
	expect_server(NULL, NULL);
	put_init("[main]\nserver = init\n");
	expect_server(NULL, "init");
	put_config("[main]\nserver = file\n");
	expect_server(NULL, "file");
	ck_assert_int_eq(setenv("PECIA_SERVER", "env", 1), 0);
	expect_server(NULL, "env");
	expect_server("flag", "flag");
	ck_assert_int_eq(setenv("PECIA_SERVER", "", 1), 0);
	expect_server(NULL, "file");
}
END_TEST

START_TEST(flags_win_over_files)
{
	struct settings s;

	put_config("[main]\nroot = /r\nchannel = testing\nhost = web1\n"
	           "waitforlock = 5\nstate = /nowhere\n"
	           "runinterval = 1d\nsplay = 1d\n");
	put_init("[main]\nchannel = early\n");
	load((struct options){ .state = state,
	         .root = "/R",
	         .channel = "stable",
	         .host = "web2",
	         .wait_given = true,
	         .wait_ms = 0,
	         .runinterval = "5m",
	         .follow = true,
	         .splay = "0" },
	    &s);
	ck_assert_str_eq(s.state, state);
	ck_assert_str_eq(s.root, "/R");
	ck_assert_str_eq(s.channel, "stable");
	ck_assert_str_eq(s.host, "web2");
	ck_assert_uint_eq(s.wait_ms, 0);
	ck_assert_uint_eq(s.schedule.interval_s, 300);
	ck_assert(s.schedule.follow);
	ck_assert_uint_eq(s.schedule.splay_s, 0);
	settings_release(&s);
}
END_TEST

START_TEST(finds_what_init_left_where_the_file_says_the_state_is)
{
	struct settings s;
	char text[400];

	(void)snprintf(text, sizeof(text), "[main]\nstate = %s\n", state);
	put_config(text);
	put_init("[main]\nserver = init\nfallback = a b\n");
	load((struct options){ 0 }, &s);
	ck_assert_str_eq(s.server, "init");
	ck_assert_uint_eq(s.fallback_count, 2);
	settings_release(&s);
	/* A list is replaced as a whole. */
	(void)snprintf(
	    text, sizeof(text), "[main]\nstate = %s\nfallback = c\n", state);
	put_config(text);
	load((struct options){ 0 }, &s);
	ck_assert_uint_eq(s.fallback_count, 1);
	ck_assert_str_eq(s.fallbacks[0], "c");
	settings_release(&s);
}
END_TEST

START_TEST(names_file_and_line_of_every_mistake)
{
	static const struct {
		const char *text, *told;
	} rows[] = {
		{ "[main]\n\nsrever = x\n", ":3: " },
		{ "[other]\nserver = x\n", ":1: " },
		{ "server = x\n", ":1: " },
		{ "[main]\nserver\n", ":2: " },
		{ "[main]\nserver = a\nserver = b\n", ":3: " },
		{ "[main]\nserver = a:99999\n", ":2: server: a:99999" },
		{ "[main]\nserver = a:0\n", ":2: server: a:0" },
		{ "[main]\nserver =\n", ":2: server: " },
		{ "[main]\nfallback = a b: c\n", ":2: fallback: b:" },
		{ "[main]\nchannel = a/b\n", ":2: channel: a/b: not a name" },
		{ "[main]\nenvironment = .x\n", ":2: environment: " },
		{ "[main]\nsite = .x\n", ":2: site: .x: not a name" },
		{ "[main]\nroot =\n", ":2: root: " },
		{ "[main]\nport = 0\n", ":2: port: " },
		{ "[main]\nport = 65536\n", ":2: port: " },
		{ "[main]\nport = x\n", ":2: port: " },
		{ "[main]\nwaitforserver = 2d\n", ":2: waitforserver: " },
		{ "[main]\nsrv = perhaps\n", ":2: srv: " },
		{ "[main]\nwan_fallback = sometimes\n", ":2: wan_fallback: " },
		{ "[main]\nwan_fallback = after-failures\n", ":2: " },
		{ "[main]\nwan_fallback = after-failures x\n", ":2: " },
		{ "[main]\nwan_fallback = after-failures -1\n", ":2: " },
		{ "[main]\nignore = mode\n", ":2: ignore: mode: " },
		{ "[main]\nignore = xattr:\n", ":2: ignore: xattr:: " },
		{ "[main]\nignore = xattr:*.x\n", ":2: ignore: xattr:*.x" },
		{ "[main]\nwaitforlock = 2d\n", ":2: waitforlock: " },
		{ "[main]\nconfirm = 2d\n", ":2: confirm: " },
		{ "[main]\nconfirm = soon\n", ":2: confirm: " },
		{ "[main]\nconfirm_by = me\n", ":2: confirm_by: " },
		{ "[main]\nruninterval = 0\n", ":2: runinterval: " },
		{ "[main]\nruninterval = 31d\n", ":2: runinterval: " },
		{ "[main]\nsplay = soon\n", ":2: splay: " },
		{ "[main]\nfollow = soon\n", ":2: follow: " },
		{ "[main]\nfollow_splay = 31d\n",
		    ":2: follow_splay: more than 30d" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct options o = { .config = config, .state = state };
		struct err e = ERR_INIT;
		struct settings s;
		char told[400];

		put_config(rows[i].text);
		(void)snprintf(
		    told, sizeof(told), "%s%s", config, rows[i].told);
		ck_assert_msg(
		    settings_load(&o, &s, &e) != 0, "%s", rows[i].text);
		ck_assert_msg(
		    strstr(e.msg, told) != NULL, "%s: \"%s\"", told, e.msg);
	}
}
END_TEST

START_TEST(names_the_file_that_init_left)
{
	struct options o = { .config = config, .state = state };
	struct err e = ERR_INIT;
	struct settings s;

	put_config("");
	put_init("[main]\nnonsense = 1\n");
	ck_assert_int_ne(settings_load(&o, &s, &e), 0);
	ck_assert_ptr_nonnull(strstr(e.msg, "state/client.conf:2: "));
}
END_TEST

START_TEST(a_file_that_was_named_must_be_there)
{
	struct options o = { .config = config, .state = state };
	struct err e = ERR_INIT;
	struct settings s;

	ck_assert_int_eq(settings_load(&o, &s, &e), ERR_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(e.msg, "pecia.conf"));
}
END_TEST

START_TEST(refuses_flags_that_make_no_sense)
{
	static const struct {
		struct options o;
		const char *told;
	} rows[] = {
		{ { .channel = "a b" }, "channel a b: not a name" },
		{ { .channel = "" }, "channel" },
		{ { .host = "" }, "host" },
		{ { .server = "a:b" }, "server a:b" },
		{ { .server = "a:0" }, "server a:0" },
		{ { .runinterval = "0" }, "--runinterval 0: not 1s to 30d" },
		{ { .runinterval = "often" }, "--runinterval often: not a" },
		{ { .splay = "31d" }, "--splay 31d: more than 30d" },
		{ { .splay = "-1" }, "--splay -1: not a number" },
	};

	put_config("");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct options o = rows[i].o;
		struct err e = ERR_INIT;
		struct settings s;

		o.config = config;
		o.state = state;
		ck_assert_int_eq(settings_load(&o, &s, &e), ERR_USAGE);
		ck_assert_msg(strstr(e.msg, rows[i].told) != NULL, "%s: \"%s\"",
		    rows[i].told, e.msg);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("settings");
	TCase *t = tcase_create("settings");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, has_defaults);
	tcase_add_test(t, takes_every_key);
	tcase_add_test(t, the_nearer_source_wins);
	tcase_add_test(t, flags_win_over_files);
	tcase_add_test(
	    t, finds_what_init_left_where_the_file_says_the_state_is);
	tcase_add_test(t, names_file_and_line_of_every_mistake);
	tcase_add_test(t, names_the_file_that_init_left);
	tcase_add_test(t, a_file_that_was_named_must_be_there);
	tcase_add_test(t, refuses_flags_that_make_no_sense);
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
