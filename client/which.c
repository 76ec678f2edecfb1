/* Which transcript; runs in the applier. */
#include "client/which.h"

#include <assert.h>
#include <unistd.h>

#include "client/operand.h"
#include "client/tree.h"
#include "common/fsat.h"
#include "transcripts/compare.h"

static const struct release_transcript *
nth(const struct session *s, size_t i)
{
	return &s->was.transcripts[s->was_profile->transcripts[i]];
}

/* What the layers make of it. */
static int
find_winner(
    struct session *s, const char *path, struct which *out, struct err *e)
{
	const struct layer_entry *entry = NULL;
	struct tree *t = NULL;
	int order = -1,
	    rc = tree_open(&s->state, &s->was, s->was_profile, &t, e);

	while (rc == 0 && order < 0) {
		rc = layer_next(tree_layer(t), &entry, e);
		if (rc != 0 || entry == NULL)
			break;
		order = compare_paths(entry->m.path, path);
	}
	if (rc == 0 && order == 0) {
		out->winner = nth(s, entry->source);
		out->type = (uint8_t)entry->m.type;
		out->implied = entry->implied;
	}
	tree_free(t);
	return rc;
}

/* The path below a transcript's target; NULL when it is elsewhere. */
static const char *
below_target(const struct release_transcript *t, const char *path)
{
	const char *target = t->target + 1;
	size_t len = strlen(target);

	assert(path != NULL);
	if (len == 0)
		return path;
	if (!operand_within(path, target))
		return NULL;
	return path[len] == '\0' ? "." : path + len + 1;
}

static int
lists(struct session *s, const struct release_transcript *t, const char *path,
    bool *found, struct err *e)
{
	const struct manifest_entry *m = NULL;
	struct manifest_reader *r = NULL;
	char name[STATE_PATH_BYTES];
	int fd = -1, order = -1, rc;

	*found = false;
	state_manifest_path(name, &t->manifest);
	rc = fsat_open_file(s->state.dir, name, &fd, e);
	if (rc == 0)
		rc = manifest_reader_open(fd, t->manifest_bytes, &r, e);
	while (rc == 0 && order < 0) {
		rc = manifest_reader_next(r, &m, e);
		if (rc != 0 || m == NULL)
			break;
		order = compare_paths(m->path, path);
	}
	*found = rc == 0 && order == 0;
	manifest_reader_free(r);
	if (fd >= 0)
		close(fd);
	return rc;
}

int
which_find(
    struct session *s, const char *path, struct which *out, struct err *e)
{
	int rc;

	memset(out, 0, sizeof(*out));
	if (!s->has_applied)
		return err_set(
		    e, ERR_NOT_FOUND, "no release is applied: run `pecia run`");
	rc = find_winner(s, path, out, e);
	for (size_t i = 0; i < s->was_profile->count && rc == 0; i++) {
		const struct release_transcript *t = nth(s, i);
		const char *inner = below_target(t, path);
		bool found = false;

		if (inner == NULL)
			continue;
		out->exact = out->exact || t->mode == RELEASE_EXACT;
		if (t != out->winner)
			rc = lists(s, t, inner, &found, e);
		if (found)
			out->hidden[out->hidden_count++] = t;
	}
	return rc;
}
