/* The stat cache after a run; runs in the applier. */
#include "client/cache.h"

#include <unistd.h>

#include "client/tree.h"
#include "common/clock.h"
#include "common/dirstack.h"
#include "common/fsat.h"
#include "transcripts/compare_ahead.h"

#define CACHE_NAME   "cache"
#define CACHE_TEMP   "cache.new"
#define NAME_BYTES   (sizeof(CACHE_NAME) + 17)
#define GRAIN_MAX_NS 20000000L /* two ticks of the slowest */

/* "cache", or with a digest of what is waived behind it. */
static void
name_for(const char *waived, char name[NAME_BYTES])
{
	char hex[DIGEST_HEX];
	struct digest sum;

	(void)snprintf(name, NAME_BYTES, "%s", CACHE_NAME);
	if (waived == NULL)
		return;
	digest_of(waived, strlen(waived), &sum);
	digest_hex(&sum, hex);
	(void)snprintf(name, NAME_BYTES, "%s-%.16s", CACHE_NAME, hex);
}

int
cache_open(
    const struct state *s, const char *waived, struct cache *out, struct err *e)
{
	struct err mine = ERR_INIT;
	char name[NAME_BYTES];
	int rc;

	name_for(waived, name);
	out->fd = -1;
	out->reader = NULL;
	rc = fsat_open_file(s->dir, name, &out->fd, &mine);
	if (rc == 0)
		rc = statcache_reader_new(out->fd, &out->reader, &mine);
	/* Lost or damaged, it costs time and nothing else. */
	if (rc == 0 || rc == ERR_NOT_FOUND || rc == ERR_FORMAT)
		return 0;
	cache_close(out);
	*e = mine;
	return rc;
}

void
cache_close(struct cache *c)
{
	statcache_reader_free(c->reader);
	if (c->fd >= 0)
		close(c->fd);
	c->reader = NULL;
	c->fd = -1;
}

/* File systems stamp with the kernel's tick; so old a stamp is settled. */
static long
grain_ns(void)
{
	struct timespec tick;

	return clock_getres(CLOCK_REALTIME_COARSE, &tick) == 0 &&
	        tick.tv_sec == 0 && tick.tv_nsec < GRAIN_MAX_NS / 2
	    ? 2 * tick.tv_nsec
	    : GRAIN_MAX_NS;
}

/* Waits until everything that a commit stamped is older than the clock's grain,
 * and says from when on a stamp is in doubt.  What is recorded was synced
 * before, so nothing but the grain is. */
static void
settle(const struct session *s, struct timespec *started)
{
	const long grain = grain_ns();
	double passed_s =
	    s->changed.tv_sec != 0 ? clock_seconds_since(&s->changed) : 0;
	struct timespec left = { 0, grain - (long)(passed_s * 1e9) };

	if (passed_s < (double)grain / 1e9)
		nanosleep(&left, NULL);
	clock_gettime(CLOCK_REALTIME, started);
	started->tv_sec += STATCACHE_SLACK_S;
	started->tv_nsec -= grain / 2;
	if (started->tv_nsec < 0) {
		started->tv_nsec += 1000000000L;
		started->tv_sec--;
	}
}

struct writing {
	struct statcache_writer *out;
	struct dirstack *dirs;
	struct cache before; /* without a reader: each is looked at */
	const struct plan *changed;
	size_t next; /* item of it that is not passed yet */
};

/* Whether it is a file that was not touched. */
static bool
is_as_before(struct writing *w, const struct manifest_entry *m)
{
	const struct plan *p = w->changed;
	int order = 1;

	while (w->next < p->item_count &&
	    (order = compare_paths(p->items[w->next].path, m->path)) < 0)
		w->next++;
	return m->type == MANIFEST_FILE &&
	    (w->next == p->item_count || order > 0);
}

/* Copies the record of before, if there is one for what the manifest says. */
static int
add_known(struct writing *w, const struct manifest_entry *m, bool *added,
    struct err *e)
{
	const struct statcache_record *r = NULL;
	struct err ignored = ERR_INIT;

	*added = false;
	if (w->before.reader == NULL || !is_as_before(w, m))
		return 0;
	if (statcache_reader_settled(w->before.reader, m->path, &r, &ignored) !=
	    0)
		cache_close(&w->before); /* damaged: of no use */
	if (r == NULL || !digest_equal(&r->digest, &m->digest) ||
	    r->size_bytes != m->size_bytes ||
	    r->mtime.tv_sec != m->mtime.tv_sec ||
	    r->mtime.tv_nsec != m->mtime.tv_nsec ||
	    r->xattrs.len != m->xattrs.len ||
	    memcmp(r->xattrs.text, m->xattrs.text, m->xattrs.len) != 0)
		return 0;
	*added = true;
	return statcache_writer_add(w->out, r, e);
}

static int
add_seen(struct writing *w, const struct manifest_entry *m,
    const struct fsat_stat *st, struct err *e)
{
	struct statcache_record record;

	/* Changed since it was made: not what the manifest says. */
	if (m->type == MANIFEST_FILE &&
	    (!S_ISREG(st->mode) || st->size_bytes != m->size_bytes ||
	        st->mtime.tv_sec != m->mtime.tv_sec ||
	        st->mtime.tv_nsec != m->mtime.tv_nsec))
		return 0;
	statcache_record_init(&record, m->path, st);
	if (m->type == MANIFEST_FILE)
		record.digest = m->digest;
	record.xattrs = m->xattrs;
	return statcache_writer_add(w->out, &record, e);
}

static int
look_and_add(struct writing *w, const struct manifest_entry *m, struct err *e)
{
	struct err ignored = ERR_INIT;
	struct fsat_stat st;
	const char *name;
	int dir;

	if (dirstack_at(w->dirs, m->path, &dir, &name, &ignored) != 0 ||
	    fsat_stat(dir, name, &st, &ignored) != 0)
		return 0; /* gone meanwhile: the next run will see */
	return add_seen(w, m, &st, e);
}

static bool
is_recorded(const struct layer_entry *entry)
{
	return !entry->implied && entry->m.type != MANIFEST_HARDLINK;
}

/* Each is looked at, ahead. */
static int
write_all(struct writing *w, int root, struct tree *t, struct err *e)
{
	struct compare_ahead *ahead;
	const struct compare_seen *seen;
	int rc = compare_ahead_new(tree_layer(t), root, &ahead, e);

	if (rc != 0)
		return rc;
	while (rc == 0 && (rc = compare_ahead_next(ahead, &seen, e)) == 0 &&
	    seen != NULL)
		if (seen->is_seen && is_recorded(&seen->entry))
			rc = add_seen(w, &seen->entry.m, &seen->st, e);
	compare_ahead_free(ahead);
	return rc;
}

/* What was not changed is as the cache before has it. */
static int
write_changed(struct writing *w, struct tree *t, struct err *e)
{
	const struct layer_entry *entry;
	bool added;
	int rc;

	while (
	    (rc = layer_next(tree_layer(t), &entry, e)) == 0 && entry != NULL) {
		if (!is_recorded(entry))
			continue;
		rc = add_known(w, &entry->m, &added, e);
		if (rc == 0 && !added)
			rc = look_and_add(w, &entry->m, e);
		if (rc != 0)
			break;
	}
	return rc;
}

static int
write_file(struct session *s, struct tree *t, int fd,
    const struct plan *changed, struct err *e)
{
	struct writing w = { .before = { -1, NULL }, .changed = changed };
	struct timespec started;
	int rc;

	settle(s, &started);
	rc = dirstack_new(s->root, &w.dirs, e);
	if (rc == 0 && changed != NULL)
		rc = cache_open(
		    &s->state, s->settings->ignore_xattrs, &w.before, e);
	if (rc == 0)
		rc = statcache_writer_new(fd, &started, &w.out, e);
	if (rc == 0)
		rc = w.before.reader == NULL ? write_all(&w, s->root, t, e)
		                             : write_changed(&w, t, e);
	if (rc == 0)
		rc = statcache_writer_end(w.out, e);
	statcache_writer_free(w.out);
	cache_close(&w.before);
	dirstack_free(w.dirs);
	return rc;
}

int
cache_write(struct session *s, const struct release *release,
    const struct release_profile *profile, const struct plan *changed,
    struct err *e)
{
	int dir = s->state.dir, fd = -1, rc;
	struct err ignored = ERR_INIT;
	struct tree *t = NULL;
	char name[NAME_BYTES];

	name_for(s->settings->ignore_xattrs, name);
	if (fsat_unlink(dir, CACHE_TEMP, &ignored) != 0)
		err_clear(&ignored); /* mostly there is none */
	rc = tree_open(&s->state, release, profile, &t, e);
	if (rc == 0)
		rc = fsat_create(dir, CACHE_TEMP, 0600, &fd, e);
	if (rc == 0)
		rc = write_file(s, t, fd, changed, e);
	if (rc == 0)
		rc = fsat_close(&fd, CACHE_TEMP, e);
	if (rc == 0)
		rc = fsat_rename(dir, CACHE_TEMP, dir, name, e);
	if (fd >= 0)
		close(fd);
	tree_free(t);
	return rc != 0 ? err_prefix(e, "stat cache") : 0;
}
