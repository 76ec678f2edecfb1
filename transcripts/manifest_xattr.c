/* The xattr lines of manifests; publishers write them, clients take them
 * apart. */
#include "common/crypto_key.h"
#include "common/text.h"
#include "transcripts/manifest_text.h"

/* An empty value is spelled as text_escape spells an empty text. */
static const char empty_value[] = "\\-";

void
manifest_xattr_add(
    struct buf *text, const char *name, const void *value, size_t len)
{
	buf_add_str(text, "x ");
	text_escape(text, name, strlen(name));
	buf_add_byte(text, ' ');
	if (len == 0)
		buf_add_str(text, empty_value);
	else
		base64_add(text, value, len);
	buf_add_byte(text, '\n');
}

static const char *
parse_value(const char *s, size_t len, struct buf *value)
{
	size_t room = len / 4 * 3, got = 0;
	uint8_t *dst;
	int rc;

	buf_clear(value);
	if (len == strlen(empty_value) && memcmp(s, empty_value, len) == 0)
		return NULL;
	if (len == 0)
		return "xattr has no value";
	if (room > LIMIT_XATTR_BYTES)
		room = LIMIT_XATTR_BYTES;
	dst = buf_reserve(value, room);
	if (dst == NULL)
		return "out of memory";
	rc = base64_decode(s, len, dst, room, &got);
	if (rc == ERR_LIMIT)
		return "xattr value is longer than 65536 bytes";
	if (rc != 0)
		return "xattr value is not canonical base64";
	buf_commit(value, got);
	return NULL;
}

/* One line, without its LF. */
static const char *
parse_line(const char *s, size_t len, struct manifest_xattr *out)
{
	const char *space;
	size_t name_len;

	if (len < 2 || s[0] != 'x' || s[1] != ' ')
		return "line does not begin with \"x \"";
	s += 2;
	len -= 2;
	space = memchr(s, ' ', len);
	if (space == NULL)
		return "xattr has no value";
	if (text_unescape(out->name, sizeof(out->name), s, (size_t)(space - s),
	        &name_len) != 0 ||
	    name_len == 0)
		return "xattr name is empty, too long or not canonical";
	len -= (size_t)(space + 1 - s);
	return parse_value(space + 1, len, &out->value);
}

/* Consumes a line of x, which is not empty, unless something is wrong. */
static const char *
next_line(struct manifest_xattrs *x, struct manifest_xattr *out)
{
	const char *line = x->text, *lf = memchr(line, '\n', x->len), *why;

	if (lf == NULL)
		return "xattr line is cut off";
	why = parse_line(line, (size_t)(lf - line), out);
	if (why != NULL)
		return why;
	x->text = lf + 1;
	x->len -= (size_t)(lf + 1 - line);
	return NULL;
}

int
manifest_xattr_next(struct manifest_xattrs *x, struct manifest_xattr *out,
    bool *more, struct err *e)
{
	const char *why = NULL;

	if (x->len > 0) {
		why = next_line(x, out);
		if (why != NULL)
			return err_set(e, ERR_FORMAT, "manifest: %s", why);
		*more = true;
		return 0;
	}
	*more = false;
	return 0;
}

const char *
manifest_xattrs_fault(
    struct manifest_xattrs x, struct manifest_xattr *scratch, size_t *line)
{
	char before[LIMIT_XATTR_NAME + 1] = "";
	const char *why;

	*line = 0;
	if (x.len > LIMIT_XATTR_TEXT)
		return "has more than 1 MiB of xattrs";
	while (x.len > 0) {
		if (*line >= LIMIT_XATTRS)
			return "has more than 256 xattrs";
		why = next_line(&x, scratch);
		if (why != NULL)
			return why;
		if (strcmp(scratch->name, before) <= 0)
			return "xattr is out of order";
		memcpy(before, scratch->name, sizeof(before));
		++*line;
	}
	return NULL;
}
