/* One line of a manifest, taken apart where it lies: spaces become NULs, and
 * nothing is allocated or copied.  All pointer arithmetic on manifests is
 * here; every process runs it. */
#include "common/text.h"
#include "transcripts/manifest_text.h"

/* The part of a line that is still to be taken, and what was taken. */
struct cursor {
	char *p, *end; /* *end is the line's LF */
	struct manifest_order *order;
	struct manifest_entry *m;
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
unescape(struct cursor *c, char *field, size_t *len)
{
	char text[LIMIT_PATH_BYTES + 1];
	int rc = text_unescape(text, sizeof(text), field, *len, len);

	if (rc != 0)
		return refuse(c,
		    rc == ERR_LIMIT ? "name is longer than 4095 bytes"
		                    : "name is not escaped canonically");
	memcpy(field, text, *len);
	return true;
}

/* The next name, up to a space, which is consumed and becomes a NUL. */
static bool
take_name(struct cursor *c, char **name, size_t *len)
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
	if (p != space && !unescape(c, *name, len))
		return false;
	(*name)[*len] = '\0';
	return true;
}

static bool
take_owner(struct cursor *c, const char **out)
{
	char *name;
	size_t len;

	if (!take_name(c, &name, &len))
		return false;
	c->why = manifest_owner_fault(name, len);
	*out = name;
	return c->why == NULL;
}

static bool
take_target(struct cursor *c, const char **out)
{
	char *name;
	size_t len;

	if (!take_name(c, &name, &len))
		return false;
	*out = name;
	if (len == 0 || len > LIMIT_PATH_BYTES)
		return refuse(c, "target is empty or longer than 4095 bytes");
	return true;
}

/* The rest of the line.  The NUL is put last: a byte stored before would stall
 * every wide load that looks at the path. */
static bool
take_path(struct cursor *c)
{
	struct manifest_entry *m = c->m;
	char *path = c->p;
	size_t len = (size_t)(c->end - path);

	if (!manifest_is_plain(path, len) && !unescape(c, path, &len))
		return false;
	c->why = manifest_order_next(c->order, m->type, path, len);
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
take_device(struct cursor *c)
{
	uint64_t major, minor;

	if (!take_number(c, MANIFEST_MAJOR_MAX, &major) ||
	    !take_number(c, MANIFEST_MINOR_MAX, &minor))
		return false;
	c->m->major = (uint32_t)major;
	c->m->minor = (uint32_t)minor;
	return true;
}

/* The first name comes earlier and could be a file of this manifest. */
static bool
check_first_name(struct cursor *c)
{
	const struct manifest_entry *m = c->m;
	size_t len = strlen(m->target);

	if (manifest_path_fault(m->target, len) != NULL)
		return refuse(c, "first name of a hard link is no path");
	if (manifest_path_cmp(m->target, len, m->path, strlen(m->path)) >= 0)
		return refuse(c, "first name of a hard link is not before it");
	return true;
}

/* The fields between the group's and the path. */
static bool
take_content(struct cursor *c)
{
	struct manifest_entry *m = c->m;

	switch (m->type) {
	case MANIFEST_FILE:
		return take_number(c, MANIFEST_SIZE_MAX, &m->size_bytes) &&
		    take_digest(c, &m->digest);
	case MANIFEST_SYMLINK:
		return take_target(c, &m->target);
	case MANIFEST_BLOCK:
	case MANIFEST_CHAR:
		return take_device(c);
	case MANIFEST_DIR:
	case MANIFEST_FIFO:
	case MANIFEST_HARDLINK:
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
take_entry(struct cursor *c)
{
	struct manifest_entry *m = c->m;

	clear_entry(m);
	if (c->end - c->p < 2 || !is_type(c->p[0]) || c->p[1] != ' ')
		return refuse(c, "line begins with no type of object");
	m->type = (enum manifest_type)c->p[0];
	c->p += 2;
	if (m->type == MANIFEST_HARDLINK)
		return take_target(c, &m->target) && take_path(c) &&
		    check_first_name(c);
	return take_mode(c, &m->mode) && take_owner(c, &m->owner) &&
	    take_owner(c, &m->group) && take_time(c, &m->mtime) &&
	    take_content(c) && take_path(c);
}

const char *
manifest_parse_line(char *line, size_t len, struct manifest_order *order,
    struct manifest_entry *m)
{
	struct cursor c = { line, line + len - 1, order, m, NULL };

	return take_entry(&c) ? NULL : c.why;
}
