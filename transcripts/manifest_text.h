/* What the reader and the writer of manifests share: the order and the rules
 * of paths, names of owners, and digits fast enough for millions of lines.
 * Only manifest_*.c include this. */
#ifndef TRANSCRIPTS_MANIFEST_TEXT_H
#define TRANSCRIPTS_MANIFEST_TEXT_H

#include <stdbool.h>

#include "transcripts/manifest.h"

#define MANIFEST_FIRST_LINE "pecia manifest 1\n"

/* The path before, which with the order of paths is all that must be kept to
 * know that every parent is a directory: a parent is the path before or one
 * of its ancestors. */
struct manifest_order {
	char path[LIMIT_PATH_BYTES + 1];
	size_t len;
	bool is_dir;  /* the entry of path is a directory */
	bool started; /* the entry of the target itself was seen */
};

/* Takes the next entry's path.  NULL, or what is wrong with it: a text that
 * completes "path ...". */
const char *manifest_order_next(struct manifest_order *order,
    enum manifest_type type, const char *path, size_t len);

/* Takes apart a line of len bytes, of which the last is the LF, but not an
 * xattr's: all of m but xattrs.  NULL, or what is wrong.  The line is
 * overwritten; m points into it. */
const char *manifest_parse_line(char *line, size_t len,
    struct manifest_order *order, struct manifest_entry *m);

/* NULL, or what is wrong with the name of a user or group. */
const char *manifest_owner_fault(const char *name, size_t len);

/* No byte that would have to be escaped. */
bool manifest_is_plain(const char *s, size_t len);
static inline bool
manifest_is_plain_byte(char c)
{
	return (unsigned char)c > 0x20 && c != 0x7f && c != '\\';
}

/* The decimal digits that s begins with, at most MANIFEST_DIGITS of the max
 * bytes there are; how many they were. */
#define MANIFEST_DIGITS 18 /* no sum of so many overflows */
size_t manifest_digits(const char *s, size_t max, uint64_t *v);

/* 64 lower-case hex digits; false for anything else. */
bool manifest_unhex(struct digest *out, const char *s);
void manifest_hex(char *dst, const struct digest *d);

/* The line of flags, which follows the line of an entry that has any.  parse
 * takes it with its LF and gives NULL or what is wrong; fault says the same of
 * flags that are to be written; put says where the next line goes. */
#define MANIFEST_FLAGS_LINE 'a'
const char *manifest_flags_parse(
    const char *line, size_t len, struct manifest_entry *m);
const char *manifest_flags_fault(const struct manifest_entry *m);
char *manifest_flags_put(char *p, unsigned flags);

/* NULL, or what is wrong with the lines of one entry's xattrs; *line counts
 * those before the wrong one.  scratch must have its value initialised. */
const char *manifest_xattrs_fault(
    struct manifest_xattrs x, struct manifest_xattr *scratch, size_t *line);

#endif
