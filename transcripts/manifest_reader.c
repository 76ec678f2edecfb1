/* Manifests as they are read; every process runs it over text whose digest is
 * known or about to be.  A line is parsed where it lies in the buffer: spaces
 * become NULs, and nothing is allocated or copied for an entry.  All pointer
 * arithmetic on the text is in the cursor functions below. */
#include "common/fsat.h"
#include "common/gzip.h"
#include "common/text.h"
#include "transcripts/manifest_text.h"

#define FIRST_BUFFER (256 * 1024)
/* The lines of one entry must be in memory together. */
#define LAST_BUFFER (2 * LIMIT_MANIFEST_LINE + LIMIT_XATTR_TEXT + 4096)

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
	struct manifest_xattr xattr;
	char scratch[LIMIT_PATH_BYTES + 1];
};

static int
fail(struct manifest_reader *r, int code, const char *why, struct err *e)
{
	r->status = code;
	return err_set(e, code, "manifest: line %llu: %s",
	    (unsigned long long)r->line, why);
}

/* The part of a line that is still to be taken. */
struct cursor {
	char *p, *end; /* *end is the line's LF */
	const char *why;
};

static bool
refuse(struct cursor *c, const char *why)
{
	c->why = why;
	return false;
}

/* Undoes the escapes in place: text only ever gets shorter. */
static bool
unescape(struct cursor *c, struct manifest_reader *r, char *field, size_t *len)
{
	int rc =
	    text_unescape(r->scratch, sizeof(r->scratch), field, *len, len);

	if (rc != 0)
		return refuse(c,
		    rc == ERR_LIMIT ? "name is longer than 4095 bytes"
		                    : "name is not escaped canonically");
	memcpy(field, r->scratch, *len);
	return true;
}

/* The next name, up to a space, which is consumed and becomes a NUL. */
static bool
take_name(struct cursor *c, struct manifest_reader *r, char **name, size_t *len)
{
	char *p = c->p, *space;

	while (manifest_is_plain_byte(*p))
		p++;
	space = *p == ' ' ? p : memchr(p, ' ', (size_t)(c->end - p));
	if (space == NULL)
		return refuse(c, "field is missing");
	*name = c->p;
	*len = (size_t)(space - c->p);
	c->p = space + 1;
	if (p != space && !unescape(c, r, *name, len))
		return false;
	(*name)[*len] = '\0';
	return true;
}

static bool
take_owner(struct cursor *c, struct manifest_reader *r, const char **out)
{
	char *name;
	size_t len;

	if (!take_name(c, r, &name, &len))
		return false;
	c->why = manifest_owner_fault(name, len);
	*out = name;
	return c->why == NULL;
}

static bool
take_target(struct cursor *c, struct manifest_reader *r, const char **out)
{
	char *name;
	size_t len;

	if (!take_name(c, r, &name, &len))
		return false;
	*out = name;
	if (len == 0 || len > LIMIT_PATH_BYTES)
		return refuse(c, "target is empty or longer than 4095 bytes");
	return true;
}

/* The rest of the line.  The NUL is put last: a byte stored before would stall
 * every wide load that looks at the path. */
static bool
take_path(struct cursor *c, struct manifest_reader *r)
{
	struct manifest_entry *m = &r->entry;
	char *path = c->p;
	size_t len = (size_t)(c->end - path);

	if (!manifest_is_plain(path, len) && !unescape(c, r, path, &len))
		return false;
	c->why = manifest_order_next(&r->order, m->type, path, len);
	path[len] = '\0';
	m->path = path;
	return c->why == NULL;
}

/* Four octal digits and a space. */
static bool
take_mode(struct cursor *c, uint32_t *mode)
{
	uint32_t n = 0;
	int i;

	if (c->end - c->p < 5 || c->p[4] != ' ')
		return refuse(c, "mode is not four octal digits");
	for (i = 0; i < 4; i++) {
		uint32_t digit = (uint32_t)(unsigned char)c->p[i] - '0';

		if (digit > 7)
			return refuse(c, "mode is not four octal digits");
		n = n << 3 | digit;
	}
	c->p += 5;
	*mode = n;
	return true;
}

static size_t
take_digits(struct cursor *c, uint64_t *v)
{
	size_t n = manifest_digits(c->p, (size_t)(c->end - c->p), v);

	c->p += n;
	return n;
}

/* SEC.NSEC and a space.  Seconds may be negative, but not -0. */
static bool
take_time(struct cursor *c, struct timespec *t)
{
	static const char why[] = "time is not SECONDS.NANOSECONDS";
	bool minus = *c->p == '-';
	uint64_t sec, nsec;
	const char *first;
	size_t n;

	c->p += minus;
	first = c->p;
	n = take_digits(c, &sec);
	if (n == 0 || (*first == '0' && (n > 1 || minus)) || *c->p != '.')
		return refuse(c, why);
	c->p++;
	if (take_digits(c, &nsec) != 9 || *c->p != ' ')
		return refuse(c, why);
	c->p++;
	t->tv_sec = minus ? -(time_t)sec : (time_t)sec;
	t->tv_nsec = (long)nsec;
	return true;
}

/* A canonical number and a space. */
static bool
take_number(struct cursor *c, uint64_t max, uint64_t *v)
{
	const char *first = c->p;
	size_t n = take_digits(c, v);

	if (n == 0 || (*first == '0' && n > 1) || *c->p != ' ' || *v > max)
		return refuse(c, "number is not canonical or too large");
	c->p++;
	return true;
}

/* 64 digits and a space. */
static bool
take_digest(struct cursor *c, struct digest *d)
{
	const size_t len = DIGEST_HEX - 1;

	if ((size_t)(c->end - c->p) <= len || c->p[len] != ' ' ||
	    !manifest_unhex(d, c->p))
		return refuse(c, "digest is not 64 lower-case hex digits");
	c->p += len + 1;
	return true;
}

static bool
take_device(struct cursor *c, struct manifest_entry *m)
{
	uint64_t major, minor;

	if (!take_number(c, MANIFEST_MAJOR_MAX, &major) ||
	    !take_number(c, MANIFEST_MINOR_MAX, &minor))
		return false;
	m->major = (uint32_t)major;
	m->minor = (uint32_t)minor;
	return true;
}

/* The first name comes earlier and could be a file of this manifest. */
static bool
check_first_name(struct cursor *c, const struct manifest_entry *m)
{
	size_t len = strlen(m->target);

	if (manifest_path_fault(m->target, len) != NULL)
		return refuse(c, "first name of a hard link is no path");
	if (manifest_path_cmp(m->target, len, m->path, strlen(m->path)) >= 0)
		return refuse(c, "first name of a hard link is not before it");
	return true;
}

/* The fields between the group's and the path. */
static bool
take_content(struct cursor *c, struct manifest_reader *r)
{
	struct manifest_entry *m = &r->entry;

	switch (m->type) {
	case MANIFEST_FILE:
		return take_number(c, MANIFEST_SIZE_MAX, &m->size_bytes) &&
		    take_digest(c, &m->digest);
	case MANIFEST_SYMLINK:
		return take_target(c, r, &m->target);
	case MANIFEST_BLOCK:
	case MANIFEST_CHAR:
		return take_device(c, m);
	case MANIFEST_DIR:
	case MANIFEST_FIFO:
		return true;
	case MANIFEST_HARDLINK: /* has no such fields */
		return true;
	}
	return refuse(c, "line begins with no type of object");
}

static bool
is_type(char c)
{
	switch (c) {
	case MANIFEST_DIR:
	case MANIFEST_FILE:
	case MANIFEST_SYMLINK:
	case MANIFEST_HARDLINK:
	case MANIFEST_FIFO:
	case MANIFEST_BLOCK:
	case MANIFEST_CHAR:
		return true;
	default:
		return false;
	}
}

/* Field by field: compilers zero the whole of it by "rep stos", which alone
 * took a seventh of the time of an entry. */
static void
clear_entry(struct manifest_entry *m)
{
	m->mode = 0;
	m->owner = NULL;
	m->group = NULL;
	m->mtime.tv_sec = 0;
	m->mtime.tv_nsec = 0;
	m->size_bytes = 0;
	memset(m->digest.b, 0, sizeof(m->digest.b));
	m->target = NULL;
	m->major = 0;
	m->minor = 0;
}

static bool
take_entry(struct cursor *c, struct manifest_reader *r)
{
	struct manifest_entry *m = &r->entry;

	clear_entry(m);
	if (c->end - c->p < 2 || !is_type(c->p[0]) || c->p[1] != ' ')
		return refuse(c, "line begins with no type of object");
	m->type = (enum manifest_type)c->p[0];
	c->p += 2;
	if (m->type == MANIFEST_HARDLINK)
		return take_target(c, r, &m->target) && take_path(c, r) &&
		    check_first_name(c, m);
	return take_mode(c, &m->mode) && take_owner(c, r, &m->owner) &&
	    take_owner(c, r, &m->group) && take_time(c, &m->mtime) &&
	    take_content(c, r) && take_path(c, r);
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

/* Whether an xattr line begins at offset `at` from pos. */
static int
peek_xattr(struct manifest_reader *r, size_t at, bool *is_xattr, struct err *e)
{
	while (r->pos + at == r->len && !r->at_end) {
		int rc = fill(r, e);

		if (rc != 0)
			return rc;
	}
	*is_xattr = r->pos + at < r->len && r->data[r->pos + at] == 'x';
	return 0;
}

/* Brings an entry's line and those of its xattrs into memory together. */
static int
gather(struct manifest_reader *r, size_t *line, size_t *xattrs, struct err *e)
{
	bool more;
	size_t len, sum = 0;
	int rc = measure_line(r, 0, line, e);

	while (rc == 0 && *line > 0) {
		rc = peek_xattr(r, *line + sum, &more, e);
		if (rc != 0 || !more)
			break;
		rc = measure_line(r, *line + sum, &len, e);
		sum += len;
		if (rc == 0 && sum > LIMIT_XATTR_TEXT)
			rc = fail(r, ERR_LIMIT, "more than 1 MiB of xattrs", e);
	}
	*xattrs = sum;
	return rc;
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
parse(struct manifest_reader *r, size_t line, size_t xattrs, struct err *e)
{
	char *begin = r->data + r->pos;
	struct cursor c = { begin, begin + line - 1, NULL };
	size_t lines;
	int rc;

	if (!take_entry(&c, r))
		return fail(r, ERR_FORMAT, c.why, e);
	r->entry.xattrs.text = begin + line;
	r->entry.xattrs.len = xattrs;
	rc = parse_xattrs(r, &lines, e);
	if (rc != 0)
		return rc;
	r->pos += line + xattrs;
	r->line += lines;
	return 0;
}

int
manifest_reader_next(struct manifest_reader *r,
    const struct manifest_entry **entry, struct err *e)
{
	size_t line, xattrs;
	int rc;

	if (r->status != 0)
		return err_set(e, r->status, "manifest: was refused before");
	r->line++;
	rc = gather(r, &line, &xattrs, e);
	if (rc != 0)
		return rc;
	rc = line == 0 ? finish(r, e) : parse(r, line, xattrs, e);
	if (rc != 0)
		return rc;
	*entry = line == 0 ? NULL : &r->entry;
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
