/* Files of the tree whose content the scan stored: a delta is made from the file
 * itself, which spares unpacking the object, as long as the file is what it was.
 * That is told as the stat cache tells it. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/publish_impl.h"
#include "transcripts/statcache.h"

/* A smaller content is unpacked as fast as its file is looked for. */
#define ORIGINAL_MIN ((uint64_t)1024 * 1024)

struct publish_original {
	struct table_node node; /* by digest */
	struct digest digest;
	struct fsat_stat st;
	char path[];
};

static uint64_t
hash_of(const struct digest *d)
{
	return table_hash(d->b, sizeof(d->b));
}

/* Changes since would show in its times. */
static bool
is_telling(const struct publish *p, const struct fsat_stat *st)
{
	return st->ctime.tv_sec < p->started.tv_sec - STATCACHE_SLACK_S;
}

int
publish_keep_original(struct publish_tree *t, const struct scan_job *job,
    const struct digest *digest, struct err *e)
{
	size_t size = strlen(job->path) + 1;
	struct publish_original *o;
	int ret;

	if (job->st.size_bytes < ORIGINAL_MIN || !is_telling(t->p, &job->st))
		return 0;
	o = malloc(sizeof(*o) + size);
	if (o == NULL)
		return err_memory(e);
	o->digest = *digest;
	o->st = job->st;
	memcpy(o->path, job->path, size);
	pthread_mutex_lock(&t->p->lock);
	ret = table_add(&t->originals, &o->node, hash_of(digest), e);
	pthread_mutex_unlock(&t->p->lock);
	if (ret != 0)
		free(o);
	return ret;
}

static const struct publish_original *
find(const struct publish_tree *t, const struct digest *d)
{
	struct table_node *n = table_find(&t->originals, hash_of(d));

	for (; n != NULL; n = table_find_next(n)) {
		struct publish_original *o = (struct publish_original *)n;

		if (digest_equal(&o->digest, d))
			return o;
	}
	return NULL;
}

static bool
is_same(const struct fsat_stat *a, const struct fsat_stat *b)
{
	return a->dev == b->dev && a->ino == b->ino && scan_is_same(a, b);
}

bool
publish_open_original(const struct publish_tree *t,
    const struct publish_wanted *w, struct publish_file *out)
{
	const struct publish_original *o = find(t, &w->digest);
	struct fsat_stat st;
	int fd = -1;

	if (o == NULL || fsat_open_stat(t->dir, o->path, &fd, &st, NULL) != 0)
		return false;
	if (!is_same(&o->st, &st)) {
		close(fd);
		return false;
	}
	*out = (struct publish_file){ { fd, 0, w->size_bytes }, o };
	return true;
}

bool
publish_close_original(const struct publish_file *f)
{
	struct fsat_stat st;
	bool same = fsat_stat_fd(f->part.fd, &st, NULL) == 0 &&
	    is_same(&f->original->st, &st);

	close(f->part.fd);
	return same;
}

void
publish_forget_originals(struct publish_tree *t)
{
	struct table_node *n;

	while ((n = table_pop(&t->originals)) != NULL)
		free(n);
	table_release(&t->originals);
}
