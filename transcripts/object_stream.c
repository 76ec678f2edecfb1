#include "transcripts/object_stream.h"

#include <stdlib.h>
#include <unistd.h>

#include "common/zst.h"
#include "transcripts/repo.h"

struct object_stream {
	struct repo *repo;
	struct zst_decoder *decoder;
	struct digest digest; /* for messages */
	int fd;
};

int
object_stream_new(struct repo *r, struct object_stream **out, struct err *e)
{
	struct object_stream *s = calloc(1, sizeof(*s));
	int ret;

	if (s == NULL)
		return err_memory(e);
	s->repo = r;
	s->fd = -1;
	ret = zst_decoder_new(&s->decoder, e);
	if (ret == 0)
		*out = s;
	else
		object_stream_free(s);
	return ret;
}

static void
close_object(struct object_stream *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

void
object_stream_free(struct object_stream *s)
{
	if (s == NULL)
		return;
	close_object(s);
	zst_decoder_free(s->decoder);
	free(s);
}

int
object_stream_open(struct object_stream *s, const struct digest *digest,
    uint64_t max_bytes, uint64_t *frame_bytes, struct err *e)
{
	int ret;

	close_object(s);
	s->digest = *digest;
	ret = repo_open_object(s->repo, digest, &s->fd, frame_bytes, e);
	return ret == 0 ? zst_decode_begin(s->decoder, max_bytes, e) : ret;
}

/* Of a zst_source. */
static int
read_frame(void *arg, void *dst, size_t size, size_t *got, struct err *e)
{
	const struct object_stream *s = arg;
	ssize_t n = read(s->fd, dst, size);

	if (n < 0)
		return err_sys(e, "read");
	*got = (size_t)n;
	return 0;
}

int
object_stream_read(
    void *stream, void *dst, size_t size, size_t *got, struct err *e)
{
	struct object_stream *s = stream;
	const struct zst_source frame = { read_frame, s };
	char hex[DIGEST_HEX];
	int ret = zst_decode_read(s->decoder, &frame, dst, size, got, e);

	if (ret == 0)
		return 0;
	digest_hex(&s->digest, hex);
	return err_prefix(e, "object %s", hex);
}
