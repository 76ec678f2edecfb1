/* The objects of a release, as frames; runs in the replicator. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/pull_impl.h"

/* Objects above this come one by one into a file that a cut transfer goes on
 * with; below it a cut costs at most this much again. */
#define LARGE_BYTES 8388608
#define FRAME_SLACK 1024

/* The upstream's first failing; what else it has is taken all the same. */
static void
note_failing(struct pull *p, int code, const char *why)
{
	if (p->failing.code == 0)
		(void)err_set(&p->failing, code, "%s", why);
}

static bool
is_upstreams_fault(int rc)
{
	return rc == ERR_VERIFY || rc == ERR_FORMAT || rc == ERR_LIMIT;
}

int
pull_pass_over_lack(
    struct pull *p, int rc, const struct err *why, struct err *e)
{
	if (rc == 0)
		return 0;
	if (is_upstreams_fault(rc) || rc == ERR_NOT_FOUND) {
		note_failing(p, rc, why->msg);
		return 0;
	}
	*e = *why;
	return rc;
}

static int
frame_begin(void *arg, const struct fetch_want *want, struct err *e)
{
	struct pull *p = arg;

	p->spoiled = false;
	return object_begin(
	    p->writer, OBJECT_FRAME, &want->digest, want->size_bytes, e);
}

/* An error of this side, or 0 after noting one of the upstream's. */
static int
judge_frame(struct pull *p, int rc, const struct err *why, struct err *e)
{
	if (rc == 0)
		return 0;
	p->spoiled = true;
	if (is_upstreams_fault(rc)) {
		note_failing(p, rc, why->msg);
		return 0;
	}
	*e = *why;
	return rc;
}

static int
frame_data(void *arg, const void *data, size_t len, struct err *e)
{
	struct err why = ERR_INIT;
	struct pull *p = arg;

	return p->spoiled
	    ? 0
	    : judge_frame(p, object_feed(p->writer, data, len, &why), &why, e);
}

static int
frame_end(
    void *arg, const struct fetch_want *want, const char *bad, struct err *e)
{
	struct err why = ERR_INIT;
	char hex[DIGEST_HEX];
	struct pull *p = arg;
	int rc;

	if (p->spoiled)
		return 0;
	digest_hex(&want->digest, hex);
	if (bad != NULL) {
		object_cancel(p->writer);
		rc = err_set(&why, ERR_VERIFY, "object %s: %s", hex, bad);
	} else {
		rc = object_end(p->writer, &why);
	}
	p->objects += rc == 0;
	return judge_frame(p, rc, &why, e);
}

static int
frame_missing(void *arg, const struct fetch_want *want, struct err *e)
{
	char hex[DIGEST_HEX], why[DIGEST_HEX + 64];

	(void)e;
	digest_hex(&want->digest, hex);
	(void)snprintf(why, sizeof(why), "object %s: upstream lacks it", hex);
	note_failing(arg, ERR_NOT_FOUND, why);
	return 0;
}

/* A large object, into a file that a cut transfer goes on with.  The frame's
 * own digest is not signed: a wrong one starts over. */
static int
pull_large(struct pull *p, const struct fetch_want *want, struct err *e)
{
	char path[REPO_PATH_BYTES], url[REPO_PATH_BYTES + 1];
	char name[REPO_PATH_BYTES];
	uint64_t have;
	int fd = -1, rc;

	repo_path_object(path, &want->digest);
	(void)snprintf(url, sizeof(url), "/%s", path);
	pull_partial_name("object", &want->digest, name);
	if ((rc = repo_partial_open(p->repo, name, &fd, &have, e)) != 0)
		return rc;
	rc = fetch_download(p->fetch, url, NULL,
	    want->size_bytes + want->size_bytes / 64 + FRAME_SLACK, fd, e);
	if (rc == 0 && lseek(fd, 0, SEEK_SET) < 0)
		rc = err_sys(e, "object");
	if (rc == 0) {
		rc = object_put_frame(
		    p->writer, fd, &want->digest, want->size_bytes, e);
		repo_partial_discard(p->repo, name);
		if (rc != 0)
			err_prefix(e, "%s", path);
	}
	close(fd);
	p->objects += rc == 0;
	return rc;
}

/* A batch of what is missing, in whatever order the manifest has it. */
struct batch {
	struct pull *p;
	size_t count;
	struct fetch_want list[LIMIT_BATCH_OBJECTS];
};

static int
want_cmp(const void *a, const void *b)
{
	const struct fetch_want *x = a, *y = b;

	return memcmp(x->digest.b, y->digest.b, DIGEST_BYTES);
}

/* Each once, and empties the batch. */
static int
pull_batch(struct batch *b, struct err *e)
{
	struct fetch_taker taker = { .form = FETCH_FRAME,
		.arg = b->p,
		.begin = frame_begin,
		.data = frame_data,
		.end = frame_end,
		.missing = frame_missing };
	size_t kept = 0;
	int rc;

	if (b->count == 0)
		return 0;
	qsort(b->list, b->count, sizeof(b->list[0]), want_cmp);
	for (size_t i = 1; i < b->count; i++)
		if (want_cmp(&b->list[i], &b->list[kept]) != 0)
			b->list[++kept] = b->list[i];
	b->count = 0;
	rc = fetch_objects(b->p->fetch, b->list, kept + 1, &taker, e);
	if (rc != 0)
		object_cancel(b->p->writer);
	return rc;
}

static int
pull_missing_file(void *arg, const struct manifest_entry *m, struct err *e)
{
	struct err why = ERR_INIT;
	struct batch *b = arg;
	struct fetch_want *want;
	bool has = false;
	int rc = repo_has_object(b->p->repo, &m->digest, &has, e);

	if (rc != 0 || has)
		return rc;
	want = &b->list[b->count];
	*want = (struct fetch_want){ .digest = m->digest,
		.size_bytes = m->size_bytes };
	if (m->size_bytes > LARGE_BYTES)
		return pull_pass_over_lack(
		    b->p, pull_large(b->p, want, &why), &why, e);
	return ++b->count == LIMIT_BATCH_OBJECTS ? pull_batch(b, e) : 0;
}

int
pull_objects(struct pull *p, const struct release_transcript *t, struct err *e)
{
	struct batch *b;
	bool have;
	int rc = pull_has_manifest(p, t, &have, e);

	if (rc != 0 || !have)
		return rc;
	if ((b = malloc(sizeof(*b))) == NULL)
		return err_memory(e);
	b->p = p;
	b->count = 0;
	rc = pull_each_file(p->repo, t, pull_missing_file, b, e);
	if (rc == 0)
		rc = pull_batch(b, e);
	free(b);
	return rc != 0 ? err_prefix(e, "transcript %s", t->name) : 0;
}
