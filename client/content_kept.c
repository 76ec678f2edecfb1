/* Content that kept runs hold; runs in the applier. */
#include <stdlib.h>

#include "client/content_impl.h"
#include "client/kept.h"
#include "common/log.h"

static int
take_item(struct content *c, uint64_t number, const struct kept_item *kept,
    struct err *e)
{
	struct manifest_entry m = *kept->m;
	struct err ignored = ERR_INIT;
	char path[KEPT_PATH_BYTES];
	struct plan_item *item;

	if (kept_content_now(
	        c->s->state.dir, number, kept->index, &m, &ignored) != 0)
		return 0; /* another may have it */
	item = content_find(c, &m.digest);
	if (item == NULL || item->fetched)
		return 0;
	kept_content_path(path, number, kept->index);
	return content_copy(
	    c, c->s->state.dir, path, item, &c->counts.kept_files, e);
}

static int
take_run(struct content *c, uint64_t number, struct err *e)
{
	struct kept_facts facts = { .content_bytes = 0 };
	struct err why = ERR_INIT;
	struct kept_item item;
	struct kept *k = NULL;
	bool more = true;
	int state = c->s->state.dir, rc;

	rc = kept_read_facts(state, number, &facts, &why);
	if (rc == 0 && facts.content_bytes == 0)
		return 0;
	if (rc == 0)
		rc = kept_open(state, number, &k, &why);
	if (rc != 0) {
		log_err(LOG_WARNING, "kept run passed over", &why, NULL);
		return 0;
	}
	while (rc == 0 && (rc = kept_next(k, &item, &more, e)) == 0 && more)
		if (item.state == KEPT_CONTENT)
			rc = take_item(c, number, &item, e);
	kept_free(k);
	return rc;
}

int
content_fill_kept(struct content *c, struct err *e)
{
	uint64_t *numbers = NULL;
	size_t count = 0;
	int rc = 0;

	if (c->open_count == 0)
		return 0;
	rc = kept_list(c->s->state.dir, &numbers, &count, e);
	while (rc == 0 && count > 0 && c->open_count > 0)
		rc = take_run(c, numbers[--count], e);
	free(numbers);
	return rc;
}
