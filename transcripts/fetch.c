/* The deciding half of fetching; runs in the process that owns the files. */
#include "transcripts/fetch.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "common/fsat.h"
#include "common/fscalls.h"
#include "common/ipc.h"
#include "common/progress.h"
#include "transcripts/fetch_impl.h"
#include "transcripts/fetch_wire.h"
#include "transcripts/sessions.h"

/* The fetcher keeps the network's time-outs; ours only end a fetcher that
 * hangs. */
#define REPLY_MS (8 * LIMIT_STALL_MS)
/* How often a wait is told of. */
#define TELL_MS 250

/* ---- replies ---- */

int
fetch_out_of_step(struct fetch *f, struct err *e)
{
	f->broken = true;
	return err_set(e, ERR_NET, "the fetcher's answer makes no sense");
}

static int
failed_reply(const struct ipc_msg *msg, struct err *e)
{
	struct reader r;
	const uint8_t *text;
	uint32_t code;
	size_t len;

	reader_init(&r, msg->data, msg->len);
	if (reader_u32(&r, &code) != 0 || code == 0 || code > 64)
		return err_set(e, ERR_NET, "the fetcher failed");
	len = reader_left(&r);
	if (reader_bytes(&r, len, &text) != 0)
		len = 0;
	return err_set(e, -(int)code, "%.*s", (int)len, (const char *)text);
}

/* As long as nothing comes, that is seen.  Returns how long it was. */
static unsigned
wait_seen(struct fetch *f, unsigned most_ms)
{
	struct pollfd p = { .fd = ipc_fd(f->ipc), .events = POLLIN };
	unsigned waited = 0;

	if (f->options->progress == NULL)
		return 0;
	while (waited < most_ms && !ipc_is_ready(f->ipc) &&
	    poll(&p, 1, TELL_MS) == 0) {
		progress_add(f->options->progress, 0, 0);
		waited += TELL_MS;
	}
	return waited;
}

/* The next message; a FAILED becomes the error it carries. */
int
fetch_next_reply(
    struct fetch *f, struct ipc_msg *msg, unsigned extra_ms, struct err *e)
{
	unsigned most_ms = REPLY_MS + extra_ms;
	int rc;

	most_ms -= wait_seen(f, most_ms - TELL_MS);
	rc = ipc_recv(f->ipc, msg, most_ms, e);
	if (rc != 0) {
		f->broken = true;
		return err_prefix(e, "fetcher");
	}
	if (f->tick != NULL)
		f->tick(f->tick_arg);
	if (msg->type != WIRE_FAILED)
		return 0;
	f->failed = true;
	return failed_reply(msg, e);
}

int
fetch_expect(struct fetch *f, uint32_t type, struct ipc_msg *msg,
    unsigned extra_ms, struct err *e)
{
	int rc;

	if ((rc = fetch_next_reply(f, msg, extra_ms, e)) != 0)
		return rc;
	return msg->type == type ? 0 : fetch_out_of_step(f, e);
}

int
fetch_request(
    struct fetch *f, uint32_t type, const void *data, size_t len, struct err *e)
{
	if (f->broken)
		return err_set(e, ERR_NET, "the fetcher is gone");
	f->failed = false;
	if (ipc_send(f->ipc, type, data, len, e) != 0) {
		f->broken = true;
		return err_prefix(e, "fetcher");
	}
	return 0;
}

/* ---- connection ---- */

/* One message of keys a call; the first one replaces what was known. */
static int
send_keys(struct fetch *f, struct err *e)
{
	const size_t most =
	    (size_t)LIMIT_IPC_BYTES / DIGEST_BYTES * DIGEST_BYTES;
	struct ipc_msg msg;
	size_t at = 0;
	int rc;

	do {
		size_t n = f->keys.len - at < most ? f->keys.len - at : most;

		rc = fetch_request(f, at == 0 ? WIRE_KEYS : WIRE_MORE_KEYS,
		    f->keys.data + at, n, e);
		if (rc == 0)
			rc = fetch_expect(f, WIRE_OK, &msg, 0, e);
		if (rc != 0)
			return rc;
		at += n;
	} while (at < f->keys.len);
	return 0;
}

int
fetch_set_keys(
    struct fetch *f, const struct digest *keys, size_t count, struct err *e)
{
	int rc;

	buf_clear(&f->keys);
	buf_add(&f->keys, keys, count * sizeof(*keys));
	if ((rc = buf_check(&f->keys, "keys of mirrors", e)) != 0)
		return rc;
	return send_keys(f, e);
}

/* A NUL-ended text of at most size bytes. */
static int
reader_text(struct reader *r, char *dst, size_t size)
{
	size_t n;
	uint8_t c;

	for (n = 0; n < size; n++) {
		if (reader_u8(r, &c) != 0)
			return ERR_FORMAT;
		dst[n] = (char)c;
		if (c == '\0')
			return 0;
	}
	return ERR_FORMAT;
}

static int
send_aim(struct fetch *f, struct err *e)
{
	struct ipc_msg msg;
	int rc = fetch_request(f, WIRE_AIM, f->aim.data, f->aim.len, e);

	return rc != 0 ? rc : fetch_expect(f, WIRE_OK, &msg, 0, e);
}

/* A fetcher that died or lost step is replaced; the new one passes over the
 * candidates that were tried, and begins without sessions, one of which may be
 * what killed the other. */
static int
connect_request(struct fetch *f, struct err *e)
{
	uint32_t pass_over = 0;
	struct buf b;
	int rc = 0;

	if (f->broken) {
		fetch_end_process(f);
		sessions_clear(f->options->sessions);
		if ((rc = fetch_start_process(f, e)) != 0)
			return rc;
		if (f->keys.len > 0 && (rc = send_keys(f, e)) != 0)
			return rc;
		if (f->aim.len > 0 && (rc = send_aim(f, e)) != 0)
			return rc;
		pass_over = f->tried;
	}
	buf_init(&b, 4);
	buf_add_u32(&b, pass_over);
	rc = buf_check(&b, "request", e);
	if (rc == 0)
		rc = fetch_request(f, WIRE_CONNECT, b.data, b.len, e);
	buf_release(&b);
	return rc;
}

/* PEER, or TRYING, which is told of. */
static int
connect_reply(struct fetch *f, struct ipc_msg *msg, struct err *e)
{
	char what[64], host[LIMIT_HOST_BYTES + 1];
	struct reader r;
	uint32_t number;
	int rc = fetch_next_reply(f, msg, 0, e);

	if (rc != 0 || msg->type != WIRE_TRYING)
		return rc;
	reader_init(&r, msg->data, msg->len);
	if (reader_u32(&r, &number) != 0 ||
	    reader_text(&r, host, sizeof(host)) != 0)
		return fetch_out_of_step(f, e);
	(void)snprintf(what, sizeof(what), "trying server %u:", number);
	progress_note(f->options->progress, what, host);
	return 0;
}

int
fetch_connect(struct fetch *f, struct fetch_peer *peer, struct err *e)
{
	unsigned left = LIMIT_CANDIDATES;
	struct ipc_msg msg;
	struct reader r;
	uint32_t tried;
	int rc;

	progress_note(f->options->progress, "looking for a server", "");
	rc = connect_request(f, e);
	do {
		if (rc == 0)
			rc = connect_reply(f, &msg, e);
	} while (rc == 0 && msg.type == WIRE_TRYING && left-- > 0);
	if (rc != 0)
		return rc;
	if (msg.type != WIRE_PEER)
		return fetch_out_of_step(f, e);
	reader_init(&r, msg.data, msg.len);
	if (reader_u32(&r, &tried) != 0 || reader_u32(&r, &peer->beyond) != 0 ||
	    reader_text(&r, peer->source, sizeof(peer->source)) != 0 ||
	    reader_text(&r, peer->route, sizeof(peer->route)) != 0 ||
	    reader_text(&r, peer->address, sizeof(peer->address)) != 0 ||
	    reader_text(&r, peer->passed, sizeof(peer->passed)) != 0 ||
	    reader_text(&r, peer->search, sizeof(peer->search)) != 0)
		return fetch_out_of_step(f, e);
	f->tried = peer->number = tried;
	return 0;
}

int
fetch_rewind(struct fetch *f, struct err *e)
{
	struct ipc_msg msg;
	int rc;

	f->tried = 0;
	if (f->broken)
		return 0;
	rc = fetch_request(f, WIRE_REWIND, NULL, 0, e);
	return rc != 0 ? rc : fetch_expect(f, WIRE_OK, &msg, 0, e);
}

int
fetch_aim(struct fetch *f, enum fetch_aim aim, const char *host, struct err *e)
{
	int rc;

	f->tried = 0;
	buf_clear(&f->aim);
	buf_add_byte(&f->aim, (uint8_t)aim);
	buf_add_str(&f->aim, host != NULL ? host : "");
	buf_add_byte(&f->aim, '\0');
	if ((rc = buf_check(&f->aim, "host", e)) != 0) {
		buf_clear(&f->aim);
		return rc;
	}
	/* A new one is told when it is needed. */
	return f->broken ? 0 : send_aim(f, e);
}

void
fetch_set_tick(struct fetch *f, void (*tick)(void *arg), void *arg)
{
	f->tick = tick;
	f->tick_arg = arg;
}

/* ---- single things ---- */

static void
put_get(struct buf *b, const struct fetch_get *get, uint64_t offset)
{
	const char *etag = get->if_none_match != NULL ? get->if_none_match : "";

	buf_add(b, get->path, strlen(get->path) + 1);
	buf_add(b, etag, strlen(etag) + 1);
	buf_add_u64(b, get->max_bytes);
	buf_add_u64(b, offset);
	buf_add_u32(b, get->wait_s);
}

static int
read_answer(struct fetch *f, const struct ipc_msg *msg,
    struct fetch_answer *answer, uint32_t *which, struct err *e)
{
	struct reader r;
	uint32_t status;
	uint8_t known;

	reader_init(&r, msg->data, msg->len);
	if (reader_u32(&r, &status) != 0 || reader_u32(&r, which) != 0 ||
	    reader_u64(&r, &answer->range_start) != 0 ||
	    reader_copy(&r, answer->key.b, DIGEST_BYTES) != 0 ||
	    reader_u8(&r, &known) != 0 ||
	    reader_text(&r, answer->etag, sizeof(answer->etag)) != 0 ||
	    status > 999)
		return fetch_out_of_step(f, e);
	answer->status = (int)status;
	answer->known = known != 0;
	/* Now it is found. */
	progress_note(f->options->progress, "", "");
	return 0;
}

typedef int (*piece_fn)(void *arg, const void *data, size_t len, struct err *e);

/* DATA* OK after an ANSWER; an error of `take` still reads to the end, so
 * that the conversation stays in step. */
static int
read_body(struct fetch *f, uint64_t max_bytes, piece_fn take, void *arg,
    struct err *e)
{
	struct ipc_msg msg;
	uint64_t got = 0;
	int rc, first = 0;

	for (;;) {
		struct err late = ERR_INIT;

		rc = fetch_next_reply(f, &msg, 0, first == 0 ? e : &late);
		if (rc != 0)
			return first != 0 ? first : rc;
		if (msg.type == WIRE_OK)
			return first;
		if (msg.type != WIRE_DATA)
			return fetch_out_of_step(f, e);
		if (msg.len > max_bytes - got)
			return fetch_out_of_step(f, e);
		got += msg.len;
		if (first == 0)
			first = take(arg, msg.data, msg.len, e);
	}
}

static int
take_to_buf(void *arg, const void *data, size_t len, struct err *e)
{
	buf_add(arg, data, len);
	return buf_check(arg, "answer", e);
}

static int
send_get(struct fetch *f, uint32_t type, const struct fetch_get *get,
    uint64_t offset, struct err *e)
{
	struct buf req;
	int rc;

	buf_init(&req, LIMIT_IPC_BYTES);
	put_get(&req, get, offset);
	rc = buf_check(&req, "request", e);
	if (rc == 0)
		rc = fetch_request(f, type, req.data, req.len, e);
	buf_release(&req);
	return rc;
}

static int
take_answer(struct fetch *f, const struct fetch_get *get,
    struct fetch_answer *answer, struct err *e)
{
	struct ipc_msg msg;
	uint32_t which;
	int rc = fetch_expect(f, WIRE_ANSWER, &msg, get->wait_s * 1000, e);

	return rc != 0 ? rc : read_answer(f, &msg, answer, &which, e);
}

/* Asks for one thing; its body is to be read after that. */
static int
ask(struct fetch *f, uint32_t type, const struct fetch_get *get,
    uint64_t offset, struct fetch_answer *answer, struct err *e)
{
	int rc = send_get(f, type, get, offset, e);

	return rc != 0 ? rc : take_answer(f, get, answer, e);
}

int
fetch_get(struct fetch *f, const struct fetch_get *get, struct buf *body,
    struct fetch_answer *answer, struct err *e)
{
	int rc = fetch_ask(f, get, e);

	return rc != 0 ? rc : fetch_take(f, get, body, answer, e);
}

int
fetch_ask(struct fetch *f, const struct fetch_get *get, struct err *e)
{
	int rc = send_get(f, WIRE_GET, get, 0, e);

	return rc != 0 ? err_prefix(e, "%s", get->path) : 0;
}

int
fetch_take(struct fetch *f, const struct fetch_get *get, struct buf *body,
    struct fetch_answer *answer, struct err *e)
{
	int rc = take_answer(f, get, answer, e);

	if (rc == 0)
		rc = read_body(f, get->max_bytes, take_to_buf, body, e);
	return rc != 0 ? err_prefix(e, "%s", get->path) : 0;
}

int
fetch_race(struct fetch *f, const struct fetch_get *gets, size_t count,
    size_t *which, struct buf *body, struct err *e)
{
	struct fetch_answer answer;
	struct buf req;
	struct ipc_msg msg;
	uint32_t winner;
	uint64_t max_bytes = 0;
	unsigned wait_s = 0;
	int rc;

	buf_init(&req, LIMIT_IPC_BYTES);
	buf_add_u32(&req, (uint32_t)count);
	for (size_t i = 0; i < count; i++) {
		put_get(&req, &gets[i], 0);
		if (gets[i].wait_s > wait_s)
			wait_s = gets[i].wait_s;
		if (gets[i].max_bytes > max_bytes)
			max_bytes = gets[i].max_bytes;
	}
	rc = buf_check(&req, "request", e);
	if (rc == 0)
		rc = fetch_request(f, WIRE_RACE, req.data, req.len, e);
	buf_release(&req);
	if (rc == 0)
		rc = fetch_expect(f, WIRE_ANSWER, &msg, wait_s * 1000, e);
	if (rc == 0)
		rc = read_answer(f, &msg, &answer, &winner, e);
	if (rc == 0)
		rc = read_body(f, max_bytes, take_to_buf, body, e);
	if (rc == 0)
		*which = winner < count ? winner : count;
	return rc;
}

/* ---- download to a file ---- */

struct download {
	int fd;
	struct digest_state *hash;
	struct progress *progress;
};

void
fetch_hash_anew(struct fetch *f)
{
	f->has_part = false;
	digest_reset(f->hash);
}

static int
take_to_file(void *arg, const void *data, size_t len, struct err *e)
{
	struct download *d = arg;

	digest_add(d->hash, data, len);
	progress_add(d->progress, 0, len);
	return fsat_write_all(d->fd, data, len, e);
}

static int
start_over(int fd, struct digest_state *hash, struct err *e)
{
	digest_reset(hash);
	if (fscalls()->ftruncate(fd, 0) != 0 || lseek(fd, 0, SEEK_SET) < 0)
		return err_sys(e, "emptying a partial file");
	return 0;
}

/* Hashes what fd already holds; *have is its length. */
static int
hash_existing(int fd, uint64_t size_bytes, struct digest_state *hash,
    uint64_t *have, struct err *e)
{
	uint8_t block[65536];
	uint64_t total = 0;
	ssize_t n;

	digest_reset(hash);
	if (lseek(fd, 0, SEEK_SET) < 0)
		return err_sys(e, "partial file");
	while ((n = read(fd, block, sizeof(block))) > 0) {
		digest_add(hash, block, (size_t)n);
		total += (uint64_t)n;
	}
	if (n < 0)
		return err_sys(e, "reading a partial file");
	*have = total;
	if (total > size_bytes) {
		*have = 0;
		return start_over(fd, hash, e);
	}
	return 0;
}

static int
ask_rest(struct fetch *f, const char *path, uint64_t size_bytes, uint64_t have,
    struct download *d, struct err *e)
{
	struct fetch_get get = { .path = path, .max_bytes = size_bytes };
	struct fetch_answer answer = { .status = 0 };
	int rc;

	if ((rc = ask(f, WIRE_GET, &get, have, &answer, e)) != 0)
		return rc;
	/* A server that knows no ranges answers 200 from the start. */
	if (answer.status == 200 && have > 0) {
		have = 0;
		rc = start_over(d->fd, d->hash, e);
	}
	if (rc == 0)
		rc = read_body(f, size_bytes - have, take_to_file, d, e);
	if (rc != 0)
		return rc;
	if (answer.status == 404)
		return err_set(e, ERR_NOT_FOUND, "the server does not have it");
	/* Nothing behind what is here: it was all there already. */
	if (answer.status == 416 && have > 0)
		return 0;
	if (answer.status != 200 && answer.status != 206)
		return err_set(e, ERR_NET, "status %d", answer.status);
	return 0;
}

/* The end of a download: all of it, and right? */
static int
check_download(struct download *d, const struct digest *digest,
    uint64_t size_bytes, struct err *e)
{
	struct digest got;
	off_t end = lseek(d->fd, 0, SEEK_CUR);
	int rc;

	if (end < 0 || (uint64_t)end < size_bytes)
		return err_set(e, ERR_NET, "cut off after %lld of %llu bytes",
		    (long long)end, (unsigned long long)size_bytes);
	digest_end(d->hash, &got);
	if (digest_equal(&got, digest))
		return 0;
	rc = start_over(d->fd, d->hash, e);
	return rc != 0 ? rc : err_set(e, ERR_VERIFY, "wrong digest");
}

int
fetch_download(struct fetch *f, const char *path, const struct digest *digest,
    uint64_t size_bytes, int fd, struct err *e)
{
	struct download d = {
		.fd = fd, .hash = f->hash, .progress = f->options->progress
	};
	uint64_t have = 0;
	int rc;

	f->has_part = false;
	rc = hash_existing(fd, size_bytes, d.hash, &have, e);
	if (rc == 0 && (digest == NULL || have < size_bytes))
		rc = ask_rest(f, path, size_bytes, have, &d, e);
	if (rc == 0 && digest != NULL)
		rc = check_download(&d, digest, size_bytes, e);
	return rc != 0 ? err_prefix(e, "%s", path) : 0;
}

/* *spliced: it is of two answers. */
static int
ask_text(struct fetch *f, const struct fetch_get *get,
    const struct digest *digest, int fd, bool *spliced, struct err *e)
{
	struct download d = {
		.fd = fd, .hash = f->hash, .progress = f->options->progress
	};
	struct fetch_answer answer = { .status = 0 };
	struct digest got;
	int rc;

	fetch_hash_anew(f);
	rc = ask(f, WIRE_GET_TEXT, get, 0, &answer, e);
	*spliced = answer.status == 206 || answer.status == 416;
	if (rc == 0)
		rc = read_body(f, get->max_bytes, take_to_file, &d, e);
	if (rc != 0)
		return rc;
	if (answer.status != 200 && !*spliced)
		return err_set(e,
		    answer.status == 404 ? ERR_NOT_FOUND : ERR_NET, "status %d",
		    answer.status);
	digest_end(f->hash, &got);
	return digest_equal(&got, digest)
	    ? 0
	    : err_set(e, ERR_VERIFY, "wrong digest");
}

int
fetch_text(struct fetch *f, const char *path, const struct digest *digest,
    uint64_t size_bytes, int fd, struct err *e)
{
	struct fetch_get get = { .path = path, .max_bytes = size_bytes };
	struct err first = ERR_INIT;
	bool spliced = false;
	int rc = ask_text(f, &get, digest, fd, &spliced, &first);

	/* No fault of this server, if it compressed the text otherwise than the
	 * one that the beginning is from. */
	if (spliced && rc != 0 && !f->broken && rc != ERR_NET &&
	    rc != ERR_TIMEOUT) {
		err_clear(&first);
		rc = start_over(fd, f->hash, &first);
		if (rc == 0)
			rc = ask_text(f, &get, digest, fd, &spliced, &first);
	}
	if (rc == 0)
		return 0;
	*e = first;
	return err_prefix(e, "%s", path);
}

/* ---- counting ---- */

int
fetch_traffic(struct fetch *f, struct fetch_traffic *out, struct err *e)
{
	struct ipc_msg msg;
	struct reader r;
	int rc;

	rc = fetch_request(f, WIRE_TRAFFIC, NULL, 0, e);
	if (rc == 0)
		rc = fetch_expect(f, WIRE_COUNTED, &msg, 0, e);
	if (rc != 0)
		return rc;
	reader_init(&r, msg.data, msg.len);
	if (reader_u64(&r, &out->received) != 0 ||
	    reader_u64(&r, &out->sent) != 0 ||
	    reader_copy(&r, out->key.b, DIGEST_BYTES) != 0)
		return fetch_out_of_step(f, e);
	return 0;
}
