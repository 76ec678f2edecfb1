/* Entries of a scan that wait their turn, in the publisher: a queue, packed, as
 * thousands wait behind a large file.  The scanning thread alone moves its ends;
 * what a job learns of its entry is handed over by the lock. */
#include "transcripts/scan_window.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#define TRIES 3 /* of reading a file that changes */
/* Entries that go out for each that comes in while there is room: finding work
 * for other threads goes first. */
#define OUT_PER_IN 2

struct slot;

struct job {
	struct scan_job job; /* first */
	struct window *window;
	struct slot *slot;
	unsigned tries;
	struct buf xattrs; /* of a file that was read again */
};

/* An entry, as far as a scan uses it. */
struct slot {
	struct slot *next;
	bool is_open;      /* under the lock: the job is not done */
	uint8_t type;      /* enum manifest_type */
	bool has_target;   /* behind the path */
	struct job *again; /* under the lock: of a file read more than once */
	struct digest digest;
	struct timespec mtime, ctime;
	uint64_t dev, ino, size_bytes, stored_bytes;
	uint32_t mode, uid, gid, flags;
	uint32_t major, minor;
	uint32_t text_bytes; /* path and target, each with its NUL */
	uint32_t xattr_bytes;
	char text[]; /* path, target, extended attributes, NUL */
};

struct window {
	window_sink sink;
	void *arg;
	pthread_mutex_t lock;
	pthread_cond_t done;
	/* Under the lock. */
	size_t open_jobs;
	size_t again_bytes; /* of slots' jobs that are done */
	int status;         /* of the first job that failed */
	struct err err;
	/* The scanning thread's. */
	struct slot *first, **end;
	size_t bytes;
};

int
window_new(window_sink sink, void *arg, struct window **out, struct err *e)
{
	struct window *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return err_memory(e);
	w->sink = sink;
	w->arg = arg;
	w->end = &w->first;
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

static void
job_free(struct job *job)
{
	if (job == NULL)
		return;
	buf_release(&job->xattrs);
	free(job);
}

static size_t
job_bytes(const struct job *job)
{
	return job == NULL ? 0 : sizeof(*job) + job->xattrs.cap;
}

static size_t
slot_bytes(const struct slot *s)
{
	return sizeof(*s) + s->text_bytes + s->xattr_bytes + 1;
}

/* Takes the first one out. */
static void
pop(struct window *w)
{
	struct slot *s = w->first;

	w->first = s->next;
	if (w->first == NULL)
		w->end = &w->first;
	w->bytes -= slot_bytes(s);
	job_free(s->again);
	free(s);
}

void
window_free(struct window *w)
{
	if (w == NULL)
		return;
	while (w->first != NULL)
		pop(w);
	pthread_cond_destroy(&w->done);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

static void
unpack(const struct slot *s, struct manifest_entry *m, struct fsat_stat *st)
{
	*m = (struct manifest_entry){ .type = (enum manifest_type)s->type,
		.path = s->text,
		.digest = s->digest,
		.major = s->major,
		.minor = s->minor,
		.xattrs = { s->text + s->text_bytes, s->xattr_bytes } };
	if (s->has_target)
		m->target = s->text + strlen(s->text) + 1;
	*st = (struct fsat_stat){ .mode = s->mode,
		.uid = s->uid,
		.gid = s->gid,
		.dev = s->dev,
		.ino = s->ino,
		.size_bytes = s->size_bytes,
		.stored_bytes = s->stored_bytes,
		.mtime = s->mtime,
		.ctime = s->ctime,
		.flags = s->flags };
}

/* Lets the first entry out.  A file that was read again is as it was then. */
static int
emit_first(struct window *w, struct err *e)
{
	struct slot *s = w->first;
	struct manifest_entry m;
	struct fsat_stat st;
	int rc;

	unpack(s, &m, &st);
	if (s->again != NULL) {
		st = s->again->job.st;
		m.xattrs.text = buf_str(&s->again->xattrs);
		m.xattrs.len = s->again->xattrs.len;
		pthread_mutex_lock(&w->lock);
		w->again_bytes -= job_bytes(s->again);
		pthread_mutex_unlock(&w->lock);
	}
	rc = w->sink(w->arg, &m, &st, e);
	pop(w);
	return rc;
}

static bool
is_full(const struct window *w)
{
	return w->bytes + w->again_bytes > SCAN_WINDOW_BYTES ||
	    w->open_jobs >= SCAN_OPEN_JOBS;
}

/* Whether the first entry is to go out now, `out` of them having gone before:
 * waits for it while there is no room, or, with all, while there is any. */
static int
await_first(struct window *w, bool all, size_t out, bool *ready, struct err *e)
{
	bool must;
	int status;

	pthread_mutex_lock(&w->lock);
	for (;;) {
		status = w->status;
		must = all || is_full(w);
		*ready = w->first != NULL && !w->first->is_open;
		if (status != 0 || *ready || w->first == NULL || !must)
			break;
		pthread_cond_wait(&w->done, &w->lock);
	}
	if (!must && out >= OUT_PER_IN)
		*ready = false;
	if (status != 0 && e != NULL)
		*e = w->err;
	pthread_mutex_unlock(&w->lock);
	return status;
}

static int
drain(struct window *w, bool all, struct err *e)
{
	bool ready = true;
	size_t out;
	int rc = 0;

	for (out = 0; rc == 0 && ready; out++) {
		rc = await_first(w, all, out, &ready, e);
		if (rc == 0 && ready)
			rc = emit_first(w, e);
	}
	return rc;
}

static char *
put_text(char *at, const char *text, size_t len)
{
	memcpy(at, text, len);
	return at + len;
}

static int
pack(const struct manifest_entry *m, const struct fsat_stat *st,
    struct slot **out, struct err *e)
{
	size_t path = strlen(m->path) + 1;
	size_t target = m->target == NULL ? 0 : strlen(m->target) + 1;
	size_t xattrs = m->xattrs.len;
	struct slot *s = malloc(sizeof(*s) + path + target + xattrs + 1);
	char *at;

	if (s == NULL)
		return err_memory(e);
	*s = (struct slot){ .type = (uint8_t)m->type,
		.has_target = target > 0,
		.digest = m->digest,
		.mtime = st->mtime,
		.ctime = st->ctime,
		.dev = st->dev,
		.ino = st->ino,
		.size_bytes = st->size_bytes,
		.stored_bytes = st->stored_bytes,
		.mode = st->mode,
		.uid = st->uid,
		.gid = st->gid,
		.flags = st->flags,
		.major = m->major,
		.minor = m->minor,
		.text_bytes = (uint32_t)(path + target),
		.xattr_bytes = (uint32_t)xattrs };
	at = put_text(s->text, m->path, path);
	if (target > 0)
		at = put_text(at, m->target, target);
	if (xattrs > 0)
		at = put_text(at, m->xattrs.text, xattrs);
	*at = '\0';
	*out = s;
	return 0;
}

static void
push(struct window *w, struct slot *s)
{
	*w->end = s;
	w->end = &s->next;
	w->bytes += slot_bytes(s);
}

int
window_add(struct window *w, struct manifest_entry *m,
    const struct fsat_stat *st, struct err *e)
{
	struct slot *s;
	int rc = w->first != NULL ? drain(w, false, e) : 0;

	if (rc != 0)
		return rc;
	if (w->first == NULL)
		return w->sink(w->arg, m, st, e);
	rc = pack(m, st, &s, e);
	if (rc == 0)
		push(w, s);
	return rc;
}

int
window_add_job(struct window *w, const struct manifest_entry *m,
    const struct fsat_stat *st, int fd, struct scan_job **job, struct err *e)
{
	struct job *j = NULL;
	struct slot *s;
	int rc = drain(w, false, e);

	if (rc == 0 && (j = malloc(sizeof(*j))) == NULL)
		rc = err_memory(e);
	if (rc == 0)
		rc = pack(m, st, &s, e);
	if (rc != 0) {
		free(j);
		close(fd);
		return rc;
	}
	*j = (struct job){ .job = { .fd = fd, .path = s->text, .st = *st },
		.window = w,
		.slot = s };
	buf_init(&j->xattrs, LIMIT_XATTR_TEXT);
	push(w, s);
	pthread_mutex_lock(&w->lock);
	s->is_open = true;
	w->open_jobs++;
	pthread_mutex_unlock(&w->lock);
	*job = &j->job;
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

bool
scan_is_same(const struct fsat_stat *a, const struct fsat_stat *b)
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
	struct job *j = (struct job *)job;
	struct fsat_stat st;
	int rc = fsat_stat_fd(job->fd, &st, e);

	if (rc != 0)
		return failed(job, rc, e);
	*settled = scan_is_same(&st, &job->st);
	if (*settled)
		return 0;
	if (++j->tries >= TRIES)
		return err_set(e, ERR_CHANGED,
		    "%.500s: changed each of the %d times it was read",
		    job->path, TRIES);
	job->st = st;
	if (lseek(job->fd, 0, SEEK_SET) != 0)
		return err_sys(e, "%.500s: rewind", job->path);
	buf_clear(&j->xattrs);
	rc = scan_xattrs(job->fd, "", &j->xattrs, e);
	return rc == 0 ? 0 : failed(job, rc, e);
}

void
scan_job_done(struct scan_job *job, const struct digest *digest, int status,
    const struct err *e)
{
	struct job *j = (struct job *)job;
	struct window *w = j->window;
	struct slot *s = j->slot;
	struct job *again = j->tries > 0 ? j : NULL;

	close(job->fd);
	if (again == NULL)
		job_free(j);
	pthread_mutex_lock(&w->lock);
	if (status == 0) {
		s->digest = *digest;
	} else if (w->status == 0) {
		w->status = status;
		if (e != NULL)
			w->err = *e;
	}
	s->again = again;
	s->is_open = false;
	w->again_bytes += job_bytes(again);
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
