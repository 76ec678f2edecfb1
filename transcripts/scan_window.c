/* Entries of a scan that wait their turn, in the publisher: a ring of slots.
 * The scanning thread alone moves its ends; a slot between belongs to its job
 * until that is done, which the lock hands over. */
#include "transcripts/scan_window.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#define TRIES      3     /* of reading a file that changes */
#define KEEP_BYTES 65536 /* storage that an empty slot keeps */

struct slot {
	struct scan_job job; /* first: a job is its slot */
	struct window *window;
	bool is_open; /* under the lock: the job is not done */
	unsigned tries;
	struct manifest_entry m;
	struct fsat_stat st;
	struct buf text;   /* path and target */
	struct buf xattrs; /* the job's while it is open */
};

struct window {
	window_sink sink;
	void *arg;
	pthread_mutex_t lock;
	pthread_cond_t done;
	/* Under the lock. */
	size_t open_jobs;
	int status; /* of the first job that failed */
	struct err err;
	/* The scanning thread's. */
	size_t first, count;
	size_t bytes;
	struct slot slots[SCAN_WINDOW_ENTRIES];
};

int
window_new(window_sink sink, void *arg, struct window **out, struct err *e)
{
	struct window *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return err_memory(e);
	w->sink = sink;
	w->arg = arg;
	if (pthread_mutex_init(&w->lock, NULL) != 0) {
		free(w);
		return err_memory(e);
	}
	if (pthread_cond_init(&w->done, NULL) != 0) {
		pthread_mutex_destroy(&w->lock);
		free(w);
		return err_memory(e);
	}
	*out = w;
	return 0;
}

void
window_free(struct window *w)
{
	size_t i;

	if (w == NULL)
		return;
	for (i = 0; i < SCAN_WINDOW_ENTRIES; i++) {
		buf_release(&w->slots[i].text);
		buf_release(&w->slots[i].xattrs);
	}
	pthread_cond_destroy(&w->done);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

static size_t
slot_bytes(const struct slot *s)
{
	return s->text.len + s->xattrs.len;
}

static void
slot_clear(struct buf *b)
{
	if (b->cap > KEEP_BYTES)
		buf_release(b);
	else
		buf_clear(b);
}

/* Lets the first entry out.  A file that was read again is as it was then. */
static int
emit_first(struct window *w, struct err *e)
{
	struct slot *s = &w->slots[w->first];
	int rc;

	if (s->tries > 0) {
		s->st = s->job.st;
		w->bytes += s->xattrs.len - s->m.xattrs.len;
		s->m.xattrs.text = buf_str(&s->xattrs);
		s->m.xattrs.len = s->xattrs.len;
	}
	rc = w->sink(w->arg, &s->m, &s->st, e);
	w->bytes -= slot_bytes(s);
	slot_clear(&s->text);
	slot_clear(&s->xattrs);
	w->first = (w->first + 1) % SCAN_WINDOW_ENTRIES;
	w->count--;
	return rc;
}

static bool
is_full(const struct window *w)
{
	return w->count == SCAN_WINDOW_ENTRIES ||
	    w->bytes > SCAN_WINDOW_BYTES || w->open_jobs >= SCAN_OPEN_JOBS;
}

/* Whether the first entry can go out now; waits for it while there is no room,
 * or, with all, while there is any. */
static int
await_first(struct window *w, bool all, bool *ready, struct err *e)
{
	int status;

	pthread_mutex_lock(&w->lock);
	for (;;) {
		status = w->status;
		*ready = w->count > 0 && !w->slots[w->first].is_open;
		if (status != 0 || *ready || w->count == 0 ||
		    (!all && !is_full(w)))
			break;
		pthread_cond_wait(&w->done, &w->lock);
	}
	if (status != 0 && e != NULL)
		*e = w->err;
	pthread_mutex_unlock(&w->lock);
	return status;
}

static int
drain(struct window *w, bool all, struct err *e)
{
	bool ready = true;
	int rc = 0;

	while (rc == 0 && ready) {
		rc = await_first(w, all, &ready, e);
		if (rc == 0 && ready)
			rc = emit_first(w, e);
	}
	return rc;
}

static int
fill(struct slot *s, const struct manifest_entry *m, const struct fsat_stat *st,
    struct err *e)
{
	const char *target = m->target == NULL ? "" : m->target;
	size_t path = strlen(m->path) + 1;
	int rc;

	s->m = *m;
	s->st = *st;
	s->tries = 0;
	s->text.max = (size_t)2 * (LIMIT_PATH_BYTES + 1);
	s->xattrs.max = LIMIT_XATTR_TEXT;
	buf_add(&s->text, m->path, path);
	buf_add(&s->text, target, strlen(target) + 1);
	buf_add(&s->xattrs, m->xattrs.text, m->xattrs.len);
	rc = buf_check(&s->text, m->path, e);
	if (rc == 0)
		rc = buf_check(&s->xattrs, m->path, e);
	if (rc != 0)
		return rc;
	s->m.path = buf_str(&s->text);
	if (m->target != NULL)
		s->m.target = buf_str(&s->text) + path;
	s->m.xattrs.text = buf_str(&s->xattrs);
	return 0;
}

static int
push(struct window *w, const struct manifest_entry *m,
    const struct fsat_stat *st, struct slot **out, struct err *e)
{
	struct slot *s;
	int rc;

	s = &w->slots[(w->first + w->count) % SCAN_WINDOW_ENTRIES];
	rc = fill(s, m, st, e);
	if (rc != 0)
		return rc;
	s->window = w;
	w->bytes += slot_bytes(s);
	w->count++;
	*out = s;
	return 0;
}

int
window_add(struct window *w, struct manifest_entry *m,
    const struct fsat_stat *st, struct err *e)
{
	struct slot *s;
	int rc = w->count > 0 ? drain(w, false, e) : 0;

	if (rc != 0)
		return rc;
	if (w->count == 0)
		return w->sink(w->arg, m, st, e);
	return push(w, m, st, &s, e);
}

int
window_add_job(struct window *w, const struct manifest_entry *m,
    const struct fsat_stat *st, int fd, struct scan_job **job, struct err *e)
{
	struct slot *s;
	int rc = drain(w, false, e);

	if (rc == 0)
		rc = push(w, m, st, &s, e);
	if (rc != 0) {
		close(fd);
		return rc;
	}
	s->job = (struct scan_job){ .fd = fd, .path = s->m.path, .st = *st };
	pthread_mutex_lock(&w->lock);
	s->is_open = true;
	w->open_jobs++;
	pthread_mutex_unlock(&w->lock);
	*job = &s->job;
	return 0;
}

int
window_finish(struct window *w, struct err *e)
{
	return drain(w, true, e);
}

void
window_wait(struct window *w)
{
	pthread_mutex_lock(&w->lock);
	while (w->open_jobs > 0)
		pthread_cond_wait(&w->done, &w->lock);
	pthread_mutex_unlock(&w->lock);
}

static bool
is_same(const struct fsat_stat *a, const struct fsat_stat *b)
{
	return a->size_bytes == b->size_bytes &&
	    a->mtime.tv_sec == b->mtime.tv_sec &&
	    a->mtime.tv_nsec == b->mtime.tv_nsec &&
	    a->ctime.tv_sec == b->ctime.tv_sec &&
	    a->ctime.tv_nsec == b->ctime.tv_nsec;
}

static int
failed(const struct scan_job *job, int rc, struct err *e)
{
	err_prefix(e, "%.500s", job->path);
	return rc;
}

int
scan_job_settled(struct scan_job *job, bool *settled, struct err *e)
{
	struct slot *s = (struct slot *)job;
	struct fsat_stat st;
	int rc = fsat_stat_fd(job->fd, &st, e);

	if (rc != 0)
		return failed(job, rc, e);
	*settled = is_same(&st, &job->st);
	if (*settled)
		return 0;
	if (++s->tries >= TRIES)
		return err_set(e, ERR_CHANGED,
		    "%.500s: changed each of the %d times it was read",
		    job->path, TRIES);
	job->st = st;
	if (lseek(job->fd, 0, SEEK_SET) != 0)
		return err_sys(e, "%.500s: rewind", job->path);
	buf_clear(&s->xattrs);
	rc = scan_xattrs(job->fd, "", &s->xattrs, e);
	return rc == 0 ? 0 : failed(job, rc, e);
}

void
scan_job_done(struct scan_job *job, const struct digest *digest, int status,
    const struct err *e)
{
	struct slot *s = (struct slot *)job;
	struct window *w = s->window;

	close(job->fd);
	pthread_mutex_lock(&w->lock);
	if (status == 0) {
		s->m.digest = *digest;
	} else if (w->status == 0) {
		w->status = status;
		if (e != NULL)
			w->err = *e;
	}
	s->is_open = false;
	w->open_jobs--;
	pthread_cond_signal(&w->done);
	pthread_mutex_unlock(&w->lock);
}

void
scan_job_hash(struct scan_job *job)
{
	struct err e = ERR_INIT;
	struct digest digest;
	bool settled = false;
	int rc = 0;

	while (rc == 0 && !settled) {
		rc =
		    digest_of_fd(job->fd, MANIFEST_SIZE_MAX, &digest, NULL, &e);
		if (rc != 0)
			err_prefix(&e, "%.500s", job->path);
		else
			rc = scan_job_settled(job, &settled, &e);
	}
	scan_job_done(job, &digest, rc, &e);
}
