/* What a run may not do on this machine, as the operator says it: how much it
 * may delete, and which paths it never touches. */
#ifndef CLIENT_GUARD_H
#define CLIENT_GUARD_H

#include "common/config.h"

/* "50%", "1000", both, or "none". */
struct guard_max {
	bool has_percent, has_count; /* either one stops a run */
	unsigned percent;            /* of what is managed, 0 to 100 */
	uint64_t count;
};
/* So many deletions are never held against a share: small trees change as a
 * whole. */
#define GUARD_FEW 20

struct guard {
	char **protect; /* patterns of text_path_match, below the root */
	size_t protect_count;
	struct guard_max max_delete;
};

/* The default: half of what is managed, no paths. */
void guard_init(struct guard *g);
void guard_release(struct guard *g);
/* What a section of the configuration says of it, where it says something. */
MUST_CHECK int guard_take(
    const struct config_section *c, struct guard *g, struct err *e);

/* ERR_USAGE says what would do. */
MUST_CHECK int guard_max_parse(
    const char *text, struct guard_max *out, struct err *e);
/* ERR_CONFLICT, which says how to go on, when `deletes` are too many beside
 * `stays`, the entries that are wanted. */
MUST_CHECK int guard_max_check(const struct guard_max *max, uint64_t deletes,
    uint64_t stays, struct err *e);

#endif
