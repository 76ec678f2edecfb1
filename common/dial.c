/* Staggered connects; runs wherever a server is talked to, without privilege.
 *
 * A race holds one state for each address; race_step starts what is due, waits
 * for what may happen next, and judges it. */
#include "common/dial.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/limits.h"

int
dial_address_from_socket(
    struct dial_address *a, const struct sockaddr *addr, uint16_t port)
{
	struct dial_address made = { .len = 0 };
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	if (addr->sa_family == AF_INET) {
		memcpy(&v4, addr, sizeof(v4));
		v4.sin_port = htons(port);
		made.len = sizeof(v4);
		memcpy(&made.addr, &v4, sizeof(v4));
	} else if (addr->sa_family == AF_INET6) {
		memcpy(&v6, addr, sizeof(v6));
		v6.sin6_port = htons(port);
		made.len = sizeof(v6);
		memcpy(&made.addr, &v6, sizeof(v6));
	} else {
		return ERR_FORMAT;
	}
	if (getnameinfo((const struct sockaddr *)&made.addr, made.len,
	        made.text, sizeof(made.text), NULL, 0, NI_NUMERICHOST) != 0)
		return ERR_FORMAT;
	*a = made;
	return 0;
}

void
dial_address_from_bytes(
    struct dial_address *a, int family, const uint8_t *bytes, uint16_t port)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };

	memset(a, 0, sizeof(*a));
	if (family == AF_INET) {
		v4.sin_port = htons(port);
		memcpy(&v4.sin_addr, bytes, sizeof(v4.sin_addr));
		a->len = sizeof(v4);
		memcpy(&a->addr, &v4, sizeof(v4));
	} else {
		v6.sin6_port = htons(port);
		memcpy(&v6.sin6_addr, bytes, sizeof(v6.sin6_addr));
		a->len = sizeof(v6);
		memcpy(&a->addr, &v6, sizeof(v6));
	}
	(void)inet_ntop(family, bytes, a->text, sizeof(a->text));
}

int
dial_address_parse(struct dial_address *a, const char *numeric, uint16_t port)
{
	struct addrinfo hints = { .ai_family = AF_INET6,
		.ai_flags = AI_NUMERICHOST,
		.ai_socktype = SOCK_STREAM };
	struct addrinfo *found = NULL;
	struct in_addr v4;
	int ret;

	if (inet_pton(AF_INET, numeric, &v4) == 1) {
		dial_address_from_bytes(a, AF_INET, (const uint8_t *)&v4, port);
		return 0;
	}
	/* Only getaddrinfo knows zones; it also takes 127.1 for an address. */
	if (strchr(numeric, ':') == NULL ||
	    getaddrinfo(numeric, NULL, &hints, &found) != 0)
		return ERR_FORMAT;
	ret = dial_address_from_socket(a, found->ai_addr, port);
	freeaddrinfo(found);
	return ret;
}

struct attempt {
	const struct dial_address *to;
	int fd;               /* -1: not started, or over */
	int sys;              /* errno of an attempt that is over */
	uint64_t deadline_ms; /* CLOCK_MONOTONIC */
};

struct race {
	struct attempt attempts[LIMIT_ADDRESSES]; /* in the order of starting */
	size_t count;
	size_t started;
	uint64_t next_start_ms;
	unsigned stagger_ms;
	unsigned connect_ms;
};

#define NO_WINNER SIZE_MAX

static uint64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* The family of the first address first, then in turn; within a family the
 * order stays. */
static void
race_order(struct race *r, const struct dial_address *addrs, size_t n)
{
	size_t next[2] = { 0, 0 };
	size_t turn = 0;

	while (r->count < n) {
		size_t i = next[turn];

		while (i < n &&
		    (addrs[i].addr.ss_family != addrs[0].addr.ss_family) !=
		        (turn == 1))
			i++;
		if (i < n)
			r->attempts[r->count++] =
			    (struct attempt){ .to = &addrs[i], .fd = -1 };
		next[turn] = i < n ? i + 1 : n;
		turn = !turn;
	}
}

static void
attempt_fail(struct race *r, struct attempt *a, int sys)
{
	if (a->fd >= 0)
		close(a->fd);
	a->fd = -1;
	a->sys = sys;
	r->next_start_ms = 0;
}

/* Whoever is connected speaks next, so that acknowledgements can go with what is
 * said: one packet less each.  The kernel forgets it when it connects. */
static void
acknowledge_later(int fd)
{
	const int off = 0;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &off, sizeof(off));
}

/* Whether it is connected already. */
static bool
attempt_start(struct race *r, struct attempt *a)
{
	const int on = 1;

	r->next_start_ms = now_ms() + r->stagger_ms;
	a->deadline_ms = now_ms() + r->connect_ms;
	a->fd = socket(a->to->addr.ss_family,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	if (a->fd < 0 ||
	    setsockopt(a->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0) {
		attempt_fail(r, a, errno);
		return false;
	}
	acknowledge_later(a->fd);
	if (connect(a->fd, (const struct sockaddr *)&a->to->addr, a->to->len) ==
	    0)
		return true;
	if (errno != EINPROGRESS)
		attempt_fail(r, a, errno);
	return false;
}

/* Starts all that is due; the index of one that is connected, or NO_WINNER. */
static size_t
race_start(struct race *r)
{
	while (r->started < r->count && now_ms() >= r->next_start_ms) {
		size_t i = r->started++;

		if (attempt_start(r, &r->attempts[i]))
			return i;
	}
	return NO_WINNER;
}

/* Milliseconds until something is due, -1 when nothing is left. */
static int
race_wait_ms(const struct race *r)
{
	uint64_t until = UINT64_MAX, now = now_ms();

	if (r->started < r->count)
		until = r->next_start_ms;
	for (size_t i = 0; i < r->started; i++) {
		const struct attempt *a = &r->attempts[i];

		if (a->fd >= 0 && a->deadline_ms < until)
			until = a->deadline_ms;
	}
	if (until == UINT64_MAX)
		return -1;
	return until <= now ? 0 : (int)(until - now);
}

static size_t
race_judge(struct race *r, const struct pollfd *events)
{
	for (size_t i = 0; i < r->started; i++) {
		struct attempt *a = &r->attempts[i];
		int sys = 0;
		socklen_t len = sizeof(sys);

		if (a->fd < 0)
			continue;
		if (events[i].revents != 0) {
			if (getsockopt(
			        a->fd, SOL_SOCKET, SO_ERROR, &sys, &len) != 0)
				sys = errno;
			if (sys == 0)
				return i;
			attempt_fail(r, a, sys);
		} else if (now_ms() >= a->deadline_ms) {
			attempt_fail(r, a, ETIMEDOUT);
		}
	}
	return NO_WINNER;
}

/* Runs until one stands (*winner) or all are over (NO_WINNER). */
static int
race_run(struct race *r, size_t *winner, struct err *e)
{
	struct pollfd events[LIMIT_ADDRESSES];
	int wait_ms;

	for (;;) {
		*winner = race_start(r);
		wait_ms = race_wait_ms(r);
		if (*winner != NO_WINNER || wait_ms < 0)
			return 0;
		for (size_t i = 0; i < r->started; i++)
			events[i] = (struct pollfd){ .fd = r->attempts[i].fd,
				.events = POLLOUT };
		if (poll(events, r->started, wait_ms) < 0) {
			if (errno != EINTR)
				return err_sys(e, "poll");
			continue;
		}
		*winner = race_judge(r, events);
		if (*winner != NO_WINNER)
			return 0;
	}
}

static uint16_t
port_of(const struct dial_address *a)
{
	struct sockaddr_in v4;

	/* The port stands at one place in both families. */
	memcpy(&v4, &a->addr, sizeof(v4));
	return ntohs(v4.sin_port);
}

static int
race_error(const struct race *r, struct err *e)
{
	char text[ERR_MSG_BYTES] = "", reason[128];
	bool late = true;
	size_t len = 0;

	for (size_t i = 0; i < r->count && len < sizeof(text); i++) {
		const struct attempt *a = &r->attempts[i];
		int n = snprintf(text + len, sizeof(text) - len,
		    "%s%s port %u: %s", i > 0 ? "; " : "", a->to->text,
		    port_of(a->to), strerror_r(a->sys, reason, sizeof(reason)));

		len += n > 0 ? (size_t)n : 0;
		late = late && a->sys == ETIMEDOUT;
	}
	return err_set(
	    e, late ? ERR_TIMEOUT : ERR_NET, "no connection: %s", text);
}

/* Takes the descriptor of the winner out of the race. */
static int
race_take(struct attempt *a, bool nonblocking, int *fd, struct err *e)
{
	int flags = fcntl(a->fd, F_GETFL);

	if (flags < 0 ||
	    (!nonblocking && fcntl(a->fd, F_SETFL, flags & ~O_NONBLOCK) != 0))
		return err_sys(e, "%s: fcntl", a->to->text);
	acknowledge_later(a->fd);
	*fd = a->fd;
	a->fd = -1;
	return 0;
}

int
dial(const struct dial_address *addrs, size_t n,
    const struct dial_options *options, int *fd, size_t *index, struct err *e)
{
	static const struct dial_options usual = { 0 };
	const struct dial_options *o = options != NULL ? options : &usual;
	struct race r = { .count = 0 };
	size_t winner;
	int ret;

	if (n == 0)
		return err_set(e, ERR_USAGE, "no address to connect to");
	if (n > LIMIT_ADDRESSES)
		return err_set(e, ERR_LIMIT, "%zu addresses, at most %d", n,
		    LIMIT_ADDRESSES);
	r.stagger_ms = o->stagger_ms > 0 ? o->stagger_ms : LIMIT_STAGGER_MS;
	r.connect_ms = o->connect_ms > 0 ? o->connect_ms : LIMIT_CONNECT_MS;
	race_order(&r, addrs, n);
	ret = race_run(&r, &winner, e);
	if (ret == 0 && winner == NO_WINNER)
		ret = race_error(&r, e);
	if (ret == 0)
		ret = race_take(&r.attempts[winner], o->nonblocking, fd, e);
	if (ret == 0)
		*index = (size_t)(r.attempts[winner].to - addrs);
	for (size_t i = 0; i < r.count; i++)
		if (r.attempts[i].fd >= 0)
			close(r.attempts[i].fd);
	return ret;
}
