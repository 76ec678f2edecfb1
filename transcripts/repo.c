/* The files of a repository: names, temporaries, partial files, durability.
 * Used by publishers and replicators to write, by everybody to read. */
#include "transcripts/repo.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/fsat.h"
#include "common/text.h"
#include "common/write_behind.h"
#include "transcripts/repo_settle.h"

#define FANOUT          256
#define TEMP_PREFIX     "t-"
#define PARTIAL_PREFIX  "partial-"
#define PARTIAL_BYTES   160 /* of a partial file's name */
#define TEMP_NAME_TRIES 1000
#define DAY_S           ((time_t)86400)
/* There from before a file below v1 gets its name until repo_sync made it
 * durable. */
#define UNSYNCED "unsynced"

struct repo {
	char *name;
	int fd;
	int objects_fd; /* v1/object */
	int lock_fd;    /* -1: not ours */
	/* Opened when first asked for, -1 until then: a reader may lack the
	 * right to look into tmp, and not every fan-out folder exists. */
	_Atomic int tmp_fd;
	_Atomic int object_fds[FANOUT];
	_Atomic uint64_t next_temp;
	pthread_mutex_t mark_lock;
	bool is_marked;    /* UNSYNCED is there, and durable */
	uint64_t installs; /* names given so far */
	struct repo_sums sums;
	struct write_behind *behind;
};

struct folder {
	const char *path;
	mode_t mode;
};

/* What is below v1 is for any web server to read, the rest is private. */
static const struct folder folders[] = {
	{ "v1", 0755 },
	{ "v1/root", 0755 },
	{ "v1/channel", 0755 },
	{ "v1/release", 0755 },
	{ "v1/manifest", 0755 },
	{ "v1/data", 0755 },
	{ "v1/object", 0755 },
	{ "tmp", 0700 },
	{ "cache", 0700 },
	{ "seen", 0700 },
	{ "evidence", 0700 },
};
#define FOLDERS (sizeof(folders) / sizeof(folders[0]))

static void
close_if_open(int fd)
{
	if (fd >= 0)
		close(fd);
}

static int
make_folder(int fd, const struct folder *f, struct err *e)
{
	struct err own = ERR_INIT;
	int ret;

	if (e == NULL)
		e = &own;
	ret = fsat_mkdir(fd, f->path, f->mode, e);
	return ret != 0 && e->sys == EEXIST ? 0 : ret;
}

int
repo_create(const char *path, struct err *e)
{
	int fd = -1, lock = -1, ret;

	ret = fsat_operator_dir(path, true, 0755, &fd, e);
	for (size_t i = 0; ret == 0 && i < FOLDERS; i++)
		ret = make_folder(fd, &folders[i], e);
	if (ret == 0)
		ret = fsat_open_write(fd, "lock", 0600, &lock, e);
	if (ret == 0)
		ret = fsat_fsync(fd, e);
	close_if_open(lock);
	close_if_open(fd);
	return ret == 0 ? 0 : err_prefix(e, "new repository %s", path);
}

static int
check_folder(const struct repo *r, const char *path, struct err *e)
{
	struct fsat_stat st;
	int ret = fsat_stat(r->fd, path, &st, e);

	if (ret == ERR_NOT_FOUND || (ret == 0 && (st.mode & S_IFMT) != S_IFDIR))
		return err_set(e, ERR_NOT_FOUND,
		    "%s is not a repository: it has no folder %s", r->name,
		    path);
	return ret;
}

static struct repo *
repo_alloc(const char *path)
{
	struct repo *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->fd = r->objects_fd = r->lock_fd = -1;
	pthread_mutex_init(&r->mark_lock, NULL);
	atomic_init(&r->tmp_fd, -1);
	for (size_t i = 0; i < FANOUT; i++)
		atomic_init(&r->object_fds[i], -1);
	r->name = strdup(path);
	if (r->name == NULL) {
		free(r);
		return NULL;
	}
	repo_sums_init(&r->sums, -1);
	return r;
}

int
repo_open(const char *path, struct repo **out, struct err *e)
{
	struct repo *r = repo_alloc(path);
	int ret;

	if (r == NULL)
		return err_memory(e);
	ret = fsat_operator_dir(path, false, 0, &r->fd, e);
	r->sums.repo_fd = r->fd;
	if (ret == 0)
		ret = write_behind_new(r->fd, &r->behind, e);
	for (size_t i = 0; ret == 0 && i < FOLDERS; i++)
		if (folders[i].mode == 0755)
			ret = check_folder(r, folders[i].path, e);
	if (ret == 0)
		ret = fsat_open_dir(r->fd, "v1/object", &r->objects_fd, e);
	if (ret != 0) {
		repo_close(r);
		return ret;
	}
	*out = r;
	return 0;
}

void
repo_close(struct repo *r)
{
	if (r == NULL)
		return;
	for (size_t i = 0; i < FANOUT; i++)
		close_if_open(atomic_load(&r->object_fds[i]));
	close_if_open(atomic_load(&r->tmp_fd));
	close_if_open(r->objects_fd);
	close_if_open(r->lock_fd);
	/* A lost sum does no harm, and who closes cannot be told. */
	if (repo_sums_flush(&r->sums, NULL) != 0)
		errno = 0;
	repo_sums_release(&r->sums);
	write_behind_free(r->behind);
	close_if_open(r->fd);
	pthread_mutex_destroy(&r->mark_lock);
	free(r->name);
	free(r);
}

int
repo_fd(const struct repo *r)
{
	return r->fd;
}

const char *
repo_name(const struct repo *r)
{
	return r->name;
}

int
repo_lock(struct repo *r, unsigned wait_ms, struct err *e)
{
	int fd = -1, ret = fsat_open_write(r->fd, "lock", 0600, &fd, e);

	if (ret == 0)
		ret = fsat_lock(fd, wait_ms, e);
	if (ret != 0) {
		close_if_open(fd);
		return err_prefix(e, "lock repository %s", r->name);
	}
	repo_unlock(r);
	r->lock_fd = fd;
	/* Another writer may have settled what we left, and its mark. */
	pthread_mutex_lock(&r->mark_lock);
	r->is_marked = false;
	pthread_mutex_unlock(&r->mark_lock);
	return 0;
}

void
repo_unlock(struct repo *r)
{
	/* A child may hold the descriptor as well. */
	if (r->lock_fd >= 0)
		fsat_unlock(r->lock_fd);
	close_if_open(r->lock_fd);
	r->lock_fd = -1;
}

/* Keeps the first of two descriptors that raced for one place. */
static int
keep_first(_Atomic int *place, int fd)
{
	int none = -1;

	if (atomic_compare_exchange_strong(place, &none, fd))
		return fd;
	close(fd);
	return none;
}

static int
tmp_dir(struct repo *r, int *dir, struct err *e)
{
	int fd = atomic_load(&r->tmp_fd), ret;

	if (fd < 0) {
		ret = fsat_open_dir(r->fd, "tmp", &fd, e);
		if (ret != 0)
			return ret;
		fd = keep_first(&r->tmp_fd, fd);
	}
	*dir = fd;
	return 0;
}

/* The fan-out folder of a digest; made when it is missing and `create`. */
static int
object_dir(struct repo *r, const struct digest *d, bool create, int *dir,
    struct err *e)
{
	struct folder f = { NULL, 0755 };
	char name[3];
	int fd = atomic_load(&r->object_fds[d->b[0]]), ret;

	if (fd < 0) {
		text_hex(name, d->b, 1);
		f.path = name;
		ret = fsat_open_dir(r->objects_fd, name, &fd, e);
		if (ret == ERR_NOT_FOUND && create) {
			ret = make_folder(r->objects_fd, &f, e);
			if (ret == 0)
				ret =
				    fsat_open_dir(r->objects_fd, name, &fd, e);
		}
		if (ret != 0)
			return ret;
		fd = keep_first(&r->object_fds[d->b[0]], fd);
	}
	*dir = fd;
	return 0;
}

static int
has(int dir, const char *path, bool *found, struct err *e)
{
	struct fsat_stat st;
	int ret = fsat_stat(dir, path, &st, e);

	if (ret != 0 && ret != ERR_NOT_FOUND)
		return ret;
	*found = ret == 0;
	return 0;
}

int
repo_has(struct repo *r, const char *path, bool *found, struct err *e)
{
	return has(r->fd, path, found, e);
}

static int
open_file(
    int dir, const char *path, int *fd, uint64_t *size_bytes, struct err *e)
{
	struct fsat_stat st;
	int ret = fsat_open_stat(dir, path, fd, &st, e);

	if (ret == 0 && size_bytes != NULL)
		*size_bytes = st.size_bytes;
	return ret;
}

int
repo_open_file(struct repo *r, const char *path, int *fd, uint64_t *size_bytes,
    struct err *e)
{
	return open_file(r->fd, path, fd, size_bytes, e);
}

int
repo_has_object(
    struct repo *r, const struct digest *d, bool *found, struct err *e)
{
	char hex[DIGEST_HEX];
	int dir = -1, ret = object_dir(r, d, false, &dir, e);

	if (ret == ERR_NOT_FOUND) {
		*found = false;
		return 0;
	}
	if (ret != 0)
		return ret;
	digest_hex(d, hex);
	return has(dir, hex, found, e);
}

int
repo_open_object(struct repo *r, const struct digest *d, int *fd,
    uint64_t *size_bytes, struct err *e)
{
	char hex[DIGEST_HEX];
	int dir = -1, ret;

	digest_hex(d, hex);
	ret = object_dir(r, d, false, &dir, e);
	if (ret == 0)
		ret = open_file(dir, hex, fd, size_bytes, e);
	return ret == 0 ? 0 : err_prefix(e, "object %s", hex);
}

int
repo_newest_root(struct repo *r, uint64_t *version, struct err *e)
{
	struct fsat_names names = { NULL, 0 };
	uint64_t newest = 0, n;
	int fd = -1, ret = fsat_open_dir(r->fd, "v1/root", &fd, e);

	if (ret == 0)
		ret = fsat_list(fd, &names, e);
	for (size_t i = 0; ret == 0 && i < names.count; i++)
		if (text_u64(names.names[i], strlen(names.names[i]), UINT64_MAX,
		        &n) == 0 &&
		    n > newest)
			newest = n;
	fsat_names_release(&names);
	close_if_open(fd);
	if (ret == 0)
		*version = newest;
	return ret;
}

int
repo_channels(struct repo *r, struct fsat_names *out, struct err *e)
{
	int fd = -1, ret = fsat_open_dir(r->fd, "v1/channel", &fd, e);

	if (ret == 0)
		ret = fsat_list(fd, out, e);
	close_if_open(fd);
	return ret;
}

int
repo_read_statement(struct repo *r, const char *path, size_t max_bytes,
    struct buf *out, struct err *e)
{
	return fsat_read_file(r->fd, path, max_bytes, out, e);
}

/* fsync of the folder that a path is in. */
static int
sync_folder(struct repo *r, const char *path, struct err *e)
{
	const char *slash = strrchr(path, '/');
	char folder[REPO_PATH_BYTES] = ".";
	int fd = -1, ret;

	if (slash != NULL && (size_t)(slash - path) < sizeof(folder)) {
		memcpy(folder, path, (size_t)(slash - path));
		folder[slash - path] = '\0';
	}
	ret = fsat_open_dir(r->fd, folder, &fd, e);
	if (ret == 0)
		ret = fsat_fsync(fd, e);
	close_if_open(fd);
	return ret;
}

int
repo_temp_new(struct repo *r, struct repo_temp *t, struct err *e)
{
	struct err own = ERR_INIT;
	int dir = -1, ret;

	if (e == NULL)
		e = &own;
	ret = tmp_dir(r, &dir, e);
	/* A process of the same number may have left some behind. */
	for (int i = 0; ret == 0 && i < TEMP_NAME_TRIES; i++) {
		(void)snprintf(t->name, sizeof(t->name), TEMP_PREFIX "%ld-%llu",
		    (long)getpid(),
		    (unsigned long long)atomic_fetch_add(&r->next_temp, 1));
		ret = fsat_create(dir, t->name, 0644, &t->fd, e);
		if (ret == 0) {
			repo_sum_init(&t->sum);
			return 0;
		}
		if (e->sys == EEXIST)
			ret = 0;
	}
	if (ret == 0)
		ret = err_set(e, ERR_CONFLICT, "no free name in tmp");
	t->fd = -1;
	t->name[0] = '\0';
	return ret;
}

int
repo_temp_write(
    struct repo_temp *t, const void *data, size_t len, struct err *e)
{
	repo_sum_add(&t->sum, data, len);
	return fsat_write_all(t->fd, data, len, e);
}

static int
record_sum(
    struct repo *r, const struct repo_temp *t, const char *path, struct err *e)
{
	off_t size = lseek(t->fd, 0, SEEK_END);

	if (size < 0 || (uint64_t)size != t->sum.bytes)
		return 0;
	return repo_sums_record(&r->sums, path, repo_sum_end(&t->sum), e);
}

static int
make_mark(struct repo *r, struct err *e)
{
	int fd = -1, ret = fsat_open_write(r->fd, UNSYNCED, 0600, &fd, e);

	close_if_open(fd);
	return ret == 0 ? fsat_fsync(r->fd, e) : ret;
}

/* Before a name is given to content that is not durable: whoever writes after
 * a crash must not believe it. */
static int
mark_unsynced(struct repo *r, struct err *e)
{
	int ret = 0;

	pthread_mutex_lock(&r->mark_lock);
	r->installs++;
	if (!r->is_marked)
		ret = make_mark(r, e);
	r->is_marked = ret == 0;
	pthread_mutex_unlock(&r->mark_lock);
	return ret;
}

/* All that was installed by then is durable now. */
static int
unmark(struct repo *r, uint64_t installs, struct err *e)
{
	int ret = 0;

	pthread_mutex_lock(&r->mark_lock);
	if (r->is_marked && r->installs == installs) {
		ret = fsat_unlink(r->fd, UNSYNCED, e);
		r->is_marked = false;
	}
	pthread_mutex_unlock(&r->mark_lock);
	return ret;
}

/* Closes and renames to a name below dir. */
static int
temp_move(struct repo *r, struct repo_temp *t, int dir, const char *path,
    struct err *e)
{
	int tmp = -1, ret = tmp_dir(r, &tmp, e);

	if (ret == 0)
		ret = fsat_close(&t->fd, path, e);
	if (ret == 0)
		ret = fsat_rename(tmp, t->name, dir, path, e);
	if (ret == 0)
		t->name[0] = '\0';
	else
		repo_temp_discard(r, t);
	return ret;
}

/* Only that is believed for its name. */
static bool
is_served(const char *path)
{
	return strncmp(path, "v1/", 3) == 0;
}

int
repo_temp_install(
    struct repo *r, struct repo_temp *t, const char *path, struct err *e)
{
	int ret = 0;

	if (is_served(path)) {
		ret = record_sum(r, t, path, e);
		if (ret == 0)
			ret = mark_unsynced(r, e);
	}
	if (ret == 0)
		ret = temp_move(r, t, r->fd, path, e);
	else
		repo_temp_discard(r, t);
	return ret;
}

int
repo_temp_install_object(
    struct repo *r, struct repo_temp *t, const struct digest *d, struct err *e)
{
	char hex[DIGEST_HEX], path[REPO_PATH_BYTES];
	int dir = -1, ret = object_dir(r, d, true, &dir, e);

	digest_hex(d, hex);
	repo_path_object(path, d);
	if (ret == 0)
		ret = record_sum(r, t, path, e);
	if (ret == 0)
		ret = mark_unsynced(r, e);
	if (ret == 0)
		ret = temp_move(r, t, dir, hex, e);
	else
		repo_temp_discard(r, t);
	if (ret == 0)
		write_behind_note(r->behind, t->sum.bytes);
	return ret;
}

void
repo_temp_discard(struct repo *r, struct repo_temp *t)
{
	int dir = atomic_load(&r->tmp_fd);

	close_if_open(t->fd);
	t->fd = -1;
	/* What cannot be removed now is removed by repo_clean. */
	if (t->name[0] != '\0' && dir >= 0 &&
	    fsat_unlink(dir, t->name, NULL) != 0)
		errno = 0;
	t->name[0] = '\0';
}

int
repo_temp_nameless(struct repo *r, int *fd, struct err *e)
{
	struct repo_temp t = REPO_TEMP_INIT;
	int ret = repo_temp_new(r, &t, e);

	if (ret != 0)
		return ret;
	*fd = t.fd;
	t.fd = -1;
	repo_temp_discard(r, &t);
	return 0;
}

/* Its temporary is in tmp and not beside it: what is below v1 is served. */
int
repo_put_statement(struct repo *r, const char *path, const void *data,
    size_t len, struct err *e)
{
	struct repo_temp t = REPO_TEMP_INIT;
	int ret = repo_temp_new(r, &t, e);

	if (ret == 0)
		ret = repo_temp_write(&t, data, len, e);
	if (ret == 0)
		ret = fsat_fsync(t.fd, e);
	/* Before the name: whoever compares must not be too early, and after
	 * a crash only the sum of what was there before would be known. */
	if (ret == 0)
		ret = record_sum(r, &t, path, e);
	if (ret == 0)
		ret = repo_sums_sync(&r->sums, e);
	if (ret == 0)
		ret = temp_move(r, &t, r->fd, path, e);
	if (ret == 0)
		ret = sync_folder(r, path, e);
	repo_temp_discard(r, &t);
	return ret == 0 ? 0 : err_prefix(e, "write %s", path);
}

int
repo_switch_head(struct repo *r, const char *channel, const void *data,
    size_t len, struct err *e)
{
	char path[REPO_PATH_BYTES];
	int ret = repo_path_channel(path, channel, e);

	if (ret == 0)
		ret = repo_sync(r, e);
	return ret == 0 ? repo_put_statement(r, path, data, len, e) : ret;
}

int
repo_sync(struct repo *r, struct err *e)
{
	uint64_t installs;
	int ret;

	pthread_mutex_lock(&r->mark_lock);
	installs = r->installs;
	pthread_mutex_unlock(&r->mark_lock);
	ret = write_behind_settle(r->behind, e);
	if (ret == 0)
		ret = repo_sums_flush(&r->sums, e);
	if (ret == 0)
		ret = fsat_syncfs(r->fd, e);
	return ret == 0 ? unmark(r, installs, e) : ret;
}

bool
repo_is_unsynced(struct repo *r)
{
	bool marked;

	pthread_mutex_lock(&r->mark_lock);
	marked = r->is_marked;
	pthread_mutex_unlock(&r->mark_lock);
	return marked;
}

static int
partial_name(char dst[PARTIAL_BYTES], const char *name, struct err *e)
{
	int n = snprintf(dst, PARTIAL_BYTES, PARTIAL_PREFIX "%s", name);

	if (n < 0 || n >= PARTIAL_BYTES || strchr(name, '/') != NULL)
		return err_set(e, ERR_USAGE, "partial file '%s'", name);
	return 0;
}

int
repo_partial_open(struct repo *r, const char *name, int *fd,
    uint64_t *size_bytes, struct err *e)
{
	char file[PARTIAL_BYTES];
	int dir = -1, f = -1, ret = partial_name(file, name, e);
	off_t end = 0;

	if (ret == 0)
		ret = tmp_dir(r, &dir, e);
	if (ret == 0)
		ret = fsat_open_write(dir, file, 0644, &f, e);
	if (ret != 0)
		return ret;
	end = lseek(f, 0, SEEK_END);
	if (end < 0) {
		ret = err_sys(e, "partial file %s", name);
		close(f);
		return ret;
	}
	*fd = f;
	*size_bytes = (uint64_t)end;
	return 0;
}

int
repo_partial_install(
    struct repo *r, const char *name, const char *path, struct err *e)
{
	char file[PARTIAL_BYTES];
	int dir = -1, ret = partial_name(file, name, e);

	if (ret == 0)
		ret = tmp_dir(r, &dir, e);
	if (ret == 0)
		ret = mark_unsynced(r, e);
	if (ret == 0)
		ret = fsat_rename(dir, file, r->fd, path, e);
	return ret;
}

void
repo_partial_discard(struct repo *r, const char *name)
{
	char file[PARTIAL_BYTES];
	int dir = -1;

	if (partial_name(file, name, NULL) == 0 &&
	    tmp_dir(r, &dir, NULL) == 0 && fsat_unlink(dir, file, NULL) != 0)
		errno = 0;
}

static int
clean_one(int dir, const char *name, time_t now, struct err *e)
{
	struct fsat_stat st;
	int ret;

	if (strncmp(name, PARTIAL_PREFIX, strlen(PARTIAL_PREFIX)) == 0) {
		ret = fsat_stat(dir, name, &st, e);
		if (ret != 0)
			return ret;
		if (now - st.mtime.tv_sec < REPO_PARTIAL_DAYS * DAY_S)
			return 0;
	}
	return fsat_remove_tree(dir, name, e);
}

/* A writer ended before it had synced.  A day covers clocks that were set. */
static int
settle(struct repo *r, struct err *e)
{
	struct fsat_stat mark;
	int ret = fsat_stat(r->fd, UNSYNCED, &mark, e);

	if (ret == ERR_NOT_FOUND)
		return 0;
	if (ret == 0)
		ret = repo_settle(r, mark.ctime.tv_sec - DAY_S, e);
	if (ret == 0)
		ret = fsat_syncfs(r->fd, e);
	if (ret == 0)
		ret = fsat_unlink(r->fd, UNSYNCED, e);
	if (ret == 0)
		r->is_marked = false;
	return ret;
}

static int
clean_tmp(struct repo *r, struct err *e)
{
	struct fsat_names names = { NULL, 0 };
	time_t now = time(NULL);
	int dir = -1, ret = tmp_dir(r, &dir, e);

	if (ret == 0)
		ret = fsat_list(dir, &names, e);
	for (size_t i = 0; ret == 0 && i < names.count; i++)
		ret = clean_one(dir, names.names[i], now, e);
	fsat_names_release(&names);
	return ret;
}

/* Files that were written as a whole, below these. */
static int
clean_temporaries(struct repo *r, struct err *e)
{
	static const char *const paths[] = { ".", "cache", "seen", "evidence" };
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < sizeof(paths) / sizeof(*paths); i++)
		ret = fsat_remove_temporaries(r->fd, paths[i], e);
	return ret;
}

int
repo_clean(struct repo *r, struct err *e)
{
	int ret = settle(r, e);

	if (ret == 0)
		ret = clean_temporaries(r, e);
	return ret == 0 ? clean_tmp(r, e) : ret;
}
