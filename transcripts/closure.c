/* All that releases need; runs in the keeper and in peciactl. */
#include "transcripts/closure.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "transcripts/manifest.h"

#define BATCH_MIN ((size_t)65536)

/* What is not yet in the set, and may be here twice. */
struct wanted {
	struct digest digest;
	uint64_t size_bytes;
	bool is_object;
};

struct closure {
	struct repo *repo;
	uint64_t *keys; /* sorted, unique */
	size_t count;
	struct wanted *batch;
	size_t batch_count, batch_room;
	const struct closure_visit *visit; /* of the call under way */
};

int
closure_new(struct repo *r, struct closure **out, struct err *e)
{
	struct closure *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return err_memory(e);
	c->repo = r;
	*out = c;
	return 0;
}

void
closure_free(struct closure *c)
{
	if (c == NULL)
		return;
	free(c->keys);
	free(c->batch);
	free(c);
}

static uint64_t
key_of(const struct digest *d)
{
	uint64_t key;

	memcpy(&key, d->b, sizeof(key));
	return key;
}

/* The first that is not below the key. */
static size_t
position(const struct closure *c, uint64_t key)
{
	size_t low = 0, high = c->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (c->keys[middle] < key)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool
closure_has(const struct closure *c, const struct digest *d)
{
	uint64_t key = key_of(d);
	size_t at = position(c, key);

	return at < c->count && c->keys[at] == key;
}

size_t
closure_count(const struct closure *c)
{
	return c->count;
}

static int
by_key(const void *x, const void *y)
{
	const struct wanted *a = x, *b = y;
	uint64_t ka = key_of(&a->digest), kb = key_of(&b->digest);

	return (ka > kb) - (ka < kb);
}

/* Sorted and unique afterwards. */
static void
sort_batch(struct closure *c)
{
	size_t kept = 0;

	qsort(c->batch, c->batch_count, sizeof(*c->batch), by_key);
	for (size_t i = 1; i < c->batch_count; i++)
		if (by_key(&c->batch[i], &c->batch[kept]) != 0)
			c->batch[++kept] = c->batch[i];
	c->batch_count = kept + 1;
}

/* From the end, so that it needs no second array. */
static int
merge_batch(struct closure *c, struct err *e)
{
	size_t a = c->count, b = c->batch_count, to = a + b;
	uint64_t *keys;

	if (to > LIMIT_CLOSURE)
		return err_set(e, ERR_LIMIT,
		    "the releases need more than %llu files",
		    (unsigned long long)LIMIT_CLOSURE);
	keys = reallocarray(c->keys, to, sizeof(*keys));
	if (keys == NULL)
		return err_memory(e);
	c->keys = keys;
	c->count = to;
	while (b > 0) {
		uint64_t key = key_of(&c->batch[b - 1].digest);

		if (a > 0 && keys[a - 1] > key) {
			keys[--to] = keys[--a];
		} else {
			keys[--to] = key;
			b--;
		}
	}
	return 0;
}

static int
flush(struct closure *c, struct err *e)
{
	int ret = 0;

	if (c->batch_count == 0)
		return 0;
	sort_batch(c);
	for (size_t i = 0; ret == 0 && i < c->batch_count; i++)
		if (c->visit != NULL && c->batch[i].is_object)
			ret = c->visit->object(c->visit->arg,
			    &c->batch[i].digest, c->batch[i].size_bytes, e);
	if (ret == 0)
		ret = merge_batch(c, e);
	c->batch_count = 0;
	return ret;
}

static int
make_room(struct closure *c, struct err *e)
{
	size_t room = c->count / 4;
	struct wanted *batch;

	if (room < BATCH_MIN)
		room = BATCH_MIN;
	if (c->batch_count < c->batch_room)
		return 0;
	if (c->batch_count >= room)
		return flush(c, e);
	batch = reallocarray(c->batch, room, sizeof(*batch));
	if (batch == NULL)
		return err_memory(e);
	c->batch = batch;
	c->batch_room = room;
	return 0;
}

static int
want(struct closure *c, const struct digest *d, bool is_object,
    uint64_t size_bytes, struct err *e)
{
	int ret;

	if (closure_has(c, d))
		return 0;
	ret = make_room(c, e);
	if (ret == 0)
		c->batch[c->batch_count++] =
		    (struct wanted){ *d, size_bytes, is_object };
	return ret;
}

static int
want_files(struct closure *c, struct manifest_reader *reader, struct err *e)
{
	const struct manifest_entry *m = NULL;
	int ret;

	while ((ret = manifest_reader_next(reader, &m, e)) == 0 && m != NULL)
		if (m->type == MANIFEST_FILE &&
		    (ret = want(c, &m->digest, true, m->size_bytes, e)) != 0)
			break;
	return ret;
}

/* A manifest that a bit flip made shorter must not pass for all of it. */
static int
want_objects(struct closure *c, const struct release_transcript *t,
    unsigned *absent, struct err *e)
{
	struct manifest_reader *reader = NULL;
	char path[REPO_PATH_BYTES];
	struct digest got;
	uint64_t text_bytes;
	int fd = -1, ret;

	repo_path_manifest(path, &t->manifest);
	ret = repo_open_file(c->repo, path, &fd, NULL, e);
	if (ret == ERR_NOT_FOUND) {
		++*absent;
		err_clear(e);
		return 0;
	}
	if (ret == 0)
		ret = manifest_reader_open_gzip(
		    fd, t->manifest_bytes, &reader, e);
	if (ret == 0)
		ret = want_files(c, reader, e);
	if (ret == 0) {
		manifest_reader_digest(reader, &got, &text_bytes);
		if (!digest_equal(&got, &t->manifest))
			ret = err_set(e, ERR_VERIFY, "digest is not its name");
	}
	manifest_reader_free(reader);
	if (fd >= 0)
		close(fd);
	return ret == 0 ? 0 : err_prefix(e, "%s", path);
}

int
closure_add(struct closure *c, const struct release *release,
    enum closure_depth depth, const struct closure_visit *visit,
    unsigned *absent, struct err *e)
{
	int ret = 0;

	*absent = 0;
	c->visit = visit;
	for (size_t i = 0; ret == 0 && i < release->transcript_count; i++) {
		const struct release_transcript *t = &release->transcripts[i];

		ret = want(c, &t->manifest, false, 0, e);
		if (ret == 0 && t->has_data)
			ret = want(c, &t->data, false, 0, e);
		if (ret == 0 && depth == CLOSURE_WHOLE)
			ret = want_objects(c, t, absent, e);
	}
	if (ret == 0)
		ret = flush(c, e);
	c->visit = NULL;
	return ret;
}
