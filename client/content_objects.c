/* Content from a server's objects; runs in the applier. */
#include <stdlib.h>

#include "client/content_impl.h"
#include "client/update.h"
#include "common/log.h"

#define WANTS 65536 /* asked for in one go */
#define MANY  256   /* files of one manifest are asked for by themselves */

struct asking {
	struct content *c;
	struct fetch_taker taker;
	struct fetch_want *wants;
	const struct plan_item *cut_off; /* goes first, or NULL */
	size_t *files; /* wanted of each of the plan's manifests */
};

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
	wants[(*count)++] =
	    (struct fetch_want){ item->digest, item->size_bytes, item->number };
}

/* Which of the plan's manifests its number is of; their count, when so few are
 * wanted of it that they are asked for together with those of others. */
static size_t
group_of(const struct asking *a, const struct plan_item *item)
{
	size_t count = a->c->plan->manifest_count;

	return item->source < count && a->files[item->source] >= MANY
	    ? item->source
	    : count;
}

/* The first file of each content not yet there, in the order of paths, from the
 * item *at on. */
static size_t
list_wants(const struct asking *a, size_t group, size_t *at)
{
	const struct plan *p = a->c->plan;
	size_t n = 0;

	while (*at < p->item_count && n < WANTS) {
		const struct plan_item *item = plan_item(p, (*at)++);

		if (item != a->cut_off && content_is_wanted(item) &&
		    group_of(a, item) == group &&
		    content_find(a->c, &item->digest) == item)
			add_want(a->wants, &n, item);
	}
	return n;
}

static void
count_files(struct asking *a)
{
	const struct plan *p = a->c->plan;

	for (size_t i = 0; i < p->item_count; i++) {
		const struct plan_item *item = plan_item(p, i);

		if (content_is_wanted(item) && item->source < p->manifest_count)
			a->files[item->source]++;
	}
}

static int
ask_group(struct asking *a, size_t group, struct err *e)
{
	const struct plan *p = a->c->plan;
	size_t at = 0, count;
	int rc = 0;

	if (group < p->manifest_count && a->files[group] < MANY)
		return 0;
	a->taker.manifest =
	    group < p->manifest_count ? &p->manifests[group] : NULL;
	while (rc == 0 && (count = list_wants(a, group, &at)) > 0)
		rc = fetch_objects(
		    a->c->s->fetch, a->wants, count, &a->taker, e);
	return rc;
}

/* For the fetcher to go on with it. */
static int
ask_cut_off(struct asking *a, struct err *e)
{
	size_t count = 0;

	a->taker.manifest = NULL;
	a->cut_off = a->c->current;
	if (a->cut_off == NULL)
		return 0;
	add_want(a->wants, &count, a->cut_off);
	return fetch_objects(a->c->s->fetch, a->wants, count, &a->taker, e);
}

static int
ask_objects(struct content *c, struct err *e)
{
	const struct fetch_taker taker = { .form = FETCH_CONTENT,
		.arg = c,
		.begin = object_begin,
		.data = object_data,
		.end = object_end,
		.missing = object_missing,
		.rest = object_rest };
	const size_t groups = c->plan->manifest_count + 1;
	struct asking a = { .c = c,
		.taker = taker,
		.wants = calloc(WANTS, sizeof(*a.wants)),
		.files = calloc(groups, sizeof(*a.files)) };
	int rc = a.wants == NULL || a.files == NULL ? err_memory(e) : 0;

	c->again = false;
	if (rc == 0)
		rc = ask_cut_off(&a, e);
	if (rc == 0)
		count_files(&a);
	for (size_t i = 0; i < groups && rc == 0; i++)
		rc = ask_group(&a, i, e);
	free(a.wants);
	free(a.files);
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
