/* The stat cache after a run; runs in the applier. */
#include "client/cache.h"

#include <unistd.h>

#include "client/tree.h"
#include "common/dirstack.h"
#include "common/fsat.h"

#define CACHE_NAME "cache"
#define CACHE_TEMP "cache.new"
#define NAME_BYTES (sizeof(CACHE_NAME) + 17)
/* File systems stamp with the kernel's tick; so old a stamp is settled. */
#define GRAIN_NS 20000000L

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

/* Waits until everything stamped so far is older than the clock's grain, and
 * says from when on a stamp is in doubt.  What is recorded was synced before,
 * so nothing but the grain is. */
static void
settle(struct timespec *started)
{
	const struct timespec grain = { 0, GRAIN_NS };

	nanosleep(&grain, NULL);
	clock_gettime(CLOCK_REALTIME, started);
	started->tv_sec += STATCACHE_SLACK_S;
	started->tv_nsec -= GRAIN_NS / 2;
	if (started->tv_nsec < 0) {
		started->tv_nsec += 1000000000L;
		started->tv_sec--;
	}
}

static int
add_entry(struct dirstack *dirs, struct statcache_writer *w,
    const struct manifest_entry *m, struct err *e)
{
	struct statcache_record record;
	struct err mine = ERR_INIT;
	struct fsat_stat st;
	const char *name;
	int dir, rc;

	rc = dirstack_at(dirs, m->path, &dir, &name, &mine);
	if (rc == 0)
		rc = fsat_stat(dir, name, &st, &mine);
	if (rc != 0)
		return 0; /* gone meanwhile: the next run will see */
	/* Changed since it was made: not what the manifest says. */
	if (m->type == MANIFEST_FILE &&
	    (!S_ISREG(st.mode) || st.size_bytes != m->size_bytes ||
	        st.mtime.tv_sec != m->mtime.tv_sec ||
	        st.mtime.tv_nsec != m->mtime.tv_nsec))
		return 0;
	statcache_record_init(&record, m->path, &st);
	if (m->type == MANIFEST_FILE)
		record.digest = m->digest;
	record.xattrs = m->xattrs;
	return statcache_writer_add(w, &record, e);
}

static int
write_entries(struct session *s, struct tree *t, struct statcache_writer *w,
    struct err *e)
{
	const struct layer_entry *entry;
	struct dirstack *dirs = NULL;
	int rc;

	if ((rc = dirstack_new(s->root, &dirs, e)) != 0)
		return rc;
	while (
	    (rc = layer_next(tree_layer(t), &entry, e)) == 0 && entry != NULL)
		if (!entry->implied && entry->m.type != MANIFEST_HARDLINK &&
		    (rc = add_entry(dirs, w, &entry->m, e)) != 0)
			break;
	dirstack_free(dirs);
	return rc;
}

static int
write_file(struct session *s, struct tree *t, int fd, struct err *e)
{
	struct statcache_writer *w = NULL;
	struct timespec started;
	int rc;

	settle(&started);
	rc = statcache_writer_new(fd, &started, &w, e);
	if (rc == 0)
		rc = write_entries(s, t, w, e);
	if (rc == 0)
		rc = statcache_writer_end(w, e);
	statcache_writer_free(w);
	return rc;
}

int
cache_write(struct session *s, const struct release *release,
    const struct release_profile *profile, struct err *e)
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
		rc = write_file(s, t, fd, e);
	if (rc == 0)
		rc = fsat_close(&fd, CACHE_TEMP, e);
	if (rc == 0)
		rc = fsat_rename(dir, CACHE_TEMP, dir, name, e);
	if (fd >= 0)
		close(fd);
	tree_free(t);
	return rc != 0 ? err_prefix(e, "stat cache") : 0;
}
