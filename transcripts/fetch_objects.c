/* The deciding half of fetching: objects. */
#include <string.h>

#include "transcripts/fetch_impl.h"
#include "transcripts/fetch_wire.h"

/* Fewer are asked for by digest: for these no server need read a manifest. */
#define SELECT_LEAST 256

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

void
fetch_end_text(const struct ipc_msg *msg, char *dst, size_t size)
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
	fetch_end_text(&msg, bad, sizeof(bad));
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

/* Each once, in order, none beyond what a server counts to. */
static bool
is_selectable(const struct fetch_want *wants, size_t count)
{
	if (count < SELECT_LEAST ||
	    wants[count - 1].number >= LIMIT_SELECT_FILES)
		return false;
	for (size_t i = 1; i < count; i++)
		if (wants[i].number <= wants[i - 1].number)
			return false;
	return true;
}

static int
send_selection(struct fetch *f, const struct digest *manifest,
    const struct fetch_want *wants, size_t count, struct err *e)
{
	uint64_t at = 0;
	struct buf b;
	int rc;

	buf_init(&b, WIRE_SELECT_BYTES);
	buf_add(&b, manifest->b, DIGEST_BYTES);
	for (size_t i = 0, n; i < count; i += n) {
		n = 1;
		while (
		    i + n < count && wants[i + n].number == wants[i].number + n)
			n++;
		buf_add_varint(&b, wants[i].number - at);
		buf_add_varint(&b, n);
		at = wants[i].number + n;
	}
	rc = buf_check(&b, "request", e);
	if (rc == 0)
		rc = fetch_request(f, WIRE_SELECT, b.data, b.len, e);
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
	if (rc == 0 && taker->manifest != NULL && is_selectable(wants, count))
		rc = send_selection(f, taker->manifest, wants, count, e);
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
