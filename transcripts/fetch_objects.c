/* The deciding half of fetching: objects, and what data transcripts hold. */
#include <string.h>

#include "transcripts/fetch_impl.h"
#include "transcripts/fetch_wire.h"

/* ---- objects ---- */

struct taking {
	struct fetch *f;
	const struct fetch_taker *taker;
	const struct fetch_want *want;
	uint64_t got;
};

static int
object_begin(struct taking *t, struct err *e)
{
	t->got = 0;
	fetch_hash_anew(t->f);
	return t->taker->begin(t->taker->arg, t->want, e);
}

static int
object_data(struct taking *t, const void *data, size_t len, struct err *e)
{
	t->got += len;
	if (t->taker->form == FETCH_CONTENT) {
		if (t->got > t->want->size_bytes)
			return fetch_out_of_step(t->f, e);
		digest_add(t->f->hash, data, len);
	}
	return t->taker->data(t->taker->arg, data, len, e);
}

static int
object_end(struct taking *t, const char *bad, struct err *e)
{
	struct digest got;

	if (t->taker->form == FETCH_CONTENT && *bad == '\0') {
		digest_end(t->f->hash, &got);
		if (t->got != t->want->size_bytes)
			bad = "wrong size";
		else if (!digest_equal(&got, &t->want->digest))
			bad = "wrong digest";
	}
	return t->taker->end(
	    t->taker->arg, t->want, *bad != '\0' ? bad : NULL, e);
}

static bool
names_want(const struct ipc_msg *msg, const struct fetch_want *want)
{
	return msg->len >= DIGEST_BYTES &&
	    memcmp(msg->data, want->digest.b, DIGEST_BYTES) == 0;
}

/* The text of an OBJECT_END or MEMBER_END into dst, "" when all is well. */
static void
end_text(const struct ipc_msg *msg, char *dst, size_t size)
{
	size_t n = msg->len < size - 1 ? msg->len : size - 1;

	memcpy(dst, msg->data, n);
	dst[n] = '\0';
}

/* It goes on with the next server, perhaps. */
static void
note_part(struct taking *t, int rc)
{
	struct fetch *f = t->f;

	f->has_part = t->taker->rest != NULL && f->failed && !f->broken &&
	    (rc == ERR_NET || rc == ERR_TIMEOUT);
	f->part = t->want->digest;
	f->part_bytes = t->got;
}

static int
object_stream(struct taking *t, struct err *e)
{
	struct ipc_msg msg;
	char bad[256];
	int rc;

	for (;;) {
		if ((rc = fetch_next_reply(t->f, &msg, 0, e)) != 0) {
			note_part(t, rc);
			return rc;
		}
		if (msg.type == WIRE_OBJECT_END)
			break;
		if (msg.type != WIRE_DATA)
			return fetch_out_of_step(t->f, e);
		if ((rc = object_data(t, msg.data, msg.len, e)) != 0)
			return rc;
	}
	end_text(&msg, bad, sizeof(bad));
	return object_end(t, bad, e);
}

static int
object_rest(struct taking *t, struct err *e)
{
	struct fetch *f = t->f;
	int rc;

	if (!f->has_part || t->taker->rest == NULL ||
	    !digest_equal(&f->part, &t->want->digest))
		return fetch_out_of_step(f, e);
	f->has_part = false;
	t->got = f->part_bytes;
	rc = t->taker->rest(t->taker->arg, t->want, e);
	return rc != 0 ? rc : object_stream(t, e);
}

static int
object_whole(struct taking *t, const struct ipc_msg *msg, struct err *e)
{
	int rc;

	if ((rc = object_begin(t, e)) != 0)
		return rc;
	rc = object_data(
	    t, msg->data + DIGEST_BYTES, msg->len - DIGEST_BYTES, e);
	return rc != 0 ? rc : object_end(t, "", e);
}

static int
take_object(struct taking *t, struct err *e)
{
	struct ipc_msg msg;
	int rc;

	if ((rc = fetch_next_reply(t->f, &msg, 0, e)) != 0)
		return rc;
	if (!names_want(&msg, t->want))
		return fetch_out_of_step(t->f, e);
	switch (msg.type) {
	case WIRE_WHOLE:
		return object_whole(t, &msg, e);
	case WIRE_OBJECT:
		rc = object_begin(t, e);
		return rc != 0 ? rc : object_stream(t, e);
	case WIRE_REST:
		return object_rest(t, e);
	case WIRE_MISSING:
		return t->taker->missing(t->taker->arg, t->want, e);
	default:
		return fetch_out_of_step(t->f, e);
	}
}

static int
send_wants(struct fetch *f, const struct fetch_want *wants, size_t count,
    struct err *e)
{
	struct buf b;
	int rc = 0;

	buf_init(&b, LIMIT_IPC_BYTES);
	for (size_t i = 0; i < count && rc == 0; i++) {
		buf_add(&b, wants[i].digest.b, DIGEST_BYTES);
		buf_add_u64(&b, wants[i].size_bytes);
		if ((i + 1) % WIRE_WANTS_A_MESSAGE != 0 && i + 1 < count)
			continue;
		rc = buf_check(&b, "request", e);
		if (rc == 0)
			rc = fetch_request(f, WIRE_WANT, b.data, b.len, e);
		buf_clear(&b);
	}
	buf_release(&b);
	return rc;
}

static int
fetch_batch(struct fetch *f, const struct fetch_want *wants, size_t count,
    const struct fetch_taker *taker, struct err *e)
{
	const uint8_t request[2] = { (uint8_t)taker->form,
		taker->rest != NULL };
	struct taking t = { .f = f, .taker = taker };
	struct ipc_msg msg;
	int rc;

	rc = send_wants(f, wants, count, e);
	if (rc == 0)
		rc =
		    fetch_request(f, WIRE_OBJECTS, request, sizeof(request), e);
	for (size_t i = 0; i < count && rc == 0; i++) {
		t.want = &wants[i];
		rc = take_object(&t, e);
	}
	return rc != 0 ? rc : fetch_expect(f, WIRE_OK, &msg, 0, e);
}

int
fetch_objects(struct fetch *f, const struct fetch_want *wants, size_t count,
    const struct fetch_taker *taker, struct err *e)
{
	int rc = 0;

	for (size_t at = 0; at < count && rc == 0;) {
		size_t n = count - at < LIMIT_BATCH_OBJECTS
		    ? count - at
		    : LIMIT_BATCH_OBJECTS;

		rc = fetch_batch(f, wants + at, n, taker, e);
		at += n;
	}
	/* What the fetcher still says belongs to no later question, unless it
	 * ended the conversation about these objects itself. */
	if (rc != 0 && !f->failed)
		f->broken = true;
	return rc;
}

/* ---- data transcripts ---- */

static int
read_member(struct fetch *f, const struct ipc_msg *msg, struct fetch_member *m,
    struct err *e)
{
	struct reader r;
	uint8_t kind;

	reader_init(&r, msg->data, msg->len);
	if (reader_u8(&r, &kind) != 0 || kind > FETCH_MEMBER_OBJECT_DELTA ||
	    reader_copy(&r, m->digest.b, DIGEST_BYTES) != 0 ||
	    reader_copy(&r, m->basis.b, DIGEST_BYTES) != 0)
		return fetch_out_of_step(f, e);
	m->kind = (enum fetch_member_kind)kind;
	return 0;
}

static int
member_body(struct fetch *f, const struct fetch_member *m, uint64_t size_bytes,
    const struct fetch_unpacker *u, struct err *e)
{
	struct ipc_msg msg;
	struct digest got;
	uint64_t total = 0;
	char bad[256];
	int rc;

	fetch_hash_anew(f);
	for (;;) {
		if ((rc = fetch_next_reply(f, &msg, 0, e)) != 0)
			return rc;
		if (msg.type == WIRE_MEMBER_END)
			break;
		if (msg.type != WIRE_DATA || msg.len > size_bytes - total)
			return fetch_out_of_step(f, e);
		total += msg.len;
		digest_add(f->hash, msg.data, msg.len);
		if ((rc = u->data(u->arg, msg.data, msg.len, e)) != 0)
			return rc;
	}
	end_text(&msg, bad, sizeof(bad));
	digest_end(f->hash, &got);
	if (bad[0] == '\0' && total != size_bytes)
		(void)snprintf(bad, sizeof(bad), "wrong size");
	else if (bad[0] == '\0' && !digest_equal(&got, &m->digest))
		(void)snprintf(bad, sizeof(bad), "wrong digest");
	return u->end(u->arg, m, bad[0] != '\0' ? bad : NULL, e);
}

static int
answer_member(struct fetch *f, const struct fetch_member *m,
    const struct fetch_unpacker *u, struct err *e)
{
	struct buf b;
	uint64_t size_bytes = 0;
	int basis_fd = -1, rc;
	bool take = false;

	if ((rc = u->offer(u->arg, m, &take, &size_bytes, &basis_fd, e)) != 0)
		return rc;
	if (!take)
		return fetch_request(f, WIRE_SKIP, NULL, 0, e);
	buf_init(&b, 8);
	buf_add_u64(&b, size_bytes);
	rc = buf_check(&b, "request", e);
	if (rc == 0 && basis_fd >= 0)
		rc = ipc_send_fd(f->ipc, WIRE_TAKE, b.data, b.len, basis_fd, e);
	else if (rc == 0)
		rc = ipc_send(f->ipc, WIRE_TAKE, b.data, b.len, e);
	buf_release(&b);
	return rc != 0 ? rc : member_body(f, m, size_bytes, u, e);
}

static int
unpack_members(struct fetch *f, const struct fetch_unpacker *u, struct err *e)
{
	struct fetch_member m;
	struct ipc_msg msg;
	int rc;

	for (;;) {
		if ((rc = fetch_next_reply(f, &msg, 0, e)) != 0)
			return rc;
		if (msg.type == WIRE_OK)
			return 0;
		if (msg.type != WIRE_MEMBER)
			return fetch_out_of_step(f, e);
		rc = read_member(f, &msg, &m, e);
		if (rc == 0)
			rc = answer_member(f, &m, u, e);
		if (rc != 0)
			return rc;
	}
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
	buf_init(&b, 8);
	buf_add_u64(&b, size_bytes);
	rc = buf_check(&b, "request", e);
	if (rc == 0)
		rc = ipc_send_fd(f->ipc, WIRE_UNPACK, b.data, b.len, fd, e);
	buf_release(&b);
	if (rc == 0)
		rc = unpack_members(f, unpacker, e);
	/* As above. */
	if (rc != 0 && !f->failed)
		f->broken = true;
	return rc != 0 ? err_prefix(e, "data transcript") : 0;
}
