/* Check sums of stored files: written by whoever writes a repository, read by
 * repo_verify. */
#include "transcripts/repo_sums.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/fsat.h"
#include "common/fscalls.h"

#define SUMS_PATH   "cache/sums"
#define WORD        sizeof(uint64_t)
#define PIECE_BYTES ((size_t)64 * 1024)

/* One to one in both arguments, so that a single difference stays one. */
static uint64_t
step(uint64_t state, uint64_t word)
{
	uint64_t x = (state ^ word) * 0x9e3779b97f4a7c15U;

	return (x << 29) | (x >> 35);
}

void
repo_sum_init(struct repo_sum *s)
{
	s->state = 0;
	s->bytes = 0;
}

void
repo_sum_add(struct repo_sum *s, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t word, state;
	size_t have = s->bytes % WORD, n;

	s->bytes += len;
	if (have > 0) {
		n = len < WORD - have ? len : WORD - have;
		memcpy(s->tail + have, p, n);
		p += n;
		len -= n;
		if (have + n < WORD)
			return;
		memcpy(&word, s->tail, WORD);
		s->state = step(s->state, word);
	}
	state = s->state;
	for (; len >= WORD; len -= WORD, p += WORD) {
		memcpy(&word, p, WORD);
		state = step(state, word);
	}
	s->state = state;
	if (len > 0)
		memcpy(s->tail, p, len);
}

uint64_t
repo_sum_end(const struct repo_sum *s)
{
	uint64_t word = 0, state = s->state;

	if (s->bytes % WORD > 0) {
		memcpy(&word, s->tail, s->bytes % WORD);
		state = step(state, word);
	}
	return step(state, s->bytes);
}

int
repo_sum_fd(int fd, uint64_t *sum, struct err *e)
{
	uint8_t *piece = malloc(PIECE_BYTES);
	struct repo_sum s;
	size_t got = 1;
	int ret = 0;

	if (piece == NULL)
		return err_memory(e);
	repo_sum_init(&s);
	while (ret == 0 && got > 0) {
		ret = fsat_read_some(fd, piece, PIECE_BYTES, &got, e);
		if (ret == 0)
			repo_sum_add(&s, piece, got);
	}
	free(piece);
	if (ret == 0)
		*sum = repo_sum_end(&s);
	return ret;
}

static uint64_t
sum_of_path(const char *path)
{
	struct repo_sum s;

	repo_sum_init(&s);
	repo_sum_add(&s, path, strlen(path));
	return repo_sum_end(&s);
}

void
repo_sums_init(struct repo_sums *s, int repo_fd)
{
	pthread_mutex_init(&s->lock, NULL);
	s->repo_fd = repo_fd;
	s->fd = -1;
	s->count = 0;
}

void
repo_sums_release(struct repo_sums *s)
{
	if (s->fd >= 0)
		close(s->fd);
	pthread_mutex_destroy(&s->lock);
}

/* Behind part of a record, which a full disk may leave, none would be found. */
static int
cut_to_records(int fd, struct err *e)
{
	struct fsat_stat st;
	int ret = fsat_stat_fd(fd, &st, e);
	off_t part;

	if (ret != 0)
		return ret;
	part = (off_t)(st.size_bytes % sizeof(struct repo_sum_record));
	if (part > 0 &&
	    fscalls()->ftruncate(fd, (off_t)st.size_bytes - part) != 0)
		return err_sys(e, "%s", SUMS_PATH);
	return 0;
}

static int
open_sums(struct repo_sums *s, struct err *e)
{
	int fd = -1, ret;

	if (s->fd >= 0)
		return 0;
	ret = fsat_open_write(s->repo_fd, SUMS_PATH, 0600, &fd, e);
	if (ret != 0)
		return ret;
	/* Whole records from any number of processes, none over another. */
	if (fcntl(fd, F_SETFL, O_APPEND) != 0)
		ret = err_sys(e, "%s", SUMS_PATH);
	if (ret == 0)
		ret = cut_to_records(fd, e);
	if (ret != 0) {
		close(fd);
		return ret;
	}
	s->fd = fd;
	return 0;
}

/* With the lock held. */
static int
flush(struct repo_sums *s, struct err *e)
{
	size_t count = s->count;
	int ret;

	if (count == 0)
		return 0;
	ret = open_sums(s, e);
	s->count = 0;
	/* Somebody removed cache: nothing is noted, then. */
	if (ret == ERR_NOT_FOUND)
		return 0;
	if (ret != 0)
		return ret;
	ret = fsat_write_all(s->fd, s->buffer, count * sizeof(s->buffer[0]), e);
	if (ret != 0) {
		close(s->fd);
		s->fd = -1;
	}
	return ret;
}

int
repo_sums_record(
    struct repo_sums *s, const char *path, uint64_t sum, struct err *e)
{
	int ret = 0;

	pthread_mutex_lock(&s->lock);
	s->buffer[s->count].path = sum_of_path(path);
	s->buffer[s->count].file = sum;
	s->count++;
	if (s->count == REPO_SUMS_BUFFER)
		ret = flush(s, e);
	pthread_mutex_unlock(&s->lock);
	return ret;
}

int
repo_sums_flush(struct repo_sums *s, struct err *e)
{
	int ret;

	pthread_mutex_lock(&s->lock);
	ret = flush(s, e);
	pthread_mutex_unlock(&s->lock);
	return ret;
}

int
repo_sums_sync(struct repo_sums *s, struct err *e)
{
	int ret;

	pthread_mutex_lock(&s->lock);
	ret = flush(s, e);
	if (ret == 0 && s->fd >= 0)
		ret = fsat_fsync(s->fd, e);
	pthread_mutex_unlock(&s->lock);
	return ret;
}

static int
by_path(const void *x, const void *y)
{
	const struct repo_sum_record *a = x, *b = y;

	return (a->path > b->path) - (a->path < b->path);
}

static int
read_records(int fd, struct repo_sum_list *out, struct err *e)
{
	struct fsat_stat st;
	size_t size, len = 0, got = 1;
	uint8_t *bytes;
	int ret = fsat_stat_fd(fd, &st, e);

	if (ret != 0)
		return ret;
	size = (size_t)(st.size_bytes - st.size_bytes % sizeof(*out->records));
	bytes = malloc(size + 1);
	if (bytes == NULL)
		return err_memory(e);
	while (ret == 0 && got > 0 && len < size) {
		ret = fsat_read_some(fd, bytes + len, size - len, &got, e);
		len += ret == 0 ? got : 0;
	}
	if (ret != 0) {
		free(bytes);
		return ret;
	}
	out->records = (void *)bytes;
	out->count = len / sizeof(*out->records);
	if (out->count > 0)
		qsort(out->records, out->count, sizeof(*out->records), by_path);
	return 0;
}

int
repo_sum_list_load(int repo_fd, struct repo_sum_list *out, struct err *e)
{
	struct err own = ERR_INIT;
	int fd = -1, ret = fsat_open_file(repo_fd, SUMS_PATH, &fd, &own);

	out->records = NULL;
	out->count = 0;
	if (ret == ERR_NOT_FOUND || own.sys == EACCES)
		return 0;
	if (ret != 0)
		return err_set(e, ret, "%s", own.msg);
	ret = read_records(fd, out, e);
	close(fd);
	return ret;
}

void
repo_sum_list_release(struct repo_sum_list *list)
{
	free(list->records);
	list->records = NULL;
	list->count = 0;
}

bool
repo_sum_list_denies(
    const struct repo_sum_list *list, const char *path, uint64_t sum)
{
	uint64_t key = sum_of_path(path);
	size_t low = 0, high = list->count;
	bool recorded = false;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (list->records[middle].path < key)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < list->count && list->records[low].path == key; low++) {
		if (list->records[low].file == sum)
			return false;
		recorded = true;
	}
	return recorded;
}
