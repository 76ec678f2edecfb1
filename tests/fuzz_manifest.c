/* Manifests: the whole text, and the xattr lines alone.  What the reader
 * accepts must be written back byte by byte. */
#include "tests/fuzz.h"

#include "transcripts/manifest.h"

/* The text, given in pieces so small that lines lie across them. */
struct text {
	const uint8_t *data;
	size_t len;
};

static int
give(void *arg, void *dst, size_t size, size_t *got, struct err *e)
{
	struct text *t = arg;
	size_t piece = 1 + t->len % 61;

	(void)e;
	if (piece > t->len)
		piece = t->len;
	*got = piece < size ? piece : size;
	if (*got > 0)
		memcpy(dst, t->data, *got);
	t->data += *got;
	t->len -= *got;
	return 0;
}

static int
keep(void *arg, const void *data, size_t len, struct err *e)
{
	buf_add(arg, data, len);
	return buf_check(arg, "text", e);
}

static void
must(bool holds)
{
	if (!holds)
		abort();
}

/* True when the reader takes all of it. */
static bool
copy(struct text text, struct buf *again)
{
	const struct manifest_entry *m = NULL;
	struct manifest_reader *r = NULL;
	struct manifest_writer *w = NULL;
	struct manifest_totals totals;
	bool whole = false;

	if (manifest_reader_new(give, &text, &r, NULL) != 0)
		return false;
	must(manifest_writer_new(keep, again, &w, NULL) == 0);
	while (manifest_reader_next(r, &m, NULL) == 0) {
		whole = m == NULL;
		if (whole)
			break;
		must(manifest_writer_add(w, m, NULL) == 0);
	}
	if (whole)
		must(manifest_writer_end(w, &totals, NULL) == 0);
	manifest_reader_free(r);
	manifest_writer_free(w);
	return whole;
}

static void
try_xattrs(const uint8_t *data, size_t size)
{
	struct manifest_xattrs all = { (const char *)data, size };
	struct manifest_xattr x;
	struct buf again;
	bool more = true;

	buf_init(&again, size);
	buf_init(&x.value, LIMIT_XATTR_BYTES);
	while (more && manifest_xattr_next(&all, &x, &more, NULL) == 0) {
		if (more)
			manifest_xattr_add(
			    &again, x.name, x.value.data, x.value.len);
	}
	must(again.failed == 0 && again.len == size - all.len);
	must(again.len == 0 || memcmp(again.data, data, again.len) == 0);
	buf_release(&x.value);
	buf_release(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct text text = { data, size };
	struct buf again;

	buf_init(&again, size);
	if (copy(text, &again))
		must(again.len == size && memcmp(again.data, data, size) == 0);
	buf_release(&again);
	try_xattrs(data, size);
	return 0;
}
