/* Publishing: what a release says, what its data transcript is good for, and
 * what stops it. */
#include "server/publish.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/fsat.h"
#include "server/history.h"
#include "tests/holder.h"
#include "tests/scratch.h"
#include "transcripts/statcache.h"

static struct scratch scratch;
static struct key *key; /* of all roles */
static struct origin origin;
static struct releasefile file;
static struct publish_options options;
static struct publish_result result;
static struct err e;

#define OK(call) ck_assert_msg((call) == 0, "%s", e.msg)

static void
put_root(void)
{
	const struct key *signer = key;
	struct root root = { .version = 1, .org = "Test" };
	struct key_public pub;
	struct buf text;

	key_public_of(key, &pub);
	root.expires = time(NULL) + 86400;
	for (int r = 0; r < ROOT_ROLES; r++) {
		root.roles[r].threshold = 1;
		OK(root_add_key(&root, (enum root_role)r, &pub, &e));
	}
	buf_init(&text, LIMIT_ROOT_BYTES);
	root_write(&text, &root);
	OK(statement_sign(&text, &signer, 1, &e));
	OK(repo_put_statement(
	    origin.repo, "v1/root/1", text.data, text.len, &e));
	buf_release(&text);
}

/* The tree at DIR for target /srv, as transcript "base". */
static void
use_tree(const char *tree)
{
	char pair[400];
	char *const pairs[] = { pair };

	(void)snprintf(
	    pair, sizeof(pair), "base=%s/%s:/srv", scratch.path, tree);
	releasefile_release(&file);
	OK(releasefile_from_pairs(pairs, 1, false, &file, &e));
}

static void
set_up(void)
{
	char path[300];

	scratch_make(&scratch);
	(void)snprintf(path, sizeof(path), "%s/repo", scratch.path);
	OK(repo_create(path, &e));
	OK(origin_open(path, &origin, &e));
	OK(key_generate(&key, &e));
	put_root();
	OK(origin_load(&origin, &e));
	releasefile_init(&file);
	OK(fsat_mkdir_all(scratch.fd, "tree/dir", 0755, &e));
	use_tree("tree");
	options = (struct publish_options){ .file = &file,
		.channel = "production",
		.author = "me",
		.lifetime_s = 3600,
		.release_key = key,
		.head_key = key };
	memset(&result, 0, sizeof(result));
}

static void
tear_down(void)
{
	free(result.transcripts);
	releasefile_release(&file);
	origin_release(&origin);
	key_free(key);
	scratch_remove(&scratch);
}

static int
publish(void)
{
	free(result.transcripts);
	result.transcripts = NULL;
	err_clear(&e);
	return publish_run(&origin, &options, &result, &e);
}

static void
put(const char *path, const void *data, size_t len)
{
	OK(fsat_write_file(scratch.fd, path, 0644, data, len, &e));
}

static void
put_text(const char *path, const char *text)
{
	put(path, text, strlen(text));
}

/* Bytes that do not compress, the same for the same seed. */
static void
noise(uint8_t *dst, size_t len, uint64_t seed)
{
	for (size_t i = 0; i < len; i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		dst[i] = (uint8_t)(seed >> 56);
	}
}

static void
put_noise(const char *path, size_t len, uint64_t seed)
{
	uint8_t *data = malloc(len);

	ck_assert_ptr_nonnull(data);
	noise(data, len, seed);
	put(path, data, len);
	free(data);
}

/* The same with `edit` in the middle. */
static void
put_edited(const char *path, size_t len, uint64_t seed, const char *edit)
{
	uint8_t *data = malloc(len);

	ck_assert_ptr_nonnull(data);
	noise(data, len, seed);
	for (size_t i = 0; edit[i] != '\0'; i++)
		data[len / 2 + i] = (uint8_t)edit[i];
	put(path, data, len);
	free(data);
}

static void
newest(struct release *r)
{
	struct head head;

	OK(origin_head(&origin, options.channel, &head, &e));
	OK(origin_release_of(&origin, &head, r, &e));
}

static void
assert_whole(void)
{
	struct repo_verify how = { .threads = 1 };
	struct repo_verified v;

	OK(repo_verify(origin.repo, &how, &v, &e));
}

START_TEST(the_first_release_says_what_was_asked_for)
{
	struct release r;
	struct head head;

	put_text("tree/a", "content of a\n");
	put_text("tree/dir/b", "content of b\n");
	options.message = "why";
	options.source = "rev 1";
	OK(publish());
	ck_assert(result.published && result.is_new_channel);
	ck_assert_uint_eq(result.serial, 1);
	ck_assert_uint_eq(result.transcripts[0].new_objects, 2);
	ck_assert_uint_eq(result.transcripts[0].changes[PUBLISH_ADDED], 4);
	newest(&r);
	ck_assert_uint_eq(r.serial, 1);
	ck_assert(!r.has_previous);
	ck_assert_str_eq(r.author, "me");
	ck_assert_str_eq(r.message, "why");
	ck_assert_str_eq(r.source, "rev 1");
	ck_assert_str_eq(r.transcripts[0].target, "/srv");
	ck_assert_uint_eq(r.transcripts[0].entries, 4);
	ck_assert_uint_eq(r.transcripts[0].content_bytes, 26);
	ck_assert(!r.transcripts[0].has_data);
	ck_assert_str_eq(r.hosts[0].pattern, "*");
	release_release(&r);
	OK(origin_head(&origin, "production", &head, &e));
	ck_assert_int_eq(head.expires - head.issued, 3600);
	ck_assert_uint_eq(head.roster_version, 1);
	ck_assert(roster_has_channel(&origin.roster, "production"));
	assert_whole();
}
END_TEST

START_TEST(what_is_unchanged_makes_no_release)
{
	put_text("tree/a", "a");
	OK(publish());
	options.message = "nothing new";
	OK(publish());
	ck_assert(!result.published && !result.differs);
	ck_assert_uint_eq(result.serial, 1);
	/* But another target does, without a data transcript. */
	file.release.transcripts[0].target[1] = 't';
	OK(publish());
	ck_assert(result.published);
	ck_assert_uint_eq(result.serial, 2);
	ck_assert_uint_eq(result.transcripts[0].data_bytes, 0);
	assert_whole();
}
END_TEST

/* What the newest release's data transcript makes of the release before. */
static void
unpack(struct holder *h)
{
	struct release r;

	newest(&r);
	ck_assert(r.transcripts[0].has_data);
	holder_unpack(h, origin.repo, &r.transcripts[0].data);
	release_release(&r);
}

static bool
has_got(const struct holder *h, const char *file_path)
{
	struct digest d;
	int fd = -1;

	OK(fsat_open_file(scratch.fd, file_path, &fd, &e));
	OK(digest_of_fd(fd, 1 << 24, &d, NULL, &e));
	close(fd);
	return holder_has(h, &d);
}

START_TEST(a_data_transcript_makes_the_new_of_the_old)
{
	struct holder h;

	put_noise("tree/edited", 200000, 1);
	put_noise("tree/moves", 100000, 2);
	put_noise("tree/dir/moves and changes", 150000, 3);
	put_noise("tree/rewritten", 3000, 4);
	put_noise("tree/same", 1000, 5);
	for (int i = 0; i < 100; i++) {
		char path[64];

		(void)snprintf(path, sizeof(path), "tree/dir/filler-%03d", i);
		put_text(path, "filler");
	}
	OK(publish());
	put_edited("tree/edited", 200000, 1, "here");
	OK(fsat_rename(
	    scratch.fd, "tree/moves", scratch.fd, "tree/dir/moved", &e));
	OK(fsat_unlink(scratch.fd, "tree/dir/moves and changes", &e));
	put_edited("tree/moved and changed", 150000, 3, "there");
	put_noise("tree/rewritten", 3000, 6);
	put_noise("tree/new", 5000, 7);
	put_noise("tree/copy of new", 5000, 7);
	OK(publish());
	ck_assert_uint_eq(result.transcripts[0].deltas, 2);
	ck_assert_uint_eq(result.transcripts[0].full_objects, 2);
	/* Two short literals, two contents, a few lines of the manifest. */
	ck_assert_uint_lt(result.transcripts[0].data_bytes, 3000 + 5000 + 3000);
	unpack(&h);
	ck_assert_uint_eq(h.members[DATA_MANIFEST_DELTA], 1);
	ck_assert_uint_eq(h.members[DATA_MANIFEST], 0);
	ck_assert_uint_eq(h.members[DATA_DELTA], 2);
	ck_assert_uint_eq(h.members[DATA_OBJECT], 2);
	ck_assert(has_got(&h, "tree/edited"));
	ck_assert(has_got(&h, "tree/moved and changed"));
	ck_assert(has_got(&h, "tree/rewritten"));
	ck_assert(has_got(&h, "tree/new"));
	ck_assert(!has_got(&h, "tree/dir/moved"));
	ck_assert(!has_got(&h, "tree/same"));
	assert_whole();
}
END_TEST

/* Until a change would show in the file's times. */
static void
wait_until_old(const char *path)
{
	const struct timespec tick = { 0, 50000000 };
	struct fsat_stat st;

	OK(fsat_stat(scratch.fd, path, &st, &e));
	while (time(NULL) - st.ctime.tv_sec <= STATCACHE_SLACK_S)
		(void)nanosleep(&tick, NULL);
}

static void
damage_object_of(const char *file_path)
{
	char path[REPO_PATH_BYTES];
	struct digest d;
	int fd = -1;

	OK(fsat_open_file(scratch.fd, file_path, &fd, &e));
	OK(digest_of_fd(fd, 1 << 24, &d, NULL, &e));
	close(fd);
	repo_path_object(path, &d);
	OK(fsat_open_write(repo_fd(origin.repo), path, 0644, &fd, &e));
	OK(fsat_write_all(fd, "no zstd", 7, &e));
	OK(fsat_close(&fd, path, &e));
}

/* publish_options.change: between scan and deltas. */
static void
interfere(void *arg, const char *transcript, enum publish_change kind,
    const char *path)
{
	(void)arg;
	(void)transcript;
	(void)kind;
	if (strcmp(path, "stays") == 0)
		damage_object_of("tree/stays");
	if (strcmp(path, "changes again") == 0)
		put_noise("tree/changes again", 2000000, 4);
	if (strcmp(path, "goes") == 0)
		OK(fsat_unlink(scratch.fd, "tree/goes", &e));
}

START_TEST(a_delta_is_of_the_content_that_was_stored)
{
	struct holder h;

	put_noise("tree/stays", 2000000, 1);
	put_noise("tree/changes again", 2000000, 2);
	put_noise("tree/goes", 2000000, 3);
	OK(publish());
	put_edited("tree/stays", 2000000, 1, "here");
	put_edited("tree/changes again", 2000000, 2, "there");
	put_edited("tree/goes", 2000000, 3, "everywhere");
	wait_until_old("tree/goes");
	options.change = interfere;
	OK(publish());
	ck_assert_uint_eq(result.transcripts[0].deltas, 3);
	ck_assert_uint_lt(result.transcripts[0].data_bytes, 3000);
	unpack(&h);
	ck_assert_uint_eq(h.members[DATA_DELTA], 3);
	/* Not by its object: that one is of no use. */
	ck_assert(has_got(&h, "tree/stays"));
	ck_assert(!has_got(&h, "tree/changes again"));
}
END_TEST

START_TEST(a_new_transcript_has_no_data_and_a_dropped_one_is_gone)
{
	char pair[400];
	char *const pairs[] = { pair };
	struct release r;

	put_text("tree/a", "a");
	OK(publish());
	(void)snprintf(pair, sizeof(pair), "other=%s/tree:/srv", scratch.path);
	releasefile_release(&file);
	OK(releasefile_from_pairs(pairs, 1, true, &file, &e));
	OK(publish());
	newest(&r);
	ck_assert_uint_eq(r.transcript_count, 1);
	ck_assert_str_eq(r.transcripts[0].name, "other");
	ck_assert(!r.transcripts[0].has_data);
	ck_assert(r.has_previous);
	release_release(&r);
	assert_whole();
}
END_TEST

/* publish_options.change: what was told, as text. */
static void
tell(void *arg, const char *transcript, enum publish_change kind,
    const char *path)
{
	buf_addf(arg, "%c%s:%s\n", "+~-"[kind], transcript, path);
}

/* Names in all folders of the repository; new objects may make new folders. */
static size_t
count_names(void)
{
	static const char *const folders[] = { ".", "tmp", "cache", "v1",
		"v1/channel", "v1/release", "v1/manifest", "v1/data",
		"v1/object" };
	struct fsat_names names;
	size_t n = 0;

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		int fd = -1;

		OK(fsat_open_dir(repo_fd(origin.repo), folders[i], &fd, &e));
		OK(fsat_list(fd, &names, &e));
		n += names.count;
		fsat_names_release(&names);
		close(fd);
	}
	return n;
}

START_TEST(noop_tells_and_writes_nothing)
{
	struct buf told;
	size_t names;

	buf_init(&told, 65536);
	options.change = tell;
	options.arg = &told;
	options.noop = true;
	options.release_key = options.head_key = NULL;
	put_text("tree/a", "a");
	put_text("tree/dir/b", "b");
	names = count_names();
	OK(publish());
	ck_assert_uint_eq(count_names(), names);
	ck_assert(result.differs && !result.published);
	ck_assert_str_eq(
	    buf_str(&told), "+base:.\n+base:a\n+base:dir\n+base:dir/b\n");

	options.noop = false;
	options.release_key = options.head_key = key;
	OK(publish());
	buf_clear(&told);
	options.noop = true;
	put_text("tree/a", "changed");
	OK(fsat_unlink(scratch.fd, "tree/dir/b", &e));
	names = count_names();
	OK(publish());
	ck_assert_uint_eq(count_names(), names);
	ck_assert_ptr_nonnull(strstr(buf_str(&told), "~base:a\n"));
	ck_assert_ptr_nonnull(strstr(buf_str(&told), "-base:dir/b\n"));
	ck_assert_uint_eq(result.serial, 1);
	buf_release(&told);
}
END_TEST

START_TEST(a_wrong_expectation_stops_it)
{
	static const struct {
		uint64_t expect;
		int want;
	} cases[] = { { 1, ERR_CONFLICT }, { 0, 0 }, { 0, ERR_CONFLICT },
		{ 2, ERR_CONFLICT }, { 1, 0 } };
	char text[16];

	options.expects = true;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		(void)snprintf(text, sizeof(text), "%zu", i);
		put_text("tree/a", text);
		options.expect = cases[i].expect;
		ck_assert_int_eq(publish(), cases[i].want);
	}
	ck_assert_uint_eq(result.serial, 2);
}
END_TEST

/* publish_options.change: another publisher, one that ignores the lock, is
 * faster. */
static void
overtake(void *arg, const char *transcript, enum publish_change kind,
    const char *path)
{
	struct publish_options other = options;
	struct publish_result theirs;

	(void)transcript;
	(void)kind;
	if (strcmp(path, "a") != 0)
		return;
	other.change = NULL;
	other.author = "another";
	OK(publish_run(arg, &other, &theirs, &e));
	ck_assert(theirs.published);
	free(theirs.transcripts);
}

START_TEST(two_publishers_cannot_both_win)
{
	struct origin other;
	char path[300];
	struct head head;

	(void)snprintf(path, sizeof(path), "%s/repo", scratch.path);
	put_text("tree/a", "1");
	OK(publish());
	put_text("tree/a", "2");
	OK(origin_open(path, &other, &e));
	OK(origin_load(&other, &e));
	options.change = overtake;
	options.arg = &other;
	ck_assert_int_eq(publish(), ERR_CONFLICT);
	OK(origin_head(&origin, "production", &head, &e));
	ck_assert_uint_eq(head.serial, 2);
	origin_release(&other);
	assert_whole();
}
END_TEST

START_TEST(a_key_of_another_repository_publishes_nothing)
{
	struct key *stranger = NULL;
	struct head head;

	put_text("tree/a", "a");
	OK(key_generate(&stranger, &e));
	options.release_key = stranger;
	ck_assert_int_eq(publish(), ERR_USAGE);
	ck_assert_ptr_nonnull(strstr(e.msg, "role release"));
	options.release_key = key;
	options.head_key = stranger;
	ck_assert_int_eq(publish(), ERR_USAGE);
	ck_assert_ptr_nonnull(strstr(e.msg, "role head"));
	ck_assert_int_eq(
	    origin_head(&origin, "production", &head, &e), ERR_NOT_FOUND);
	key_free(stranger);
}
END_TEST

START_TEST(another_channel_makes_heads_name_the_new_roster)
{
	struct head head;

	put_text("tree/a", "a");
	OK(publish());
	options.channel = "testing";
	OK(publish());
	ck_assert(result.is_new_channel);
	ck_assert_uint_eq(result.serial, 1);
	ck_assert_uint_eq(result.transcripts[0].new_objects, 0);
	OK(origin_head(&origin, "production", &head, &e));
	ck_assert_uint_eq(head.roster_version, 2);
	ck_assert_uint_eq(head.serial, 1);
	assert_whole();
}
END_TEST

static void
assert_settled(void)
{
	bool marked;

	OK(repo_has(origin.repo, "unsynced", &marked, &e));
	ck_assert(!marked);
}

/* Content that went bad is the keeper's: a publisher that read all of the last
 * day again would be slow, and remove it. */
START_TEST(a_publication_leaves_nothing_to_read_again)
{
	char path[REPO_PATH_BYTES], whole[400];
	struct digest d;
	struct buf now;

	put_text("tree/a", "content of a\n");
	put_text("tree/b", "content of b\n");
	OK(publish());
	assert_settled();
	digest_of("content of a\n", 13, &d);
	repo_path_object(path, &d);
	(void)snprintf(whole, sizeof(whole), "repo/%s", path);
	put_text(whole, "bad");
	put_text("tree/c", "content of c\n");
	OK(publish());
	ck_assert(result.published);
	assert_settled();
	OK(publish());
	ck_assert(!result.published);
	assert_settled();
	buf_init(&now, 100);
	OK(repo_read_statement(origin.repo, path, 100, &now, &e));
	ck_assert_str_eq(buf_str(&now), "bad");
	buf_release(&now);
	OK(fsat_unlink(repo_fd(origin.repo), path, &e));
	options.full = true;
	OK(publish());
	ck_assert_uint_eq(result.transcripts[0].new_objects, 1);
	ck_assert(!result.published);
	assert_settled();
}
END_TEST

START_TEST(what_was_left_by_a_crash_before_the_head_is_in_nobodys_way)
{
	struct head head;
	size_t count = 0;

	put_text("tree/a", "a");
	OK(roster_add_channel(&origin.roster, "production", &e));
	OK(origin_put_roster(&origin, key, &e));
	OK(origin_refresh(&origin, key, 60, false, &count, &e));
	ck_assert_uint_eq(count, 0);
	put_text("repo/tmp/t-1-2", "left behind");
	OK(publish());
	ck_assert(result.published && !result.is_new_channel);
	OK(origin_head(&origin, "production", &head, &e));
	ck_assert_uint_eq(head.roster_version, 1);
	ck_assert_int_eq(
	    fsat_unlink(scratch.fd, "repo/tmp/t-1-2", &e), ERR_NOT_FOUND);
	assert_whole();
}
END_TEST

START_TEST(a_damaged_old_manifest_is_named)
{
	char path[REPO_PATH_BYTES], full[REPO_PATH_BYTES + 8];
	struct release r;

	put_text("tree/a", "a");
	OK(publish());
	newest(&r);
	repo_path_manifest(path, &r.transcripts[0].manifest);
	release_release(&r);
	(void)snprintf(full, sizeof(full), "repo/%s", path);
	put_text(full, "no gzip");
	put_text("tree/a", "b");
	ck_assert_int_ne(publish(), 0);
	ck_assert_msg(strstr(e.msg, path) != NULL, "%s", e.msg);
}
END_TEST

START_TEST(a_source_that_is_missing_is_named)
{
	use_tree("nowhere");
	ck_assert_int_eq(publish(), ERR_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(e.msg, "nowhere"));
	ck_assert_ptr_nonnull(strstr(e.msg, "base"));
}
END_TEST

/* A history_fn. */
static int
list_serial(
    void *arg, const struct history_item *item, bool *go_on, struct err *err)
{
	(void)go_on;
	(void)err;
	buf_addf(arg, "%llu:%s ", (unsigned long long)item->release.serial,
	    item->release.message);
	return 0;
}

START_TEST(history_goes_back_as_far_as_releases_are_kept)
{
	static const char *const messages[] = { "one", "two", "three" };
	char path[REPO_PATH_BYTES];
	struct digest first;
	struct buf list;

	buf_init(&list, 1000);
	ck_assert_int_eq(
	    history_walk(&origin, "production", list_serial, &list, &e),
	    ERR_NOT_FOUND);
	for (int i = 0; i < 3; i++) {
		put_text("tree/a", messages[i]);
		options.message = messages[i];
		OK(publish());
		if (i == 0)
			first = result.release;
	}
	OK(history_walk(&origin, "production", list_serial, &list, &e));
	ck_assert_str_eq(buf_str(&list), "3:three 2:two 1:one ");
	repo_path_release(path, &first);
	OK(fsat_unlink(repo_fd(origin.repo), path, &e));
	buf_clear(&list);
	OK(history_walk(&origin, "production", list_serial, &list, &e));
	ck_assert_str_eq(buf_str(&list), "3:three 2:two ");
	buf_release(&list);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("publish");
	TCase *t = tcase_create("publish");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, the_first_release_says_what_was_asked_for);
	tcase_add_test(t, what_is_unchanged_makes_no_release);
	tcase_add_test(t, a_data_transcript_makes_the_new_of_the_old);
	tcase_add_test(t, a_delta_is_of_the_content_that_was_stored);
	tcase_add_test(
	    t, a_new_transcript_has_no_data_and_a_dropped_one_is_gone);
	tcase_add_test(t, noop_tells_and_writes_nothing);
	tcase_add_test(t, a_wrong_expectation_stops_it);
	tcase_add_test(t, two_publishers_cannot_both_win);
	tcase_add_test(t, a_key_of_another_repository_publishes_nothing);
	tcase_add_test(t, another_channel_makes_heads_name_the_new_roster);
	tcase_add_test(
	    t, what_was_left_by_a_crash_before_the_head_is_in_nobodys_way);
	tcase_add_test(t, a_publication_leaves_nothing_to_read_again);
	tcase_add_test(t, a_damaged_old_manifest_is_named);
	tcase_add_test(t, a_source_that_is_missing_is_named);
	tcase_add_test(t, history_goes_back_as_far_as_releases_are_kept);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
