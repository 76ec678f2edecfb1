/* The server process of HTTP server tests. */
#include "tests/web.h"

#include <check.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/crypto_tls.h"

struct web_shared *web_shared;
static struct http_server *server; /* in the server process */
static struct http_request *held[16];
static size_t held_count;
static int big_fd = -1;
int web_pipe[2];
uint16_t web_port;
pid_t web_pid;

static int
produce(void *arg, uint8_t *dst, size_t size, size_t *got, struct err *e)
{
	uint64_t *left = arg;
	size_t n = *left < size ? (size_t)*left : size;

	if (*left == UINT64_MAX)
		return err_set(e, ERR_SYS, "the source broke");
	/* The last of these is the one that fails. */
	if (*left > UINT64_MAX - 3) {
		++*left;
		n = 1000;
	} else {
		*left -= n;
	}
	memset(dst, 'x', n);
	*got = n;
	return 0;
}

static void
release(void *arg)
{
	atomic_fetch_add(&web_shared->released, 1);
	free(arg);
}

static void
reply_stream(struct http_request *r, uint64_t bytes)
{
	uint64_t *left = malloc(sizeof(*left));

	*left = bytes;
	http_reply_stream(r, 200, produce, release, left);
}

static void
on_wake(void *arg, struct http_request *r)
{
	(void)arg;
	if (http_server_is_stopping(server))
		atomic_fetch_add(&web_shared->stopping_wakes, 1);
	http_reply_text(r, 200, "woken");
}

static void
answer_held(void)
{
	for (size_t i = 0; i < held_count; i++)
		http_reply_text(held[i], 200, "answered");
	held_count = 0;
}

static void
reply_peer(struct http_request *r)
{
	char text[HTTP_PEER_BYTES + DIGEST_HEX + 2], hex[DIGEST_HEX] = "none";
	struct digest key;

	if (http_request_peer_key(r, &key))
		digest_hex(&key, hex);
	(void)snprintf(text, sizeof(text), "%s %s", http_request_peer(r), hex);
	http_reply_text(r, 200, text);
}

static void
handler(void *arg, struct http_request *r)
{
	const char *path = http_request_path(r);
	const uint8_t *body;
	size_t len;

	(void)arg;
	atomic_fetch_add(&web_shared->handled, 1);
	body = http_request_body(r, &len);
	if (strcmp(path, "/hello") == 0) {
		http_reply_header(r, "X-Test", "yes");
		http_reply_text(r, 200, "hello");
	} else if (strcmp(path, "/echo") == 0) {
		http_reply(r, 200, NULL, body, len);
	} else if (strcmp(path, "/big") == 0) {
		http_reply_file(r, 200, dup(big_fd), 0, BIG_BYTES);
	} else if (strcmp(path, "/part") == 0) {
		http_reply_file(r, 206, dup(big_fd), 5, 100);
	} else if (strcmp(path, "/short") == 0) {
		http_reply_file(r, 200, dup(big_fd), BIG_BYTES - 10, 20);
	} else if (strcmp(path, "/stream") == 0) {
		reply_stream(r, 1000000);
	} else if (strcmp(path, "/empty") == 0) {
		reply_stream(r, 0);
	} else if (strcmp(path, "/broken") == 0) {
		reply_stream(r, UINT64_MAX - 2);
	} else if (strcmp(path, "/unchanged") == 0) {
		http_reply(r, 304, NULL, NULL, 0);
	} else if (strcmp(path, "/hold") == 0) {
		held[held_count++] = r;
		http_hold(r, 60000, on_wake, NULL);
	} else if (strcmp(path, "/nap") == 0) {
		http_hold(r, 20, on_wake, NULL);
	} else if (strcmp(path, "/answer") == 0) {
		answer_held();
		http_reply_text(r, 200, "done");
	} else if (strcmp(path, "/peer") == 0) {
		reply_peer(r);
	} else if (strcmp(path, "/forgotten") != 0) {
		http_reply_text(r, 404, path);
	}
}

static void
on_done(void *arg, struct http_request *r)
{
	struct http_result result;

	(void)arg;
	for (size_t i = 0; i < held_count; i++)
		if (held[i] == r)
			held[i] = held[--held_count];
	http_request_result(r, &result);
	if (!result.complete)
		atomic_fetch_add(&web_shared->broken, 1);
	atomic_fetch_add(&web_shared->done, 1);
}

static void
on_hangup(void *arg)
{
	(void)arg;
	atomic_fetch_add(&web_shared->hangups, 1);
}

static void
on_tick(void *arg)
{
	atomic_fetch_add((_Atomic uint64_t *)arg, 1);
}

static void
on_pipe(void *arg)
{
	char c;

	(void)arg;
	if (read(web_pipe[0], &c, 1) == 1)
		atomic_fetch_add(&web_shared->watched, 1);
}

static int
serve(struct http_options *o)
{
	struct http_watch *watch = NULL;
	struct http_timer *timer = NULL;
	struct err e = ERR_INIT;
	int rc;

	o->handler = handler;
	o->done = on_done;
	o->hangup = on_hangup;
	o->counters = &web_shared->counters;
	rc = http_server_new(o, &server, &e);
	if (rc == 0)
		rc = http_watch_new(
		    server, web_pipe[0], on_pipe, NULL, &watch, &e);
	if (rc == 0)
		rc = http_timer_new(
		    server, 5, on_tick, &web_shared->ticks, &timer, &e);
	if (rc == 0)
		rc = http_server_run(server, &e);
	if (rc != 0)
		(void)fprintf(stderr, "server: %s\n", e.msg);
	http_watch_free(watch);
	http_timer_free(timer);
	http_server_free(server);
	return rc;
}

void
web_start(struct http_options options)
{
	struct err e = ERR_INIT;
	int fd = -1;

	ck_assert_msg(http_listen("127.0.0.1:0", &fd, &e) == 0, "%s", e.msg);
	ck_assert_int_eq(http_port_of(fd, &web_port, &e), 0);
	ck_assert_int_eq(pipe2(web_pipe, O_CLOEXEC | O_NONBLOCK), 0);
	options.listen_fds = &fd;
	options.listen_count = 1;
	web_pid = fork();
	ck_assert_int_ge(web_pid, 0);
	if (web_pid == 0) {
		int rc = serve(&options);

		close(fd);
		tls_context_free(options.tls);
		exit(rc == 0 ? 0 : 1);
	}
	close(fd);
}

void
web_set_up(void)
{
	web_shared = mmap(NULL, sizeof(*web_shared), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(web_shared, MAP_FAILED);
	big_fd = memfd_create("big", MFD_CLOEXEC);
	ck_assert_int_ge(big_fd, 0);
	ck_assert_int_eq(ftruncate(big_fd, (off_t)BIG_BYTES), 0);
	ck_assert_int_eq(pwrite(big_fd, "0123456789", 10, 0), 10);
}
