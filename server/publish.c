/* The flow of a publication: trees, release, roster, head. */
#include "server/publish.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/publish_impl.h"

#define QUEUE_DEPTH 128

static void
close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* All but the new stat cache, which waits for the head. */
static void
tree_close(struct publish_tree *t)
{
	publish_diff_forget(t);
	publish_forget_originals(t);
	close_fd(&t->dir);
	close_fd(&t->text_fd);
	close_fd(&t->was_fd);
	t->was_begun = false;
	close_fd(&t->spool_fd);
	t->spool_bytes = 0;
	t->manifest_delta = (struct publish_spooled){ 0 };
}

/* As before the scan. */
static void
tree_again(struct publish_tree *t)
{
	tree_close(t);
	memset(t->result->changes, 0, sizeof(t->result->changes));
	repo_temp_discard(t->p->o->repo, &t->cache);
}

static int
scan_and_compare(struct publish_tree *t, bool use_cache, struct err *e)
{
	int ret = publish_scan(t, use_cache, e);
	int done = pool_wait(t->p->pool, ret == 0 ? e : NULL);

	/* The tools of the scan are large. */
	publish_kits_free(t->p);
	if (ret == 0)
		ret = done;
	return ret == 0 ? publish_diff(t, e) : ret;
}

static int
tree_read(struct publish_tree *t, struct err *e)
{
	int ret = scan_and_compare(t, !t->p->options->full, e);

	if (ret == 0 || !t->cache_is_wrong)
		return ret;
	tree_again(t);
	return scan_and_compare(t, false, e);
}

/* A pool_fn: beside the packing, which is one thread's. */
static int
put_manifest(void *arg, struct err *e)
{
	return publish_put_manifest(arg, e);
}

static int
tree_write(struct publish_tree *t, struct err *e)
{
	int ret = 0, written;

	if (t->was != NULL && digest_equal(&t->was->manifest, &t->t->manifest))
		return 0;
	if (t->was != NULL)
		ret = publish_match(t, e);
	if (ret == 0 && t->was != NULL)
		ret = publish_deltas(t, e);
	if (ret == 0)
		pool_submit(t->p->pool, put_manifest, t);
	if (ret == 0 && t->was != NULL)
		ret = publish_put_data(t, e);
	written = pool_wait(t->p->pool, ret == 0 ? e : NULL);
	if (ret == 0)
		ret = written;
	return ret == 0 ? 0 : err_prefix(e, "transcript %s", t->t->name);
}

static void
tree_init(struct publish *p, size_t i)
{
	struct publish_tree *t = &p->trees[i];

	t->p = p;
	t->source = &p->options->file->sources[i];
	t->t = &p->now.transcripts[i];
	t->result = &p->result->transcripts[i];
	t->dir = t->text_fd = t->was_fd = t->spool_fd = t->cache.fd = -1;
	memcpy(t->result->name, t->t->name, sizeof(t->result->name));
	if (p->has_head)
		t->was = release_find_transcript(&p->was, t->t->name);
}

static int
run_trees(struct publish *p, struct err *e)
{
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < p->now.transcript_count; i++) {
		struct publish_tree *t = &p->trees[i];

		ret = tree_read(t, e);
		if (ret == 0 && !p->options->noop)
			ret = tree_write(t, e);
		tree_close(t);
	}
	return ret;
}

/* What went with a whole transcript is told as its top. */
static void
tell_dropped(const struct publish *p)
{
	const struct publish_options *o = p->options;

	for (size_t i = 0; i < p->was.transcript_count; i++) {
		const char *name = p->was.transcripts[i].name;

		if (o->change != NULL &&
		    release_find_transcript(&p->now, name) == NULL)
			o->change(o->arg, name, PUBLISH_REMOVED, ".");
	}
}

static int
find_was(struct publish *p, struct err *e)
{
	const struct publish_options *o = p->options;
	uint64_t serial;
	int ret = origin_head(p->o, o->channel, &p->head, e);

	p->has_head = ret == 0;
	if (ret == 0)
		ret = origin_release_of(p->o, &p->head, &p->was, e);
	else if (ret == ERR_NOT_FOUND)
		ret = 0;
	if (ret != 0)
		return ret;
	serial = p->has_head ? p->head.serial : 0;
	if (o->expects && o->expect != serial)
		return err_set(e, ERR_CONFLICT,
		    "channel %s is at serial %llu and not %llu", o->channel,
		    (unsigned long long)serial, (unsigned long long)o->expect);
	return 0;
}

static int
check_keys(const struct publish *p, struct err *e)
{
	const struct publish_options *o = p->options;
	int ret;

	if (o->noop)
		return 0;
	ret = origin_check_key(p->o, ROOT_ROLE_RELEASE, o->release_key, e);
	if (ret == 0 && !roster_has_channel(&p->o->roster, o->channel))
		ret =
		    origin_check_key(p->o, ROOT_ROLE_ROSTER, o->release_key, e);
	if (ret == 0)
		ret = origin_check_key(p->o, ROOT_ROLE_HEAD, o->head_key, e);
	return ret;
}

static int
copy_text(const char *text, char **out, struct err *e)
{
	*out = strdup(text == NULL ? "" : text);
	return *out != NULL ? 0 : err_memory(e);
}

/* A promoted repository may have seen a release of a channel of which it has
 * none. */
static int
start_serial(struct publish *p, struct err *e)
{
	struct err why = ERR_INIT;
	struct head top;
	uint64_t highest = 0;
	int ret =
	    origin_highest(p->o, p->options->channel, &top, &highest, &why);

	if (ret != 0 && ret != ERR_NOT_FOUND) {
		*e = why;
		return ret;
	}
	p->now.serial = highest + 1;
	p->now.has_previous = highest > 0 && top.serial == highest;
	if (p->now.has_previous)
		p->now.previous = top.release;
	return 0;
}

/* The release to be, as far as the file and the command line say it.  What is
 * the file's stays the file's. */
static int
start_release(struct publish *p, struct err *e)
{
	const struct publish_options *o = p->options;
	const struct release *file = &o->file->release;
	struct release *now = &p->now;
	size_t n = file->transcript_count;
	int ret;

	*now = *file;
	now->author = now->message = now->source = NULL;
	now->transcripts = calloc(n + 1, sizeof(*now->transcripts));
	p->trees = calloc(n + 1, sizeof(*p->trees));
	p->result->transcripts = calloc(n + 1, sizeof(*p->result->transcripts));
	if (now->transcripts == NULL || p->trees == NULL ||
	    p->result->transcripts == NULL)
		return err_memory(e);
	memcpy(
	    now->transcripts, file->transcripts, n * sizeof(*now->transcripts));
	p->result->count = n;
	(void)snprintf(now->channel, sizeof(now->channel), "%s", o->channel);
	now->created = p->started.tv_sec;
	ret = start_serial(p, e);
	if (ret == 0)
		ret = copy_text(o->author, &now->author, e);
	if (ret == 0)
		ret = copy_text(o->message, &now->message, e);
	if (ret == 0)
		ret = copy_text(o->source, &now->source, e);
	for (size_t i = 0; ret == 0 && i < n; i++)
		tree_init(p, i);
	return ret;
}

/* What clients act on, without what tells releases apart. */
static int
write_substance(struct buf *text, const struct release *r, struct err *e)
{
	struct release bare = *r;

	bare.serial = 1;
	bare.has_previous = false;
	bare.created = 0;
	bare.author = bare.message = bare.source = NULL;
	bare.transcripts =
	    calloc(r->transcript_count + 1, sizeof(*bare.transcripts));
	if (bare.transcripts == NULL)
		return err_memory(e);
	for (size_t i = 0; i < r->transcript_count; i++) {
		bare.transcripts[i] = r->transcripts[i];
		bare.transcripts[i].has_data = false;
	}
	release_write(text, &bare);
	free(bare.transcripts);
	return buf_check(text, "release", e);
}

static int
find_difference(struct publish *p, struct err *e)
{
	struct buf was, now;
	int ret;

	buf_init(&was, LIMIT_RELEASE_BYTES);
	buf_init(&now, LIMIT_RELEASE_BYTES);
	ret = write_substance(&now, &p->now, e);
	if (ret == 0 && p->has_head)
		ret = write_substance(&was, &p->was, e);
	p->result->differs =
	    was.len != now.len || memcmp(was.data, now.data, now.len) != 0;
	buf_release(&was);
	buf_release(&now);
	return ret;
}

/* Nobody changes a head while we hold the lock, but for those who do not care
 * about locks. */
static int
check_head(struct publish *p, struct err *e)
{
	struct head head;
	int ret = origin_head(p->o, p->options->channel, &head, e);

	if (ret == ERR_NOT_FOUND && !p->has_head)
		return 0;
	if (ret == 0 &&
	    (!p->has_head || head.serial != p->head.serial ||
	        !digest_equal(&head.release, &p->head.release)))
		return err_set(e, ERR_CONFLICT,
		    "channel %s: another release was published meanwhile",
		    p->options->channel);
	return ret;
}

static int
open_channel(struct publish *p, struct err *e)
{
	const struct publish_options *o = p->options;
	int ret;

	if (roster_has_channel(&p->o->roster, o->channel))
		return 0;
	p->result->is_new_channel = true;
	ret = roster_add_channel(&p->o->roster, o->channel, e);
	if (ret == 0)
		ret = origin_put_roster(p->o, o->release_key, e);
	return ret;
}

static int
put_release(struct publish *p, struct err *e)
{
	const struct publish_options *o = p->options;
	struct head head = { .serial = 0 };
	int ret;

	progress_begin(o->progress, "writing to disk", "");
	ret = origin_put_release(p->o, o->release_key, &p->now, &head, e);
	if (ret == 0)
		ret = check_head(p, e);
	if (ret == 0)
		ret = open_channel(p, e);
	if (ret == 0)
		ret =
		    origin_put_head(p->o, o->head_key, &head, o->lifetime_s, e);
	if (ret != 0)
		return ret;
	p->result->published = true;
	p->result->serial = head.serial;
	p->result->release = head.release;
	return 0;
}

/* Contents that --full found missing are stored without a new release. */
static int
sync_objects(struct publish *p, struct err *e)
{
	for (size_t i = 0; i < p->result->count; i++)
		if (p->result->transcripts[i].new_objects > 0)
			return repo_sync(p->o->repo, e);
	return 0;
}

static int
finish(struct publish *p, struct err *e)
{
	const struct publish_options *o = p->options;
	size_t signed_again = 0;
	int ret = find_difference(p, e);

	if (ret != 0 || o->noop)
		return ret;
	ret = p->result->differs ? put_release(p, e) : sync_objects(p, e);
	if (ret != 0)
		return ret;
	for (size_t i = 0; i < p->now.transcript_count; i++)
		publish_keep_cache(&p->trees[i]);
	return origin_refresh(
	    p->o, o->head_key, o->lifetime_s, true, &signed_again, e);
}

static int
run(struct publish *p, struct err *e)
{
	int ret;

	clock_gettime(CLOCK_REALTIME, &p->started);
	ret = find_was(p, e);
	if (ret == 0)
		ret = check_keys(p, e);
	if (ret == 0)
		ret = start_release(p, e);
	if (ret != 0)
		return ret;
	p->result->serial = p->has_head ? p->head.serial : 0;
	if (p->has_head)
		p->result->release = p->head.release;
	if (!p->options->noop)
		ret = repo_clean(p->o->repo, e);
	if (ret == 0)
		ret = pool_new(pool_cpus(), QUEUE_DEPTH, &p->pool, e);
	if (ret == 0)
		ret = run_trees(p, e);
	if (ret == 0)
		tell_dropped(p);
	if (ret == 0)
		ret = publish_actions(p, e);
	return ret == 0 ? finish(p, e) : ret;
}

static void
publish_release(struct publish *p)
{
	pool_free(p->pool);
	publish_kits_free(p);
	for (size_t i = 0; p->trees != NULL && i < p->now.transcript_count;
	     i++) {
		if (p->trees[i].p == NULL)
			continue;
		tree_close(&p->trees[i]);
		repo_temp_discard(p->o->repo, &p->trees[i].cache);
	}
	free(p->trees);
	free(p->now.transcripts);
	free(p->now.author);
	free(p->now.message);
	free(p->now.source);
	release_release(&p->was);
	pthread_mutex_destroy(&p->lock);
	pthread_mutex_destroy(&p->far);
}

int
publish_run(struct origin *o, const struct publish_options *options,
    struct publish_result *out, struct err *e)
{
	struct publish_result result = { .published = false };
	struct publish p = { .o = o, .options = options, .result = &result };
	int ret;

	pthread_mutex_init(&p.lock, NULL);
	pthread_mutex_init(&p.far, NULL);
	ret = run(&p, e);
	publish_release(&p);
	progress_end(options->progress);
	if (ret == 0)
		*out = result;
	else
		free(result.transcripts);
	return ret;
}
