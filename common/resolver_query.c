/* DNS over UDP and TCP; runs where names are resolved, without privilege. */
#include "common/resolver_query.h"

#include <arpa/nameser.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <resolv.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "common/resolver_conf.h"

#define CHAIN_MAX   8   /* aliases followed within one answer */
#define RECORDS_MAX 256 /* of an answer looked at: names cost time to expand */
#define SRV_FIXED   6   /* bytes before the target */

bool
resolver_status_is_ill(enum resolver_status status)
{
	return status > RESOLVER_NO_DATA;
}

const char *
resolver_status_text(enum resolver_status status)
{
	static const char *const texts[] = {
		[RESOLVER_FOUND] = "found",
		[RESOLVER_NXDOMAIN] = "NXDOMAIN",
		[RESOLVER_NO_DATA] = "no data",
		[RESOLVER_TIMEOUT] = "timed out",
		[RESOLVER_UNREACHABLE] = "name server unreachable",
		[RESOLVER_SERVFAIL] = "SERVFAIL",
		[RESOLVER_REFUSED] = "REFUSED",
		[RESOLVER_LAME] = "name server has no answer and seeks none",
		[RESOLVER_MALFORMED] = "malformed answer",
		[RESOLVER_OTHER] = "error answer",
	};

	return texts[status];
}

static ns_type
type_number(enum resolver_type type)
{
	static const ns_type numbers[] = {
		[RESOLVER_A] = ns_t_a,
		[RESOLVER_AAAA] = ns_t_aaaa,
		[RESOLVER_SRV] = ns_t_srv,
	};

	return numbers[type];
}

/* -- reading an answer -- */

static enum resolver_status
status_of_rcode(int rcode)
{
	switch (rcode) {
	case ns_r_noerror:
		return RESOLVER_FOUND;
	case ns_r_nxdomain:
		return RESOLVER_NXDOMAIN;
	case ns_r_servfail:
		return RESOLVER_SERVFAIL;
	case ns_r_refused:
		return RESOLVER_REFUSED;
	default:
		return RESOLVER_OTHER;
	}
}

/* The next record from *at on with this owner and type: 1 found, 0 none, -1
 * what is there cannot be read. */
static int
find_record(ns_msg *msg, int *at, const char *owner, ns_type type, ns_rr *rr)
{
	int end = ns_msg_count(*msg, ns_s_an);

	for (; *at < end && *at < RECORDS_MAX; (*at)++) {
		if (ns_parserr(msg, ns_s_an, *at, rr) != 0)
			return -1;
		if (ns_rr_type(*rr) == type && ns_rr_class(*rr) == ns_c_in &&
		    strcasecmp(ns_rr_name(*rr), owner) == 0) {
			(*at)++;
			return 1;
		}
	}
	return 0;
}

/* Replaces owner by what it is an alias of; false: the chain has no end. */
static bool
follow_aliases(ns_msg *msg, char owner[NS_MAXDNAME])
{
	ns_rr rr;

	for (int hop = 0; hop <= CHAIN_MAX; hop++) {
		int at = 0;
		int found = find_record(msg, &at, owner, ns_t_cname, &rr);

		if (found <= 0)
			return found == 0;
		if (ns_name_uncompress(ns_msg_base(*msg), ns_msg_end(*msg),
		        ns_rr_rdata(rr), owner, NS_MAXDNAME) < 0)
			return false;
	}
	return false;
}

static void
add_address(struct resolver_answer *answer, const ns_rr *rr, uint16_t port)
{
	int family = ns_rr_type(*rr) == ns_t_a ? AF_INET : AF_INET6;
	size_t len = family == AF_INET ? NS_INADDRSZ : NS_IN6ADDRSZ;

	if (answer->count < LIMIT_ADDRESSES && ns_rr_rdlen(*rr) == len)
		dial_address_from_bytes(&answer->addrs[answer->count++], family,
		    ns_rr_rdata(*rr), port);
}

static void
add_srv(struct resolver_answer *answer, const ns_msg *msg, const ns_rr *rr)
{
	const uint8_t *data = ns_rr_rdata(*rr);
	struct resolver_srv *srv = &answer->srv[answer->count];
	char target[NS_MAXDNAME];
	int used;

	if (answer->count == LIMIT_CANDIDATES || ns_rr_rdlen(*rr) <= SRV_FIXED)
		return;
	used = ns_name_uncompress(ns_msg_base(*msg), ns_msg_end(*msg),
	    data + SRV_FIXED, target, sizeof(target));
	if (used < 0 || used != ns_rr_rdlen(*rr) - SRV_FIXED)
		return;
	if (strcmp(target, ".") == 0)
		target[0] = '\0';
	else if (!resolver_conf_is_name(target))
		return;
	srv->priority = (uint16_t)ns_get16(data);
	srv->weight = (uint16_t)ns_get16(data + 2);
	srv->port = (uint16_t)ns_get16(data + 4);
	memcpy(srv->target, target, strlen(target) + 1);
	resolver_conf_lower(srv->target);
	if (srv->target[0] == '\0' || srv->port > 0)
		answer->count++;
}

/* From: glibc resolv/res_send.c, which asks the next server then. */
static bool
is_lame(const ns_msg *msg)
{
	return ns_msg_count(*msg, ns_s_an) == 0 &&
	    ns_msg_count(*msg, ns_s_ar) == 0 &&
	    ns_msg_getflag(*msg, ns_f_aa) == 0 &&
	    ns_msg_getflag(*msg, ns_f_ra) == 0;
}

void
resolver_answer_parse(struct resolver_answer *answer, const void *data,
    size_t len, const char *name, enum resolver_type type, uint16_t port)
{
	char owner[NS_MAXDNAME];
	ns_type wanted = type_number(type);
	ns_msg msg;
	ns_rr rr;
	int at = 0, found;

	answer->count = 0;
	answer->status = RESOLVER_MALFORMED;
	if (len > LIMIT_DNS_BYTES || ns_initparse(data, (int)len, &msg) != 0)
		return;
	answer->status = status_of_rcode(ns_msg_getflag(msg, ns_f_rcode));
	if (answer->status != RESOLVER_FOUND)
		return;
	answer->status = RESOLVER_MALFORMED;
	memcpy(owner, name, strlen(name) + 1);
	if (!follow_aliases(&msg, owner))
		return;
	while ((found = find_record(&msg, &at, owner, wanted, &rr)) > 0) {
		if (type == RESOLVER_SRV)
			add_srv(answer, &msg, &rr);
		else
			add_address(answer, &rr, port);
	}
	if (found < 0) {
		answer->count = 0;
		return;
	}
	if (answer->count > 0)
		answer->status = RESOLVER_FOUND;
	else
		answer->status =
		    is_lame(&msg) ? RESOLVER_LAME : RESOLVER_NO_DATA;
}

/* -- the exchange -- */

struct question {
	uint8_t bytes[NS_HFIXEDSZ + NS_MAXCDNAME + NS_QFIXEDSZ];
	size_t len;
};

struct message {
	uint8_t bytes[LIMIT_DNS_BYTES];
	size_t len;
};

static int
question_make(struct question *q, const char *name, ns_type type, struct err *e)
{
	uint8_t *p = q->bytes;
	int used;

	memset(q, 0, sizeof(*q));
	if (getrandom(p, 2, 0) != 2)
		return err_sys(e, "getrandom");
	p[2] = 0x01; /* recursion desired */
	p[5] = 1;    /* one question */
	used =
	    ns_name_compress(name, p + NS_HFIXEDSZ, NS_MAXCDNAME, NULL, NULL);
	if (used < 0)
		return err_set(e, ERR_FORMAT, "%s: no DNS name", name);
	p += NS_HFIXEDSZ + used;
	ns_put16(type, p);
	ns_put16(ns_c_in, p + 2);
	q->len = (size_t)(p + NS_QFIXEDSZ - q->bytes);
	return 0;
}

/* Whether m has the id of the question and repeats it.  Letter case may
 * differ; a label's length is below any letter. */
static bool
message_answers(const struct message *m, const struct question *q)
{
	const uint8_t *a = m->bytes, *b = q->bytes;

	if (m->len < q->len || memcmp(a, b, 2) != 0 || (a[2] & 0x80) == 0 ||
	    memcmp(a + 4, b + 4, 2) != 0)
		return false;
	for (size_t i = NS_HFIXEDSZ; i < q->len - NS_QFIXEDSZ; i++) {
		uint8_t x = a[i], y = b[i];

		if (x >= 'A' && x <= 'Z')
			x = (uint8_t)(x - 'A' + 'a');
		if (y >= 'A' && y <= 'Z')
			y = (uint8_t)(y - 'A' + 'a');
		if (x != y)
			return false;
	}
	return memcmp(a + q->len - NS_QFIXEDSZ, b + q->len - NS_QFIXEDSZ,
	           NS_QFIXEDSZ) == 0;
}

static bool
message_is_truncated(const struct message *m)
{
	return (m->bytes[2] & 0x02) != 0;
}

static uint64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Whether fd became ready in time. */
static bool
wait_for(int fd, short events, uint64_t deadline_ms)
{
	struct pollfd p = { .fd = fd, .events = events };
	uint64_t now = now_ms();

	while (now < deadline_ms) {
		int n = poll(&p, 1, (int)(deadline_ms - now));

		if (n > 0)
			return true;
		if (n < 0 && errno != EINTR)
			return false;
		now = now_ms();
	}
	return false;
}

/* FOUND stands for a message that answers, whatever it says. */
static enum resolver_status
receive_udp(
    int fd, const struct question *q, uint64_t deadline_ms, struct message *m)
{
	while (wait_for(fd, POLLIN, deadline_ms)) {
		ssize_t n = recv(fd, m->bytes, sizeof(m->bytes), 0);

		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return RESOLVER_UNREACHABLE;
		m->len = n < 0 ? 0 : (size_t)n;
		if (message_answers(m, q))
			return RESOLVER_FOUND;
	}
	return RESOLVER_TIMEOUT;
}

static enum resolver_status
ask_udp(const struct dial_address *server, const struct question *q,
    unsigned timeout_ms, struct message *m)
{
	enum resolver_status status = RESOLVER_UNREACHABLE;
	int fd = socket(server->addr.ss_family,
	    SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return status;
	/* Connected: the kernel drops what others send, and the source port
	 * is a new random one for each question. */
	if (connect(fd, (const struct sockaddr *)&server->addr, server->len) ==
	        0 &&
	    send(fd, q->bytes, q->len, MSG_NOSIGNAL) == (ssize_t)q->len)
		status = receive_udp(fd, q, now_ms() + timeout_ms, m);
	close(fd);
	return status;
}

static bool
send_tcp(int fd, const struct question *q, uint64_t deadline_ms)
{
	uint8_t bytes[2 + sizeof(q->bytes)];
	size_t len = 2 + q->len, sent = 0;

	ns_put16((unsigned)q->len, bytes);
	memcpy(bytes + 2, q->bytes, q->len);
	while (sent < len && wait_for(fd, POLLOUT, deadline_ms)) {
		ssize_t n = send(fd, bytes + sent, len - sent, MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return false;
		sent += n < 0 ? 0 : (size_t)n;
	}
	return sent == len;
}

static bool
receive_exactly(int fd, uint8_t *dst, size_t len, uint64_t deadline_ms)
{
	size_t got = 0;

	while (got < len && wait_for(fd, POLLIN, deadline_ms)) {
		ssize_t n = recv(fd, dst + got, len - got, 0);

		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return false;
		got += n < 0 ? 0 : (size_t)n;
	}
	return got == len;
}

static enum resolver_status
ask_tcp(const struct dial_address *server, const struct question *q,
    unsigned timeout_ms, struct message *m)
{
	const struct dial_options options = { .connect_ms = timeout_ms,
		.nonblocking = true };
	uint64_t deadline_ms = now_ms() + timeout_ms;
	enum resolver_status status = RESOLVER_UNREACHABLE;
	uint8_t size[2];
	size_t index;
	int fd;

	if (dial(server, 1, &options, &fd, &index, NULL) != 0)
		return status;
	if (send_tcp(fd, q, deadline_ms) &&
	    receive_exactly(fd, size, sizeof(size), deadline_ms)) {
		m->len = ns_get16(size);
		if (receive_exactly(fd, m->bytes, m->len, deadline_ms))
			status = message_answers(m, q) ? RESOLVER_FOUND
			                               : RESOLVER_MALFORMED;
	}
	if (status == RESOLVER_UNREACHABLE && now_ms() >= deadline_ms)
		status = RESOLVER_TIMEOUT;
	close(fd);
	return status;
}

static enum resolver_status
ask(const struct dial_address *server, const struct question *q,
    unsigned timeout_ms, struct message *m)
{
	enum resolver_status status = ask_udp(server, q, timeout_ms, m);

	if (status == RESOLVER_FOUND && message_is_truncated(m))
		status = ask_tcp(server, q, timeout_ms, m);
	return status;
}

int
resolver_query(struct resolver_servers *servers, const char *name,
    enum resolver_type type, uint16_t port, struct resolver_answer *answer,
    struct err *e)
{
	bool settled[RESOLVER_CONF_SERVERS] = { false };
	enum resolver_status worst = RESOLVER_TIMEOUT;
	struct message *m = NULL;
	struct question q;
	size_t turns = servers->count * servers->rounds;
	size_t start = servers->first;
	int ret;

	ret = question_make(&q, name, type_number(type), e);
	if (ret != 0)
		return ret;
	m = malloc(sizeof(*m));
	if (m == NULL)
		return err_memory(e);
	answer->count = 0;
	answer->status = RESOLVER_TIMEOUT;
	for (size_t i = 0; i < turns; i++) {
		size_t at = (start + i) % servers->count;

		if (settled[at])
			continue;
		answer->status =
		    ask(&servers->addrs[at], &q, servers->timeout_ms, m);
		if (answer->status == RESOLVER_FOUND)
			resolver_answer_parse(
			    answer, m->bytes, m->len, name, type, port);
		if (!resolver_status_is_ill(answer->status)) {
			servers->first = at;
			break;
		}
		settled[at] = answer->status != RESOLVER_TIMEOUT;
		worst = answer->status > worst ? answer->status : worst;
	}
	if (resolver_status_is_ill(answer->status)) {
		answer->count = 0;
		answer->status = worst;
	}
	free(m);
	return 0;
}

/* -- RFC 2782 -- */

static int
compare_srv(const void *a, const void *b)
{
	const struct resolver_srv *x = a, *y = b;

	if (x->priority != y->priority)
		return x->priority < y->priority ? -1 : 1;
	return (x->weight > 0) - (y->weight > 0);
}

void
resolver_srv_order(struct resolver_srv *srv, size_t count,
    resolver_random_fn *random, void *arg)
{
	if (count > 1)
		qsort(srv, count, sizeof(*srv), compare_srv);
	for (size_t i = 0; i + 1 < count; i++) {
		struct resolver_srv chosen;
		uint32_t sum = 0, running, limit;
		size_t end = i, k = i;

		for (; end < count && srv[end].priority == srv[i].priority;
		     end++)
			sum += srv[end].weight;
		limit = random(arg, sum);
		running = srv[k].weight;
		while (running < limit && k + 1 < end)
			running += srv[++k].weight;
		/* The others keep their order: weight 0 stays in front. */
		chosen = srv[k];
		memmove(&srv[i + 1], &srv[i], (k - i) * sizeof(*srv));
		srv[i] = chosen;
	}
}
