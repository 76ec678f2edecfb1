/* Objects: content of every size and by every way in comes back, what is
 * wrong never gets a name, and a file that changes is told. */
#include "transcripts/object.h"

#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/fsat.h"
#include "common/zst.h"
#include "tests/scratch.h"
#include "transcripts/object_stream.h"
#include "transcripts/repo.h"

#define OK(call) ck_assert_msg((call) == 0, "%s", e.msg)
#define MIB      ((size_t)1 << 20)

static struct scratch dir;
static struct repo *repo;
static struct object_writer *writer;
static struct object_reader *reader;

static void
setup(void)
{
	struct err e = ERR_INIT;

	scratch_make(&dir);
	OK(repo_create(dir.path, &e));
	OK(repo_open(dir.path, &repo, &e));
	OK(object_writer_new(repo, 1, &writer, &e));
	OK(object_reader_new(repo, &reader, &e));
}

static void
teardown(void)
{
	object_writer_free(writer);
	object_reader_free(reader);
	repo_close(repo);
	scratch_remove(&dir);
}

/* A sink. */
static int
collect(void *arg, const void *data, size_t len, struct err *e)
{
	struct buf *b = arg;

	(void)e;
	buf_add(b, data, len);
	return b->failed;
}

static void
fill(struct buf *b, size_t len)
{
	uint32_t x = (uint32_t)len + 1;

	buf_init(b, 64 * MIB);
	if (len == 0)
		return;
	ck_assert_ptr_nonnull(buf_reserve(b, len));
	for (size_t i = 0; i < len; i++) {
		x = x * 1664525 + 1013904223;
		b->data[i] = (uint8_t)(i % 4096 < 3000 ? 'a' : x >> 24);
	}
	buf_commit(b, len);
}

static int
file_of(const struct buf *b)
{
	struct err e = ERR_INIT;
	int fd = memfd_create("check", MFD_CLOEXEC);

	if (b->len > 0)
		OK(fsat_write_all(fd, b->data, b->len, &e));
	return fd;
}

/* Names in a folder, all levels of v1/object together with "object". */
static size_t
count_names(const char *path)
{
	struct fsat_names names = { NULL, 0 };
	struct err e = ERR_INIT;
	size_t count;
	int fd = -1;

	OK(fsat_open_dir(dir.fd, path, &fd, &e));
	OK(fsat_list(fd, &names, &e));
	count = names.count;
	fsat_names_release(&names);
	close(fd);
	return count;
}

static void
expect_content(const struct digest *d, const struct buf *content)
{
	struct err e = ERR_INIT;
	struct buf out;

	buf_init(&out, 64 * MIB);
	OK(object_read(reader, d, content->len, collect, &out, &e));
	ck_assert_uint_eq(out.len, content->len);
	if (out.len > 0)
		ck_assert_mem_eq(out.data, content->data, out.len);
	buf_release(&out);
}

static const size_t sizes[] = { 0, 1, 5000, OBJECT_WHOLE_BYTES,
	OBJECT_WHOLE_BYTES + 1, 4 * MIB, 4 * MIB + 1, 9 * MIB };
#define SIZES ((int)(sizeof(sizes) / sizeof(sizes[0])))

START_TEST(a_file_becomes_an_object_once)
{
	struct err e = ERR_INIT;
	struct object first, again;
	struct digest d;
	struct buf content;
	int fd;

	fill(&content, sizes[_i]);
	digest_of(content.data, content.len, &d);
	fd = file_of(&content);
	OK(object_put_file(writer, fd, "some/file", &first, &e));
	ck_assert(digest_equal(&first.digest, &d));
	ck_assert_uint_eq(first.size_bytes, content.len);
	ck_assert(first.stored);
	OK(object_put_file(writer, fd, "some/file", &again, &e));
	ck_assert(digest_equal(&again.digest, &d));
	ck_assert(!again.stored);
	OK(object_put_bytes(writer, content.data, content.len, &again, &e));
	ck_assert(!again.stored);
	expect_content(&d, &content);
	ck_assert_uint_eq(count_names("tmp"), 0);
	ck_assert_uint_eq(count_names("v1/object"), 1);
	close(fd);
	buf_release(&content);
}
END_TEST

/* Bytes that do not compress into a part of b. */
static void
randomise(struct buf *b, size_t from, size_t to)
{
	uint32_t x = (uint32_t)from + 1;

	for (size_t i = from; i < to; i++) {
		x = x * 1664525 + 1013904223;
		b->data[i] = (uint8_t)(x >> 24);
	}
}

static uint64_t
stored_bytes_of(const struct buf *content)
{
	struct err e = ERR_INIT;
	struct object o;
	int fd = file_of(content);

	OK(object_put_file(writer, fd, "file", &o, &e));
	close(fd);
	expect_content(&o.digest, content);
	return o.stored_bytes;
}

START_TEST(what_is_far_back_in_a_long_content_is_stored_once)
{
	const size_t third = 3 * MIB;
	struct buf content;
	uint64_t once, thrice;

	fill(&content, third);
	once = stored_bytes_of(&content);
	for (size_t i = 0; i < 2; i++) {
		ck_assert_ptr_nonnull(buf_reserve(&content, third));
		buf_add(&content, content.data, third);
	}
	thrice = stored_bytes_of(&content);
	ck_assert_uint_gt(once, third / 5);
	ck_assert_uint_lt(thrice, once / 10 * 11);
	buf_release(&content);
}
END_TEST

static const struct {
	size_t from, to;      /* random, of 4 MiB that compress to 27 % */
	unsigned least, most; /* percent that are stored */
} dense[] = {
	{ 0, 4 * MIB, 100, 101 },
	{ 0, 1 * MIB, 40, 50 },
	{ 1 * MIB, 3 * MIB, 60, 68 },
};

START_TEST(what_looks_dense_at_first_is_compressed_all_the_same)
{
	struct buf content;
	uint64_t stored;

	fill(&content, 4 * MIB);
	randomise(&content, dense[_i].from, dense[_i].to);
	stored = stored_bytes_of(&content);
	ck_assert_uint_ge(stored, 4 * MIB / 100 * dense[_i].least);
	ck_assert_uint_le(stored, 4 * MIB / 100 * dense[_i].most);
	buf_release(&content);
}
END_TEST

START_TEST(bytes_become_an_object)
{
	struct err e = ERR_INIT;
	struct object o;
	struct buf content;

	fill(&content, sizes[_i]);
	OK(object_put_bytes(writer, content.data, content.len, &o, &e));
	ck_assert(o.stored);
	expect_content(&o.digest, &content);
	ck_assert_uint_eq(count_names("tmp"), 0);
	buf_release(&content);
}
END_TEST

/* In pieces of `step`. */
static int
feed(enum object_form form, const struct digest *d, uint64_t size_bytes,
    const struct buf *b, size_t step, struct err *e)
{
	int ret = object_begin(writer, form, d, size_bytes, e);

	for (size_t at = 0; ret == 0 && at < b->len; at += step)
		ret = object_feed(writer, b->data + at,
		    step < b->len - at ? step : b->len - at, e);
	return ret == 0 ? object_end(writer, e) : ret;
}

static void
compress(const struct buf *content, struct buf *frame)
{
	struct zst_encoder *z = NULL;
	struct err e = ERR_INIT;

	buf_init(frame, zst_bound(content->len) + 100);
	OK(zst_encoder_new(19, &z, &e));
	OK(zst_encode(z, content->data, content->len, frame, &e));
	zst_encoder_free(z);
}

START_TEST(content_in_pieces_becomes_an_object)
{
	static const size_t steps[] = { 999, 100000, 100 * MIB };
	struct err e = ERR_INIT;
	struct digest d;
	struct buf content;

	fill(&content, sizes[_i]);
	digest_of(content.data, content.len, &d);
	for (size_t i = 0; i < 3; i++)
		OK(feed(
		    OBJECT_CONTENT, &d, content.len, &content, steps[i], &e));
	expect_content(&d, &content);
	ck_assert_uint_eq(count_names("tmp"), 0);
	buf_release(&content);
}
END_TEST

START_TEST(a_frame_is_stored_as_it_came)
{
	struct err e = ERR_INIT;
	struct digest d;
	struct buf content, frame, stored;
	int fd = -1, from;

	fill(&content, sizes[_i]);
	digest_of(content.data, content.len, &d);
	compress(&content, &frame);
	if (_i % 2 == 0) {
		OK(feed(OBJECT_FRAME, &d, content.len, &frame, 1000, &e));
	} else {
		from = file_of(&frame);
		ck_assert_int_eq(lseek(from, 0, SEEK_SET), 0);
		OK(object_put_frame(writer, from, &d, content.len, &e));
		close(from);
	}
	expect_content(&d, &content);
	OK(repo_open_object(repo, &d, &fd, NULL, &e));
	buf_init(&stored, 64 * MIB);
	OK(fsat_read_all(fd, 64 * MIB, &stored, &e));
	ck_assert_uint_eq(stored.len, frame.len);
	ck_assert_mem_eq(stored.data, frame.data, frame.len);
	close(fd);
	buf_release(&content);
	buf_release(&frame);
	buf_release(&stored);
}
END_TEST

/* What may be wrong with what arrives for an object. */
enum wrong {
	WRONG_DIGEST,
	WRONG_SIZE_LESS,
	WRONG_SIZE_MORE,
	WRONG_CUT,
	WRONG_TRAILING,
	WRONG_BIT,
	WRONGS,
};

static void
expect_refused(enum object_form form, size_t size, enum wrong wrong)
{
	struct err e = ERR_INIT;
	struct digest d;
	struct buf content, sent;
	uint64_t said = size;
	bool has = true;
	int ret;

	fill(&content, size);
	digest_of(content.data, content.len, &d);
	if (form == OBJECT_FRAME)
		compress(&content, &sent);
	else
		fill(&sent, size);
	sent.max = sent.len + 1;
	if (wrong == WRONG_DIGEST)
		d.b[31] ^= 1;
	if (wrong == WRONG_SIZE_LESS)
		said--;
	if (wrong == WRONG_SIZE_MORE)
		said++;
	if (wrong == WRONG_CUT)
		sent.len--;
	if (wrong == WRONG_TRAILING)
		buf_add_byte(&sent, 0);
	if (wrong == WRONG_BIT)
		sent.data[sent.len / 2] ^= 4;
	ret = feed(form, &d, said, &sent, 70000, &e);
	ck_assert_int_ne(ret, 0);
	ck_assert(ret == ERR_VERIFY || ret == ERR_FORMAT || ret == ERR_LIMIT);
	ck_assert_ptr_nonnull(strstr(e.msg, "object "));
	OK(repo_has_object(repo, &d, &has, &e));
	ck_assert(!has);
	ck_assert_uint_eq(count_names("tmp"), 0);
	buf_release(&content);
	buf_release(&sent);
}

START_TEST(what_is_wrong_gets_no_name)
{
	enum wrong wrong = (enum wrong)(_i % WRONGS);
	enum object_form form =
	    _i / WRONGS % 2 == 0 ? OBJECT_CONTENT : OBJECT_FRAME;

	expect_refused(form, _i < 2 * WRONGS ? 5000 : 9 * MIB, wrong);
}
END_TEST

START_TEST(a_writer_goes_on_after_a_failure)
{
	struct err e = ERR_INIT;
	struct object o;
	struct buf content;

	fill(&content, 9 * MIB);
	expect_refused(OBJECT_FRAME, 9 * MIB, WRONG_CUT);
	ck_assert_int_eq(object_feed(writer, "x", 1, &e), ERR_USAGE);
	ck_assert_int_eq(object_end(writer, &e), ERR_USAGE);
	OK(object_put_bytes(writer, content.data, content.len, &o, &e));
	expect_content(&o.digest, &content);
	OK(object_begin(writer, OBJECT_CONTENT, &o.digest, 9 * MIB, &e));
	OK(object_feed(writer, content.data, 8 * MIB, &e));
	object_cancel(writer);
	ck_assert_uint_eq(count_names("tmp"), 0);
	buf_release(&content);
}
END_TEST

START_TEST(only_regular_files_are_read)
{
	struct err e = ERR_INIT;
	struct object o;
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(
	    object_put_file(writer, fds[0], "a/pipe", &o, &e), ERR_UNSUPPORTED);
	ck_assert_str_eq(e.msg, "a/pipe: not a regular file");
	close(fds[0]);
	close(fds[1]);
}
END_TEST

struct scribbler {
	int fd;
	size_t at;
	atomic_bool stop;
};

/* Writes to a file for as long as it is read. */
static void *
scribble(void *arg)
{
	struct scribbler *s = arg;
	uint8_t c = 0;

	while (!atomic_load(&s->stop)) {
		c++;
		if (pwrite(s->fd, &c, 1, (off_t)s->at) != 1)
			break;
	}
	return NULL;
}

START_TEST(a_file_that_keeps_changing_is_named)
{
	struct scribbler s = { .at = 100 };
	struct err e = ERR_INIT;
	struct object o;
	struct buf content;
	pthread_t id;
	int ret = 0;

	fill(&content, _i == 0 ? 4 * MIB : 9 * MIB);
	/* Times of a memory file come from a clock that ticks too slowly:
	 * a real one with writes that go on during each attempt. */
	OK(fsat_create(dir.fd, "growing", 0600, &s.fd, &e));
	OK(fsat_write_all(s.fd, content.data, content.len, &e));
	s.at = content.len;
	ck_assert_int_eq(pthread_create(&id, NULL, scribble, &s), 0);
	while (lseek(s.fd, 0, SEEK_END) <= (off_t)content.len)
		;
	atomic_store(&s.stop, true);
	pthread_join(id, NULL);
	OK(object_put_file(writer, s.fd, "var/growing", &o, &e));
	atomic_store(&s.stop, false);
	ck_assert_int_eq(pthread_create(&id, NULL, scribble, &s), 0);
	/* On a busy machine the other thread may not get a turn meanwhile. */
	for (unsigned i = 0; i < 200 && ret == 0; i++)
		ret = object_put_file(writer, s.fd, "var/growing", &o, &e);
	ck_assert_int_eq(ret, ERR_CHANGED);
	atomic_store(&s.stop, true);
	pthread_join(id, NULL);
	ck_assert_ptr_nonnull(strstr(e.msg, "var/growing: "));
	ck_assert_uint_eq(count_names("tmp"), 0);
	close(s.fd);
	buf_release(&content);
}
END_TEST

START_TEST(reading_is_bounded_and_checked)
{
	struct err e = ERR_INIT;
	struct object o;
	struct digest other;
	struct buf content, out;
	int fd = -1;

	fill(&content, 5000);
	buf_init(&out, 64 * MIB);
	OK(object_put_bytes(writer, content.data, content.len, &o, &e));
	ck_assert_int_eq(
	    object_read(reader, &o.digest, 4999, collect, &out, &e), ERR_LIMIT);
	ck_assert_uint_le(out.len, 4999);
	other = o.digest;
	other.b[5] ^= 1;
	ck_assert_int_eq(object_read(reader, &other, 5000, collect, &out, &e),
	    ERR_NOT_FOUND);
	OK(repo_open_object(repo, &o.digest, &fd, NULL, &e));
	ck_assert_int_eq(
	    object_read_frame(reader,
	        &(struct object_frame){ fd, &other, 5000, NULL, NULL },
	        &(uint64_t){ 0 }, &e),
	    ERR_VERIFY);
	close(fd);
	buf_release(&content);
	buf_release(&out);
}
END_TEST

START_TEST(content_is_opened_as_a_file)
{
	struct err e = ERR_INIT;
	struct object o;
	struct buf content, out;
	uint64_t size = 0;
	int fd = -1;

	fill(&content, sizes[_i]);
	buf_init(&out, 64 * MIB);
	OK(object_put_bytes(writer, content.data, content.len, &o, &e));
	OK(object_size(reader, &o.digest, &size, &e));
	ck_assert_uint_eq(size, content.len);
	OK(object_open_content(reader, &o.digest, content.len, &fd, &e));
	OK(fsat_read_all(fd, 64 * MIB, &out, &e));
	ck_assert_uint_eq(out.len, content.len);
	if (out.len > 0)
		ck_assert_mem_eq(out.data, content.data, out.len);
	close(fd);
	ck_assert_uint_eq(count_names("tmp"), 0);
	ck_assert_int_eq(
	    object_open_content(reader, &o.digest, content.len + 1, &fd, &e),
	    ERR_VERIFY);
	buf_release(&content);
	buf_release(&out);
}
END_TEST

#define THREADS 4
#define EACH    200

static void *
put_many(void *arg)
{
	struct object_writer *w = NULL;
	struct err e = ERR_INIT;
	struct object o;
	intptr_t *stored = arg;

	if (object_writer_new(repo, 1, &w, &e) != 0)
		return NULL;
	for (uint32_t i = 0; i < EACH; i++) {
		if (object_put_bytes(w, &i, sizeof(i), &o, &e) != 0)
			break;
		*stored += o.stored;
	}
	object_writer_free(w);
	return NULL;
}

START_TEST(content_is_pulled_as_a_stream)
{
	struct object_stream *s = NULL;
	struct err e = ERR_INIT;
	struct object o;
	struct buf content, out;
	uint64_t frame_bytes = 0;
	size_t got = 1;

	fill(&content, sizes[_i]);
	OK(object_put_bytes(writer, content.data, content.len, &o, &e));
	OK(object_stream_new(repo, &s, &e));
	for (int twice = 0; twice < 2; twice++) {
		OK(object_stream_open(
		    s, &o.digest, content.len, &frame_bytes, &e));
		ck_assert_uint_eq(frame_bytes, o.stored_bytes);
		buf_init(&out, 64 * MIB);
		for (got = 1; got > 0; buf_commit(&out, got))
			OK(object_stream_read(
			    s, buf_reserve(&out, MIB), MIB, &got, &e));
		ck_assert_uint_eq(out.len, content.len);
		if (out.len > 0)
			ck_assert_mem_eq(out.data, content.data, out.len);
		buf_release(&out);
	}
	o.digest.b[5]++;
	ck_assert_int_eq(
	    object_stream_open(s, &o.digest, 1, NULL, &e), ERR_NOT_FOUND);
	object_stream_free(s);
	buf_release(&content);
}
END_TEST

/* What is known by its digest is not even looked for; what only seems to be
 * is stored. */
START_TEST(likely_content_is_hashed_first)
{
	struct err e = ERR_INIT;
	struct buf content;
	struct object_source source = { .size_bytes = sizes[_i] };
	struct digest d, other = { { 1 } };
	struct object o;

	fill(&content, sizes[_i]);
	digest_of(content.data, content.len, &d);
	source.fd = file_of(&content);
	source.likely = &d;
	OK(object_put_source(writer, &source, &o, &e));
	ck_assert(!o.stored);
	ck_assert(digest_equal(&o.digest, &d));
	ck_assert_uint_eq(count_names("v1/object"), 0);
	source.likely = &other;
	OK(object_put_source(writer, &source, &o, &e));
	ck_assert(o.stored);
	ck_assert(digest_equal(&o.digest, &d));
	expect_content(&d, &content);
	OK(object_put_source(writer, &source, &o, &e));
	ck_assert(!o.stored);
	source.size_bytes++;
	ck_assert_int_eq(
	    object_put_source(writer, &source, &o, &e), ERR_CHANGED);
	close(source.fd);
	buf_release(&content);
}
END_TEST

START_TEST(threads_may_write_the_same_objects)
{
	intptr_t stored[THREADS] = { 0 }, total = 0;
	struct err e = ERR_INIT;
	pthread_t ids[THREADS];

	for (size_t i = 0; i < THREADS; i++)
		ck_assert_int_eq(
		    pthread_create(&ids[i], NULL, put_many, &stored[i]), 0);
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(ids[i], NULL);
		total += stored[i];
	}
	ck_assert_int_ge(total, EACH);
	for (uint32_t i = 0; i < EACH; i++) {
		struct digest d;
		bool has = false;

		digest_of(&i, sizeof(i), &d);
		OK(repo_has_object(repo, &d, &has, &e));
		ck_assert(has);
	}
	ck_assert_uint_eq(count_names("tmp"), 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("object");
	TCase *t = tcase_create("object");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, a_file_becomes_an_object_once, 0, SIZES);
	tcase_add_test(t, what_is_far_back_in_a_long_content_is_stored_once);
	tcase_add_loop_test(
	    t, what_looks_dense_at_first_is_compressed_all_the_same, 0, 3);
	tcase_add_loop_test(t, bytes_become_an_object, 0, SIZES);
	tcase_add_loop_test(t, content_in_pieces_becomes_an_object, 0, SIZES);
	tcase_add_loop_test(t, a_frame_is_stored_as_it_came, 0, SIZES);
	tcase_add_loop_test(t, what_is_wrong_gets_no_name, 0, 4 * WRONGS);
	tcase_add_test(t, a_writer_goes_on_after_a_failure);
	tcase_add_test(t, only_regular_files_are_read);
	tcase_add_loop_test(t, a_file_that_keeps_changing_is_named, 0, 2);
	tcase_add_test(t, reading_is_bounded_and_checked);
	tcase_add_loop_test(t, content_is_opened_as_a_file, 0, SIZES);
	tcase_add_loop_test(t, content_is_pulled_as_a_stream, 0, SIZES);
	tcase_add_loop_test(t, likely_content_is_hashed_first, 0, SIZES);
	tcase_add_test(t, threads_may_write_the_same_objects);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
