/* JSON for results that programs read, and for our own small state files.
 *
 * Strings are bytes to us and UTF-8 to JSON.  In every string that we write, a
 * '\' and each byte that is no part of well-formed UTF-8 (or of a control
 * character above 0x7f) is \ooo, three octal digits; json_unescape turns that
 * into the same bytes again.
 *
 *     struct json *j = json_object_new();
 *     json_set_string(j, "path", path);
 *     json_set_child(j, "counts", counts);
 *     ret = json_write(j, JSON_PRETTY, &out, e);
 *     json_free(j);
 *
 * Builders take NULL, and remember that memory ran out: json_write says so. */
#ifndef COMMON_JSON_H
#define COMMON_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include "common/buf.h"
#include "common/err.h"

struct json;       /* a value being built, or a parsed document */
struct json_value; /* inside a parsed document, which owns it */

enum json_style {
	JSON_ONE_LINE,
	JSON_PRETTY,
};

/* Building.  Members stand in the order in which they were set first. */
struct json *json_object_new(void);
struct json *json_array_new(void);
void json_free(struct json *j);
/* A string that is NULL is written as null. */
void json_set_string(struct json *j, const char *key, const char *s);
void json_set_bytes(struct json *j, const char *key, const char *s, size_t len);
/* Above INT64_MAX, which most readers would round: the digits, as string. */
void json_set_u64(struct json *j, const char *key, uint64_t n);
void json_set_i64(struct json *j, const char *key, int64_t n);
void json_set_double(struct json *j, const char *key, double n);
/* As text_time writes it; 0, for never, is written as null. */
void json_set_time(struct json *j, const char *key, time_t t);
void json_set_bool(struct json *j, const char *key, bool b);
/* child belongs to j from here on, whatever happens. */
void json_set_child(struct json *j, const char *key, struct json *child);
void json_append(struct json *array, struct json *child);
void json_append_string(struct json *array, const char *s);

/* Adds the text, without a line feed at the end. */
MUST_CHECK int json_write(const struct json *j, enum json_style style,
    struct buf *out, struct err *e);
/* The text and a line feed, flushed. */
MUST_CHECK int json_print(
    const struct json *j, enum json_style style, FILE *f, struct err *e);

/* Reading.  One value and nothing after it; duplicate keys are refused.  what
 * names it in messages. */
MUST_CHECK int json_parse(const void *text, size_t len, const char *what,
    struct json **out, struct err *e);
const struct json_value *json_top(const struct json *j);
/* NULL when v is no object or has no such member. */
const struct json_value *json_member(
    const struct json_value *v, const char *key);
/* 0 and NULL when v is no array. */
size_t json_length(const struct json_value *v);
const struct json_value *json_item(const struct json_value *v, size_t i);

/* Of member key; ERR_NOT_FOUND when there is none, ERR_FORMAT when it is
 * something else.  With key NULL, of v itself. */
MUST_CHECK int json_get_string(
    const struct json_value *v, const char *key, const char **s, struct err *e);
MUST_CHECK int json_get_u64(
    const struct json_value *v, const char *key, uint64_t *n, struct err *e);
MUST_CHECK int json_get_i64(
    const struct json_value *v, const char *key, int64_t *n, struct err *e);
/* Of any number. */
MUST_CHECK int json_get_double(
    const struct json_value *v, const char *key, double *n, struct err *e);
MUST_CHECK int json_get_bool(
    const struct json_value *v, const char *key, bool *b, struct err *e);

/* The bytes that were written as s, and a NUL, into dst.  ERR_LIMIT: too
 * long. */
MUST_CHECK int json_unescape(
    char *dst, size_t size, const char *s, size_t *len);

#endif
