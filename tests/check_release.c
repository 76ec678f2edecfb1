/* Releases: the text, the places they stand in, and whom they are for. */
#include "transcripts/release.h"

#include <check.h>

#include "tests/samples.h"
#include "transcripts/head.h"

#define D11 "1111111111111111111111111111111111111111111111111111111111111111"
#define D12 "1212121212121212121212121212121212121212121212121212121212121212"
#define D13 "1313131313131313131313131313131313131313131313131313131313131313"

static const char expected[] =
    "pecia release 1\n"
    "channel production\n"
    "serial 1\n"
    "previous -\n"
    "created 2026-11-23T04:02:24Z\n"
    "author Ada\\040<ada@example.com>\n"
    "message First\\040release\\012\\012with\\040two\\040lines\n"
    "source \\-\n"
    "transcript base overlay " D11 " 4711 42 123456789 " D12 " 34567 /\n"
    "transcript web exact " D13 " 815 0 0 - 0 /srv/www\\040data\n"
    "exclude *.swp\n"
    "exclude cache/*\n"
    "profile www base web\n"
    "host test-*.example.com www testing\n"
    "host www[0-9]*.example.com www -\n";

START_TEST(sample_is_written_as_the_format_says_and_read_back)
{
	const struct release_transcript *t;
	struct err e = ERR_INIT;
	struct release r;
	struct buf body;

	sample_release(&r);
	buf_init(&body, LIMIT_RELEASE_BYTES);
	release_write(&body, &r);
	ck_assert_str_eq(buf_str(&body), expected);
	release_release(&r);
	ck_assert_msg(
	    release_parse(buf_str(&body), body.len, &r, &e) == 0, "%s", e.msg);
	ck_assert_str_eq(r.message, "First release\n\nwith two lines");
	ck_assert_str_eq(r.source, "");
	ck_assert(!r.has_previous);
	t = release_find_transcript(&r, "web");
	ck_assert_ptr_eq(t, &r.transcripts[1]);
	ck_assert_int_eq(t->mode, RELEASE_EXACT);
	ck_assert_str_eq(t->target, "/srv/www data");
	ck_assert_uint_eq(t->exclude_count, 2);
	ck_assert_str_eq(t->excludes[1], "cache/*");
	ck_assert(!t->has_data);
	ck_assert_uint_eq(r.transcripts[0].data_bytes, 34567);
	ck_assert_ptr_null(release_find_transcript(&r, "we"));
	ck_assert_ptr_eq(release_find_profile(&r, "www"), r.profiles);
	ck_assert_uint_eq(r.profiles[0].transcripts[1], 1);
	ck_assert_str_eq(r.hosts[0].channel, "testing");
	ck_assert_str_eq(r.hosts[1].channel, "");
	release_release(&r);
	buf_release(&body);
}
END_TEST

START_TEST(release_without_anything_in_it_is_one)
{
	struct err e = ERR_INIT;
	struct release r;
	struct buf body;

	release_init(&r);
	memcpy(r.channel, "x", 2);
	r.serial = 7;
	buf_init(&body, LIMIT_RELEASE_BYTES);
	release_write(&body, &r);
	ck_assert_msg(
	    release_parse(buf_str(&body), body.len, &r, &e) == 0, "%s", e.msg);
	ck_assert_ptr_null(release_find_transcript(&r, "base"));
	ck_assert_ptr_null(release_find_profile(&r, "www"));
	release_release(&r);
	buf_release(&body);
}
END_TEST

static const struct {
	const char *old, *new;
	const char *says;
} refused[] = {
	{ "serial 1", "serial 00", "plain number" },
	{ "previous -", "previous \\-", "SHA-256" },
	{ "previous -", "previous " D11, "none before it" },
	{ "previous -", "previous - -", "more than" },
	{ "author Ada\\040", "author Ada ", "more than" },
	{ "author Ada\\040", "author Ada\\40", "escaped form" },
	{ "author Ada\\040", "author Ada\\141", "escaped form" },
	{ "author Ada\\040", "author Ada\\000", "escaped form" },
	{ "source \\-\n", "source\n", "'source ...' is missing" },
	{ "source \\-\n", "source \n", "one ' ' each" },
	{ "source \\-\n", "source \\-x\n", "escaped form" },
	{ "transcript base", "transcript web", "repeated" },
	{ "transcript base", "transcript x", "out of order" },
	{ "transcript base", "transcript ../base", "is not a name" },
	{ " overlay ", " Overlay ", "neither overlay nor exact" },
	{ " overlay ", " ", "neither overlay nor exact" },
	{ " 4711 ", " 0 ", "plain number" },
	{ " 4711 ", " 8589934593 ", "plain number" },
	{ " 123456789 ", " 9223372036854775808 ", "plain number" },
	{ " 34567 ", " 0 ", "plain number" },
	{ " 34567 ", " ", "plain number" },
	{ D12, "-", "plain number" },
	{ " - 0 ", " - 1 ", "plain number" },
	{ " - 0 ", " " D11 " 0 ", "plain number" },
	{ " /\n", " \n", "one ' ' each" },
	{ " /\n", " //\n", "absolute" },
	{ " /\n", " \\-\n", "absolute" },
	{ " /\n", " srv\n", "absolute" },
	{ " /\n", " /srv/\n", "absolute" },
	{ " /\n", " /srv//www\n", "absolute" },
	{ " /\n", " /./srv\n", "absolute" },
	{ " /\n", " /srv/..\n", "absolute" },
	{ " /\n", " /../etc\n", "absolute" },
	{ " /\n", " /srv\\057\n", "escaped form" },
	{ "exclude *.swp", "exclude", "what follows" },
	{ "exclude *.swp", "exclude \\-", "empty pattern" },
	{ "exclude *.swp", "exclude *.swp *.tmp", "more than" },
	{ "profile www base web", "profile www", "missing" },
	{ "profile www base web", "profile www base base", "repeated" },
	{ "profile www base web", "profile www base we", "not in the release" },
	{ "profile www base web", "profile www base web ", "one ' ' each" },
	{ "profile www base web", "profile www base web\nprofile www base",
	    "repeated" },
	{ "profile www base web", "profile www base web\nprofile a base",
	    "out of order" },
	{ "profile www base web\n", "", "not in the release" },
	{ "profile www base web\n",
	    "profile www base web\ntranscript x overlay " D11 " 1 1 1 - 0 /\n",
	    "what follows" },
	{ "host test-*.example.com www", "host test-*.example.com db",
	    "not in the release" },
	{ "host test-*.example.com", "host \\-", "empty pattern" },
	{ " www testing", " www", "missing" },
	{ " www testing", " www -x", "is not a name" },
	{ " www testing", " www testing -", "more than" },
	{ "www -\n", "www -\nexclude x\n", "what follows" },
	{ "www -\n", "www -\n\n", "what follows" },
};

START_TEST(body_that_is_not_canonical_is_refused)
{
	struct err e = ERR_INIT;
	struct buf body, bad;
	struct release r;

	buf_init(&body, LIMIT_RELEASE_BYTES);
	buf_add_str(&body, expected);
	sample_replace(&bad, &body, refused[_i].old, refused[_i].new);
	ck_assert_int_eq(
	    release_parse(buf_str(&bad), bad.len, &r, &e), ERR_FORMAT);
	ck_assert_msg(strstr(e.msg, refused[_i].says) != NULL, "%s", e.msg);
	buf_release(&body);
	buf_release(&bad);
}
END_TEST

static const struct {
	const char *path;
	bool good;
} targets[] = {
	{ "/", true },
	{ "/srv", true },
	{ "/srv/.hidden/..x/...", true },
	{ "/srv/with space\nand line", true },
	{ "", false },
	{ "srv", false },
	{ "./srv", false },
	{ "/srv/", false },
	{ "//", false },
	{ "//srv", false },
	{ "/srv//x", false },
	{ "/.", false },
	{ "/..", false },
	{ "/srv/./x", false },
	{ "/srv/../x", false },
	{ "/srv/x/..", false },
};

START_TEST(targets_are_absolute_and_normalised)
{
	ck_assert_int_eq(release_is_target(targets[_i].path), targets[_i].good);
}
END_TEST

START_TEST(long_targets_are_held_to_the_limits)
{
	char path[LIMIT_PATH_BYTES + 2];
	size_t i;

	memset(path, 'x', sizeof(path));
	for (i = 0; i < sizeof(path); i += LIMIT_COMPONENT_BYTES + 1)
		path[i] = '/';
	path[LIMIT_PATH_BYTES] = '\0';
	ck_assert(release_is_target(path));
	path[LIMIT_PATH_BYTES] = 'x';
	path[LIMIT_PATH_BYTES + 1] = '\0';
	ck_assert(!release_is_target(path));
	memset(path + 1, 'x', LIMIT_COMPONENT_BYTES + 1);
	path[LIMIT_COMPONENT_BYTES + 1] = '\0';
	ck_assert(release_is_target(path));
	path[LIMIT_COMPONENT_BYTES + 1] = 'x';
	path[LIMIT_COMPONENT_BYTES + 2] = '\0';
	ck_assert(!release_is_target(path));
}
END_TEST

/* `count` lines of fmt (which takes a number) behind the sample's head. */
static void
make_lines(struct buf *body, const char *fmt, unsigned count)
{
	char line[256];
	const char *p;
	unsigned i;

	buf_init(body, (size_t)2 * LIMIT_RELEASE_BYTES);
	buf_add(body, expected,
	    (size_t)(strstr(expected, "transcript base") - expected));
	if (strncmp(fmt, "transcript", 10) != 0)
		buf_add_str(body, "transcript t overlay " D11 " 1 1 1 - 0 /\n");
	if (strncmp(fmt, "host", 4) == 0)
		buf_add_str(body, "profile p t\n");
	for (i = 0; i < count; i++) {
		p = strchr(fmt, '#');
		(void)snprintf(line, sizeof(line), "%.*s%05u%s\n",
		    (int)(p - fmt), fmt, i, p + 1);
		buf_add_str(body, line);
	}
}

static const struct {
	const char *fmt;
	unsigned limit;
} limits[] = {
	{ "transcript t# overlay " D11 " 1 1 1 - 0 /", LIMIT_TRANSCRIPTS },
	{ "exclude #", LIMIT_EXCLUDES },
	{ "profile p# t", LIMIT_PROFILES },
	{ "host h# p -", LIMIT_HOSTS },
};

START_TEST(as_many_lines_as_the_limit_are_read_and_no_more)
{
	struct err e = ERR_INIT;
	struct release r;
	struct buf body;

	make_lines(&body, limits[_i].fmt, limits[_i].limit);
	ck_assert_msg(
	    release_parse(buf_str(&body), body.len, &r, &e) == 0, "%s", e.msg);
	release_release(&r);
	buf_release(&body);
	make_lines(&body, limits[_i].fmt, limits[_i].limit + 1);
	ck_assert_int_eq(
	    release_parse(buf_str(&body), body.len, &r, &e), ERR_LIMIT);
	buf_release(&body);
}
END_TEST

START_TEST(over_long_texts_are_refused)
{
	char text[LIMIT_TEXT_BYTES + 2];
	struct err e = ERR_INIT;
	struct release r, got;
	struct buf body;

	memset(text, ' ', sizeof(text)); /* each is four bytes on the line */
	for (size_t len = LIMIT_TEXT_BYTES; len < sizeof(text); len++) {
		sample_release(&r);
		text[len] = '\0';
		free(r.message);
		r.message = strdup(text);
		buf_init(&body, LIMIT_RELEASE_BYTES);
		release_write(&body, &r);
		text[len] = ' ';
		release_init(&got);
		ck_assert_int_eq(
		    release_parse(buf_str(&body), body.len, &got, &e),
		    len == LIMIT_TEXT_BYTES ? 0 : ERR_LIMIT);
		release_release(&got);
		release_release(&r);
		buf_release(&body);
	}
}
END_TEST

struct place {
	struct root root;
	struct head head;
};

static int
read_below_head(void *arg, const void *data, size_t len, struct err *e)
{
	const struct place *p = arg;
	struct release r;
	int rc = release_read(&p->root, &p->head, data, len, &r, e);

	if (rc == 0)
		release_release(&r);
	return rc;
}

START_TEST(every_truncation_and_bit_flip_is_refused)
{
	struct place p;
	struct release r;
	struct buf text;

	sample_root(&p.root);
	sample_head(&p.head);
	sample_release(&r);
	sample_release_text(&text, &r);
	sample_damage(&text, 1, read_below_head, &p);
	release_release(&r);
	buf_release(&text);
}
END_TEST

static int
read_signed(void *arg, const void *data, size_t len, struct err *e)
{
	struct statement s;
	struct release r;
	int rc = root_verify(arg, ROOT_ROLE_RELEASE, data, len, &s, e);

	if (rc == 0)
		rc = release_parse(s.body, s.body_len, &r, e);
	if (rc == 0)
		release_release(&r);
	return rc;
}

/* The same without the digest that a head gives: the signature alone holds. */
START_TEST(every_truncation_and_bit_flip_breaks_the_signature)
{
	struct root root;
	struct release r;
	struct buf text;

	sample_root(&root);
	sample_release(&r);
	sample_release_text(&text, &r);
	sample_damage(&text, 1, read_signed, &root);
	release_release(&r);
	buf_release(&text);
}
END_TEST

START_TEST(damaged_body_is_refused_or_another_canonical_one)
{
	struct buf body, again;
	struct release r;
	size_t i;

	buf_init(&body, LIMIT_RELEASE_BYTES);
	buf_add_str(&body, expected);
	buf_init(&again, LIMIT_RELEASE_BYTES);
	for (i = 0; i < 8 * body.len; i++) {
		body.data[i / 8] ^= (uint8_t)(1U << (i % 8));
		if (release_parse(buf_str(&body), body.len, &r, NULL) == 0) {
			buf_clear(&again);
			release_write(&again, &r);
			ck_assert_uint_eq(again.len, body.len);
			ck_assert_mem_eq(again.data, body.data, body.len);
			release_release(&r);
		}
		body.data[i / 8] ^= (uint8_t)(1U << (i % 8));
	}
	buf_release(&body);
	buf_release(&again);
}
END_TEST

enum misplaced {
	CHANNEL,
	SERIAL,
	SIZE,
	DIGEST,
	SIGNER,
	NOTHING
};

/* Signed well, and not what the head points to. */
START_TEST(release_of_another_place_is_refused)
{
	struct err e = ERR_INIT;
	struct release r, got;
	struct root root;
	struct head head;
	struct buf text;

	sample_root(&root);
	sample_head(&head);
	sample_release(&r);
	buf_init(&text, LIMIT_RELEASE_BYTES);
	release_write(&text, &r);
	sample_sign(&text, _i == SIGNER ? SAMPLE_HEAD : SAMPLE_RELEASE, -1);
	digest_of(text.data, text.len, &head.release);
	head.release_bytes = text.len + (_i == SIZE);
	head.release.b[7] ^= _i == DIGEST;
	head.serial += _i == SERIAL;
	if (_i == CHANNEL)
		memcpy(head.channel, "testing", 8);
	release_init(&got);
	ck_assert_int_eq(
	    release_read(&root, &head, text.data, text.len, &got, &e),
	    _i == NOTHING ? 0 : ERR_VERIFY);
	release_release(&got);
	release_release(&r);
	buf_release(&text);
}
END_TEST

START_TEST(previous_release_is_the_one_named)
{
	struct err e = ERR_INIT;
	struct release next, r, got;
	struct root root;
	struct buf text;

	sample_root(&root);
	sample_release(&r);
	sample_release_text(&text, &r);
	sample_release(&next);
	next.serial = 2;
	ck_assert_int_eq(
	    release_read_previous(&root, &next, text.data, text.len, &got, &e),
	    ERR_NOT_FOUND);
	next.has_previous = true;
	digest_of(text.data, text.len, &next.previous);
	ck_assert_int_eq(
	    release_read_previous(&root, &next, text.data, text.len, &got, &e),
	    0);
	ck_assert_uint_eq(got.serial, 1);
	release_release(&got);
	next.serial = 3;
	ck_assert_int_eq(
	    release_read_previous(&root, &next, text.data, text.len, &got, &e),
	    ERR_VERIFY);
	next.serial = 2;
	memcpy(next.channel, "testing", 8);
	ck_assert_int_eq(
	    release_read_previous(&root, &next, text.data, text.len, &got, &e),
	    ERR_VERIFY);
	memcpy(next.channel, SAMPLE_CHANNEL, sizeof(SAMPLE_CHANNEL));
	next.previous.b[0] ^= 1;
	ck_assert_int_eq(
	    release_read_previous(&root, &next, text.data, text.len, &got, &e),
	    ERR_VERIFY);
	release_release(&next);
	release_release(&r);
	buf_release(&text);
}
END_TEST

static const struct {
	const char *host;
	const char *profile; /* NULL: none */
} hosts[] = {
	{ "www1.example.com", "www" },
	{ "WWW1.Example.COM", "www" },
	{ "www.example.com", NULL },
	{ "www1.example.com.evil.example", NULL },
	/* Its pattern is for the channel testing, this release is not. */
	{ "test-1.example.com", NULL },
	{ "", NULL },
	{ "www[0-9]*.example.com", NULL },
};

START_TEST(host_gets_the_profile_of_the_first_pattern_for_its_channel)
{
	const struct release_profile *p = NULL;
	struct err e = ERR_INIT;
	struct release r;
	int rc;

	sample_release(&r);
	rc = release_profile_of(&r, hosts[_i].host, &p, &e);
	if (hosts[_i].profile != NULL) {
		ck_assert_int_eq(rc, 0);
		ck_assert_str_eq(p->name, hosts[_i].profile);
	} else {
		ck_assert_int_eq(rc, ERR_NOT_FOUND);
		ck_assert_ptr_null(p);
		ck_assert_msg(
		    strstr(e.msg, "profiles www") != NULL, "%s", e.msg);
	}
	release_release(&r);
}
END_TEST

#define COUNT(rows) ((int)(sizeof(rows) / sizeof((rows)[0])))

int
main(void)
{
	Suite *suite = suite_create("release");
	TCase *tc = tcase_create("release");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tc, sample_is_written_as_the_format_says_and_read_back);
	tcase_add_test(tc, release_without_anything_in_it_is_one);
	tcase_add_loop_test(
	    tc, body_that_is_not_canonical_is_refused, 0, COUNT(refused));
	tcase_add_loop_test(
	    tc, targets_are_absolute_and_normalised, 0, COUNT(targets));
	tcase_add_test(tc, long_targets_are_held_to_the_limits);
	tcase_add_loop_test(tc, as_many_lines_as_the_limit_are_read_and_no_more,
	    0, COUNT(limits));
	tcase_add_test(tc, over_long_texts_are_refused);
	tcase_add_test(tc, every_truncation_and_bit_flip_is_refused);
	tcase_add_test(tc, every_truncation_and_bit_flip_breaks_the_signature);
	tcase_add_test(tc, damaged_body_is_refused_or_another_canonical_one);
	tcase_add_loop_test(
	    tc, release_of_another_place_is_refused, 0, NOTHING + 1);
	tcase_add_test(tc, previous_release_is_the_one_named);
	tcase_add_loop_test(tc,
	    host_gets_the_profile_of_the_first_pattern_for_its_channel, 0,
	    COUNT(hosts));
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
