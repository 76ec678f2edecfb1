/* From a tree to a manifest: the walk runs in the caller's thread, contents are
 * hashed, compressed and stored by the pool meanwhile. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/fsat.h"
#include "server/publish_impl.h"

#define CACHE_PATH_BYTES 160
/* Content up to this size is no work to wake a thread for. */
#define SHORT_BYTES 131072

/* One pass over a tree. */
struct pass {
	struct publish_tree *t;
	struct manifest_writer *writer;
	struct statcache_reader *was;
	struct statcache_writer *now;
	int was_fd;
};

struct content_job {
	struct publish_tree *t;
	struct scan_job *job;
};

static void
count_object(struct publish_tree *t, const struct object *o)
{
	struct publish_transcript *r = t->result;

	if (!o->stored)
		return;
	pthread_mutex_lock(&t->p->lock);
	r->new_objects++;
	r->new_bytes += o->size_bytes;
	r->stored_bytes += o->stored_bytes;
	pthread_mutex_unlock(&t->p->lock);
}

/* One read; a file that shrinks meanwhile is one that has not settled. */
static int
put(struct publish_kit *kit, struct scan_job *job, struct object *o,
    bool *settled, struct err *e)
{
	struct object_source source = { .fd = job->fd,
		.size_bytes = job->st.size_bytes,
		.likely = digest_is_zero(&job->likely) ? NULL : &job->likely };
	struct err why = ERR_INIT;
	int stored = object_put_source(kit->writer, &source, o, &why), ret;

	if (stored != 0 && stored != ERR_CHANGED) {
		*e = why;
		return err_prefix(e, "%s", job->path);
	}
	ret = scan_job_settled(job, settled, e);
	if (ret == 0 && stored != 0 && *settled) {
		*e = why;
		return err_prefix(e, "%s", job->path);
	}
	return ret;
}

/* The content that is stored must be the one that job->st is of. */
static int
store(struct publish_tree *t, struct scan_job *job, struct digest *d,
    struct err *e)
{
	struct publish_kit *kit = NULL;
	struct object o;
	bool settled = false;
	int ret = publish_kit_take(t->p, &kit, e);

	if (ret != 0)
		return ret;
	while (ret == 0 && !settled)
		ret = put(kit, job, &o, &settled, e);
	publish_kit_give(t->p, kit);
	if (ret == 0 && o.stored)
		ret = publish_keep_original(t, job, &o.digest, e);
	if (ret != 0)
		return ret;
	count_object(t, &o);
	progress_add(t->p->options->progress, 1, o.size_bytes);
	*d = o.digest;
	return 0;
}

/* A pool_fn; what goes wrong is the scan's to report. */
static int
take_content(void *arg, struct err *e)
{
	struct content_job *c = arg;
	struct publish_tree *t = c->t;
	struct digest d;
	int ret;

	if (t->p->options->noop) {
		scan_job_hash(c->job);
		progress_add(t->p->options->progress, 1, 0);
	} else {
		ret = store(t, c->job, &d, e);
		scan_job_done(c->job, &d, ret, e);
	}
	free(c);
	return 0;
}

/* A pool_fn. */
static int
open_was(void *arg, struct err *e)
{
	return publish_open_was(arg, e);
}

/* scan_options.want: the first one tells that the manifest will be another. */
static int
want(void *arg, struct scan_job *job, struct err *e)
{
	struct pass *pass = arg;
	struct content_job *c = malloc(sizeof(*c));

	if (c == NULL)
		return err_memory(e);
	if (pass->t->was != NULL && !pass->t->was_begun) {
		pass->t->was_begun = true;
		pool_submit(pass->t->p->pool, open_was, pass->t);
	}
	c->t = pass->t;
	c->job = job;
	if (job->st.size_bytes <= SHORT_BYTES)
		pool_submit_short(pass->t->p->pool, take_content, c);
	else
		pool_submit(pass->t->p->pool, take_content, c);
	return 0;
}

/* scan_options.entry */
static int
add_entry(void *arg, const struct manifest_entry *entry, struct err *e)
{
	struct pass *pass = arg;

	return manifest_writer_add(pass->writer, entry, e);
}

/* scan_options.skipped */
static void
tell_skipped(void *arg, const char *path, const char *why)
{
	const struct pass *pass = arg;
	const struct publish_options *o = pass->t->p->options;

	if (o->skipped != NULL)
		o->skipped(o->arg, pass->t->t->name, path, why);
}

/* A manifest_sink. */
static int
write_text(void *arg, const void *data, size_t len, struct err *e)
{
	struct pass *pass = arg;

	return fsat_write_all(pass->t->text_fd, data, len, e);
}

static void
cache_path(const struct publish_tree *t, char path[CACHE_PATH_BYTES])
{
	(void)snprintf(path, CACHE_PATH_BYTES, "cache/%s-%s", t->p->now.channel,
	    t->t->name);
}

/* A cache that is missing or damaged costs time and nothing else. */
static void
open_cache(struct pass *pass)
{
	char path[CACHE_PATH_BYTES];
	struct repo *r = pass->t->p->o->repo;

	cache_path(pass->t, path);
	if (repo_open_file(r, path, &pass->was_fd, NULL, NULL) != 0)
		return;
	if (statcache_reader_new(pass->was_fd, &pass->was, NULL) != 0)
		pass->was = NULL;
}

static int
start_pass(struct pass *pass, bool use_cache, struct err *e)
{
	struct publish_tree *t = pass->t;
	struct publish *p = t->p;
	int ret;

	ret = fsat_operator_dir(t->source->path, false, 0, &t->dir, e);
	if (ret == 0)
		ret = publish_scratch(p, &t->text_fd, e);
	if (ret == 0)
		ret = manifest_writer_new(write_text, pass, &pass->writer, e);
	if (ret == 0 && use_cache)
		open_cache(pass);
	if (ret != 0 || p->options->noop)
		return ret;
	ret = repo_temp_new(p->o->repo, &t->cache, e);
	if (ret == 0)
		ret = statcache_writer_new(
		    t->cache.fd, &p->started, &pass->now, e);
	return ret;
}

static int
run_pass(struct pass *pass, struct scan_totals *totals, struct err *e)
{
	const struct publish_tree *t = pass->t;
	struct scan_options options = { .dir = t->dir,
		.excludes = t->t->excludes,
		.exclude_count = t->t->exclude_count,
		.numeric_owner = t->source->numeric_owner,
		.one_file_system = t->source->one_file_system,
		.devices = t->source->devices,
		.was = pass->was,
		.now = pass->now,
		.entry = add_entry,
		.want = want,
		.skipped = tell_skipped,
		.arg = pass };

	return scan_run(&options, totals, e);
}

static int
end_pass(struct pass *pass, const struct scan_totals *scanned, struct err *e)
{
	struct publish_tree *t = pass->t;
	struct manifest_totals totals;
	int ret = manifest_writer_end(pass->writer, &totals, e);

	if (ret == 0 && pass->now != NULL)
		ret = statcache_writer_end(pass->now, e);
	if (ret == 0 && totals.text_bytes > LIMIT_MANIFEST_BYTES)
		ret = err_set(e, ERR_LIMIT,
		    "manifest of %llu bytes, %llu at most",
		    (unsigned long long)totals.text_bytes,
		    (unsigned long long)LIMIT_MANIFEST_BYTES);
	if (ret != 0)
		return ret;
	t->t->manifest = totals.digest;
	t->t->manifest_bytes = totals.text_bytes;
	t->t->entries = t->result->entries = totals.entries;
	t->t->content_bytes = t->result->content_bytes = totals.content_bytes;
	t->result->read_files = scanned->wanted;
	t->result->read_bytes = scanned->wanted_bytes;
	t->used_cache = pass->was != NULL;
	return 0;
}

static void
pass_release(struct pass *pass)
{
	manifest_writer_free(pass->writer);
	statcache_reader_free(pass->was);
	statcache_writer_free(pass->now);
	if (pass->was_fd >= 0)
		close(pass->was_fd);
}

int
publish_scan(struct publish_tree *t, bool use_cache, struct err *e)
{
	struct pass pass = { .t = t, .was_fd = -1 };
	struct scan_totals totals = { 0 };
	int ret;

	progress_begin(t->p->options->progress, "reading", t->t->name);
	ret = start_pass(&pass, use_cache, e);
	if (ret == 0)
		ret = run_pass(&pass, &totals, e);
	if (ret == 0)
		ret = end_pass(&pass, &totals, e);
	pass_release(&pass);
	return ret == 0
	    ? 0
	    : err_prefix(e, "transcript %s (%s)", t->t->name, t->source->path);
}

void
publish_keep_cache(struct publish_tree *t)
{
	char path[CACHE_PATH_BYTES];
	struct repo *r = t->p->o->repo;

	cache_path(t, path);
	if (t->cache.fd >= 0 &&
	    repo_temp_install(r, &t->cache, path, NULL) != 0)
		repo_temp_discard(r, &t->cache);
}
