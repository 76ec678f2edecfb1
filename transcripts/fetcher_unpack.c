/* Unpacking data transcripts: tar, zstd and librsync on bytes from outside;
 * runs in the fetcher process, which librsync may abort when memory runs out. */
#include <unistd.h>

#include "transcripts/data.h"
#include "transcripts/delta.h"
#include "transcripts/fetcher_impl.h"

#define ANSWER_MS 600000

struct unpack {
	struct fetcher *f;
	struct data_reader *reader;
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

static int
offer(struct unpack *u, const struct data_member *m)
{
	struct buf b;
	int rc;

	buf_init(&b, 1 + 2 * DIGEST_BYTES);
	buf_add_byte(&b, (uint8_t)kind_of(m->kind));
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
copy_member(struct unpack *u, const struct data_member *m, uint64_t size_bytes,
    struct err *why)
{
	uint8_t block[65536];
	size_t got;
	int rc;

	if (m->size_bytes != size_bytes)
		return err_set(why, ERR_FORMAT,
		    "%llu bytes, not %llu as signed",
		    (unsigned long long)m->size_bytes,
		    (unsigned long long)size_bytes);
	do {
		rc = read_member(u, block, sizeof(block), &got, why);
		if (rc == 0 && got > 0)
			rc = send_result(u, block, got, why);
	} while (rc == 0 && got > 0);
	return rc;
}

static int
patch_member(
    struct unpack *u, uint64_t size_bytes, int basis_fd, struct err *why)
{
	struct delta_patch patch = { .basis_fd = basis_fd,
		.source = read_member,
		.source_arg = u,
		.sink = send_result,
		.sink_arg = u,
		.max_bytes = size_bytes };

	if (basis_fd < 0)
		return err_set(why, ERR_FORMAT, "no basis");
	return delta_apply(&patch, why);
}

/* One member that was taken.  0 also when the result is bad: that is told. */
static int
unpack_member(struct unpack *u, const struct data_member *m,
    const struct ipc_msg *take, int basis_fd)
{
	struct err why = ERR_INIT;
	struct reader r;
	uint64_t size_bytes;
	int rc;

	reader_init(&r, take->data, take->len);
	if (reader_u64(&r, &size_bytes) != 0)
		return err_set(&u->wire, ERR_FORMAT, "take request");
	if (is_delta(m->kind))
		rc = patch_member(u, size_bytes, basis_fd, &why);
	else
		rc = copy_member(u, m, size_bytes, &why);
	if (u->archive.code != 0)
		return u->archive.code;
	if (u->wire.code != 0)
		return u->wire.code;
	return ipc_send(u->f->ipc, WIRE_MEMBER_END, why.msg,
	    rc != 0 ? strlen(why.msg) : 0, &u->wire);
}

static int
unpack_all(struct unpack *u)
{
	struct data_member m;
	struct ipc_msg msg;
	bool more;
	int basis_fd, rc;

	for (;;) {
		rc = data_reader_next(u->reader, &m, &more, &u->archive);
		if (rc != 0 || !more)
			return rc;
		if ((rc = offer(u, &m)) != 0)
			return rc;
		rc = ipc_recv(u->f->ipc, &msg, ANSWER_MS, &u->wire);
		if (rc != 0)
			return rc;
		if (msg.type == WIRE_SKIP)
			continue;
		if (msg.type != WIRE_TAKE)
			return err_set(&u->wire, ERR_FORMAT, "take or skip");
		basis_fd = ipc_take_fd(u->f->ipc);
		rc = unpack_member(u, &m, &msg, basis_fd);
		if (basis_fd >= 0)
			close(basis_fd);
		if (rc != 0)
			return rc;
	}
}

int
fetcher_unpack(struct fetcher *f, struct ipc_msg *msg, struct err *e)
{
	struct unpack u = { .f = f };
	struct reader r;
	uint64_t size_bytes;
	int fd = ipc_take_fd(f->ipc), rc;

	reader_init(&r, msg->data, msg->len);
	if (fd < 0 || reader_u64(&r, &size_bytes) != 0) {
		if (fd >= 0)
			close(fd);
		return err_set(e, ERR_FORMAT, "unpack request");
	}
	rc = data_reader_open(fd, size_bytes, &u.reader, &u.archive);
	if (rc == 0)
		rc = unpack_all(&u);
	data_reader_free(u.reader);
	close(fd);
	if (u.wire.code != 0) {
		*e = u.wire;
		return e->code;
	}
	if (rc != 0)
		return fetcher_fail(f, &u.archive, e);
	return ipc_send(f->ipc, WIRE_OK, NULL, 0, e);
}
