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
	const uint8_t *digests; /* of the request */
	size_t count, next;
	int fd; /* of the object under way, or -1 */
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

static void
start_object(struct batch *b, uint8_t *dst)
{
	const uint8_t *digest = b->digests + DIGEST_BYTES * b->next++;
	uint64_t size = 0;

	open_object(b, digest, &b->fd, &size);
	memcpy(dst, digest, DIGEST_BYTES);
	put_u64(dst + DIGEST_BYTES, b->fd >= 0 ? size : SERVE_BATCH_MISSING);
	b->left = size;
	serve_count(
	    b->fd >= 0 ? &b->slot->objects_sent : &b->slot->objects_missing, 1);
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
		start_object(b, dst + n);
		n += HEAD_BYTES;
	}
	*got = n;
	return 0;
}

static void
release(void *arg)
{
	end_object(arg);
	free(arg);
}

void
serve_batch_handle(int repo, struct serve_slot *slot, struct http_request *r)
{
	size_t len = 0;
	const uint8_t *digests = http_request_body(r, &len);
	struct batch *b;

	if (len == 0 || len % DIGEST_BYTES != 0 ||
	    len / DIGEST_BYTES > LIMIT_BATCH_OBJECTS) {
		http_reply_text(
		    r, 400, "the body must be 1 to 8192 digests of 32 bytes");
		return;
	}
	b = calloc(1, sizeof(*b));
	if (b == NULL) {
		http_reply_text(r, 503, "too busy; try again");
		return;
	}
	*b = (struct batch){
		.repo = repo,
		.slot = slot,
		.digests = digests,
		.count = len / DIGEST_BYTES,
		.fd = -1,
	};
	http_reply_header(r, "Content-Type", "application/octet-stream");
	http_reply_header(r, "Cache-Control", "no-store");
	http_reply_stream(r, 200, produce, release, b);
}
