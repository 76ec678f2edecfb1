/* The fetcher process: single things as they are, and what servers send with a
 * head before it is asked for.
 *
 * Such news are kept as they came and answer later requests, so that whoever
 * decides asks, bounds and verifies as if they came then.  One that was cut off
 * is asked for from there on. */
#include "transcripts/fetcher_impl.h"

/* A long poll's answer may be this much late. */
#define GRACE_MS 10000

/* ---- news ---- */

static const char *
news_of(const char *path)
{
	return strstr(path, "?after=");
}

bool
fetcher_asks_news(const char *path)
{
	const char *query = news_of(path);

	return query != NULL && strstr(query, "&with=") != NULL;
}

/* ---- requests ---- */

int
fetcher_send_answer(struct fetcher *f, const struct http_response *resp,
    uint32_t which, struct err *e)
{
	struct buf b;
	int rc;

	buf_init(&b, LIMIT_IPC_BYTES);
	buf_add_u32(&b, (uint32_t)resp->status);
	buf_add_u32(&b, which);
	buf_add_u64(&b, resp->range_start);
	buf_add(&b, resp->peer.b, DIGEST_BYTES);
	buf_add_byte(&b, f->tls.verdict == TLS_KNOWN);
	buf_add(&b, resp->etag, strlen(resp->etag) + 1);
	rc = buf_check(&b, "answer", e);
	if (rc == 0)
		rc = ipc_send(f->ipc, WIRE_ANSWER, b.data, b.len, e);
	buf_release(&b);
	return rc;
}

int
fetcher_parse_get(struct reader *r, struct fetcher_asked *out)
{
	const uint8_t *path, *etag, *end;
	uint64_t max_bytes, offset;

	path = r->data + r->pos;
	end = memchr(path, '\0', reader_left(r));
	if (end == NULL ||
	    reader_bytes(r, (size_t)(end - path) + 1, &path) != 0)
		return ERR_FORMAT;
	etag = r->data + r->pos;
	end = memchr(etag, '\0', reader_left(r));
	if (end == NULL ||
	    reader_bytes(r, (size_t)(end - etag) + 1, &etag) != 0 ||
	    reader_u64(r, &max_bytes) != 0 || reader_u64(r, &offset) != 0 ||
	    reader_u32(r, &out->wait_s) != 0)
		return ERR_FORMAT;
	out->req = (struct http_request){
		.path = (const char *)path,
		.if_none_match = *etag != '\0' ? (const char *)etag : NULL,
		.offset = offset,
		.max_bytes = max_bytes,
		.idle_ms = out->wait_s * 1000 + GRACE_MS,
	};
	return 0;
}

struct passing {
	struct fetcher *f;
	struct http_request req;
	char plain[128];    /* req.path without its query, if that is it */
	uint64_t most;      /* bytes that may be passed on yet */
	uint64_t head_left; /* of the body, before news */
	bool answered;
	bool is_rest; /* the beginning was among the news */
	bool ended;   /* all was passed on; what comes now is kept */
};

static int
pass_begin(void *arg, const struct http_response *resp, struct err *e)
{
	struct passing *p = arg;

	if (p->is_rest)
		return resp->status == 206
		    ? 0
		    : err_set(e, ERR_NET, "the rest of it was not given");
	if (fetcher_asks_news(p->req.path))
		p->head_left = resp->head_bytes;
	if (p->head_left > p->most)
		return err_set(e, ERR_LIMIT, "head of too many bytes");
	p->answered = true;
	return fetcher_send_answer(p->f, resp, 0, e);
}

/* The head is through as soon as it is whole, whatever becomes of the rest. */
static int
pass_head(struct passing *p, const uint8_t *data, size_t len, struct err *e)
{
	size_t n = len < p->head_left ? len : (size_t)p->head_left;
	int rc = fetcher_send_data(p->f, data, n, e);

	p->head_left -= n;
	if (rc != 0 || p->head_left > 0)
		return rc;
	p->ended = true;
	rc = ipc_send(p->f->ipc, WIRE_OK, NULL, 0, e);
	return rc != 0 ? rc : news_take(&p->f->news, data + n, len - n, e);
}

static int
pass_data(void *arg, const void *data, size_t len, struct err *e)
{
	struct passing *p = arg;

	if (p->ended)
		return news_take(&p->f->news, data, len, e);
	if (p->head_left > 0)
		return pass_head(p, data, len, e);
	if (len > p->most)
		return err_set(e, ERR_LIMIT, "answer of too many bytes");
	p->most -= len;
	return fetcher_send_data(p->f, data, len, e);
}

/* Answered from the news as far as they go. */
static int
pass_part(struct passing *p, const struct news_part *part, struct err *e)
{
	struct fetcher *f = p->f;
	const struct http_response resp = { .status = 200,
		.peer = f->tls.peer };
	int rc = fetcher_send_answer(f, &resp, 0, e);

	if (rc == 0)
		rc = fetcher_send_data(
		    f, f->news.bytes.data + part->at, part->len, e);
	p->answered = p->is_rest = true;
	p->ended = part->len == part->size_bytes;
	p->req.offset = part->len;
	p->req.max_bytes = p->most = part->size_bytes - part->len;
	return rc != 0 || !p->ended ? rc
	                            : ipc_send(f->ipc, WIRE_OK, NULL, 0, e);
}

/* Not of strangers, who need not know what this machine has. */
static int
ask_news(struct passing *p, struct http_response *resp, struct err *e)
{
	const char *query = news_of(p->req.path);
	int rc;

	news_drop(&p->f->news);
	p->req.max_bytes += LIMIT_NEWS_BYTES;
	p->req.timeout_ms = p->req.idle_ms + LIMIT_NEWS_MS;
	rc = fetcher_http(p->f, &p->req, resp, e);
	if (rc != ERR_VERIFY || p->answered)
		return rc;
	err_clear(e);
	(void)snprintf(p->plain, sizeof(p->plain), "%.*s",
	    (int)(query - p->req.path), p->req.path);
	p->req.path = p->plain;
	p->req.max_bytes = p->most;
	p->req.timeout_ms = 0;
	return fetcher_http(p->f, &p->req, resp, e);
}

static int
end_get(struct passing *p, const struct http_response *resp, struct err *e)
{
	const struct err bad = { .code = ERR_NET, .msg = "cut off" };
	int rc = 0;

	if (p->is_rest && resp->status != 206)
		return fetcher_fail(p->f, &bad, e);
	if (!p->answered)
		rc = fetcher_send_answer(p->f, resp, 0, e);
	return rc != 0 ? rc : ipc_send(p->f->ipc, WIRE_OK, NULL, 0, e);
}

int
fetcher_get(struct fetcher *f, const struct ipc_msg *msg, struct err *e)
{
	struct passing p = { .f = f };
	const struct news_part *part = NULL;
	struct http_response resp = { .status = 0 };
	struct err why = ERR_INIT;
	struct fetcher_asked asked;
	struct reader r;
	int rc;

	reader_init(&r, msg->data, msg->len);
	if (fetcher_parse_get(&r, &asked) != 0)
		return err_set(e, ERR_FORMAT, "get request");
	p.req = asked.req;
	p.most = p.req.max_bytes;
	p.req.begin = pass_begin;
	p.req.sink = pass_data;
	p.req.arg = &p;
	if (f->tls.verdict == TLS_KNOWN && p.req.offset == 0)
		part = news_find(&f->news, p.req.path, p.req.max_bytes);
	if (part != NULL && ((rc = pass_part(&p, part, e)) != 0 || p.ended))
		return rc;
	rc = fetcher_asks_news(p.req.path)
	    ? ask_news(&p, &resp, &why)
	    : fetcher_http(f, &p.req, &resp, &why);
	if (p.ended)
		return 0;
	return rc != 0 ? fetcher_fail(f, &why, e) : end_get(&p, &resp, e);
}
