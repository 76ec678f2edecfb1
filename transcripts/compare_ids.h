/* The numbers of users and groups that manifests name, each asked for once.
 * Part of compare. */
#ifndef TRANSCRIPTS_COMPARE_IDS_H
#define TRANSCRIPTS_COMPARE_IDS_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

enum compare_ids_kind {
	COMPARE_USERS,
	COMPARE_GROUPS
};

struct compare_id;
struct compare_ids { /* all zero but for the kind: empty */
	enum compare_ids_kind kind;
	struct compare_id *list;
	size_t count;
};

void compare_ids_release(struct compare_ids *ids);
/* Of a name, or of "#number".  ERR_UNSUPPORTED: nobody is called so here. */
MUST_CHECK int compare_ids_find(
    struct compare_ids *ids, const char *name, uint32_t *number, struct err *e);

#endif
