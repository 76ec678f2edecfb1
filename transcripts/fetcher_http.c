/* One request over the fetcher's connection: whom it may be made of, what is
 * counted of its answer, and how fast that may come. */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "common/rate.h"
#include "transcripts/fetcher_impl.h"

void
fetcher_keep_window(const struct fetcher *f, int fd)
{
	const struct rate_plan *rate = f->options->rate;
	int bytes = rate == NULL ? 0 : rate_window(rate, time(NULL));

	if (bytes > 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)) != 0)
		errno = 0;
}

static bool
is_metadata(const char *path)
{
	static const char *const open_to_all[] = { "/v1/root/", "/v1/roster",
		"/v1/channel/" };

	for (size_t i = 0; i < sizeof(open_to_all) / sizeof(*open_to_all); i++)
		if (strncmp(path, open_to_all[i], strlen(open_to_all[i])) == 0)
			return true;
	return false;
}

static enum fetch_kind
kind_of(const char *path)
{
	static const struct {
		const char *prefix;
		enum fetch_kind kind;
	} kinds[] = {
		{ "/v1/manifest/", FETCH_KIND_MANIFEST },
		{ "/v1/data/", FETCH_KIND_DATA },
		{ "/v1/object", FETCH_KIND_OBJECT },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (strncmp(path, kinds[i].prefix, strlen(kinds[i].prefix)) ==
		    0)
			return kinds[i].kind;
	return FETCH_KIND_STATEMENT;
}

void
fetcher_count(const struct fetch_options *o, enum fetch_kind kind, size_t bytes)
{
	if (o->received != NULL)
		atomic_fetch_add_explicit(
		    &o->received[kind], bytes, memory_order_relaxed);
}

struct counted {
	const struct fetcher *f;
	const struct http_request *req;
	enum fetch_kind kind;
};

static int
count_begin(void *arg, const struct http_response *resp, struct err *e)
{
	const struct counted *c = arg;

	return c->req->begin(c->req->arg, resp, e);
}

/* A body on its way from the line: counted, and no faster than it may be. */
static int
count_data(void *arg, const void *data, size_t len, struct err *e)
{
	const struct counted *c = arg;
	const struct fetch_options *o = c->f->options;

	fetcher_count(o, c->kind, len);
	if (o->gate != NULL && o->rate != NULL)
		rate_pass(o->gate, o->rate, len);
	return c->req->sink == NULL ? 0
	                            : c->req->sink(c->req->arg, data, len, e);
}

/* Who somebody is shows before he hears the request; news are the first one. */
static bool
may_ask(const struct fetcher *f, const char *path)
{
	return f->tls.verdict == TLS_KNOWN ||
	    (fetcher_asks_news(path) && digest_is_zero(&f->tls.peer));
}

int
fetcher_http(struct fetcher *f, const struct http_request *req,
    struct http_response *resp, struct err *e)
{
	struct counted c = { f, req, kind_of(req->path) };
	struct http_request counting = *req;

	if (f->http == NULL)
		return err_set(e, ERR_NET, "not connected");
	f->content = !is_metadata(req->path) || fetcher_asks_news(req->path);
	if (f->content && !may_ask(f, req->path))
		return err_set(
		    e, ERR_VERIFY, "the server's key is not in the roster");
	counting.begin = req->begin != NULL ? count_begin : NULL;
	counting.sink = count_data;
	counting.arg = &c;
	return http_client_do(f->http, &counting, resp, e);
}
