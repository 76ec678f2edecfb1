/* Rosters of mirrors. */
#include "transcripts/roster.h"

#include <check.h>

#include "tests/samples.h"

#define A1 "a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1"
#define A2 "a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2"
#define B1 "b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1"

static const char expected[] =
    "pecia roster 1\n"
    "version 1\n"
    "expires 2026-12-23T06:02:24Z\n"
    "channel production\n"
    "channel testing\n"
    "mirror m1 site-a " A1 "," A2 " pecia.site-a.example.com,[fd00::1]:8443\n"
    "mirror m2 site-b " B1 " -\n";

START_TEST(sample_is_written_as_the_format_says_and_read_back)
{
	struct err e = ERR_INIT;
	struct roster r;
	struct buf body;

	sample_roster(&r);
	buf_init(&body, LIMIT_ROSTER_BYTES);
	roster_write(&body, &r);
	ck_assert_str_eq(buf_str(&body), expected);
	roster_release(&r);
	ck_assert_msg(
	    roster_parse(buf_str(&body), body.len, &r, &e) == 0, "%s", e.msg);
	ck_assert_uint_eq(r.channel_count, 2);
	ck_assert_str_eq(r.channels[0], "production");
	ck_assert_uint_eq(r.mirror_count, 2);
	ck_assert_str_eq(r.mirrors[0].site, "site-a");
	ck_assert_uint_eq(r.mirrors[0].key_count, 2);
	ck_assert_uint_eq(r.mirrors[0].address_count, 2);
	ck_assert_str_eq(r.mirrors[0].addresses[1], "[fd00::1]:8443");
	ck_assert_uint_eq(r.mirrors[1].address_count, 0);
	roster_release(&r);
	buf_release(&body);
}
END_TEST

START_TEST(roster_without_channels_and_mirrors_is_one)
{
	struct err e = ERR_INIT;
	struct digest d;
	struct roster r;
	struct buf body;

	roster_init(&r);
	buf_init(&body, LIMIT_ROSTER_BYTES);
	roster_write(&body, &r);
	ck_assert_int_eq(roster_parse(buf_str(&body), body.len, &r, &e), 0);
	ck_assert_uint_eq(r.mirror_count + r.channel_count, 0);
	sample_digest(0, &d);
	ck_assert_ptr_null(roster_find_key(&r, &d));
	ck_assert_ptr_null(roster_find_name(&r, "m1"));
	roster_release(&r);
	buf_release(&body);
}
END_TEST

static const struct {
	const char *old, *new;
	const char *says;
} refused[] = {
	{ "version 1", "version 0", "plain number" },
	{ "channel testing", "channel production", "repeated" },
	{ "channel production", "channel x", "out of order" },
	{ "channel production", "channel production,x", "is not a name" },
	{ "mirror m1 ", "mirror m2 ", "repeated" },
	{ "mirror m1 ", "mirror m3 ", "out of order" },
	{ "mirror m1 ", "mirror m1,m1 ", "one ' ' each" },
	{ "mirror m1 ", "mirror - ", "is not a name" },
	{ " site-a ", " ../site-a ", "is not a name" },
	{ " site-a ", "  site-a ", "one ' ' each" },
	{ A1 ",", A2 ",", "key is repeated" },
	{ A1 ",", B1 ",", "two mirrors have one key" },
	{ A1 ",", A1 ",,", "one ',' each" },
	{ A1 "," A2, "-", "SHA-256" },
	{ A1 "," A2, A1 "," A2 ",", "one ',' each" },
	{ A1 "," A2, A1 " " A2, "more than" },
	{ A1, "A" A1, "SHA-256" },
	{ A1 ",", A1 "," B1 "," B1 "," B1 ",", "key is repeated" },
	{ " pecia.", " ,pecia.", "one ' ' each" },
	{ " pecia.", " -,pecia.", "more than" },
	{ " pecia.", " https://pecia.", "address is not" },
	{ " pecia.", " \\012pecia.", "address is not" },
	{ " pecia.", " pecia\\054", "escaped form" },
	{ " pecia.", " [pecia].", "address is not" },
	{ "[fd00::1]:8443", "fd00::1", "address is not" },
	{ "[fd00::1]:8443", "[fd00::1]:0", "address is not" },
	{ "[fd00::1]:8443", "[fd00::1]:65536", "address is not" },
	{ "[fd00::1]:8443", "[fd00::1]:08443", "address is not" },
	{ "[fd00::1]:8443", "[fd00::1]:", "address is not" },
	{ "[fd00::1]:8443", "pecia.site-a.example.com", "address is repeated" },
	{ "[fd00::1]:8443", "\\-", "address is not" },
	{ "[fd00::1]:8443\n", "[fd00::1]:8443,\n", "one ',' each" },
	{ "[fd00::1]:8443\n", "[fd00::1]:8443 -\n", "more than" },
	{ " -\n", "\n", "missing" },
	{ " -\n", " \n", "one ' ' each" },
	{ " -\n", " --\n", "address is not" },
	{ " -\n", " -\nchannel z\n", "what follows" },
};

START_TEST(body_that_is_not_canonical_is_refused)
{
	struct err e = ERR_INIT;
	struct buf body, bad;
	struct roster r;

	buf_init(&body, LIMIT_ROSTER_BYTES);
	buf_add_str(&body, expected);
	sample_replace(&bad, &body, refused[_i].old, refused[_i].new);
	roster_init(&r);
	ck_assert_int_eq(
	    roster_parse(buf_str(&bad), bad.len, &r, &e), ERR_FORMAT);
	ck_assert_msg(strstr(e.msg, refused[_i].says) != NULL, "%s", e.msg);
	roster_release(&r);
	buf_release(&body);
	buf_release(&bad);
}
END_TEST

/* A mirror with as many keys and addresses, each its own. */
static void
make_mirror(struct buf *body, unsigned keys, unsigned addresses)
{
	unsigned i;

	buf_init(body, LIMIT_ROSTER_BYTES);
	buf_add_str(body,
	    "pecia roster 1\nversion 1\nexpires 2026-12-23T06:02:24Z\n"
	    "mirror m s ");
	for (i = 0; i < keys; i++)
		buf_addf(body, "%s%064x", i > 0 ? "," : "", i);
	for (i = 0; i < addresses; i++)
		buf_addf(body, "%sh%u", i > 0 ? "," : " ", i);
	buf_add_byte(body, '\n');
}

START_TEST(more_than_the_limits_are_refused)
{
	struct err e = ERR_INIT;
	struct roster r;
	struct buf body;
	unsigned i;

	for (i = 0; i < 3; i++) {
		make_mirror(&body, LIMIT_MIRROR_KEYS + (i == 1),
		    LIMIT_MIRROR_ADDRESSES + (i == 2));
		roster_init(&r);
		ck_assert_int_eq(roster_parse(buf_str(&body), body.len, &r, &e),
		    i == 0 ? 0 : ERR_LIMIT);
		roster_release(&r);
		buf_release(&body);
	}
	buf_init(&body, LIMIT_ROSTER_BYTES);
	buf_add_str(
	    &body, "pecia roster 1\nversion 1\nexpires 2026-12-23T06:02:24Z\n");
	for (i = 0; i <= LIMIT_CHANNELS; i++)
		buf_addf(&body, "channel c%02u\n", i);
	ck_assert_int_eq(
	    roster_parse(buf_str(&body), body.len, &r, &e), ERR_LIMIT);
	buf_release(&body);
}
END_TEST

START_TEST(as_many_mirrors_as_the_limit_are_read_and_one_more_is_refused)
{
	struct err e = ERR_INIT;
	struct roster r;
	struct buf body;
	unsigned i;

	buf_init(&body, LIMIT_ROSTER_BYTES);
	buf_add_str(
	    &body, "pecia roster 1\nversion 1\nexpires 2026-12-23T06:02:24Z\n");
	for (i = 0; i < LIMIT_MIRRORS; i++)
		buf_addf(&body, "mirror m%06u s %064x h%u:443\n", i, i, i);
	ck_assert_int_eq(body.failed, 0);
	ck_assert_int_eq(roster_parse(buf_str(&body), body.len, &r, &e), 0);
	ck_assert_uint_eq(r.mirror_count, LIMIT_MIRRORS);
	roster_release(&r);
	buf_addf(&body, "mirror m%06u s %064x -\n", i, i);
	ck_assert_int_eq(
	    roster_parse(buf_str(&body), body.len, &r, &e), ERR_LIMIT);
	buf_release(&body);
}
END_TEST

START_TEST(mirrors_and_channels_are_added_and_removed_in_order)
{
	char address[] = "h.example.com:8443", bad[] = "a,b";
	struct roster_mirror m = { .name = "m0",
		.site = "site-c",
		.key_count = 1,
		.addresses = { address },
		.address_count = 1 };
	const struct roster_mirror *found;
	struct err e = ERR_INIT;
	struct roster r, again;
	struct digest d;
	struct buf body;

	sample_roster(&r);
	sample_digest(0xa2, &m.keys[0]);
	ck_assert_int_eq(roster_add_mirror(&r, &m, &e), ERR_CONFLICT);
	ck_assert_ptr_nonnull(strstr(e.msg, "mirror m1 has this key"));
	sample_digest(0xc1, &m.keys[0]);
	m.addresses[0] = bad;
	ck_assert_int_eq(roster_add_mirror(&r, &m, &e), ERR_FORMAT);
	m.addresses[0] = address;
	m.key_count = 0;
	ck_assert_int_eq(roster_add_mirror(&r, &m, &e), ERR_FORMAT);
	m.key_count = 1;
	ck_assert_int_eq(roster_add_mirror(&r, &m, &e), 0);
	ck_assert_int_eq(roster_add_mirror(&r, &m, &e), ERR_CONFLICT);
	memcpy(m.name, "a/b", 4);
	sample_digest(0xc2, &m.keys[0]);
	ck_assert_int_eq(roster_add_mirror(&r, &m, &e), ERR_FORMAT);

	sample_digest(0xa2, &d);
	found = roster_find_key(&r, &d);
	ck_assert_str_eq(found->name, "m1");
	ck_assert_str_eq(roster_find_name(&r, "m0")->site, "site-c");
	ck_assert_int_eq(roster_remove_mirror(&r, "m1", &e), 0);
	ck_assert_int_eq(roster_remove_mirror(&r, "m1", &e), ERR_NOT_FOUND);
	ck_assert_ptr_null(roster_find_key(&r, &d));

	ck_assert_int_eq(roster_add_channel(&r, "staging", &e), 0);
	ck_assert_int_eq(roster_add_channel(&r, "staging", &e), 0);
	ck_assert_int_eq(roster_add_channel(&r, "..", &e), ERR_FORMAT);
	ck_assert(roster_has_channel(&r, "staging"));
	ck_assert(!roster_has_channel(&r, "stag"));

	buf_init(&body, LIMIT_ROSTER_BYTES);
	roster_write(&body, &r);
	ck_assert_msg(roster_parse(buf_str(&body), body.len, &again, &e) == 0,
	    "%s", e.msg);
	ck_assert_str_eq(again.channels[1], "staging");
	ck_assert_str_eq(again.mirrors[0].name, "m0");
	ck_assert_str_eq(again.mirrors[1].name, "m2");
	roster_release(&again);
	roster_release(&r);
	buf_release(&body);
}
END_TEST

static void
mirror_is_refused(
    struct roster *r, const struct roster_mirror *m, int want, const char *text)
{
	struct buf before, after;
	struct err e = ERR_INIT;

	buf_init(&before, LIMIT_ROSTER_BYTES);
	buf_init(&after, LIMIT_ROSTER_BYTES);
	roster_write(&before, r);
	ck_assert_int_eq(roster_replace_mirror(r, m, &e), want);
	ck_assert_msg(strstr(e.msg, text) != NULL, "%s", e.msg);
	roster_write(&after, r);
	ck_assert_str_eq(buf_str(&before), buf_str(&after));
	buf_release(&before);
	buf_release(&after);
}

START_TEST(mirror_is_replaced_in_its_place_or_stays_as_it_was)
{
	char bad[] = "a,b";
	const struct roster_mirror *now;
	struct roster_mirror m;
	struct err e = ERR_INIT;
	struct roster r;
	size_t count;

	sample_roster(&r);
	count = r.mirror_count;
	now = roster_find_name(&r, "m1");
	ck_assert_uint_gt(now->address_count, 0);

	/* Its own present key, another beside it, its own addresses. */
	m = *now;
	m.key_count = 2;
	m.keys[0] = now->keys[now->key_count - 1];
	sample_digest(0xc1, &m.keys[1]);
	memcpy(m.site, "site-c", 7);
	ck_assert_int_eq(roster_replace_mirror(&r, &m, &e), 0);
	ck_assert_uint_eq(r.mirror_count, count);
	ck_assert_ptr_eq(roster_find_name(&r, "m1"), now);
	ck_assert_ptr_eq(roster_find_key(&r, &m.keys[0]), now);
	ck_assert_ptr_eq(roster_find_key(&r, &m.keys[1]), now);
	ck_assert_str_eq(now->site, "site-c");
	ck_assert_uint_gt(now->address_count, 0);

	m = *now;
	m.keys[1] = roster_find_name(&r, "m2")->keys[0];
	mirror_is_refused(&r, &m, ERR_CONFLICT, "mirror m2 has this key");
	m.keys[1] = m.keys[0];
	mirror_is_refused(&r, &m, ERR_FORMAT, "key is repeated");
	m.key_count = 1;
	m.addresses[0] = bad;
	mirror_is_refused(&r, &m, ERR_FORMAT, "address is not");
	m = *now;
	memcpy(m.name, "m0", 3);
	mirror_is_refused(&r, &m, ERR_NOT_FOUND, "the roster has no mirror m0");

	/* A key that went is free for others. */
	m = *now;
	m.key_count = 1;
	ck_assert_int_eq(roster_replace_mirror(&r, &m, &e), 0);
	m = *roster_find_name(&r, "m2");
	sample_digest(0xc1, &m.keys[0]);
	ck_assert_int_eq(roster_replace_mirror(&r, &m, &e), 0);
	roster_release(&r);
}
END_TEST

/* More than one growth of the arrays, in the worst order, and back. */
START_TEST(many_additions_and_removals_keep_the_order)
{
	struct roster_mirror m = { .site = "s", .key_count = 1 };
	struct err e = ERR_INIT;
	struct roster r;
	int i;

	roster_init(&r);
	for (int round = 0; round < 2; round++) {
		for (i = 99; i >= 0; i--) {
			(void)snprintf(m.name, sizeof(m.name), "m%02d", i);
			sample_digest((uint8_t)i, &m.keys[0]);
			ck_assert_int_eq(roster_add_mirror(&r, &m, &e), 0);
		}
		for (i = 0; i < 100; i++) {
			(void)snprintf(m.name, sizeof(m.name), "m%02d", i);
			ck_assert_str_eq(r.mirrors[i].name, m.name);
		}
		for (i = 0; i < 97; i++) {
			(void)snprintf(m.name, sizeof(m.name), "m%02d", i);
			ck_assert_int_eq(
			    roster_remove_mirror(&r, m.name, &e), 0);
		}
		ck_assert_str_eq(r.mirrors[0].name, "m97");
		while (r.mirror_count > 0)
			ck_assert_int_eq(
			    roster_remove_mirror(&r, r.mirrors[0].name, &e), 0);
	}
	roster_release(&r);
}
END_TEST

static int
read_any(void *arg, const void *data, size_t len, struct err *e)
{
	struct roster r;
	int rc = roster_read(arg, data, len, &r, e);

	if (rc == 0)
		roster_release(&r);
	return rc;
}

START_TEST(every_truncation_and_bit_flip_is_refused)
{
	struct root root;
	struct roster r;
	struct buf text;

	sample_root(&root);
	sample_roster(&r);
	sample_roster_text(&text, &r);
	sample_damage(&text, 1, read_any, &root);
	roster_release(&r);
	buf_release(&text);
}
END_TEST

/* What a holder of the stolen key could sign: never more than one spelling of
 * what was read. */
START_TEST(damaged_body_is_refused_or_another_canonical_one)
{
	struct buf body, again;
	struct roster r;
	size_t i;

	buf_init(&body, LIMIT_ROSTER_BYTES);
	buf_add_str(&body, expected);
	buf_init(&again, LIMIT_ROSTER_BYTES);
	for (i = 0; i < 8 * body.len; i++) {
		body.data[i / 8] ^= (uint8_t)(1U << (i % 8));
		if (roster_parse(buf_str(&body), body.len, &r, NULL) == 0) {
			buf_clear(&again);
			roster_write(&again, &r);
			ck_assert_uint_eq(again.len, body.len);
			ck_assert_mem_eq(again.data, body.data, body.len);
			roster_release(&r);
		}
		body.data[i / 8] ^= (uint8_t)(1U << (i % 8));
	}
	buf_release(&body);
	buf_release(&again);
}
END_TEST

#define COUNT(rows) ((int)(sizeof(rows) / sizeof((rows)[0])))

int
main(void)
{
	Suite *suite = suite_create("roster");
	TCase *tc = tcase_create("roster");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tc, sample_is_written_as_the_format_says_and_read_back);
	tcase_add_test(tc, roster_without_channels_and_mirrors_is_one);
	tcase_add_loop_test(
	    tc, body_that_is_not_canonical_is_refused, 0, COUNT(refused));
	tcase_add_test(tc, more_than_the_limits_are_refused);
	tcase_add_test(
	    tc, as_many_mirrors_as_the_limit_are_read_and_one_more_is_refused);
	tcase_add_test(tc, mirrors_and_channels_are_added_and_removed_in_order);
	tcase_add_test(tc, mirror_is_replaced_in_its_place_or_stays_as_it_was);
	tcase_add_test(tc, many_additions_and_removals_keep_the_order);
	tcase_add_test(tc, every_truncation_and_bit_flip_is_refused);
	tcase_add_test(tc, damaged_body_is_refused_or_another_canonical_one);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
