/* File systems to be synced; runs in the applier. */
#include "client/syncs.h"

#include <unistd.h>

#include "common/fsat.h"

struct syncs_place {
	uint64_t dev;
	int fd;
};

int
syncs_add(struct syncs *s, int dir, struct err *e)
{
	struct syncs_place *list, place;
	struct fsat_stat st;
	int rc = fsat_stat_fd(dir, &st, e);

	if (rc != 0)
		return rc;
	for (size_t i = 0; i < s->count; i++) {
		if (s->list[i].dev == st.dev)
			return 0;
	}
	list = reallocarray(s->list, s->count + 1, sizeof(*list));
	if (list == NULL)
		return err_memory(e);
	s->list = list;
	/* `dir` may be a name only, which cannot be synced. */
	rc = fsat_open_dir(dir, ".", &place.fd, e);
	if (rc != 0)
		return rc;
	place.dev = st.dev;
	list[s->count++] = place;
	return 0;
}

int
syncs_follow(
    struct syncs *s, const struct dirstack *dirs, int dir, struct err *e)
{
	uint64_t moves = dirstack_moves(dirs);
	int rc = moves == s->moves ? 0 : syncs_add(s, dir, e);

	if (rc == 0)
		s->moves = moves;
	return rc;
}

int
syncs_all(const struct syncs *s, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; i < s->count && rc == 0; i++)
		rc = fsat_syncfs(s->list[i].fd, e);
	return rc;
}

void
syncs_release(struct syncs *s)
{
	for (size_t i = 0; i < s->count; i++)
		close(s->list[i].fd);
	free(s->list);
	*s = (struct syncs)SYNCS_INIT;
}
