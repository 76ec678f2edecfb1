/* Opens a profile's manifests as one layer; runs in the applier. */
#include "client/tree.h"

#include <unistd.h>

struct tree {
	struct layer *layer;
	struct layer_source *sources;
	int *fds;
	size_t count;
};

void
tree_free(struct tree *t)
{
	if (t == NULL)
		return;
	layer_free(t->layer);
	for (size_t i = 0; i < t->count; i++) {
		manifest_reader_free(t->sources[i].reader);
		if (t->fds[i] >= 0)
			close(t->fds[i]);
	}
	free(t->sources);
	free(t->fds);
	free(t);
}

static bool
was_checked(const struct state *s, const struct digest *digest,
    const struct fsat_stat *st)
{
	for (size_t i = 0; i < STATE_CHECKED; i++) {
		const struct state_checked *c = &s->checked[i];

		if (c->ino == st->ino && digest_equal(&c->digest, digest) &&
		    c->ctime.tv_sec == st->ctime.tv_sec &&
		    c->ctime.tv_nsec == st->ctime.tv_nsec)
			return true;
	}
	return false;
}

void
tree_note_manifest(
    struct state *s, const struct digest *manifest, const struct fsat_stat *st)
{
	s->checked[s->checked_next++ % STATE_CHECKED] =
	    (struct state_checked){ *manifest, st->ino, st->ctime };
}

/* It was right when it came; disks do not always keep what they are given. */
static int
check_text(
    struct state *s, int fd, const struct release_transcript *rt, struct err *e)
{
	struct fsat_stat st;
	struct digest got;
	int rc;

	if ((rc = fsat_stat_fd(fd, &st, e)) != 0)
		return rc;
	if (was_checked(s, &rt->manifest, &st))
		return 0;
	rc = digest_of_fd(fd, rt->manifest_bytes, &got, NULL, e);
	if (rc == ERR_LIMIT || (rc == 0 && !digest_equal(&got, &rt->manifest)))
		return err_set(e, ERR_VERIFY,
		    "the manifest that was kept is "
		    "damaged; the next run fetches it again");
	if (rc == 0 && lseek(fd, 0, SEEK_SET) != 0)
		rc = err_sys(e, "manifest");
	if (rc == 0)
		tree_note_manifest(s, &rt->manifest, &st);
	return rc;
}

static int
open_text(struct state *s, const struct release_transcript *rt, int *fd,
    struct err *e)
{
	char path[STATE_PATH_BYTES];
	struct err ignored = ERR_INIT;
	int rc;

	state_manifest_path(path, &rt->manifest);
	rc = fsat_open_file(s->dir, path, fd, e);
	if (rc == 0)
		rc = check_text(s, *fd, rt, e);
	/* Without it, it is fetched again. */
	if (rc == ERR_VERIFY && fsat_unlink(s->dir, path, &ignored) != 0)
		err_clear(&ignored);
	return rc;
}

int
tree_has_manifest(struct state *s, const struct release_transcript *rt,
    bool *has, struct err *e)
{
	struct err why = ERR_INIT;
	int fd = -1, rc = open_text(s, rt, &fd, &why);

	if (fd >= 0)
		close(fd);
	*has = rc == 0;
	if (rc == 0 || rc == ERR_NOT_FOUND || rc == ERR_VERIFY)
		return 0;
	*e = why;
	return rc;
}

static int
open_source(struct state *s, const struct release_transcript *rt,
    struct layer_source *source, int *fd, struct err *e)
{
	int rc;

	source->name = rt->name;
	source->target = rt->target;
	source->exact = rt->mode == RELEASE_EXACT;
	source->excludes = rt->excludes;
	source->exclude_count = rt->exclude_count;
	rc = open_text(s, rt, fd, e);
	if (rc == 0)
		rc = manifest_reader_open(
		    *fd, rt->manifest_bytes, &source->reader, e);
	if (rc == 0)
		manifest_reader_skip_digest(source->reader);
	return rc != 0 ? err_prefix(e, "transcript %s", rt->name) : 0;
}

int
tree_open(struct state *s, const struct release *release,
    const struct release_profile *profile, struct tree **out, struct err *e)
{
	struct tree *t = calloc(1, sizeof(*t));
	int rc = 0;

	if (t == NULL)
		return err_memory(e);
	t->sources = calloc(profile->count, sizeof(*t->sources));
	t->fds = calloc(profile->count, sizeof(*t->fds));
	if (t->sources == NULL || t->fds == NULL) {
		rc = err_memory(e);
		goto out;
	}
	for (; t->count < profile->count && rc == 0; t->count++) {
		t->fds[t->count] = -1;
		rc = open_source(s,
		    &release->transcripts[profile->transcripts[t->count]],
		    &t->sources[t->count], &t->fds[t->count], e);
	}
	if (rc == 0)
		rc = layer_new(t->sources, t->count, &t->layer, e);
	if (rc == 0) {
		*out = t;
		t = NULL;
	}
out:
	tree_free(t);
	return rc;
}

struct layer *
tree_layer(struct tree *t)
{
	return t->layer;
}
