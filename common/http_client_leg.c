/* One request: what it is made of, what libcurl calls while it runs, and what
 * ends it. */
#include "common/http_client_impl.h"

#include <stdarg.h>

#include "common/text.h"

#define DISCARD_BYTES 65536 /* of a body that nobody asked for */
#define KEEPALIVE_S   30
#define URL_BYTES     (LIMIT_PATH_BYTES + 128)

/* Records why a leg is broken off; the first reason stays. */
static int leg_fail(struct leg *l, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int
leg_fail(struct leg *l, int code, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	if (l->fail != 0)
		return l->fail;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	l->fail = err_set(
	    &l->err, code, "%s%.512s: %s", l->c->base, l->req->path, text);
	return l->fail;
}

static CURLcode
on_tls(CURL *easy, void *ctx, void *arg)
{
	struct leg *l = arg;

	(void)easy;
	l->fail = tls_client_attach(l->tls, ctx, &l->err);
	return l->fail == 0 ? CURLE_OK : CURLE_ABORTED_BY_CALLBACK;
}

static void
note_bytes(struct leg *l)
{
	l->last_ns = http_now_ns();
	if (l->first_ns == 0)
		l->first_ns = l->last_ns;
}

static bool
is_wanted(const struct leg *l)
{
	return l->resp.status == 200 || l->resp.status == 206;
}

/* "bytes 100-199/200" or with a '*' for the whole. */
static int
parse_content_range(const char *s, uint64_t *start)
{
	const char unit[] = "bytes ", *dash;

	if (strncmp(s, unit, sizeof(unit) - 1) != 0)
		return ERR_FORMAT;
	s += sizeof(unit) - 1;
	dash = strchr(s, '-');
	if (dash == NULL)
		return ERR_FORMAT;
	return text_u64(s, (size_t)(dash - s), INT64_MAX, start);
}

static const char *
header_value(CURL *easy, const char *name)
{
	struct curl_header *h = NULL;

	if (curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &h) != CURLHE_OK)
		return NULL;
	return h->value;
}

static int
check_range(struct leg *l)
{
	const char *range = header_value(l->easy, "Content-Range");

	if (l->req->offset == 0)
		return leg_fail(l, ERR_NET, "a range came unasked");
	if (range == NULL ||
	    parse_content_range(range, &l->resp.range_start) != 0 ||
	    l->resp.range_start != l->req->offset)
		return leg_fail(l, ERR_NET,
		    "Content-Range \"%.64s\" for bytes from %llu on",
		    range != NULL ? range : "",
		    (unsigned long long)l->req->offset);
	return 0;
}

static void
note_peer(struct leg *l)
{
	struct curl_tlssessioninfo *tls = NULL;

	if (curl_easy_getinfo(l->easy, CURLINFO_TLS_SSL_PTR, &tls) !=
	        CURLE_OK ||
	    tls == NULL || tls->internals == NULL ||
	    !tls_peer_digest(tls->internals, &l->resp.peer))
		memset(&l->resp.peer, 0, sizeof(l->resp.peer));
}

static void
note_head(struct leg *l)
{
	const char *text = header_value(l->easy, "Pecia-Head");
	uint64_t n = 0;

	if (text != NULL && text_u64(text, strlen(text), INT64_MAX, &n) == 0)
		l->resp.head_bytes = n;
}

/* The empty line behind an answer's header. */
static int
end_header(struct leg *l)
{
	struct http_response *r = &l->resp;
	curl_off_t length = -1;
	long status = 0;
	const char *etag;

	curl_easy_getinfo(l->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status < 200)
		return 0;
	r->status = (int)status;
	note_peer(l);
	etag = header_value(l->easy, "ETag");
	if (etag != NULL && strlen(etag) < sizeof(r->etag))
		memcpy(r->etag, etag, strlen(etag) + 1);
	curl_easy_getinfo(l->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
	r->has_length = length >= 0;
	r->content_length = length >= 0 ? (uint64_t)length : 0;
	note_head(l);
	if (is_wanted(l) && r->content_length > l->req->max_bytes)
		return leg_fail(l, ERR_LIMIT,
		    "body of %llu bytes, more than %llu",
		    (unsigned long long)r->content_length,
		    (unsigned long long)l->req->max_bytes);
	if (r->status == 206 && check_range(l) != 0)
		return l->fail;
	if (is_wanted(l) && l->req->begin != NULL)
		l->fail = l->req->begin(l->req->arg, r, &l->err);
	return l->fail;
}

static size_t
on_header(char *line, size_t size, size_t n, void *arg)
{
	struct leg *l = arg;
	size_t len = size * n;

	note_bytes(l);
	l->header_bytes += len;
	if (l->header_bytes > (uint64_t)(LIMIT_HTTP_HEADER_BYTES)) {
		leg_fail(l, ERR_LIMIT, "header of more than %d bytes",
		    LIMIT_HTTP_HEADER_BYTES);
		return 0;
	}
	/* Once the status is known these are trailers. */
	if (l->resp.status == 0 && (line[0] == '\r' || line[0] == '\n') &&
	    end_header(l) != 0)
		return 0;
	return len;
}

static size_t
discard(struct leg *l, size_t len)
{
	l->resp.body_bytes += len;
	if (l->resp.body_bytes <= DISCARD_BYTES)
		return len;
	l->enough = true;
	return 0;
}

static size_t
on_body(char *data, size_t size, size_t n, void *arg)
{
	struct leg *l = arg;
	const struct http_request *req = l->req;
	size_t len = size * n;
	uint64_t before;

	note_bytes(l);
	if (!is_wanted(l))
		return discard(l, len);
	if (len > req->max_bytes - l->resp.body_bytes) {
		leg_fail(l, ERR_LIMIT, "body of more than %llu bytes",
		    (unsigned long long)req->max_bytes);
		return 0;
	}
	l->resp.body_bytes += len;
	if (req->sink == NULL)
		return len;
	before = l->last_ns;
	l->fail = req->sink(req->arg, data, len, &l->err);
	l->last_ns = http_now_ns();
	l->held_ns += l->last_ns - before;
	return l->fail == 0 ? len : 0;
}

static bool
set_callbacks(struct leg *l)
{
	CURL *h = l->easy;
	int bad = 0;

	bad |= (int)curl_easy_setopt(h, CURLOPT_PRIVATE, l);
	bad |= (int)curl_easy_setopt(h, CURLOPT_ERRORBUFFER, l->reason);
	bad |=
	    (int)curl_easy_setopt(h, CURLOPT_OPENSOCKETFUNCTION, http_on_open);
	bad |= (int)curl_easy_setopt(h, CURLOPT_OPENSOCKETDATA, l->c);
	bad |=
	    (int)curl_easy_setopt(h, CURLOPT_SOCKOPTFUNCTION, http_on_opened);
	bad |= (int)curl_easy_setopt(h, CURLOPT_SOCKOPTDATA, l->c);
	bad |= (int)curl_easy_setopt(
	    h, CURLOPT_CLOSESOCKETFUNCTION, http_on_close);
	bad |= (int)curl_easy_setopt(h, CURLOPT_CLOSESOCKETDATA, l->c);
	bad |= (int)curl_easy_setopt(h, CURLOPT_SSL_CTX_FUNCTION, on_tls);
	bad |= (int)curl_easy_setopt(h, CURLOPT_SSL_CTX_DATA, l);
	bad |= (int)curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header);
	bad |= (int)curl_easy_setopt(h, CURLOPT_HEADERDATA, l);
	bad |= (int)curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
	bad |= (int)curl_easy_setopt(h, CURLOPT_WRITEDATA, l);
	return bad == 0;
}

/* Peers are judged by tls_client_attach, so libcurl's own checks are off; its
 * session cache would go round the judge. */
static const struct {
	CURLoption option;
	long value;
} settings[] = {
	{ CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_3 },
	{ CURLOPT_SSL_VERIFYPEER, 0 },
	{ CURLOPT_SSL_VERIFYHOST, 0 },
	{ CURLOPT_SSL_SESSIONID_CACHE, 0 },
	{ CURLOPT_SSL_ENABLE_ALPN, 0 }, /* it is HTTP/1.1 anyway */
	{ CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1 },
	{ CURLOPT_FOLLOWLOCATION, 0 },
	{ CURLOPT_PATH_AS_IS, 1 },
	{ CURLOPT_SUPPRESS_CONNECT_HEADERS, 1 },
	{ CURLOPT_NOSIGNAL, 1 },
	{ CURLOPT_CONNECTTIMEOUT_MS, LIMIT_CONNECT_MS },
	{ CURLOPT_TCP_NODELAY, 1 },
	/* A server that vanishes during a long poll is noticed. */
	{ CURLOPT_TCP_KEEPALIVE, 1 },
	{ CURLOPT_TCP_KEEPIDLE, KEEPALIVE_S },
	{ CURLOPT_TCP_KEEPINTVL, KEEPALIVE_S },
};

static bool
set_constants(struct leg *l)
{
	const char *proxy = l->c->proxy;
	CURL *h = l->easy;
	int bad = 0;

	for (size_t i = 0; i < sizeof(settings) / sizeof(*settings); i++)
		bad |= (int)curl_easy_setopt(
		    h, settings[i].option, settings[i].value);
	bad |= (int)curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "https");
	bad |= (int)curl_easy_setopt(h, CURLOPT_CAINFO, NULL);
	bad |= (int)curl_easy_setopt(h, CURLOPT_CAPATH, NULL);
	/* "" keeps http_proxy and no_proxy of the environment out. */
	bad |=
	    (int)curl_easy_setopt(h, CURLOPT_PROXY, proxy != NULL ? proxy : "");
	bad |= (int)curl_easy_setopt(h, CURLOPT_NOPROXY, "");
	bad |=
	    (int)curl_easy_setopt(h, CURLOPT_USERAGENT, "pecia/" PECIA_VERSION);
	return bad == 0;
}

void
leg_free(struct leg *l)
{
	if (l == NULL)
		return;
	curl_easy_cleanup(l->easy);
	curl_slist_free_all(l->headers);
	tls_client_release(&l->own);
	free(l);
}

int
leg_get(struct http_client *c, size_t i, struct leg **out, struct err *e)
{
	struct leg *l = c->legs[i];

	if (l == NULL) {
		l = calloc(1, sizeof(*l));
		if (l == NULL)
			return err_memory(e);
		l->c = c;
		l->own.identity = c->tls->identity;
		l->own.judge = c->tls->judge;
		l->own.arg = c->tls->arg;
		l->tls = i == 0 ? c->tls : &l->own;
		l->easy = curl_easy_init();
		if (l->easy == NULL || !set_callbacks(l) || !set_constants(l)) {
			leg_free(l);
			return err_memory(e);
		}
		c->legs[i] = l;
	}
	*out = l;
	return 0;
}

static int
check_request(const struct http_request *req, struct err *e)
{
	if (req->path[0] != '/' || !http_is_plain(req->path, "") ||
	    strchr(req->path, '#') != NULL ||
	    strlen(req->path) > LIMIT_PATH_BYTES)
		return err_set(
		    e, ERR_USAGE, "\"%.256s\" is no URL path", req->path);
	if ((req->if_none_match != NULL &&
	        (!http_is_plain(req->if_none_match, " ") ||
	            strlen(req->if_none_match) >= HTTP_ETAG_BYTES)) ||
	    (req->if_range != NULL &&
	        (!http_is_plain(req->if_range, " ") ||
	            strlen(req->if_range) >= HTTP_ETAG_BYTES)))
		return err_set(e, ERR_USAGE, "%s: bad entity tag", req->path);
	return 0;
}

static bool add_header(struct leg *l, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static bool
add_header(struct leg *l, const char *fmt, ...)
{
	char line[HTTP_HOST_BYTES + HTTP_ETAG_BYTES];
	struct curl_slist *list;
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	list = curl_slist_append(l->headers, line);
	if (list == NULL)
		return false;
	l->headers = list;
	return true;
}

static bool
set_headers(struct leg *l, const struct http_request *req)
{
	bool ok;

	curl_slist_free_all(l->headers);
	l->headers = NULL;
	ok = add_header(l, "Accept:"); /* which libcurl would send */
	if (l->c->host[0] != '\0')
		ok = ok && add_header(l, "Host: %s", l->c->host);
	if (req->if_none_match != NULL)
		ok = ok &&
		    add_header(l, "If-None-Match: %s", req->if_none_match);
	if (req->offset != 0)
		ok = ok &&
		    add_header(l, "Range: bytes=%llu-",
		        (unsigned long long)req->offset);
	if (req->offset != 0 && req->if_range != NULL)
		ok = ok && add_header(l, "If-Range: %s", req->if_range);
	if (req->body != NULL)
		/* The second would cost a round trip. */
		ok = ok &&
		    add_header(l, "Content-Type: application/octet-stream") &&
		    add_header(l, "Expect:");
	return ok &&
	    curl_easy_setopt(l->easy, CURLOPT_HTTPHEADER, l->headers) ==
	    CURLE_OK;
}

static bool
set_request(struct leg *l, const struct http_request *req)
{
	char url[URL_BYTES];
	CURL *h = l->easy;
	int bad = 0;

	(void)snprintf(url, sizeof(url), "%s%s", l->c->base, req->path);
	bad |= (int)curl_easy_setopt(h, CURLOPT_URL, url);
	bad |= (int)curl_easy_setopt(h, CURLOPT_HTTPGET, 1L);
	if (req->body != NULL) {
		bad |= (int)curl_easy_setopt(h, CURLOPT_POST, 1L);
		bad |= (int)curl_easy_setopt(
		    h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)req->body_len);
		bad |= (int)curl_easy_setopt(h, CURLOPT_POSTFIELDS, req->body);
	}
	return bad == 0 && set_headers(l, req);
}

bool
leg_resume(struct leg *l)
{
	l->added = curl_multi_add_handle(l->c->multi, l->easy) == CURLM_OK;
	return l->added;
}

int
leg_start(struct leg *l, const struct http_request *req, struct err *e)
{
	int ret = check_request(req, e);

	if (ret != 0)
		return ret;
	l->req = req;
	memset(&l->resp, 0, sizeof(l->resp));
	l->header_bytes = l->held_ns = l->first_ns = 0;
	l->window_ns = l->window_bytes = 0;
	l->done = l->enough = false;
	l->fail = 0;
	l->reason[0] = '\0';
	err_clear(&l->err);
	l->start_ns = l->last_ns = http_now_ns();
	if (!set_request(l, req) || !leg_resume(l))
		return err_memory(e);
	return 0;
}

void
leg_stop(struct leg *l)
{
	if (l->added)
		curl_multi_remove_handle(l->c->multi, l->easy);
	l->added = false;
}

static bool
was_refused(const struct leg *l, CURLcode code)
{
	return (code == CURLE_SSL_CONNECT_ERROR ||
	           code == CURLE_PEER_FAILED_VERIFICATION) &&
	    l->tls->verdict == TLS_REFUSE && !digest_is_zero(&l->tls->peer);
}

/* What libcurl's verdict is for us. */
static int
code_of(const struct leg *l, CURLcode code)
{
	switch (code) {
	case CURLE_OPERATION_TIMEDOUT:
		return ERR_TIMEOUT;
	case CURLE_OUT_OF_MEMORY:
		/* This is also what a line of the header over 100 KB gets. */
		return l->resp.status == 0 ? ERR_LIMIT : ERR_NO_MEMORY;
	default:
		return ERR_NET;
	}
}

void
leg_finish(struct leg *l, CURLcode code)
{
	const char *reason = l->reason;
	char hex[DIGEST_HEX];

	l->done = true;
	if (l->fail != 0 || l->enough)
		return;
	if (code == CURLE_OK) {
		/* An end before the header's end is an answer to libcurl. */
		if (l->resp.status == 0)
			leg_fail(l, ERR_NET, "answer cut off in its header");
		return;
	}
	if (was_refused(l, code)) {
		digest_hex(&l->tls->peer, hex);
		leg_fail(l, ERR_VERIFY, "server key sha256:%s refused", hex);
		return;
	}
	if (reason[0] == '\0')
		reason = curl_easy_strerror(code);
	if (code == CURLE_OUT_OF_MEMORY && l->resp.status == 0)
		reason = "header line too long, or no memory";
	leg_fail(l, code_of(l, code), "%s", reason);
}

/* How long the peer may stay silent from now on. */
static uint64_t
silence_ends(const struct leg *l)
{
	uint64_t idle_ns = NS_PER_MS * l->req->idle_ms;

	if (l->first_ns != 0)
		return l->last_ns + l->c->stall_ns;
	if (idle_ns < l->c->stall_ns)
		idle_ns = l->c->stall_ns;
	return l->start_ns + idle_ns +
	    l->req->body_len * NS_PER_S / l->c->min_rate;
}

/* Judged anew every grace_ms: what a server sent at first does not buy it the
 * time to trickle later. */
static bool
is_too_slow(struct leg *l, uint64_t now)
{
	uint64_t bytes = l->header_bytes + l->resp.body_bytes;
	uint64_t taken;
	bool slow;

	if (l->first_ns == 0)
		return false;
	if (l->window_ns == 0)
		l->window_ns = l->first_ns;
	taken = now - l->window_ns;
	if (taken <= l->held_ns + l->c->grace_ns)
		return false;
	taken -= l->held_ns;
	slow = (bytes - l->window_bytes) / l->c->min_rate < taken / NS_PER_S;
	l->window_ns = now;
	l->window_bytes = bytes;
	l->held_ns = 0;
	return slow;
}

void
leg_check(struct leg *l, uint64_t now, uint64_t *until)
{
	uint64_t silence = silence_ends(l);
	uint64_t whole = l->req->timeout_ms == 0
	    ? UINT64_MAX
	    : l->start_ns + NS_PER_MS * l->req->timeout_ms;

	if (now >= whole)
		leg_fail(l, ERR_TIMEOUT, "not complete after %u ms",
		    l->req->timeout_ms);
	else if (now >= silence)
		leg_fail(l, ERR_TIMEOUT, "no byte for %llu ms",
		    (unsigned long long)(now - l->last_ns) / NS_PER_MS);
	else if (is_too_slow(l, now))
		leg_fail(l, ERR_TIMEOUT, "slower than %llu bytes a second",
		    (unsigned long long)l->c->min_rate);
	if (l->fail != 0) {
		l->done = true;
		leg_stop(l);
		return;
	}
	if (silence < *until)
		*until = silence;
	if (whole < *until)
		*until = whole;
}
