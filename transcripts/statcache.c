/* The stat cache of publishers and clients.
 *
 * File, all numbers little-endian: a header of 40 bytes (magic, version,
 * seconds and nanoseconds of the pass's start, checksum of all that); blocks;
 * an empty block.  A block is 16 bytes (length of its records, their number,
 * checksum) and the records.  A record is struct wire, the part of its path
 * that differs from the one before in the block, and its xattr lines.
 * From: front-coded paths make a million records 109 MB instead of 139. */
#include "transcripts/statcache.h"

#include <endian.h>

#include "common/fsat.h"

#define MAGIC       "pecia statcache\n"
#define MAGIC_BYTES (sizeof(MAGIC) - 1)
#define VERSION     1

#define BLOCK_BYTES 65536 /* a block is written once it is so long */
#define BLOCK_MAX \
 (BLOCK_BYTES + sizeof(struct wire) + LIMIT_PATH_BYTES + LIMIT_XATTR_TEXT)

struct header {
	char magic[MAGIC_BYTES];
	uint32_t version;
	uint32_t started_nsec;
	int64_t started_sec;
	uint64_t sum; /* of all before */
};

struct block {
	uint32_t len;
	uint32_t records;
	uint64_t sum; /* of the records' bytes, their number and the block's */
};

struct wire {
	uint16_t shared; /* bytes of the path before that are this one's too */
	uint16_t suffix; /* bytes of path that follow */
	uint32_t xattrs; /* bytes of xattr lines that follow the path */
	uint64_t dev, ino, size_bytes;
	int64_t mtime_sec, ctime_sec;
	uint32_t mtime_nsec, ctime_nsec;
	uint8_t digest[DIGEST_BYTES];
};

_Static_assert(sizeof(struct header) == 40, "no padding");
_Static_assert(sizeof(struct block) == 16, "no padding");
_Static_assert(sizeof(struct wire) == 88, "no padding");

/* Against accidents, not against attackers: each step is a bijection, so that
 * no change of one word can be lost. */
static uint64_t
checksum(const void *data, size_t len, uint64_t seed)
{
	const uint8_t *p = data;
	uint64_t h = seed ^ (len * 0x9e3779b97f4a7c15ULL), word;

	for (; len >= sizeof(word); p += sizeof(word), len -= sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		h = (h ^ le64toh(word)) * 0xff51afd7ed558ccdULL;
		h = h << 31 | h >> 33;
	}
	word = 0;
	if (len > 0)
		memcpy(&word, p, len);
	h = (h ^ le64toh(word)) * 0xff51afd7ed558ccdULL;
	return h ^ h >> 32;
}

static uint64_t
block_sum(const struct buf *b, uint32_t records, uint64_t number)
{
	return checksum(b->data, b->len, number << 32 ^ records);
}

static int
failed(int rc, struct err *e)
{
	err_prefix(e, "stat cache");
	return rc;
}

struct statcache_writer {
	int fd;
	struct buf block;
	uint32_t records;                /* of the block */
	uint64_t number;                 /* of the block, from 0 */
	char path[LIMIT_PATH_BYTES + 1]; /* of the record before */
	size_t path_len;
	bool started;
};

static int
write_header(int fd, const struct timespec *started, struct err *e)
{
	struct header h = { .version = htole32(VERSION),
		.started_nsec = htole32((uint32_t)started->tv_nsec) };

	memcpy(h.magic, MAGIC, MAGIC_BYTES);
	h.started_sec = (int64_t)htole64((uint64_t)started->tv_sec);
	h.sum = htole64(checksum(&h, offsetof(struct header, sum), 0));
	return fsat_write_all(fd, &h, sizeof(h), e);
}

int
statcache_writer_new(int fd, const struct timespec *started,
    struct statcache_writer **out, struct err *e)
{
	struct statcache_writer *w = calloc(1, sizeof(*w));
	int rc;

	if (w == NULL)
		return err_memory(e);
	w->fd = fd;
	buf_init(&w->block, BLOCK_MAX);
	rc = write_header(fd, started, e);
	if (rc != 0) {
		statcache_writer_free(w);
		return failed(rc, e);
	}
	*out = w;
	return 0;
}

static int
write_block(struct statcache_writer *w, struct err *e)
{
	struct block b = { htole32((uint32_t)w->block.len), htole32(w->records),
		0 };
	int rc;

	b.sum = htole64(block_sum(&w->block, w->records, w->number));
	rc = fsat_write_all(w->fd, &b, sizeof(b), e);
	if (rc == 0)
		rc = fsat_write_all(w->fd, w->block.data, w->block.len, e);
	if (rc != 0)
		return failed(rc, e);
	buf_clear(&w->block);
	w->records = 0;
	w->number++;
	return 0;
}

static void
encode(struct wire *x, const struct statcache_record *r)
{
	x->xattrs = htole32((uint32_t)r->xattrs.len);
	x->dev = htole64(r->dev);
	x->ino = htole64(r->ino);
	x->size_bytes = htole64(r->size_bytes);
	x->mtime_sec = (int64_t)htole64((uint64_t)r->mtime.tv_sec);
	x->ctime_sec = (int64_t)htole64((uint64_t)r->ctime.tv_sec);
	x->mtime_nsec = htole32((uint32_t)r->mtime.tv_nsec);
	x->ctime_nsec = htole32((uint32_t)r->ctime.tv_nsec);
	memcpy(x->digest, r->digest.b, sizeof(x->digest));
}

/* How much of the path before this one has too; none at a block's beginning,
 * so that a block is read without the one before. */
static size_t
shared_with(const struct statcache_writer *w, const char *path, size_t len)
{
	size_t n = 0;

	if (w->records == 0)
		return 0;
	while (n < len && n < w->path_len && path[n] == w->path[n])
		n++;
	return n;
}

static int
check_record(const struct statcache_writer *w, const struct statcache_record *r,
    size_t len, struct err *e)
{
	if (len > LIMIT_PATH_BYTES || r->xattrs.len > LIMIT_XATTR_TEXT)
		return err_set(e, ERR_USAGE,
		    "stat cache: %.500s: path or xattrs too long", r->path);
	if (w->started &&
	    manifest_path_cmp(w->path, w->path_len, r->path, len) >= 0)
		return err_set(
		    e, ERR_USAGE, "stat cache: %.500s: out of order", r->path);
	return 0;
}

int
statcache_writer_add(struct statcache_writer *w,
    const struct statcache_record *record, struct err *e)
{
	size_t len = strlen(record->path), shared;
	struct wire x;
	int rc = check_record(w, record, len, e);

	if (rc != 0)
		return rc;
	shared = shared_with(w, record->path, len);
	x.shared = htole16((uint16_t)shared);
	x.suffix = htole16((uint16_t)(len - shared));
	encode(&x, record);
	buf_add(&w->block, &x, sizeof(x));
	buf_add(&w->block, record->path + shared, len - shared);
	buf_add(&w->block, record->xattrs.text, record->xattrs.len);
	rc = buf_check(&w->block, "stat cache", e);
	if (rc != 0)
		return rc;
	memcpy(w->path + shared, record->path + shared, len - shared);
	w->path_len = len;
	w->started = true;
	w->records++;
	return w->block.len < BLOCK_BYTES ? 0 : write_block(w, e);
}

int
statcache_writer_end(struct statcache_writer *w, struct err *e)
{
	int rc = w->records > 0 ? write_block(w, e) : 0;

	return rc != 0 ? rc : write_block(w, e);
}

void
statcache_writer_free(struct statcache_writer *w)
{
	if (w == NULL)
		return;
	buf_release(&w->block);
	free(w);
}

struct statcache_reader {
	int fd;
	struct timespec trusted; /* times before this one are */
	struct timespec future;  /* no write so far stamped a later one */
	struct buf block;
	struct reader left;
	uint32_t records; /* left in the block */
	uint64_t number;
	bool at_end;
	bool has_record; /* `record` is one, and not passed yet */
	bool found;      /* and of the path that was last asked for */
	int status;      /* what ended the reading early */
	struct statcache_record record;
	char path[LIMIT_PATH_BYTES + 1];
	size_t path_len;
};

static int
damaged(struct err *e, const char *why)
{
	return err_set(e, ERR_FORMAT, "stat cache: %s", why);
}

static int
read_exactly(int fd, void *dst, size_t len, struct err *e)
{
	uint8_t *p = dst;

	while (len > 0) {
		size_t got;
		int rc = fsat_read_some(fd, p, len, &got, e);

		if (rc != 0)
			return failed(rc, e);
		if (got == 0)
			return damaged(e, "cut off");
		p += got;
		len -= got;
	}
	return 0;
}

static int
read_header(struct statcache_reader *r, struct err *e)
{
	struct header h;
	int rc = read_exactly(r->fd, &h, sizeof(h), e);

	if (rc != 0)
		return rc;
	if (memcmp(h.magic, MAGIC, MAGIC_BYTES) != 0)
		return damaged(e, "this file is none");
	if (le64toh(h.sum) != checksum(&h, offsetof(struct header, sum), 0))
		return damaged(e, "header is damaged");
	if (le32toh(h.version) != VERSION)
		return damaged(e, "of another version");
	r->trusted.tv_sec =
	    (time_t)le64toh((uint64_t)h.started_sec) - STATCACHE_SLACK_S;
	r->trusted.tv_nsec = (long)le32toh(h.started_nsec);
	return 0;
}

int
statcache_reader_new(int fd, struct statcache_reader **out, struct err *e)
{
	struct statcache_reader *r = calloc(1, sizeof(*r));
	int rc;

	if (r == NULL)
		return err_memory(e);
	r->fd = fd;
	clock_gettime(CLOCK_REALTIME, &r->future);
	r->future.tv_sec += STATCACHE_SLACK_S;
	buf_init(&r->block, BLOCK_MAX);
	rc = read_header(r, e);
	if (rc != 0) {
		statcache_reader_free(r);
		return rc;
	}
	*out = r;
	return 0;
}

void
statcache_reader_free(struct statcache_reader *r)
{
	if (r == NULL)
		return;
	buf_release(&r->block);
	free(r);
}

static int
expect_end(struct statcache_reader *r, struct err *e)
{
	uint8_t byte;
	size_t got;
	int rc = fsat_read_some(r->fd, &byte, 1, &got, e);

	if (rc != 0)
		return failed(rc, e);
	if (got != 0)
		return damaged(e, "bytes behind the end");
	r->at_end = true;
	return 0;
}

static int
read_block(struct statcache_reader *r, struct err *e)
{
	struct block b;
	size_t len;
	uint8_t *p;
	int rc = read_exactly(r->fd, &b, sizeof(b), e);

	if (rc != 0)
		return rc;
	len = le32toh(b.len);
	r->records = le32toh(b.records);
	if (len > BLOCK_MAX || (len == 0) != (r->records == 0))
		return damaged(e, "block has no possible length");
	buf_clear(&r->block);
	p = buf_reserve(&r->block, len);
	if (p == NULL)
		return err_memory(e);
	rc = read_exactly(r->fd, p, len, e);
	if (rc != 0)
		return rc;
	buf_commit(&r->block, len);
	if (block_sum(&r->block, r->records, r->number) != le64toh(b.sum))
		return damaged(e, "block does not match its checksum");
	r->number++;
	reader_init(&r->left, r->block.data, len);
	r->path_len = 0;
	return len == 0 ? expect_end(r, e) : 0;
}

static void
decode(struct statcache_record *r, const struct wire *x)
{
	r->dev = le64toh(x->dev);
	r->ino = le64toh(x->ino);
	r->size_bytes = le64toh(x->size_bytes);
	r->mtime.tv_sec = (time_t)le64toh((uint64_t)x->mtime_sec);
	r->ctime.tv_sec = (time_t)le64toh((uint64_t)x->ctime_sec);
	r->mtime.tv_nsec = (long)le32toh(x->mtime_nsec);
	r->ctime.tv_nsec = (long)le32toh(x->ctime_nsec);
	memcpy(r->digest.b, x->digest, sizeof(x->digest));
}

static int
read_record(struct statcache_reader *r, struct err *e)
{
	size_t shared, suffix, xattrs;
	const uint8_t *text;
	struct wire x;

	if (reader_copy(&r->left, &x, sizeof(x)) != 0)
		return damaged(e, "record is cut off");
	shared = le16toh(x.shared);
	suffix = le16toh(x.suffix);
	xattrs = le32toh(x.xattrs);
	if (shared > r->path_len || suffix > LIMIT_PATH_BYTES - shared ||
	    reader_copy(&r->left, r->path + shared, suffix) != 0 ||
	    reader_bytes(&r->left, xattrs, &text) != 0)
		return damaged(e, "record has no possible length");
	r->path_len = shared + suffix;
	r->path[r->path_len] = '\0';
	decode(&r->record, &x);
	r->record.path = r->path;
	r->record.xattrs.text = (const char *)text;
	r->record.xattrs.len = xattrs;
	r->records--;
	if (r->records == 0 && reader_left(&r->left) > 0)
		return damaged(e, "bytes behind the records of a block");
	r->has_record = true;
	return 0;
}

static bool
same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool
is_older(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec
	                              : a->tv_nsec < b->tv_nsec;
}

static bool
is_settled(const struct statcache_reader *r)
{
	const struct statcache_record *x = &r->record;

	return (is_older(&x->mtime, &r->trusted) ||
	           is_older(&r->future, &x->mtime)) &&
	    is_older(&x->ctime, &r->trusted);
}

static bool
is_trusted(const struct statcache_reader *r, const struct fsat_stat *st)
{
	const struct statcache_record *x = &r->record;

	return x->dev == st->dev && x->ino == st->ino &&
	    x->size_bytes == st->size_bytes &&
	    same_time(&x->mtime, &st->mtime) &&
	    same_time(&x->ctime, &st->ctime) && is_settled(r);
}

/* Reads on until the record is path's or one behind it: *order says which. */
static int
advance(struct statcache_reader *r, const char *path, int *order, struct err *e)
{
	size_t len = strlen(path);
	int rc = 0;

	*order = 1;
	while (rc == 0 && !r->at_end) {
		if (r->has_record) {
			*order =
			    manifest_path_cmp(r->path, r->path_len, path, len);
			if (*order >= 0)
				return 0;
			r->has_record = false;
		}
		*order = 1;
		rc = r->records > 0 ? read_record(r, e) : read_block(r, e);
	}
	return rc;
}

static int
find_path(
    struct statcache_reader *r, const char *path, bool *found, struct err *e)
{
	int order;

	if (r->status != 0)
		return damaged(e, "was refused before");
	r->status = advance(r, path, &order, e);
	r->found = r->status == 0 && order == 0;
	*found = r->found;
	return r->status;
}

int
statcache_reader_find(struct statcache_reader *r, const char *path,
    const struct fsat_stat *st, const struct statcache_record **record,
    struct err *e)
{
	bool found;
	int rc = find_path(r, path, &found, e);

	if (rc == 0)
		*record = found && is_trusted(r, st) ? &r->record : NULL;
	return rc;
}

int
statcache_reader_settled(struct statcache_reader *r, const char *path,
    const struct statcache_record **record, struct err *e)
{
	bool found;
	int rc = find_path(r, path, &found, e);

	if (rc == 0)
		*record = found && is_settled(r) ? &r->record : NULL;
	return rc;
}

const struct digest *
statcache_reader_guess(
    const struct statcache_reader *r, const struct fsat_stat *st)
{
	const struct statcache_record *x = &r->record;

	return r->found && x->size_bytes == st->size_bytes &&
	        same_time(&x->mtime, &st->mtime) && !digest_is_zero(&x->digest)
	    ? &x->digest
	    : NULL;
}

void
statcache_record_init(struct statcache_record *record, const char *path,
    const struct fsat_stat *st)
{
	*record = (struct statcache_record){ .path = path,
		.dev = st->dev,
		.ino = st->ino,
		.size_bytes = st->size_bytes,
		.mtime = st->mtime,
		.ctime = st->ctime };
}
