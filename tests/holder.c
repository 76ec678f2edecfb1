#include "tests/holder.h"

#include <check.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/fsat.h"
#include "common/gzip.h"
#include "tests/delta_apply.h"
#include "transcripts/object.h"
#include "transcripts/repo.h"

static struct err e;

#define OK(call) ck_assert_msg((call) == 0, "%s", e.msg)

static int
memory_file(void)
{
	int fd = memfd_create("check", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

/* An object_sink and delta_sink. */
static int
write_fd(void *arg, const void *data, size_t len, struct err *err)
{
	const int *fd = arg;

	return fsat_write_all(*fd, data, len, err);
}

static int
manifest_text(const struct holder *h, const struct digest *d)
{
	struct gzip_reader *gz = NULL;
	char path[REPO_PATH_BYTES];
	uint8_t piece[4096];
	int packed = -1, fd = memory_file();
	size_t got = 1;

	repo_path_manifest(path, d);
	OK(repo_open_file(h->repo, path, &packed, NULL, &e));
	OK(gzip_reader_new(packed, 1 << 24, &gz, &e));
	while (got > 0) {
		OK(gzip_reader_read(gz, piece, sizeof(piece), &got, &e));
		OK(fsat_write_all(fd, piece, got, &e));
	}
	gzip_reader_free(gz);
	close(packed);
	return fd;
}

static int
object_content(struct holder *h, const struct digest *d)
{
	int fd = memory_file();

	OK(object_read(h->objects, d, 1 << 24, write_fd, &fd, &e));
	return fd;
}

static void
assert_digest(int fd, const struct digest *want)
{
	struct digest d;

	ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
	OK(digest_of_fd(fd, 1 << 24, &d, NULL, &e));
	ck_assert(digest_equal(&d, want));
	close(fd);
}

static void
take_delta(struct holder *h, const struct data_member *m, int basis)
{
	int fd = memory_file();
	struct delta_apply patch = { .basis_fd = basis,
		.source = data_reader_read,
		.source_arg = h->data,
		.sink = write_fd,
		.sink_arg = &fd,
		.max_bytes = 1 << 24 };

	OK(delta_apply(&patch, &e));
	assert_digest(fd, &m->digest);
	close(basis);
}

static void
take_content(struct holder *h, const struct data_member *m)
{
	uint8_t piece[4096];
	int fd = memory_file();
	size_t got = 1;

	while (got > 0) {
		OK(data_reader_read(h->data, piece, sizeof(piece), &got, &e));
		OK(fsat_write_all(fd, piece, got, &e));
	}
	assert_digest(fd, &m->digest);
}

void
holder_unpack(struct holder *h, struct repo *r, const struct digest *data)
{
	struct data_member m;
	char path[REPO_PATH_BYTES];
	uint64_t size = 0;
	bool more = true;
	int fd = -1;

	memset(h, 0, sizeof(*h));
	h->repo = r;
	repo_path_data(path, data);
	OK(repo_open_file(h->repo, path, &fd, &size, &e));
	OK(object_reader_new(h->repo, &h->objects, &e));
	OK(data_reader_open(fd, size, &h->data, &e));
	while (more) {
		OK(data_reader_next(h->data, &m, &more, &e));
		if (!more)
			break;
		h->members[m.kind]++;
		ck_assert_uint_lt(h->count, 16);
		h->got[h->count++] = m.digest;
		if (m.kind == DATA_MANIFEST_DELTA)
			take_delta(h, &m, manifest_text(h, &m.basis));
		else if (m.kind == DATA_DELTA)
			take_delta(h, &m, object_content(h, &m.basis));
		else
			take_content(h, &m);
	}
	data_reader_free(h->data);
	object_reader_free(h->objects);
	close(fd);
}

bool
holder_has(const struct holder *h, const struct digest *d)
{
	for (size_t i = 0; i < h->count; i++)
		if (digest_equal(&h->got[i], d))
			return true;
	return false;
}
