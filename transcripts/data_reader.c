/* Data transcripts, reading.  Runs in fetchers: libarchive sees bytes from the
 * network here, and is given no file, no other format and no other filter. */
#include "transcripts/data.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>

#include "common/limits.h"

#define PIECE_BYTES ((size_t)128 * 1024)

struct data_reader {
	struct archive *archive;
	data_source source;
	void *arg;
	int fd; /* of data_reader_open */
	uint8_t *piece;
	uint64_t file_left; /* bytes the source may still give */
	uint64_t members;
	enum data_kind last;
	/* The member being read. */
	uint64_t member_left, member_done;
	const uint8_t *block;
	size_t block_len;
	/* What a callback below libarchive reports. */
	struct err *e;
	int failed;
};

static int
pull(struct data_reader *r, size_t *got, struct err *e)
{
	int ret = r->source(r->arg, r->piece, PIECE_BYTES, got, e);

	if (ret != 0)
		return ret;
	if (*got > r->file_left)
		return err_set(
		    e, ERR_FORMAT, "data transcript is longer than signed");
	if (*got == 0 && r->file_left > 0)
		return err_set(e, ERR_FORMAT, "data transcript is cut off");
	r->file_left -= *got;
	return 0;
}

/* libarchive's archive_read_callback. */
static la_ssize_t
read_piece(struct archive *a, void *arg, const void **piece)
{
	struct data_reader *r = arg;
	size_t got = 0;

	if (r->failed == 0)
		r->failed = pull(r, &got, r->e);
	if (r->failed != 0) {
		archive_set_error(a, EIO, "read failed");
		return -1;
	}
	*piece = r->piece;
	return (la_ssize_t)got;
}

/* Remembered: nothing more is to be had of a reader that failed. */
static int
archive_failed(struct data_reader *r, struct err *e)
{
	const char *why = archive_error_string(r->archive);

	if (r->failed == 0)
		r->failed = err_set(e, ERR_FORMAT, "data transcript: %s",
		    why != NULL ? why : "damaged");
	return r->failed;
}

static int
broken(struct data_reader *r, int code, const char *name, const char *why,
    struct err *e)
{
	r->failed = err_set(e, code, "data transcript: %.160s: %s", name, why);
	return r->failed;
}

static int
open_archive(struct data_reader *r, struct err *e)
{
	struct archive *a = archive_read_new();

	if (a == NULL)
		return err_memory(e);
	r->archive = a;
	r->e = e;
	if (archive_read_support_filter_zstd(a) != ARCHIVE_OK ||
	    archive_read_support_format_tar(a) != ARCHIVE_OK ||
	    archive_read_open(a, r, NULL, read_piece, NULL) != ARCHIVE_OK)
		return archive_failed(r, e);
	/* An archive may be not compressed at all, or many times. */
	if (archive_filter_count(a) != 2 ||
	    archive_filter_code(a, 0) != ARCHIVE_FILTER_ZSTD)
		return err_set(
		    e, ERR_FORMAT, "data transcript is not one zstd frame");
	return 0;
}

/* A data_source. */
static int
read_fd(void *arg, void *dst, size_t size, size_t *got, struct err *e)
{
	const struct data_reader *r = arg;
	ssize_t n = read(r->fd, dst, size);

	if (n < 0)
		return err_sys(e, "read data transcript");
	*got = (size_t)n;
	return 0;
}

/* source NULL: from fd. */
static int
start(const struct data_reader *from, struct data_reader **out, struct err *e)
{
	struct data_reader *r = calloc(1, sizeof(*r));
	int ret;

	if (r == NULL)
		return err_memory(e);
	*r = *from;
	if (r->source == NULL) {
		r->source = read_fd;
		r->arg = r;
	}
	r->piece = malloc(PIECE_BYTES);
	ret = r->piece != NULL ? open_archive(r, e) : err_memory(e);
	if (ret != 0) {
		data_reader_free(r);
		return ret;
	}
	*out = r;
	return 0;
}

int
data_reader_new(data_source source, void *arg, uint64_t file_bytes,
    struct data_reader **out, struct err *e)
{
	struct data_reader from = {
		.source = source, .arg = arg, .fd = -1, .file_left = file_bytes
	};

	return start(&from, out, e);
}

int
data_reader_open(
    int fd, uint64_t file_bytes, struct data_reader **out, struct err *e)
{
	struct data_reader from = { .fd = fd, .file_left = file_bytes };

	return start(&from, out, e);
}

void
data_reader_free(struct data_reader *r)
{
	if (r == NULL)
		return;
	archive_read_free(r->archive);
	free(r->piece);
	free(r);
}

static int
parse_header(struct data_reader *r, struct archive_entry *entry,
    struct data_member *m, struct err *e)
{
	const char *name = archive_entry_pathname(entry);
	la_int64_t size = archive_entry_size(entry);

	if (name == NULL)
		return broken(r, ERR_FORMAT, "member", "no name", e);
	if (archive_entry_filetype(entry) != AE_IFREG ||
	    archive_entry_hardlink(entry) != NULL || size < 0)
		return broken(r, ERR_FORMAT, name, "not a plain file", e);
	if (data_name_parse(name, m) != 0)
		return broken(r, ERR_FORMAT, name, "unknown kind of member", e);
	m->size_bytes = (uint64_t)size;
	if (r->members > 0 && !data_may_follow(r->last, m->kind))
		return broken(r, ERR_FORMAT, name, "out of order", e);
	if (r->members == LIMIT_DELTA_MEMBERS)
		return broken(r, ERR_LIMIT, name, "one member too many", e);
	return 0;
}

/* libarchive stops at the tar's end mark; the file must be there up to its
 * own end. */
static int
check_rest(struct data_reader *r, struct err *e)
{
	size_t got;

	while (r->failed == 0 && r->file_left > 0)
		r->failed = pull(r, &got, e);
	return r->failed;
}

int
data_reader_next(
    struct data_reader *r, struct data_member *m, bool *more, struct err *e)
{
	struct archive_entry *entry = NULL;
	struct data_member next = { .kind = DATA_OBJECT };
	int ret;

	r->e = e;
	if (r->failed != 0)
		return err_set(e, r->failed, "data transcript is damaged");
	ret = archive_read_next_header(r->archive, &entry);
	if (ret == ARCHIVE_EOF) {
		ret = check_rest(r, e);
		if (ret == 0)
			*more = false;
		return ret;
	}
	if (ret != ARCHIVE_OK)
		return archive_failed(r, e);
	ret = parse_header(r, entry, &next, e);
	if (ret != 0)
		return ret;
	r->members++;
	r->last = next.kind;
	r->member_left = next.size_bytes;
	r->member_done = 0;
	r->block_len = 0;
	*m = next;
	*more = true;
	return 0;
}

/* libarchive skips the holes of sparse files: there are none here. */
static int
next_block(struct data_reader *r, struct err *e)
{
	const void *block = NULL;
	size_t len = 0;
	la_int64_t offset = 0;
	int ret = archive_read_data_block(r->archive, &block, &len, &offset);

	if (ret == ARCHIVE_EOF)
		return broken(
		    r, ERR_FORMAT, "member", "shorter than it says", e);
	if (ret != ARCHIVE_OK)
		return archive_failed(r, e);
	if (len > r->member_left || offset < 0 ||
	    (uint64_t)offset != r->member_done)
		return broken(r, ERR_FORMAT, "member", "not a plain file", e);
	r->block = block;
	r->block_len = len;
	r->member_left -= len;
	r->member_done += len;
	return 0;
}

int
data_reader_read(
    void *reader, void *dst, size_t size, size_t *got, struct err *e)
{
	struct data_reader *r = reader;
	int ret;

	r->e = e;
	if (r->failed != 0)
		return err_set(e, r->failed, "data transcript is damaged");
	while (r->block_len == 0 && r->member_left > 0) {
		ret = next_block(r, e);
		if (ret != 0)
			return ret;
	}
	if (size > r->block_len)
		size = r->block_len;
	if (size > 0)
		memcpy(dst, r->block, size);
	r->block += size;
	r->block_len -= size;
	*got = size;
	return 0;
}
