/* The extended attributes of a file as lines of a manifest; publishers and
 * clients. */
#include "transcripts/scan.h"

static int
by_bytes(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return strcmp(*x, *y);
}

/* Pointers to the names, sorted. */
static int
sort_names(
    const struct buf *list, const char **names, size_t *count, struct err *e)
{
	const char *s = buf_str(list), *end = s + list->len;
	size_t n = 0;

	for (; s < end; s += strlen(s) + 1) {
		if (n == LIMIT_XATTRS)
			return err_set(e, ERR_LIMIT,
			    "more than %d extended attributes", LIMIT_XATTRS);
		names[n++] = s;
	}
	qsort(names, n, sizeof(*names), by_bytes);
	*count = n;
	return 0;
}

static int
add_values(int dir, const char *name, const struct buf *list, struct buf *text,
    struct err *e)
{
	const char *names[LIMIT_XATTRS];
	struct buf value;
	size_t i, count = 0;
	int rc = sort_names(list, names, &count, e);

	if (rc != 0)
		return rc;
	buf_init(&value, LIMIT_XATTR_BYTES);
	for (i = 0; i < count && rc == 0; i++) {
		buf_clear(&value);
		rc = fsat_xattr_get(dir, name, names[i], &value, e);
		if (rc == 0)
			manifest_xattr_add(
			    text, names[i], value.data, value.len);
	}
	buf_release(&value);
	return rc != 0 ? rc : buf_check(text, "extended attributes", e);
}

int
scan_xattrs(int dir, const char *name, struct buf *text, struct err *e)
{
	struct buf list;
	int rc;

	buf_init(&list, LIMIT_XATTR_BYTES);
	rc = fsat_xattr_list(dir, name, &list, e);
	if (rc == 0 && list.len > 0)
		rc = add_values(dir, name, &list, text, e);
	buf_release(&list);
	return rc;
}
