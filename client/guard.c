/* max_delete and protect. */
#include "client/guard.h"

#include <stdlib.h>

#include "common/limits.h"
#include "common/text.h"

void
guard_init(struct guard *g)
{
	memset(g, 0, sizeof(*g));
	g->max_delete.has_percent = true;
	g->max_delete.percent = 50;
}

static void
forget_paths(struct guard *g)
{
	for (size_t i = 0; i < g->protect_count; i++)
		free(g->protect[i]);
	free(g->protect);
	g->protect = NULL;
	g->protect_count = 0;
}

void
guard_release(struct guard *g)
{
	forget_paths(g);
}

/* ---- max_delete ---- */

static bool
take_bound(struct guard_max *max, const char *word, size_t len)
{
	uint64_t n;

	if (len > 1 && word[len - 1] == '%') {
		if (max->has_percent || text_u64(word, len - 1, 100, &n) != 0)
			return false;
		max->has_percent = true;
		max->percent = (unsigned)n;
		return true;
	}
	if (max->has_count || text_u64(word, len, INT64_MAX, &max->count) != 0)
		return false;
	max->has_count = true;
	return true;
}

int
guard_max_parse(const char *text, struct guard_max *out, struct err *e)
{
	struct guard_max max = { .has_percent = false };
	const char *word = text + strspn(text, " \t");
	bool fits = *word != '\0';

	if (strcmp(word, "none") == 0) {
		*out = max;
		return 0;
	}
	while (*word != '\0' && fits) {
		size_t len = strcspn(word, " \t");

		fits = take_bound(&max, word, len);
		word += len + strspn(word + len, " \t");
	}
	if (!fits)
		return err_set(e, ERR_USAGE,
		    "max-delete %s: not a share like 50%%, a number, both or "
		    "none",
		    text);
	*out = max;
	return 0;
}

int
guard_max_check(const struct guard_max *max, uint64_t deletes, uint64_t stays,
    struct err *e)
{
	uint64_t all = deletes + stays;
	bool share = max->has_percent && deletes > GUARD_FEW &&
	    (double)deletes * 100 > (double)all * max->percent;
	bool count = max->has_count && deletes > max->count;
	char limit[64];

	if (!share && !count)
		return 0;
	if (share)
		(void)snprintf(limit, sizeof(limit), "%u%%", max->percent);
	else
		(void)snprintf(limit, sizeof(limit), "%llu",
		    (unsigned long long)max->count);
	return err_set(e, ERR_CONFLICT,
	    "%llu of %llu managed paths would be deleted, max_delete is %s: "
	    "nothing was changed; look with `pecia plan -v`, and if "
	    "that is meant, run once with --max-delete %llu",
	    (unsigned long long)deletes, (unsigned long long)all, limit,
	    (unsigned long long)deletes);
}

/* ---- the configuration ---- */

static int
take_paths(const struct config_section *c, struct guard *g,
    const struct config_list *words, struct err *e)
{
	int rc = 0;

	forget_paths(g);
	if ((g->protect = calloc(words->count, sizeof(*g->protect))) == NULL)
		return err_memory(e);
	for (size_t i = 0; i < words->count && rc == 0; i++) {
		const char *word = words->items[i];

		if (word[strspn(word, "/")] == '\0' ||
		    strlen(word) > LIMIT_TEXT_BYTES)
			rc = config_complain(c, "protect", e,
			    "%.100s: not a pattern of a path", word);
		else if ((g->protect[i] = strdup(word)) == NULL)
			rc = err_memory(e);
		else
			g->protect_count++;
	}
	return rc;
}

int
guard_take(const struct config_section *c, struct guard *g, struct err *e)
{
	struct config_list words = { NULL, 0 };
	struct err why = ERR_INIT;
	const char *max = NULL;
	int rc;

	rc = config_string(c, "max_delete", &max, e);
	if (rc == 0 && max != NULL &&
	    guard_max_parse(max, &g->max_delete, &why) != 0)
		rc = config_complain(c, "max_delete", e, "%s", why.msg);
	if (rc == 0)
		rc = config_words(c, "protect", &words, e);
	if (rc == 0 && words.count > LIMIT_PROTECT)
		rc = config_complain(
		    c, "protect", e, "more than %d", LIMIT_PROTECT);
	else if (rc == 0 && words.count > 0)
		rc = take_paths(c, g, &words, e);
	config_list_release(&words);
	return rc;
}
