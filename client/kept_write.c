/* Writing a kept run; runs in the applier. */
#include <stdlib.h>
#include <unistd.h>

#include "client/kept.h"
#include "common/fsat.h"
#include "common/text.h"

#define WRITE_BYTES ((size_t)65536)
#define LINE_MAX_BYTES \
 ((size_t)4 * LIMIT_PATH_BYTES + (size_t)4 * LIMIT_NAME_BYTES + 256)

struct kept_writer {
	int facts, before;
	struct digest_state *sum; /* of the facts */
	struct buf text;          /* of the facts, not yet written */
	struct manifest_writer *manifest;
};

static int
before_sink(void *arg, const void *data, size_t len, struct err *e)
{
	const struct kept_writer *w = arg;

	return fsat_write_all(w->before, data, len, e);
}

static int
flush(struct kept_writer *w, struct err *e)
{
	int rc = buf_check(&w->text, "kept", e);

	if (rc != 0)
		return rc;
	digest_add(w->sum, w->text.data, w->text.len);
	rc = fsat_write_all(w->facts, w->text.data, w->text.len, e);
	buf_clear(&w->text);
	return rc;
}

static void
put_release(struct buf *b, const char *key, const struct kept_release *r)
{
	char hex[DIGEST_HEX];

	if (!r->is_any) {
		buf_addf(b, "%s -\n", key);
		return;
	}
	digest_hex(&r->release, hex);
	buf_addf(b, "%s %s %llu %s %s\n", key, r->channel,
	    (unsigned long long)r->serial, hex, r->profile);
}

static void
put_head(struct buf *b, const struct kept_facts *f)
{
	char when[TEXT_TIME_BYTES];

	text_time(when, f->when);
	buf_addf(b, "pecia kept 1\nwhen %s\nby %s\n", when,
	    f->is_rollback ? "rollback" : "run");
	put_release(b, "was", &f->was);
	put_release(b, "now", &f->now);
}

int
kept_writer_new(int dir, const struct kept_facts *facts,
    struct kept_writer **out, struct err *e)
{
	struct kept_writer *w = calloc(1, sizeof(*w));
	int rc;

	if (w == NULL)
		return err_memory(e);
	w->facts = w->before = -1;
	buf_init(&w->text, WRITE_BYTES + LINE_MAX_BYTES);
	if ((rc = digest_new(&w->sum, e)) != 0 ||
	    (rc = fsat_create(dir, "facts", 0600, &w->facts, e)) != 0 ||
	    (rc = fsat_create(dir, "before", 0600, &w->before, e)) != 0 ||
	    (rc = manifest_writer_new(before_sink, w, &w->manifest, e)) != 0) {
		kept_writer_free(w);
		return rc;
	}
	put_head(&w->text, facts);
	*out = w;
	return 0;
}

int
kept_writer_add(
    struct kept_writer *w, const struct kept_item *item, struct err *e)
{
	struct buf *b = &w->text;
	int rc = 0;

	if (item->m != NULL)
		rc = manifest_writer_add(w->manifest, item->m, e);
	if (rc != 0 || item->state == KEPT_CONTEXT)
		return rc;
	if (item->state == KEPT_ABSENT)
		buf_add_str(b, "n ");
	else if (item->state == KEPT_CHANGED)
		buf_add_str(b, "c ");
	else
		buf_addf(b, "f %llu ", (unsigned long long)item->index);
	text_escape(b, item->path, strlen(item->path));
	buf_add_byte(b, '\n');
	return b->len < WRITE_BYTES ? 0 : flush(w, e);
}

static int
put_end(struct kept_writer *w, const struct manifest_totals *totals,
    uint64_t content_bytes, struct err *e)
{
	char hex[DIGEST_HEX];
	struct digest sum;
	int rc;

	digest_hex(&totals->digest, hex);
	buf_addf(&w->text, "before %s %llu\ncontent %llu\n", hex,
	    (unsigned long long)totals->text_bytes,
	    (unsigned long long)content_bytes);
	if ((rc = flush(w, e)) != 0)
		return rc;
	digest_end(w->sum, &sum);
	digest_hex(&sum, hex);
	buf_addf(&w->text, "sum %s\n", hex);
	return fsat_write_all(w->facts, w->text.data, w->text.len, e);
}

int
kept_writer_end(struct kept_writer *w, uint64_t content_bytes, struct err *e)
{
	struct manifest_totals totals;
	int rc = manifest_writer_end(w->manifest, &totals, e);

	if (rc == 0)
		rc = put_end(w, &totals, content_bytes, e);
	if (rc == 0)
		rc = fsat_close(&w->before, "kept manifest", e);
	return rc != 0 ? rc : fsat_close(&w->facts, "kept facts", e);
}

void
kept_writer_free(struct kept_writer *w)
{
	if (w == NULL)
		return;
	manifest_writer_free(w->manifest);
	digest_free(w->sum);
	buf_release(&w->text);
	if (w->facts >= 0)
		close(w->facts);
	if (w->before >= 0)
		close(w->before);
	free(w);
}
