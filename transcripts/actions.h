/* Actions: what a release has clients run beside the change of files.
 * Triggers run when a path that they name changes, before or after that;
 * checks judge the machine after it. */
#ifndef TRANSCRIPTS_ACTIONS_H
#define TRANSCRIPTS_ACTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/limits.h"
#include "common/words.h"

enum action_kind {
	ACTION_BEFORE, /* a trigger, before the commit */
	ACTION_AFTER,  /* a trigger, after it */
	ACTION_CHECK,
};

struct action {
	char name[LIMIT_NAME_BYTES + 1]; /* triggers and checks: unique each */
	enum action_kind kind;
	uint64_t timeout_s;  /* 1..LIMIT_COMMAND_S */
	uint64_t attempts;   /* check: 1..LIMIT_CHECK_ATTEMPTS */
	uint64_t interval_s; /* check: 0..LIMIT_CHECK_INTERVAL_S between them */
	uint16_t *profiles;  /* indexes into release.profiles, ascending */
	size_t profile_count; /* 0: for every profile */
	char **paths;      /* trigger: patterns of client paths, from '/' on */
	size_t path_count; /* at least 1 of a trigger */
	struct words command; /* the program's path is absolute */
};
struct actions {
	struct action *list; /* in the order in which they run */
	size_t count;
};

void action_release(struct action *a);
void actions_release(struct actions *a);
/* By name, or NULL. */
const struct action *actions_find(const struct actions *a, const char *name);
/* "before" or "after", of a trigger. */
const char *action_phase(const struct action *a);
bool action_is_for(const struct action *a, size_t profile);
/* Whether a trigger names this path, which is relative to the root. */
bool action_names(const struct action *a, const char *path);
/* Whether a text may be one of its patterns. */
bool action_is_pattern(const char *text);

/* For the formats that hold them: what stands behind a release's host lines. */
struct lines;
struct release;
void actions_parse(struct lines *l, struct release *r);
void actions_write(struct buf *text, const struct release *r);
/* One of that release's. */
void action_write(
    struct buf *text, const struct release *r, const struct action *a);
/* Lines "argument TEXT", at least one; the first is an absolute path. */
void actions_parse_command(struct lines *l, struct words *command);
void actions_write_command(struct buf *text, const struct words *command);

#endif
