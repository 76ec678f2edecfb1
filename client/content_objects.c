/* Content from a server's objects; runs in the applier. */
#include <stdlib.h>

#include "client/content_impl.h"
#include "client/update.h"
#include "common/log.h"

#define WANTS 65536 /* asked for in one go */

int
content_drop_part(struct content *c, struct err *e)
{
	return c->current == NULL
	    ? 0
	    : content_file_end(c, "broken off", &c->counts.object_files, e);
}

static int
object_begin(void *arg, const struct fetch_want *want, struct err *e)
{
	struct content *c = arg;
	int rc = content_drop_part(c, e);

	c->spliced = false;
	return rc != 0
	    ? rc
	    : content_file_begin(c, content_find(c, &want->digest), e);
}

/* An object that was cut off goes on. */
static int
object_rest(void *arg, const struct fetch_want *want, struct err *e)
{
	struct content *c = arg;

	(void)want;
	(void)e;
	c->spliced = true;
	return 0;
}

static int
object_data(void *arg, const void *data, size_t len, struct err *e)
{
	return content_file_write(arg, data, len, e);
}

/* The server's first failing; what else it has is taken all the same. */
static void
note_failing(
    struct content *c, int code, const struct fetch_want *want, const char *why)
{
	char hex[DIGEST_HEX];

	if (c->failing.code != 0)
		return;
	digest_hex(&want->digest, hex);
	(void)err_set(&c->failing, code, "object %s: %s", hex, why);
}

static int
object_end(
    void *arg, const struct fetch_want *want, const char *bad, struct err *e)
{
	struct content *c = arg;

	/* Servers may have compressed it differently: no fault of this one. */
	if (bad != NULL && c->spliced)
		c->again = true;
	else if (bad != NULL)
		note_failing(c, ERR_VERIFY, want, bad);
	return content_file_end(c, bad, &c->counts.object_files, e);
}

static int
object_missing(void *arg, const struct fetch_want *want, struct err *e)
{
	struct content *c = arg;

	note_failing(c, ERR_NOT_FOUND, want, "the server lacks it");
	return c->current != NULL &&
	        digest_equal(&c->current->digest, &want->digest)
	    ? content_drop_part(c, e)
	    : 0;
}

static void
add_want(struct fetch_want *wants, size_t *count, const struct plan_item *item)
{
	wants[*count].digest = item->digest;
	wants[(*count)++].size_bytes = item->size_bytes;
}

/* The first file of each content not yet there, in the order of paths, from the
 * item *at on.  One that was cut off comes first. */
static size_t
list_wants(const struct content *c, struct fetch_want *wants, size_t *at)
{
	const struct plan *p = c->plan;
	size_t n = 0;

	if (*at == 0 && c->current != NULL)
		add_want(wants, &n, c->current);
	while (*at < p->item_count && n < WANTS) {
		const struct plan_item *item = plan_item(p, (*at)++);

		if (item != c->current && content_is_wanted(item) &&
		    content_find(c, &item->digest) == item)
			add_want(wants, &n, item);
	}
	return n;
}

static int
ask_objects(struct content *c, struct err *e)
{
	struct fetch_taker taker = { .form = FETCH_CONTENT,
		.arg = c,
		.begin = object_begin,
		.data = object_data,
		.end = object_end,
		.missing = object_missing,
		.rest = object_rest };
	struct fetch_want *wants = calloc(WANTS, sizeof(*wants));
	size_t at = 0, count;
	int rc = 0;

	if (wants == NULL)
		return err_memory(e);
	c->again = false;
	while (rc == 0 && (count = list_wants(c, wants, &at)) > 0)
		rc = fetch_objects(c->s->fetch, wants, count, &taker, e);
	free(wants);
	return rc;
}

int
content_fill_objects(struct content *c, size_t unused, struct err *e)
{
	int rc;

	(void)unused;
	err_clear(&c->failing);
	do
		rc = ask_objects(c, e);
	while (rc == 0 && c->again);
	if (rc == 0 && c->failing.code != 0) {
		*e = c->failing;
		return e->code;
	}
	return rc;
}
