/* Heads with what follows from them.  Runs in peciad's workers. */
#include "server/serve_news.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/text.h"
#include "server/serve_stats.h"
#include "transcripts/release.h"
#include "transcripts/repo.h"
#include "transcripts/statement.h"

#define LINE_BYTES (REPO_PATH_BYTES + 24)

struct file {
	struct digest data;
	uint64_t size_bytes;
};

/* First the bytes of `front` are sent, then `left` of fd; then the next file. */
struct stream {
	int repo;
	struct serve_slot *slot;
	struct buf front;
	size_t front_sent;
	int fd; /* or -1 */
	uint64_t left;
	struct file files[LIMIT_TRANSCRIPTS];
	size_t count, next;
};

struct question {
	uint64_t after;
	char list[LIMIT_NEWS_LIST_BYTES];
};

static void
add_line(struct buf *b, const char *name, uint64_t size_bytes)
{
	buf_addf(b, "/%s %" PRIu64 "\n", name, size_bytes);
}

static void
close_file(struct stream *n)
{
	if (n->fd >= 0)
		close(n->fd);
	n->fd = -1;
}

/* One that is not as the release says is left out: it is asked for by itself
 * then, and whoever asks is told why it does not come. */
static void
open_file(struct stream *n)
{
	const struct file *f = &n->files[n->next++];
	struct err ignored = ERR_INIT;
	struct fsat_stat st;
	char name[REPO_PATH_BYTES];

	repo_path_data(name, &f->data);
	if (fsat_open_file(n->repo, name, &n->fd, &ignored) != 0)
		return;
	if (fsat_stat_fd(n->fd, &st, &ignored) != 0 ||
	    st.size_bytes != f->size_bytes) {
		close_file(n);
		return;
	}
	buf_clear(&n->front);
	n->front_sent = 0;
	add_line(&n->front, name, f->size_bytes);
	n->left = f->size_bytes;
}

static size_t
send_front(struct stream *n, uint8_t *dst, size_t room)
{
	size_t len = n->front.len - n->front_sent;

	if (len > room)
		len = room;
	memcpy(dst, n->front.data + n->front_sent, len);
	n->front_sent += len;
	return len;
}

static int
read_file(
    struct stream *n, uint8_t *dst, size_t room, size_t *got, struct err *e)
{
	int rc = fsat_read_some(n->fd, dst, room, got, e);

	if (rc == 0 && *got == 0)
		rc = err_set(e, ERR_CHANGED, "it became shorter");
	if (rc == 0)
		n->left -= *got;
	else
		serve_warn(n->slot, "data transcript broken off", e, "");
	return rc;
}

static int
produce(void *arg, uint8_t *dst, size_t size, size_t *got, struct err *e)
{
	struct stream *n = arg;
	size_t at = 0, more;

	while (at < size) {
		if (n->front_sent < n->front.len) {
			at += send_front(n, dst + at, size - at);
		} else if (n->left > 0) {
			more =
			    size - at < n->left ? size - at : (size_t)n->left;
			if (read_file(n, dst + at, more, &more, e) != 0)
				return e->code;
			at += more;
		} else {
			close_file(n);
			if (n->next == n->count)
				break;
			open_file(n);
		}
	}
	*got = at;
	return 0;
}

static void
release_news(void *arg)
{
	struct stream *n = arg;

	close_file(n);
	buf_release(&n->front);
	free(n);
}

/* Whether a list with commas has the name. */
static bool
is_listed(const char *list, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = list; at != NULL; at = strchr(at, ',')) {
		at += *at == ',';
		if (strncmp(at, name, len) == 0 &&
		    (at[len] == ',' || at[len] == '\0'))
			return true;
	}
	return false;
}

/* What the list names of a release, as far as there is room. */
static void
list_files(struct stream *n, const struct release *r, const char *list)
{
	uint64_t room = LIMIT_NEWS_BYTES - n->front.len;

	for (size_t i = 0; i < r->transcript_count; i++) {
		const struct release_transcript *t = &r->transcripts[i];

		if (!t->has_data || !is_listed(list, t->name))
			continue;
		if (room < LINE_BYTES || t->data_bytes > room - LINE_BYTES)
			continue;
		room -= t->data_bytes + LINE_BYTES;
		n->files[n->count++] = (struct file){ t->data, t->data_bytes };
	}
}

static int
parse_release(const struct buf *text, struct release *out, struct err *e)
{
	struct statement *s = malloc(sizeof(*s));
	int rc = s == NULL ? err_memory(e)
	                   : statement_split(text->data, text->len, s, e);

	if (rc == 0)
		rc = release_parse(s->body, s->body_len, out, e);
	free(s);
	return rc;
}

/* The head, the release, and the list of what else there is. */
static int
fill(struct stream *n, const struct serve_head *head, const struct question *q,
    struct err *e)
{
	char name[REPO_PATH_BYTES];
	struct release r;
	struct buf text;
	int fd = -1, rc;

	repo_path_release(name, &head->release);
	if ((rc = fsat_open_file(n->repo, name, &fd, e)) != 0)
		return rc;
	release_init(&r);
	buf_init(&text, LIMIT_NEWS_RELEASE_BYTES);
	rc = fsat_read_all(fd, LIMIT_NEWS_RELEASE_BYTES, &text, e);
	close(fd);
	if (rc == 0)
		rc = parse_release(&text, &r, e);
	if (rc == 0) {
		buf_add(&n->front, head->bytes.data, head->bytes.len);
		add_line(&n->front, name, text.len);
		buf_add(&n->front, text.data, text.len);
		if (q->after + 1 == head->serial)
			list_files(n, &r, q->list);
		rc = buf_check(&n->front, "news", e);
	}
	buf_release(&text);
	release_release(&r);
	return rc;
}

static bool
parse_question(const struct http_request *r, struct question *q)
{
	char text[24];

	return http_request_query(r, "after", text, sizeof(text)) == 0 &&
	    text_u64(text, strlen(text), UINT64_MAX, &q->after) == 0 &&
	    http_request_query(r, "with", q->list, sizeof(q->list)) == 0;
}

bool
serve_news_reply(int repo, struct serve_slot *slot, struct http_request *r,
    const struct serve_head *head)
{
	struct err ignored = ERR_INIT;
	struct question q;
	struct stream *n;
	char text[24];

	if (!parse_question(r, &q) || q.after >= head->serial)
		return false;
	n = calloc(1, sizeof(*n));
	if (n == NULL)
		return false;
	n->repo = repo;
	n->slot = slot;
	n->fd = -1;
	buf_init(&n->front,
	    LIMIT_HEAD_BYTES + LIMIT_NEWS_RELEASE_BYTES + LINE_BYTES);
	if (fill(n, head, &q, &ignored) != 0) {
		release_news(n);
		return false;
	}
	(void)snprintf(text, sizeof(text), "%zu", head->bytes.len);
	http_reply_header(r, "Pecia-Head", text);
	http_reply_header(r, "Content-Type", "application/octet-stream");
	http_reply_stream(r, 200, produce, release_news, n);
	return true;
}
