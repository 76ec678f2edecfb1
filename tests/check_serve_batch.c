/* Batches: many objects in one answer. */
#include "server/serve_batch.h"

#include <check.h>
#include <fcntl.h>
#include <unistd.h>

#include "common/gzip.h"
#include "common/limits.h"
#include "tests/site.h"

static void
fill_digest(uint8_t *dst, uint8_t first, uint32_t n)
{
	memset(dst, 0, DIGEST_BYTES);
	dst[0] = first;
	for (int i = 0; i < 4; i++)
		dst[28 + i] = (uint8_t)(n >> (24 - 8 * i));
}

static void
put_object(uint8_t first, uint32_t n, const void *data, size_t len)
{
	char hex[DIGEST_HEX], path[128];
	struct digest d;

	fill_digest(d.b, first, n);
	digest_hex(&d, hex);
	(void)snprintf(path, sizeof(path), "v1/object/%.2s/%s", hex, hex);
	site_put(path, data, len);
}

static void
post(struct peer *p, const struct buf *digests)
{
	char length[64];

	(void)snprintf(
	    length, sizeof(length), "Content-Length: %zu\r\n", digests->len);
	peer_ask(p, "POST /v1/objects HTTP/1.1", length);
	peer_send(p, digests->data, digests->len);
}

/* The next answer of a batch: its digest must be the one asked for. */
static uint64_t
next_frame(struct reader *in, const uint8_t *digest, const uint8_t **frame)
{
	const uint8_t *name;
	uint64_t len = 0;

	ck_assert_int_eq(reader_bytes(in, DIGEST_BYTES, &name), 0);
	ck_assert_int_eq(memcmp(name, digest, DIGEST_BYTES), 0);
	ck_assert_int_eq(reader_u64(in, &len), 0);
	if (len != SERVE_BATCH_MISSING)
		ck_assert_int_eq(reader_bytes(in, (size_t)len, frame), 0);
	return len;
}

START_TEST(sends_batches_in_the_order_asked_for)
{
	static uint8_t large[1 << 20];
	static const struct {
		uint32_t n;
		uint64_t len;
	} wants[] = { { 2, sizeof(large) }, { 9, SERVE_BATCH_MISSING },
		{ 1, 5 }, { 3, 0 }, { 1, 5 }, { 2, sizeof(large) },
		{ 8, SERVE_BATCH_MISSING } };
	struct buf digests;
	struct peer_reply r;
	struct reader in;
	struct peer p;

	for (size_t i = 0; i < sizeof(large); i++)
		large[i] = (uint8_t)(i * 2654435761u >> 11);
	put_object(0xab, 1, "small", 5);
	put_object(0xab, 2, large, sizeof(large));
	put_object(0xab, 3, "", 0);
	site_start_worker();
	buf_init(&digests, LIMIT_HTTP_BODY_BYTES);
	for (size_t i = 0; i < 7; i++) {
		fill_digest(buf_reserve(&digests, 32), 0xab, wants[i].n);
		buf_commit(&digests, 32);
	}
	peer_connect(&p, site_port);
	post(&p, &digests);
	peer_read(&p, false, &r);
	ck_assert(r.whole && r.chunked);
	ck_assert_uint_eq(r.status, 200);
	reader_init(&in, r.body.data, r.body.len);
	for (size_t i = 0; i < 7; i++) {
		const uint8_t *frame = NULL;

		ck_assert_uint_eq(
		    next_frame(&in, digests.data + 32 * i, &frame),
		    wants[i].len);
		if (wants[i].n == 2)
			ck_assert_int_eq(
			    memcmp(frame, large, sizeof(large)), 0);
	}
	ck_assert_uint_eq(reader_left(&in), 0);
	peer_reply_release(&r);
	buf_release(&digests);
	peer_close(&p);
	site_expect_text("/metrics", "\npecia_batch_objects_total 5\n");
	site_expect_text("/metrics", "\npecia_batch_missing_total 2\n");
}
END_TEST

START_TEST(sends_as_many_as_a_batch_may_hold)
{
	struct buf digests;
	struct peer_reply r;
	struct reader in;
	struct peer p;
	uint64_t found = 0;

	for (uint32_t n = 0; n < LIMIT_BATCH_OBJECTS; n += 16)
		put_object(0xab, n, &n, sizeof(n));
	site_start_worker();
	buf_init(&digests, LIMIT_HTTP_BODY_BYTES);
	for (uint32_t n = 0; n < LIMIT_BATCH_OBJECTS; n++) {
		fill_digest(buf_reserve(&digests, 32), 0xab, n);
		buf_commit(&digests, 32);
	}
	peer_connect(&p, site_port);
	post(&p, &digests);
	peer_read(&p, false, &r);
	ck_assert_uint_eq(r.status, 200);
	reader_init(&in, r.body.data, r.body.len);
	for (uint32_t n = 0; n < LIMIT_BATCH_OBJECTS; n++) {
		const uint8_t *frame = NULL;

		if (next_frame(&in, digests.data + (size_t)32 * n, &frame) !=
		    SERVE_BATCH_MISSING) {
			ck_assert_int_eq(memcmp(frame, &n, sizeof(n)), 0);
			found++;
		}
	}
	ck_assert_uint_eq(found, LIMIT_BATCH_OBJECTS / 16);
	ck_assert_uint_eq(reader_left(&in), 0);
	peer_reply_release(&r);
	buf_release(&digests);
	peer_close(&p);
}
END_TEST

START_TEST(refuses_batches_that_are_none)
{
	static const struct {
		size_t len;
		unsigned status;
	} rows[] = { { 0, 400 }, { 31, 400 }, { 33, 400 },
		{ LIMIT_HTTP_BODY_BYTES + 32, 413 } };
	static uint8_t zeroes[LIMIT_HTTP_BODY_BYTES + 32];

	site_start_worker();
	for (size_t i = 0; i < 4; i++) {
		struct buf digests;
		struct peer_reply r;
		struct peer p;

		buf_init(&digests, sizeof(zeroes));
		buf_add(&digests, zeroes, rows[i].len);
		peer_connect(&p, site_port);
		post(&p, &digests);
		peer_read(&p, false, &r);
		ck_assert_uint_eq(r.status, rows[i].status);
		peer_reply_release(&r);
		peer_close(&p);
		buf_release(&digests);
	}
	ck_assert_uint_eq(site_status_of("/v1/objects", ""), 405);
	ck_assert_uint_eq(peer_status(site_port, "POST /v1/roster HTTP/1.1",
	                      "Content-Length: 0\r\n"),
	    405);
}
END_TEST

START_TEST(breaks_a_batch_off_when_an_object_shrinks)
{
	const size_t size = (size_t)64 << 20;
	struct buf digests;
	struct peer_reply r;
	struct peer p;
	int fd;

	put_object(0xab, 1, "x", 1);
	fd = openat(site_repo.fd,
	    "v1/object/ab/ab00000000000000000000000000000000000000000000000"
	    "000000000000001",
	    O_WRONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	site_start_worker();
	buf_init(&digests, 64);
	fill_digest(buf_reserve(&digests, 32), 0xab, 1);
	buf_commit(&digests, 32);
	peer_connect(&p, site_port);
	post(&p, &digests);
	PEER_WAIT(peer_poll(&p) > 0);
	ck_assert_int_eq(ftruncate(fd, 1), 0);
	peer_read(&p, false, &r);
	ck_assert(!r.whole);
	peer_reply_release(&r);
	buf_release(&digests);
	peer_close(&p);
	close(fd);
}
END_TEST

/* ---- by number ---- */

#define FILES 300

static int
gather(void *arg, const void *data, size_t len, struct err *e)
{
	buf_add(arg, data, len);
	return buf_check(arg, "gzip", e);
}

/* Stores a manifest of so many files, with a directory between each two; that
 * with number n has the object 0xab, n.  `name` becomes its path. */
static void
put_manifest(uint32_t files, char name[128])
{
	const size_t max = 64 << 20;
	struct gzip_writer *g = NULL;
	struct err e = ERR_INIT;
	char hex[DIGEST_HEX];
	struct buf text, packed;
	struct digest d;

	buf_init(&text, max);
	buf_init(&packed, max);
	buf_add_str(&text,
	    "pecia manifest 1\n"
	    "d 0755 root root 1.000000000 .\n");
	for (uint32_t n = 0; n < files; n++) {
		fill_digest(d.b, 0xab, n);
		digest_hex(&d, hex);
		buf_addf(&text,
		    "d 0755 root root 1.000000000 %06u-\n"
		    "f 0644 root root 1.000000000 4 %s %06u.\n",
		    n, hex, n);
	}
	digest_of(text.data, text.len, &d);
	digest_hex(&d, hex);
	(void)snprintf(name, 128, "v1/manifest/%s", hex);
	ck_assert_int_eq(gzip_writer_new(gather, &packed, &g, &e), 0);
	ck_assert_int_eq(gzip_writer_feed(g, text.data, text.len, &e), 0);
	ck_assert_int_eq(gzip_writer_end(g, &e), 0);
	gzip_writer_free(g);
	site_put(name, packed.data, packed.len);
	buf_release(&text);
	buf_release(&packed);
}

/* Asks for the ranges; the status. */
static unsigned
select_files(const char *manifest, const uint64_t *ranges, size_t count,
    struct peer_reply *r)
{
	char line[160], length[64];
	struct buf body;
	struct peer p;

	buf_init(&body, LIMIT_HTTP_BODY_BYTES);
	for (size_t i = 0; i < count; i++)
		buf_add_varint(&body, ranges[i]);
	(void)snprintf(line, sizeof(line), "POST /v1/objects/%s HTTP/1.1",
	    manifest + strlen("v1/manifest/"));
	(void)snprintf(
	    length, sizeof(length), "Content-Length: %zu\r\n", body.len);
	peer_connect(&p, site_port);
	peer_ask(&p, line, length);
	peer_send(&p, body.data, body.len);
	peer_read(&p, false, r);
	peer_close(&p);
	buf_release(&body);
	return r->status;
}

static unsigned
select_status(const char *manifest, const uint64_t *ranges, size_t count)
{
	struct peer_reply r;
	unsigned status = select_files(manifest, ranges, count, &r);

	peer_reply_release(&r);
	return status;
}

START_TEST(sends_the_objects_of_files_by_their_numbers)
{
	static const uint64_t ranges[] = { 2, 3, 200, 2, 0, 1, 91, 1 };
	static const uint32_t numbers[] = { 2, 3, 4, 205, 206, 207, 299 };
	char manifest[128];
	struct peer_reply r;
	struct reader in;

	for (uint32_t n = 0; n < FILES; n++)
		if (n != 3 && n != 299)
			put_object(0xab, n, &n, sizeof(n));
	put_manifest(FILES, manifest);
	site_start_worker();
	for (int again = 0; again < 2; again++) {
		ck_assert_uint_eq(select_files(manifest, ranges, 8, &r), 200);
		ck_assert(r.whole);
		reader_init(&in, r.body.data, r.body.len);
		for (size_t i = 0; i < 7; i++) {
			const uint8_t *frame = NULL;
			uint64_t len = 9;
			bool here = numbers[i] != 3 && numbers[i] != 299;

			ck_assert_int_eq(reader_varint(&in, &len), 0);
			ck_assert_uint_eq(len, here ? 5 : 0);
			if (!here)
				continue;
			ck_assert_int_eq(reader_bytes(&in, 4, &frame), 0);
			ck_assert_mem_eq(frame, &numbers[i], 4);
		}
		ck_assert_uint_eq(reader_left(&in), 0);
		peer_reply_release(&r);
	}
	site_expect_text("/metrics", "\npecia_batch_objects_total 10\n");
	site_expect_text("/metrics", "\npecia_batch_missing_total 4\n");
}
END_TEST

START_TEST(refuses_numbers_that_are_none)
{
	static const struct {
		uint64_t ranges[4];
		size_t count;
		unsigned status;
	} rows[] = {
		{ { 0 }, 0, 400 },
		{ { 0 }, 1, 400 },
		{ { 0, 0 }, 2, 400 },
		{ { 0, 1, 5 }, 3, 400 },
		{ { 0, LIMIT_BATCH_OBJECTS + 1 }, 2, 400 },
		{ { 0, LIMIT_BATCH_OBJECTS, 0, 1 }, 4, 400 },
		{ { LIMIT_SELECT_FILES, 1 }, 2, 400 },
		{ { UINT64_MAX, 2 }, 2, 400 },
		{ { 0, UINT64_MAX, 1, 1 }, 4, 400 },
		{ { FILES, 1 }, 2, 404 },
		{ { FILES - 1, 2 }, 2, 404 },
		{ { FILES - 1, 1 }, 2, 200 },
	};
	static const uint64_t first[] = { 0, 1 };
	char manifest[128];

	put_manifest(FILES, manifest);
	site_start_worker();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ck_assert_msg(select_status(manifest, rows[i].ranges,
		                  rows[i].count) == rows[i].status,
		    "row %zu", i);
	ck_assert_uint_eq(
	    select_status("v1/manifest/" SITE_NAME, first, 2), 404);
	ck_assert_uint_eq(
	    select_status("v1/manifest/" SITE_RELEASE, first, 2), 404);
	ck_assert_uint_eq(site_status_of("/v1/objects/" SITE_NAME, ""), 405);
}
END_TEST

/* A manifest is read when it is asked for first, so that others in its place
 * show which are kept. */
START_TEST(keeps_the_numbers_of_a_few_manifests)
{
	static const uint64_t first[] = { 0, 1 };
	char names[LIMIT_SELECT_MANIFESTS + 1][128];

	for (uint32_t i = 0; i <= LIMIT_SELECT_MANIFESTS; i++)
		put_manifest(1 + i, names[i]);
	site_start_worker();
	for (size_t i = 0; i <= LIMIT_SELECT_MANIFESTS; i++)
		PEER_WAIT(select_status(names[i], first, 2) == 200);
	for (size_t i = 0; i <= LIMIT_SELECT_MANIFESTS; i++)
		site_put_str(names[i], "no gzip");
	for (size_t i = 1; i <= LIMIT_SELECT_MANIFESTS; i++)
		ck_assert_uint_eq(select_status(names[i], first, 2), 200);
	ck_assert_uint_eq(select_status(names[0], first, 2), 404);
}
END_TEST

START_TEST(numbers_no_manifest_that_is_too_long_or_another)
{
	static const uint64_t first[] = { 0, 1 };
	char manifest[128], other[128];

	put_manifest(LIMIT_SELECT_FILES + 1, manifest);
	put_manifest(2, other);
	ck_assert_int_eq(renameat(site_repo.fd, other, site_repo.fd,
	                     "v1/manifest/" SITE_RELEASE),
	    0);
	site_start_worker();
	ck_assert_uint_eq(
	    select_status("v1/manifest/" SITE_RELEASE, first, 2), 404);
	/* Another, which has not just read one. */
	site_stop_worker();
	site_start_worker();
	ck_assert_uint_eq(select_status(manifest, first, 2), 404);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("serve_batch");
	TCase *tc = tcase_create("batch");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, site_set_up, site_tear_down);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, sends_batches_in_the_order_asked_for);
	tcase_add_test(tc, sends_as_many_as_a_batch_may_hold);
	tcase_add_test(tc, refuses_batches_that_are_none);
	tcase_add_test(tc, breaks_a_batch_off_when_an_object_shrinks);
	tcase_add_test(tc, sends_the_objects_of_files_by_their_numbers);
	tcase_add_test(tc, refuses_numbers_that_are_none);
	tcase_add_test(tc, keeps_the_numbers_of_a_few_manifests);
	tcase_add_test(tc, numbers_no_manifest_that_is_too_long_or_another);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
