/* The order in which a mirror goes to its upstreams. */
#include "server/upstreams.h"

#include <check.h>
#include <stdlib.h>

static struct roster roster;
static struct upstreams us;

static void
add(const char *name, const char *site, uint8_t key, const char *first,
    const char *second)
{
	struct roster_mirror m = { .keys = { { .b = { key } } },
		.key_count = 1 };
	struct err e = ERR_INIT;

	(void)snprintf(m.name, sizeof(m.name), "%s", name);
	(void)snprintf(m.site, sizeof(m.site), "%s", site);
	m.addresses[0] = strdup(first);
	m.address_count = 1;
	if (second != NULL)
		m.addresses[m.address_count++] = strdup(second);
	ck_assert_msg(roster_add_mirror(&roster, &m, &e) == 0, "%s", e.msg);
	free(m.addresses[0]);
	free(m.addresses[1]);
}

static void
set_up(void)
{
	roster_init(&roster);
	add("a1", "a", 1, "a1.example", "192.0.2.1:7441");
	add("a2", "a", 2, "a2.example", NULL);
	add("a3", "a", 3, "a3.example", NULL);
	add("b1", "b", 4, "b1.example", NULL);
	add("b2", "b", 5, "b2.example", NULL);
	add("origin", "o", 6, "origin.example", NULL);
}

static void
tear_down(void)
{
	roster_release(&roster);
}

static const char *
order(const struct roster *r, uint8_t key, const char *const *configured,
    size_t count)
{
	static const char kinds[] = { 's', 'c', 'v', 'r' };
	static char text[4096];
	const struct digest own = { .b = { key } };
	size_t len = 0;

	upstreams_make(r, &own, configured, count, &us);
	text[0] = '\0';
	for (size_t i = 0; i < us.count; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
		    "%s%c:%s", i > 0 ? " " : "", kinds[us.list[i].kind],
		    us.list[i].host);
	return text;
}

static const char *const given[] = { "origin.example", "srv", "x:1",
	"origin.example" };

static const struct {
	uint8_t key;
	const char *order;
} orders[] = {
	/* The first of a site goes over the line. */
	{ 1,
	    "c:origin.example v: c:x:1 r:a2.example r:a3.example r:b1.example "
	    "r:b2.example" },
	{ 2,
	    "s:a1.example s:192.0.2.1:7441 c:origin.example v: c:x:1 "
	    "r:a3.example r:b1.example r:b2.example" },
	{ 3,
	    "s:a1.example s:192.0.2.1:7441 s:a2.example c:origin.example v: "
	    "c:x:1 r:b1.example r:b2.example" },
	/* Others begin behind us. */
	{ 5,
	    "s:b1.example c:origin.example v: c:x:1 r:a1.example "
	    "r:192.0.2.1:7441 r:a2.example r:a3.example" },
	/* Not in the roster. */
	{ 99,
	    "c:origin.example v: c:x:1 r:a1.example r:192.0.2.1:7441 "
	    "r:a2.example r:a3.example r:b1.example r:b2.example" },
};

START_TEST(siblings_come_first_then_the_configured_then_the_rest)
{
	ck_assert_str_eq(
	    order(&roster, orders[_i].key, given, 4), orders[_i].order);
}
END_TEST

START_TEST(without_a_roster_there_are_the_configured)
{
	ck_assert_str_eq(order(NULL, 1, given, 4), "c:origin.example v: c:x:1");
	ck_assert_str_eq(order(NULL, 1, given, 0), "");
}
END_TEST

START_TEST(kinds_say_where_to_look)
{
	(void)order(&roster, 2, given, 4);
	ck_assert_int_eq(upstream_aim(&us.list[0]), FETCH_AIM_ROSTER);
	ck_assert_int_eq(upstream_aim(&us.list[2]), FETCH_AIM_HOST);
	ck_assert_int_eq(upstream_aim(&us.list[3]), FETCH_AIM_SRV);
	ck_assert_int_eq(upstream_aim(&us.list[5]), FETCH_AIM_ROSTER);
	ck_assert_uint_eq(upstreams_find(&us, &us.list[3]), 3);
	us.count = 3;
	ck_assert_uint_eq(upstreams_find(&us, &us.list[3]), 3);
}
END_TEST

/* A site of many must not push the configured ones out. */
START_TEST(only_so_many_are_gone_through)
{
	char name[32], host[32];

	for (uint8_t i = 0; i < 100; i++) {
		(void)snprintf(name, sizeof(name), "z%02d", i);
		(void)snprintf(host, sizeof(host), "z%02d.example", i);
		add(name, "z", (uint8_t)(i + 100), host, NULL);
	}
	(void)order(&roster, 150, given, 3);
	ck_assert_uint_eq(us.count, LIMIT_UPSTREAMS);
	ck_assert_str_eq(us.list[0].host, "z00.example");
	ck_assert_str_eq(us.list[16].host, "origin.example");
	ck_assert_str_eq(us.list[18].host, "x:1");
	ck_assert_str_eq(us.list[19].host, "z51.example");
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("upstreams");
	TCase *t = tcase_create("upstreams");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_loop_test(t,
	    siblings_come_first_then_the_configured_then_the_rest, 0,
	    (int)(sizeof(orders) / sizeof(*orders)));
	tcase_add_test(t, without_a_roster_there_are_the_configured);
	tcase_add_test(t, kinds_say_where_to_look);
	tcase_add_test(t, only_so_many_are_gone_through);
	suite_add_tcase(suite, t);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
