/* repo_verify finds whatever was done to a file of a repository. */
#include "transcripts/repo.h"

#include <check.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fsat.h"
#include "tests/sample_repo.h"

#define OK(call) ck_assert_msg((call) == 0, "%s", e.msg)

static struct sample_repo s;

static void
setup(void)
{
	sample_repo_make(&s);
}

static void
teardown(void)
{
	sample_repo_remove(&s);
}

/* What repo_verify told. */
struct told {
	uint64_t counts[REPO_FINDINGS];
	char paths[REPO_FINDINGS][300]; /* the last of each */
	char reasons[REPO_FINDINGS][ERR_MSG_BYTES];
	uint64_t progress;
	const struct digest *anchor;
	unsigned threads;
};

static void
on_finding(
    void *arg, enum repo_finding kind, const char *path, const char *what)
{
	struct told *t = arg;

	t->counts[kind]++;
	(void)snprintf(t->paths[kind], sizeof(t->paths[kind]), "%s", path);
	(void)snprintf(t->reasons[kind], sizeof(t->reasons[kind]), "%s", what);
}

static void
on_progress(void *arg, uint64_t count, uint64_t bytes)
{
	struct told *t = arg;

	(void)bytes;
	ck_assert_uint_eq(count, t->progress + 1);
	t->progress = count;
}

static int
verify(struct told *t)
{
	struct repo_verify how = { .anchor = t->anchor,
		.threads = t->threads,
		.finding = on_finding,
		.progress = on_progress,
		.arg = t };
	struct repo_verified result;
	struct err e = ERR_INIT;
	int ret;

	memset(t->counts, 0, sizeof(t->counts));
	t->progress = 0;
	ret = repo_verify(s.repo, &how, &result, &e);
	ck_assert_msg(ret == 0 || ret == ERR_VERIFY, "%s", e.msg);
	for (size_t i = 0; i < REPO_FINDINGS; i++)
		ck_assert_uint_eq(result.findings[i], t->counts[i]);
	ck_assert_uint_eq(result.files, t->progress);
	ck_assert_int_eq(ret == 0,
	    t->counts[REPO_DAMAGED] + t->counts[REPO_MISSING] +
	            t->counts[REPO_UNKNOWN] ==
	        0);
	return ret;
}

static void
expect(struct told *t, enum repo_finding kind, const char *path)
{
	ck_assert_msg(t->counts[kind] == 1,
	    "%s: kind %d: %d damaged (%s: %s), "
	    "%d missing, %d unknown (%s), %d unreferenced",
	    path, (int)kind, (int)t->counts[0], t->paths[0], t->reasons[0],
	    (int)t->counts[1], (int)t->counts[2], t->paths[2],
	    (int)t->counts[3]);
	ck_assert_str_eq(t->paths[kind], path);
}

/* All files below v1, as paths. */
struct paths {
	char path[64][REPO_PATH_BYTES];
	size_t count;
};

/* Files directly in one folder. */
static void
list_folder(const char *folder, struct paths *out)
{
	struct fsat_names names = { NULL, 0 };
	struct err e = ERR_INIT;
	struct fsat_stat st;
	char path[300];
	int fd = -1;

	OK(fsat_open_dir(s.dir.fd, folder, &fd, &e));
	OK(fsat_list(fd, &names, &e));
	for (size_t i = 0; i < names.count; i++) {
		(void)snprintf(
		    path, sizeof(path), "%s/%s", folder, names.names[i]);
		OK(fsat_stat(s.dir.fd, path, &st, &e));
		if (S_ISDIR(st.mode))
			continue;
		ck_assert_uint_lt(out->count, 64);
		(void)snprintf(
		    out->path[out->count++], REPO_PATH_BYTES, "%.120s", path);
	}
	fsat_names_release(&names);
	close(fd);
}

static void
list(struct paths *out)
{
	static const char *const folders[] = { "v1", "v1/root", "v1/channel",
		"v1/release", "v1/manifest", "v1/data" };
	struct err e = ERR_INIT;
	char path[20];
	bool has = false;

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		list_folder(folders[i], out);
	for (unsigned i = 0; i < 256; i++) {
		(void)snprintf(path, sizeof(path), "v1/object/%02x", i);
		OK(repo_has(s.repo, path, &has, &e));
		if (has)
			list_folder(path, out);
	}
}

static void
slurp(const char *path, struct buf *out)
{
	struct err e = ERR_INIT;

	buf_init(out, 1U << 20);
	OK(fsat_read_file(s.dir.fd, path, 1U << 20, out, &e));
}

/* As a disk or an administrator would, past all of our functions. */
static void
overwrite(const char *path, const void *data, size_t len)
{
	struct err e = ERR_INIT;
	int fd = -1;

	OK(fsat_open_write(s.dir.fd, path, 0644, &fd, &e));
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	if (len > 0)
		OK(fsat_write_all(fd, data, len, &e));
	close(fd);
}

START_TEST(a_good_repository_is_found_good)
{
	struct told t = { .threads = (unsigned)_i };
	struct digest anchor;
	struct buf root;
	struct paths all = { .count = 0 };

	slurp("v1/root/1", &root);
	digest_of(root.data, root.len, &anchor);
	t.anchor = _i == 1 ? &anchor : NULL;
	ck_assert_int_eq(verify(&t), 0);
	ck_assert_uint_eq(t.counts[REPO_UNREFERENCED], 0);
	list(&all);
	/* root, roster, head, 2 releases, 2 manifests, 2 data, 4 objects */
	ck_assert_uint_eq(all.count, 13);
	ck_assert_uint_eq(t.progress, all.count);
	buf_release(&root);
}
END_TEST

/* Positions in a file: all of small ones, a choice of large ones. */
static size_t
stride(size_t len)
{
	return len < 40 ? 1 : len / 40;
}

START_TEST(a_flipped_bit_in_any_file_is_found_and_the_file_named)
{
	struct told t = { .threads = 1 };
	struct paths all = { .count = 0 };
	struct err e = ERR_INIT;

	OK(repo_sync(s.repo, &e));
	list(&all);
	for (size_t i = (size_t)_i; i < all.count; i += 4) {
		struct buf b;

		slurp(all.path[i], &b);
		for (size_t at = 0; at < b.len; at += stride(b.len)) {
			uint8_t bit = (uint8_t)(1U << at % 8);

			b.data[at] ^= bit;
			overwrite(all.path[i], b.data, b.len);
			ck_assert_msg(verify(&t) == ERR_VERIFY,
			    "%s byte %zu of %zu bit %d", all.path[i], at, b.len,
			    bit);
			ck_assert_str_eq(t.paths[REPO_DAMAGED], all.path[i]);
			b.data[at] ^= bit;
		}
		overwrite(all.path[i], b.data, b.len);
		ck_assert_int_eq(verify(&t), 0);
		buf_release(&b);
	}
}
END_TEST

/* One in a thousand bits of a compressed file does not matter to what it
 * holds; whoever lacks cache/sums does not hear of it. */
START_TEST(without_sums_all_that_matters_is_still_found)
{
	struct told t = { .threads = 1 };
	struct paths all = { .count = 0 };
	struct err e = ERR_INIT;
	size_t tried = 0, passed = 0;

	OK(fsat_unlink(s.dir.fd, "cache/sums", &e));
	list(&all);
	for (size_t i = 0; i < all.count; i++) {
		struct buf b;

		slurp(all.path[i], &b);
		for (size_t at = 0; at < b.len; at += stride(b.len) * 2) {
			b.data[at] ^= (uint8_t)(1U << at % 8);
			overwrite(all.path[i], b.data, b.len);
			tried++;
			passed += verify(&t) == 0;
			b.data[at] ^= (uint8_t)(1U << at % 8);
		}
		overwrite(all.path[i], b.data, b.len);
		buf_release(&b);
	}
	ck_assert_uint_gt(tried, 200);
	ck_assert_uint_le(passed, tried / 20);
}
END_TEST

START_TEST(a_cut_or_emptied_file_is_found_and_named)
{
	struct told t = { .threads = 2 };
	struct paths all = { .count = 0 };

	list(&all);
	for (size_t i = 0; i < all.count; i++) {
		struct buf b;

		slurp(all.path[i], &b);
		overwrite(all.path[i], b.data, _i == 0 ? 0 : b.len - 1);
		ck_assert_int_eq(verify(&t), ERR_VERIFY);
		ck_assert_str_eq(t.paths[REPO_DAMAGED], all.path[i]);
		overwrite(all.path[i], b.data, b.len);
		buf_release(&b);
	}
	ck_assert_int_eq(verify(&t), 0);
}
END_TEST

/* Which files a repository may be without. */
static bool
is_dispensable(const char *path)
{
	char old[4][REPO_PATH_BYTES];

	/* Only the first release has them: history may be thinned out. */
	repo_path_release(old[0], &s.release[0]);
	repo_path_manifest(old[1], &s.manifest[0]);
	repo_path_data(old[2], &s.data[0]);
	repo_path_object(old[3], &s.objects[0][0]);
	for (size_t i = 0; i < 4; i++)
		if (strcmp(path, old[i]) == 0)
			return true;
	return strncmp(path, "v1/channel/", 11) == 0;
}

START_TEST(a_missing_file_of_the_newest_release_is_found)
{
	struct told t = { .threads = 2 };
	struct paths all = { .count = 0 };
	struct err e = ERR_INIT;

	list(&all);
	for (size_t i = 0; i < all.count; i++) {
		struct buf b;
		int ret;

		slurp(all.path[i], &b);
		OK(fsat_unlink(s.dir.fd, all.path[i], &e));
		ret = verify(&t);
		if (is_dispensable(all.path[i])) {
			ck_assert_msg(ret == 0, "%s", all.path[i]);
		} else {
			ck_assert_msg(ret == ERR_VERIFY, "%s", all.path[i]);
			ck_assert_uint_eq(t.counts[REPO_MISSING], 1);
			if (strcmp(all.path[i], "v1/roster") != 0)
				ck_assert_str_eq(
				    t.paths[REPO_MISSING], all.path[i]);
		}
		overwrite(all.path[i], b.data, b.len);
		buf_release(&b);
	}
	ck_assert_int_eq(verify(&t), 0);
}
END_TEST

#define D1 "0101010101010101010101010101010101010101010101010101010101010101"

static const char *const strangers[] = {
	"v1/README",
	"v1/root/2x",
	"v1/root/0",
	"v1/root/01",
	"v1/root/3",
	"v1/channel/.hidden",
	"v1/release/x",
	"v1/release/.nfs0001",
	("v1/manifest/" D1 ".gz"),
	("v1/data/" D1 "~"),
	"v1/object/xx",
	"v1/object/README",
	("v1/object/" D1),
};

START_TEST(an_unknown_file_is_found)
{
	struct told t = { .threads = 1 };

	overwrite(strangers[_i], "x", 1);
	ck_assert_int_eq(verify(&t), ERR_VERIFY);
	expect(&t, REPO_UNKNOWN, strangers[_i]);
	ck_assert_uint_eq(t.counts[REPO_DAMAGED], 0);
}
END_TEST

START_TEST(what_is_no_plain_file_is_found)
{
	struct told t = { .threads = 1 };
	char path[REPO_PATH_BYTES], other[REPO_PATH_BYTES];
	struct digest stray;
	struct err e = ERR_INIT;

	repo_path_object(path, &s.objects[0][0]);
	OK(fsat_unlink(s.dir.fd, path, &e));
	OK(fsat_symlink("/etc/passwd", s.dir.fd, path, &e));
	ck_assert_int_eq(verify(&t), ERR_VERIFY);
	expect(&t, REPO_UNKNOWN, path);
	OK(fsat_unlink(s.dir.fd, path, &e));
	OK(fsat_mkdir(s.dir.fd, path, 0755, &e));
	ck_assert_int_eq(verify(&t), ERR_VERIFY);
	expect(&t, REPO_UNKNOWN, path);
	OK(fsat_rmdir(s.dir.fd, path, &e));
	/* An object in the folder of another. */
	stray = s.objects[0][0];
	stray.b[0] ^= 1;
	repo_path_object(other, &stray);
	memcpy(other + 10, path + 10, 2);
	other[11] = other[11] == '0' ? '1' : '0';
	other[12] = '\0';
	OK(fsat_mkdir_all(s.dir.fd, other, 0755, &e));
	memcpy(other + 12, path + 12, sizeof(other) - 12);
	overwrite(other, "x", 1);
	ck_assert_int_eq(verify(&t), ERR_VERIFY);
	expect(&t, REPO_UNKNOWN, other);
}
END_TEST

START_TEST(another_anchor_is_damage_of_the_first_root)
{
	struct digest anchor;
	struct told t = { .anchor = &anchor };

	sample_digest(9, &anchor);
	ck_assert_int_eq(verify(&t), ERR_VERIFY);
	ck_assert_str_eq(t.paths[REPO_DAMAGED], "v1/root/1");
}
END_TEST

START_TEST(what_no_release_names_is_noted_and_no_error)
{
	struct told t = { .threads = 2 };
	struct err e = ERR_INIT;

	/* All that only the first release needs, and that release. */
	char path[REPO_PATH_BYTES];
	struct buf b;
	struct release r;
	size_t before;

	repo_path_release(path, &s.release[1]);
	slurp(path, &b);
	OK(release_read(&s.root, &s.head, b.data, b.len, &r, &e));
	buf_release(&b);
	r.serial = 1;
	r.has_previous = false;
	sample_repo_publish(&s, &r);
	release_release(&r);
	ck_assert_int_eq(verify(&t), 0);
	/* 2 releases, manifest, data and object */
	ck_assert_uint_eq(t.counts[REPO_UNREFERENCED], 5);
	before = t.counts[REPO_UNREFERENCED];
	/* They are still held to their names. */
	repo_path_release(path, &s.release[0]);
	slurp(path, &b);
	b.data[3] ^= 1;
	overwrite(path, b.data, b.len);
	ck_assert_int_eq(verify(&t), ERR_VERIFY);
	ck_assert_str_eq(t.paths[REPO_DAMAGED], path);
	ck_assert_uint_eq(t.counts[REPO_UNREFERENCED], before - 1);
	buf_release(&b);
}
END_TEST

static void
change_size(struct release_transcript *t)
{
	t->manifest_bytes++;
}

static void
change_entries(struct release_transcript *t)
{
	t->entries--;
}

static void
change_content(struct release_transcript *t)
{
	t->content_bytes++;
}

static void
change_data(struct release_transcript *t)
{
	t->data_bytes++;
}

static const struct {
	void (*change)(struct release_transcript *);
	bool data;
} lies[] = {
	{ change_size, false },
	{ change_entries, false },
	{ change_content, false },
	{ change_data, true },
};

START_TEST(a_release_that_gives_other_sizes_is_found_out)
{
	struct told t = { .threads = 2 };
	char path[REPO_PATH_BYTES];
	struct err e = ERR_INIT;
	struct release r;
	struct buf b;

	repo_path_release(path, &s.release[1]);
	slurp(path, &b);
	OK(release_read(&s.root, &s.head, b.data, b.len, &r, &e));
	buf_release(&b);
	lies[_i].change(&r.transcripts[0]);
	sample_repo_publish(&s, &r);
	release_release(&r);
	if (lies[_i].data)
		repo_path_data(path, &s.data[1]);
	else
		repo_path_manifest(path, &s.manifest[1]);
	ck_assert_int_eq(verify(&t), ERR_VERIFY);
	expect(&t, REPO_DAMAGED, path);
	ck_assert_ptr_nonnull(
	    strstr(t.reasons[REPO_DAMAGED], "a release says"));
}
END_TEST

START_TEST(a_head_that_names_what_is_not_here_is_found)
{
	struct told t = { .threads = 2 };
	struct err e = ERR_INIT;
	struct buf text;

	if (_i == 0)
		s.head.root_version = 2;
	else
		s.head.roster_version = 2;
	sample_head_text(&text, &s.head);
	OK(repo_switch_head(s.repo, SAMPLE_CHANNEL, text.data, text.len, &e));
	ck_assert_int_eq(verify(&t), ERR_VERIFY);
	expect(&t, REPO_MISSING, "v1/channel/" SAMPLE_CHANNEL);
	buf_release(&text);
}
END_TEST

/* Whatever is written after part of a record: nothing right is called wrong. */
START_TEST(part_of_a_sum_hides_none_behind_it)
{
	static const uint8_t part[] = "a part";
	struct told t = { .threads = 1 };
	struct err e = ERR_INIT;
	struct repo *again = NULL;
	struct buf text, sums;

	OK(repo_sync(s.repo, &e));
	slurp("cache/sums", &sums);
	buf_add(&sums, part, sizeof(part));
	overwrite("cache/sums", sums.data, sums.len);
	buf_release(&sums);
	s.head.expires++;
	sample_head_text(&text, &s.head);
	OK(repo_open(s.dir.path, &again, &e));
	OK(repo_switch_head(again, SAMPLE_CHANNEL, text.data, text.len, &e));
	repo_close(again);
	ck_assert_int_eq(verify(&t), 0);
	buf_release(&text);
}
END_TEST

/* The second root takes the release key away: old releases stay good. */
START_TEST(releases_of_a_withdrawn_key_stay_good)
{
	struct told t = { .threads = 2 };
	struct err e = ERR_INIT;
	struct key_public spare;
	char id[KEY_ID_HEX], path[REPO_PATH_BYTES];
	struct root next = s.root;
	struct buf text;

	next.version = 2;
	sample_public(SAMPLE_SPARE, &spare);
	sample_id(SAMPLE_RELEASE, id);
	OK(root_add_key(&next, ROOT_ROLE_RELEASE, &spare, &e));
	OK(root_remove_key(&next, ROOT_ROLE_RELEASE, id, &e));
	sample_root_text(&text, &next);
	repo_path_root(path, 2);
	OK(repo_put_statement(s.repo, path, text.data, text.len, &e));
	buf_release(&text);
	ck_assert_int_eq(verify(&t), 0);
}
END_TEST

START_TEST(an_empty_repository_has_no_root)
{
	struct told t = { .threads = 1 };
	struct err e = ERR_INIT;

	OK(fsat_remove_tree(s.dir.fd, "v1", &e));
	OK(repo_create(s.dir.path, &e));
	repo_close(s.repo);
	OK(repo_open(s.dir.path, &s.repo, &e));
	ck_assert_int_eq(verify(&t), ERR_VERIFY);
	expect(&t, REPO_MISSING, "v1/root/1");
}
END_TEST

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

int
main(void)
{
	Suite *suite = suite_create("repo_verify");
	TCase *t = tcase_create("repo_verify");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, a_good_repository_is_found_good, 0, 3);
	tcase_add_loop_test(
	    t, a_flipped_bit_in_any_file_is_found_and_the_file_named, 0, 4);
	tcase_add_test(t, without_sums_all_that_matters_is_still_found);
	tcase_add_test(t, part_of_a_sum_hides_none_behind_it);
	tcase_add_loop_test(t, a_cut_or_emptied_file_is_found_and_named, 0, 2);
	tcase_add_test(t, a_missing_file_of_the_newest_release_is_found);
	tcase_add_loop_test(t, an_unknown_file_is_found, 0, COUNT(strangers));
	tcase_add_test(t, what_is_no_plain_file_is_found);
	tcase_add_test(t, another_anchor_is_damage_of_the_first_root);
	tcase_add_test(t, what_no_release_names_is_noted_and_no_error);
	tcase_add_loop_test(
	    t, a_release_that_gives_other_sizes_is_found_out, 0, COUNT(lies));
	tcase_add_loop_test(
	    t, a_head_that_names_what_is_not_here_is_found, 0, 2);
	tcase_add_test(t, releases_of_a_withdrawn_key_stay_good);
	tcase_add_test(t, an_empty_repository_has_no_root);
	suite_add_tcase(suite, t);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
