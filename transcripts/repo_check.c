/* One stored file against its name; runs in who writes a repository. */
#include "transcripts/repo_check.h"

#include <stdlib.h>
#include <unistd.h>

#include "common/fsat.h"
#include "common/gzip.h"
#include "transcripts/object.h"

#define PIECE_BYTES 65536
#define MOST_BYTES  (UINT64_MAX >> 2)

struct repo_check {
	struct object_reader *reader;
	struct digest_state *hash;
	repo_check_pace pace;
	void *pace_arg;
	int fd; /* of the file that is read now */
	off_t told;
	uint8_t piece[PIECE_BYTES];
};

int
repo_check_new(struct repo *r, struct repo_check **out, struct err *e)
{
	struct repo_check *c = calloc(1, sizeof(*c));
	int ret;

	if (c == NULL)
		return err_memory(e);
	ret = object_reader_new(r, &c->reader, e);
	if (ret == 0)
		ret = digest_new(&c->hash, e);
	if (ret != 0) {
		repo_check_free(c);
		return ret;
	}
	*out = c;
	return 0;
}

void
repo_check_free(struct repo_check *c)
{
	if (c == NULL)
		return;
	object_reader_free(c->reader);
	digest_free(c->hash);
	free(c);
}

void
repo_check_set_pace(struct repo_check *c, repo_check_pace pace, void *arg)
{
	c->pace = pace;
	c->pace_arg = arg;
}

static int
tell(struct repo_check *c, struct err *e)
{
	off_t now = lseek(c->fd, 0, SEEK_CUR), was = c->told;

	if (c->pace == NULL || now <= was)
		return 0;
	c->told = now;
	return c->pace(c->pace_arg, (size_t)(now - was), e);
}

/* An object_sink. */
static int
pass_over(void *arg, const void *data, size_t len, struct err *e)
{
	(void)data;
	(void)len;
	return tell(arg, e);
}

static int
check_object(struct repo_check *c, const struct digest *name, struct err *e)
{
	const struct object_frame frame = { .fd = c->fd,
		.digest = name,
		.max_bytes = MOST_BYTES,
		.sink = pass_over,
		.arg = c };
	uint64_t size_bytes;
	int ret = object_read_frame(c->reader, &frame, &size_bytes, e);

	return ret == 0 ? tell(c, e) : ret;
}

static int
compare(struct repo_check *c, const struct digest *name, struct err *e)
{
	struct digest got;

	digest_end(c->hash, &got);
	return digest_equal(&got, name)
	    ? 0
	    : err_set(e, ERR_VERIFY, "digest is not its name");
}

static int
check_manifest(struct repo_check *c, const struct digest *name, struct err *e)
{
	struct gzip_reader *gz = NULL;
	size_t n = 1;
	int ret = gzip_reader_new(c->fd, MOST_BYTES, &gz, e);

	digest_reset(c->hash);
	while (ret == 0 && n > 0) {
		ret = gzip_reader_read(gz, c->piece, PIECE_BYTES, &n, e);
		if (ret == 0)
			digest_add(c->hash, c->piece, n);
		if (ret == 0)
			ret = tell(c, e);
	}
	gzip_reader_free(gz);
	return ret == 0 ? compare(c, name, e) : ret;
}

static int
check_plain(struct repo_check *c, const struct digest *name, struct err *e)
{
	size_t n = 1;
	int ret = 0;

	digest_reset(c->hash);
	while (ret == 0 && n > 0) {
		ret = fsat_read_some(c->fd, c->piece, PIECE_BYTES, &n, e);
		if (ret == 0)
			digest_add(c->hash, c->piece, n);
		if (ret == 0)
			ret = tell(c, e);
	}
	return ret == 0 ? compare(c, name, e) : ret;
}

int
repo_check_file(struct repo_check *c, enum repo_check_kind kind, int fd,
    const struct digest *name, struct err *e)
{
	c->fd = fd;
	c->told = lseek(fd, 0, SEEK_CUR);
	switch (kind) {
	case REPO_CHECK_OBJECT:
		return check_object(c, name, e);
	case REPO_CHECK_MANIFEST:
		return check_manifest(c, name, e);
	case REPO_CHECK_PLAIN:
		break;
	}
	return check_plain(c, name, e);
}

bool
repo_check_is_damage(int ret)
{
	return ret == ERR_VERIFY || ret == ERR_FORMAT || ret == ERR_LIMIT;
}
