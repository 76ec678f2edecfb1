/* Names of one inode; runs in the applier. */
#include "client/keep_inodes.h"

#include <stdlib.h>

struct inode {
	struct table_node node;
	uint64_t dev, ino;
	char *first;
};

static const char *
find(const struct table *t, const struct fsat_stat *st, uint64_t hash)
{
	struct table_node *node = table_find(t, hash);

	for (; node != NULL; node = table_find_next(node)) {
		const struct inode *i = (struct inode *)(void *)node;

		if (i->dev == st->dev && i->ino == st->ino)
			return i->first;
	}
	return NULL;
}

static int
add(struct table *t, const struct fsat_stat *st, uint64_t hash,
    const char *path, struct err *e)
{
	struct inode *i = calloc(1, sizeof(*i));

	if (i == NULL || (i->first = strdup(path)) == NULL) {
		free(i);
		return err_memory(e);
	}
	i->dev = st->dev;
	i->ino = st->ino;
	if (table_add(t, &i->node, hash, e) == 0)
		return 0;
	free(i->first);
	free(i);
	return ERR_NO_MEMORY;
}

int
keep_inodes_meet(struct table *t, const struct fsat_stat *st, const char *path,
    const char **first, struct err *e)
{
	const uint64_t key[2] = { st->dev, st->ino };
	uint64_t hash;

	*first = NULL;
	if (!S_ISREG(st->mode) || st->nlink < 2)
		return 0;
	hash = table_hash(key, sizeof(key));
	*first = find(t, st, hash);
	return *first != NULL ? 0 : add(t, st, hash, path, e);
}

void
keep_inodes_release(struct table *t)
{
	struct table_node *node;

	while ((node = table_pop(t)) != NULL) {
		struct inode *i = (struct inode *)(void *)node;

		free(i->first);
		free(i);
	}
	table_release(t);
}
