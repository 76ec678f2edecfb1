/* Hash table of the caller's own nodes: a struct table_node inside a struct
 * of the caller's, found by hash, compared by the caller.  Not for keys that
 * an attacker chooses. */
#ifndef COMMON_TABLE_H
#define COMMON_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct table_node {
	struct table_node *next;
	uint64_t hash;
};

struct table { /* all zero: empty */
	struct table_node **slots;
	size_t slot_count; /* 0 or a power of two */
	size_t count;
};

uint64_t table_hash(const void *key, size_t len);

/* The first node with this hash, and the next with the same; NULL when there
 * is none. */
struct table_node *table_find(const struct table *t, uint64_t hash);
struct table_node *table_find_next(const struct table_node *node);
/* Adds a node, which must stay where it is. */
MUST_CHECK int table_add(
    struct table *t, struct table_node *node, uint64_t hash, struct err *e);
/* Takes out any node, NULL when there is none: how a table is emptied. */
struct table_node *table_pop(struct table *t);
/* Frees what the table itself took. */
void table_release(struct table *t);

#endif
