/* Inodes with several names; runs in the client. */
#include "transcripts/compare_shared.h"

#include <stdlib.h>

struct inode {
	struct table_node node;
	uint64_t dev, ino;
};

int
compare_shared_see(struct compare_shared *s, const struct fsat_stat *st,
    bool *was_seen, struct err *e)
{
	const uint64_t key[2] = { st->dev, st->ino };
	uint64_t hash = table_hash(key, sizeof(key));
	const struct table_node *node = table_find(&s->seen, hash);
	struct inode *i;
	int rc;

	*was_seen = false;
	for (; node != NULL && !*was_seen; node = table_find_next(node)) {
		const struct inode *known = (const struct inode *)node;

		*was_seen = known->dev == st->dev && known->ino == st->ino;
	}
	if (*was_seen)
		return 0;
	i = malloc(sizeof(*i));
	if (i == NULL)
		return err_memory(e);
	i->dev = st->dev;
	i->ino = st->ino;
	rc = table_add(&s->seen, &i->node, hash, e);
	if (rc != 0)
		free(i);
	return rc;
}

void
compare_shared_release(struct compare_shared *s)
{
	struct table_node *node;

	while ((node = table_pop(&s->seen)) != NULL)
		free(node);
	table_release(&s->seen);
}
