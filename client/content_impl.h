/* Inside the content module (client/content*.c) only. */
#ifndef CLIENT_CONTENT_IMPL_H
#define CLIENT_CONTENT_IMPL_H

#include "client/content.h"

/* A basis that a data transcript's deltas start from. */
struct basis {
	struct digest digest;
	char *path; /* of a managed file that had this content, or NULL */
};

/* Of a hash table with open addressing; item is an index of the plan and 1, or
 * 0: free. */
struct content_slot {
	uint32_t tag, item;
};

struct content {
	struct session *s;
	struct digest_state *hash;
	int *data_fds;     /* a profile's downloaded data transcripts, or -1 */
	size_t data_count; /* 0 without a fetcher */
	struct basis *bases; /* sorted by digest once complete */
	size_t base_count, base_room;
	struct content_counts counts;

	/* While filling. */
	struct plan *plan;
	struct stage *stage;
	struct content_slot *slots; /* of the first file of each content */
	size_t slot_count;
	size_t open_count;         /* contents not yet filled */
	uint64_t begun;            /* files */
	struct plan_item *current; /* begun; also when it was cut off */
	bool spliced;              /* it is from two servers */
	bool again;                /* such a one was wrong */
	struct err failing;        /* of the server asked for objects */
};

/* The first file of the plan that wants this content, or NULL. */
struct plan_item *content_find(
    const struct content *c, const struct digest *digest);
/* Of a regular file that is staged and has no content yet. */
bool content_is_wanted(const struct plan_item *item);
/* One file's content: begin, write.., end; `bad` NULL when it is complete and
 * right, else it is thrown away.  *count is raised for a good one. */
MUST_CHECK int content_file_begin(
    struct content *c, struct plan_item *item, struct err *e);
MUST_CHECK int content_file_write(
    struct content *c, const void *data, size_t len, struct err *e);
MUST_CHECK int content_file_end(
    struct content *c, const char *bad, uint64_t *count, struct err *e);

/* Throws away what an object that was cut off has. */
MUST_CHECK int content_drop_part(struct content *c, struct err *e);

/* Fills an item from a file that had its content; *count is raised when it
 * still has. */
MUST_CHECK int content_copy(struct content *c, int dir, const char *path,
    struct plan_item *item, uint64_t *count, struct err *e);
/* What kept runs have (content_kept.c). */
MUST_CHECK int content_fill_kept(struct content *c, struct err *e);

/* What is still wanted, from the server's objects (content_objects.c). */
MUST_CHECK int content_fill_objects(
    struct content *c, size_t unused, struct err *e);

#endif
