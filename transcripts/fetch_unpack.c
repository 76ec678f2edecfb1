/* The deciding half of fetching: what data transcripts hold. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/pool.h"
#include "transcripts/fetch_impl.h"
#include "transcripts/fetch_wire.h"

/* Small enough to stay in a core's cache until it is written. */
#define BODY_BYTES ((size_t)128 * 1024)
/* Full buffers may wait for the thread that hashes, so that neither it nor this
 * one waits each time; one more is being hashed, and one filled. */
#define BODY_WAITING 2
#define BODY_BUFFERS (BODY_WAITING + 2)

/* What is hashed by another thread. */
struct aside {
	struct digest_state *hash;
	uint8_t data[BODY_BYTES];
};

/* A member's result, gathered: its pieces may be few bytes each. */
struct body {
	struct fetch *f;
	const struct fetch_unpacker *u;
	const struct fetch_member *m;
	int basis_fd;
	uint64_t left; /* of its signed size */
	char bad[256]; /* why nothing more is taken of it, or "" */
	struct pool
	    *pool; /* of one thread; NULL: none yet, or none to be had */
	size_t held;
	size_t turn; /* buffer in which they are gathered */
	struct aside buffers[BODY_BUFFERS];
};

/* A pool_fn. */
static int
hash_aside(void *arg, struct err *e)
{
	const struct aside *a = arg;

	(void)e;
	digest_add(a->hash, a->data, BODY_BYTES);
	return 0;
}

/* All that was passed on is hashed. */
static int
settle(struct body *b, struct err *e)
{
	return b->pool != NULL ? pool_wait(b->pool, e) : 0;
}

static int
pass_on(struct body *b, const void *data, size_t len, struct err *e)
{
	int rc = settle(b, e);

	if (rc != 0)
		return rc;
	digest_add(b->f->hash, data, len);
	return b->u->data(b->u->arg, data, len, e);
}

/* A full buffer is hashed while it is written and others are filled; that there
 * is room for it means that the one after it was hashed. */
static int
pass_buffer(struct body *b, struct err *e)
{
	struct aside *full = &b->buffers[b->turn];

	full->hash = b->f->hash;
	pool_submit(b->pool, hash_aside, full);
	b->turn = (b->turn + 1) % BODY_BUFFERS;
	return b->u->data(b->u->arg, full->data, BODY_BYTES, e);
}

/* Where there is another processor for it, and a thread to be had. */
static bool
hashes_aside(struct body *b)
{
	if (b->pool == NULL && pool_cpus() > 1 &&
	    pool_new(1, BODY_WAITING, &b->pool, NULL) != 0)
		b->pool = NULL;
	return b->pool != NULL;
}

static int
pass_held(struct body *b, struct err *e)
{
	size_t len = b->held;

	b->held = 0;
	if (len == BODY_BYTES && hashes_aside(b))
		return pass_buffer(b, e);
	return len == 0 ? 0 : pass_on(b, b->buffers[b->turn].data, len, e);
}

/* So many bytes are next; false if it has too many then. */
static bool
allow(struct body *b, uint64_t len)
{
	if (b->bad[0] == '\0' && len > b->left)
		(void)snprintf(b->bad, sizeof(b->bad), "wrong size");
	if (b->bad[0] != '\0')
		return false;
	b->left -= len;
	return true;
}

static int
add_data(struct body *b, const uint8_t *data, size_t len, struct err *e)
{
	int rc = 0;

	if (!allow(b, len))
		return 0;
	if (len > BODY_BYTES - b->held)
		rc = pass_held(b, e);
	if (rc != 0)
		return rc;
	if (len >= BODY_BYTES / 2 && b->held == 0)
		return pass_on(b, data, len, e);
	memcpy(b->buffers[b->turn].data + b->held, data, len);
	b->held += len;
	return 0;
}

/* The basis is a file that anybody may be writing to: it is no error if it has
 * not what it had, and the digest says so if it has something else. */
static int
add_copy(struct body *b, uint64_t offset, uint64_t len, struct err *e)
{
	int rc = 0;

	if (!allow(b, len))
		return 0;
	while (rc == 0 && len > 0) {
		size_t room = BODY_BYTES - b->held;
		ssize_t n;

		n = pread(b->basis_fd, b->buffers[b->turn].data + b->held,
		    len < room ? (size_t)len : room, (off_t)offset);
		if (n <= 0) {
			(void)snprintf(b->bad, sizeof(b->bad), "%s",
			    n == 0 ? "copies what is not in the basis"
			           : "cannot read the basis");
			return 0;
		}
		b->held += (size_t)n;
		offset += (uint64_t)n;
		len -= (uint64_t)n;
		if (b->held == BODY_BYTES)
			rc = pass_held(b, e);
	}
	return rc;
}

static int
add_message(struct body *b, const struct ipc_msg *msg, struct err *e)
{
	struct reader r;
	uint64_t offset, len;

	if (msg->type == WIRE_DATA)
		return add_data(b, msg->data, msg->len, e);
	reader_init(&r, msg->data, msg->len);
	if (msg->type != WIRE_COPY || reader_u64(&r, &offset) != 0 ||
	    reader_u64(&r, &len) != 0)
		return fetch_out_of_step(b->f, e);
	return add_copy(b, offset, len, e);
}

static int
end_body(struct body *b, const struct ipc_msg *msg, struct err *e)
{
	struct digest got;
	int rc = b->bad[0] == '\0' ? pass_held(b, e) : 0;

	if (rc == 0)
		rc = settle(b, e);
	if (rc != 0)
		return rc;
	if (b->bad[0] == '\0')
		fetch_end_text(msg, b->bad, sizeof(b->bad));
	digest_end(b->f->hash, &got);
	if (b->bad[0] == '\0' && b->left > 0)
		(void)snprintf(b->bad, sizeof(b->bad), "wrong size");
	else if (b->bad[0] == '\0' && !digest_equal(&got, &b->m->digest))
		(void)snprintf(b->bad, sizeof(b->bad), "wrong digest");
	return b->u->end(b->u->arg, b->m, b->bad[0] != '\0' ? b->bad : NULL, e);
}

static int
take_body(struct body *b, struct err *e)
{
	struct ipc_msg msg;
	int rc;

	fetch_hash_anew(b->f);
	b->held = 0;
	b->bad[0] = '\0';
	if (b->basis_fd < 0 &&
	    (b->m->kind == FETCH_MEMBER_MANIFEST_DELTA ||
	        b->m->kind == FETCH_MEMBER_OBJECT_DELTA))
		(void)snprintf(b->bad, sizeof(b->bad), "no basis");
	while ((rc = fetch_next_reply(b->f, &msg, 0, e)) == 0 &&
	    msg.type != WIRE_MEMBER_END)
		if ((rc = add_message(b, &msg, e)) != 0)
			return rc;
	return rc != 0 ? rc : end_body(b, &msg, e);
}

static int
pass_over_body(struct fetch *f, struct err *e)
{
	struct ipc_msg msg;
	int rc;

	do
		rc = fetch_next_reply(f, &msg, 0, e);
	while (rc == 0 && (msg.type == WIRE_DATA || msg.type == WIRE_COPY));
	return rc != 0 || msg.type == WIRE_MEMBER_END ? rc
	                                              : fetch_out_of_step(f, e);
}

static int
send_take(struct fetch *f, uint64_t size_bytes, struct err *e)
{
	struct buf b;
	int rc;

	buf_init(&b, sizeof(size_bytes));
	buf_add_u64(&b, size_bytes);
	rc = buf_check(&b, "request", e);
	if (rc == 0)
		rc = fetch_request(f, WIRE_TAKE, b.data, b.len, e);
	buf_release(&b);
	return rc;
}

static int
read_member(struct fetch *f, const struct ipc_msg *msg, struct fetch_member *m,
    uint8_t *follows, struct err *e)
{
	struct reader r;
	uint8_t kind;

	reader_init(&r, msg->data, msg->len);
	if (msg->type != WIRE_MEMBER || reader_u8(&r, &kind) != 0 ||
	    kind > FETCH_MEMBER_OBJECT_DELTA || reader_u8(&r, follows) != 0 ||
	    *follows > WIRE_MEMBER_TOLD ||
	    reader_copy(&r, m->digest.b, DIGEST_BYTES) != 0 ||
	    reader_copy(&r, m->basis.b, DIGEST_BYTES) != 0)
		return fetch_out_of_step(f, e);
	m->kind = (enum fetch_member_kind)kind;
	return 0;
}

static int
answer_member(struct body *b, uint8_t follows, struct err *e)
{
	const struct fetch_unpacker *u = b->u;
	bool take = false;
	int rc;

	b->basis_fd = -1;
	b->left = 0;
	rc = u->offer(u->arg, b->m, &take, &b->left, &b->basis_fd, e);
	if (rc != 0 || follows == WIRE_MEMBER_TOLD)
		return rc;
	if (follows == WIRE_MEMBER_ASKS)
		rc = take ? send_take(b->f, b->left, e)
		          : fetch_request(b->f, WIRE_SKIP, NULL, 0, e);
	else if (!take)
		return pass_over_body(b->f, e);
	return rc != 0 || !take ? rc : take_body(b, e);
}

static int
unpack_members(struct fetch *f, const struct fetch_unpacker *u, struct err *e)
{
	struct body *b = calloc(1, sizeof(*b));
	struct fetch_member m;
	struct ipc_msg msg;
	uint8_t follows = 0;
	int rc;

	if (b == NULL)
		return err_memory(e);
	b->f = f;
	b->u = u;
	b->m = &m;
	while (
	    (rc = fetch_next_reply(f, &msg, 0, e)) == 0 && msg.type != WIRE_OK)
		if ((rc = read_member(f, &msg, &m, &follows, e)) != 0 ||
		    (rc = answer_member(b, follows, e)) != 0)
			break;
	pool_free(b->pool);
	free(b);
	return rc;
}

int
fetch_unpack(struct fetch *f, int fd, uint64_t size_bytes,
    const struct fetch_unpacker *unpacker, struct err *e)
{
	struct buf b;
	int rc;

	if (f->broken)
		return err_set(e, ERR_NET, "the fetcher is gone");
	f->failed = false;
	buf_init(&b, sizeof(size_bytes) + 1);
	buf_add_u64(&b, size_bytes);
	buf_add_byte(&b, unpacker->texts_only);
	rc = buf_check(&b, "request", e);
	if (rc == 0)
		rc = ipc_send_fd(f->ipc, WIRE_UNPACK, b.data, b.len, fd, e);
	buf_release(&b);
	if (rc == 0)
		rc = unpack_members(f, unpacker, e);
	/* What the fetcher still says belongs to no later question, unless it
	 * ended the conversation itself. */
	if (rc != 0 && !f->failed)
		f->broken = true;
	return rc != 0 ? err_prefix(e, "data transcript") : 0;
}
