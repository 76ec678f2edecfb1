/* Waived attributes; runs in the client. */
#include "transcripts/waived.h"

#include "common/text.h"

const char *
waived_fault(const char *pattern)
{
	const char *star = strchr(pattern, '*');

	if (*pattern == '\0')
		return "no name of an attribute";
	if (star != NULL && star[1] != '\0')
		return "'*' can only stand at the end";
	return strpbrk(pattern, " \n") != NULL ? "a space or a new line" : NULL;
}

static bool
matches(const char *pattern, size_t len, const char *name)
{
	if (pattern[len - 1] == '*')
		return strncmp(pattern, name, len - 1) == 0;
	return strncmp(pattern, name, len) == 0 && name[len] == '\0';
}

bool
waived_xattr(const char *patterns, const char *name)
{
	const char *p = patterns;

	while (p != NULL && *p != '\0') {
		size_t len = strcspn(p, " ");

		if (len > 0 && matches(p, len, name))
			return true;
		p += len + (p[len] == ' ');
	}
	return false;
}

void
waived_filter(const char *patterns, struct manifest_xattrs x, struct buf *out)
{
	char name[LIMIT_XATTR_NAME + 1];
	size_t len = x.len;

	for (const char *line = x.text; len > 0;) {
		const char *lf = memchr(line, '\n', len);
		const char *space = memchr(line + 2, ' ', len - 2);
		size_t n = lf == NULL ? len : (size_t)(lf + 1 - line), got;

		/* The lines are whole: their reader saw to it. */
		if (space == NULL ||
		    text_unescape(name, sizeof(name), line + 2,
		        (size_t)(space - line) - 2, &got) != 0 ||
		    !waived_xattr(patterns, name))
			buf_add(out, line, n);
		line += n;
		len -= n;
	}
}

void
waived_line(const char *patterns, struct buf *out)
{
	buf_addf(out, WAIVED_LINE "%s\n", patterns);
}

int
waived_take_line(const char *text, char *patterns, size_t room,
    const char **rest, struct err *e)
{
	size_t skip = strlen(WAIVED_LINE), len;

	patterns[0] = '\0';
	*rest = text;
	if (strncmp(text, WAIVED_LINE, skip) != 0)
		return 0;
	len = strcspn(text + skip, "\n");
	if (len >= room)
		return err_set(
		    e, ERR_LIMIT, "more names of waived attributes than fit");
	memcpy(patterns, text + skip, len);
	patterns[len] = '\0';
	*rest = text + skip + len + (text[skip + len] == '\n');
	return 0;
}
