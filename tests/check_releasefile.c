/* Release files and NAME=DIR[:TARGET]. */
#include "server/releasefile.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define BASE     "[transcript base]\nsource = tree\ntarget = /\n"

static const char sample[] = "# the site\n"
                             "[transcript web]\n"
                             "source = /srv/build/www   ; absolute\n"
                             "target = /srv/www\n"
                             "mode = exact\n"
                             "exclude = *.swp\n"
                             "exclude = cache/*\n"
                             "owner = numeric\n"
                             "devices = yes\n"
                             "one_file_system = yes\n"
                             "[transcript base]\n"
                             "source = base tree\n"
                             "target = /\n"
                             "[profile www]\n"
                             "transcripts = base web\n"
                             "[profile all]\n"
                             "transcripts = base\n"
                             "[host www[0-9]?.example.com]\n"
                             "profile = www\n"
                             "channel = testing\n"
                             "[host *]\n"
                             "profile = all\n";

static int
parse(const char *text, struct releasefile *f, struct err *e)
{
	releasefile_init(f);
	err_clear(e);
	return releasefile_parse("conf/site.conf", text, strlen(text), f, e);
}

/* A publisher parses what it writes: so must what a file became be. */
static void
assert_writable(struct releasefile *f)
{
	struct err e = ERR_INIT;
	struct release again;
	struct buf text;

	f->release.serial = 1;
	(void)snprintf(f->release.channel, sizeof(f->release.channel), "c");
	for (size_t i = 0; i < f->release.transcript_count; i++)
		f->release.transcripts[i].manifest_bytes = 1;
	buf_init(&text, LIMIT_RELEASE_BYTES);
	release_write(&text, &f->release);
	ck_assert_msg(release_parse(buf_str(&text), text.len, &again, &e) == 0,
	    "%s", e.msg);
	release_release(&again);
	buf_release(&text);
}

START_TEST(every_key_arrives)
{
	struct err e = ERR_INIT;
	const struct release *r;
	struct releasefile f;

	ck_assert_msg(parse(sample, &f, &e) == 0, "%s", e.msg);
	r = &f.release;
	ck_assert_uint_eq(r->transcript_count, 2);
	ck_assert_str_eq(r->transcripts[0].name, "base");
	ck_assert_str_eq(r->transcripts[0].target, "/");
	ck_assert_int_eq(r->transcripts[0].mode, RELEASE_OVERLAY);
	ck_assert_str_eq(f.sources[0].path, "conf/base tree");
	ck_assert(!f.sources[0].numeric_owner && !f.sources[0].devices &&
	    !f.sources[0].one_file_system);
	ck_assert_str_eq(r->transcripts[1].name, "web");
	ck_assert_int_eq(r->transcripts[1].mode, RELEASE_EXACT);
	ck_assert_uint_eq(r->transcripts[1].exclude_count, 2);
	ck_assert_str_eq(r->transcripts[1].excludes[1], "cache/*");
	ck_assert_str_eq(f.sources[1].path, "/srv/build/www");
	ck_assert(f.sources[1].numeric_owner && f.sources[1].devices &&
	    f.sources[1].one_file_system);
	ck_assert_uint_eq(r->profile_count, 2);
	ck_assert_str_eq(r->profiles[0].name, "all");
	ck_assert_str_eq(r->profiles[1].name, "www");
	ck_assert_uint_eq(r->profiles[1].count, 2);
	ck_assert_uint_eq(r->profiles[1].transcripts[0], 0);
	ck_assert_uint_eq(r->profiles[1].transcripts[1], 1);
	ck_assert_uint_eq(r->host_count, 2);
	ck_assert_str_eq(r->hosts[0].pattern, "www[0-9]?.example.com");
	ck_assert_uint_eq(r->hosts[0].profile, 1);
	ck_assert_str_eq(r->hosts[0].channel, "testing");
	ck_assert_str_eq(r->hosts[1].pattern, "*");
	ck_assert_uint_eq(r->hosts[1].profile, 0);
	ck_assert_str_eq(r->hosts[1].channel, "");
	assert_writable(&f);
	releasefile_release(&f);
}
END_TEST

START_TEST(without_profiles_all_hosts_get_all_in_the_files_order)
{
	struct err e = ERR_INIT;
	struct releasefile f;

	ck_assert_msg(parse("[transcript z]\nsource=z\ntarget=/z\n"
	                    "[transcript a]\nsource=a\ntarget=/a\n",
	                  &f, &e) == 0,
	    "%s", e.msg);
	ck_assert_uint_eq(f.release.profile_count, 1);
	ck_assert_str_eq(f.release.profiles[0].name, "default");
	ck_assert_uint_eq(f.release.profiles[0].count, 2);
	ck_assert_uint_eq(f.release.profiles[0].transcripts[0], 1);
	ck_assert_uint_eq(f.release.profiles[0].transcripts[1], 0);
	ck_assert_uint_eq(f.release.host_count, 1);
	ck_assert_str_eq(f.release.hosts[0].pattern, "*");
	assert_writable(&f);
	releasefile_release(&f);
}
END_TEST

START_TEST(a_single_profile_needs_no_naming)
{
	struct err e = ERR_INIT;
	struct releasefile f;

	ck_assert_msg(parse(BASE "[profile p]\ntranscripts = base\n[host a*]\n",
	                  &f, &e) == 0,
	    "%s", e.msg);
	ck_assert_uint_eq(f.release.host_count, 1);
	ck_assert_str_eq(f.release.hosts[0].pattern, "a*");
	ck_assert_uint_eq(f.release.hosts[0].profile, 0);
	releasefile_release(&f);
}
END_TEST

START_TEST(what_makes_no_sense_is_refused_with_its_line)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "", "site.conf: no [transcript NAME]" },
		{ "[profile p]\ntranscripts = a\n", "no [transcript NAME]" },
		{ "[transcript]\n", ":1: [transcript NAME] needs" },
		{ "[transcript a/b]\n", ":1: [transcript NAME] needs" },
		{ "[transcript a]\ntarget=/\n", ":1: source: missing" },
		{ "[transcript a]\nsource=x\n", ":1: target: missing" },
		{ "[transcript a]\nsource=x\ntarget=srv\n", ":3: target" },
		{ "[transcript a]\nsource=x\ntarget=/a/\n", ":3: target" },
		{ "[transcript a]\nsource=x\ntarget=/a/../b\n", ":3: target" },
		{ "[transcript a]\nsource=x\ntarget=/a//b\n", ":3: target" },
		{ BASE "mode = sloppy\n", ":4: mode: \"sloppy\"" },
		{ BASE "owner = me\n", ":4: owner: \"me\"" },
		{ BASE "devices = maybe\n", ":4: devices" },
		{ BASE "source = two\n", "source" },
		{ BASE "excludes = x\n", ":4: unknown key \"excludes\"" },
		{ BASE BASE, ":4: section [transcript base]" },
		{ BASE "[profile p]\n", ":4: transcripts" },
		{ BASE "[profile p]\ntranscripts = base web\n",
		    ":5: transcripts: there is no [transcript web]" },
		{ BASE "[profile p]\ntranscripts = base base\n",
		    ":5: transcripts: base is there twice" },
		{ BASE "[host]\n", ":4: [host PATTERN] needs" },
		{ BASE "[host *]\nprofile = p\n",
		    ":5: profile: there is no [profile p]" },
		{ BASE "[host *]\nchannel = a/b\n", ":5: channel" },
		{ BASE "[profile p]\ntranscripts=base\n[profile q]\n"
		       "transcripts=base\n",
		    "there are 2 profiles" },
		{ BASE "[profile p]\ntranscripts=base\n[profile q]\n"
		       "transcripts=base\n[host *]\n",
		    ":8: profile: missing" },
		{ BASE "[main]\n", ":4: unknown section [main]" },
		{ BASE "nonsense\n", ":4: " },
	};
	struct err e = ERR_INIT;
	struct releasefile f;
	int ret;

	for (size_t i = 0; i < COUNT(cases); i++) {
		ret = parse(cases[i].text, &f, &e);
		ck_assert_msg(ret == ERR_USAGE || ret == ERR_FORMAT,
		    "%s: %d %s", cases[i].text, ret, e.msg);
		ck_assert_msg(strstr(e.msg, cases[i].want) != NULL, "%s: %s",
		    cases[i].text, e.msg);
		ck_assert_ptr_nonnull(strstr(e.msg, "conf/site.conf"));
	}
}
END_TEST

/* Refused or taken, but nothing else. */
START_TEST(cut_off_and_damaged_files_do_no_harm)
{
	struct err e = ERR_INIT;
	struct releasefile f;
	char copy[sizeof(sample)];

	for (size_t len = 0; len < sizeof(sample) - 1; len++) {
		releasefile_init(&f);
		if (releasefile_parse("f", sample, len, &f, &e) == 0)
			assert_writable(&f);
		releasefile_release(&f);
	}
	for (size_t i = 0; i < 8 * (sizeof(sample) - 1); i++) {
		memcpy(copy, sample, sizeof(copy));
		copy[i / 8] = (char)(copy[i / 8] ^ (1 << i % 8));
		releasefile_init(&f);
		if (releasefile_parse("f", copy, sizeof(copy) - 1, &f, &e) == 0)
			assert_writable(&f);
		releasefile_release(&f);
	}
}
END_TEST

START_TEST(more_than_a_release_may_hold_is_refused)
{
	struct err e = ERR_INIT;
	struct releasefile f;
	struct buf text;

	buf_init(&text, LIMIT_CONFIG_BYTES);
	for (int i = 0; i <= LIMIT_TRANSCRIPTS; i++)
		buf_addf(&text, "[transcript t%d]\nsource=s\ntarget=/\n", i);
	ck_assert_int_eq(parse(buf_str(&text), &f, &e), ERR_LIMIT);
	buf_clear(&text);
	buf_add_str(&text, BASE);
	for (int i = 0; i <= LIMIT_EXCLUDES; i++)
		buf_addf(&text, "exclude = e%d\n", i);
	ck_assert_int_eq(parse(buf_str(&text), &f, &e), ERR_USAGE);
	buf_release(&text);
}
END_TEST

START_TEST(pairs_become_one_profile_for_all)
{
	char web[] = "web=www:/srv/www", base[] = "base=/tree";
	char odd[] = "odd=a:b:/c:/d";
	char *const pairs[] = { web, base, odd };
	struct err e = ERR_INIT;
	struct releasefile f;

	releasefile_init(&f);
	ck_assert_msg(
	    releasefile_from_pairs(pairs, 3, true, &f, &e) == 0, "%s", e.msg);
	ck_assert_uint_eq(f.release.transcript_count, 3);
	ck_assert_str_eq(f.release.transcripts[0].name, "base");
	ck_assert_str_eq(f.release.transcripts[0].target, "/");
	ck_assert_str_eq(f.sources[0].path, "/tree");
	ck_assert_str_eq(f.release.transcripts[1].target, "/d");
	ck_assert_str_eq(f.sources[1].path, "a:b:/c");
	ck_assert_str_eq(f.release.transcripts[2].target, "/srv/www");
	ck_assert_str_eq(f.sources[2].path, "www");
	ck_assert_int_eq(f.release.transcripts[2].mode, RELEASE_EXACT);
	ck_assert_uint_eq(f.release.profiles[0].transcripts[0], 2);
	ck_assert_uint_eq(f.release.profiles[0].transcripts[1], 0);
	ck_assert_str_eq(f.release.hosts[0].pattern, "*");
	assert_writable(&f);
	releasefile_release(&f);
}
END_TEST

START_TEST(pairs_that_make_no_sense_are_refused)
{
	static const char *const cases[] = { "base", "=x", "base=", "base=:/x",
		"a/b=x", "base=x:/a/", "base=x:/../a" };
	char twice[] = "base=x", text[64];
	char *const both[] = { twice, twice };
	char *const one[] = { text };
	struct err e = ERR_INIT;
	struct releasefile f;

	for (size_t i = 0; i < COUNT(cases); i++) {
		(void)snprintf(text, sizeof(text), "%s", cases[i]);
		ck_assert_int_eq(
		    releasefile_from_pairs(one, 1, false, &f, &e), ERR_USAGE);
		ck_assert_ptr_nonnull(strstr(e.msg, cases[i]));
	}
	ck_assert_int_eq(
	    releasefile_from_pairs(both, 2, false, &f, &e), ERR_USAGE);
	ck_assert_ptr_nonnull(strstr(e.msg, "given twice"));
}
END_TEST

START_TEST(the_example_is_right)
{
	struct err e = ERR_INIT;
	struct releasefile f;

	releasefile_init(&f);
	ck_assert_msg(
	    releasefile_load("doc/examples/release.conf", &f, &e) == 0, "%s",
	    e.msg);
	assert_writable(&f);
	releasefile_release(&f);
	ck_assert_int_eq(
	    releasefile_load("/nonexistent.conf", &f, &e), ERR_NOT_FOUND);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("releasefile");
	TCase *t = tcase_create("releasefile");
	SRunner *r;
	int failed;

	tcase_add_test(t, every_key_arrives);
	tcase_add_test(
	    t, without_profiles_all_hosts_get_all_in_the_files_order);
	tcase_add_test(t, a_single_profile_needs_no_naming);
	tcase_add_test(t, what_makes_no_sense_is_refused_with_its_line);
	tcase_add_test(t, cut_off_and_damaged_files_do_no_harm);
	tcase_add_test(t, more_than_a_release_may_hold_is_refused);
	tcase_add_test(t, pairs_become_one_profile_for_all);
	tcase_add_test(t, pairs_that_make_no_sense_are_refused);
	tcase_add_test(t, the_example_is_right);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
