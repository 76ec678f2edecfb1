/* The line that a daemon keeps; runs in the daemon and, as told in the header,
 * in its forks. */
#include "client/line.h"

#include <sys/mman.h>
#include <unistd.h>

#include "client/update.h"
#include "common/clock.h"
#include "common/crypto_key.h"
#include "common/log.h"
#include "transcripts/sessions.h"

#define PATH_BYTES (LIMIT_NAME_BYTES + 96)
#define SOON_MS    1000

/* Shared with the forks. */
struct memo {
	bool waits, connected;
	uint64_t run_ms;         /* 0: no news in this fork */
	struct fetch_peer peer;  /* that it is connected to */
	uint64_t serial;         /* of the head that is held */
	uint64_t asked_ms;       /* the poll, by clock_ms */
	uint64_t received, sent; /* that were counted for a run */
};

struct line {
	struct memo *memo;
	struct session session; /* what the fetcher was started from */
	bool is_open;
	bool has_head;
	struct buf head; /* in a fork: what was heard, and from whom */
	struct digest key;
	bool connection_taken;
};

int
line_new(struct line **out, struct err *e)
{
	struct line *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return err_memory(e);
	l->memo = mmap(NULL, sizeof(*l->memo), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (l->memo == MAP_FAILED) {
		free(l);
		return err_sys(e, "memory of the line");
	}
	buf_init(&l->head, LIMIT_HEAD_BYTES);
	*out = l;
	return 0;
}

void
line_free(struct line *l)
{
	if (l == NULL)
		return;
	line_close(l);
	buf_release(&l->head);
	(void)munmap(l->memo, sizeof(*l->memo));
	free(l);
}

/* ---- in the daemon ---- */

static int
know_serial(struct line *l, struct session *s, struct err *e)
{
	const struct head *held = NULL;
	int rc = trust_head(s->trust, s->settings->channel, &held, e);

	l->memo->serial = held == NULL ? 0 : held->serial;
	return rc;
}

int
line_open(struct line *l, const struct settings *settings, struct err *e)
{
	struct session *s = &l->session;
	uint8_t seed;
	int rc;

	line_close(l);
	memset(l->memo, 0, sizeof(*l->memo));
	if ((rc = session_open(settings, false, s, e)) != 0)
		return rc;
	/* Runs have their own; that file system may be unmounted in between. */
	close(s->root);
	s->root = -1;
	/* The forks find random numbers set up, which takes half a
	 * millisecond. */
	rc = random_bytes(&seed, sizeof(seed), e);
	if (rc == 0)
		rc = know_serial(l, s, e);
	if (rc == 0)
		rc = update_begin(s, e);
	if (rc == 0) {
		/* The fetcher has them, and nobody reads its answers here. */
		sessions_clear(s->sessions);
		s->fetch_options.sessions_stay = true;
	}
	if (rc != 0)
		session_release(s);
	l->is_open = rc == 0;
	return rc;
}

void
line_close(struct line *l)
{
	if (l->is_open)
		session_release(&l->session);
	l->is_open = false;
}

bool
line_is_open(const struct line *l)
{
	return l->is_open;
}

void
line_hand_over(struct line *l)
{
	l->memo->waits = false;
	l->memo->run_ms = 0;
}

bool
line_waits(const struct line *l)
{
	return l->is_open && l->memo->waits;
}

int
line_fd(const struct line *l)
{
	return fetch_fd(l->session.fetch);
}

bool
line_is_fetcher(const struct line *l, pid_t pid)
{
	return l->is_open && fetch_pid(l->session.fetch) == pid;
}

uint64_t
line_run_ms(const struct line *l)
{
	return l->memo->run_ms;
}

/* ---- in a fork ---- */

struct poll {
	struct fetch_get get;
	char path[PATH_BYTES];
};

static void
make_poll(const struct line *l, struct poll *p)
{
	(void)snprintf(p->path, sizeof(p->path),
	    "/v1/channel/%s?after=%llu&wait=%u", l->session.settings->channel,
	    (unsigned long long)l->memo->serial,
	    (unsigned)(LINE_WAIT_MS / 1000));
	p->get = (struct fetch_get){ .path = p->path,
		.max_bytes = LIMIT_HEAD_BYTES,
		.wait_s = LINE_WAIT_MS / 1000 };
}

static void
hold_poll(struct line *l)
{
	struct err why = ERR_INIT;
	struct poll p;

	make_poll(l, &p);
	l->memo->asked_ms = clock_ms();
	if (fetch_ask(l->session.fetch, &p.get, &why) == 0)
		l->memo->waits = true;
	else
		log_err(LOG_INFO, "no news are waited for", &why, NULL);
}

/* Another run than the daemon's may have been faster. */
static bool
is_held(struct line *l)
{
	char etag[LEARN_ETAG_BYTES], heard[LEARN_ETAG_BYTES];
	struct session *s = &l->session;

	learn_etag(&s->learn, s->settings->channel, etag);
	learn_etag_of(&l->head, heard);
	return strcmp(etag, heard) == 0;
}

/* What makes no sense is for a run to refuse. */
static bool
is_news(struct line *l)
{
	struct head heard;

	if (!head_peek(&l->head, &heard))
		return true;
	if (heard.serial <= l->memo->serial)
		return false; /* it was only signed again */
	if (!is_held(l))
		return true;
	l->memo->serial = heard.serial;
	return false;
}

/* A server that does not hold polls is not asked on and on. */
static void
hold_again(struct line *l)
{
	if (clock_ms() - l->memo->asked_ms >= SOON_MS)
		hold_poll(l);
	else
		log_event(LOG_INFO, "the server does not let us wait", "route",
		    l->memo->peer.route, NULL);
}

bool
line_hear(struct line *l)
{
	struct fetch_answer answer = { .status = 0 };
	struct err why = ERR_INIT;
	struct poll p;

	make_poll(l, &p);
	if (fetch_take(l->session.fetch, &p.get, &l->head, &answer, &why) != 0)
		log_err(LOG_INFO, "the server is lost that news came from",
		    &why, "route", l->memo->peer.route, NULL);
	else if (answer.status != 200 && answer.status != 304)
		log_event(LOG_INFO, "no news are given", "status",
		    log_u64(
		        (char[LOG_NUMBER_BYTES]){ 0 }, (uint64_t)answer.status),
		    "route", l->memo->peer.route, NULL);
	else if (answer.status == 304 || !is_news(l))
		hold_again(l);
	else
		l->has_head = true;
	l->key = answer.key;
	return l->has_head;
}

void
line_begin_run(struct line *l, uint64_t now_ms)
{
	l->memo->run_ms = now_ms;
}

void
line_call(struct line *l)
{
	struct err why = ERR_INIT;

	if (fetch_connect(l->session.fetch, &l->memo->peer, &why) != 0) {
		log_err(
		    LOG_INFO, "no server to wait for news from", &why, NULL);
		return;
	}
	l->memo->connected = true;
	hold_poll(l);
}

bool
line_lend(struct line *l, struct session *s)
{
	if (l == NULL)
		return false;
	s->fetch = l->session.fetch;
	s->served.seen_received = l->memo->received;
	s->served.seen_sent = l->memo->sent;
	return true;
}

bool
line_take_connection(struct line *l, struct fetch_peer *peer)
{
	if (l == NULL || !l->memo->connected || l->connection_taken)
		return false;
	l->connection_taken = true;
	*peer = l->memo->peer;
	return true;
}

bool
line_take_head(struct line *l, struct buf *bytes, struct digest *peer)
{
	if (l == NULL || !l->has_head)
		return false;
	l->has_head = false;
	buf_clear(bytes);
	buf_add(bytes, l->head.data, l->head.len);
	*peer = l->key;
	return true;
}

void
line_keep(struct line *l, struct session *s)
{
	struct err why = ERR_INIT;

	if (l == NULL || !fetch_is_borrowed(s->fetch))
		return;
	l->memo->connected = true;
	l->memo->peer = s->peer;
	l->memo->received = s->served.seen_received;
	l->memo->sent = s->served.seen_sent;
	if (know_serial(l, s, &why) == 0)
		hold_poll(l);
}
