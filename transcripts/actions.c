/* Triggers and checks of releases.  peciactl writes them; clients run them. */
#include "transcripts/actions.h"

#include <stdlib.h>

#include "common/text.h"
#include "transcripts/lines.h"
#include "transcripts/release.h"

static const char *const phases[] = {
	[ACTION_BEFORE] = "before",
	[ACTION_AFTER] = "after",
};

void
action_release(struct action *a)
{
	for (size_t i = 0; i < a->path_count; i++)
		free(a->paths[i]);
	free(a->paths);
	free(a->profiles);
	words_release(&a->command);
	memset(a, 0, sizeof(*a));
}

void
actions_release(struct actions *a)
{
	for (size_t i = 0; i < a->count; i++)
		action_release(&a->list[i]);
	free(a->list);
	a->list = NULL;
	a->count = 0;
}

const struct action *
actions_find(const struct actions *a, const char *name)
{
	for (size_t i = 0; i < a->count; i++)
		if (strcmp(a->list[i].name, name) == 0)
			return &a->list[i];
	return NULL;
}

bool
action_is_for(const struct action *a, size_t profile)
{
	for (size_t i = 0; i < a->profile_count; i++)
		if (a->profiles[i] == profile)
			return true;
	return a->profile_count == 0;
}

bool
action_names(const struct action *a, const char *path)
{
	for (size_t i = 0; i < a->path_count; i++)
		if (text_path_match(a->paths[i], path))
			return true;
	return false;
}

bool
action_is_pattern(const char *text)
{
	return text[0] == '/' && text[strspn(text, "/")] != '\0' &&
	    strlen(text) <= LIMIT_TEXT_BYTES;
}

const char *
action_phase(const struct action *a)
{
	return phases[a->kind];
}

/* ---- reading ---- */

void
actions_parse_command(struct lines *l, struct words *command)
{
	char *text;

	do {
		text = NULL;
		lines_begin(l, "argument");
		/* The NULL at the end has its place too. */
		command->list = lines_room(l, command->list, command->count + 1,
		    sizeof(*command->list), LIMIT_ARGUMENTS + 1);
		lines_text(l, LIMIT_TEXT_BYTES, &text);
		if (l->failed != 0) {
			free(text);
			return;
		}
		command->list[command->count++] = text;
		command->list[command->count] = NULL;
	} while (lines_follows(l, "argument"));
	if (command->list[0][0] != '/')
		lines_fail(l, ERR_FORMAT, "not the absolute path of a program");
}

static void
parse_phase(struct lines *l, enum action_kind *kind)
{
	const char *p = NULL;
	size_t len = 0;

	if (!lines_word(l, &p, &len))
		return;
	for (size_t i = 0; i < sizeof(phases) / sizeof(phases[0]); i++) {
		if (len == strlen(phases[i]) &&
		    memcmp(p, phases[i], len) == 0) {
			*kind = (enum action_kind)i;
			return;
		}
	}
	lines_fail(l, ERR_FORMAT, "neither before nor after");
}

static void
parse_profiles(struct lines *l, const struct release *r, struct action *a)
{
	if (lines_dash(l))
		return;
	do {
		char name[LIMIT_NAME_BYTES + 1] = "";
		const struct release_profile *p;

		a->profiles = lines_room(l, a->profiles, a->profile_count,
		    sizeof(*a->profiles), LIMIT_PROFILES);
		lines_name(l, name);
		if (l->failed != 0)
			return;
		p = release_find_profile(r, name);
		if (p == NULL) {
			lines_fail(l, ERR_FORMAT,
			    "profile '%s' is not in the release", name);
			return;
		}
		if (a->profile_count > 0)
			lines_ascending(l,
			    r->profiles[a->profiles[a->profile_count - 1]].name,
			    name);
		a->profiles[a->profile_count++] = (uint16_t)(p - r->profiles);
	} while (lines_more(l));
}

static void
parse_path(struct lines *l, struct action *a)
{
	char *text = NULL;

	lines_begin(l, "path");
	a->paths = lines_room(
	    l, a->paths, a->path_count, sizeof(*a->paths), LIMIT_TRIGGER_PATHS);
	lines_text(l, LIMIT_TEXT_BYTES, &text);
	if (l->failed != 0) {
		free(text);
		return;
	}
	a->paths[a->path_count++] = text;
	if (!action_is_pattern(text))
		lines_fail(l, ERR_FORMAT, "not a pattern of absolute paths");
}

/* The line's key and its name; NULL after an error. */
static struct action *
begin(struct lines *l, const char *key, struct actions *list)
{
	char name[LIMIT_NAME_BYTES + 1] = "";
	struct action *a;

	lines_begin(l, key);
	list->list = lines_room(
	    l, list->list, list->count, sizeof(*list->list), LIMIT_ACTIONS);
	lines_name(l, name);
	if (l->failed != 0)
		return NULL;
	if (actions_find(list, name) != NULL) {
		lines_fail(l, ERR_FORMAT, "'%s' is repeated", name);
		return NULL;
	}
	a = &list->list[list->count++];
	memcpy(a->name, name, sizeof(a->name));
	return a;
}

static void
parse_trigger(struct lines *l, struct release *r)
{
	struct action *a = begin(l, "trigger", &r->triggers);

	if (a == NULL)
		return;
	parse_phase(l, &a->kind);
	lines_u64(l, 1, LIMIT_COMMAND_S, &a->timeout_s);
	parse_profiles(l, r, a);
	do {
		parse_path(l, a);
	} while (lines_follows(l, "path"));
	actions_parse_command(l, &a->command);
}

static void
parse_check(struct lines *l, struct release *r)
{
	struct action *a = begin(l, "check", &r->checks);

	if (a == NULL)
		return;
	a->kind = ACTION_CHECK;
	lines_u64(l, 1, LIMIT_COMMAND_S, &a->timeout_s);
	lines_u64(l, 1, LIMIT_CHECK_ATTEMPTS, &a->attempts);
	lines_u64(l, 0, LIMIT_CHECK_INTERVAL_S, &a->interval_s);
	parse_profiles(l, r, a);
	actions_parse_command(l, &a->command);
}

void
actions_parse(struct lines *l, struct release *r)
{
	while (lines_follows(l, "trigger"))
		parse_trigger(l, r);
	while (lines_follows(l, "check"))
		parse_check(l, r);
}

/* ---- writing ---- */

static void
write_text(struct buf *text, const char *key, const char *value)
{
	buf_add_str(text, key);
	text_escape(text, value, strlen(value));
	buf_add_byte(text, '\n');
}

void
actions_write_command(struct buf *text, const struct words *command)
{
	for (size_t i = 0; i < command->count; i++)
		write_text(text, "argument ", command->list[i]);
}

void
action_write(struct buf *text, const struct release *r, const struct action *a)
{
	if (a->kind == ACTION_CHECK)
		buf_addf(text, "check %s %llu %llu %llu", a->name,
		    (unsigned long long)a->timeout_s,
		    (unsigned long long)a->attempts,
		    (unsigned long long)a->interval_s);
	else
		buf_addf(text, "trigger %s %s %llu", a->name, phases[a->kind],
		    (unsigned long long)a->timeout_s);
	if (a->profile_count == 0)
		buf_add_str(text, " -");
	for (size_t i = 0; i < a->profile_count; i++)
		buf_addf(text, " %s", r->profiles[a->profiles[i]].name);
	buf_add_byte(text, '\n');
	for (size_t i = 0; i < a->path_count; i++)
		write_text(text, "path ", a->paths[i]);
	actions_write_command(text, &a->command);
}

void
actions_write(struct buf *text, const struct release *r)
{
	for (size_t i = 0; i < r->triggers.count; i++)
		action_write(text, r, &r->triggers.list[i]);
	for (size_t i = 0; i < r->checks.count; i++)
		action_write(text, r, &r->checks.list[i]);
}
