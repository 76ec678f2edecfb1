/* Load for a server, from one process: many clients that poll over TLS, some that
 * fetch, others that read as slowly as they may.
 *
 *   tool_load PORT ETAG FILE BYTES CLIENTS POLLS LARGE SLOW [IDLE]
 *
 * Each of CLIENTS asks POLLS times for the production channel's head with
 * If-None-Match ETAG and expects 304; one in ten asks FILE (of BYTES) between,
 * and counts what it gets.  They come from addresses of their own, 127.1.x.y.
 * SLOW readers ask for the file LARGE meanwhile and take 4 KB a second.  With IDLE, that
 * many connections are made first, "idle N" is printed and a line read from
 * stdin.  A request that finds its kept connection closed is asked once more on
 * a new one, as HTTP clients do, and connections that are refused are tried
 * for RETRY_MS.
 *
 * Prints how many polls there were, how many requests were asked again and
 * connections refused, how long polls took that had to connect first and others,
 * and how many slow ones were being served at the end; exit status 1 when
 * anything went wrong. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"

#define RETRY_MS    15000
#define LIMIT_MS    60000 /* of all of it */
#define THINK_MS    500   /* at most, between two polls */
#define SLOW_BYTES  1024  /* each 250 ms */
#define SLOW_MS     250
#define HEAD_BYTES  2048
#define SLOW_WINDOW 4096

enum kind {
	POLLER,
	READER, /* a slow one */
	IDLER,
};

enum state {
	WAITING, /* until due_ms */
	CONNECTING,
	SHAKING,
	READING,
	DONE,
	FAILED,
};

struct client {
	enum kind kind;
	enum state state;
	unsigned number;
	int fd;
	SSL *ssl;
	uint64_t due_ms, begun_ms, refused_ms;
	unsigned polls; /* answered */
	bool kept;      /* the connection has served a request */
	bool again;     /* this request is asked a second time */
	bool fetching;
	char head[HEAD_BYTES + 1];
	size_t head_len;
	uint64_t body_left;
	bool in_body;
};

static struct load {
	uint16_t port;
	const char *etag, *file, *large;
	uint64_t bytes;
	unsigned polls;
	struct client *clients;
	size_t count;
	int epoll;
	SSL_CTX *ctx;
	struct times {
		uint32_t *ms;
		size_t count;
	} fresh, kept; /* of polls with a handshake, and without */
	uint64_t again, refused, errors;
	uint64_t rng;
} load;

static uint64_t
random_below(uint64_t n)
{
	load.rng = load.rng * 6364136223846793005U + 1442695040888963407U;
	return (load.rng >> 33) % n;
}

static void
hang_up(struct client *c)
{
	SSL_free(c->ssl);
	c->ssl = NULL;
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	c->kept = false;
}

static void
end(struct client *c, enum state state)
{
	if (c->state == DONE || c->state == FAILED)
		return;
	c->state = state;
	if (state == FAILED) {
		load.errors++;
		hang_up(c);
	}
}

static void
fail(struct client *c, const char *why)
{
	if (load.errors < 10)
		(void)fprintf(stderr, "client %u (kind %d, poll %u): %s\n",
		    c->number, (int)c->kind, c->polls, why);
	end(c, FAILED);
}

static void
watch(struct client *c, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = c };

	if (epoll_ctl(load.epoll, EPOLL_CTL_MOD, c->fd, &ev) != 0)
		fail(c, "epoll");
}

static void
pause_for(struct client *c, uint64_t ms)
{
	c->state = WAITING;
	c->due_ms = clock_ms() + ms;
}

static void
open_connection(struct client *c)
{
	struct epoll_event ev = { .events = EPOLLOUT, .data.ptr = c };
	struct sockaddr_in in = { .sin_family = AF_INET };
	int on = 1, window = SLOW_WINDOW;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	in.sin_addr.s_addr = htonl(0x7f010000U + c->number + 1);
	(void)setsockopt(
	    c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	if (c->kind == READER)
		(void)setsockopt(
		    c->fd, SOL_SOCKET, SO_RCVBUF, &window, sizeof(window));
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (c->fd < 0 || bind(c->fd, (struct sockaddr *)&in, sizeof(in)) != 0 ||
	    epoll_ctl(load.epoll, EPOLL_CTL_ADD, c->fd, &ev) != 0) {
		fail(c, strerror(errno));
		return;
	}
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	in.sin_port = htons(load.port);
	c->state = CONNECTING;
	if (connect(c->fd, (struct sockaddr *)&in, sizeof(in)) != 0 &&
	    errno != EINPROGRESS)
		fail(c, strerror(errno));
}

/* Nobody listens: for a while, as at a restart. */
static void
try_later(struct client *c, int error)
{
	uint64_t now = clock_ms();

	hang_up(c);
	load.refused++;
	if (c->refused_ms == 0)
		c->refused_ms = now;
	if (now - c->refused_ms > RETRY_MS)
		fail(c, strerror(error));
	else
		pause_for(c, 100 + random_below(200));
}

/* A connection that was kept may be closed when the next request comes. */
static void
broken(struct client *c, const char *why)
{
	if (!c->kept || c->again || c->head_len > 0) {
		fail(c, why);
		return;
	}
	hang_up(c);
	load.again++;
	c->again = true;
	open_connection(c);
}

static void
send_request(struct client *c)
{
	char text[512];
	int n;

	c->fetching =
	    c->kind == READER || (c->number % 10 == 0 && c->polls % 3 == 1);
	if (c->fetching)
		n = snprintf(text, sizeof(text),
		    "GET %s HTTP/1.1\r\nHost: t\r\n\r\n",
		    c->kind == READER ? load.large : load.file);
	else
		n = snprintf(text, sizeof(text),
		    "GET /v1/channel/production HTTP/1.1\r\nHost: t\r\n"
		    "If-None-Match: %s\r\n\r\n",
		    load.etag);
	c->head_len = 0;
	c->in_body = false;
	c->state = READING;
	/* So little is always taken at once. */
	if (SSL_write(c->ssl, text, n) != n)
		broken(c, "the request is not taken");
	else
		watch(c, EPOLLIN);
}

static void
shake(struct client *c)
{
	int rc = SSL_connect(c->ssl);

	if (rc == 1) {
		if (c->kind == IDLER)
			end(c, DONE);
		else
			send_request(c);
		return;
	}
	switch (SSL_get_error(c->ssl, rc)) {
	case SSL_ERROR_WANT_READ:
		watch(c, EPOLLIN);
		break;
	case SSL_ERROR_WANT_WRITE:
		watch(c, EPOLLOUT);
		break;
	default:
		/* A server that ends may not come to accept it. */
		try_later(c, ECONNRESET);
	}
}

static void
connected(struct client *c)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 ||
	    error != 0) {
		if (error == ECONNREFUSED || error == ECONNRESET)
			try_later(c, error);
		else
			fail(c, strerror(error));
		return;
	}
	c->ssl = SSL_new(load.ctx);
	if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1) {
		fail(c, "out of memory");
		return;
	}
	c->state = SHAKING;
	shake(c);
}

static void
answered(struct client *c)
{
	struct times *times = c->kept ? &load.kept : &load.fresh;

	c->kept = true;
	c->again = false;
	c->refused_ms = 0;
	if (!c->fetching && times->count < load.count * load.polls)
		times->ms[times->count++] =
		    (uint32_t)(clock_ms() - c->begun_ms);
	if (++c->polls >= load.polls) {
		hang_up(c);
		end(c, DONE);
		return;
	}
	watch(c, 0);
	pause_for(c, random_below(THINK_MS));
}

/* Of the head, once whole; n bytes of the body came with it. */
static void
take_head(struct client *c, size_t n)
{
	const char *want = c->fetching ? "HTTP/1.1 200 " : "HTTP/1.1 304 ";

	if (strncmp(c->head, want, strlen(want)) != 0) {
		c->head[strcspn(c->head, "\r")] = '\0';
		fail(c, c->head);
		return;
	}
	c->in_body = true;
	c->body_left = c->kind == READER ? UINT64_MAX
	    : c->fetching                ? load.bytes
	                                 : 0;
	if (n > c->body_left)
		fail(c, "more than there should be");
	else
		c->body_left -= n;
}

static void
take(struct client *c, const char *data, size_t n)
{
	char *end_of_head;

	if (c->in_body) {
		if (n > c->body_left)
			fail(c, "more than there should be");
		else
			c->body_left -= n;
		return;
	}
	if (n > HEAD_BYTES - c->head_len)
		n = HEAD_BYTES - c->head_len;
	memcpy(c->head + c->head_len, data, n);
	c->head_len += n;
	c->head[c->head_len] = '\0';
	end_of_head = strstr(c->head, "\r\n\r\n");
	if (end_of_head == NULL) {
		if (c->head_len == HEAD_BYTES)
			fail(c, "no end of the head");
		return;
	}
	take_head(c, c->head_len - (size_t)(end_of_head + 4 - c->head));
}

static void
read_reply(struct client *c)
{
	char piece[65536];
	/* The head first, so that no body of a length unknown is cut. */
	size_t most = c->kind == READER ? SLOW_BYTES
	    : c->in_body                ? sizeof(piece)
	                                : HEAD_BYTES - c->head_len;

	for (;;) {
		int n = SSL_read(c->ssl, piece, (int)most);

		if (n <= 0) {
			if (SSL_get_error(c->ssl, n) != SSL_ERROR_WANT_READ)
				broken(c, "closed before its answer was whole");
			return;
		}
		take(c, piece, (size_t)n);
		if (c->state != READING)
			return;
		if (c->in_body && c->body_left == 0) {
			answered(c);
			return;
		}
		if (c->kind == READER) {
			watch(c, 0);
			c->due_ms = clock_ms() + SLOW_MS;
			return;
		}
		most = c->in_body ? sizeof(piece) : HEAD_BYTES - c->head_len;
	}
}

static void
on_event(struct client *c, uint32_t events)
{
	switch (c->state) {
	case CONNECTING:
		connected(c);
		break;
	case SHAKING:
		shake(c);
		break;
	case READING:
		/* One that reads slowly does so by the clock. */
		if (c->kind == READER && clock_ms() < c->due_ms) {
			if ((events & (EPOLLHUP | EPOLLERR)) != 0)
				fail(c, "a slow reader was dropped");
		} else {
			read_reply(c);
		}
		break;
	case WAITING: /* closed meanwhile: the next request finds out */
		if ((events & (EPOLLHUP | EPOLLERR)) != 0 && c->fd >= 0) {
			load.again++;
			hang_up(c);
		}
		break;
	case DONE:
	case FAILED:
		break;
	}
}

/* Whose time has come. */
static void
tick(void)
{
	uint64_t now = clock_ms();

	for (size_t i = 0; i < load.count; i++) {
		struct client *c = &load.clients[i];

		if (c->due_ms > now)
			continue;
		if (c->state == WAITING && c->fd < 0) {
			if (c->refused_ms == 0)
				c->begun_ms = now;
			open_connection(c);
		} else if (c->state == WAITING) {
			c->begun_ms = now;
			send_request(c);
		} else if (c->state == READING && c->kind == READER) {
			read_reply(c);
		}
	}
}

static bool
pending(enum kind kind)
{
	for (size_t i = 0; i < load.count; i++)
		if (load.clients[i].kind == kind &&
		    load.clients[i].state != DONE &&
		    load.clients[i].state != FAILED)
			return true;
	return false;
}

/* Until no client of that kind has anything to do. */
static void
run(enum kind kind)
{
	struct epoll_event events[256];
	uint64_t begun = clock_ms(), ticked = 0;

	while (pending(kind)) {
		int n = epoll_wait(load.epoll, events, 256, 5);

		for (int i = 0; i < n; i++)
			on_event(events[i].data.ptr, events[i].events);
		if (clock_ms() - ticked >= 5) {
			tick();
			ticked = clock_ms();
		}
		if (clock_ms() - begun > LIMIT_MS) {
			(void)fprintf(stderr, "it takes too long\n");
			load.errors++;
			return;
		}
	}
}

static void
add(enum kind kind, size_t count)
{
	uint64_t now = clock_ms();

	for (size_t i = 0; i < count; i++) {
		struct client *c = &load.clients[load.count];

		*c = (struct client){ .kind = kind,
			.number = (unsigned)load.count,
			.fd = -1,
			.due_ms =
			    now + (kind == POLLER ? random_below(1000) : 0) };
		load.count++;
	}
}

static int
by_number(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void
print_times(const char *name, const struct times *t)
{
	size_t n = t->count;

	qsort(t->ms, n, sizeof(*t->ms), by_number);
	(void)printf("%s: p50_ms %u p99_ms %u max_ms %u\n", name,
	    n > 0 ? t->ms[n / 2] : 0, n > 0 ? t->ms[n * 99 / 100] : 0,
	    n > 0 ? t->ms[n - 1] : 0);
}

static void
report(size_t slow)
{
	size_t alive = 0;

	for (size_t i = 0; i < load.count; i++)
		alive += load.clients[i].kind == READER &&
		    load.clients[i].state == READING;
	(void)printf("polls %zu again %llu refused %llu\n",
	    load.fresh.count + load.kept.count, (unsigned long long)load.again,
	    (unsigned long long)load.refused);
	print_times("connecting", &load.fresh);
	print_times("connected", &load.kept);
	(void)printf("slow %zu of %zu alive\n", alive, slow);
	(void)printf("errors %llu\n", (unsigned long long)load.errors);
}

static void
hold_idle(size_t count)
{
	char line[16];

	add(IDLER, count);
	run(IDLER);
	(void)printf("idle %zu\n", count);
	(void)fflush(stdout);
	if (fgets(line, sizeof(line), stdin) == NULL)
		load.errors++;
	for (size_t i = 0; i < load.count; i++)
		hang_up(&load.clients[i]);
	load.count = 0;
}

int
main(int argc, char *argv[])
{
	size_t clients, slow, idle, room;

	if (argc < 9) {
		(void)fprintf(stderr,
		    "usage: tool_load PORT ETAG FILE BYTES CLIENTS POLLS LARGE "
		    "SLOW "
		    "[IDLE]\n");
		return 2;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	load.port = (uint16_t)strtoul(argv[1], NULL, 10);
	load.etag = argv[2];
	load.file = argv[3];
	load.bytes = strtoull(argv[4], NULL, 10);
	clients = strtoul(argv[5], NULL, 10);
	load.polls = (unsigned)strtoul(argv[6], NULL, 10);
	load.large = argv[7];
	slow = strtoul(argv[8], NULL, 10);
	idle = argc > 9 ? strtoul(argv[9], NULL, 10) : 0;
	load.rng = 88172645463325252U;
	load.ctx = SSL_CTX_new(TLS_client_method());
	load.epoll = epoll_create1(EPOLL_CLOEXEC);
	load.clients = calloc(clients + slow + idle + 1, sizeof(*load.clients));
	room = (clients + slow + 1) * (load.polls + 1);
	load.fresh.ms = calloc(room, sizeof(*load.fresh.ms));
	load.kept.ms = calloc(room, sizeof(*load.kept.ms));
	if (load.ctx == NULL || load.epoll < 0 || load.clients == NULL ||
	    load.fresh.ms == NULL || load.kept.ms == NULL)
		return 2;
	SSL_CTX_set_verify(load.ctx, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_mode(load.ctx, SSL_MODE_RELEASE_BUFFERS);
	if (idle > 0)
		hold_idle(idle);
	add(READER, slow);
	add(POLLER, clients);
	run(POLLER);
	report(slow);
	for (size_t i = 0; i < load.count; i++)
		hang_up(&load.clients[i]);
	SSL_CTX_free(load.ctx);
	free(load.clients);
	free(load.fresh.ms);
	free(load.kept.ms);
	close(load.epoll);
	return load.errors == 0 ? 0 : 1;
}
