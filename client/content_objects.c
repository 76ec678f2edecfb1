/* Content from a server's objects; runs in the applier. */
#include <stdlib.h>

#include "client/content_impl.h"
#include "client/update.h"
#include "common/log.h"

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

static int
want_by_path(const void *a, const void *b)
{
	const struct plan_item *const *x = a, *const *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* One that was cut off comes first. */
static void
put_first(struct plan_item **list, size_t n, struct plan_item *item)
{
	for (size_t i = 0; i < n; i++)
		if (list[i] == item) {
			memmove(&list[1], list, i * sizeof(struct plan_item *));
			list[0] = item;
			return;
		}
}

/* The first file of each content not yet there, in the order of paths. */
static int
list_wants(const struct content *c, struct fetch_want **out, size_t *count,
    struct err *e)
{
	struct plan_item **first;
	size_t n = 0;

	first = calloc(c->file_count + 1, sizeof(struct plan_item *));
	*out = calloc(c->file_count + 1, sizeof(**out));
	if (first == NULL || *out == NULL) {
		free(first);
		free(*out);
		return err_memory(e);
	}
	for (size_t i = 0; i < c->file_count; i++)
		if (!c->files[i]->fetched &&
		    (i == 0 ||
		        !digest_equal(
		            &c->files[i]->digest, &c->files[i - 1]->digest)))
			first[n++] = c->files[i];
	qsort(first, n, sizeof(struct plan_item *), want_by_path);
	put_first(first, n, c->current);
	for (size_t i = 0; i < n; i++) {
		(*out)[i].digest = first[i]->digest;
		(*out)[i].size_bytes = first[i]->size_bytes;
	}
	free(first);
	*count = n;
	return 0;
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
	struct fetch_want *wants = NULL;
	size_t count = 0;
	int rc;

	c->again = false;
	if ((rc = list_wants(c, &wants, &count, e)) != 0)
		return rc;
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
