/* Manifests as they are written, by publishers.  A line is formatted straight
 * into the buffer, which keeps room for the longest one. */
#include "common/text.h"
#include "transcripts/manifest_text.h"

#define BUFFER_BYTES 262144
/* A byte is escaped as four; owner, group, target, path and the rest. */
#define LINE_BYTES \
 ((size_t)4 * (2 * MANIFEST_OWNER_BYTES + 2 * LIMIT_PATH_BYTES) + 256)

struct manifest_writer {
	manifest_sink sink;
	void *arg;
	struct digest_state *state;
	struct manifest_totals totals;
	struct manifest_order order;
	struct manifest_xattr xattr; /* scratch */
	size_t len;
	char data[BUFFER_BYTES + LINE_BYTES];
};

static int
flush(struct manifest_writer *w, struct err *e)
{
	size_t len = w->len;
	int rc;

	w->len = 0;
	digest_add(w->state, w->data, len);
	w->totals.text_bytes += len;
	rc = len == 0 ? 0 : w->sink(w->arg, w->data, len, e);
	if (rc != 0)
		err_prefix(e, "manifest");
	return rc;
}

static int
add_text(struct manifest_writer *w, const char *s, size_t len, struct err *e)
{
	while (len > 0) {
		size_t room = BUFFER_BYTES - w->len;
		int rc;

		if (room > len)
			room = len;
		memcpy(w->data + w->len, s, room);
		w->len += room;
		s += room;
		len -= room;
		rc = w->len < BUFFER_BYTES ? 0 : flush(w, e);
		if (rc != 0)
			return rc;
	}
	return 0;
}

/* What goes into a line; each put_ function says where the next one goes. */
static char *
put_decimal(char *p, uint64_t v)
{
	char digits[20];
	size_t i = sizeof(digits), n;

	do {
		digits[--i] = (char)('0' + v % 10);
		v /= 10;
	} while (v > 0);
	n = sizeof(digits) - i;
	memcpy(p, digits + i, n);
	return p + n;
}

static char *
put_number(char *p, uint64_t v)
{
	p = put_decimal(p, v);
	*p++ = ' ';
	return p;
}

static char *
put_mode(char *p, uint32_t mode)
{
	p[0] = (char)('0' + (mode >> 9 & 7));
	p[1] = (char)('0' + (mode >> 6 & 7));
	p[2] = (char)('0' + (mode >> 3 & 7));
	p[3] = (char)('0' + (mode & 7));
	p[4] = ' ';
	return p + 5;
}

static char *
put_time(char *p, const struct timespec *t)
{
	uint32_t nsec = (uint32_t)t->tv_nsec;
	int i;

	if (t->tv_sec < 0)
		*p++ = '-';
	p = put_decimal(p, (uint64_t)(t->tv_sec < 0 ? -t->tv_sec : t->tv_sec));
	*p++ = '.';
	for (i = 8; i >= 0; i--, nsec /= 10)
		p[i] = (char)('0' + nsec % 10);
	p[9] = ' ';
	return p + 10;
}

static char *
put_name(char *p, const char *s, size_t len)
{
	size_t i;

	if (manifest_is_plain(s, len)) {
		memcpy(p, s, len);
		return p + len;
	}
	for (i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if (manifest_is_plain_byte(s[i])) {
			*p++ = s[i];
			continue;
		}
		*p++ = '\\';
		*p++ = (char)('0' + (c >> 6));
		*p++ = (char)('0' + (c >> 3 & 7));
		*p++ = (char)('0' + (c & 7));
	}
	return p;
}

static char *
put_field(char *p, const char *s, size_t len)
{
	p = put_name(p, s, len);
	*p++ = ' ';
	return p;
}

/* The fields between the group's and the path. */
static char *
put_content(char *p, const struct manifest_entry *m)
{
	switch (m->type) {
	case MANIFEST_FILE:
		p = put_number(p, m->size_bytes);
		manifest_hex(p, &m->digest);
		p[DIGEST_HEX - 1] = ' ';
		return p + DIGEST_HEX;
	case MANIFEST_SYMLINK:
		return put_field(p, m->target, strlen(m->target));
	case MANIFEST_BLOCK:
	case MANIFEST_CHAR:
		return put_number(put_number(p, m->major), m->minor);
	case MANIFEST_DIR:
	case MANIFEST_FIFO:
	case MANIFEST_HARDLINK:
		break;
	}
	return p;
}

static char *
put_line(char *p, const struct manifest_entry *m, size_t path_len)
{
	*p++ = (char)m->type;
	*p++ = ' ';
	if (m->type == MANIFEST_HARDLINK) {
		p = put_field(p, m->target, strlen(m->target));
	} else {
		p = put_mode(p, m->mode);
		p = put_field(p, m->owner, strlen(m->owner));
		p = put_field(p, m->group, strlen(m->group));
		p = put_time(p, &m->mtime);
		p = put_content(p, m);
	}
	p = put_name(p, m->path, path_len);
	*p++ = '\n';
	return manifest_flags_put(p, m->flags);
}

static const char *
metadata_fault(const struct manifest_entry *m)
{
	const char *why = manifest_owner_fault(m->owner, strlen(m->owner));

	if (why == NULL)
		why = manifest_owner_fault(m->group, strlen(m->group));
	if (why != NULL)
		return why;
	if (m->mode > MANIFEST_MODE_MAX)
		return "mode has bits beyond 07777";
	if (m->mtime.tv_nsec < 0 || m->mtime.tv_nsec > 999999999 ||
	    m->mtime.tv_sec > MANIFEST_SEC_MAX ||
	    m->mtime.tv_sec < -MANIFEST_SEC_MAX)
		return "time is out of range";
	return NULL;
}

static const char *
link_fault(const struct manifest_entry *m, size_t path_len)
{
	size_t len = strlen(m->target);

	if (len == 0 || len > LIMIT_PATH_BYTES)
		return "target is empty or longer than 4095 bytes";
	if (m->type == MANIFEST_SYMLINK)
		return NULL;
	if (m->xattrs.len > 0)
		return "xattr of a hard link";
	if (manifest_path_fault(m->target, len) != NULL)
		return "first name of a hard link is no path";
	if (manifest_path_cmp(m->target, len, m->path, path_len) >= 0)
		return "first name of a hard link is not before it";
	return NULL;
}

static const char *
entry_fault(const struct manifest_entry *m, size_t path_len)
{
	const char *why = NULL;

	if (m->type != MANIFEST_HARDLINK)
		why = metadata_fault(m);
	if (why == NULL)
		why = manifest_flags_fault(m);
	if (why != NULL)
		return why;
	switch (m->type) {
	case MANIFEST_SYMLINK:
	case MANIFEST_HARDLINK:
		return link_fault(m, path_len);
	case MANIFEST_FILE:
		return m->size_bytes > MANIFEST_SIZE_MAX ? "is too large"
		                                         : NULL;
	case MANIFEST_BLOCK:
	case MANIFEST_CHAR:
		return m->major > MANIFEST_MAJOR_MAX ||
		        m->minor > MANIFEST_MINOR_MAX
		    ? "device number is out of range"
		    : NULL;
	case MANIFEST_DIR:
	case MANIFEST_FIFO:
		return NULL;
	}
	return "has no type";
}

static const char *
fault(
    struct manifest_writer *w, const struct manifest_entry *m, size_t path_len)
{
	const char *why = entry_fault(m, path_len);
	size_t line;

	if (why == NULL && m->xattrs.len > 0)
		why = manifest_xattrs_fault(m->xattrs, &w->xattr, &line);
	if (why == NULL)
		why =
		    manifest_order_next(&w->order, m->type, m->path, path_len);
	return why;
}

int
manifest_writer_add(struct manifest_writer *w,
    const struct manifest_entry *entry, struct err *e)
{
	size_t path_len = strlen(entry->path);
	const char *why = fault(w, entry, path_len);
	int rc;

	if (why != NULL)
		return err_set(
		    e, ERR_FORMAT, "manifest: %.500s: %s", entry->path, why);
	rc = w->len < BUFFER_BYTES ? 0 : flush(w, e);
	if (rc != 0)
		return rc;
	w->len =
	    (size_t)(put_line(w->data + w->len, entry, path_len) - w->data);
	w->totals.entries++;
	if (entry->type == MANIFEST_FILE)
		w->totals.content_bytes += entry->size_bytes;
	if (entry->xattrs.len == 0)
		return 0;
	rc = w->len < BUFFER_BYTES ? 0 : flush(w, e);
	return rc != 0 ? rc
	               : add_text(w, entry->xattrs.text, entry->xattrs.len, e);
}

int
manifest_writer_new(
    manifest_sink sink, void *arg, struct manifest_writer **out, struct err *e)
{
	struct manifest_writer *w = calloc(1, sizeof(*w));
	int rc;

	if (w == NULL)
		return err_memory(e);
	buf_init(&w->xattr.value, LIMIT_XATTR_BYTES);
	rc = digest_new(&w->state, e);
	if (rc != 0) {
		manifest_writer_free(w);
		return rc;
	}
	w->sink = sink;
	w->arg = arg;
	w->len = strlen(MANIFEST_FIRST_LINE);
	memcpy(w->data, MANIFEST_FIRST_LINE, w->len);
	*out = w;
	return 0;
}

int
manifest_writer_end(
    struct manifest_writer *w, struct manifest_totals *out, struct err *e)
{
	int rc;

	if (!w->order.started)
		return err_set(e, ERR_FORMAT,
		    "manifest: no entry for the "
		    "target itself");
	rc = flush(w, e);
	if (rc != 0)
		return rc;
	digest_end(w->state, &w->totals.digest);
	*out = w->totals;
	return 0;
}

void
manifest_writer_free(struct manifest_writer *w)
{
	if (w == NULL)
		return;
	digest_free(w->state);
	buf_release(&w->xattr.value);
	free(w);
}
