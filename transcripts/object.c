/* Objects: hashing and compressing content into a repository, and reading it
 * back checked.  Publishers write from files, replicators from frames and from
 * patched content; everybody that serves or verifies reads. */
#include "transcripts/object.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/fsat.h"
#include "common/zst.h"
#include "transcripts/repo.h"

#define PIECE_BYTES ((size_t)256 * 1024)
#define PROBE_BYTES ((size_t)64 * 1024)

struct object_writer {
	struct repo *repo;
	struct zst_encoder *encoder;
	struct zst_encoder *far;    /* NULL before its first stream */
	struct zst_encoder *stream; /* one of these two */
	struct zst_decoder *decoder;
	struct digest_state *digest;
	struct repo_temp temp;
	/* What object_begin announced, and what came of it so far. */
	bool open;
	enum object_form form;
	struct digest expected;
	uint64_t size_bytes;
	uint64_t got_bytes;
	/* Content that fits, and the frame, or as much of it as was not yet
	 * written to temp. */
	uint8_t *content;
	struct buf frame;
	uint64_t stored_bytes; /* of the last frame that was installed */
};

struct object_reader {
	struct repo *repo;
	struct zst_decoder *decoder;
	struct digest_state *digest;
	uint8_t *piece;
};

int
object_writer_new(
    struct repo *r, int level, struct object_writer **out, struct err *e)
{
	struct object_writer *w = calloc(1, sizeof(*w));
	int ret;

	if (w == NULL)
		return err_memory(e);
	w->repo = r;
	w->temp.fd = -1;
	buf_init(&w->frame, zst_bound(OBJECT_WHOLE_BYTES));
	w->content = malloc(OBJECT_WHOLE_BYTES);
	ret = w->content != NULL ? 0 : err_memory(e);
	if (ret == 0)
		ret = zst_encoder_new(level, &w->encoder, e);
	if (ret == 0)
		ret = zst_encoder_set_near(w->encoder, OBJECT_WHOLE_LOG, e);
	if (ret == 0)
		ret = zst_encoder_omit_checksum(w->encoder, e);
	if (ret == 0)
		ret = zst_decoder_new(&w->decoder, e);
	if (ret == 0)
		ret = digest_new(&w->digest, e);
	if (ret != 0) {
		object_writer_free(w);
		return ret;
	}
	*out = w;
	return 0;
}

void
object_writer_free(struct object_writer *w)
{
	if (w == NULL)
		return;
	object_cancel(w);
	zst_encoder_free(w->encoder);
	zst_encoder_free(w->far);
	zst_decoder_free(w->decoder);
	digest_free(w->digest);
	free(w->content);
	buf_release(&w->frame);
	free(w);
}

static int
new_far(struct zst_encoder **out, struct err *e)
{
	int ret = zst_encoder_new(1, out, e);

	if (ret == 0)
		ret = zst_encoder_set_fast_window(*out, OBJECT_WINDOW_LOG, e);
	return ret == 0 ? zst_encoder_omit_checksum(*out, e) : ret;
}

/* A frame that is made piece by piece. */
static int
begin_stream(
    struct object_writer *w, uint64_t size_bytes, bool dense, struct err *e)
{
	int ret = 0;

	if (!dense && w->far == NULL)
		ret = new_far(&w->far, e);
	w->stream = dense ? w->encoder : w->far;
	return ret == 0 ? zst_begin(w->stream, size_bytes, e) : ret;
}

static int
flush_frame(struct object_writer *w, struct err *e)
{
	int ret = 0;

	if (w->temp.fd < 0)
		ret = repo_temp_new(w->repo, &w->temp, e);
	if (ret == 0)
		ret = repo_temp_write(&w->temp, w->frame.data, w->frame.len, e);
	buf_clear(&w->frame);
	return ret;
}

/* A zst_sink: collects the frame, so that a small one is one write, and a long
 * one is written while the processor's cache holds it. */
static int
add_frame(void *arg, const void *data, size_t len, struct err *e)
{
	struct object_writer *w = arg;
	int ret = 0;

	if (w->frame.len + len > PIECE_BYTES)
		ret = flush_frame(w, e);
	if (ret == 0 && len > PIECE_BYTES)
		return repo_temp_write(&w->temp, data, len, e);
	if (ret == 0)
		buf_add(&w->frame, data, len);
	return ret == 0 ? buf_check(&w->frame, "frame", e) : ret;
}

/* A zst_sink: content of a frame that came. */
static int
add_decoded(void *arg, const void *data, size_t len, struct err *e)
{
	struct object_writer *w = arg;

	(void)e;
	digest_add(w->digest, data, len);
	w->got_bytes += len;
	return 0;
}

static int
install_frame(struct object_writer *w, const struct digest *d, struct err *e)
{
	int ret = flush_frame(w, e);

	w->stored_bytes = w->temp.sum.bytes;
	if (ret == 0)
		ret = repo_temp_install_object(w->repo, &w->temp, d, e);
	return ret;
}

static int
has_object(struct object_writer *w, const struct digest *d,
    const struct digest *likely, bool *has, struct err *e)
{
	*has = likely != NULL && digest_equal(d, likely);
	return *has ? 0 : repo_has_object(w->repo, d, has, e);
}

/* Stores at most OBJECT_WHOLE_BYTES. */
static int
put_content(struct object_writer *w, const void *data, size_t len,
    const struct digest *likely, struct object *out, struct err *e)
{
	struct object o = { .size_bytes = len };
	bool has = false;
	int ret;

	/* With a state of our own: digest_of looks the algorithm up. */
	digest_reset(w->digest);
	digest_add(w->digest, data, len);
	digest_end(w->digest, &o.digest);
	ret = has_object(w, &o.digest, likely, &has, e);
	if (ret != 0)
		return ret;
	if (!has) {
		ret = zst_encode(w->encoder, data, len, &w->frame, e);
		if (ret == 0)
			ret = install_frame(w, &o.digest, e);
		if (ret != 0)
			return ret;
	}
	o.stored = !has;
	o.stored_bytes = has ? 0 : w->stored_bytes;
	*out = o;
	return 0;
}

int
object_begin(struct object_writer *w, enum object_form form,
    const struct digest *digest, uint64_t size_bytes, struct err *e)
{
	int ret = 0;

	object_cancel(w);
	digest_reset(w->digest);
	if (form == OBJECT_FRAME)
		ret = zst_decode_begin(w->decoder, size_bytes, e);
	else if (size_bytes > OBJECT_WHOLE_BYTES)
		ret = begin_stream(w, size_bytes, false, e);
	if (ret != 0)
		return ret;
	w->form = form;
	w->expected = *digest;
	w->size_bytes = size_bytes;
	w->open = true;
	return 0;
}

static int
feed_frame(struct object_writer *w, const void *data, size_t len, struct err *e)
{
	int ret = zst_decode_feed(w->decoder, data, len, add_decoded, w, e);

	return ret == 0 ? add_frame(w, data, len, e) : ret;
}

static int
feed_content(
    struct object_writer *w, const void *data, size_t len, struct err *e)
{
	if (len > w->size_bytes - w->got_bytes)
		return err_set(e, ERR_VERIFY,
		    "content is longer than its %llu bytes",
		    (unsigned long long)w->size_bytes);
	digest_add(w->digest, data, len);
	if (w->size_bytes > OBJECT_WHOLE_BYTES) {
		w->got_bytes += len;
		return zst_feed(w->stream, data, len, add_frame, w, e);
	}
	if (len > 0)
		memcpy(w->content + w->got_bytes, data, len);
	w->got_bytes += len;
	return 0;
}

static int
object_failed(struct object_writer *w, struct err *e)
{
	char hex[DIGEST_HEX];

	digest_hex(&w->expected, hex);
	object_cancel(w);
	return err_prefix(e, "object %s", hex);
}

int
object_feed(
    struct object_writer *w, const void *data, size_t len, struct err *e)
{
	int ret;

	if (!w->open)
		return err_set(e, ERR_USAGE, "no object was begun");
	if (w->form == OBJECT_FRAME)
		ret = feed_frame(w, data, len, e);
	else
		ret = feed_content(w, data, len, e);
	return ret == 0 ? 0 : object_failed(w, e);
}

static int
check_result(uint64_t got_bytes, uint64_t size_bytes, const struct digest *got,
    const struct digest *expected, struct err *e)
{
	char hex[DIGEST_HEX];

	if (got_bytes != size_bytes)
		return err_set(e, ERR_VERIFY,
		    "content is %llu bytes and not %llu",
		    (unsigned long long)got_bytes,
		    (unsigned long long)size_bytes);
	if (digest_equal(got, expected))
		return 0;
	digest_hex(got, hex);
	return err_set(e, ERR_VERIFY, "content has the digest %s", hex);
}

/* Completes the frame when it was not made piece by piece. */
static int
finish_frame(struct object_writer *w, struct err *e)
{
	if (w->form == OBJECT_FRAME)
		return zst_decode_end(w->decoder, e);
	if (w->size_bytes > OBJECT_WHOLE_BYTES)
		return zst_end(w->stream, add_frame, w, e);
	return zst_encode(
	    w->encoder, w->content, (size_t)w->size_bytes, &w->frame, e);
}

int
object_end(struct object_writer *w, struct err *e)
{
	struct digest got;
	int ret;

	if (!w->open)
		return err_set(e, ERR_USAGE, "no object was begun");
	digest_end(w->digest, &got);
	ret = check_result(w->got_bytes, w->size_bytes, &got, &w->expected, e);
	if (ret == 0)
		ret = finish_frame(w, e);
	if (ret == 0)
		ret = install_frame(w, &w->expected, e);
	if (ret != 0)
		return object_failed(w, e);
	w->open = false;
	return 0;
}

void
object_cancel(struct object_writer *w)
{
	repo_temp_discard(w->repo, &w->temp);
	buf_clear(&w->frame);
	w->got_bytes = 0;
	w->open = false;
}

/* Up to size bytes at an offset; short only at the file's end. */
static int
read_at(
    int fd, void *dst, size_t size, uint64_t offset, size_t *got, struct err *e)
{
	uint8_t *p = dst;
	size_t len = 0;

	while (len < size) {
		ssize_t n =
		    pread(fd, p + len, size - len, (off_t)(offset + len));

		if (n < 0)
			return err_sys(e, "read");
		if (n == 0)
			break;
		len += (size_t)n;
	}
	*got = len;
	return 0;
}

static int
put_small(struct object_writer *w, const struct object_source *s,
    struct object *out, struct err *e)
{
	size_t got = 0;
	int ret = read_at(s->fd, w->content, (size_t)s->size_bytes, 0, &got, e);

	if (ret != 0)
		return ret;
	if (got != s->size_bytes)
		return err_set(e, ERR_CHANGED, "became shorter");
	return put_content(w, w->content, got, s->likely, out, e);
}

/* Whether it is compressed already, or random, as far as two looks tell: what
 * is far back is of no use then. */
static int
is_dense(struct object_writer *w, const struct object_source *s, bool *dense,
    struct err *e)
{
	const uint64_t places[] = { 0, s->size_bytes / 2 };
	size_t got = 0;
	int ret = 0;

	*dense = true;
	for (size_t i = 0; i < 2 && ret == 0 && *dense; i++) {
		ret =
		    read_at(s->fd, w->content, PROBE_BYTES, places[i], &got, e);
		if (ret == 0)
			ret = zst_encode(
			    w->encoder, w->content, got, &w->frame, e);
		*dense = w->frame.len > got - got / 32;
		buf_clear(&w->frame);
	}
	return ret;
}

/* Reads all of it: hashes, and compresses if told to. */
static int
read_large(struct object_writer *w, const struct object_source *s,
    bool compress, struct digest *digest, struct err *e)
{
	uint64_t done = 0;
	size_t got = 1;
	int ret = 0;

	digest_reset(w->digest);
	while (ret == 0 && got > 0 && done < s->size_bytes) {
		ret = read_at(s->fd, w->content, PIECE_BYTES, done, &got, e);
		if (ret != 0)
			break;
		digest_add(w->digest, w->content, got);
		if (compress)
			ret = zst_feed(
			    w->stream, w->content, got, add_frame, w, e);
		done += got;
	}
	digest_end(w->digest, digest);
	if (ret == 0 && done != s->size_bytes)
		ret = err_set(e, ERR_CHANGED, "became shorter");
	return ret;
}

/* One pass, unless it is likely there: what turns out to be is thrown away. */
static int
put_large(struct object_writer *w, const struct object_source *s,
    struct object *out, struct err *e)
{
	struct object o = { .size_bytes = s->size_bytes };
	bool has = false, dense = false;
	int ret = 0;

	if (s->likely != NULL) {
		ret = read_large(w, s, false, &o.digest, e);
		if (ret == 0)
			ret = has_object(w, &o.digest, s->likely, &has, e);
	}
	if (ret == 0 && !has) {
		ret = is_dense(w, s, &dense, e);
		if (ret == 0)
			ret = begin_stream(w, s->size_bytes, dense, e);
		if (ret == 0)
			ret = read_large(w, s, true, &o.digest, e);
		if (ret == 0)
			ret = zst_end(w->stream, add_frame, w, e);
		if (ret == 0)
			ret = repo_has_object(w->repo, &o.digest, &has, e);
		if (ret == 0 && !has)
			ret = install_frame(w, &o.digest, e);
	}
	if (ret != 0)
		return ret;
	o.stored = !has;
	o.stored_bytes = has ? 0 : w->stored_bytes;
	*out = o;
	return 0;
}

static bool
same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

int
object_put_source(struct object_writer *w, const struct object_source *source,
    struct object *out, struct err *e)
{
	int ret;

	object_cancel(w);
	if (source->size_bytes <= OBJECT_WHOLE_BYTES)
		ret = put_small(w, source, out, e);
	else
		ret = put_large(w, source, out, e);
	object_cancel(w);
	return ret;
}

/* Content stored from a file that then turns out to have changed is an object
 * like any other, only that nothing refers to it. */
static int
put_file_once(
    struct object_writer *w, int fd, struct object *out, struct err *e)
{
	struct object_source source = { .fd = fd };
	struct fsat_stat before, after;
	int ret = fsat_stat_fd(fd, &before, e);

	if (ret != 0)
		return ret;
	if ((before.mode & S_IFMT) != S_IFREG)
		return err_set(e, ERR_UNSUPPORTED, "not a regular file");
	source.size_bytes = before.size_bytes;
	ret = object_put_source(w, &source, out, e);
	if (ret == 0)
		ret = fsat_stat_fd(fd, &after, e);
	if (ret != 0)
		return ret;
	if (before.size_bytes != after.size_bytes ||
	    !same_time(&before.mtime, &after.mtime) ||
	    !same_time(&before.ctime, &after.ctime))
		return err_set(e, ERR_CHANGED, "changed while it was read");
	return 0;
}

int
object_put_file(struct object_writer *w, int fd, const char *name,
    struct object *out, struct err *e)
{
	int ret = ERR_CHANGED;

	for (int i = 0; i < OBJECT_READ_TRIES && ret == ERR_CHANGED; i++)
		ret = put_file_once(w, fd, out, e);
	return ret == 0 ? 0 : err_prefix(e, "%s", name);
}

int
object_put_bytes(struct object_writer *w, const void *data, size_t len,
    struct object *out, struct err *e)
{
	struct object o = { .size_bytes = len };
	bool has = false;
	int ret;

	object_cancel(w);
	if (len <= OBJECT_WHOLE_BYTES)
		return put_content(w, data, len, NULL, out, e);
	digest_of(data, len, &o.digest);
	ret = repo_has_object(w->repo, &o.digest, &has, e);
	if (ret == 0 && !has) {
		ret = object_begin(w, OBJECT_CONTENT, &o.digest, len, e);
		if (ret == 0)
			ret = object_feed(w, data, len, e);
		if (ret == 0)
			ret = object_end(w, e);
	}
	if (ret != 0)
		return ret;
	o.stored = !has;
	o.stored_bytes = has ? 0 : w->stored_bytes;
	*out = o;
	return 0;
}

int
object_put_frame(struct object_writer *w, int fd, const struct digest *digest,
    uint64_t size_bytes, struct err *e)
{
	int ret = object_begin(w, OBJECT_FRAME, digest, size_bytes, e);
	ssize_t n = 1;

	/* w->content is free: frames are not collected there. */
	while (ret == 0 && n > 0) {
		n = read(fd, w->content, PIECE_BYTES);
		if (n < 0)
			ret = err_sys(e, "read frame");
		else if (n > 0)
			ret = object_feed(w, w->content, (size_t)n, e);
	}
	if (ret == 0)
		ret = object_end(w, e);
	object_cancel(w);
	return ret;
}

int
object_reader_new(struct repo *r, struct object_reader **out, struct err *e)
{
	struct object_reader *o = calloc(1, sizeof(*o));
	int ret;

	if (o == NULL)
		return err_memory(e);
	o->repo = r;
	o->piece = malloc(PIECE_BYTES);
	ret = o->piece != NULL ? 0 : err_memory(e);
	if (ret == 0)
		ret = zst_decoder_new(&o->decoder, e);
	if (ret == 0)
		ret = digest_new(&o->digest, e);
	if (ret != 0) {
		object_reader_free(o);
		return ret;
	}
	*out = o;
	return 0;
}

void
object_reader_free(struct object_reader *o)
{
	if (o == NULL)
		return;
	zst_decoder_free(o->decoder);
	digest_free(o->digest);
	free(o->piece);
	free(o);
}

struct reading {
	struct digest_state *digest;
	uint64_t bytes;
	const struct object_frame *frame;
};

/* A zst_sink between the decoder and the caller's sink. */
static int
pass_on(void *arg, const void *data, size_t len, struct err *e)
{
	struct reading *r = arg;

	digest_add(r->digest, data, len);
	r->bytes += len;
	if (r->frame->sink == NULL)
		return 0;
	return r->frame->sink(r->frame->arg, data, len, e);
}

static int
read_frame(struct object_reader *o, struct reading *r, struct err *e)
{
	ssize_t n = 1;
	int ret = zst_decode_begin(o->decoder, r->frame->max_bytes, e);

	while (ret == 0 && n > 0) {
		n = read(r->frame->fd, o->piece, PIECE_BYTES);
		if (n < 0)
			return err_sys(e, "read");
		ret = zst_decode_feed(
		    o->decoder, o->piece, (size_t)n, pass_on, r, e);
	}
	return ret == 0 ? zst_decode_end(o->decoder, e) : ret;
}

int
object_read_frame(struct object_reader *o, const struct object_frame *frame,
    uint64_t *size_bytes, struct err *e)
{
	struct reading r = { o->digest, 0, frame };
	struct digest got;
	int ret;

	digest_reset(o->digest);
	ret = read_frame(o, &r, e);
	if (ret != 0)
		return ret;
	digest_end(o->digest, &got);
	ret = check_result(r.bytes, r.bytes, &got, frame->digest, e);
	if (ret == 0)
		*size_bytes = r.bytes;
	return ret;
}

int
object_read(struct object_reader *o, const struct digest *digest,
    uint64_t max_bytes, object_sink sink, void *arg, struct err *e)
{
	struct object_frame frame = { -1, digest, max_bytes, sink, arg };
	char hex[DIGEST_HEX];
	uint64_t size_bytes;
	int ret = repo_open_object(o->repo, digest, &frame.fd, NULL, e);

	if (ret != 0)
		return ret;
	ret = object_read_frame(o, &frame, &size_bytes, e);
	close(frame.fd);
	if (ret == 0)
		return 0;
	digest_hex(digest, hex);
	return err_prefix(e, "object %s", hex);
}

/* An object_sink. */
static int
write_to(void *arg, const void *data, size_t len, struct err *e)
{
	const int *fd = arg;

	return fsat_write_all(*fd, data, len, e);
}

static int
content_file(
    struct object_reader *o, uint64_t size_bytes, int *fd, struct err *e)
{
	if (size_bytes > OBJECT_MEMORY_BYTES)
		return repo_temp_nameless(o->repo, fd, e);
	*fd = memfd_create("object", MFD_CLOEXEC);
	return *fd >= 0 ? 0 : err_sys(e, "memory file");
}

int
object_size(struct object_reader *o, const struct digest *digest,
    uint64_t *size_bytes, struct err *e)
{
	uint8_t start[ZST_HEADER_BYTES];
	size_t got = 0;
	int fd, ret;

	if ((ret = repo_open_object(o->repo, digest, &fd, NULL, e)) != 0)
		return ret;
	ret = fsat_read_some(fd, start, sizeof(start), &got, e);
	close(fd);
	return ret != 0 ? ret : zst_content_size(start, got, size_bytes, e);
}

int
object_open_content(struct object_reader *o, const struct digest *digest,
    uint64_t size_bytes, int *fd, struct err *e)
{
	int f = -1, ret = content_file(o, size_bytes, &f, e);
	off_t end;

	if (ret != 0)
		return ret;
	ret = object_read(o, digest, size_bytes, write_to, &f, e);
	end = lseek(f, 0, SEEK_CUR);
	if (ret == 0 && (end < 0 || (uint64_t)end != size_bytes))
		ret = err_set(e, ERR_VERIFY,
		    "object is not of the %llu bytes it should have",
		    (unsigned long long)size_bytes);
	if (ret == 0 && lseek(f, 0, SEEK_SET) != 0)
		ret = err_sys(e, "object");
	if (ret != 0) {
		close(f);
		return ret;
	}
	*fd = f;
	return 0;
}
