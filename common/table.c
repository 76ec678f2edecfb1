/* Hash table with chains; used where a scan or a merge remembers names. */
#include "common/table.h"

#define FIRST_SLOTS 64

uint64_t
table_hash(const void *key, size_t len)
{
	const uint8_t *p = key;
	uint64_t h = len * 0x9e3779b97f4a7c15ULL, word;

	while (len > 0) {
		size_t n = len < sizeof(word) ? len : sizeof(word);

		word = 0;
		memcpy(&word, p, n);
		h = (h ^ word) * 0xff51afd7ed558ccdULL;
		h ^= h >> 32;
		p += n;
		len -= n;
	}
	return h;
}

static struct table_node *
first_of(struct table_node *node, uint64_t hash)
{
	while (node != NULL && node->hash != hash)
		node = node->next;
	return node;
}

struct table_node *
table_find(const struct table *t, uint64_t hash)
{
	if (t->slot_count == 0)
		return NULL;
	return first_of(t->slots[hash & (t->slot_count - 1)], hash);
}

struct table_node *
table_find_next(const struct table_node *node)
{
	return first_of(node->next, node->hash);
}

static void
link_node(struct table_node **slots, size_t slot_count, struct table_node *node)
{
	struct table_node **slot = &slots[node->hash & (slot_count - 1)];

	node->next = *slot;
	*slot = node;
}

static int
grow(struct table *t, struct err *e)
{
	size_t slot_count =
	    t->slot_count == 0 ? FIRST_SLOTS : t->slot_count * 2;
	struct table_node **slots =
	    calloc(slot_count, sizeof(struct table_node *));
	size_t i;

	if (slots == NULL)
		return err_memory(e);
	for (i = 0; i < t->slot_count; i++) {
		struct table_node *node = t->slots[i];

		while (node != NULL) {
			struct table_node *next = node->next;

			link_node(slots, slot_count, node);
			node = next;
		}
	}
	free(t->slots);
	t->slots = slots;
	t->slot_count = slot_count;
	return 0;
}

int
table_add(
    struct table *t, struct table_node *node, uint64_t hash, struct err *e)
{
	int rc = t->count < t->slot_count ? 0 : grow(t, e);

	if (rc != 0)
		return rc;
	node->hash = hash;
	link_node(t->slots, t->slot_count, node);
	t->count++;
	return 0;
}

struct table_node *
table_pop(struct table *t)
{
	while (t->slot_count > 0) {
		struct table_node *node = t->slots[t->slot_count - 1];

		if (node != NULL) {
			t->slots[t->slot_count - 1] = node->next;
			t->count--;
			return node;
		}
		t->slot_count--; /* an empty slot at the end is done with */
	}
	return NULL;
}

void
table_release(struct table *t)
{
	free(t->slots);
	*t = (struct table){ 0 };
}
