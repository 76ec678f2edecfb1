/* The event loop of the HTTP server: listeners, signals, watches and timers.  Runs in peciad's workers. */
#include "common/http_server.h"

#include <event2/event.h>
#include <event2/listener.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/http_server_impl.h"
#include "common/limits.h"

#define DEFAULT_CONNECTIONS 4096
#define FEW_CONNECTIONS     8 /* that any peer may have */
#define DEFAULT_IDLE_MS     75000
#define ACCEPT_PAUSE_MS     100
#define NOTSENT_BYTES       (256 * 1024) /* unsent bytes in the kernel */
#define OWN_DESCRIPTORS     64 /* not connections: sockets, logs, directories */

static void
describe_v4(const struct in_addr *addr, in_port_t port, char *dst, size_t size)
{
	char text[INET_ADDRSTRLEN];

	if (inet_ntop(AF_INET, addr, text, sizeof(text)) != NULL)
		(void)snprintf(dst, size, "%s:%u", text, ntohs(port));
}

static void
describe_v6(const struct sockaddr_in6 *in6, char *dst, size_t size)
{
	char text[INET6_ADDRSTRLEN];
	struct in_addr v4;

	if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
		memcpy(&v4, &in6->sin6_addr.s6_addr[12], sizeof(v4));
		describe_v4(&v4, in6->sin6_port, dst, size);
	} else if (inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text)) !=
	    NULL) {
		(void)snprintf(
		    dst, size, "[%s]:%u", text, ntohs(in6->sin6_port));
	}
}

static void
describe_peer(const struct sockaddr *sa, size_t len, char *dst, size_t size)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	(void)snprintf(dst, size, "-");
	if (sa->sa_family == AF_INET && len >= sizeof(in)) {
		memcpy(&in, sa, sizeof(in));
		describe_v4(&in.sin_addr, in.sin_port, dst, size);
	} else if (sa->sa_family == AF_INET6 && len >= sizeof(in6)) {
		memcpy(&in6, sa, sizeof(in6));
		describe_v6(&in6, dst, size);
	}
}

void
http_server_room(struct http_server *s)
{
	bool room = !s->stopping && !s->paused &&
	    (s->conn_count < s->options.max_connections ||
	        !TAILQ_EMPTY(&s->idle));

	if (s->stopping && s->conn_count == 0)
		event_base_loopbreak(s->base);
	if (room == s->accepting)
		return;
	s->accepting = room;
	for (size_t i = 0; i < s->listener_count; i++) {
		if (room)
			evconnlistener_enable(s->listeners[i]);
		else
			evconnlistener_disable(s->listeners[i]);
	}
}

static struct http_conn *
oldest_idle_of(struct http_server *s, const struct http_peer *from)
{
	struct http_conn *c;

	TAILQ_FOREACH (c, &s->idle, idle)
		if (c->from == from)
			return c;
	return NULL;
}

/* Whether a peer may have one more; its own idle ones make room. */
static bool
peer_has_room(struct http_server *s, struct http_peer *from)
{
	struct http_conn *oldest;

	if (!http_peer_may_connect(from)) {
		http_count(&s->counters->peer_hasty);
		return false;
	}
	if (http_peer_connections(from) < s->options.max_per_peer)
		return true;
	oldest = oldest_idle_of(s, from);
	if (oldest == NULL) {
		http_count(&s->counters->peer_refused);
		return false;
	}
	http_count(&s->counters->evicted);
	http_conn_close(oldest);
	return true;
}

static bool
server_has_room(struct http_server *s)
{
	struct http_conn *oldest = TAILQ_FIRST(&s->idle);

	if (s->conn_count < s->options.max_connections)
		return true;
	if (oldest == NULL || s->stopping) {
		http_count(&s->counters->refused);
		return false;
	}
	http_count(&s->counters->evicted);
	http_conn_close(oldest);
	return true;
}

static void
on_accept(struct evconnlistener *listener, evutil_socket_t fd,
    struct sockaddr *sa, int len, void *arg)
{
	struct http_server *s = arg;
	char peer[HTTP_PEER_BYTES];
	struct http_peer *from = http_peer_of(s->peers, sa, (size_t)len);

	(void)listener;
	if (from == NULL || !peer_has_room(s, from) || !server_has_room(s)) {
		close(fd);
		return;
	}
	describe_peer(sa, (size_t)len, peer, sizeof(peer));
	http_conn_accept(s, fd, peer, from);
}

/* No descriptor or memory for another connection: those there are go on. */
static void
on_accept_error(struct evconnlistener *listener, void *arg)
{
	const struct timeval tv = http_timeval(ACCEPT_PAUSE_MS);
	struct http_server *s = arg;

	(void)listener;
	s->paused = true;
	http_server_room(s);
	event_add(s->pause, &tv);
}

static void
on_pause_over(evutil_socket_t fd, short what, void *arg)
{
	struct http_server *s = arg;

	(void)fd;
	(void)what;
	s->paused = false;
	http_server_room(s);
}

static void
on_grace_over(evutil_socket_t fd, short what, void *arg)
{
	struct http_server *s = arg;

	(void)fd;
	(void)what;
	event_base_loopbreak(s->base);
}

static void
close_listeners(struct http_server *s)
{
	for (size_t i = 0; i < s->listener_count; i++)
		evconnlistener_free(s->listeners[i]);
	s->listener_count = 0;
}

/* Requests under way get so long from now on. */
static void
stop_within(struct http_server *s, unsigned ms)
{
	const struct timeval tv = http_timeval(ms);
	struct http_conn *c;

	event_add(s->grace, &tv);
	if (s->stopping)
		return;
	s->stopping = true;
	if (s->options.own_listeners)
		close_listeners(s);
	TAILQ_FOREACH (c, &s->conns, all)
		http_conn_stop(c);
	http_server_room(s);
}

static void
on_signal(evutil_socket_t signal_number, short what, void *arg)
{
	struct http_server *s = arg;

	(void)what;
	if (signal_number == HTTP_RETIRE_SIGNAL) {
		if (!s->stopping)
			stop_within(s, LIMIT_RETIRE_S * 1000);
	} else if (signal_number != SIGHUP)
		http_server_stop(s);
	else if (s->options.hangup != NULL)
		s->options.hangup(s->options.arg);
}

/* Half of the descriptors are for connections, half for the files they get. */
static unsigned
connections_allowed(void)
{
	struct rlimit rl;
	unsigned allowed = DEFAULT_CONNECTIONS;

	if (getrlimit(RLIMIT_NOFILE, &rl) != 0 || rl.rlim_cur == RLIM_INFINITY)
		return allowed;
	if (rl.rlim_cur < OWN_DESCRIPTORS + 4)
		return 2;
	if ((rl.rlim_cur - OWN_DESCRIPTORS) / 2 < allowed)
		allowed = (unsigned)((rl.rlim_cur - OWN_DESCRIPTORS) / 2);
	return allowed;
}

static void
set_defaults(struct http_options *o)
{
	unsigned allowed = connections_allowed();

	if (o->max_connections == 0 || o->max_connections > allowed)
		o->max_connections = allowed;
	if (o->max_per_peer == 0) {
		o->max_per_peer = o->max_connections / 2;
		if (o->max_per_peer > LIMIT_PEER_CONNECTIONS)
			o->max_per_peer = LIMIT_PEER_CONNECTIONS;
		if (o->max_per_peer < FEW_CONNECTIONS)
			o->max_per_peer = FEW_CONNECTIONS;
	}
	if (o->body_bytes == 0)
		o->body_bytes = LIMIT_HTTP_BODY_BYTES;
	if (o->requests_per_s == 0)
		o->requests_per_s = LIMIT_PEER_REQUESTS_S;
	if (o->requests_burst == 0)
		o->requests_burst = LIMIT_PEER_REQUESTS_BURST;
	if (o->replies_bytes == 0)
		o->replies_bytes = LIMIT_REPLIES_BYTES;
	if (o->header_ms == 0)
		o->header_ms = LIMIT_STALL_MS;
	if (o->idle_ms == 0)
		o->idle_ms = DEFAULT_IDLE_MS;
	if (o->stall_ms == 0)
		o->stall_ms = LIMIT_STALL_MS;
}

static int
add_signals(struct http_server *s, struct err *e)
{
	static const int numbers[HTTP_SIGNALS] = { SIGTERM, SIGINT, SIGHUP,
		HTTP_RETIRE_SIGNAL };

	for (size_t i = 0; i < HTTP_SIGNALS; i++) {
		s->signals[i] = evsignal_new(s->base, numbers[i], on_signal, s);
		if (s->signals[i] == NULL ||
		    event_add(s->signals[i], NULL) != 0)
			return err_memory(e);
	}
	return 0;
}

/* What is accepted inherits it.  Failure costs speed only. */
static void
tune(int fd)
{
	int on = 1, unsent = NOTSENT_BYTES;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(
	    fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
}

static int
add_listeners(struct http_server *s, struct err *e)
{
	size_t count = s->options.listen_count;

	s->listeners = calloc(count + 1, sizeof(struct evconnlistener *));
	if (s->listeners == NULL)
		return err_memory(e);
	for (size_t i = 0; i < count; i++) {
		tune(s->options.listen_fds[i]);
		s->listeners[i] = evconnlistener_new(s->base, on_accept, s,
		    s->options.own_listeners
		        ? LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_CLOSE_ON_FREE
		        : LEV_OPT_CLOSE_ON_EXEC,
		    0, s->options.listen_fds[i]);
		if (s->listeners[i] == NULL)
			return err_set(e, ERR_SYS,
			    "event loop does not take listening socket %d",
			    s->options.listen_fds[i]);
		evconnlistener_set_error_cb(s->listeners[i], on_accept_error);
		s->listener_count++;
	}
	return 0;
}

static int
set_up(struct http_server *s, struct err *e)
{
	int rc;

	s->base = event_base_new();
	if (s->base == NULL)
		return err_set(e, ERR_SYS, "cannot make an event loop");
	s->pause = evtimer_new(s->base, on_pause_over, s);
	s->grace = evtimer_new(s->base, on_grace_over, s);
	if (s->pause == NULL || s->grace == NULL)
		return err_memory(e);
	rc = http_peers_new(&s->peers, e);
	if (rc == 0)
		rc = add_signals(s, e);
	return rc != 0 ? rc : add_listeners(s, e);
}

int
http_server_new(
    const struct http_options *options, struct http_server **out, struct err *e)
{
	struct http_server *s = calloc(1, sizeof(*s));
	int rc;

	if (s == NULL)
		return err_memory(e);
	(void)signal(SIGPIPE, SIG_IGN);
	s->options = *options;
	set_defaults(&s->options);
	s->counters = options->counters;
	if (s->counters == NULL)
		s->counters = &s->own_counters;
	s->accepting = true;
	TAILQ_INIT(&s->conns);
	TAILQ_INIT(&s->idle);
	rc = set_up(s, e);
	if (rc != 0)
		http_server_free(s);
	else
		*out = s;
	return rc;
}

static void
close_all(struct http_server *s)
{
	struct http_conn *c;

	while ((c = TAILQ_FIRST(&s->conns)) != NULL)
		http_conn_close(c);
}

void
http_server_free(struct http_server *s)
{
	if (s == NULL)
		return;
	s->stopping = true;
	close_all(s);
	close_listeners(s);
	free(s->listeners);
	for (size_t i = 0; i < HTTP_SIGNALS; i++)
		if (s->signals[i] != NULL)
			event_free(s->signals[i]);
	if (s->pause != NULL)
		event_free(s->pause);
	if (s->grace != NULL)
		event_free(s->grace);
	if (s->base != NULL)
		event_base_free(s->base);
	http_peers_free(s->peers);
	free(s);
}

int
http_server_run(struct http_server *s, struct err *e)
{
	int rc = event_base_dispatch(s->base);

	s->stopping = true;
	close_all(s);
	return rc < 0 ? err_set(e, ERR_SYS, "event loop failed") : 0;
}

void
http_server_stop(struct http_server *s)
{
	stop_within(s, HTTP_GRACE_MS);
}

bool
http_server_is_stopping(const struct http_server *s)
{
	return s->stopping;
}

uint64_t
http_server_turn(const struct http_server *s)
{
	struct timeval now = { 0, 0 };

	/* libevent takes the time once after each wait. */
	(void)event_base_gettimeofday_cached(s->base, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_usec;
}

struct http_watch {
	struct event *event;
	void (*call)(void *arg);
	void *arg;
};

static void
on_watch(evutil_socket_t fd, short what, void *arg)
{
	const struct http_watch *w = arg;

	(void)fd;
	(void)what;
	w->call(w->arg);
}

/* fd -1: for a timer.  NULL: out of memory. */
static struct http_watch *
watch_new(struct http_server *s, int fd, void (*call)(void *arg), void *arg)
{
	const short what = fd >= 0 ? EV_PERSIST | EV_READ : EV_PERSIST;
	struct http_watch *w = malloc(sizeof(*w));

	if (w == NULL)
		return NULL;
	w->call = call;
	w->arg = arg;
	w->event = event_new(s->base, fd, what, on_watch, w);
	if (w->event == NULL) {
		free(w);
		return NULL;
	}
	return w;
}

int
http_watch_new(struct http_server *s, int fd, void (*call)(void *arg),
    void *arg, struct http_watch **out, struct err *e)
{
	struct http_watch *w = watch_new(s, fd, call, arg);

	if (w == NULL)
		return err_memory(e);
	if (event_add(w->event, NULL) != 0) {
		http_watch_free(w);
		return err_set(e, ERR_SYS, "cannot watch descriptor %d", fd);
	}
	*out = w;
	return 0;
}

void
http_watch_free(struct http_watch *w)
{
	if (w == NULL)
		return;
	event_free(w->event);
	free(w);
}

struct http_timer {
	struct http_watch *watch;
};

int
http_timer_new(struct http_server *s, unsigned interval_ms,
    void (*call)(void *arg), void *arg, struct http_timer **out, struct err *e)
{
	const struct timeval tv = http_timeval(interval_ms);
	struct http_timer *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return err_memory(e);
	t->watch = watch_new(s, -1, call, arg);
	if (t->watch == NULL || event_add(t->watch->event, &tv) != 0) {
		http_timer_free(t);
		return err_memory(e);
	}
	*out = t;
	return 0;
}

void
http_timer_free(struct http_timer *t)
{
	if (t == NULL)
		return;
	http_watch_free(t->watch);
	free(t);
}
