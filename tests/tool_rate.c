/* How fast a server answers over TLS, from one process.
 *
 *   tool_rate PORT keep|connect|resume|once CLIENTS SECONDS STATUS SCRIPT
 *
 * SCRIPT is a file of HTTP requests, each behind its length (4 bytes, big
 * endian).  Each of CLIENTS asks them one after the other, the next when the
 * answer before is whole and had STATUS: again and again for SECONDS on the
 * connection that it has (keep), on a new one for each request with a full
 * handshake (connect) or with the ticket of the one before (resume); or all of
 * them once (once).  Clients come from addresses of their own, 127.x.y.z, new
 * connections from new ones: no limit for one address is met.
 *
 * Prints one line: answers, bytes of their bodies, seconds, handshakes and how
 * many of those were resumed.  Exit status 1 when anything went wrong. */
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

#define HEAD_BYTES   4096
#define PIECE_BYTES  65536
#define ADDRESSES    8192 /* that connections come from */
#define MOST_SECONDS 300  /* of a script played once */

enum body {
	BODY_COUNTED,
	BODY_CHUNKS,
};

struct client {
	int fd;
	SSL *ssl;
	SSL_SESSION *session;
	bool ready; /* the handshake is over */
	bool done;
	size_t next; /* request */
	char head[HEAD_BYTES + 1];
	size_t head_len;
	bool in_body;
	enum body body;
	uint64_t left; /* of the body or of a chunk with its line's end */
	char line[24]; /* that tells a chunk's length */
	size_t line_len;
	bool last_chunk;
};

static struct rate {
	uint16_t port;
	bool keep, resume, once;
	const char *status;
	struct request {
		const uint8_t *data;
		int len;
	} * requests;
	size_t request_count;
	struct client *clients;
	size_t count, running;
	int epoll;
	SSL_CTX *ctx;
	uint64_t until_ms;
	unsigned address;
	uint64_t answers, body_bytes, handshakes, resumed;
} rate;

static void
fail(const char *what)
{
	(void)fprintf(stderr, "tool_rate: %s\n", what);
	exit(1);
}

/* A ticket came. */
static int
keep_session(SSL *ssl, SSL_SESSION *session)
{
	struct client *c = SSL_get_app_data(ssl);

	SSL_SESSION_free(c->session);
	c->session = session;
	return 1;
}

static void
open_connection(struct client *c)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLET,
		.data.ptr = c };
	struct sockaddr_in in = { .sin_family = AF_INET };
	int on = 1;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	in.sin_addr.s_addr =
	    htonl(0x7f010000U + rate.address++ % ADDRESSES + 1);
	(void)setsockopt(
	    c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (c->fd < 0 || bind(c->fd, (struct sockaddr *)&in, sizeof(in)) != 0)
		fail(strerror(errno));
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	in.sin_port = htons(rate.port);
	if (connect(c->fd, (struct sockaddr *)&in, sizeof(in)) != 0 &&
	    errno != EINPROGRESS)
		fail(strerror(errno));
	c->ready = false;
	c->ssl = SSL_new(rate.ctx);
	if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1 ||
	    SSL_set_app_data(c->ssl, c) != 1 ||
	    epoll_ctl(rate.epoll, EPOLL_CTL_ADD, c->fd, &ev) != 0)
		fail("no room for a connection");
	if (rate.resume && c->session != NULL)
		(void)SSL_set_session(c->ssl, c->session);
	SSL_set_connect_state(c->ssl);
}

static void
hang_up(struct client *c)
{
	(void)SSL_shutdown(c->ssl);
	SSL_free(c->ssl);
	c->ssl = NULL;
	close(c->fd);
}

/* Requests are small: the kernel takes them at once. */
static void
ask(struct client *c)
{
	const struct request *r = &rate.requests[c->next];

	c->head_len = 0;
	c->in_body = false;
	if (SSL_write(c->ssl, r->data, r->len) != r->len)
		fail("a request was not taken");
}

static void
answered(struct client *c)
{
	rate.answers++;
	c->next = (c->next + 1) % rate.request_count;
	if (rate.once ? c->next == 0 : clock_ms() >= rate.until_ms) {
		hang_up(c);
		c->done = true;
		rate.running--;
	} else if (rate.keep || rate.once) {
		ask(c);
	} else {
		hang_up(c);
		open_connection(c);
	}
}

static void
parse_head(struct client *c)
{
	const char *length = strcasestr(c->head, "\r\nContent-Length:");

	if (strncmp(c->head, "HTTP/1.1 ", 9) != 0 ||
	    strncmp(c->head + 9, rate.status, 3) != 0)
		fail(c->head);
	c->in_body = true;
	c->left = 0;
	c->body = BODY_COUNTED;
	if (strncmp(rate.status, "304", 3) == 0)
		return;
	if (length != NULL) {
		c->left = strtoull(length + 17, NULL, 10);
		return;
	}
	if (strcasestr(c->head, "\r\nTransfer-Encoding: chunked") == NULL)
		fail("an answer of unknown length");
	c->body = BODY_CHUNKS;
	c->last_chunk = false;
	c->line_len = 0;
}

/* The bytes of a head that are taken from data. */
static size_t
take_head(struct client *c, const char *data, size_t n)
{
	size_t had = c->head_len;
	char *end;

	if (n > HEAD_BYTES - had)
		n = HEAD_BYTES - had;
	memcpy(c->head + had, data, n);
	c->head_len += n;
	c->head[c->head_len] = '\0';
	end = strstr(c->head, "\r\n\r\n");
	if (end == NULL) {
		if (c->head_len == HEAD_BYTES)
			fail("a head does not end");
		return n;
	}
	end[2] = '\0';
	parse_head(c);
	return (size_t)(end + 4 - c->head) - had;
}

/* One more byte of the line before a chunk. */
static void
take_line(struct client *c, char byte)
{
	if (c->line_len == sizeof(c->line) - 1)
		fail("a chunk's line does not end");
	c->line[c->line_len++] = byte;
	if (byte != '\n')
		return;
	c->line[c->line_len] = '\0';
	c->left = strtoull(c->line, NULL, 16);
	rate.body_bytes += c->left;
	c->last_chunk = c->left == 0;
	c->left += 2;
	c->line_len = 0;
}

static bool
body_ends(const struct client *c)
{
	return c->left == 0 && (c->body == BODY_COUNTED || c->last_chunk);
}

static void
take(struct client *c, const char *data, size_t n)
{
	size_t at = 0, part;

	while (at < n) {
		if (!c->in_body) {
			at += take_head(c, data + at, n - at);
			if (c->in_body)
				rate.body_bytes += c->left;
		} else if (c->left == 0 && c->body == BODY_CHUNKS) {
			take_line(c, data[at++]);
		} else {
			part = n - at < c->left ? n - at : (size_t)c->left;
			at += part;
			c->left -= part;
		}
		if (!c->in_body || !body_ends(c))
			continue;
		if (at < n)
			fail("more than the answer");
		answered(c);
		return;
	}
}

static void
shake(struct client *c)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET, .data.ptr = c };
	int rc = SSL_connect(c->ssl);

	if (rc != 1) {
		if (SSL_get_error(c->ssl, rc) != SSL_ERROR_WANT_READ &&
		    SSL_get_error(c->ssl, rc) != SSL_ERROR_WANT_WRITE)
			fail("a handshake failed");
		return;
	}
	c->ready = true;
	/* Room for a request is always there. */
	if (epoll_ctl(rate.epoll, EPOLL_CTL_MOD, c->fd, &ev) != 0)
		fail(strerror(errno));
	rate.handshakes++;
	rate.resumed += SSL_session_reused(c->ssl) == 1;
	ask(c);
}

static void
on_event(struct client *c)
{
	static char piece[PIECE_BYTES];
	const SSL *ssl = c->ssl;

	if (!c->done && !c->ready)
		shake(c);
	while (!c->done && c->ready && c->ssl == ssl) {
		int n = SSL_read(c->ssl, piece, sizeof(piece));

		if (n <= 0) {
			if (SSL_get_error(c->ssl, n) != SSL_ERROR_WANT_READ)
				fail("closed before an answer was whole");
			return;
		}
		take(c, piece, (size_t)n);
	}
}

static void
read_script(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data = malloc(1U << 26);
	size_t len, at = 0;

	if (f == NULL || data == NULL)
		fail(path);
	len = fread(data, 1, 1U << 26, f);
	(void)fclose(f);
	rate.requests = calloc(len / 4 + 1, sizeof(*rate.requests));
	while (rate.requests != NULL && len - at >= 4) {
		struct request *r = &rate.requests[rate.request_count++];
		uint32_t n = (uint32_t)data[at] << 24 |
		    (uint32_t)data[at + 1] << 16 | (uint32_t)data[at + 2] << 8 |
		    data[at + 3];

		at += 4;
		if (n > len - at || n > INT32_MAX)
			fail("the script is cut off");
		r->data = data + at;
		r->len = (int)n;
		at += n;
	}
	if (rate.request_count == 0)
		fail("the script is empty");
}

static void
run(unsigned seconds)
{
	uint64_t begun = clock_ms();
	struct epoll_event events[64];

	rate.until_ms = begun + 1000 * (uint64_t)seconds;
	for (size_t i = 0; i < rate.count; i++)
		open_connection(&rate.clients[i]);
	rate.running = rate.count;
	while (rate.running > 0) {
		int n = epoll_wait(rate.epoll, events, 64, 1000);

		for (int i = 0; i < n; i++)
			on_event(events[i].data.ptr);
		if (clock_ms() > rate.until_ms + 1000 * (uint64_t)MOST_SECONDS)
			fail("it takes too long");
	}
	(void)printf("answers %llu body_bytes %llu seconds %.3f handshakes "
	             "%llu resumed %llu\n",
	    (unsigned long long)rate.answers,
	    (unsigned long long)rate.body_bytes,
	    (double)(clock_ms() - begun) / 1000,
	    (unsigned long long)rate.handshakes,
	    (unsigned long long)rate.resumed);
}

int
main(int argc, char *argv[])
{
	if (argc != 7) {
		(void)fprintf(stderr,
		    "usage: tool_rate PORT keep|connect|resume|once CLIENTS "
		    "SECONDS STATUS SCRIPT\n");
		return 2;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	rate.port = (uint16_t)strtoul(argv[1], NULL, 10);
	rate.keep = strcmp(argv[2], "keep") == 0;
	rate.resume = strcmp(argv[2], "resume") == 0;
	rate.once = strcmp(argv[2], "once") == 0;
	rate.count = strtoul(argv[3], NULL, 10);
	rate.status = argv[5];
	read_script(argv[6]);
	rate.ctx = SSL_CTX_new(TLS_client_method());
	rate.epoll = epoll_create1(EPOLL_CLOEXEC);
	rate.clients = calloc(rate.count + 1, sizeof(*rate.clients));
	if (rate.ctx == NULL || rate.epoll < 0 || rate.clients == NULL)
		return 2;
	SSL_CTX_set_verify(rate.ctx, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_read_ahead(rate.ctx, 1);
	SSL_CTX_set_session_cache_mode(
	    rate.ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
	SSL_CTX_sess_set_new_cb(rate.ctx, keep_session);
	run((unsigned)strtoul(argv[4], NULL, 10));
	return 0;
}
