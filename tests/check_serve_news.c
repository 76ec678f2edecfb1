/* What a worker sends with a head before it is asked for. */
#include <check.h>
#include <unistd.h>

#include "tests/samples.h"
#include "tests/site.h"
#include "transcripts/repo.h"

static struct release release;
static struct buf text; /* of the release */

/* Release 7 of the site's head: base and web, with these data. */
static void
put(const char *base, size_t base_len, const char *web)
{
	char path[REPO_PATH_BYTES];

	sample_release(&release);
	sample_digest(0x14, &release.transcripts[1].data);
	release.transcripts[1].has_data = true;
	release.transcripts[0].data_bytes = base_len;
	release.transcripts[1].data_bytes = strlen(web);
	sample_release_text(&text, &release);
	site_put("v1/release/" SITE_RELEASE, text.data, text.len);
	repo_path_data(path, &release.transcripts[0].data);
	site_put(path, base, base_len);
	repo_path_data(path, &release.transcripts[1].data);
	site_put_str(path, web);
}

static void
set_up(void)
{
	site_set_up();
	put("base's data", 11, "web's");
	site_start_worker();
}

static void
tear_down(void)
{
	buf_release(&text);
	release_release(&release);
	site_tear_down();
}

static void
add_data(struct buf *b, size_t i, const char *data)
{
	char path[REPO_PATH_BYTES];

	repo_path_data(path, &release.transcripts[i].data);
	buf_addf(b, "/%s %zu\n%s", path, strlen(data), data);
}

/* "1": with the release; "a": with base's data, "b": with web's. */
static void
expect(const char *query, const char *parts)
{
	char path[256];
	struct buf want;
	struct peer_reply head, r;

	site_get("/v1/channel/production", "", &head);
	buf_init(&want, 1 << 16);
	buf_add(&want, head.body.data, head.body.len);
	if (strchr(parts, '1') != NULL) {
		buf_addf(&want, "/v1/release/%s %zu\n", SITE_RELEASE, text.len);
		buf_add(&want, text.data, text.len);
	}
	if (strchr(parts, 'a') != NULL)
		add_data(&want, 0, "base's data");
	if (strchr(parts, 'b') != NULL)
		add_data(&want, 1, "web's");
	(void)snprintf(path, sizeof(path), "/v1/channel/production%s", query);
	site_get(path, "", &r);
	ck_assert_msg(r.status == 200 && r.whole && r.body.len == want.len &&
	        memcmp(r.body.data, want.data, want.len) == 0,
	    "%s: %s", query, buf_str(&r.body));
	(void)snprintf(path, sizeof(path), "%zu", head.body.len);
	ck_assert_str_eq(
	    peer_field(&r, "Pecia-Head"), parts[0] != '\0' ? path : "");
	(void)snprintf(path, sizeof(path), "%s", peer_field(&head, "ETag"));
	ck_assert_str_eq(peer_field(&r, "ETag"), path);
	peer_reply_release(&head);
	peer_reply_release(&r);
	buf_release(&want);
}

static const struct {
	const char *query, *parts;
} questions[] = {
	{ "?after=6&with=base,web", "1ab" },
	{ "?after=6&with=web,base", "1ab" },
	{ "?after=6&with=web", "1b" },
	{ "?after=6&with=base", "1a" },
	{ "?after=6&with=bas,eb,we,base2,webs", "1" },
	{ "?after=6&with=", "1" },
	{ "?after=6&with=base&wait=10", "1a" },
	{ "?after=5&with=base,web", "1" },
	{ "?after=0&with=", "1" },
	{ "?after=7&with=base", "" },
	{ "?after=8&with=base", "" },
	{ "?after=18446744073709551615&with=base", "" },
	{ "?after=6", "" },
	{ "?with=base", "" },
};

START_TEST(sends_what_follows_from_a_head)
{
	expect(questions[_i].query, questions[_i].parts);
}
END_TEST

START_TEST(sends_none_of_what_is_known)
{
	struct peer_reply r;
	char field[160];

	site_get("/v1/channel/production", "", &r);
	(void)snprintf(field, sizeof(field), "If-None-Match: %s\r\n",
	    peer_field(&r, "ETag"));
	peer_reply_release(&r);
	ck_assert_uint_eq(
	    site_status_of("/v1/channel/production?after=6&with=base", field),
	    304);
}
END_TEST

START_TEST(leaves_out_what_is_not_as_the_release_says)
{
	char path[REPO_PATH_BYTES];

	repo_path_data(path, &release.transcripts[0].data);
	site_put_str(path, "base's dat");
	expect("?after=6&with=base,web", "1b");
	repo_path_data(path, &release.transcripts[1].data);
	ck_assert_int_eq(unlinkat(site_repo.fd, path, 0), 0);
	expect("?after=6&with=base,web", "1");
	site_put_str("v1/release/" SITE_RELEASE, "not a release\n");
	expect("?after=6&with=base,web", "");
	ck_assert_int_eq(
	    unlinkat(site_repo.fd, "v1/release/" SITE_RELEASE, 0), 0);
	expect("?after=6&with=base,web", "");
}
END_TEST

START_TEST(leaves_out_what_is_large)
{
	char *large = calloc(1, LIMIT_NEWS_BYTES);

	buf_release(&text);
	release_release(&release);
	put(large, LIMIT_NEWS_BYTES - 1024, "web's");
	expect("?after=6&with=base,web", "1b");
	free(large);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("serve_news");
	TCase *t = tcase_create("serve_news");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_loop_test(t, sends_what_follows_from_a_head, 0,
	    (int)(sizeof(questions) / sizeof(*questions)));
	tcase_add_test(t, sends_none_of_what_is_known);
	tcase_add_test(t, leaves_out_what_is_not_as_the_release_says);
	tcase_add_test(t, leaves_out_what_is_large);
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
