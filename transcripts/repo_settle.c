/* Content that a crash left unfinished; runs in who is about to write. */
#include "transcripts/repo_settle.h"

#include <unistd.h>

#include "common/fsat.h"
#include "common/gzip.h"
#include "transcripts/object.h"
#include "transcripts/repo.h"

#define PIECE_BYTES 65536

struct settling {
	time_t since;
	struct object_reader *reader;
	struct digest_state *hash;
};

typedef int (*check_fn)(
    struct settling *s, int fd, const struct digest *d, struct err *e);

static int
check_object(struct settling *s, int fd, const struct digest *d, struct err *e)
{
	const struct object_frame frame = {
		.fd = fd, .digest = d, .max_bytes = UINT64_MAX >> 2
	};
	uint64_t size_bytes;

	return object_read_frame(s->reader, &frame, &size_bytes, e);
}

static int
compare(const struct digest *got, const struct digest *d, struct err *e)
{
	return digest_equal(got, d)
	    ? 0
	    : err_set(e, ERR_VERIFY, "digest is not its name");
}

static int
check_data(struct settling *s, int fd, const struct digest *d, struct err *e)
{
	struct digest got;
	int ret = digest_of_fd(fd, UINT64_MAX, &got, NULL, e);

	(void)s;
	return ret == 0 ? compare(&got, d, e) : ret;
}

static int
check_manifest(
    struct settling *s, int fd, const struct digest *d, struct err *e)
{
	struct gzip_reader *gz = NULL;
	uint8_t piece[PIECE_BYTES];
	struct digest got;
	size_t n = 1;
	int ret = gzip_reader_new(fd, UINT64_MAX >> 2, &gz, e);

	digest_reset(s->hash);
	while (ret == 0 && n > 0) {
		ret = gzip_reader_read(gz, piece, sizeof(piece), &n, e);
		if (ret == 0)
			digest_add(s->hash, piece, n);
	}
	gzip_reader_free(gz);
	if (ret != 0)
		return ret;
	digest_end(s->hash, &got);
	return compare(&got, d, e);
}

static bool
is_damage(int ret)
{
	return ret == ERR_VERIFY || ret == ERR_FORMAT || ret == ERR_LIMIT;
}

/* What has no digest for a name is none of ours. */
static int
settle_file(struct settling *s, int dir, const char *name, check_fn check,
    struct err *e)
{
	struct err why = ERR_INIT;
	struct fsat_stat st;
	struct digest d;
	int fd = -1, ret = fsat_stat(dir, name, &st, e);

	if (ret != 0 || (st.mode & S_IFMT) != S_IFREG ||
	    st.ctime.tv_sec < s->since ||
	    digest_parse(name, strlen(name), &d) != 0)
		return ret;
	ret = fsat_open_file(dir, name, &fd, e);
	if (ret != 0)
		return ret;
	ret = check(s, fd, &d, &why);
	close(fd);
	if (is_damage(ret))
		return fsat_unlink(dir, name, e);
	if (ret != 0)
		*e = why;
	return ret;
}

static int
settle_folder(struct settling *s, int dir, const char *path, check_fn check,
    struct err *e)
{
	struct fsat_names names = { NULL, 0 };
	int fd = -1, ret = fsat_open_dir(dir, path, &fd, e);

	if (ret == 0)
		ret = fsat_list(fd, &names, e);
	for (size_t i = 0; ret == 0 && i < names.count; i++)
		ret = settle_file(s, fd, names.names[i], check, e);
	fsat_names_release(&names);
	if (fd >= 0)
		close(fd);
	return ret == 0 ? 0 : err_prefix(e, "%s", path);
}

static int
settle_objects(struct settling *s, int dir, struct err *e)
{
	struct fsat_names names = { NULL, 0 };
	int fd = -1, ret = fsat_open_dir(dir, "v1/object", &fd, e);

	if (ret == 0)
		ret = fsat_list(fd, &names, e);
	for (size_t i = 0; ret == 0 && i < names.count; i++)
		ret = settle_folder(s, fd, names.names[i], check_object, e);
	fsat_names_release(&names);
	if (fd >= 0)
		close(fd);
	return ret;
}

int
repo_settle(struct repo *r, time_t since, struct err *e)
{
	struct settling s = { .since = since };
	int ret = object_reader_new(r, &s.reader, e);

	if (ret == 0)
		ret = digest_new(&s.hash, e);
	if (ret == 0)
		ret = settle_objects(&s, repo_fd(r), e);
	if (ret == 0)
		ret = settle_folder(
		    &s, repo_fd(r), "v1/manifest", check_manifest, e);
	if (ret == 0)
		ret = settle_folder(&s, repo_fd(r), "v1/data", check_data, e);
	object_reader_free(s.reader);
	digest_free(s.hash);
	return ret;
}
