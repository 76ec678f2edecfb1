/* repo_verify: objects, data transcripts and manifests, on all processors. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/fsat.h"
#include "common/pool.h"
#include "common/text.h"
#include "transcripts/manifest.h"
#include "transcripts/object.h"
#include "transcripts/repo_verify_impl.h"

#define QUEUED 64
/* The longest path below v1 that verify names. */
#define LONG_PATH (REPO_PATH_BYTES + NAME_MAX)

/* What is passed on (memory) and what is one file's damage. */
static int
damaged(struct verify *v, const char *path, int ret, struct err *e)
{
	if (ret == ERR_NO_MEMORY)
		return ret;
	verify_found(v, ret == ERR_UNSUPPORTED ? REPO_UNKNOWN : REPO_DAMAGED,
	    path, "%s", e->msg);
	err_clear(e);
	return 0;
}

/* One shelf of objects. */
struct shelf_job {
	struct verify *v;
	char name[3];
	struct object_reader *reader;
	struct fsat_names names;
	int dir;
};

static uint64_t
key_of(const struct digest *d)
{
	struct reader r;
	uint64_t key = 0;

	/* 8 bytes are there. */
	reader_init(&r, d->b + 1, sizeof(key));
	return reader_u64(&r, &key) == 0 ? key : 0;
}

static int
verify_object(struct shelf_job *j, const char *name, const char *path,
    struct shelved *out, struct err *e)
{
	struct object_frame frame = { -1, NULL, UINT64_MAX >> 2, NULL, NULL };
	struct digest d;
	struct fsat_stat st;
	uint64_t size_bytes = 0;
	int ret;

	if (digest_parse(name, strlen(name), &d) != 0 ||
	    strncmp(name, j->name, 2) != 0)
		return err_set(e, ERR_UNSUPPORTED, "not an object's name");
	out->key = key_of(&d);
	out->state = SHELVED_BAD;
	frame.digest = &d;
	ret = fsat_open_file(j->dir, name, &frame.fd, e);
	if (ret != 0)
		return ret;
	ret = fsat_stat_fd(frame.fd, &st, e);
	if (ret == 0) {
		verify_looked_at(j->v, st.size_bytes);
		ret = object_read_frame(j->reader, &frame, &size_bytes, e);
	}
	if (ret == 0)
		out->state = size_bytes << 2;
	if (ret == 0 && lseek(frame.fd, 0, SEEK_SET) != 0)
		ret = err_sys(e, "%s", path);
	if (ret == 0)
		ret = verify_sum(j->v, path, frame.fd, e);
	close(frame.fd);
	return ret;
}

static int
verify_shelf(struct shelf_job *j, struct shelf *shelf, struct err *e)
{
	char path[LONG_PATH];
	int ret;

	shelf->objects = calloc(j->names.count + 1, sizeof(*shelf->objects));
	if (shelf->objects == NULL)
		return err_memory(e);
	for (size_t i = 0; i < j->names.count; i++) {
		struct shelved *o = &shelf->objects[shelf->count];

		(void)snprintf(path, sizeof(path), "v1/object/%s/%s", j->name,
		    j->names.names[i]);
		ret = verify_object(j, j->names.names[i], path, o, e);
		/* A damaged one keeps its place: it is not missing. */
		if (ret != ERR_UNSUPPORTED)
			shelf->count++;
		if (ret != 0)
			ret = damaged(j->v, path, ret, e);
		if (ret != 0)
			return ret;
	}
	return 0;
}

static void
shelf_job_free(void *arg)
{
	struct shelf_job *j = arg;

	object_reader_free(j->reader);
	fsat_names_release(&j->names);
	if (j->dir >= 0)
		close(j->dir);
	free(j);
}

/* A pool_fn. */
static int
run_shelf_job(void *arg, struct err *e)
{
	struct shelf_job *j = arg;
	struct digest d = { { 0 } };
	char path[REPO_PATH_BYTES];
	int ret = object_reader_new(j->v->repo, &j->reader, e);

	(void)snprintf(path, sizeof(path), "v1/object/%s", j->name);
	if (ret == 0)
		ret = fsat_open_dir(repo_fd(j->v->repo), path, &j->dir, e);
	if (ret == 0)
		ret = fsat_list(j->dir, &j->names, e);
	if (ret == 0)
		ret = text_unhex(d.b, 1, j->name, 2);
	if (ret == 0)
		ret = verify_shelf(j, &j->v->shelves[d.b[0]], e);
	else
		ret = damaged(j->v, path, ret, e);
	shelf_job_free(j);
	return ret;
}

static int
submit_shelves(struct verify *v, struct pool *pool, struct err *e)
{
	struct fsat_names names = { NULL, 0 };
	char path[LONG_PATH];
	uint8_t byte;
	int fd = -1, ret;

	ret = fsat_open_dir(repo_fd(v->repo), "v1/object", &fd, e);
	if (ret == 0)
		ret = fsat_list(fd, &names, e);
	for (size_t i = 0; ret == 0 && i < names.count; i++) {
		const char *name = names.names[i];
		struct shelf_job *j;

		if (text_unhex(&byte, 1, name, strlen(name)) != 0) {
			(void)snprintf(
			    path, sizeof(path), "v1/object/%s", name);
			verify_found(v, REPO_UNKNOWN, path, "unknown file");
			continue;
		}
		j = calloc(1, sizeof(*j));
		if (j == NULL) {
			ret = err_memory(e);
			break;
		}
		j->v = v;
		j->dir = -1;
		memcpy(j->name, name, sizeof(j->name));
		pool_submit(pool, run_shelf_job, j);
	}
	fsat_names_release(&names);
	if (fd >= 0)
		close(fd);
	return ret;
}

/* One file of v1/data or v1/manifest. */
struct file_job {
	struct verify *v;
	enum wanted_kind kind;
	struct digest digest;
	bool kept; /* a manifest that a kept release names */
	char path[REPO_PATH_BYTES];
};

static int
verify_data(struct file_job *j, int fd, uint64_t size_bytes, struct err *e)
{
	const struct wanted *w;
	struct digest got;
	size_t count = 0;
	int ret = digest_of_fd(fd, UINT64_MAX, &got, NULL, e);

	if (ret != 0)
		return ret;
	if (!digest_equal(&got, &j->digest))
		return err_set(e, ERR_VERIFY, "digest is not its name");
	w = verify_wanted(j->v, WANTED_DATA, &j->digest, &count);
	for (size_t i = 0; i < count; i++)
		if (w[i].size_bytes != size_bytes)
			return err_set(e, ERR_VERIFY,
			    "%llu bytes, and a release says %llu",
			    (unsigned long long)size_bytes,
			    (unsigned long long)w[i].size_bytes);
	return 0;
}

/* The object of a manifest's line, on its shelf, or NULL. */
static struct shelved *
find_object(const struct verify *v, const struct digest *d)
{
	const struct shelf *shelf = &v->shelves[d->b[0]];
	uint64_t key = key_of(d);
	size_t low = 0, high = shelf->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (shelf->objects[middle].key < key)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == shelf->count || shelf->objects[low].key != key)
		return NULL;
	return &shelf->objects[low];
}

/* A line with content: is it there, and of the size it should be? */
static void
check_entry(struct file_job *j, const struct manifest_entry *entry, bool needed)
{
	char path[REPO_PATH_BYTES];
	struct shelved *o = find_object(j->v, &entry->digest);
	uint64_t state;

	repo_path_object(path, &entry->digest);
	if (o == NULL) {
		if (needed)
			verify_found(j->v, REPO_MISSING, path,
			    "content of %s in %s", entry->path, j->path);
		return;
	}
	pthread_mutex_lock(&j->v->lock);
	state = o->state;
	o->state |= SHELVED_USED;
	pthread_mutex_unlock(&j->v->lock);
	if ((state & SHELVED_BAD) == 0 && state >> 2 != entry->size_bytes)
		verify_found(j->v, REPO_DAMAGED, j->path,
		    "%s is given %llu bytes, its content has %llu", entry->path,
		    (unsigned long long)entry->size_bytes,
		    (unsigned long long)(state >> 2));
}

static int
check_totals(
    const struct wanted *w, const struct manifest_totals *t, struct err *e)
{
	if (t->text_bytes == w->size_bytes && t->entries == w->entries &&
	    t->content_bytes == w->content_bytes)
		return 0;
	return err_set(e, ERR_VERIFY,
	    "%llu bytes, %llu entries, %llu bytes of content, and a release "
	    "says %llu, %llu, %llu",
	    (unsigned long long)t->text_bytes, (unsigned long long)t->entries,
	    (unsigned long long)t->content_bytes,
	    (unsigned long long)w->size_bytes, (unsigned long long)w->entries,
	    (unsigned long long)w->content_bytes);
}

static int
read_manifest(struct file_job *j, struct manifest_reader *reader, bool needed,
    struct manifest_totals *t, struct err *e)
{
	const struct manifest_entry *entry = NULL;
	int ret;

	while ((ret = manifest_reader_next(reader, &entry, e)) == 0 &&
	    entry != NULL) {
		t->entries++;
		if (entry->type != MANIFEST_FILE)
			continue;
		t->content_bytes += entry->size_bytes;
		if (j->kept)
			check_entry(j, entry, needed);
	}
	if (ret == 0)
		manifest_reader_digest(reader, &t->digest, &t->text_bytes);
	return ret;
}

static int
verify_manifest(struct file_job *j, int fd, struct err *e)
{
	struct manifest_totals t = { .entries = 0 };
	struct manifest_reader *reader = NULL;
	const struct wanted *w;
	bool needed = false;
	size_t count = 0;
	int ret;

	w = verify_wanted(j->v, WANTED_MANIFEST, &j->digest, &count);
	j->kept = count > 0;
	for (size_t i = 0; i < count; i++)
		needed |= w[i].newest;
	ret = manifest_reader_open_gzip(fd, LIMIT_MANIFEST_BYTES, &reader, e);
	if (ret == 0)
		ret = read_manifest(j, reader, needed, &t, e);
	if (ret == 0 && !digest_equal(&t.digest, &j->digest))
		ret = err_set(
		    e, ERR_VERIFY, "digest of the text is not its name");
	for (size_t i = 0; ret == 0 && i < count; i++)
		ret = check_totals(&w[i], &t, e);
	manifest_reader_free(reader);
	if (ret == 0 && lseek(fd, 0, SEEK_SET) != 0)
		ret = err_sys(e, "manifest");
	if (ret == 0)
		ret = verify_sum(j->v, j->path, fd, e);
	return ret;
}

/* A pool_fn. */
static int
run_file_job(void *arg, struct err *e)
{
	struct file_job *j = arg;
	uint64_t size_bytes = 0;
	size_t count = 0;
	int fd = -1, ret;

	ret = repo_open_file(j->v->repo, j->path, &fd, &size_bytes, e);
	if (ret == 0) {
		verify_looked_at(j->v, size_bytes);
		ret = j->kind == WANTED_DATA ? verify_data(j, fd, size_bytes, e)
		                             : verify_manifest(j, fd, e);
		close(fd);
	}
	if (ret == 0 &&
	    verify_wanted(j->v, j->kind, &j->digest, &count) == NULL)
		verify_found(j->v, REPO_UNREFERENCED, j->path,
		    "no kept release names it");
	if (ret != 0) {
		pthread_mutex_lock(&j->v->lock);
		j->v->references_unknown |= j->kind == WANTED_MANIFEST;
		pthread_mutex_unlock(&j->v->lock);
		ret = damaged(j->v, j->path, ret, e);
	}
	free(j);
	return ret;
}

static int
submit_file(struct verify *v, struct pool *pool, enum wanted_kind kind,
    const char *name, struct err *e)
{
	const char *folder = kind == WANTED_DATA ? "data" : "manifest";
	char path[LONG_PATH];
	struct file_job *j;
	struct digest d;

	(void)snprintf(path, sizeof(path), "v1/%s/%s", folder, name);
	if (digest_parse(name, strlen(name), &d) != 0) {
		verify_found(v, REPO_UNKNOWN, path, "not a digest");
		return 0;
	}
	j = calloc(1, sizeof(*j));
	if (j == NULL)
		return err_memory(e);
	j->v = v;
	j->kind = kind;
	j->digest = d;
	(void)snprintf(j->path, sizeof(j->path), "%.100s", path);
	pool_submit(pool, run_file_job, j);
	return 0;
}

static int
submit_files(
    struct verify *v, struct pool *pool, enum wanted_kind kind, struct err *e)
{
	struct fsat_names names = { NULL, 0 };
	int fd = -1, ret;

	ret = fsat_open_dir(repo_fd(v->repo),
	    kind == WANTED_DATA ? "v1/data" : "v1/manifest", &fd, e);
	if (ret == 0)
		ret = fsat_list(fd, &names, e);
	for (size_t i = 0; ret == 0 && i < names.count; i++)
		ret = submit_file(v, pool, kind, names.names[i], e);
	fsat_names_release(&names);
	if (fd >= 0)
		close(fd);
	return ret;
}

static int
new_pool(const struct verify *v, struct pool **out, struct err *e)
{
	unsigned threads = v->how->threads;

	return pool_new(threads > 0 ? threads : pool_cpus(), QUEUED, out, e);
}

int
verify_content(struct verify *v, struct err *e)
{
	struct pool *pool = NULL;
	int ret = new_pool(v, &pool, e);

	if (ret == 0)
		ret = submit_files(v, pool, WANTED_DATA, e);
	if (ret == 0)
		ret = submit_shelves(v, pool, e);
	if (ret == 0)
		ret = pool_wait(pool, e);
	pool_free(pool);
	return ret;
}

/* Files of the newest releases that are not there at all. */
static int
find_missing(struct verify *v, struct err *e)
{
	char path[REPO_PATH_BYTES];
	const struct wanted *last = NULL;
	bool has = false;
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < v->wanted_count; i++) {
		const struct wanted *w = &v->wanted[i];

		if (!w->newest || w->kind == WANTED_RELEASE)
			continue;
		/* Several transcripts may be alike. */
		if (last != NULL && last->kind == w->kind &&
		    digest_equal(&last->digest, &w->digest))
			continue;
		last = w;
		if (w->kind == WANTED_DATA)
			repo_path_data(path, &w->digest);
		else
			repo_path_manifest(path, &w->digest);
		ret = repo_has(v->repo, path, &has, e);
		if (ret != 0 || has)
			continue;
		verify_found(v, REPO_MISSING, path,
		    "the newest release of a channel needs it");
		v->references_unknown |= w->kind == WANTED_MANIFEST;
	}
	return ret;
}

/* Only with all manifests read is it known what nobody needs. */
static int
find_unreferenced(struct verify *v, unsigned shelf_number, struct err *e)
{
	struct fsat_names names = { NULL, 0 };
	char path[LONG_PATH];
	int fd = -1, ret;

	(void)snprintf(path, sizeof(path), "v1/object/%02x", shelf_number);
	ret = fsat_open_dir(repo_fd(v->repo), path, &fd, e);
	if (ret == 0)
		ret = fsat_list(fd, &names, e);
	for (size_t i = 0; ret == 0 && i < names.count; i++) {
		const struct shelved *o;
		struct digest d;

		if (digest_parse(names.names[i], strlen(names.names[i]), &d) !=
		    0)
			continue;
		o = find_object(v, &d);
		if (o == NULL || (o->state & (SHELVED_BAD | SHELVED_USED)) != 0)
			continue;
		repo_path_object(path, &d);
		verify_found(
		    v, REPO_UNREFERENCED, path, "no kept release names it");
	}
	fsat_names_release(&names);
	if (fd >= 0)
		close(fd);
	return ret;
}

int
verify_manifests(struct verify *v, struct err *e)
{
	struct pool *pool = NULL;
	int ret = new_pool(v, &pool, e);

	if (ret == 0)
		ret = submit_files(v, pool, WANTED_MANIFEST, e);
	if (ret == 0)
		ret = pool_wait(pool, e);
	pool_free(pool);
	if (ret == 0)
		ret = find_missing(v, e);
	for (unsigned i = 0; ret == 0 && i < SHELVES; i++)
		if (!v->references_unknown && v->shelves[i].count > 0)
			ret = find_unreferenced(v, i, e);
	return ret;
}
