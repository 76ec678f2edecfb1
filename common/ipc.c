/* Messages between our processes; the one place where both ends are written
 * down.  Reads go into one large buffer, so that small messages cost no system
 * call each and large ones are used where they arrived. */
#include "common/ipc.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/limits.h"

#define HEADER_BYTES 8
#define HAS_FD       (1U << 31)
#define IN_SLOT      (1U << 30)
#define BUFFER_BYTES (2 * (LIMIT_IPC_BYTES + HEADER_BYTES))
#define SOCKET_BYTES (1024 * 1024)  /* in flight; more was not faster */
#define SEND_S       3600           /* large contents may be copied meanwhile */
#define HOLD_BYTES   IPC_SLOT_BYTES /* worth a system call */
#define SLOT_LEAST   4096           /* worth a slot */
#define PENDING_FDS  4

struct ipc {
	int fd;
	size_t start, end; /* what was read and not yet returned */
	size_t fd_count;
	int fds[PENDING_FDS]; /* received, in order, not yet returned */
	int offered;          /* with the last message, or -1 */
	bool holds;
	uint8_t *held; /* messages not yet sent, in the slot if there are any */
	size_t held_len;
	struct ipc_slots *out, *in; /* or NULL: there are none */
	uint32_t out_slot;          /* the next one to be filled */
	uint8_t
	    *came; /* of a slot: those from came_start on not yet returned */
	size_t came_start, came_end;
	uint8_t buffer[BUFFER_BYTES];
};

int
ipc_pair(int fds[2], struct err *e)
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
		return err_sys(e, "socketpair");
	return 0;
}

/* A wish: less room is slower, not wrong. */
static void
enlarge(int fd)
{
	const int size = SOCKET_BYTES;

	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) !=
	    0)
		(void)setsockopt(
		    fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

int
ipc_new(int fd, struct ipc **out, struct err *e)
{
	const struct timeval limit = { .tv_sec = SEND_S };
	struct ipc *ipc;

	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) != 0)
		return err_sys(e, "message socket");
	ipc = malloc(sizeof(*ipc));
	if (ipc == NULL)
		return err_memory(e);
	/* Not the buffer: its pages come when they are needed. */
	memset(ipc, 0, offsetof(struct ipc, buffer));
	enlarge(fd);
	ipc->fd = fd;
	ipc->offered = -1;
	*out = ipc;
	return 0;
}

void
ipc_send_by(struct ipc *ipc, struct ipc_slots *slots)
{
	ipc->out = slots;
}

int
ipc_take_from(struct ipc *ipc, struct ipc_slots *slots, struct err *e)
{
	if ((ipc->came = malloc(IPC_SLOT_BYTES)) == NULL)
		return err_memory(e);
	ipc->in = slots;
	return 0;
}

static void
close_offered(struct ipc *ipc)
{
	if (ipc->offered >= 0)
		close(ipc->offered);
	ipc->offered = -1;
}

void
ipc_free(struct ipc *ipc)
{
	size_t i;

	if (ipc == NULL)
		return;
	close_offered(ipc);
	for (i = 0; i < ipc->fd_count; i++)
		close(ipc->fds[i]);
	close(ipc->fd);
	if (ipc->out == NULL)
		free(ipc->held);
	free(ipc->came);
	free(ipc);
}

int
ipc_fd(const struct ipc *ipc)
{
	return ipc->fd;
}

static int
gone(struct err *e)
{
	return err_set(e, ERR_NET, "the other process has gone");
}

static int
nonsense(const char *what, struct err *e)
{
	return err_set(e, ERR_NET, "message from the other process: %s", what);
}

/* ---- sending ---- */

/* Drops n bytes from the front of m's parts. */
static void
advance(struct msghdr *m, size_t n)
{
	while (m->msg_iovlen > 0 && n >= m->msg_iov->iov_len) {
		n -= m->msg_iov->iov_len;
		m->msg_iov++;
		m->msg_iovlen--;
	}
	if (m->msg_iovlen > 0) {
		m->msg_iov->iov_base = (uint8_t *)m->msg_iov->iov_base + n;
		m->msg_iov->iov_len -= n;
	}
}

static int
send_all(int fd, struct msghdr *m, struct err *e)
{
	ssize_t n;

	while (m->msg_iovlen > 0) {
		n = sendmsg(fd, m, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
			return gone(e);
		if (n < 0 && errno == EAGAIN)
			return err_set(e, ERR_TIMEOUT,
			    "the other process takes no message");
		if (n < 0)
			return err_sys(e, "send message");
		/* The descriptor went with the first byte. */
		m->msg_control = NULL;
		m->msg_controllen = 0;
		advance(m, (size_t)n);
	}
	return 0;
}

static void
put_header(uint8_t header[HEADER_BYTES], uint32_t type, uint32_t len)
{
	int i;

	for (i = 0; i < 4; i++) {
		header[i] = (uint8_t)(type >> (24 - 8 * i));
		header[4 + i] = (uint8_t)(len >> (24 - 8 * i));
	}
}

/* sendmsg reads through the pointer that struct iovec has not const. */
static struct iovec
part(const void *data, size_t len)
{
	union {
		const void *in;
		void *out;
	} p = { data };

	return (struct iovec){ p.out, len };
}

static int
send_held(struct ipc *ipc, struct err *e)
{
	uint8_t header[HEADER_BYTES];
	struct iovec all = part(ipc->held, ipc->held_len);
	struct msghdr m = { .msg_iov = &all, .msg_iovlen = 1 };

	if (ipc->held_len == 0)
		return 0;
	if (ipc->out != NULL) {
		put_header(
		    header, ipc->out_slot, (uint32_t)ipc->held_len | IN_SLOT);
		all = part(header, sizeof(header));
		ipc->out_slot = (ipc->out_slot + 1) % IPC_SLOTS;
		ipc->held = NULL;
	}
	ipc->held_len = 0;
	return send_all(ipc->fd, &m, e);
}

static int
room_to_hold(struct ipc *ipc, struct err *e)
{
	if (ipc->held != NULL)
		return 0;
	if (ipc->out != NULL)
		return ipc_slots_claim(
		    ipc->out, ipc->out_slot, ipc->fd, &ipc->held, e);
	ipc->held = malloc(HOLD_BYTES);
	return ipc->held == NULL ? err_memory(e) : 0;
}

/* Whether the message is among the held ones now; what was in its way was sent,
 * or *ret. */
static bool
hold(struct ipc *ipc, const struct iovec parts[3], int *ret, struct err *e)
{
	size_t len = parts[0].iov_len + parts[1].iov_len + parts[2].iov_len;
	bool by_slot = ipc->out != NULL && len >= SLOT_LEAST;

	*ret = 0;
	if (ipc->held_len + len > HOLD_BYTES)
		*ret = send_held(ipc, e);
	if (*ret != 0 || !(ipc->holds || by_slot) || len > HOLD_BYTES)
		return false;
	if ((*ret = room_to_hold(ipc, e)) != 0)
		return false;
	for (int i = 0; i < 3; i++) {
		if (parts[i].iov_len > 0)
			memcpy(ipc->held + ipc->held_len, parts[i].iov_base,
			    parts[i].iov_len);
		ipc->held_len += parts[i].iov_len;
	}
	if (!ipc->holds)
		*ret = send_held(ipc, e);
	return true;
}

/* parts[0] is for the header; fd may be -1. */
static int
send_parts(struct ipc *ipc, uint32_t type, struct iovec parts[3], int fd,
    struct err *e)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct msghdr m = { .msg_iov = parts, .msg_iovlen = 3 };
	size_t len = parts[1].iov_len + parts[2].iov_len;
	uint8_t header[HEADER_BYTES];
	struct cmsghdr *c;
	bool waits = false;
	int ret;

	if (parts[1].iov_len > LIMIT_IPC_BYTES || len > LIMIT_IPC_BYTES)
		return err_set(e, ERR_LIMIT, "message of %zu bytes, limit %d",
		    len, LIMIT_IPC_BYTES);
	put_header(header, type, (uint32_t)len | (fd >= 0 ? HAS_FD : 0));
	parts[0] = (struct iovec){ header, sizeof(header) };
	if (fd >= 0) {
		m.msg_control = control;
		m.msg_controllen = sizeof(control);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	if (fd >= 0)
		ret = send_held(ipc, e);
	else
		waits = hold(ipc, parts, &ret, e);
	if (ret == 0 && !waits)
		ret = send_all(ipc->fd, &m, e);
	parts[0] = (struct iovec){ 0 };
	return ret;
}

void
ipc_hold(struct ipc *ipc)
{
	ipc->holds = true;
}

int
ipc_flush(struct ipc *ipc, struct err *e)
{
	ipc->holds = false;
	return send_held(ipc, e);
}

int
ipc_send2(
    struct ipc *ipc, uint32_t type, const struct ipc_part two[2], struct err *e)
{
	struct iovec parts[3] = { { 0 }, part(two[0].data, two[0].len),
		part(two[1].data, two[1].len) };

	return send_parts(ipc, type, parts, -1, e);
}

int
ipc_send(
    struct ipc *ipc, uint32_t type, const void *data, size_t len, struct err *e)
{
	struct iovec parts[3] = { { 0 }, part(data, len), { 0 } };

	return send_parts(ipc, type, parts, -1, e);
}

int
ipc_send_fd(struct ipc *ipc, uint32_t type, const void *data, size_t len,
    int fd, struct err *e)
{
	struct iovec parts[3] = { { 0 }, part(data, len), { 0 } };

	if (fd < 0)
		return err_set(e, ERR_USAGE, "no descriptor to send");
	return send_parts(ipc, type, parts, fd, e);
}

/* ---- receiving ---- */

/* Keeps as many as there is room for and closes the others. */
static bool
keep_fds(struct ipc *ipc, const struct cmsghdr *c)
{
	size_t i, count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	bool all = true;
	int fd;

	for (i = 0; i < count; i++) {
		memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
		if (ipc->fd_count < PENDING_FDS) {
			ipc->fds[ipc->fd_count++] = fd;
			continue;
		}
		close(fd);
		all = false;
	}
	return all;
}

static int
take_control(struct ipc *ipc, struct msghdr *m, struct err *e)
{
	bool whole = (m->msg_flags & MSG_CTRUNC) == 0;
	struct cmsghdr *c;

	for (c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			whole = keep_fds(ipc, c) && whole;
	}
	return whole ? 0 : nonsense("too many descriptors", e);
}

/* Waits until there is something to read.  end_ms < 0: as long as it takes. */
static int
wait_readable(int fd, int64_t end_ms, struct err *e)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct timespec now;
	int64_t left = -1;
	int n;

	do {
		if (end_ms >= 0) {
			clock_gettime(CLOCK_MONOTONIC, &now);
			left = end_ms - (int64_t)now.tv_sec * 1000 -
			    now.tv_nsec / 1000000;
			left = left < 0 ? 0 : left > 1000000 ? 1000000 : left;
		}
		n = poll(&p, 1, (int)left);
	} while ((n < 0 && errno == EINTR) || (n == 0 && left > 0));
	if (n < 0)
		return err_sys(e, "wait for a message");
	return n > 0
	    ? 0
	    : err_set(e, ERR_TIMEOUT, "no message from the other process");
}

/* Some more bytes into the buffer. */
static int
fill(struct ipc *ipc, int64_t end_ms, struct err *e)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))];
	struct iovec space;
	struct msghdr m;
	ssize_t n;
	int ret;

	if (ipc->start > 0) {
		memmove(ipc->buffer, ipc->buffer + ipc->start,
		    ipc->end - ipc->start);
		ipc->end -= ipc->start;
		ipc->start = 0;
	}
	for (;;) {
		space.iov_base = ipc->buffer + ipc->end;
		space.iov_len = sizeof(ipc->buffer) - ipc->end;
		m = (struct msghdr){ .msg_iov = &space,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof(control) };
		n = recvmsg(ipc->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		if (n >= 0 || (errno != EAGAIN && errno != EINTR))
			break;
		ret = wait_readable(ipc->fd, end_ms, e);
		if (ret != 0)
			return ret;
	}
	if (n < 0 && errno != ECONNRESET)
		return err_sys(e, "receive message");
	if (n <= 0)
		return gone(e);
	ipc->end += (size_t)n;
	return take_control(ipc, &m, e);
}

/* The header of the next message, if all of it has been read. */
static bool
peek(const struct ipc *ipc, uint32_t *type, uint32_t *len)
{
	struct reader r;

	reader_init(&r, ipc->buffer + ipc->start, ipc->end - ipc->start);
	return reader_u32(&r, type) == 0 && reader_u32(&r, len) == 0;
}

/* How much of a message is on the socket, after its header. */
static size_t
inline_bytes(uint32_t len)
{
	return (len & IN_SLOT) != 0 ? 0 : len & ~HAS_FD;
}

bool
ipc_is_ready(const struct ipc *ipc)
{
	uint32_t type, len;

	return ipc->came_start < ipc->came_end ||
	    (peek(ipc, &type, &len) &&
	        inline_bytes(len) <= ipc->end - ipc->start - HEADER_BYTES);
}

/* Until a whole message is in the buffer. */
static int
fill_message(struct ipc *ipc, int64_t timeout_ms, struct err *e)
{
	int64_t end_ms = -1;
	struct timespec now;
	uint32_t type, len = 0;
	int ret;

	while (!ipc_is_ready(ipc)) {
		if (peek(ipc, &type, &len) &&
		    inline_bytes(len) > LIMIT_IPC_BYTES)
			return nonsense("longer than the limit", e);
		if (timeout_ms >= 0 && end_ms < 0) {
			clock_gettime(CLOCK_MONOTONIC, &now);
			end_ms = (int64_t)now.tv_sec * 1000 +
			    now.tv_nsec / 1000000 + timeout_ms;
		}
		ret = fill(ipc, end_ms, e);
		if (ret != 0)
			return ret;
	}
	return 0;
}

/* The messages of a slot: a copy, which nobody changes any more. */
static int
take_slot(struct ipc *ipc, uint32_t slot, uint32_t len, struct err *e)
{
	len &= ~IN_SLOT;
	if (ipc->in == NULL || slot >= IPC_SLOTS || len == 0 ||
	    len > IPC_SLOT_BYTES)
		return nonsense("no such slot", e);
	ipc_slots_take(ipc->in, slot, ipc->came, len);
	ipc->start += HEADER_BYTES;
	ipc->came_start = 0;
	ipc->came_end = len;
	return 0;
}

static int
next_of_slot(struct ipc *ipc, struct ipc_msg *msg, struct err *e)
{
	uint32_t type, len;
	struct reader r;

	reader_init(
	    &r, ipc->came + ipc->came_start, ipc->came_end - ipc->came_start);
	if (reader_u32(&r, &type) != 0 || reader_u32(&r, &len) != 0 ||
	    len > reader_left(&r))
		return nonsense("cut off in a slot", e);
	*msg = (struct ipc_msg){ .type = type,
		.data = ipc->came + ipc->came_start + HEADER_BYTES,
		.len = len };
	ipc->came_start += HEADER_BYTES + len;
	return 0;
}

static int
offer_fd(struct ipc *ipc, struct err *e)
{
	if (ipc->fd_count == 0)
		return nonsense("its descriptor is missing", e);
	ipc->offered = ipc->fds[0];
	ipc->fd_count--;
	memmove(ipc->fds, ipc->fds + 1, ipc->fd_count * sizeof(ipc->fds[0]));
	return 0;
}

int
ipc_recv(
    struct ipc *ipc, struct ipc_msg *msg, int64_t timeout_ms, struct err *e)
{
	uint32_t type = 0, len = 0;
	int ret;

	close_offered(ipc);
	ret = fill_message(ipc, timeout_ms, e);
	if (ret == 0 && ipc->came_start == ipc->came_end) {
		(void)peek(ipc, &type, &len);
		if ((len & IN_SLOT) != 0)
			ret = take_slot(ipc, type, len, e);
	}
	if (ret == 0 && ipc->came_start < ipc->came_end)
		return next_of_slot(ipc, msg, e);
	if (ret == 0 && (len & HAS_FD) != 0)
		ret = offer_fd(ipc, e);
	if (ret != 0)
		return ret;
	msg->type = type;
	msg->data = ipc->buffer + ipc->start + HEADER_BYTES;
	msg->len = len & ~HAS_FD;
	msg->has_fd = (len & HAS_FD) != 0;
	ipc->start += HEADER_BYTES + msg->len;
	return 0;
}

int
ipc_take_fd(struct ipc *ipc)
{
	int fd = ipc->offered;

	ipc->offered = -1;
	return fd;
}
