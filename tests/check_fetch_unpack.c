/* Unpacking data transcripts, good members and bad ones, in a real fetcher.
 * run: also as nobody */
#include <check.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fetch_taken.h"
#include "transcripts/data.h"
#include "transcripts/delta.h"

#define OK(v, call) ck_assert_msg((call) == 0, "%s: %s", #call, (v)->e.msg)

struct archive {
	int fd;
	uint64_t size_bytes;
	struct data_writer *writer;
};

static int
read_buf(void *arg, void *dst, size_t size, size_t *got, struct err *e)
{
	struct reader *r = arg;
	size_t n = reader_left(r) < size ? reader_left(r) : size;

	(void)e;
	*got = n;
	return reader_copy(r, dst, n);
}

static void
archive_begin(struct archive *a)
{
	struct data_options o = { .level = 1 };
	struct err e = ERR_INIT;

	a->fd = memfd_create("archive", MFD_CLOEXEC);
	o.fd = a->fd;
	ck_assert_int_eq(data_writer_new(&o, &a->writer, &e), 0);
}

/* A member that says it is wants[i], from wants[basis] if it is a delta. */
static void
archive_add(struct archive *a, enum data_kind kind, int i, int basis,
    const struct buf *bytes)
{
	struct data_member m = { .kind = kind,
		.digest = wants[i].digest,
		.basis = wants[basis].digest,
		.size_bytes = bytes->len };
	struct err e = ERR_INIT;
	struct reader r;

	reader_init(&r, bytes->data, bytes->len);
	ck_assert_msg(
	    data_writer_add(a->writer, &m, read_buf, &r, &e) == 0, "%s", e.msg);
}

static void
archive_end(struct archive *a)
{
	struct err e = ERR_INIT;
	struct digest d;

	ck_assert_int_eq(data_writer_end(a->writer, &d, &a->size_bytes, &e), 0);
	data_writer_free(a->writer);
	ck_assert_int_eq(lseek(a->fd, 0, SEEK_SET), 0);
}

static int
file_of(const struct buf *b)
{
	int fd = memfd_create("content", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	if (b->len > 0)
		ck_assert_int_eq(write(fd, b->data, b->len), (ssize_t)b->len);
	return fd;
}

static void
make_delta(int from, int to, struct buf *out)
{
	struct delta_pair pair = { .basis_fd = file_of(&contents[from]),
		.new_fd = file_of(&contents[to]),
		.basis_bytes = contents[from].len,
		.max_bytes = 2 << 20 };
	struct err e = ERR_INIT;

	buf_init(out, 4 << 20);
	ck_assert_msg(
	    delta_make(&pair, contents_gather, out, &e) == 0, "%s", e.msg);
	close(pair.basis_fd);
	close(pair.new_fd);
}

struct unpacking {
	struct taken t;
	int basis[CONTENTS]; /* descriptors to be given, or -1 */
	unsigned skip;       /* bits of wants not taken */
	int fail_offer;      /* the offer that fails, from 1; 0: none */
	int offers;
	bool texts_only;
};

static int
offer(void *arg, const struct fetch_member *m, bool *take, uint64_t *size_bytes,
    int *basis_fd, struct err *e)
{
	static const char letters[] = "MmOo"; /* by kind; small: deltas */
	struct unpacking *u = arg;
	size_t i = contents_index(&m->digest);

	if (++u->offers == u->fail_offer)
		return err_set(e, ERR_CONFLICT, "enough");
	buf_addf(&u->t.text, "%c", letters[m->kind]);
	*take = (u->skip & 1u << i) == 0;
	if (!*take)
		buf_addf(&u->t.text, "%zu. ", i);
	*size_bytes = wants[i].size_bytes;
	if (m->kind == FETCH_MEMBER_OBJECT_DELTA ||
	    m->kind == FETCH_MEMBER_MANIFEST_DELTA) {
		*basis_fd = u->basis[contents_index(&m->basis)];
	}
	buf_clear(&u->t.got);
	return 0;
}

static int
unpack_end(
    void *arg, const struct fetch_member *m, const char *bad, struct err *e)
{
	const struct fetch_want want = { .digest = m->digest };

	return taken_end(arg, &want, bad, e);
}

static int
unpack(struct unpacking *u, const struct archive *a)
{
	const struct fetch_unpacker unpacker = { .arg = u,
		.texts_only = u->texts_only,
		.offer = offer,
		.data = taken_data,
		.end = unpack_end };

	buf_clear(&u->t.text);
	u->offers = 0;
	ck_assert_int_eq(lseek(a->fd, 0, SEEK_SET), 0);
	return fetch_unpack(
	    visit.fetch, a->fd, a->size_bytes, &unpacker, &visit.e);
}

static void
unpacking_init(struct unpacking *u)
{
	memset(u, 0, sizeof(*u));
	taken_init(&u->t);
	for (int i = 0; i < CONTENTS; i++)
		u->basis[i] = file_of(&contents[i]);
}

static void
unpacking_release(struct unpacking *u)
{
	for (int i = 0; i < CONTENTS; i++)
		close(u->basis[i]);
	taken_release(&u->t);
}

START_TEST(unpacks_good_and_bad_members)
{
	struct buf large, small, garbage, edge;
	struct unpacking u;
	struct archive a;

	buf_init(&garbage, 100);
	buf_add_str(&garbage, "rs\x02\x36 this is no delta");
	make_delta(EDGE, LARGE, &large);
	make_delta(OTHER, SMALL, &small);
	make_delta(LARGE, EDGE, &edge);
	archive_begin(&a);
	/* A manifest; a good delta; one that is none; one whose result is
	 * something else; objects, good and wrong. */
	archive_add(&a, DATA_MANIFEST_DELTA, SMALL, OTHER, &small);
	archive_add(&a, DATA_DELTA, EDGE, LARGE, &edge);
	archive_add(&a, DATA_DELTA, LARGE, EDGE, &large);
	archive_add(&a, DATA_DELTA, OTHER, EDGE, &garbage);
	archive_add(&a, DATA_DELTA, OTHER, OTHER, &small);
	archive_add(&a, DATA_OBJECT, EMPTY, 0, &contents[EMPTY]);
	archive_add(&a, DATA_OBJECT, LARGE, 0, &contents[LARGE]);
	archive_add(&a, DATA_OBJECT, OTHER, 0, &contents[SMALL]);
	archive_add(&a, DATA_OBJECT, SMALL, 0, &contents[EDGE]);
	archive_end(&a);
	site_add_text(&site, "GET /v1/roster", "200 OK", "", "r");
	contents_start();
	unpacking_init(&u);
	OK(&visit, unpack(&u, &a));
	ck_assert_ptr_eq(
	    strstr(buf_str(&u.t.text), "m1 o2 o3 o4!"), buf_str(&u.t.text));
	ck_assert_ptr_nonnull(strstr(buf_str(&u.t.text),
	    "o4!wrong digest O0 O3 O4!wrong digest "
	    "O1!131040 bytes, not 5"));
	/* Some are passed over. */
	u.skip = 1u << LARGE | 1u << OTHER;
	OK(&visit, unpack(&u, &a));
	ck_assert_ptr_eq(
	    strstr(buf_str(&u.t.text), "m1 o2 o3. o4. o4. O0 O3. O4. O1!"),
	    buf_str(&u.t.text));
	/* Without a basis. */
	u.skip = ~(1u << EDGE);
	close(u.basis[LARGE]);
	u.basis[LARGE] = -1;
	OK(&visit, unpack(&u, &a));
	ck_assert_ptr_nonnull(strstr(buf_str(&u.t.text), "o2!no basis"));
	/* Objects are told of. */
	u.texts_only = true;
	u.skip = ~(1u << SMALL);
	OK(&visit, unpack(&u, &a));
	ck_assert_str_eq(
	    buf_str(&u.t.text), "m1 o2. o3. o4. o4. O0. O3. O4. O");
	unpacking_release(&u);
	buf_release(&large);
	buf_release(&small);
	buf_release(&edge);
	buf_release(&garbage);
	close(a.fd);
	contents_stop();
}
END_TEST

/* The basis is read where it is wanted. */
START_TEST(copies_from_the_basis)
{
	struct unpacking u;
	struct archive a;
	struct buf same;
	uint8_t byte;

	make_delta(LARGE, LARGE, &same);
	ck_assert_uint_lt(same.len, 100);
	archive_begin(&a);
	archive_add(&a, DATA_DELTA, LARGE, LARGE, &same);
	archive_add(&a, DATA_OBJECT, SMALL, 0, &contents[SMALL]);
	archive_end(&a);
	contents_start();
	unpacking_init(&u);
	OK(&visit, unpack(&u, &a));
	ck_assert_str_eq(buf_str(&u.t.text), "o3 O1 ");
	ck_assert_int_eq(pread(u.basis[LARGE], &byte, 1, 200000), 1);
	byte ^= 1;
	ck_assert_int_eq(pwrite(u.basis[LARGE], &byte, 1, 200000), 1);
	OK(&visit, unpack(&u, &a));
	ck_assert_str_eq(buf_str(&u.t.text), "o3!wrong digest O1 ");
	ck_assert_int_eq(
	    ftruncate(u.basis[LARGE], (off_t)contents[LARGE].len - 1), 0);
	OK(&visit, unpack(&u, &a));
	ck_assert_str_eq(
	    buf_str(&u.t.text), "o3!copies what is not in the basis O1 ");
	/* More than was signed. */
	wants[LARGE].size_bytes--;
	OK(&visit, unpack(&u, &a));
	ck_assert_str_eq(buf_str(&u.t.text), "o3!wrong size O1 ");
	wants[LARGE].size_bytes++;
	unpacking_release(&u);
	buf_release(&same);
	close(a.fd);
	contents_stop();
}
END_TEST

START_TEST(refuses_a_damaged_archive)
{
	struct fetch_answer answer;
	struct unpacking u;
	struct archive a;
	struct buf body;
	uint8_t byte;

	buf_init(&body, 100);
	archive_begin(&a);
	archive_add(&a, DATA_OBJECT, SMALL, 0, &contents[SMALL]);
	archive_add(&a, DATA_OBJECT, LARGE, 0, &contents[LARGE]);
	archive_end(&a);
	contents_start();
	unpacking_init(&u);
	OK(&visit, unpack(&u, &a));
	ck_assert_str_eq(buf_str(&u.t.text), "O1 O3 ");
	ck_assert_int_eq(
	    pread(a.fd, &byte, 1, (off_t)a.size_bytes - 200000), 1);
	byte ^= 0x10;
	ck_assert_int_eq(
	    pwrite(a.fd, &byte, 1, (off_t)a.size_bytes - 200000), 1);
	ck_assert_int_eq(unpack(&u, &a), ERR_FORMAT);
	ck_assert_ptr_nonnull(strstr(visit.e.msg, "data transcript: "));
	a.size_bytes -= 100000;
	ck_assert_int_eq(unpack(&u, &a), ERR_FORMAT);
	a.size_bytes = 10;
	ck_assert_int_eq(unpack(&u, &a), ERR_FORMAT);
	/* The conversation is in step after that. */
	ck_assert_int_eq(
	    fetch_visit_get(&visit, "/v1/roster", &body, &answer), 404);
	unpacking_release(&u);
	buf_release(&body);
	close(a.fd);
	contents_stop();
}
END_TEST

START_TEST(an_unpacker_s_error_ends_the_call)
{
	struct unpacking u;
	struct archive a;

	archive_begin(&a);
	archive_add(&a, DATA_OBJECT, SMALL, 0, &contents[SMALL]);
	archive_add(&a, DATA_OBJECT, LARGE, 0, &contents[LARGE]);
	archive_end(&a);
	site_open(&site);
	for (int at = 1; at <= 6; at++) {
		fetch_visit_start(&visit, &site, 1, true);
		unpacking_init(&u);
		if (at <= 2)
			u.fail_offer = at;
		else
			u.t.fail_at = at - 2;
		ck_assert_int_eq(unpack(&u, &a), ERR_CONFLICT);
		ck_assert_int_eq(unpack(&u, &a), ERR_NET);
		unpacking_release(&u);
		fetch_visit_stop(&visit);
	}
	close(a.fd);
	site_close(&site);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("fetch_unpack");
	TCase *t = tcase_create("fetch_unpack");
	SRunner *runner;
	int failed;

	(void)signal(SIGPIPE, SIG_IGN);
	tcase_add_checked_fixture(t, contents_set_up, contents_tear_down);
	tcase_add_test(t, unpacks_good_and_bad_members);
	tcase_add_test(t, copies_from_the_basis);
	tcase_add_test(t, refuses_a_damaged_archive);
	tcase_add_test(t, an_unpacker_s_error_ends_the_call);
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
