/* A mirror's first content, from nearby. */
#include "server/seed.h"

#include <time.h>
#include <unistd.h>

#include "common/progress.h"
#include "server/pull.h"
#include "server/repo_trust.h"
#include "server/seed_source.h"
#include "transcripts/learn.h"

struct seeding {
	const struct seed_options *o;
	struct repo *repo;
	struct trust_store store;
	struct trust *trust;
	struct fetch *fetch;
	struct learn learn;
	struct pull pull;
	struct release
	    releases[LIMIT_CHANNELS]; /* the newest of each channel */
	size_t release_count;
	struct wants missing, bases;
	const struct wants *sought;    /* one of these two */
	uint64_t *sizes;               /* of what is sought, sorted */
	size_t size_count;             /* 0: any size may do */
	uint64_t *found, *found_bytes; /* counters of the result */
};

/* ---- what is wanted ---- */

/* The newest release of a channel; none where the upstream has no head. */
static int
learn_channel(struct seeding *s, const char *channel, struct err *e)
{
	struct release *release = &s->releases[s->release_count];
	const struct head *held;
	struct head head;
	struct buf bytes;
	bool changed;
	int rc;

	buf_init(&bytes, LIMIT_HEAD_BYTES);
	rc = learn_head(&s->learn, channel, &bytes, &changed, e);
	if (rc == ERR_NOT_FOUND) {
		err_clear(e);
		goto out;
	}
	if (rc == 0 && changed) {
		rc = learn_offer(&s->learn, channel, &bytes, &head, e);
	} else if (rc == 0) {
		rc = trust_head(s->trust, channel, &held, e);
		if (rc == 0 && held != NULL)
			head = *held;
		else if (rc == 0)
			goto out;
	}
	if (rc != 0)
		goto out;
	release_init(release);
	s->release_count++;
	if ((rc = learn_release(&s->learn, &head, release, e)) == 0 &&
	    (rc = pull_manifests(&s->pull, release, e)) == 0)
		rc = pull_missing(&s->pull, release, &s->missing, e);
out:
	buf_release(&bytes);
	return rc;
}

static void
forget_releases(struct seeding *s)
{
	for (size_t i = 0; i < s->release_count; i++)
		release_release(&s->releases[i]);
	s->release_count = 0;
	wants_release(&s->missing);
}

/* From one upstream. */
static int
learn_wanted(struct seeding *s, struct err *e)
{
	char channel[LIMIT_NAME_BYTES + 1];
	int rc;

	forget_releases(s);
	if (trust_root(s->trust) == NULL &&
	    (rc = learn_roots(&s->learn, e)) != 0)
		return rc;
	if ((rc = learn_roster(&s->learn, e)) != 0 ||
	    (rc = learn_check_server(&s->learn, NULL, e)) != 0)
		return rc;
	for (size_t i = 0; i < trust_roster(s->trust)->channel_count && rc == 0;
	     i++) {
		memcpy(channel, trust_roster(s->trust)->channels[i],
		    sizeof(channel));
		rc = learn_channel(s, channel, e);
	}
	return rc;
}

/* From the first upstream that can. */
static int
ask_upstreams(struct seeding *s, struct err *e)
{
	struct fetch_peer peer;
	struct err why = ERR_INIT, none = ERR_INIT;

	for (unsigned i = 0; i < 2 * LIMIT_CANDIDATES; i++) {
		int rc = fetch_connect(s->fetch, &peer, &none);

		if (rc == ERR_NOT_FOUND)
			break;
		err_clear(&why);
		if (rc == 0 && learn_wanted(s, &why) == 0)
			return 0;
	}
	*e = why.code != 0 ? why : none;
	return e->code;
}

/* ---- what there is ---- */

static int
size_cmp(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static bool
fits(void *arg, uint64_t size_bytes)
{
	const struct seeding *s = arg;

	return s->size_count == 0 ||
	    bsearch(&size_bytes, s->sizes, s->size_count, sizeof(*s->sizes),
	        size_cmp) != NULL;
}

/* A file that changes meanwhile is passed over. */
static int
take_file(
    void *arg, int fd, const char *name, uint64_t size_bytes, struct err *e)
{
	struct seeding *s = arg;
	struct digest digest;
	struct object o;
	uint64_t read_bytes;
	bool has = false;
	int rc;

	progress_add(s->o->progress, 1, size_bytes);
	rc = digest_of_fd(fd, size_bytes, &digest, &read_bytes, e);
	if (rc == ERR_LIMIT)
		goto changed;
	if (rc != 0 || wants_find(s->sought, &digest) == NULL)
		return rc;
	rc = repo_has_object(s->repo, &digest, &has, e);
	if (rc != 0 || has)
		return rc;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return err_sys(e, "%s", name);
	rc = object_put_file(s->pull.writer, fd, name, &o, e);
	if (rc == ERR_CHANGED)
		goto changed;
	if (rc == 0 && digest_equal(&o.digest, &digest)) {
		++*s->found;
		*s->found_bytes += size_bytes;
	}
	return rc;
changed:
	err_clear(e);
	return 0;
}

static int
walk(struct seeding *s, const struct seed_source *source, struct err *e)
{
	struct seed_files files = {
		.repo = s->repo, .fits = fits, .file = take_file, .arg = s
	};

	progress_begin(s->o->progress, "reading", s->o->source);
	return seed_source_walk(source, &files, e);
}

static uint64_t
content_bytes(const struct wants *w)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < w->count; i++)
		sum += w->list[i].size_bytes;
	return sum;
}

static int
take_wanted(struct seeding *s, const struct seed_source *source,
    struct seed_result *out, struct err *e)
{
	out->wanted = s->missing.count;
	out->wanted_bytes = content_bytes(&s->missing);
	if (s->missing.count == 0)
		return 0;
	s->sizes = calloc(s->missing.count, sizeof(*s->sizes));
	if (s->sizes == NULL)
		return err_memory(e);
	for (size_t i = 0; i < s->missing.count; i++)
		s->sizes[i] = s->missing.list[i].size_bytes;
	s->size_count = s->missing.count;
	qsort(s->sizes, s->size_count, sizeof(*s->sizes), size_cmp);
	s->sought = &s->missing;
	s->found = &out->found;
	s->found_bytes = &out->found_bytes;
	return walk(s, source, e);
}

static uint64_t
data_bytes(const struct release *r)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < r->transcript_count; i++)
		if (r->transcripts[i].has_data)
			sum += r->transcripts[i].data_bytes;
	return sum;
}

/* Old versions are worth it where the deltas are smaller than what is still
 * missing. */
static int
take_bases(struct seeding *s, const struct seed_source *source,
    struct seed_result *out, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; i < s->release_count && rc == 0; i++) {
		const struct release *r = &s->releases[i];
		struct wants left = WANTS_INIT;

		rc = pull_missing(&s->pull, r, &left, e);
		if (rc == 0 && data_bytes(r) < content_bytes(&left))
			rc = pull_bases(&s->pull, r, &left, &s->bases, e);
		wants_release(&left);
	}
	if (rc != 0 || s->bases.count == 0)
		return rc;
	s->size_count = 0;
	s->sought = &s->bases;
	s->found = &out->bases;
	s->found_bytes = &out->base_bytes;
	return walk(s, source, e);
}

/* ---- all of it ---- */

static int
open_all(struct seeding *s, const struct fetch_options *fetch, struct err *e)
{
	int rc;

	if ((rc = repo_lock(s->repo, 0, e)) != 0 ||
	    (rc = repo_clean(s->repo, e)) != 0 ||
	    (rc = trust_load(&s->store, s->o->replicate->anchor, time(NULL),
	         &s->trust, e)) != 0 ||
	    (rc = pull_init(&s->pull, s->repo, e)) != 0 ||
	    (rc = fetch_start(fetch, &s->fetch, e)) != 0)
		return rc;
	s->pull.fetch = s->fetch;
	s->learn = (struct learn){
		.trust = s->trust, .store = &s->store, .fetch = s->fetch
	};
	return learn_keys(&s->learn, e);
}

int
seed_run(const struct seed_options *options, const struct seed_source *source,
    struct seed_result *out, struct err *e)
{
	const struct replicate_options *r = options->replicate;
	struct fetch_options fetch = { .port = r->port,
		.fallbacks = r->upstreams,
		.fallback_count = r->upstream_count,
		.identity = r->identity,
		.user = r->user,
		.progress = options->progress };
	struct seeding *s = calloc(1, sizeof(*s));
	int rc;

	memset(out, 0, sizeof(*out));
	if (s == NULL)
		return err_memory(e);
	s->o = options;
	s->repo = r->repo;
	repo_trust_store(s->repo, &s->store);
	progress_begin(options->progress, "asking", "upstream");
	if ((rc = open_all(s, &fetch, e)) == 0 &&
	    (rc = ask_upstreams(s, e)) == 0) {
		out->channels = s->release_count;
		if ((rc = take_wanted(s, source, out, e)) == 0 &&
		    (rc = take_bases(s, source, out, e)) == 0)
			rc = repo_sync(s->repo, e);
	}
	progress_end(options->progress);
	fetch_stop(s->fetch);
	pull_release(&s->pull);
	trust_free(s->trust);
	forget_releases(s);
	wants_release(&s->bases);
	free(s->sizes);
	repo_unlock(s->repo);
	free(s);
	return rc;
}
