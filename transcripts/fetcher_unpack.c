/* Unpacking data transcripts: tar, zstd and deltas, bytes from outside; runs in
 * the fetcher process.  Who asked has the old contents: what comes from there
 * does not cross between the processes. */
#include <unistd.h>

#include "transcripts/data.h"
#include "transcripts/delta.h"
#include "transcripts/fetcher_impl.h"

/* Large contents may be copied before the answer comes. */
#define ANSWER_MS 3600000
/* Worth more to be sent than to be asked about. */
#define SMALL_BYTES 65536

struct unpack {
	struct fetcher *f;
	struct data_reader *reader;
	bool texts_only;
	struct err archive; /* the archive's own error, apart from a delta's */
	struct err wire;    /* of the conversation: ends everything */
};

static enum fetch_member_kind
kind_of(enum data_kind kind)
{
	switch (kind) {
	case DATA_MANIFEST:
		return FETCH_MEMBER_MANIFEST;
	case DATA_MANIFEST_DELTA:
		return FETCH_MEMBER_MANIFEST_DELTA;
	case DATA_DELTA:
		return FETCH_MEMBER_OBJECT_DELTA;
	case DATA_OBJECT:
		break;
	}
	return FETCH_MEMBER_OBJECT;
}

static bool
is_delta(enum data_kind kind)
{
	return kind == DATA_MANIFEST_DELTA || kind == DATA_DELTA;
}

static uint8_t
what_follows(const struct unpack *u, const struct data_member *m)
{
	bool is_text =
	    m->kind == DATA_MANIFEST || m->kind == DATA_MANIFEST_DELTA;

	if (is_text)
		return WIRE_MEMBER_ASKS;
	if (u->texts_only)
		return WIRE_MEMBER_TOLD;
	return m->size_bytes <= SMALL_BYTES ? WIRE_MEMBER_COMES
	                                    : WIRE_MEMBER_ASKS;
}

static int
offer(struct unpack *u, const struct data_member *m, uint8_t follows)
{
	struct buf b;
	int rc;

	buf_init(&b, 2 + 2 * DIGEST_BYTES);
	buf_add_byte(&b, (uint8_t)kind_of(m->kind));
	buf_add_byte(&b, follows);
	buf_add(&b, m->digest.b, DIGEST_BYTES);
	buf_add(&b, m->basis.b, DIGEST_BYTES);
	rc = buf_check(&b, "offer", &u->wire);
	if (rc == 0)
		rc = ipc_send(u->f->ipc, WIRE_MEMBER, b.data, b.len, &u->wire);
	buf_release(&b);
	return rc;
}

/* A data_source that remembers whose error it was. */
static int
read_member(void *arg, void *dst, size_t size, size_t *got, struct err *e)
{
	struct unpack *u = arg;
	int rc = data_reader_read(u->reader, dst, size, got, &u->archive);

	if (rc != 0 && e != NULL)
		*e = u->archive;
	return rc;
}

static int
send_result(void *arg, const void *data, size_t len, struct err *e)
{
	struct unpack *u = arg;
	int rc = fetcher_send_data(u->f, data, len, &u->wire);

	if (rc != 0 && e != NULL)
		*e = u->wire;
	return rc;
}

static int
send_copy(void *arg, uint64_t offset, uint64_t len, struct err *e)
{
	struct unpack *u = arg;
	struct buf b;
	int rc;

	buf_init(&b, 2 * sizeof(uint64_t));
	buf_add_u64(&b, offset);
	buf_add_u64(&b, len);
	rc = buf_check(&b, "copy", &u->wire);
	if (rc == 0)
		rc = ipc_send(u->f->ipc, WIRE_COPY, b.data, b.len, &u->wire);
	buf_release(&b);
	if (rc != 0 && e != NULL)
		*e = u->wire;
	return rc;
}

static int
pass_content(struct unpack *u, struct err *why)
{
	uint8_t block[65536];
	size_t got;
	int rc;

	do {
		rc = read_member(u, block, sizeof(block), &got, why);
		if (rc == 0 && got > 0)
			rc = send_result(u, block, got, why);
	} while (rc == 0 && got > 0);
	return rc;
}

static int
pass_delta(struct unpack *u, uint64_t max_bytes, struct err *why)
{
	const struct delta_patch patch = { .source = read_member,
		.source_arg = u,
		.literal = send_result,
		.copy = send_copy,
		.arg = u,
		.max_bytes = max_bytes };

	return delta_read(&patch, why);
}

/* The body.  0 also when it is bad: that is told. */
static int
pass_member(struct unpack *u, const struct data_member *m, uint64_t max_bytes)
{
	struct err why = ERR_INIT;
	int rc;

	if (is_delta(m->kind))
		rc = pass_delta(u, max_bytes, &why);
	else if (m->size_bytes > max_bytes)
		rc = err_set(&why, ERR_FORMAT, "%llu bytes, not %llu as signed",
		    (unsigned long long)m->size_bytes,
		    (unsigned long long)max_bytes);
	else
		rc = pass_content(u, &why);
	if (u->archive.code != 0)
		return u->archive.code;
	if (u->wire.code != 0)
		return u->wire.code;
	return ipc_send(u->f->ipc, WIRE_MEMBER_END, why.msg,
	    rc != 0 ? strlen(why.msg) : 0, &u->wire);
}

/* Waits for TAKE or SKIP. */
static int
ask(struct unpack *u, bool *take, uint64_t *size_bytes)
{
	struct ipc_msg msg;
	struct reader r;
	int rc;

	if ((rc = ipc_flush(u->f->ipc, &u->wire)) != 0 ||
	    (rc = ipc_recv(u->f->ipc, &msg, ANSWER_MS, &u->wire)) != 0)
		return rc;
	ipc_hold(u->f->ipc);
	*take = msg.type == WIRE_TAKE;
	reader_init(&r, msg.data, msg.len);
	if ((!*take && msg.type != WIRE_SKIP) ||
	    (*take && reader_u64(&r, size_bytes) != 0))
		return err_set(&u->wire, ERR_FORMAT, "take or skip");
	return 0;
}

static int
unpack_all(struct unpack *u)
{
	struct data_member m;
	bool more, take;
	int rc;

	for (;;) {
		uint64_t max_bytes = UINT64_MAX;
		uint8_t follows;

		rc = data_reader_next(u->reader, &m, &more, &u->archive);
		if (rc != 0 || !more)
			return rc;
		follows = what_follows(u, &m);
		take = follows == WIRE_MEMBER_COMES;
		rc = offer(u, &m, follows);
		if (rc == 0 && follows == WIRE_MEMBER_ASKS)
			rc = ask(u, &take, &max_bytes);
		if (rc == 0 && take)
			rc = pass_member(u, &m, max_bytes);
		if (rc != 0)
			return rc;
	}
}

int
fetcher_unpack(struct fetcher *f, struct ipc_msg *msg, struct err *e)
{
	struct unpack u = { .f = f };
	struct reader r;
	struct err late = ERR_INIT;
	uint64_t size_bytes;
	uint8_t texts_only;
	int fd = ipc_take_fd(f->ipc), rc;

	reader_init(&r, msg->data, msg->len);
	if (fd < 0 || reader_u64(&r, &size_bytes) != 0 ||
	    reader_u8(&r, &texts_only) != 0) {
		if (fd >= 0)
			close(fd);
		return err_set(e, ERR_FORMAT, "unpack request");
	}
	u.texts_only = texts_only != 0;
	ipc_hold(f->ipc);
	rc = data_reader_open(fd, size_bytes, &u.reader, &u.archive);
	if (rc == 0)
		rc = unpack_all(&u);
	data_reader_free(u.reader);
	close(fd);
	if (ipc_flush(f->ipc, &late) != 0 && u.wire.code == 0)
		u.wire = late;
	if (u.wire.code != 0) {
		*e = u.wire;
		return e->code;
	}
	if (rc != 0)
		return fetcher_fail(f, &u.archive, e);
	return ipc_send(f->ipc, WIRE_OK, NULL, 0, e);
}
