/* The command line of peciactl. */
#include "server/ctl_options.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define ZEROES   "00000000000000000000000000000000"
#define KEY      "sha256:" ZEROES "00000000000000000000000000000001"

/* Parses blank-separated words behind the program's name. */
struct line {
	char text[1024];
	char *argv[32];
	int argc;
	struct ctl_options o;
	struct err e;
};

static int
parse(struct line *l, const char *words)
{
	char *save = NULL, *word;

	memset(l, 0, sizeof(*l));
	(void)snprintf(l->text, sizeof(l->text), "peciactl %s", words);
	for (word = strtok_r(l->text, " ", &save); word != NULL;
	     word = strtok_r(NULL, " ", &save))
		l->argv[l->argc++] = word;
	return ctl_options_parse(l->argc, l->argv, &l->o, &l->e);
}

START_TEST(verbs_are_known_wherever_options_stand)
{
	static const struct {
		const char *words;
		enum ctl_verb verb, topic;
	} cases[] = {
		{ "init", CTL_INIT, CTL_NONE },
		{ "--repo r init --keys k", CTL_INIT, CTL_NONE },
		{ "publish a=b", CTL_PUBLISH, CTL_NONE },
		{ "log --json", CTL_LOG, CTL_NONE },
		{ "show", CTL_SHOW, CTL_NONE },
		{ "--json verify", CTL_VERIFY, CTL_NONE },
		{ "mirror add m --site s --key " KEY, CTL_MIRROR_ADD,
		    CTL_NONE },
		{ "mirror change m --site s", CTL_MIRROR_CHANGE, CTL_NONE },
		{ "mirror change m --address a", CTL_MIRROR_CHANGE, CTL_NONE },
		{ "mirror --json list", CTL_MIRROR_LIST, CTL_NONE },
		{ "mirror remove m", CTL_MIRROR_REMOVE, CTL_NONE },
		{ "refresh", CTL_REFRESH, CTL_NONE },
		{ "backup f", CTL_BACKUP, CTL_NONE },
		{ "restore f", CTL_RESTORE, CTL_NONE },
		{ "promote", CTL_PROMOTE, CTL_NONE },
		{ "demote", CTL_DEMOTE, CTL_NONE },
		{ "rotate head", CTL_ROTATE, CTL_NONE },
		{ "rotate --help", CTL_HELP, CTL_ROTATE },
		{ "collect --keep 3 --noop", CTL_COLLECT, CTL_NONE },
		{ "--help", CTL_HELP, CTL_NONE },
		{ "-h publish", CTL_HELP, CTL_PUBLISH },
		{ "publish x --help", CTL_HELP, CTL_PUBLISH },
		{ "help show", CTL_HELP, CTL_SHOW },
		{ "mirror --help", CTL_HELP, CTL_MIRROR_ADD },
		{ "--version", CTL_VERSION, CTL_NONE },
		{ "version", CTL_VERSION, CTL_NONE },
	};
	struct line l;

	for (size_t i = 0; i < COUNT(cases); i++) {
		ck_assert_msg(parse(&l, cases[i].words) == 0, "%s: %s",
		    cases[i].words, l.e.msg);
		ck_assert_int_eq(l.o.verb, cases[i].verb);
		ck_assert_int_eq(l.o.topic, cases[i].topic);
		ck_assert_ptr_nonnull(ctl_help(l.o.topic));
	}
}
END_TEST

START_TEST(backups_and_rotations_take_words)
{
	struct line l;

	ck_assert_int_eq(parse(&l, "backup f a.conf b.conf --key-file k"), 0);
	ck_assert_uint_eq(l.o.source_count, 3);
	ck_assert_str_eq(l.o.sources[0], "f");
	ck_assert_str_eq(l.o.sources[2], "b.conf");
	ck_assert_str_eq(l.o.key_file, "k");
	ck_assert_ptr_null(l.o.passphrase_file);
	ck_assert_int_eq(parse(&l, "restore f --passphrase-file p"), 0);
	ck_assert_str_eq(l.o.passphrase_file, "p");
	ck_assert_int_eq(
	    parse(&l, "rotate head release --root-keys d --above 9"), 0);
	ck_assert_uint_eq(l.o.source_count, 2);
	ck_assert_str_eq(l.o.sources[1], "release");
	ck_assert_str_eq(l.o.root_keys, "d");
	ck_assert_uint_eq(l.o.above, 9);
	ck_assert(!l.o.offline);
	ck_assert_int_eq(parse(&l, "publish a=b --offline"), 0);
	ck_assert(l.o.offline);
}
END_TEST

START_TEST(wrong_lines_are_refused_with_the_reason)
{
	static const struct {
		const char *words, *want;
	} cases[] = {
		{ "", "no command" },
		{ "shine", "unknown command shine" },
		{ "mirror", "add, change, list or remove" },
		{ "mirror shine", "add, change, list or remove" },
		{ "publish", "needs a FILE.conf" },
		{ "backup", "backup needs a FILE" },
		{ "restore", "restore needs a FILE" },
		{ "restore a b", "b: unexpected" },
		{ "backup --list a b", "b: unexpected" },
		{ "backup --list --force a", "exclude each other" },
		{ "backup a --key-file k --passphrase-file p", "not both" },
		{ "restore a --force", "does not belong to restore" },
		{ "promote x", "x: unexpected" },
		{ "promote --above -1", "--above -1: not a number" },
		{ "demote --offline", "does not belong to demote" },
		{ "rotate", "rotate needs root, release or head" },
		{ "publish a=b --root-keys d", "does not belong to publish" },
		{ "publish a.conf b.conf", "b.conf is one too many" },
		{ "publish a.conf a=b", "a=b is one too many" },
		{ "publish a=b a.conf", "a.conf is one too many" },
		{ "publish a.conf --exact", "--exact goes with NAME=DIR" },
		{ "publish a=b --site s", "--site does not belong" },
		{ "publish a=b --channel", "--channel needs a value" },
		{ "publish a=b --channel ../x", "--channel ../x" },
		{ "publish a=b --expect -1", "--expect -1: not a number" },
		{ "publish a=b --expect 01", "--expect 01: not a number" },
		{ "publish a=b --wait 1h", "--wait 1h" },
		{ "publish a=b --lifetime 0", "--lifetime 0" },
		{ "publish a=b --lifetime 367d", "--lifetime 367d" },
		{ "publish a=b --lifetime x", "--lifetime x" },
		{ "publish a=b --json --json", "--json is given twice" },
		{ "publish a=b --frob", "unknown option --frob" },
		{ "log x", "x: unexpected" },
		{ "log --keys k --noop", "--noop does not belong to log" },
		{ "show 1 2", "2: unexpected" },
		{ "show one", "show one: not a number" },
		{ "verify --anchor sha256:00", "--anchor sha256:00" },
		{ "init --address :", "--address" },
		{ "mirror add", "needs the mirror's NAME" },
		{ "mirror add a/b", "mirror add a/b" },
		{ "mirror add m --key " KEY, "needs --site" },
		{ "mirror add m --site s", "needs --key" },
		{ "mirror add m --site s --key 1", "--key 1" },
		{ "mirror change --site s", "needs the mirror's NAME" },
		{ "mirror change m --offline",
		    "needs --site, --key or --address" },
		{ "mirror change m n --site s", "n: unexpected" },
		{ "mirror change m --site s --json", "--json does not belong" },
		{ "mirror remove m --site s", "--site does not belong" },
		{ "collect --keep many", "--keep many: not a number" },
		{ "collect --age old", "--age old: not a time" },
		{ "collect --bytes big", "--bytes big: not a size" },
		{ "collect --grace -1", "--grace -1: not a time" },
		{ "collect --exact", "--exact does not belong" },
		{ "publish a=b --keep 1", "--keep does not belong" },
	};
	struct line l;

	for (size_t i = 0; i < COUNT(cases); i++) {
		ck_assert_int_eq(parse(&l, cases[i].words), ERR_USAGE);
		ck_assert_msg(strstr(l.e.msg, cases[i].want) != NULL, "%s: %s",
		    cases[i].words, l.e.msg);
	}
}
END_TEST

START_TEST(values_arrive)
{
	struct line l;

	ck_assert_int_eq(
	    parse(&l,
	        "publish base=tree web=www:/srv/www -m why --author me "
	        "--source r1 --channel testing --expect 0 --noop --full "
	        "--exact --lifetime 36h --wait 7 --json"),
	    0);
	ck_assert_uint_eq(l.o.source_count, 2);
	ck_assert_str_eq(l.o.sources[1], "web=www:/srv/www");
	ck_assert_str_eq(l.o.message, "why");
	ck_assert_str_eq(l.o.author, "me");
	ck_assert_str_eq(l.o.source, "r1");
	ck_assert_str_eq(l.o.channel, "testing");
	ck_assert(l.o.expects && l.o.expect == 0);
	ck_assert(l.o.noop && l.o.full && l.o.exact && l.o.json);
	ck_assert_uint_eq(l.o.lifetime_s, UINT64_C(36) * 3600);
	ck_assert_uint_eq(l.o.wait_ms, 7000);

	ck_assert_int_eq(parse(&l, "show 17"), 0);
	ck_assert_uint_eq(l.o.serial, 17);
	ck_assert_int_eq(parse(&l, "verify --anchor " KEY), 0);
	ck_assert(l.o.has_anchor && l.o.anchor.b[31] == 1);
	ck_assert_int_eq(parse(&l,
	                     "mirror add m --site s --key " KEY " --key " KEY
	                     " --address a.example --address [::1]:443"),
	    0);
	ck_assert_str_eq(l.o.name, "m");
	ck_assert_str_eq(l.o.site, "s");
	ck_assert_uint_eq(l.o.spki_count, 2);
	ck_assert_uint_eq(l.o.address_count, 2);
	ck_assert_int_eq(parse(&l,
	                     "mirror change m --key " KEY " --wait 7 "
	                     "--lifetime 1h --offline --identity i"),
	    0);
	ck_assert_str_eq(l.o.name, "m");
	ck_assert_ptr_null(l.o.site);
	ck_assert_uint_eq(l.o.spki_count, 1);
	ck_assert_uint_eq(l.o.address_count, 0);
	ck_assert_int_eq(
	    parse(&l, "collect --keep 3 --age 2d --bytes 5K --grace 0 --json"),
	    0);
	ck_assert_uint_eq(l.o.keep_releases, 3);
	ck_assert_uint_eq(l.o.keep_age_s, UINT64_C(2) * 86400);
	ck_assert_uint_eq(l.o.keep_bytes, 5120);
	ck_assert_uint_eq(l.o.grace_s, 0);
}
END_TEST

START_TEST(what_is_not_given_has_its_default)
{
	struct line l;

	ck_assert_int_eq(parse(&l, "publish a=b"), 0);
	ck_assert_str_eq(l.o.channel, "production");
	ck_assert_uint_eq(l.o.wait_ms, UINT64_C(1000) * CTL_DEFAULT_WAIT_S);
	ck_assert_uint_eq(l.o.lifetime_s, CTL_DEFAULT_LIFETIME_S);
	ck_assert(!l.o.expects);
	ck_assert_uint_eq(l.o.grace_s, CTL_DEFAULT_GRACE_S);
	ctl_options_defaults(&l.o, NULL, "");
	ck_assert_str_eq(l.o.repo, CTL_DEFAULT_REPO);
	ck_assert_str_eq(l.o.keys, CTL_DEFAULT_KEYS);
	ck_assert_int_eq(parse(&l, "log"), 0);
	ctl_options_defaults(&l.o, "/r", "/k");
	ck_assert_str_eq(l.o.repo, "/r");
	ck_assert_str_eq(l.o.keys, "/k");
	ck_assert_int_eq(parse(&l, "log --repo a --keys b"), 0);
	ctl_options_defaults(&l.o, "/r", "/k");
	ck_assert_str_eq(l.o.repo, "a");
	ck_assert_str_eq(l.o.keys, "b");
}
END_TEST

START_TEST(pairs_are_told_from_files)
{
	ck_assert(ctl_is_pair("base=dir"));
	ck_assert(ctl_is_pair("a.b-c_1="));
	ck_assert(!ctl_is_pair("site.conf"));
	ck_assert(!ctl_is_pair("./a=b.conf"));
	ck_assert(!ctl_is_pair("=x"));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("ctl_options");
	TCase *t = tcase_create("ctl_options");
	SRunner *r;
	int failed;

	tcase_add_test(t, verbs_are_known_wherever_options_stand);
	tcase_add_test(t, backups_and_rotations_take_words);
	tcase_add_test(t, wrong_lines_are_refused_with_the_reason);
	tcase_add_test(t, values_arrive);
	tcase_add_test(t, what_is_not_given_has_its_default);
	tcase_add_test(t, pairs_are_told_from_files);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
