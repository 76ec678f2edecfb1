/* Configuration files: INI sections of `key = value`.
 *
 *     [main]
 *     server = pecia
 *     fallback = a.example.com b.example.com   ; a comment
 *     [transcript base]
 *     target = /
 *
 * A header is [TYPE] or [TYPE NAME]; pairs of brackets within NAME belong to
 * it.  Lines may be indented; a key given again
 * adds a value, in order.  A line starting with ; or #, and what follows " ;",
 * is a comment.  A section given twice, a line that is neither header nor pair
 * nor comment, a NUL or control byte, and a line longer than CONFIG_LINE_BYTES
 * are errors.  Every error names FILE:LINE.
 *
 * Getters leave *v, the caller's default, alone where the key is missing, and
 * take NULL for a section that is not there.  Strings belong to the config. */
#ifndef COMMON_CONFIG_H
#define COMMON_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define CONFIG_LINE_BYTES 8192

struct config;
struct config_section;

/* At most LIMIT_CONFIG_BYTES.  ERR_NOT_FOUND: no such file. */
MUST_CHECK int config_load(
    const char *path, struct config **out, struct err *e);
/* The same from memory; file is for messages. */
MUST_CHECK int config_parse(const char *file, const void *text, size_t len,
    struct config **out, struct err *e);
/* A program's own file, of which [main] is all there may be, with these keys
 * (ending with NULL).  *out and *section are NULL when there is no file and none
 * is needed; *section, which belongs to *out, when [main] is not there. */
MUST_CHECK int config_load_main(const char *path, bool needed,
    const char *const *keys, struct config **out,
    const struct config_section **section, struct err *e);
void config_free(struct config *c);

/* In the order of the file.  Keys before the first header are in a section of
 * type "". */
size_t config_count(const struct config *c);
const struct config_section *config_at(const struct config *c, size_t i);
/* NULL when there is none; name "" for [TYPE]. */
const struct config_section *config_find(
    const struct config *c, const char *type, const char *name);

const char *config_type(const struct config_section *s);
const char *config_name(const struct config_section *s);

/* What a program understands; config_check refuses everything else. */
enum config_naming {
	CONFIG_UNNAMED, /* [type] */
	CONFIG_NAMED,   /* [type NAME], the name by text_is_name */
	CONFIG_PATTERN, /* [type TEXT], any but the empty one */
};
struct config_rule {
	const char *type;
	enum config_naming named;
	const char *const *keys; /* ends with NULL */
};
MUST_CHECK int config_check(const struct config *c,
    const struct config_rule *rules, size_t count, struct err *e);

/* Records "FILE:LINE: key: <text>" for the key's (last) value, or the section's
 * header when it has none.  Returns ERR_USAGE. */
int config_complain(const struct config_section *s, const char *key,
    struct err *e, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

bool config_has(const struct config_section *s, const char *key);
/* Given more than once is an error, here and for all below but the lists. */
MUST_CHECK int config_string(const struct config_section *s, const char *key,
    const char **v, struct err *e);
MUST_CHECK int config_u64(const struct config_section *s, const char *key,
    uint64_t max, uint64_t *v, struct err *e);
/* yes no, true false, on off, 1 0. */
MUST_CHECK int config_bool(
    const struct config_section *s, const char *key, bool *v, struct err *e);
/* Seconds: a number, or with s, m, h, d. */
MUST_CHECK int config_seconds(const struct config_section *s, const char *key,
    uint64_t *v, struct err *e);
/* A number of bytes, or with K, M, G, T (powers of 1024). */
MUST_CHECK int config_bytes(const struct config_section *s, const char *key,
    uint64_t *v, struct err *e);

struct config_list {
	const char **items;
	size_t count;
};
/* Each value of the key one item.  A key that is missing makes an empty list;
 * release with config_list_release. */
MUST_CHECK int config_values(const struct config_section *s, const char *key,
    struct config_list *out, struct err *e);
/* Each blank-separated word of each value one item. */
MUST_CHECK int config_words(const struct config_section *s, const char *key,
    struct config_list *out, struct err *e);
void config_list_release(struct config_list *list);

#endif
