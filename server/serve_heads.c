/* Heads of channels and long polls for them.  Runs in peciad's workers. */
#include "server/serve_heads.h"

#include <stdlib.h>
#include <unistd.h>

#include "common/text.h"
#include "server/serve_news.h"
#include "server/serve_range.h"
#include "server/serve_stats.h"
#include "transcripts/head.h"

#define FOLDER   "v1/channel"
#define CHECK_MS 2000 /* in case a change was not announced */

struct serve_waiter {
	TAILQ_ENTRY(serve_waiter) entry;
	struct serve_head *head; /* NULL: on no list any more */
	struct http_request *r;
};

struct serve_heads {
	struct http_server *server;
	struct serve_slot *slot;
	int repo;
	int folder; /* -1: not there */
	struct fsat_stat folder_id;
	int inotify; /* -1: not watched, only looked at */
	struct http_watch *watch;
	struct http_timer *timer;
	struct serve_head *heads[LIMIT_CHANNELS];
	size_t count;
};

static bool
same_file(const struct fsat_stat *a, const struct fsat_stat *b)
{
	return a->dev == b->dev && a->ino == b->ino &&
	    a->size_bytes == b->size_bytes &&
	    a->mtime.tv_sec == b->mtime.tv_sec &&
	    a->mtime.tv_nsec == b->mtime.tv_nsec &&
	    a->ctime.tv_sec == b->ctime.tv_sec &&
	    a->ctime.tv_nsec == b->ctime.tv_nsec;
}

static int
parse(struct serve_head *h, struct err *e)
{
	struct statement *s = malloc(sizeof(*s));
	struct head head;
	int rc;

	if (s == NULL)
		return err_memory(e);
	rc = statement_split(h->bytes.data, h->bytes.len, s, e);
	if (rc == 0)
		rc = head_parse(s->body, s->body_len, &head, e);
	free(s);
	if (rc != 0)
		return rc;
	if (strcmp(head.channel, h->name) != 0)
		return err_set(
		    e, ERR_VERIFY, "it is a head of channel %s", head.channel);
	h->serial = head.serial;
	h->release = head.release;
	h->issued = head.issued;
	h->expires = head.expires;
	return 0;
}

static int
read_bytes(const struct serve_heads *hs, struct serve_head *h, struct buf *to,
    struct err *e)
{
	int fd = -1, rc = fsat_open_file(hs->folder, h->name, &fd, e);

	if (rc != 0)
		return rc;
	rc = fsat_stat_fd(fd, &h->id, e);
	if (rc == 0)
		rc = fsat_read_all(fd, LIMIT_HEAD_BYTES, to, e);
	close(fd);
	return rc;
}

static void
describe(struct serve_head *h)
{
	struct digest d;

	digest_of(h->bytes.data, h->bytes.len, &d);
	statement_etag(&d, h->tag);
}

/* Logged once, not at every look. */
static void
note_failure(struct serve_heads *hs, struct serve_head *h, const struct err *e)
{
	if (strcmp(h->why, e->msg) == 0)
		return;
	(void)snprintf(h->why, sizeof(h->why), "%.255s", e->msg);
	serve_warn(hs->slot, "head is not served", e, h->name);
}

/* Takes what the file says now.  true: it is not what was served before. */
static bool
load(struct serve_heads *hs, struct serve_head *h)
{
	struct err e = ERR_INIT;
	struct buf now;
	int rc;

	buf_init(&now, LIMIT_HEAD_BYTES);
	rc = read_bytes(hs, h, &now, &e);
	if (rc == 0 && h->good && now.len == h->bytes.len &&
	    memcmp(now.data, h->bytes.data, now.len) == 0) {
		buf_release(&now);
		return false;
	}
	buf_release(&h->bytes);
	h->bytes = now;
	if (rc != 0)
		h->id = (struct fsat_stat){ 0 }; /* so that it is tried again */
	else
		rc = parse(h, &e);
	h->present = rc != ERR_NOT_FOUND;
	h->good = rc == 0;
	if (h->good) {
		h->why[0] = '\0';
		describe(h);
	} else if (h->present) {
		note_failure(hs, h, &e);
	}
	return true;
}

static void
reply_head(const struct serve_heads *hs, struct http_request *r,
    const struct serve_head *h)
{
	http_reply_header(r, "Cache-Control", "no-cache");
	if (!h->present) {
		http_reply_text(r, 404, "no such channel");
		return;
	}
	if (!h->good) {
		http_reply_text(r, 500, "the head of this channel is damaged");
		return;
	}
	http_reply_header(r, "ETag", h->tag);
	if (serve_tag_listed(http_request_header(r, "if-none-match"), h->tag))
		http_reply(r, 304, NULL, NULL, 0);
	else if (!serve_news_reply(hs->repo, hs->slot, r, h))
		http_reply(r, 200, "text/plain", h->bytes.data, h->bytes.len);
}

/* The request itself goes on; its `done` frees the waiter. */
static void
leave(struct serve_heads *hs, struct serve_waiter *w)
{
	if (w->head == NULL)
		return;
	TAILQ_REMOVE(&w->head->waiters, w, entry);
	w->head = NULL;
	atomic_fetch_sub(&hs->slot->waiting, 1);
}

static void
wake_all(struct serve_heads *hs, struct serve_head *h)
{
	struct serve_waiter *w;

	while ((w = TAILQ_FIRST(&h->waiters)) != NULL) {
		leave(hs, w);
		reply_head(hs, w->r, h);
	}
}

/* Looks at one file again. */
static void
refresh(struct serve_heads *hs, struct serve_head *h)
{
	struct fsat_stat now;
	bool changed;

	if (hs->folder >= 0 &&
	    fsat_stat(hs->folder, h->name, &now, NULL) == 0) {
		if (h->present && same_file(&now, &h->id))
			return;
		changed = load(hs, h);
	} else {
		changed = h->present;
		h->present = false;
		h->good = false;
	}
	if (changed)
		wake_all(hs, h);
}

static struct serve_head *
find(const struct serve_heads *hs, const char *name)
{
	for (size_t i = 0; i < hs->count; i++)
		if (strcmp(hs->heads[i]->name, name) == 0)
			return hs->heads[i];
	return NULL;
}

static struct serve_head *
add(struct serve_heads *hs, const char *name)
{
	struct serve_head *h;

	if (hs->count == LIMIT_CHANNELS)
		return NULL;
	h = calloc(1, sizeof(*h));
	if (h == NULL)
		return NULL;
	(void)snprintf(h->name, sizeof(h->name), "%s", name);
	buf_init(&h->bytes, LIMIT_HEAD_BYTES);
	TAILQ_INIT(&h->waiters);
	hs->heads[hs->count++] = h;
	return h;
}

static void
forget_absent(struct serve_heads *hs)
{
	size_t kept = 0;

	for (size_t i = 0; i < hs->count; i++) {
		if (hs->heads[i]->present) {
			hs->heads[kept++] = hs->heads[i];
			continue;
		}
		buf_release(&hs->heads[i]->bytes);
		free(hs->heads[i]);
	}
	hs->count = kept;
}

/* All that are listed, and all that were. */
static void
refresh_all(struct serve_heads *hs)
{
	struct fsat_names names = { NULL, 0 };

	if (hs->folder >= 0 && fsat_list(hs->folder, &names, NULL) == 0) {
		for (size_t i = 0; i < names.count; i++) {
			const char *name = names.names[i];

			if (text_is_name(name, strlen(name)) &&
			    find(hs, name) == NULL)
				(void)add(hs, name);
		}
		fsat_names_release(&names);
	}
	for (size_t i = 0; i < hs->count; i++)
		refresh(hs, hs->heads[i]);
	forget_absent(hs);
}

static void
on_change(void *arg)
{
	struct serve_heads *hs = arg;
	char events[4096];
	size_t got;

	/* What they say does not matter: the folder is small. */
	while (fsat_read_some(
	           hs->inotify, events, sizeof(events), &got, NULL) == 0 &&
	    got > 0)
		continue;
	refresh_all(hs);
}

static void
drop_folder(struct serve_heads *hs)
{
	http_watch_free(hs->watch);
	hs->watch = NULL;
	if (hs->inotify >= 0)
		close(hs->inotify);
	if (hs->folder >= 0)
		close(hs->folder);
	hs->inotify = -1;
	hs->folder = -1;
}

/* The watch is set before the folder is read, so nothing is missed. */
static void
hold_folder(struct serve_heads *hs)
{
	if (fsat_open_dir(hs->repo, FOLDER, &hs->folder, NULL) != 0)
		return;
	if (fsat_stat_fd(hs->folder, &hs->folder_id, NULL) != 0) {
		drop_folder(hs);
		return;
	}
	if (fsat_watch(hs->folder, ".", &hs->inotify, NULL) != 0)
		return;
	if (http_watch_new(
	        hs->server, hs->inotify, on_change, hs, &hs->watch, NULL) == 0)
		return;
	close(hs->inotify);
	hs->inotify = -1;
}

/* The folder may come late, or be another one after a repair. */
static void
on_timer(void *arg)
{
	struct serve_heads *hs = arg;
	struct fsat_stat now;

	if (fsat_stat(hs->repo, FOLDER, &now, NULL) != 0 ||
	    now.ino != hs->folder_id.ino || now.dev != hs->folder_id.dev)
		drop_folder(hs);
	if (hs->folder < 0)
		hold_folder(hs);
	refresh_all(hs);
}

int
serve_heads_new(struct http_server *server, int repo, struct serve_slot *slot,
    struct serve_heads **out, struct err *e)
{
	struct serve_heads *hs = calloc(1, sizeof(*hs));
	int rc;

	if (hs == NULL)
		return err_memory(e);
	hs->server = server;
	hs->slot = slot;
	hs->repo = repo;
	hs->folder = -1;
	hs->inotify = -1;
	rc = http_timer_new(server, CHECK_MS, on_timer, hs, &hs->timer, e);
	if (rc != 0) {
		serve_heads_free(hs);
		return rc;
	}
	on_timer(hs);
	*out = hs;
	return 0;
}

void
serve_heads_free(struct serve_heads *hs)
{
	if (hs == NULL)
		return;
	drop_folder(hs);
	http_timer_free(hs->timer);
	for (size_t i = 0; i < hs->count; i++)
		hs->heads[i]->present = false;
	forget_absent(hs);
	free(hs);
}

const struct serve_head *
serve_heads_at(const struct serve_heads *hs, size_t i)
{
	return i < hs->count ? hs->heads[i] : NULL;
}

static void
on_wake(void *arg, struct http_request *r)
{
	struct serve_waiter *w = http_request_user(r);
	struct serve_head *h = w->head;

	leave(arg, w);
	reply_head(arg, r, h);
}

static void
hold(struct serve_heads *hs, struct serve_head *h, struct http_request *r,
    unsigned wait_s)
{
	struct serve_waiter *w = calloc(1, sizeof(*w));

	if (w == NULL) {
		reply_head(hs, r, h);
		return;
	}
	w->r = r;
	w->head = h;
	TAILQ_INSERT_TAIL(&h->waiters, w, entry);
	atomic_fetch_add(&hs->slot->waiting, 1);
	http_request_set_user(r, w);
	http_hold(r, wait_s * 1000, on_wake, hs);
}

void
serve_heads_forget(struct serve_heads *hs, struct http_request *r)
{
	struct serve_waiter *w = http_request_user(r);

	if (w == NULL)
		return;
	leave(hs, w);
	http_request_set_user(r, NULL);
	free(w);
}

struct question {
	bool has_after;
	uint64_t after;
	uint64_t wait_s;
};

static int
query_number(const struct http_request *r, const char *name, uint64_t *v)
{
	char text[24];
	int rc = http_request_query(r, name, text, sizeof(text));

	return rc != 0 ? rc : text_u64(text, strlen(text), UINT64_MAX, v);
}

static int
parse_question(const struct http_request *r, struct question *q)
{
	int rc = query_number(r, "after", &q->after);

	q->has_after = rc == 0;
	if (rc != 0 && rc != ERR_NOT_FOUND)
		return rc;
	q->wait_s = 0;
	rc = query_number(r, "wait", &q->wait_s);
	if (rc != 0 && rc != ERR_NOT_FOUND)
		return rc;
	if (q->wait_s > LIMIT_WAIT_S)
		q->wait_s = LIMIT_WAIT_S;
	return 0;
}

/* Whether the asker has what there is. */
static bool
knows(const struct http_request *r, const struct question *q,
    const struct serve_head *h)
{
	const char *tags = http_request_header(r, "if-none-match");

	if (q->has_after && h->serial > q->after)
		return false;
	if (tags != NULL)
		return serve_tag_listed(tags, h->tag);
	return q->has_after;
}

/* For a request: once for all that came before the look. */
static void
look(struct serve_heads *hs, struct serve_head *h)
{
	uint64_t turn = http_server_turn(hs->server);

	if (h->turn != turn)
		refresh(hs, h);
	h->turn = turn;
}

/* One that was made just now. */
static struct serve_head *
find_new(struct serve_heads *hs, const char *name)
{
	struct fsat_stat st;

	if (hs->folder < 0)
		hold_folder(hs);
	if (hs->folder < 0 || fsat_stat(hs->folder, name, &st, NULL) != 0)
		return NULL;
	return add(hs, name);
}

void
serve_heads_handle(
    struct serve_heads *hs, struct http_request *r, const char *name)
{
	struct serve_head *h = find(hs, name);
	struct question q = { 0 };

	if (parse_question(r, &q) != 0) {
		http_reply_text(r, 400, "after and wait must be numbers");
		return;
	}
	if (h == NULL)
		h = find_new(hs, name);
	if (h != NULL)
		look(hs, h);
	if (h == NULL) {
		http_reply_header(r, "Cache-Control", "no-cache");
		http_reply_text(r, 404, "no such channel");
		return;
	}
	if (q.wait_s > 0 && h->good && !http_server_is_stopping(hs->server) &&
	    knows(r, &q, h))
		hold(hs, h, r, (unsigned)q.wait_s);
	else
		reply_head(hs, r, h);
}
