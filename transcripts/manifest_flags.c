/* The line of flags in manifests; publishers write it, everybody reads it. */
#include "transcripts/manifest_text.h"

/* In the order in which their letters are written. */
static const struct {
	char letter;
	unsigned flag;
} letters[] = {
	{ 'a', MANIFEST_APPEND },
	{ 'i', MANIFEST_IMMUTABLE },
	{ 's', MANIFEST_SPARSE },
};
#define LETTERS (sizeof(letters) / sizeof(letters[0]))

const char *
manifest_flags_fault(const struct manifest_entry *m)
{
	if (m->flags == 0)
		return NULL;
	if (m->type != MANIFEST_DIR && m->type != MANIFEST_FILE)
		return "flags of what is neither file nor directory";
	if ((m->flags & MANIFEST_SPARSE) != 0 &&
	    (m->type != MANIFEST_FILE || m->size_bytes < MANIFEST_HOLE_BYTES))
		return "holes in what has no room for them";
	return (m->flags & ~(MANIFEST_CHATTR | MANIFEST_SPARSE)) != 0
	    ? "unknown flag"
	    : NULL;
}

const char *
manifest_flags_parse(const char *line, size_t len, struct manifest_entry *m)
{
	const char *p = line + 2, *end = line + len - 1;

	m->flags = 0;
	if (len < 4 || line[0] != MANIFEST_FLAGS_LINE || line[1] != ' ')
		return "line of flags does not begin with \"a \" and a flag";
	for (size_t i = 0; i < LETTERS && p < end; i++) {
		if (*p != letters[i].letter)
			continue;
		m->flags |= letters[i].flag;
		p++;
	}
	if (p < end)
		return "flag is unknown, out of order or there twice";
	return manifest_flags_fault(m);
}

char *
manifest_flags_put(char *p, unsigned flags)
{
	if (flags == 0)
		return p;
	*p++ = MANIFEST_FLAGS_LINE;
	*p++ = ' ';
	for (size_t i = 0; i < LETTERS; i++)
		if ((flags & letters[i].flag) != 0)
			*p++ = letters[i].letter;
	*p++ = '\n';
	return p;
}
