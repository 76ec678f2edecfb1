/* The network of the crash prover: a repository. */
#include "tests/prove_fetch.h"

#include <stdlib.h>
#include <unistd.h>

#include "common/fsat.h"
#include "common/gzip.h"
#include "transcripts/fetch.h"
#include "transcripts/object.h"
#include "transcripts/statement.h"

#define PIECE_BYTES ((size_t)65536)

static struct {
	struct repo *repo;
	struct digest key;
} upstream;

struct fetch {
	bool connected;
};

void
upstream_set(struct repo *repo, const struct digest *key)
{
	upstream.repo = repo;
	upstream.key = *key;
}

int
fetch_start(
    const struct fetch_options *options, struct fetch **out, struct err *e)
{
	(void)options;
	*out = calloc(1, sizeof(**out));
	return *out != NULL ? 0 : err_memory(e);
}

void
fetch_dismiss(struct fetch *f)
{
	(void)f;
}

void
fetch_stop(struct fetch *f)
{
	free(f);
}

int
fetch_set_keys(
    struct fetch *f, const struct digest *keys, size_t count, struct err *e)
{
	(void)f;
	(void)keys;
	(void)count;
	(void)e;
	return 0;
}

int
fetch_connect(struct fetch *f, struct fetch_peer *peer, struct err *e)
{
	if (f->connected)
		return err_set(e, ERR_NOT_FOUND, "there is one upstream only");
	f->connected = true;
	*peer = (struct fetch_peer){
		.source = "server", .route = "upstream", .address = "upstream"
	};
	return 0;
}

int
fetch_rewind(struct fetch *f, struct err *e)
{
	(void)e;
	f->connected = false;
	return 0;
}

static void
tag_of(const struct buf *body, char etag[128])
{
	struct digest d;

	digest_of(body->data, body->len, &d);
	statement_etag(&d, etag);
}

int
fetch_get(struct fetch *f, const struct fetch_get *get, struct buf *body,
    struct fetch_answer *answer, struct err *e)
{
	struct err mine = ERR_INIT;
	char path[256];
	int rc;

	(void)f;
	*answer = (struct fetch_answer){
		.status = 200, .key = upstream.key, .known = true
	};
	/* What is asked for besides is not there. */
	(void)snprintf(path, sizeof(path), "%.*s",
	    (int)strcspn(get->path + 1, "?"), get->path + 1);
	rc = repo_read_statement(
	    upstream.repo, path, get->max_bytes, body, &mine);
	if (rc == ERR_NOT_FOUND) {
		answer->status = 404;
		return 0;
	}
	if (rc != 0) {
		*e = mine;
		return rc;
	}
	tag_of(body, answer->etag);
	if (get->if_none_match != NULL &&
	    strcmp(get->if_none_match, answer->etag) == 0) {
		answer->status = 304;
		buf_clear(body);
	}
	return 0;
}

/* Of a daemon's line, which has no part in it. */
int
fetch_ask(struct fetch *f, const struct fetch_get *get, struct err *e)
{
	(void)f;
	return err_set(e, ERR_NET, "%s: no daemon", get->path);
}

int
fetch_take(struct fetch *f, const struct fetch_get *get, struct buf *body,
    struct fetch_answer *answer, struct err *e)
{
	(void)body;
	(void)answer;
	return fetch_ask(f, get, e);
}

int
fetch_fd(const struct fetch *f)
{
	(void)f;
	return -1;
}

pid_t
fetch_pid(const struct fetch *f)
{
	(void)f;
	return 0;
}

bool
fetch_is_borrowed(const struct fetch *f)
{
	(void)f;
	return false;
}

int
fetch_race(struct fetch *f, const struct fetch_get *gets, size_t count,
    size_t *which, struct buf *body, struct err *e)
{
	(void)f;
	(void)gets;
	(void)body;
	(void)e;
	*which = count;
	return 0;
}

int
fetch_download(struct fetch *f, const char *path, const struct digest *digest,
    uint64_t size_bytes, int fd, struct err *e)
{
	uint8_t piece[4096];
	int from = -1, rc;
	off_t have = lseek(fd, 0, SEEK_END);
	size_t got = 1;

	(void)f;
	(void)digest;
	(void)size_bytes;
	rc = repo_open_file(upstream.repo, path + 1, &from, NULL, e);
	if (rc == 0 && lseek(from, have, SEEK_SET) < 0)
		rc = err_sys(e, "%s", path);
	while (rc == 0 && got > 0) {
		rc = fsat_read_some(from, piece, sizeof(piece), &got, e);
		if (rc == 0)
			rc = fsat_write_all(fd, piece, got, e);
	}
	if (from >= 0)
		close(from);
	return rc;
}

int
fetch_text(struct fetch *f, const char *path, const struct digest *digest,
    uint64_t size_bytes, int fd, struct err *e)
{
	struct gzip_reader *gz = NULL;
	uint8_t piece[4096];
	int from = -1, rc;
	size_t got = 1;

	(void)f;
	(void)digest;
	rc = repo_open_file(upstream.repo, path + 1, &from, NULL, e);
	if (rc == 0)
		rc = gzip_reader_new(from, size_bytes, &gz, e);
	while (rc == 0 && got > 0) {
		rc = gzip_reader_read(gz, piece, sizeof(piece), &got, e);
		if (rc == 0)
			rc = fsat_write_all(fd, piece, got, e);
	}
	gzip_reader_free(gz);
	if (from >= 0)
		close(from);
	return rc;
}

static int
give_frame(
    const struct fetch_taker *taker, const struct digest *digest, struct err *e)
{
	uint8_t *piece = malloc(PIECE_BYTES);
	size_t got = 1;
	int fd = -1, rc;

	if (piece == NULL)
		return err_memory(e);
	rc = repo_open_object(upstream.repo, digest, &fd, NULL, e);
	while (rc == 0 && got > 0) {
		rc = fsat_read_some(fd, piece, PIECE_BYTES, &got, e);
		if (rc == 0 && got > 0)
			rc = taker->data(taker->arg, piece, got, e);
	}
	if (fd >= 0)
		close(fd);
	free(piece);
	return rc;
}

static int
give_content(const struct fetch_taker *taker, const struct fetch_want *want,
    struct err *e)
{
	struct object_reader *reader = NULL;
	int rc = object_reader_new(upstream.repo, &reader, e);

	if (rc == 0)
		rc = object_read(reader, &want->digest, want->size_bytes,
		    taker->data, taker->arg, e);
	object_reader_free(reader);
	return rc;
}

int
fetch_objects(struct fetch *f, const struct fetch_want *wants, size_t count,
    const struct fetch_taker *taker, struct err *e)
{
	int rc = 0;

	(void)f;
	for (size_t i = 0; i < count && rc == 0; i++) {
		rc = taker->begin(taker->arg, &wants[i], e);
		if (rc == 0)
			rc = taker->form == FETCH_FRAME
			    ? give_frame(taker, &wants[i].digest, e)
			    : give_content(taker, &wants[i], e);
		if (rc == 0)
			rc = taker->end(taker->arg, &wants[i], NULL, e);
	}
	return rc;
}

int
fetch_unpack(struct fetch *f, int fd, uint64_t size_bytes,
    const struct fetch_unpacker *unpacker, struct err *e)
{
	(void)f;
	(void)fd;
	(void)size_bytes;
	(void)unpacker;
	(void)e;
	return 0;
}

int
fetch_traffic(struct fetch *f, struct fetch_traffic *out, struct err *e)
{
	(void)f;
	(void)e;
	*out = (struct fetch_traffic){ .received = 0 };
	return 0;
}
