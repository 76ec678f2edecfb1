/* gzip streams over zlib; every process uses them.  One member, canonical
 * header: what the same zlib is given twice comes out as the same bytes. */
#include "common/gzip.h"

#define ZLIB_CONST /* input is const */
#include <limits.h>
#include <zlib.h>

#include "common/fsat.h"

#define PIECE_BYTES 65536
#define GZIP_WINDOW (15 + 16) /* 32 KiB window, gzip wrapping */
#define GZIP_MEMORY 8
#define OS_UNKNOWN  255 /* RFC 1952 section 2.3.1 */

struct gzip_writer {
	z_stream z;
	gz_header header;
	gzip_sink sink;
	void *arg;
	uint8_t out[PIECE_BYTES];
};

/* zlib counts input in 32 bits. */
static uInt
piece_of(size_t len)
{
	return len > UINT_MAX ? UINT_MAX : (uInt)len;
}

int
gzip_writer_new(int level, gzip_sink sink, void *arg, struct gzip_writer **out,
    struct err *e)
{
	struct gzip_writer *g = calloc(1, sizeof(*g));

	if (g == NULL)
		return err_memory(e);
	g->sink = sink;
	g->arg = arg;
	g->header.os = OS_UNKNOWN;
	if (deflateInit2(&g->z, level, Z_DEFLATED, GZIP_WINDOW, GZIP_MEMORY,
	        Z_FILTERED) != Z_OK) {
		free(g);
		return err_set(e, ERR_NO_MEMORY,
		    "gzip: cannot start at "
		    "level %d",
		    level);
	}
	(void)deflateSetHeader(&g->z, &g->header);
	*out = g;
	return 0;
}

/* Runs deflate until it wants input (Z_NO_FLUSH) or is done (Z_FINISH). */
static int
deflate_all(struct gzip_writer *g, int flush, struct err *e)
{
	int rc, status;
	size_t len;

	do {
		g->z.next_out = g->out;
		g->z.avail_out = sizeof(g->out);
		status = deflate(&g->z, flush);
		if (status == Z_STREAM_ERROR)
			return err_set(e, ERR_USAGE,
			    "gzip: written to after "
			    "its end");
		len = sizeof(g->out) - g->z.avail_out;
		rc = len == 0 ? 0 : g->sink(g->arg, g->out, len, e);
		if (rc != 0)
			return rc;
	} while (g->z.avail_out == 0);
	return 0;
}

int
gzip_writer_feed(
    struct gzip_writer *g, const void *src, size_t len, struct err *e)
{
	const uint8_t *p = src;

	while (len > 0) {
		uInt piece = piece_of(len);
		int rc;

		g->z.next_in = p;
		g->z.avail_in = piece;
		rc = deflate_all(g, Z_NO_FLUSH, e);
		if (rc != 0)
			return rc;
		p += piece;
		len -= piece;
	}
	return 0;
}

int
gzip_writer_end(struct gzip_writer *g, struct err *e)
{
	g->z.next_in = NULL;
	g->z.avail_in = 0;
	return deflate_all(g, Z_FINISH, e);
}

void
gzip_writer_free(struct gzip_writer *g)
{
	if (g == NULL)
		return;
	(void)deflateEnd(&g->z);
	free(g);
}

struct gzip_reader {
	z_stream z;
	int fd;
	bool ended;    /* the member is complete and nothing follows it */
	uint64_t left; /* bytes that may still come out */
	uint8_t in[PIECE_BYTES];
};

int
gzip_reader_new(
    int fd, uint64_t max_bytes, struct gzip_reader **out, struct err *e)
{
	struct gzip_reader *g = calloc(1, sizeof(*g));

	if (g == NULL)
		return err_memory(e);
	g->fd = fd;
	g->left = max_bytes;
	if (inflateInit2(&g->z, GZIP_WINDOW) != Z_OK) {
		free(g);
		return err_memory(e);
	}
	*out = g;
	return 0;
}

static int
refill(struct gzip_reader *g, struct err *e)
{
	size_t got;
	int rc = fsat_read_some(g->fd, g->in, sizeof(g->in), &got, e);

	if (rc != 0) {
		err_prefix(e, "gzip");
		return rc;
	}
	g->z.next_in = g->in;
	g->z.avail_in = (uInt)got;
	return 0;
}

/* Nothing may follow the member, not even a second one. */
static int
expect_end(struct gzip_reader *g, struct err *e)
{
	int rc = g->z.avail_in > 0 ? 0 : refill(g, e);

	if (rc != 0)
		return rc;
	if (g->z.avail_in > 0)
		return err_set(e, ERR_FORMAT, "gzip: bytes behind the end");
	g->ended = true;
	return 0;
}

/* One step of inflate into the room set up in z. */
static int
inflate_step(struct gzip_reader *g, struct err *e)
{
	int rc;

	if (g->z.avail_in == 0 && (rc = refill(g, e)) != 0)
		return rc;
	if (g->z.avail_in == 0)
		return err_set(e, ERR_FORMAT, "gzip: cut off");
	switch (inflate(&g->z, Z_NO_FLUSH)) {
	case Z_OK:
	case Z_BUF_ERROR:
		return 0;
	case Z_STREAM_END:
		return expect_end(g, e);
	case Z_MEM_ERROR:
		return err_memory(e);
	default:
		return err_set(e, ERR_FORMAT, "gzip: damaged: %s",
		    g->z.msg != NULL ? g->z.msg : "dictionary wanted");
	}
}

/* All that is allowed has been given: the member has to end here. */
static int
end_at_limit(struct gzip_reader *g, struct err *e)
{
	uint8_t over;

	while (!g->ended) {
		int rc;

		g->z.next_out = &over;
		g->z.avail_out = 1;
		rc = inflate_step(g, e);
		if (g->z.avail_out == 0)
			return err_set(e, ERR_LIMIT,
			    "gzip: content is longer "
			    "than allowed");
		if (rc != 0)
			return rc;
	}
	return 0;
}

int
gzip_reader_read(
    struct gzip_reader *g, void *dst, size_t size, size_t *got, struct err *e)
{
	size_t want = size < g->left ? size : (size_t)g->left;
	uInt room = piece_of(want);
	int rc = 0;

	g->z.next_out = dst;
	g->z.avail_out = room;
	while (rc == 0 && !g->ended && g->z.avail_out == room && room > 0)
		rc = inflate_step(g, e);
	if (rc == 0 && size > 0 && g->left == 0) {
		room = 0;
		rc = end_at_limit(g, e);
		g->z.avail_out = 0;
	}
	if (rc != 0)
		return rc;
	*got = room - g->z.avail_out;
	g->left -= *got;
	return 0;
}

void
gzip_reader_free(struct gzip_reader *g)
{
	if (g == NULL)
		return;
	(void)inflateEnd(&g->z);
	free(g);
}
