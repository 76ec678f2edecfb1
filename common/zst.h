/* zstd frames (RFC 8878); the only file that includes <zstd.h>.  One-shot and
 * streaming; a decoder never gives more than the bytes it was allowed. */
#ifndef COMMON_ZST_H
#define COMMON_ZST_H

#include "common/buf.h"

/* Most bytes that a frame of len content bytes can take. */
size_t zst_bound(size_t len);

struct zst_encoder; /* reusable, one thread at a time */
MUST_CHECK int zst_encoder_new(
    int level, struct zst_encoder **out, struct err *e);
void zst_encoder_free(struct zst_encoder *z);
/* For all frames that follow: look for repetitions as far back as
 * 1 << window_log bytes, 20 to LIMIT_ZSTD_WINDOW_LOG (long distance matching).
 * A decoder needs that much memory. */
MUST_CHECK int zst_encoder_set_window(
    struct zst_encoder *z, unsigned window_log, struct err *e);
/* For all frames that follow: repetitions from 4 bytes on count at any level.
 * Many short ones are what deltas and small files have. */
MUST_CHECK int zst_encoder_set_short(struct zst_encoder *z, struct err *e);
/* The same at little more cost than level 1 has without: for contents of more
 * than some 100 kB.  The level given to zst_encoder_new counts no more. */
MUST_CHECK int zst_encoder_set_fast_window(
    struct zst_encoder *z, unsigned window_log, struct err *e);
/* For contents of no more than 2^window_log bytes: zst_encoder_set_short, with
 * tables that stay in a cache.  A stream takes so much memory. */
MUST_CHECK int zst_encoder_set_near(
    struct zst_encoder *z, unsigned window_log, struct err *e);
/* Frames without a checksum, for contents of which a digest is kept. */
MUST_CHECK int zst_encoder_omit_checksum(struct zst_encoder *z, struct err *e);
/* Adds one frame of the whole content, with its size and a checksum, to
 * `out`, which must have room for zst_bound(len) bytes more: ERR_LIMIT. */
MUST_CHECK int zst_encode(struct zst_encoder *z, const void *src, size_t len,
    struct buf *out, struct err *e);
/* Streaming: begin with the exact content size (or ZST_SIZE_UNKNOWN, which
 * leaves it out of the frame), then feed all of it, then end; output goes to
 * the sink in pieces.  After an error begin again. */
#define ZST_SIZE_UNKNOWN UINT64_MAX
typedef int (*zst_sink)(void *arg, const void *data, size_t len, struct err *e);
MUST_CHECK int zst_begin(
    struct zst_encoder *z, uint64_t content_bytes, struct err *e);
/* ERR_CHANGED once more than content_bytes was fed. */
MUST_CHECK int zst_feed(struct zst_encoder *z, const void *src, size_t len,
    zst_sink sink, void *arg, struct err *e);
/* ERR_CHANGED when what was fed is not content_bytes long. */
MUST_CHECK int zst_end(
    struct zst_encoder *z, zst_sink sink, void *arg, struct err *e);

/* What a frame that begins so says of the size of its content.  ERR_FORMAT
 * when it does not say, or is no frame. */
#define ZST_HEADER_BYTES 18
MUST_CHECK int zst_content_size(
    const void *start, size_t len, uint64_t *size_bytes, struct err *e);

struct zst_decoder; /* reusable, one thread at a time */
MUST_CHECK int zst_decoder_new(struct zst_decoder **out, struct err *e);
void zst_decoder_free(struct zst_decoder *z);
/* Starts one frame that may decode to at most max_bytes. */
MUST_CHECK int zst_decode_begin(
    struct zst_decoder *z, uint64_t max_bytes, struct err *e);
/* Decodes a piece of the frame; the sink gets content.  ERR_FORMAT for bytes
 * that are no zstd frame (skippable ones too) or follow the frame's end,
 * ERR_LIMIT past max_bytes. */
MUST_CHECK int zst_decode_feed(struct zst_decoder *z, const void *src,
    size_t len, zst_sink sink, void *arg, struct err *e);
/* The other way about: the decoder asks for bytes of the frame (up to size,
 * *got 0 at the end) and gives up to size bytes of content, *got 0 after its
 * last.  Errors as above; ERR_FORMAT when the frame is cut off. */
struct zst_source {
	int (*read)(
	    void *arg, void *dst, size_t size, size_t *got, struct err *e);
	void *arg;
};
MUST_CHECK int zst_decode_read(struct zst_decoder *z,
    const struct zst_source *source, void *dst, size_t size, size_t *got,
    struct err *e);
/* ERR_FORMAT unless the frame was whole. */
MUST_CHECK int zst_decode_end(struct zst_decoder *z, struct err *e);

#endif
