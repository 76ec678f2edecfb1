/* Manifests as they are read; every process runs it over text whose digest is
 * known or about to be.  An entry's lines are brought together in one buffer
 * and parsed where they lie. */
#include "common/fsat.h"
#include "common/gzip.h"
#include "common/text.h"
#include "transcripts/manifest_text.h"

#define FIRST_BUFFER 262144
/* The lines of one entry must be in memory together. */
#define LAST_BUFFER (2 * (size_t)LIMIT_MANIFEST_LINE + LIMIT_XATTR_TEXT + 4096)

struct manifest_reader {
	manifest_source source;
	void *arg;
	/* The source of manifest_reader_open and _open_gzip. */
	struct gzip_reader *gzip;
	int fd;
	uint64_t left;

	struct digest_state *state; /* NULL when skipped */
	struct digest digest;
	uint64_t text_bytes;

	char *data; /* cap bytes, of which len are text, pos of them done */
	size_t pos, len, cap;
	bool at_end;   /* the source has given all */
	int status;    /* what ended the reading early */
	uint64_t line; /* of the entry being read, 1 for the first line */

	struct manifest_order order;
	struct manifest_entry entry;
	uint64_t files; /* before it */
	struct manifest_xattr xattr;
};

static int
fail(struct manifest_reader *r, int code, const char *why, struct err *e)
{
	r->status = code;
	return err_set(e, code, "manifest: line %llu: %s",
	    (unsigned long long)r->line, why);
}

/* Makes room behind the text: moves what is left to the front, or grows. */
static int
make_room(struct manifest_reader *r, struct err *e)
{
	char *data;
	size_t cap;

	if (r->pos > 0) {
		memmove(r->data, r->data + r->pos, r->len - r->pos);
		r->len -= r->pos;
		r->pos = 0;
	}
	if (r->len < r->cap)
		return 0;
	if (r->cap >= LAST_BUFFER)
		return fail(r, ERR_LIMIT, "lines of one entry are too long", e);
	cap = r->cap * 2 < LAST_BUFFER ? r->cap * 2 : LAST_BUFFER;
	data = realloc(r->data, cap);
	if (data == NULL)
		return r->status = err_memory(e);
	r->data = data;
	r->cap = cap;
	return 0;
}

static int
fill(struct manifest_reader *r, struct err *e)
{
	size_t got;
	int rc = make_room(r, e);

	if (rc != 0)
		return rc;
	rc = r->source(r->arg, r->data + r->len, r->cap - r->len, &got, e);
	if (rc != 0) {
		r->status = rc;
		err_prefix(e, "manifest");
		return rc;
	}
	if (r->state != NULL)
		digest_add(r->state, r->data + r->len, got);
	r->text_bytes += got;
	r->at_end = got == 0;
	r->len += got;
	return 0;
}

/* The length of the line that begins at offset `at` from pos, with its LF; 0
 * at the end of the text. */
static int
measure_line(struct manifest_reader *r, size_t at, size_t *len, struct err *e)
{
	size_t seen = at;
	int rc;

	for (;;) {
		char *begin = r->data + r->pos, *lf;
		size_t have = r->len - r->pos;

		lf = memchr(begin + seen, '\n', have - seen);
		if (lf != NULL || (have > at && r->at_end) ||
		    have - at > LIMIT_MANIFEST_LINE) {
			*len = lf == NULL ? 0 : (size_t)(lf + 1 - begin) - at;
			if (lf == NULL && r->at_end)
				return fail(
				    r, ERR_FORMAT, "no LF at the end", e);
			if (lf == NULL || *len > LIMIT_MANIFEST_LINE)
				return fail(r, ERR_LIMIT, "is too long", e);
			return 0;
		}
		if (r->at_end) {
			*len = 0;
			return 0;
		}
		seen = have;
		rc = fill(r, e);
		if (rc != 0)
			return rc;
	}
}

/* Lengths of an entry's lines, with LF; 0 where there is none. */
struct lines {
	size_t entry, flags, xattrs;
};

/* Whether a line with this letter begins at offset `at` from pos. */
static int
peek(struct manifest_reader *r, size_t at, char letter, bool *is_there,
    struct err *e)
{
	while (r->pos + at == r->len && !r->at_end) {
		int rc = fill(r, e);

		if (rc != 0)
			return rc;
	}
	*is_there = r->pos + at < r->len && r->data[r->pos + at] == letter;
	return 0;
}

static int
gather_xattrs(struct manifest_reader *r, struct lines *l, struct err *e)
{
	size_t begin = l->entry + l->flags, len;
	bool more;
	int rc;

	for (;;) {
		rc = peek(r, begin + l->xattrs, 'x', &more, e);
		if (rc != 0 || !more)
			return rc;
		rc = measure_line(r, begin + l->xattrs, &len, e);
		if (rc != 0)
			return rc;
		l->xattrs += len;
		if (l->xattrs > LIMIT_XATTR_TEXT)
			return fail(
			    r, ERR_LIMIT, "more than 1 MiB of xattrs", e);
	}
}

/* Brings an entry's line and those of its flags and xattrs into memory
 * together. */
static int
gather(struct manifest_reader *r, struct lines *l, struct err *e)
{
	bool has_flags;
	int rc;

	*l = (struct lines){ 0, 0, 0 };
	rc = measure_line(r, 0, &l->entry, e);
	if (rc != 0 || l->entry == 0)
		return rc;
	rc = peek(r, l->entry, MANIFEST_FLAGS_LINE, &has_flags, e);
	if (rc == 0 && has_flags)
		rc = measure_line(r, l->entry, &l->flags, e);
	return rc != 0 ? rc : gather_xattrs(r, l, e);
}

static int
finish(struct manifest_reader *r, struct err *e)
{
	if (!r->order.started)
		return fail(r, ERR_FORMAT, "no entry for the target itself", e);
	if (r->state != NULL) {
		digest_end(r->state, &r->digest);
		digest_free(r->state);
		r->state = NULL;
	}
	return 0;
}

static int
parse_xattrs(struct manifest_reader *r, size_t *lines, struct err *e)
{
	const char *why;

	*lines = 0;
	if (r->entry.xattrs.len == 0)
		return 0;
	if (r->entry.type == MANIFEST_HARDLINK) {
		r->line++;
		return fail(r, ERR_FORMAT, "xattr of a hard link", e);
	}
	why = manifest_xattrs_fault(r->entry.xattrs, &r->xattr, lines);
	if (why == NULL)
		return 0;
	r->line += *lines + 1;
	return fail(r, ERR_FORMAT, why, e);
}

static int
parse_flags(
    struct manifest_reader *r, const char *line, size_t len, struct err *e)
{
	const char *why;

	r->entry.flags = 0;
	if (len == 0)
		return 0;
	r->line++;
	why = manifest_flags_parse(line, len, &r->entry);
	return why != NULL ? fail(r, ERR_FORMAT, why, e) : 0;
}

static int
parse(struct manifest_reader *r, const struct lines *l, struct err *e)
{
	char *begin = r->data + r->pos;
	const char *why;
	size_t lines;
	int rc;

	why = manifest_parse_line(begin, l->entry, &r->order, &r->entry);
	if (why != NULL)
		return fail(r, ERR_FORMAT, why, e);
	rc = parse_flags(r, begin + l->entry, l->flags, e);
	if (rc != 0)
		return rc;
	if (r->entry.type == MANIFEST_FILE)
		r->entry.number = r->files++;
	r->entry.xattrs.text = begin + l->entry + l->flags;
	r->entry.xattrs.len = l->xattrs;
	rc = parse_xattrs(r, &lines, e);
	if (rc != 0)
		return rc;
	r->pos += l->entry + l->flags + l->xattrs;
	r->line += lines;
	return 0;
}

int
manifest_reader_next(struct manifest_reader *r,
    const struct manifest_entry **entry, struct err *e)
{
	struct lines l;
	int rc;

	if (r->status != 0)
		return err_set(e, r->status, "manifest: was refused before");
	r->line++;
	rc = gather(r, &l, e);
	if (rc != 0)
		return rc;
	rc = l.entry == 0 ? finish(r, e) : parse(r, &l, e);
	if (rc != 0)
		return rc;
	*entry = l.entry == 0 ? NULL : &r->entry;
	return 0;
}

static int
check_first_line(struct manifest_reader *r, struct err *e)
{
	size_t len;
	int rc;

	r->line = 1;
	rc = measure_line(r, 0, &len, e);
	if (rc != 0)
		return rc;
	if (len != strlen(MANIFEST_FIRST_LINE) ||
	    memcmp(r->data, MANIFEST_FIRST_LINE, len) != 0)
		return fail(r, ERR_FORMAT, "is not \"pecia manifest 1\"", e);
	r->pos = len;
	return 0;
}

static int
reader_alloc(struct manifest_reader **out, struct err *e)
{
	struct manifest_reader *r = calloc(1, sizeof(*r));
	int rc = 0;

	if (r == NULL)
		return err_memory(e);
	r->fd = -1;
	r->cap = FIRST_BUFFER;
	buf_init(&r->xattr.value, LIMIT_XATTR_BYTES);
	r->data = malloc(r->cap);
	if (r->data == NULL)
		rc = err_memory(e);
	if (rc == 0)
		rc = digest_new(&r->state, e);
	if (rc != 0) {
		manifest_reader_free(r);
		return rc;
	}
	*out = r;
	return 0;
}

/* Takes r over. */
static int
reader_start(
    struct manifest_reader *r, struct manifest_reader **out, struct err *e)
{
	int rc = check_first_line(r, e);

	if (rc != 0) {
		manifest_reader_free(r);
		return rc;
	}
	*out = r;
	return 0;
}

int
manifest_reader_new(manifest_source source, void *arg,
    struct manifest_reader **out, struct err *e)
{
	struct manifest_reader *r;
	int rc = reader_alloc(&r, e);

	if (rc != 0)
		return rc;
	r->source = source;
	r->arg = arg;
	return reader_start(r, out, e);
}

/* A manifest_source: the reader's own descriptor, one byte past its limit. */
static int
read_fd(void *arg, void *dst, size_t size, size_t *got, struct err *e)
{
	struct manifest_reader *r = arg;
	int rc;

	if (size > r->left)
		size = (size_t)r->left + 1;
	rc = fsat_read_some(r->fd, dst, size, got, e);
	if (rc != 0)
		return rc;
	if (*got > r->left)
		return err_set(e, ERR_LIMIT, "text is longer than allowed");
	r->left -= *got;
	return 0;
}

static int
read_gzip(void *arg, void *dst, size_t size, size_t *got, struct err *e)
{
	struct manifest_reader *r = arg;

	return gzip_reader_read(r->gzip, dst, size, got, e);
}

int
manifest_reader_open(
    int fd, uint64_t max_bytes, struct manifest_reader **out, struct err *e)
{
	struct manifest_reader *r;
	int rc = reader_alloc(&r, e);

	if (rc != 0)
		return rc;
	r->source = read_fd;
	r->arg = r;
	r->fd = fd;
	r->left = max_bytes;
	return reader_start(r, out, e);
}

int
manifest_reader_open_gzip(
    int fd, uint64_t max_bytes, struct manifest_reader **out, struct err *e)
{
	struct manifest_reader *r;
	int rc = reader_alloc(&r, e);

	if (rc != 0)
		return rc;
	r->source = read_gzip;
	r->arg = r;
	rc = gzip_reader_new(fd, max_bytes, &r->gzip, e);
	if (rc != 0) {
		manifest_reader_free(r);
		return rc;
	}
	return reader_start(r, out, e);
}

void
manifest_reader_free(struct manifest_reader *r)
{
	if (r == NULL)
		return;
	gzip_reader_free(r->gzip);
	digest_free(r->state);
	buf_release(&r->xattr.value);
	free(r->data);
	free(r);
}

void
manifest_reader_skip_digest(struct manifest_reader *r)
{
	digest_free(r->state);
	r->state = NULL;
}

void
manifest_reader_digest(
    const struct manifest_reader *r, struct digest *out, uint64_t *text_bytes)
{
	*out = r->digest;
	*text_bytes = r->text_bytes;
}
