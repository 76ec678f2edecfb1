/* Peers by their network address: what each may cost, so that one that is broken
 * or hostile is not noticed by the others.  Runs in peciad's workers. */
#include "common/http_server_impl.h"

#include <netinet/in.h>
#include <stdlib.h>

#include "common/limits.h"

#define BUCKETS 4096 /* of the hash table; a power of two */
#define SECOND  1000000U

/* An IPv4 address, or the half of an IPv6 address that a site is given. */
struct address {
	uint8_t bytes[9]; /* 4 or 6, then that much of it */
};

struct http_peer {
	LIST_ENTRY(http_peer) chain;
	TAILQ_ENTRY(http_peer) resting; /* while it has no connection */
	struct address address;
	unsigned connections;
	size_t body_bytes; /* of its requests under way */
	/* When its next one would be due at the rate allowed. */
	uint64_t connect_us, request_us;
};

LIST_HEAD(chain, http_peer);

struct http_peers {
	struct chain buckets[BUCKETS];
	TAILQ_HEAD(, http_peer) resting; /* the one longest away first */
	unsigned count;
	uint64_t seed; /* nobody outside shall know who shares a bucket */
	size_t body_bytes;
};

int
http_peers_new(struct http_peers **out, struct err *e)
{
	struct http_peers *p = calloc(1, sizeof(*p));
	struct timespec now;

	if (p == NULL)
		return err_memory(e);
	clock_gettime(CLOCK_REALTIME, &now);
	p->seed = (uint64_t)now.tv_nsec * 0x9e3779b97f4a7c15U ^
	    (uint64_t)(uintptr_t)p;
	TAILQ_INIT(&p->resting);
	*out = p;
	return 0;
}

static void
forget(struct http_peers *p, struct http_peer *peer)
{
	TAILQ_REMOVE(&p->resting, peer, resting);
	LIST_REMOVE(peer, chain);
	p->count--;
	free(peer);
}

void
http_peers_free(struct http_peers *p)
{
	struct http_peer *peer, *next;

	if (p == NULL)
		return;
	for (peer = TAILQ_FIRST(&p->resting); peer != NULL; peer = next) {
		next = TAILQ_NEXT(peer, resting);
		free(peer);
	}
	free(p);
}

static struct address
address_of(const struct sockaddr *sa, size_t len)
{
	struct address a = { { 0 } };
	struct sockaddr_in6 in6;
	struct sockaddr_in in;

	if (sa->sa_family == AF_INET && len >= sizeof(in)) {
		memcpy(&in, sa, sizeof(in));
		a.bytes[0] = 4;
		memcpy(&a.bytes[1], &in.sin_addr, 4);
	} else if (sa->sa_family == AF_INET6 && len >= sizeof(in6)) {
		memcpy(&in6, sa, sizeof(in6));
		if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr)) {
			a.bytes[0] = 4;
			memcpy(&a.bytes[1], &in6.sin6_addr.s6_addr[12], 4);
		} else {
			a.bytes[0] = 6;
			memcpy(&a.bytes[1], &in6.sin6_addr, 8);
		}
	}
	return a;
}

static struct chain *
bucket_of(struct http_peers *p, const struct address *a)
{
	uint64_t h = p->seed;

	for (size_t i = 0; i < sizeof(a->bytes); i++)
		h = (h ^ a->bytes[i]) * 0x100000001b3U;
	return &p->buckets[(h ^ h >> 32) & (BUCKETS - 1)];
}

struct http_peer *
http_peer_of(struct http_peers *p, const struct sockaddr *sa, size_t len)
{
	struct address a = address_of(sa, len);
	struct chain *bucket = bucket_of(p, &a);
	struct http_peer *peer;

	LIST_FOREACH (peer, bucket, chain)
		if (memcmp(&peer->address, &a, sizeof(a)) == 0)
			return peer;
	if (p->count >= LIMIT_PEERS && !TAILQ_EMPTY(&p->resting))
		forget(p, TAILQ_FIRST(&p->resting));
	peer = calloc(1, sizeof(*peer));
	if (peer == NULL)
		return NULL;
	peer->address = a;
	LIST_INSERT_HEAD(bucket, peer, chain);
	TAILQ_INSERT_TAIL(&p->resting, peer, resting);
	p->count++;
	return peer;
}

unsigned
http_peer_connections(const struct http_peer *peer)
{
	return peer->connections;
}

void
http_peer_enter(struct http_peers *p, struct http_peer *peer)
{
	if (peer->connections++ == 0)
		TAILQ_REMOVE(&p->resting, peer, resting);
}

void
http_peer_leave(struct http_peers *p, struct http_peer *peer)
{
	if (--peer->connections == 0)
		TAILQ_INSERT_TAIL(&p->resting, peer, resting);
}

static uint64_t
now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec / 1000;
}

/* How long, in microseconds, one more would have to wait. */
static uint64_t
wait_us(uint64_t due_us, uint64_t now, unsigned per_s, unsigned burst)
{
	uint64_t allowance = (uint64_t)burst * SECOND / per_s;

	return due_us > now + allowance ? due_us - now - allowance : 0;
}

static void
count_one(uint64_t *due_us, uint64_t now, unsigned per_s)
{
	*due_us = (*due_us > now ? *due_us : now) + SECOND / per_s;
}

bool
http_peer_may_connect(struct http_peer *peer)
{
	uint64_t now = now_us();

	if (wait_us(peer->connect_us, now, LIMIT_PEER_CONNECTS_S,
	        LIMIT_PEER_CONNECTS_BURST) > 0)
		return false;
	count_one(&peer->connect_us, now, LIMIT_PEER_CONNECTS_S);
	return true;
}

unsigned
http_peer_delay_ms(struct http_peer *peer, unsigned per_s, unsigned burst)
{
	uint64_t now = now_us(),
	         us = wait_us(peer->request_us, now, per_s, burst);

	count_one(&peer->request_us, now, per_s);
	return us > 0 ? (unsigned)(us / 1000) + 1 : 0;
}

bool
http_peer_take_body(struct http_peers *p, struct http_peer *peer, size_t bytes)
{
	if (bytes > LIMIT_PEER_BODIES_BYTES - peer->body_bytes ||
	    bytes > LIMIT_BODIES_BYTES - p->body_bytes)
		return false;
	peer->body_bytes += bytes;
	p->body_bytes += bytes;
	return true;
}

void
http_peer_drop_body(struct http_peers *p, struct http_peer *peer, size_t bytes)
{
	peer->body_bytes -= bytes;
	p->body_bytes -= bytes;
}
