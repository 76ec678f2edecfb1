/* Which kept runs stay; runs in the applier. */
#include <stdlib.h>
#include <unistd.h>

#include "client/keep.h"
#include "common/fsat.h"
#include "common/log.h"

#define DAY_S 86400

int
keep_discard(int state, struct err *e)
{
	return fsat_remove_tree(state, KEPT_NEW, e);
}

int
keep_publish(int state, struct err *e)
{
	struct err mine = ERR_INIT;
	char path[KEPT_PATH_BYTES];
	uint64_t *numbers = NULL;
	struct fsat_stat st;
	size_t count = 0;
	int rc;

	rc = fsat_stat(state, KEPT_NEW, &st, &mine);
	if (rc == ERR_NOT_FOUND)
		return 0;
	if (rc == 0)
		rc = kept_list(state, &numbers, &count, &mine);
	if (rc == 0) {
		(void)snprintf(path, sizeof(path), KEPT_DIR "/%llu",
		    count > 0 ? (unsigned long long)numbers[count - 1] + 1
		              : 1ULL);
		rc = fsat_rename(state, KEPT_NEW, state, path, &mine);
	}
	free(numbers);
	if (rc != 0)
		*e = mine;
	return rc;
}

static int
remove_run(int state, uint64_t number, struct err *e)
{
	char path[KEPT_PATH_BYTES];

	(void)snprintf(
	    path, sizeof(path), KEPT_DIR "/%llu", (unsigned long long)number);
	return fsat_remove_tree(state, path, e);
}

/* Whether a run, of which there are `after` newer ones with `bytes` of
 * content, itself included, is to go. */
static bool
is_past(const struct settings *set, const struct kept_facts *f, size_t after,
    uint64_t bytes, time_t now)
{
	if (after >= set->keep_runs)
		return true;
	if (after == 0)
		return false;
	return bytes > set->keep_bytes ||
	    (f->when < now &&
	        (uint64_t)(now - f->when) / DAY_S >= set->keep_age_days);
}

int
keep_prune(const struct session *s, struct err *e)
{
	struct kept_facts f = { .number = 0 };
	struct err why = ERR_INIT;
	uint64_t *numbers = NULL, bytes = 0;
	size_t count = 0, i;
	int rc = kept_list(s->state.dir, &numbers, &count, e);

	for (i = count; rc == 0 && i > 0; i--) {
		if (kept_read_facts(s->state.dir, numbers[i - 1], &f, &why) !=
		    0) {
			log_err(LOG_WARNING, "a kept run is damaged: it goes",
			    &why, NULL);
			break;
		}
		bytes += f.content_bytes;
		if (is_past(s->settings, &f, count - i, bytes, s->now))
			break;
	}
	/* What is older than one that goes is of no use without it. */
	for (size_t k = 0; k < i && rc == 0; k++)
		rc = remove_run(s->state.dir, numbers[k], e);
	free(numbers);
	return rc;
}

/* ---- manifests ---- */

/* Those of one release, with room for `extra` more. */
static int
add_manifests(const struct session *s, const struct kept_release *r,
    size_t extra, struct keep_manifests *out, struct err *e)
{
	struct applied a = { .release = r->release };
	const struct release_profile *p;
	struct err ignored = ERR_INIT;
	struct release release;
	struct digest *list;

	/* A statement that was lost takes its manifests along. */
	if (!r->is_any ||
	    state_find_release(&s->state, &a, &release, &ignored) != 0)
		return 0;
	p = release_find_profile(&release, r->profile);
	list = p == NULL ? NULL
	                 : reallocarray(out->list,
	                       out->count + p->count + extra, sizeof(*list));
	if (list != NULL)
		out->list = list;
	for (size_t i = 0; list != NULL && i < p->count; i++)
		list[out->count++] =
		    release.transcripts[p->transcripts[i]].manifest;
	release_release(&release);
	return list != NULL || p == NULL ? 0 : err_memory(e);
}

int
keep_manifests_find(const struct session *s, size_t extra,
    struct keep_manifests *out, struct err *e)
{
	struct kept_facts f;
	struct err ignored = ERR_INIT;
	uint64_t *numbers = NULL;
	size_t count = 0;
	int rc = kept_list(s->state.dir, &numbers, &count, e);

	out->list = calloc(extra + 1, sizeof(*out->list));
	out->count = 0;
	if (rc == 0 && out->list == NULL)
		rc = err_memory(e);
	for (size_t i = 0; i < count && rc == 0; i++)
		if (kept_read_facts(s->state.dir, numbers[i], &f, &ignored) ==
		    0)
			rc = add_manifests(s, &f.was, extra, out, e);
	free(numbers);
	return rc;
}
