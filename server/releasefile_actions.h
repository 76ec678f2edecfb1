/* [trigger NAME] and [check NAME] of release files. */
#ifndef SERVER_RELEASEFILE_ACTIONS_H
#define SERVER_RELEASEFILE_ACTIONS_H

#include "common/config.h"
#include "transcripts/release.h"

extern const char *const releasefile_trigger_keys[];
extern const char *const releasefile_check_keys[];

/* Into a release whose profiles are read and in their final order. */
MUST_CHECK int releasefile_actions(
    const struct config *c, struct release *r, struct err *e);

#endif
