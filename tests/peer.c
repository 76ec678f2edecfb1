/* A raw HTTP peer for tests. */
#include "tests/peer.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define REPLY_BYTES ((size_t)256 << 20)

void
peer_nap(void)
{
	const struct timespec ts = { 0, 5000000 };

	nanosleep(&ts, NULL);
}

void
peer_connect(struct peer *p, uint16_t port)
{
	const struct timeval tv = { 20, 0 };
	struct sockaddr_in in = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};

	buf_init(&p->in, REPLY_BYTES);
	p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(p->fd, 0);
	ck_assert_int_eq(
	    setsockopt(p->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0);
	ck_assert_int_eq(connect(p->fd, (struct sockaddr *)&in, sizeof(in)), 0);
}

void
peer_close(struct peer *p)
{
	close(p->fd);
	p->fd = -1;
	buf_release(&p->in);
}

void
peer_send(struct peer *p, const void *data, size_t len)
{
	const char *at = data;

	while (len > 0) {
		ssize_t n = send(p->fd, at, len, MSG_NOSIGNAL);

		/* A server may refuse before it has read everything. */
		if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
			return;
		ck_assert_int_gt(n, 0);
		at += n;
		len -= (size_t)n;
	}
}

void
peer_ask(struct peer *p, const char *request_line, const char *fields)
{
	struct buf text;

	buf_init(&text, 1 << 20);
	buf_addf(&text, "%s\r\nHost: t\r\n%s\r\n", request_line, fields);
	peer_send(p, text.data, text.len);
	buf_release(&text);
}

/* More bytes; false at the connection's end. */
static bool
receive(struct peer *p)
{
	uint8_t *room = buf_reserve(&p->in, 65536);
	ssize_t n;

	ck_assert_ptr_nonnull(room);
	n = recv(p->fd, room, 65536, 0);
	if (n < 0 && errno == ECONNRESET)
		n = 0;
	ck_assert_msg(n >= 0, "recv: errno %d", errno);
	buf_commit(&p->in, (size_t)n);
	return n > 0;
}

static void
take(struct peer *p, size_t len, struct buf *to)
{
	if (to != NULL)
		buf_add(to, p->in.data, len);
	memmove(p->in.data, p->in.data + len, p->in.len - len);
	p->in.len -= len;
}

/* Moves all up to and with `mark` to `to`. */
static bool
take_until(struct peer *p, const char *mark, struct buf *to)
{
	size_t len = strlen(mark);
	const uint8_t *at;

	while (p->in.len == 0 ||
	    (at = memmem(p->in.data, p->in.len, mark, len)) == NULL)
		if (!receive(p))
			return false;
	take(p, (size_t)(at - p->in.data) + len, to);
	return true;
}

static bool
take_bytes(struct peer *p, size_t len, struct buf *to)
{
	while (p->in.len < len) {
		size_t have = p->in.len;

		len -= have;
		take(p, have, to);
		if (!receive(p))
			return false;
	}
	take(p, len, to);
	return true;
}

static bool
take_chunks(struct peer *p, struct buf *to)
{
	struct buf line;
	bool ok = true;

	buf_init(&line, 64);
	while (ok) {
		size_t len;

		buf_clear(&line);
		ok = take_until(p, "\r\n", &line);
		if (!ok)
			break;
		len = strtoul(buf_str(&line), NULL, 16);
		ok = take_bytes(p, len, to) && take_bytes(p, 2, NULL);
		if (len == 0)
			break;
	}
	buf_release(&line);
	return ok;
}

/* A body that ends with its connection. */
static bool
take_rest(struct peer *p, struct buf *to)
{
	while (receive(p))
		continue;
	take(p, p->in.len, to);
	return true;
}

const char *
peer_field(const struct peer_reply *r, const char *name)
{
	static char value[512];
	const char *line = buf_str(&r->head);
	size_t len = strlen(name);

	while ((line = strstr(line, "\r\n")) != NULL) {
		line += 2;
		if (strncasecmp(line, name, len) != 0 || line[len] != ':')
			continue;
		line += len + 1;
		line += strspn(line, " ");
		(void)snprintf(value, sizeof(value), "%.*s",
		    (int)strcspn(line, "\r"), line);
		return value;
	}
	return "";
}

void
peer_read(struct peer *p, bool to_head, struct peer_reply *out)
{
	const char *length;

	*out = (struct peer_reply){ .whole = false };
	buf_init(&out->head, 65536);
	buf_init(&out->body, REPLY_BYTES);
	if (!take_until(p, "\r\n\r\n", &out->head))
		return;
	ck_assert_int_eq(strncmp(buf_str(&out->head), "HTTP/1.1 ", 9), 0);
	out->status = (unsigned)strtoul(buf_str(&out->head) + 9, NULL, 10);
	out->chunked =
	    strcmp(peer_field(out, "transfer-encoding"), "chunked") == 0;
	length = peer_field(out, "content-length");
	if (to_head || out->status == 304 || out->status == 100)
		out->whole = true;
	else if (out->chunked)
		out->whole = take_chunks(p, &out->body);
	else if (*length != '\0')
		out->whole =
		    take_bytes(p, strtoul(length, NULL, 10), &out->body);
	else
		out->whole = take_rest(p, &out->body);
}

void
peer_reply_release(struct peer_reply *r)
{
	buf_release(&r->head);
	buf_release(&r->body);
}

void
peer_get(struct peer *p, const char *path, const char *fields,
    struct peer_reply *out)
{
	char line[1024];

	(void)snprintf(line, sizeof(line), "GET %s HTTP/1.1", path);
	peer_ask(p, line, fields);
	peer_read(p, false, out);
}

unsigned
peer_status(uint16_t port, const char *request_line, const char *fields)
{
	struct peer_reply reply;
	unsigned status;
	struct peer p;

	peer_connect(&p, port);
	peer_ask(&p, request_line, fields);
	peer_read(&p, strncmp(request_line, "HEAD", 4) == 0, &reply);
	ck_assert(reply.whole);
	status = reply.status;
	peer_reply_release(&reply);
	peer_close(&p);
	return status;
}

void
peer_expect_end(struct peer *p)
{
	while (receive(p))
		continue;
	ck_assert_uint_eq(p->in.len, 0);
}

size_t
peer_poll(struct peer *p)
{
	uint8_t *room = buf_reserve(&p->in, 65536);
	ssize_t n = recv(p->fd, room, 65536, MSG_DONTWAIT);

	if (n > 0)
		buf_commit(&p->in, (size_t)n);
	return p->in.len;
}

void
peer_stop(int pid)
{
	int status = 0;

	ck_assert_int_eq(kill(pid, SIGTERM), 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0,
	    "server ended with status %x", (unsigned)status);
}

unsigned long
peer_memory_kb(int pid)
{
	char path[64], line[256];
	unsigned long kb = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, "VmHWM:", 6) == 0)
			kb = strtoul(line + 6, NULL, 10);
	(void)fclose(f);
	ck_assert_uint_gt(kb, 0);
	return kb;
}
