/* JSON by jansson; used where a program reports, or keeps small state. */
#include "common/json.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"

struct json {
	json_t *value;
	bool failed; /* memory ran out for it or something in it */
};

static struct json *
wrap(json_t *value)
{
	struct json *j = calloc(1, sizeof(*j));

	if (j == NULL || value == NULL) {
		free(j);
		json_decref(value);
		return NULL;
	}
	j->value = value;
	return j;
}

struct json *
json_object_new(void)
{
	return wrap(json_object());
}

struct json *
json_array_new(void)
{
	return wrap(json_array());
}

void
json_free(struct json *j)
{
	if (j == NULL)
		return;
	json_decref(j->value);
	free(j);
}

/* Takes value, NULL when there was no memory for it. */
static void
set(struct json *j, const char *key, json_t *value)
{
	if (j == NULL)
		json_decref(value);
	else if (json_object_set_new(j->value, key, value) != 0)
		j->failed = true;
}

static bool
is_kept(unsigned char c)
{
	return (c >= 0x01 && c < 0x20) || c == 0x7f; /* JSON has \u for them */
}

static json_t *
escaped(const char *s, size_t len)
{
	json_t *value = NULL;
	struct buf b;
	size_t n;

	buf_init(&b, SIZE_MAX / 8);
	for (; len > 0; s += n, len -= n) {
		n = *s == '\\' ? 0 : text_utf8(s, len);
		if (n == 0 && !is_kept((unsigned char)*s))
			buf_addf(&b, "\\%03o", (unsigned char)*s);
		else
			buf_add(&b, s, n > 0 ? n : 1);
		n = n > 0 ? n : 1;
	}
	if (b.failed == 0)
		value = json_stringn(buf_str(&b), b.len);
	buf_release(&b);
	return value;
}

void
json_set_bytes(struct json *j, const char *key, const char *s, size_t len)
{
	set(j, key, escaped(s, len));
}

void
json_set_string(struct json *j, const char *key, const char *s)
{
	set(j, key, s == NULL ? json_null() : escaped(s, strlen(s)));
}

void
json_set_u64(struct json *j, const char *key, uint64_t n)
{
	char text[24];

	if (n <= INT64_MAX) {
		set(j, key, json_integer((json_int_t)n));
		return;
	}
	(void)snprintf(text, sizeof(text), "%ju", (uintmax_t)n);
	set(j, key, json_string(text));
}

void
json_set_i64(struct json *j, const char *key, int64_t n)
{
	set(j, key, json_integer(n));
}

void
json_set_double(struct json *j, const char *key, double n)
{
	set(j, key, json_real(n));
}

void
json_set_time(struct json *j, const char *key, time_t t)
{
	char text[TEXT_TIME_BYTES];

	text_time(text, t);
	json_set_string(j, key, t == 0 ? NULL : text);
}

void
json_set_bool(struct json *j, const char *key, bool b)
{
	set(j, key, json_boolean(b));
}

/* The value out of its wrapper, which goes; parent learns of its failure. */
static json_t *
unwrap(struct json *parent, struct json *child)
{
	json_t *value = NULL;

	if (child != NULL && child->failed && parent != NULL)
		parent->failed = true;
	if (child != NULL)
		value = json_incref(child->value);
	json_free(child);
	return value;
}

void
json_set_child(struct json *j, const char *key, struct json *child)
{
	set(j, key, unwrap(j, child));
}

static void
append(struct json *array, json_t *value)
{
	if (array == NULL)
		json_decref(value);
	else if (json_array_append_new(array->value, value) != 0)
		array->failed = true;
}

void
json_append(struct json *array, struct json *child)
{
	append(array, unwrap(array, child));
}

void
json_append_string(struct json *array, const char *s)
{
	append(array, escaped(s, strlen(s)));
}

static int
add_text(const char *text, size_t len, void *user)
{
	struct buf *out = user;

	buf_add(out, text, len);
	return out->failed;
}

int
json_write(
    const struct json *j, enum json_style style, struct buf *out, struct err *e)
{
	size_t flags = style == JSON_PRETTY ? JSON_INDENT(2) : JSON_COMPACT;
	int ret = -1;

	if (j != NULL && !j->failed)
		ret = json_dump_callback(j->value, add_text, out, flags);
	if (out->failed != 0)
		return buf_check(out, "JSON text", e);
	return ret != 0 ? err_memory(e) : 0;
}

int
json_print(const struct json *j, enum json_style style, FILE *f, struct err *e)
{
	struct buf text;
	int ret;

	buf_init(&text, SIZE_MAX / 8);
	ret = json_write(j, style, &text, e);
	buf_add_byte(&text, '\n');
	if (ret == 0)
		ret = buf_check(&text, "JSON text", e);
	if (ret == 0 &&
	    (fwrite(text.data, 1, text.len, f) != text.len || fflush(f) != 0))
		ret = err_sys(e, "write JSON");
	buf_release(&text);
	return ret;
}

int
json_parse(const void *text, size_t len, const char *what, struct json **out,
    struct err *e)
{
	json_error_t why;
	json_t *value;
	struct json *j;

	/* jansson takes a NUL for the end of the text. */
	if (len > 0 && memchr(text, '\0', len) != NULL)
		return err_set(e, ERR_FORMAT, "%s: a NUL in the text", what);
	value = json_loadb(len == 0 ? "" : text, len,
	    JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
	if (value == NULL)
		return err_set(
		    e, ERR_FORMAT, "%s:%d: %s", what, why.line, why.text);
	j = wrap(value);
	if (j == NULL)
		return err_memory(e);
	*out = j;
	return 0;
}

static const struct json_value *
seal(const json_t *value)
{
	return (const struct json_value *)(const void *)value;
}

static const json_t *
open_value(const struct json_value *v)
{
	return (const json_t *)(const void *)v;
}

const struct json_value *
json_top(const struct json *j)
{
	return seal(j->value);
}

const struct json_value *
json_member(const struct json_value *v, const char *key)
{
	return seal(json_object_get(open_value(v), key));
}

size_t
json_length(const struct json_value *v)
{
	return json_array_size(open_value(v));
}

const struct json_value *
json_item(const struct json_value *v, size_t i)
{
	return seal(json_array_get(open_value(v), i));
}

/* The member or, without key, v; *value only on success. */
static int
get(const struct json_value *v, const char *key, const json_t **value,
    struct err *e)
{
	const struct json_value *found = key == NULL ? v : json_member(v, key);

	if (found == NULL)
		return err_set(e, ERR_NOT_FOUND, "no member \"%s\"",
		    key == NULL ? "" : key);
	*value = open_value(found);
	return 0;
}

static int
no_such(const char *key, const char *type, struct err *e)
{
	return err_set(e, ERR_FORMAT, "member \"%s\" is no %s",
	    key == NULL ? "" : key, type);
}

int
json_get_string(
    const struct json_value *v, const char *key, const char **s, struct err *e)
{
	const json_t *value = NULL;
	int ret = get(v, key, &value, e);

	if (ret != 0)
		return ret;
	if (!json_is_string(value))
		return no_such(key, "string", e);
	*s = json_string_value(value);
	return 0;
}

int
json_get_i64(
    const struct json_value *v, const char *key, int64_t *n, struct err *e)
{
	const json_t *value = NULL;
	int ret = get(v, key, &value, e);

	if (ret != 0)
		return ret;
	if (!json_is_integer(value))
		return no_such(key, "integer", e);
	*n = json_integer_value(value);
	return 0;
}

int
json_get_u64(
    const struct json_value *v, const char *key, uint64_t *n, struct err *e)
{
	const json_t *value = NULL;
	const char *text;
	int ret = get(v, key, &value, e);

	if (ret != 0)
		return ret;
	if (json_is_integer(value) && json_integer_value(value) >= 0) {
		*n = (uint64_t)json_integer_value(value);
		return 0;
	}
	text = json_string_value(value); /* NULL when it is none */
	if (text == NULL || text_u64(text, strlen(text), UINT64_MAX, n) != 0)
		return no_such(key, "number from 0 up", e);
	return 0;
}

int
json_get_double(
    const struct json_value *v, const char *key, double *n, struct err *e)
{
	const json_t *value = NULL;
	int ret = get(v, key, &value, e);

	if (ret != 0)
		return ret;
	if (!json_is_number(value))
		return no_such(key, "number", e);
	*n = json_number_value(value);
	return 0;
}

int
json_get_bool(
    const struct json_value *v, const char *key, bool *b, struct err *e)
{
	const json_t *value = NULL;
	int ret = get(v, key, &value, e);

	if (ret != 0)
		return ret;
	if (!json_is_boolean(value))
		return no_such(key, "boolean", e);
	*b = json_is_true(value);
	return 0;
}

static bool
is_octal(const char *s)
{
	return s[0] >= '0' && s[0] <= '3' && s[1] >= '0' && s[1] <= '7' &&
	    s[2] >= '0' && s[2] <= '7';
}

int
json_unescape(char *dst, size_t size, const char *s, size_t *len)
{
	size_t n = 0;
	int c;

	for (; *s != '\0'; s++) {
		c = (unsigned char)*s;
		if (c == '\\') {
			if (!is_octal(s + 1))
				return ERR_FORMAT;
			c = (s[1] - '0') << 6 | (s[2] - '0') << 3 |
			    (s[3] - '0');
			s += 3;
		}
		if (n + 1 >= size)
			return ERR_LIMIT;
		dst[n++] = (char)c;
	}
	if (n >= size)
		return ERR_LIMIT;
	dst[n] = '\0';
	*len = n;
	return 0;
}
