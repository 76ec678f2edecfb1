/* Batches of objects.  Runs in peciad's workers. */
#include "server/serve_batch.h"

#include <stdlib.h>
#include <unistd.h>

#include "common/fsat.h"
#include "common/limits.h"

#define HEAD_BYTES (DIGEST_BYTES + 8)

struct batch {
	int repo;
	struct serve_slot *slot;
	size_t count, next;
	const uint8_t *digests;          /* of the request, or of `numbered` */
	struct serve_numbered *numbered; /* NULL: asked for by digest */
	struct reader ranges;            /* of the request */
	uint64_t number, run; /* of the next file; so many in a row */
	int fd;               /* of the object under way, or -1 */
	uint64_t left;
};

/* "v1/object/<aa>/<sha256>" */
static void
object_path(char path[96], const uint8_t *digest)
{
	char hex[DIGEST_HEX];
	struct digest d;

	memcpy(d.b, digest, sizeof(d.b));
	digest_hex(&d, hex);
	(void)snprintf(path, 96, "v1/object/%.2s/%s", hex, hex);
}

/* *fd is -1 when the object is not here.  One that cannot be read is as good
 * as missing: the peer will ask elsewhere. */
static void
open_object(
    const struct batch *b, const uint8_t *digest, int *fd, uint64_t *size)
{
	struct err e = ERR_INIT;
	struct fsat_stat st;
	char path[96];
	int rc;

	object_path(path, digest);
	*fd = -1;
	rc = fsat_open_stat(b->repo, path, fd, &st, &e);
	if (rc == 0)
		*size = st.size_bytes;
	if (rc != 0 && rc != ERR_NOT_FOUND)
		serve_warn(b->slot, "cannot serve object", &e, path);
}

static void
put_u64(uint8_t *dst, uint64_t v)
{
	for (int i = 7; i >= 0; i--, v >>= 8)
		dst[i] = (uint8_t)v;
}

static bool
next_run(struct reader *ranges, uint64_t *number, uint64_t *run)
{
	uint64_t pass_over;

	if (reader_varint(ranges, &pass_over) != 0 ||
	    reader_varint(ranges, run) != 0 || pass_over > LIMIT_SELECT_FILES ||
	    *run > LIMIT_BATCH_OBJECTS)
		return false;
	*number += pass_over;
	return true;
}

static const uint8_t *
next_digest(struct batch *b)
{
	size_t i = b->next++;

	if (b->numbered != NULL) {
		while (b->run == 0 && next_run(&b->ranges, &b->number, &b->run))
			continue;
		b->run--;
		i = (size_t)b->number++;
	}
	return b->digests + DIGEST_BYTES * i;
}

/* The bytes it takes in dst. */
static size_t
start_object(struct batch *b, uint8_t *dst)
{
	const uint8_t *digest = next_digest(b);
	uint64_t size = 0;

	open_object(b, digest, &b->fd, &size);
	b->left = size;
	serve_count(
	    b->fd >= 0 ? &b->slot->objects_sent : &b->slot->objects_missing, 1);
	if (b->numbered != NULL)
		return varint_write(dst, b->fd >= 0 ? size + 1 : 0);
	memcpy(dst, digest, DIGEST_BYTES);
	put_u64(dst + DIGEST_BYTES, b->fd >= 0 ? size : SERVE_BATCH_MISSING);
	return HEAD_BYTES;
}

static int
read_object(
    struct batch *b, uint8_t *dst, size_t room, size_t *got, struct err *e)
{
	size_t want = room < b->left ? room : (size_t)b->left;
	int rc = fsat_read_some(b->fd, dst, want, got, e);

	if (rc == 0 && *got == 0)
		rc = err_set(e, ERR_CHANGED, "object became shorter");
	if (rc == 0)
		b->left -= *got;
	else
		serve_warn(b->slot, "batch broken off", e, "");
	return rc;
}

static void
end_object(struct batch *b)
{
	if (b->fd >= 0)
		close(b->fd);
	b->fd = -1;
}

/* Fills dst with as many objects as there is room for. */
static int
produce(void *arg, uint8_t *dst, size_t size, size_t *got, struct err *e)
{
	struct batch *b = arg;
	size_t n = 0, more = 0;
	int rc;

	while (n < size) {
		if (b->left > 0) {
			rc = read_object(b, dst + n, size - n, &more, e);
			if (rc != 0)
				return rc;
			n += more;
			continue;
		}
		end_object(b);
		if (b->next == b->count || size - n < HEAD_BYTES)
			break;
		n += start_object(b, dst + n);
	}
	*got = n;
	return 0;
}

static void
release(void *arg)
{
	struct batch *b = arg;

	end_object(b);
	if (b->numbered != NULL)
		serve_numbers_give(b->numbered);
	free(b);
}

/* Takes what numbered has over; a copy of b is sent. */
static void
send_batch(const struct batch *b, struct http_request *r)
{
	struct batch *sent = malloc(sizeof(*sent));

	if (sent == NULL) {
		if (b->numbered != NULL)
			serve_numbers_give(b->numbered);
		http_reply_text(r, 503, "too busy; try again");
		return;
	}
	*sent = *b;
	http_reply_header(r, "Content-Type", "application/octet-stream");
	http_reply_header(r, "Cache-Control", "no-store");
	http_reply_stream(r, 200, produce, release, sent);
}

void
serve_batch_handle(int repo, struct serve_slot *slot, struct http_request *r)
{
	size_t len = 0;
	const uint8_t *digests = http_request_body(r, &len);

	if (len == 0 || len % DIGEST_BYTES != 0 ||
	    len / DIGEST_BYTES > LIMIT_BATCH_OBJECTS) {
		http_reply_text(
		    r, 400, "the body must be 1 to 8192 digests of 32 bytes");
		return;
	}
	send_batch(
	    &(struct batch){
	        .repo = repo,
	        .slot = slot,
	        .digests = digests,
	        .count = len / DIGEST_BYTES,
	        .fd = -1,
	    },
	    r);
}

/* ---- by number ---- */

bool
serve_batch_ranges(struct reader ranges, uint64_t *count, uint64_t *end)
{
	uint64_t run;

	*count = *end = 0;
	while (reader_left(&ranges) > 0) {
		if (!next_run(&ranges, end, &run))
			return false;
		*end += run;
		*count += run;
		if (*count > LIMIT_BATCH_OBJECTS || *end > LIMIT_SELECT_FILES)
			return false;
	}
	return *count > 0;
}

void
serve_batch_select(struct serve_numbers *numbers, struct http_request *r,
    const struct digest *manifest)
{
	struct batch b = {
		.repo = numbers->repo, .slot = numbers->slot, .fd = -1
	};
	struct err e = ERR_INIT;
	size_t len = 0;
	const uint8_t *body = http_request_body(r, &len);
	uint64_t count, end;

	reader_init(&b.ranges, body, len);
	if (!serve_batch_ranges(b.ranges, &count, &end)) {
		http_reply_text(r, 400,
		    "the body must be ranges of 1 to 8192 files, of the first "
		    "131072");
		return;
	}
	if (serve_numbers_take(numbers, manifest, &b.numbered, &e) != 0) {
		http_reply_text(r, 404, e.msg);
		return;
	}
	b.digests = b.numbered->digests.data;
	b.count = (size_t)count;
	if (end > b.numbered->digests.len / DIGEST_BYTES) {
		serve_numbers_give(b.numbered);
		http_reply_text(r, 404, "the manifest has no such file");
		return;
	}
	send_batch(&b, r);
}
