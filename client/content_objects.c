/* Content from a server's objects; runs in the applier. */
#include <stdlib.h>

#include "client/content_impl.h"
#include "client/update.h"
#include "common/log.h"

static int
object_begin(void *arg, const struct fetch_want *want, struct err *e)
{
	struct content *c = arg;

	return content_file_begin(c, content_find(c, &want->digest), e);
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

	if (bad != NULL)
		note_failing(c, ERR_VERIFY, want, bad);
	return content_file_end(c, bad, &c->counts.object_files, e);
}

static int
object_missing(void *arg, const struct fetch_want *want, struct err *e)
{
	(void)e;
	note_failing(arg, ERR_NOT_FOUND, want, "the server lacks it");
	return 0;
}

static int
want_by_path(const void *a, const void *b)
{
	const struct plan_item *const *x = a, *const *y = b;

	return *x < *y ? -1 : *x > *y;
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
	for (size_t i = 0; i < n; i++) {
		(*out)[i].digest = first[i]->digest;
		(*out)[i].size_bytes = first[i]->size_bytes;
	}
	free(first);
	*count = n;
	return 0;
}

int
content_fill_objects(struct content *c, size_t unused, struct err *e)
{
	struct fetch_taker taker = { .form = FETCH_CONTENT,
		.arg = c,
		.begin = object_begin,
		.data = object_data,
		.end = object_end,
		.missing = object_missing };
	struct fetch_want *wants = NULL;
	struct err late = ERR_INIT;
	size_t count = 0;
	int rc;

	(void)unused;
	if ((rc = list_wants(c, &wants, &count, e)) != 0)
		return rc;
	err_clear(&c->failing);
	rc = fetch_objects(c->s->fetch, wants, count, &taker, e);
	free(wants);
	if (rc == 0 && c->failing.code != 0) {
		*e = c->failing;
		return e->code;
	}
	if (rc != 0 && c->current != NULL &&
	    content_file_end(c, "broken off", &c->counts.object_files, &late) !=
	        0) {
		*e = late;
		return late.code;
	}
	return rc;
}
