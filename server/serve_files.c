/* Files of a repository over HTTP.  Runs in peciad's workers. */
#include "server/serve_files.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include "common/limits.h"
#include "server/serve_range.h"
#include "transcripts/statement.h"

#define TAG_BYTES 128
#define IMMUTABLE "public, max-age=31536000, immutable"

void
serve_files_failed(
    struct serve_slot *slot, struct http_request *r, const struct err *e)
{
	bool scarce =
	    e->sys == EMFILE || e->sys == ENFILE || e->code == ERR_NO_MEMORY;

	http_reply_header(r, "Cache-Control", "no-cache");
	if (e->code == ERR_NOT_FOUND || e->sys == ENOTDIR) {
		http_reply_text(r, 404, "not here");
		return;
	}
	serve_warn(slot, "cannot serve", e, http_request_path(r));
	if (scarce)
		http_reply_text(r, 503, "too busy; try again");
	else
		http_reply_text(r, 500, "this file cannot be read here");
}

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
digest_roster(struct serve_files *f, int fd, const struct fsat_stat *st,
    struct digest *out, struct err *e)
{
	int rc;

	if (f->has_roster && same_file(&f->roster_id, st)) {
		*out = f->roster_digest;
		return 0;
	}
	rc = digest_of_fd(fd, LIMIT_ROSTER_BYTES, out, NULL, e);
	if (rc != 0)
		return rc;
	f->has_roster = true;
	f->roster_id = *st;
	f->roster_digest = *out;
	return 0;
}

/* A tag names bytes.  Those of an object are one of many frames that hold
 * the content, so its tag says which. */
static int
make_tag(struct serve_files *f, const struct serve_path *path, int fd,
    const struct fsat_stat *st, char tag[TAG_BYTES], struct err *e)
{
	struct digest d = path->digest;
	char hex[DIGEST_HEX];
	int rc = 0;

	if (path->kind == SERVE_ROOT)
		rc = digest_of_fd(fd, LIMIT_ROOT_BYTES, &d, NULL, e);
	else if (path->kind == SERVE_ROSTER)
		rc = digest_roster(f, fd, st, &d, e);
	if (rc != 0)
		return rc;
	digest_hex(&d, hex);
	if (path->kind == SERVE_ROOT || path->kind == SERVE_ROSTER)
		statement_etag(&d, tag);
	else if (path->kind == SERVE_OBJECT)
		(void)snprintf(tag, TAG_BYTES,
		    "\"%.32s-%" PRIx64 "-%" PRIx64 "\"", hex, st->size_bytes,
		    (uint64_t)st->mtime.tv_sec * 1000000000 +
		        (uint64_t)st->mtime.tv_nsec);
	else
		(void)snprintf(tag, TAG_BYTES, "\"%s\"", hex);
	return 0;
}

/* If-Range must match as a whole and strongly; a date in it never does, for
 * no Last-Modified is sent. */
static const char *
range_of(const struct http_request *r, const char *tag)
{
	const char *if_range = http_request_header(r, "if-range");

	if (http_request_method(r) != HTTP_GET)
		return NULL;
	if (if_range != NULL && strcmp(if_range, tag) != 0)
		return NULL;
	return http_request_header(r, "range");
}

/* fd is owned. */
static void
reply_part(struct http_request *r, int fd, uint64_t size, const char *tag)
{
	uint64_t first = 0, len = size;
	char text[80];

	switch (serve_range_parse(range_of(r, tag), size, &first, &len)) {
	case SERVE_RANGE_WHOLE:
		http_reply_file(r, 200, fd, 0, size);
		break;
	case SERVE_RANGE_PART:
		(void)snprintf(text, sizeof(text),
		    "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, first,
		    first + len - 1, size);
		http_reply_header(r, "Content-Range", text);
		http_reply_file(r, 206, fd, first, len);
		break;
	case SERVE_RANGE_UNSATISFIABLE:
		close(fd);
		(void)snprintf(text, sizeof(text), "bytes */%" PRIu64, size);
		http_reply_header(r, "Content-Range", text);
		http_reply(r, 416, NULL, NULL, 0);
		break;
	}
}

/* fd is owned. */
static void
reply_open_file(struct http_request *r, const struct serve_path *path, int fd,
    uint64_t size, const char *tag)
{
	bool text = path->kind == SERVE_ROOT || path->kind == SERVE_ROSTER ||
	    path->kind == SERVE_RELEASE;

	http_reply_header(r, "ETag", tag);
	http_reply_header(r, "Cache-Control",
	    serve_kind_is_immutable(path->kind) ? IMMUTABLE : "no-cache");
	if (serve_tag_listed(http_request_header(r, "if-none-match"), tag)) {
		close(fd);
		http_reply(r, 304, NULL, NULL, 0);
		return;
	}
	http_reply_header(r, "Content-Type",
	    text ? "text/plain" : "application/octet-stream");
	http_reply_header(r, "Accept-Ranges", "bytes");
	reply_part(r, fd, size, tag);
}

void
serve_files_handle(struct serve_files *f, struct http_request *r,
    const struct serve_path *path)
{
	struct err e = ERR_INIT;
	char tag[TAG_BYTES];
	struct fsat_stat st;
	int fd = -1, rc = fsat_open_stat(f->repo, path->file, &fd, &st, &e);

	if (rc == 0)
		rc = make_tag(f, path, fd, &st, tag, &e);
	if (rc == 0) {
		reply_open_file(r, path, fd, st.size_bytes, tag);
		return;
	}
	if (fd >= 0)
		close(fd);
	serve_files_failed(f->slot, r, &e);
}
