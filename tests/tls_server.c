/* A scripted TLS server for tests. */
#include "tests/tls_server.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct connection {
	struct tls_peer peer;
	tls_server_script script;
	const void *arg;
	int fd;
};

bool
tls_peer_request(struct tls_peer *p)
{
	size_t len = 0;

	/* One byte at a time: the body, if any, stays where it is. */
	while (len + 1 < sizeof(p->request)) {
		if (SSL_read(p->ssl, p->request + len, 1) != 1)
			return false;
		p->request[++len] = '\0';
		if (len >= 4 && strcmp(p->request + len - 4, "\r\n\r\n") == 0) {
			__atomic_add_fetch(
			    &p->counts->requests, 1, __ATOMIC_SEQ_CST);
			return true;
		}
	}
	return false;
}

bool
tls_peer_send(struct tls_peer *p, const void *data, size_t len)
{
	return SSL_write(p->ssl, data, (int)len) == (int)len;
}

bool
tls_peer_say(struct tls_peer *p, const char *text)
{
	return tls_peer_send(p, text, strlen(text));
}

unsigned
tls_peer_read_body(struct tls_peer *p, size_t len)
{
	unsigned sum = 0;
	uint8_t byte;

	for (; len > 0 && SSL_read(p->ssl, &byte, 1) == 1; len--)
		sum += byte;
	return sum;
}

void
tls_peer_hang(struct tls_peer *p)
{
	char byte;

	while (SSL_read(p->ssl, &byte, 1) == 1)
		;
}

static void *
serve(void *arg)
{
	struct connection *x = arg;
	struct tls_peer *p = &x->peer;
	struct digest seen;
	int off = 0;

	SSL_set_fd(p->ssl, x->fd);
	if (SSL_accept(p->ssl) == 1) {
		/* Nothing waits for what the script says. */
		setsockopt(x->fd, IPPROTO_TCP, TCP_CORK, &off, sizeof(off));
		p->number = __atomic_add_fetch(
		    &p->counts->connections, 1, __ATOMIC_SEQ_CST);
		if (SSL_session_reused(p->ssl))
			__atomic_add_fetch(
			    &p->counts->resumed, 1, __ATOMIC_SEQ_CST);
		if (tls_peer_digest(p->ssl, &seen))
			__atomic_add_fetch(
			    &p->counts->certificates, 1, __ATOMIC_SEQ_CST);
		x->script(p, x->arg);
	}
	SSL_free(p->ssl);
	close(x->fd);
	free(x);
	return NULL;
}

static _Noreturn void
serve_all(int listener, SSL_CTX *ctx, const struct connection *model)
{
	int one = 1;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)signal(SIGPIPE, SIG_IGN);
	for (;;) {
		struct connection *x = malloc(sizeof(*x));
		pthread_t thread;

		if (x == NULL)
			_exit(1);
		*x = *model;
		x->fd = accept(listener, NULL, NULL);
		if (x->fd < 0)
			_exit(1);
		model->peer.counts->accepted++;
		setsockopt(x->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		x->peer.ssl = tls_session_new(ctx);
		if (pthread_create(&thread, NULL, serve, x) != 0)
			_exit(1);
		pthread_detach(thread);
	}
}

static socklen_t
loopback(struct sockaddr_storage *at, const char *address, uint16_t port)
{
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)at;
	struct sockaddr_in *v4 = (struct sockaddr_in *)at;

	memset(at, 0, sizeof(*at));
	if (strchr(address, ':') != NULL) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		inet_pton(AF_INET6, address, &v6->sin6_addr);
		return sizeof(*v6);
	}
	v4->sin_family = AF_INET;
	v4->sin_port = htons(port);
	inet_pton(AF_INET, address, &v4->sin_addr);
	return sizeof(*v4);
}

void
tls_server_start(struct tls_server *s, const char *address,
    const struct tls_identity *id, tls_server_script script, const void *arg)
{
	struct connection model = { .script = script, .arg = arg };
	struct sockaddr_storage at;
	socklen_t len = loopback(&at, address, 0);
	struct err e = ERR_INIT;
	SSL_CTX *ctx = NULL;
	int fd;

	s->family = at.ss_family;
	fd = socket(s->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, len), 0);
	ck_assert_int_eq(listen(fd, 128), 0);
	len = sizeof(at);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	s->port = ntohs(((struct sockaddr_in *)&at)->sin_port);
	s->counts = mmap(NULL, sizeof(*s->counts), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne((const void *)(uintptr_t)s->counts, MAP_FAILED);
	model.peer.counts = s->counts;
	ck_assert_msg(tls_server_context(id, &ctx, &e) == 0, "%s", e.msg);
	s->pid = fork();
	ck_assert_int_ge(s->pid, 0);
	if (s->pid == 0)
		serve_all(fd, ctx, &model);
	tls_context_free(ctx);
	close(fd);
}

void
tls_server_stop(struct tls_server *s)
{
	kill(s->pid, SIGKILL);
	ck_assert_int_eq(waitpid(s->pid, NULL, 0), s->pid);
	munmap((void *)(uintptr_t)s->counts, sizeof(*s->counts));
}

int
tls_server_dial(const struct tls_server *s, bool blocking)
{
	struct sockaddr_storage at;
	socklen_t len =
	    loopback(&at, s->family == AF_INET6 ? "::1" : "127.0.0.1", s->port);
	int flags = blocking ? 0 : SOCK_NONBLOCK;
	int fd = socket(s->family, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
	struct pollfd ready = { .fd = fd, .events = POLLOUT };

	ck_assert_int_ge(fd, 0);
	if (connect(fd, (struct sockaddr *)&at, len) != 0)
		ck_assert_int_eq(errno, EINPROGRESS);
	ck_assert_int_eq(poll(&ready, 1, 5000), 1);
	return fd;
}
