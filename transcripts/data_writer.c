/* Data transcripts, writing: libarchive makes the tar, zst.c compresses it,
 * as libarchive offers no long window.  A small one is compressed as a whole:
 * zstd then takes tables that fit, instead of clearing 100 MB of them for a
 * stream that may become anything.  Publishers only. */
#include "transcripts/data.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <archive.h>
#include <archive_entry.h>

#include "common/buf.h"
#include "common/fsat.h"
#include "common/limits.h"
#include "common/zst.h"

#define PIECE_BYTES    ((size_t)128 * 1024)
#define SMALL_BYTES    ((size_t)4 * 1024 * 1024)
#define WINDOW_LOG_MIN 20
#define WINDOW_LOG_MAX 24 /* 16 MiB: what unpacking costs each client */

struct data_writer {
	struct archive *archive;
	struct archive_entry *entry;
	struct zst_encoder *encoder;
	struct digest_state *digest;
	uint8_t *piece;
	struct buf small; /* the tar, until it is streamed */
	bool streaming;
	unsigned window_log;
	int fd;
	time_t mtime;
	uint64_t size_bytes;
	bool ended;
	bool any; /* a member was added, of this kind */
	enum data_kind last;
	/* What a callback below libarchive reports. */
	struct err *e;
	int failed;
};

static unsigned
window_log(uint64_t content_bytes)
{
	unsigned log = WINDOW_LOG_MIN;

	while (log < WINDOW_LOG_MAX && content_bytes > (uint64_t)1 << log)
		log++;
	return log;
}

/* A zst_sink. */
static int
write_file(void *arg, const void *data, size_t len, struct err *e)
{
	struct data_writer *w = arg;

	digest_add(w->digest, data, len);
	w->size_bytes += len;
	return fsat_write_all(w->fd, data, len, e);
}

static int
start_stream(struct data_writer *w, struct err *e)
{
	int ret = zst_encoder_set_window(w->encoder, w->window_log, e);

	if (ret == 0)
		ret = zst_begin(w->encoder, ZST_SIZE_UNKNOWN, e);
	if (ret == 0)
		ret = zst_feed(
		    w->encoder, w->small.data, w->small.len, write_file, w, e);
	w->streaming = true;
	buf_release(&w->small);
	return ret;
}

static int
add_tar(struct data_writer *w, const void *data, size_t len, struct err *e)
{
	int ret = 0;

	if (!w->streaming && len <= SMALL_BYTES - w->small.len) {
		buf_add(&w->small, data, len);
		return buf_check(&w->small, "data transcript", e);
	}
	if (!w->streaming)
		ret = start_stream(w, e);
	if (ret == 0)
		ret = zst_feed(w->encoder, data, len, write_file, w, e);
	return ret;
}

static int
end_tar(struct data_writer *w, struct err *e)
{
	struct buf frame;
	int ret;

	if (w->streaming)
		return zst_end(w->encoder, write_file, w, e);
	buf_init(&frame, zst_bound(w->small.len));
	ret = zst_encode(w->encoder, w->small.data, w->small.len, &frame, e);
	if (ret == 0)
		ret = write_file(w, frame.data, frame.len, e);
	buf_release(&frame);
	return ret;
}

/* libarchive's archive_write_callback. */
static la_ssize_t
compress(struct archive *a, void *arg, const void *data, size_t len)
{
	struct data_writer *w = arg;

	if (w->failed == 0)
		w->failed = add_tar(w, data, len, w->e);
	if (w->failed == 0)
		return (la_ssize_t)len;
	archive_set_error(a, EIO, "write failed");
	return -1;
}

static int
archive_failed(struct data_writer *w, struct err *e)
{
	const char *why = archive_error_string(w->archive);

	if (w->failed != 0)
		return w->failed;
	return err_set(e, ERR_SYS, "data transcript: %s",
	    why != NULL ? why : "libarchive failed");
}

static int
open_archive(struct data_writer *w, struct err *e)
{
	struct archive *a = archive_write_new();

	if (a == NULL)
		return err_memory(e);
	w->archive = a;
	w->e = e;
	if (archive_write_set_format_pax_restricted(a) != ARCHIVE_OK ||
	    archive_write_set_bytes_per_block(a, PIECE_BYTES) != ARCHIVE_OK ||
	    archive_write_set_bytes_in_last_block(a, 1) != ARCHIVE_OK ||
	    archive_write_open(a, w, NULL, compress, NULL) != ARCHIVE_OK)
		return archive_failed(w, e);
	w->entry = archive_entry_new();
	return w->entry != NULL ? 0 : err_memory(e);
}

int
data_writer_new(
    const struct data_options *options, struct data_writer **out, struct err *e)
{
	struct data_writer *w = calloc(1, sizeof(*w));
	int ret;

	if (w == NULL)
		return err_memory(e);
	w->fd = options->fd;
	w->mtime = options->mtime;
	w->window_log = window_log(options->content_bytes);
	buf_init(&w->small, SMALL_BYTES);
	w->piece = malloc(PIECE_BYTES);
	ret = w->piece != NULL ? 0 : err_memory(e);
	if (ret == 0)
		ret = digest_new(&w->digest, e);
	if (ret == 0)
		ret = zst_encoder_new(options->level, &w->encoder, e);
	if (ret == 0)
		ret = zst_encoder_set_short(w->encoder, e);
	if (ret == 0)
		ret = open_archive(w, e);
	if (ret != 0) {
		data_writer_free(w);
		return ret;
	}
	*out = w;
	return 0;
}

static int
check_order(const struct data_writer *w, const char *name, enum data_kind kind,
    struct err *e)
{
	if (!w->any || data_may_follow(w->last, kind))
		return 0;
	return err_set(
	    e, ERR_USAGE, "data transcript: %s comes too late", name);
}

static int
add_header(struct data_writer *w, const struct data_member *m, const char *name,
    struct err *e)
{
	struct archive_entry *entry = archive_entry_clear(w->entry);

	archive_entry_set_pathname(entry, name);
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_perm(entry, 0644);
	archive_entry_set_mtime(entry, w->mtime, 0);
	archive_entry_set_size(entry, (la_int64_t)m->size_bytes);
	if (archive_write_header(w->archive, entry) != ARCHIVE_OK)
		return archive_failed(w, e);
	return 0;
}

static int
add_content(struct data_writer *w, const struct data_member *m,
    data_source source, void *arg, struct err *e)
{
	uint64_t left = m->size_bytes;
	size_t got = 1;
	int ret;

	while (got > 0) {
		ret = source(arg, w->piece, PIECE_BYTES, &got, e);
		if (ret != 0)
			return ret;
		if (got > left)
			break;
		left -= got;
		if (got > 0 &&
		    archive_write_data(w->archive, w->piece, got) !=
		        (la_ssize_t)got)
			return archive_failed(w, e);
	}
	if (left == 0 && got == 0)
		return 0;
	return err_set(e, ERR_CHANGED, "is not the %llu bytes announced",
	    (unsigned long long)m->size_bytes);
}

int
data_writer_add(struct data_writer *w, const struct data_member *m,
    data_source source, void *arg, struct err *e)
{
	char name[DATA_NAME_BYTES];
	int ret;

	data_name(m, name);
	ret = check_order(w, name, m->kind, e);
	if (ret != 0)
		return ret;
	w->e = e;
	w->any = true;
	w->last = m->kind;
	ret = add_header(w, m, name, e);
	if (ret == 0)
		ret = add_content(w, m, source, arg, e);
	if (ret != 0) {
		w->failed = ret;
		return err_prefix(e, "data transcript: %s", name);
	}
	return 0;
}

int
data_writer_end(struct data_writer *w, struct digest *digest,
    uint64_t *size_bytes, struct err *e)
{
	int ret;

	w->e = e;
	if (w->failed != 0 || w->ended)
		return err_set(e, ERR_USAGE, "data transcript cannot be ended");
	if (archive_write_close(w->archive) != ARCHIVE_OK)
		return archive_failed(w, e);
	w->ended = true;
	ret = end_tar(w, e);
	if (ret != 0)
		return ret;
	digest_end(w->digest, digest);
	*size_bytes = w->size_bytes;
	return 0;
}

void
data_writer_free(struct data_writer *w)
{
	if (w == NULL)
		return;
	/* libarchive ends the archive when it is freed: nothing of that may
	 * reach the file. */
	if (w->failed == 0)
		w->failed = ERR_USAGE;
	archive_write_free(w->archive);
	archive_entry_free(w->entry);
	zst_encoder_free(w->encoder);
	digest_free(w->digest);
	buf_release(&w->small);
	free(w->piece);
	free(w);
}
