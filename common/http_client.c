/* HTTP over libcurl's multi interface: one loop drives one request or several,
 * so limits and timeouts are the same code.  Runs in the fetcher. */
#include "common/http_client_impl.h"

#include <arpa/inet.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define GRACE_MS 30000
#define POLL_MS  1000

uint64_t
http_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

bool
http_is_plain(const char *s, const char *also)
{
	for (; *s != '\0'; s++) {
		if ((*s <= 0x20 || *s >= 0x7f) && strchr(also, *s) == NULL)
			return false;
	}
	return true;
}

/* Sockets. */

static void
count_socket(int fd, uint64_t *in, uint64_t *out)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	memset(&info, 0, sizeof(info));
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
		return;
	*in += info.tcpi_bytes_received;
	*out += info.tcpi_bytes_sent - info.tcpi_bytes_retrans;
}

/* Also before a new one is noted: libcurl before 8.2 closes a socket that it
 * could not connect without telling us. */
static void
forget_socket(struct http_client *c, int fd)
{
	for (size_t i = 0; i < c->sockets_n; i++) {
		if (c->sockets[i] != fd)
			continue;
		c->sockets[i] = c->sockets[--c->sockets_n];
		break;
	}
}

curl_socket_t
http_on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *to)
{
	struct http_client *c = arg;
	int fd;

	(void)purpose;
	if (c->sockets_n == HTTP_SOCKETS)
		return CURL_SOCKET_BAD;
	fd = c->given;
	if (fd < 0)
		fd = socket(
		    to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
	if (fd < 0)
		return CURL_SOCKET_BAD;
	forget_socket(c, fd);
	c->sockets[c->sockets_n++] = fd;
	return fd;
}

int
http_on_opened(void *arg, curl_socket_t fd, curlsocktype purpose)
{
	struct http_client *c = arg;

	(void)purpose;
	if (fd != c->given)
		return CURL_SOCKOPT_OK;
	c->given = -1;
	c->was_given = true;
	return CURL_SOCKOPT_ALREADY_CONNECTED;
}

int
http_on_close(void *arg, curl_socket_t fd)
{
	struct http_client *c = arg;

	count_socket(fd, &c->closed_in, &c->closed_out);
	forget_socket(c, fd);
	return close(fd);
}

void
http_client_bytes(const struct http_client *c, uint64_t *in, uint64_t *out)
{
	*in = c->closed_in;
	*out = c->closed_out;
	for (size_t i = 0; i < c->sockets_n; i++)
		count_socket(c->sockets[i], in, out);
}

/* libcurl 7.88 calls connect() on the socket that we said is connected, which
 * Linux takes once for one that was connected without blocking and never for
 * others (curl issue 10626).  Those cost a second connection. */
static bool
connects_again(struct http_client *c, struct leg *l, CURLcode code)
{
	bool again = c->was_given && code == CURLE_COULDNT_CONNECT;

	c->was_given = false;
	if (again) {
		leg_stop(l);
		again = leg_resume(l);
	}
	return again;
}

static void
collect(struct http_client *c)
{
	CURLMsg *msg;
	char *private;
	CURLcode code;
	int left;

	while ((msg = curl_multi_info_read(c->multi, &left)) != NULL) {
		struct leg *l;

		if (msg->msg != CURLMSG_DONE ||
		    curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE,
		        &private) != CURLE_OK)
			continue;
		l = (struct leg *)(void *)private;
		code = msg->data.result; /* msg goes with the handle */
		if (connects_again(c, l, code))
			continue;
		leg_finish(l, code);
		leg_stop(l);
	}
}

/* One turn: moves bytes, ends what is over, waits if nothing is.  *winner is
 * set when a leg has its whole 200, *running to how many go on. */
static int
turn(struct http_client *c, size_t n, size_t *winner, size_t *running)
{
	uint64_t now, until;
	int active;

	if (curl_multi_perform(c->multi, &active) != CURLM_OK)
		return ERR_NET;
	collect(c);
	now = http_now_ns();
	until = now + NS_PER_MS * POLL_MS;
	*running = 0;
	for (size_t i = 0; i < n; i++) {
		struct leg *l = c->legs[i];

		if (!l->done)
			leg_check(l, now, &until);
		else if (l->fail == 0 && l->resp.status == 200 && *winner == n)
			*winner = i;
		*running += l->done ? 0 : 1;
	}
	if (*running == 0 || *winner != n)
		return 0;
	if (curl_multi_poll(c->multi, NULL, 0,
	        (int)((until - now) / NS_PER_MS) + 1, NULL) != CURLM_OK)
		return ERR_NET;
	return 0;
}

/* Runs legs 0 to n-1 until one wins or all are done. */
static int
run(struct http_client *c, const struct http_request *reqs, size_t n,
    size_t *winner, struct err *e)
{
	size_t running = n;
	struct leg *l = NULL;
	int ret = 0;

	*winner = n;
	for (size_t i = 0; i < n && ret == 0; i++) {
		ret = leg_get(c, i, &l, e);
		if (ret == 0)
			ret = leg_start(l, &reqs[i], e);
	}
	while (ret == 0 && running > 0 && *winner == n) {
		if (turn(c, n, winner, &running) != 0)
			ret =
			    err_set(e, ERR_NET, "%s: libcurl failed", c->base);
	}
	for (size_t i = 0; i < n; i++) {
		if (c->legs[i] != NULL)
			leg_stop(c->legs[i]);
	}
	return ret;
}

int
http_client_do(struct http_client *c, const struct http_request *req,
    struct http_response *resp, struct err *e)
{
	const struct leg *l;
	size_t winner;
	int ret = run(c, req, 1, &winner, e);

	if (ret != 0)
		return ret;
	l = c->legs[0];
	if (l->fail != 0) {
		if (e != NULL)
			*e = l->err;
		return l->fail;
	}
	*resp = l->resp;
	return 0;
}

int
http_client_race(struct http_client *c, const struct http_request *reqs,
    size_t n, size_t *which, struct http_response *resp, struct err *e)
{
	size_t winner = n, i = 0;
	int ret;

	if (n == 0 || n > LIMIT_CHANNELS)
		return err_set(e, ERR_LIMIT, "%zu requests at once", n);
	ret = run(c, reqs, n, &winner, e);
	if (ret != 0)
		return ret;
	if (winner == n) {
		while (i < n && c->legs[i]->fail != 0)
			i++;
	} else {
		i = winner;
	}
	if (i == n) {
		if (e != NULL)
			*e = c->legs[0]->err;
		return c->legs[0]->fail;
	}
	*resp = c->legs[i]->resp;
	*which = winner;
	return 0;
}

/* https://ADDRESS:PORT, of a numeric address. */
static int
set_base(
    struct http_client *c, const struct http_client_options *o, struct err *e)
{
	struct in6_addr v6;
	struct in_addr v4;

	if (inet_pton(AF_INET, o->address, &v4) == 1)
		(void)snprintf(c->base, sizeof(c->base), "https://%s:%u",
		    o->address, o->port);
	else if (inet_pton(AF_INET6, o->address, &v6) == 1)
		(void)snprintf(c->base, sizeof(c->base), "https://[%s]:%u",
		    o->address, o->port);
	else
		return err_set(
		    e, ERR_USAGE, "\"%.256s\" is no IP address", o->address);
	if (o->host_header == NULL)
		return 0;
	if (!http_is_plain(o->host_header, "") ||
	    strlen(o->host_header) >= sizeof(c->host))
		return err_set(
		    e, ERR_USAGE, "\"%.256s\" is no host name", o->host_header);
	memcpy(c->host, o->host_header, strlen(o->host_header) + 1);
	return 0;
}

static int
set_up(
    struct http_client *c, const struct http_client_options *o, struct err *e)
{
	int ret = set_base(c, o, e);

	if (ret != 0)
		return ret;
	c->tls = o->tls;
	c->stall_ns =
	    NS_PER_MS * (o->stall_ms != 0 ? o->stall_ms : LIMIT_STALL_MS);
	c->grace_ns = NS_PER_MS * (o->grace_ms != 0 ? o->grace_ms : GRACE_MS);
	c->min_rate = o->min_rate != 0 ? o->min_rate : LIMIT_MIN_RATE;
	if (o->proxy != NULL) {
		c->proxy = strdup(o->proxy);
		if (c->proxy == NULL)
			return err_memory(e);
	}
	c->multi = curl_multi_init();
	if (c->multi == NULL ||
	    curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS,
	        (long)LIMIT_CHANNELS) != CURLM_OK)
		return err_memory(e);
	return 0;
}

int
http_client_new(const struct http_client_options *opts,
    struct http_client **out, struct err *e)
{
	struct http_client *c;
	int ret;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return err_set(e, ERR_NO_MEMORY, "libcurl does not start");
	c = calloc(1, sizeof(*c));
	if (c == NULL) {
		curl_global_cleanup();
		return err_memory(e);
	}
	c->given = -1;
	ret = set_up(c, opts, e);
	if (ret != 0) {
		http_client_free(c);
		return ret;
	}
	c->given = opts->fd;
	*out = c;
	return 0;
}

void
http_client_free(struct http_client *c)
{
	if (c == NULL)
		return;
	/* Connections close through c's callbacks, and refer to the legs. */
	for (size_t i = 0; i < LIMIT_CHANNELS; i++) {
		if (c->legs[i] != NULL)
			leg_stop(c->legs[i]);
	}
	curl_multi_cleanup(c->multi);
	for (size_t i = 0; i < LIMIT_CHANNELS; i++)
		leg_free(c->legs[i]);
	if (c->given >= 0)
		close(c->given);
	free(c->proxy);
	free(c);
	curl_global_cleanup();
}
