/* zstd frames: contexts are kept and reset, since making one costs more than
 * a small object.  Encoders run in publishers, decoders in fetchers and in
 * whoever verifies a repository. */
#include "common/zst.h"

#include <stdbool.h>
#include <stdlib.h>

#include <zstd.h>
#include <zstd_errors.h>

#include "common/limits.h"

#define MAGIC_BYTES 4
/* From: 350 MB in 20 files, a sixth of them random.  Level 1: 156.8 MB and
 * 1.00 of its time; with these and a window of 2^24: 143.0 MB and 1.25 of it,
 * with the library's own parameters for long distances 146.2 MB and 1.45. */
#define FAST_LEVEL     1
#define FAST_HASH_LOG  15
#define FAST_MIN_MATCH 5
#define FAR_RATE_LOG   8 /* one position in so many is remembered */
/* From: 242 MB in 19,989 files up to 512 KiB, two at a time.  Level 1: 86.5 MB
 * and 1.00 of its time; 3: 84.1 MB and 1.45; with these 83.9 MB and 1.30. */
#define NEAR_HASH_LOG  15
#define NEAR_CHAIN_LOG 13

struct zst_encoder {
	ZSTD_CCtx *ctx;
	uint64_t promised; /* content size given to zst_begin */
	uint64_t fed;
	size_t out_size;
	uint8_t out[];
};

struct zst_decoder {
	ZSTD_DCtx *ctx;
	uint64_t left; /* content bytes still allowed */
	size_t magic_seen;
	bool complete; /* the frame's last byte was seen */
	/* Of zst_decode_read, in out: bytes of the frame not yet decoded. */
	ZSTD_inBuffer in;
	bool ended; /* no more come */
	size_t out_size;
	uint8_t out[]; /* content, or bytes of the frame for zst_decode_read */
};

static const uint8_t magic[MAGIC_BYTES] = { 0x28, 0xb5, 0x2f, 0xfd };

size_t
zst_bound(size_t len)
{
	return ZSTD_compressBound(len);
}

static int
fail(struct err *e, int code, const char *what, size_t ret)
{
	if (ZSTD_getErrorCode(ret) == ZSTD_error_memory_allocation)
		return err_memory(e);
	return err_set(e, code, "%s: %s", what, ZSTD_getErrorName(ret));
}

static int
set(ZSTD_CCtx *ctx, ZSTD_cParameter parameter, int value, struct err *e)
{
	size_t ret = ZSTD_CCtx_setParameter(ctx, parameter, value);

	return ZSTD_isError(ret) ? fail(e, ERR_USAGE, "zstd encoder", ret) : 0;
}

int
zst_encoder_new(int level, struct zst_encoder **out, struct err *e)
{
	size_t size = ZSTD_CStreamOutSize();
	struct zst_encoder *z = calloc(1, sizeof(*z) + size);
	int ret;

	if (z == NULL)
		return err_memory(e);
	z->out_size = size;
	z->ctx = ZSTD_createCCtx();
	if (z->ctx == NULL) {
		free(z);
		return err_memory(e);
	}
	ret = set(z->ctx, ZSTD_c_compressionLevel, level, e);
	if (ret == 0)
		ret = set(z->ctx, ZSTD_c_checksumFlag, 1, e);
	if (ret != 0) {
		zst_encoder_free(z);
		return ret;
	}
	*out = z;
	return 0;
}

void
zst_encoder_free(struct zst_encoder *z)
{
	if (z == NULL)
		return;
	ZSTD_freeCCtx(z->ctx);
	free(z);
}

int
zst_encoder_set_window(
    struct zst_encoder *z, unsigned window_log, struct err *e)
{
	int ret;

	if (window_log < 20 || window_log > LIMIT_ZSTD_WINDOW_LOG)
		return err_set(
		    e, ERR_USAGE, "zstd window of 2^%u bytes", window_log);
	ret = set(z->ctx, ZSTD_c_enableLongDistanceMatching, 1, e);
	if (ret == 0)
		ret = set(z->ctx, ZSTD_c_windowLog, (int)window_log, e);
	return ret;
}

int
zst_encoder_set_short(struct zst_encoder *z, struct err *e)
{
	return set(z->ctx, ZSTD_c_minMatch, 4, e);
}

int
zst_encoder_set_fast_window(
    struct zst_encoder *z, unsigned window_log, struct err *e)
{
	int ret = zst_encoder_set_window(z, window_log, e);

	if (ret == 0)
		ret = set(z->ctx, ZSTD_c_compressionLevel, FAST_LEVEL, e);
	if (ret == 0)
		ret = set(z->ctx, ZSTD_c_hashLog, FAST_HASH_LOG, e);
	if (ret == 0)
		ret = set(z->ctx, ZSTD_c_minMatch, FAST_MIN_MATCH, e);
	if (ret == 0)
		ret = set(z->ctx, ZSTD_c_ldmHashRateLog, FAR_RATE_LOG, e);
	return ret;
}

int
zst_encoder_set_near(struct zst_encoder *z, unsigned window_log, struct err *e)
{
	int ret = set(z->ctx, ZSTD_c_windowLog, (int)window_log, e);

	if (ret == 0)
		ret = set(z->ctx, ZSTD_c_hashLog, NEAR_HASH_LOG, e);
	if (ret == 0)
		ret = set(z->ctx, ZSTD_c_chainLog, NEAR_CHAIN_LOG, e);
	return ret == 0 ? zst_encoder_set_short(z, e) : ret;
}

int
zst_encoder_omit_checksum(struct zst_encoder *z, struct err *e)
{
	return set(z->ctx, ZSTD_c_checksumFlag, 0, e);
}

int
zst_encode(struct zst_encoder *z, const void *src, size_t len, struct buf *out,
    struct err *e)
{
	size_t bound = zst_bound(len), ret;
	uint8_t *frame = buf_reserve(out, bound);

	if (frame == NULL)
		return buf_check(out, "zstd frame", e);
	ZSTD_CCtx_reset(z->ctx, ZSTD_reset_session_only);
	ret = ZSTD_compress2(z->ctx, frame, bound, src, len);
	if (ZSTD_isError(ret))
		return fail(e, ERR_LIMIT, "compress", ret);
	buf_commit(out, ret);
	return 0;
}

int
zst_begin(struct zst_encoder *z, uint64_t content_bytes, struct err *e)
{
	size_t ret;

	ZSTD_CCtx_reset(z->ctx, ZSTD_reset_session_only);
	/* ZST_SIZE_UNKNOWN is zstd's own ZSTD_CONTENTSIZE_UNKNOWN. */
	ret = ZSTD_CCtx_setPledgedSrcSize(z->ctx, content_bytes);
	if (ZSTD_isError(ret))
		return fail(e, ERR_USAGE, "compress", ret);
	z->promised = content_bytes;
	z->fed = 0;
	return 0;
}

static int
encode(struct zst_encoder *z, ZSTD_inBuffer *in, ZSTD_EndDirective how,
    zst_sink sink, void *arg, struct err *e)
{
	size_t more;
	int ret;

	do {
		ZSTD_outBuffer piece = { z->out, z->out_size, 0 };

		more = ZSTD_compressStream2(z->ctx, &piece, in, how);
		if (ZSTD_isError(more))
			return fail(e, ERR_CHANGED, "compress", more);
		ret = piece.pos > 0 ? sink(arg, z->out, piece.pos, e) : 0;
		if (ret != 0)
			return ret;
	} while (how == ZSTD_e_end ? more != 0 : in->pos < in->size);
	return 0;
}

static int
wrong_length(const struct zst_encoder *z, struct err *e)
{
	return err_set(e, ERR_CHANGED,
	    "content of %llu bytes was announced as %llu",
	    (unsigned long long)z->fed, (unsigned long long)z->promised);
}

int
zst_feed(struct zst_encoder *z, const void *src, size_t len, zst_sink sink,
    void *arg, struct err *e)
{
	ZSTD_inBuffer in = { src, len, 0 };

	z->fed += len;
	if (z->fed > z->promised)
		return wrong_length(z, e);
	return encode(z, &in, ZSTD_e_continue, sink, arg, e);
}

int
zst_end(struct zst_encoder *z, zst_sink sink, void *arg, struct err *e)
{
	ZSTD_inBuffer in = { NULL, 0, 0 };

	if (z->promised != ZST_SIZE_UNKNOWN && z->fed != z->promised)
		return wrong_length(z, e);
	return encode(z, &in, ZSTD_e_end, sink, arg, e);
}

int
zst_content_size(
    const void *start, size_t len, uint64_t *size_bytes, struct err *e)
{
	unsigned long long n = ZSTD_getFrameContentSize(start, len);

	if (n == ZSTD_CONTENTSIZE_UNKNOWN || n == ZSTD_CONTENTSIZE_ERROR)
		return err_set(e, ERR_FORMAT,
		    "zstd frame does not say its content's size");
	*size_bytes = n;
	return 0;
}

int
zst_decoder_new(struct zst_decoder **out, struct err *e)
{
	size_t size = ZSTD_DStreamOutSize();
	struct zst_decoder *z = calloc(1, sizeof(*z) + size);
	size_t ret;

	if (z == NULL)
		return err_memory(e);
	z->out_size = size;
	z->ctx = ZSTD_createDCtx();
	if (z->ctx == NULL) {
		free(z);
		return err_memory(e);
	}
	ret = ZSTD_DCtx_setParameter(
	    z->ctx, ZSTD_d_windowLogMax, LIMIT_ZSTD_WINDOW_LOG);
	if (ZSTD_isError(ret)) {
		zst_decoder_free(z);
		return fail(e, ERR_UNSUPPORTED, "zstd decoder", ret);
	}
	*out = z;
	return 0;
}

void
zst_decoder_free(struct zst_decoder *z)
{
	if (z == NULL)
		return;
	ZSTD_freeDCtx(z->ctx);
	free(z);
}

int
zst_decode_begin(struct zst_decoder *z, uint64_t max_bytes, struct err *e)
{
	size_t ret = ZSTD_DCtx_reset(z->ctx, ZSTD_reset_session_only);

	if (ZSTD_isError(ret))
		return fail(e, ERR_FORMAT, "zstd decoder", ret);
	z->left = max_bytes;
	z->magic_seen = 0;
	z->complete = z->ended = false;
	z->in = (ZSTD_inBuffer){ z->out, 0, 0 };
	return 0;
}

/* The library would pass over skippable frames and take them for empty
 * content. */
static int
check_magic(
    struct zst_decoder *z, const uint8_t *src, size_t len, struct err *e)
{
	for (size_t i = 0; i < len && z->magic_seen < MAGIC_BYTES; i++) {
		if (src[i] != magic[z->magic_seen])
			return err_set(e, ERR_FORMAT, "not a zstd frame");
		z->magic_seen++;
	}
	return 0;
}

static int
decode_step(struct zst_decoder *z, ZSTD_inBuffer *in, ZSTD_outBuffer *piece,
    struct err *e)
{
	size_t before = piece->pos;
	size_t ret = ZSTD_decompressStream(z->ctx, piece, in);

	if (ZSTD_isError(ret))
		return fail(e, ERR_FORMAT, "zstd frame", ret);
	if (piece->pos - before > z->left)
		return err_set(e, ERR_LIMIT,
		    "zstd frame holds more than the bytes it may");
	z->left -= piece->pos - before;
	z->complete = ret == 0;
	return 0;
}

static int
bytes_behind(struct err *e)
{
	return err_set(e, ERR_FORMAT, "bytes behind the end of the zstd frame");
}

int
zst_decode_feed(struct zst_decoder *z, const void *src, size_t len,
    zst_sink sink, void *arg, struct err *e)
{
	ZSTD_inBuffer in = { src, len, 0 };
	ZSTD_outBuffer piece = { z->out, z->out_size, 0 };
	int ret = check_magic(z, src, len, e);

	if (ret != 0)
		return ret;
	/* A full output buffer may leave more inside the decoder. */
	while (in.pos < in.size || (piece.pos == z->out_size && !z->complete)) {
		if (z->complete)
			return bytes_behind(e);
		piece.pos = 0;
		ret = decode_step(z, &in, &piece, e);
		if (ret == 0 && piece.pos > 0)
			ret = sink(arg, z->out, piece.pos, e);
		if (ret != 0)
			return ret;
	}
	return 0;
}

static int
take_input(
    struct zst_decoder *z, const struct zst_source *source, struct err *e)
{
	size_t got = 0;
	int ret = source->read(source->arg, z->out, z->out_size, &got, e);

	if (ret != 0)
		return ret;
	z->in = (ZSTD_inBuffer){ z->out, got, 0 };
	z->ended = got == 0;
	return check_magic(z, z->out, got, e);
}

int
zst_decode_read(struct zst_decoder *z, const struct zst_source *source,
    void *dst, size_t size, size_t *got, struct err *e)
{
	ZSTD_outBuffer piece = { dst, size, 0 };
	int ret = 0;

	while (ret == 0 && piece.pos < size && !(z->complete && z->ended)) {
		if (z->in.pos == z->in.size && !z->ended)
			ret = take_input(z, source, e);
		if (ret == 0 && z->complete && !z->ended)
			return bytes_behind(e);
		if (ret == 0 && !z->complete) {
			size_t before = piece.pos;

			ret = decode_step(z, &z->in, &piece, e);
			if (ret == 0 && z->ended && !z->complete &&
			    piece.pos == before)
				ret = zst_decode_end(z, e);
		}
	}
	if (ret == 0)
		*got = piece.pos;
	return ret;
}

int
zst_decode_end(struct zst_decoder *z, struct err *e)
{
	if (!z->complete)
		return err_set(e, ERR_FORMAT, "zstd frame is cut off");
	return 0;
}
