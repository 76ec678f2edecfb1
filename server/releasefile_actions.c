/* Triggers and checks as a release file says them.  Publishers only. */
#include "server/releasefile_actions.h"

#include <stdlib.h>

#define TRIGGER_TIMEOUT_S 300
#define CHECK_TIMEOUT_S   60
#define CHECK_ATTEMPTS    3
#define CHECK_INTERVAL_S  5

const char *const releasefile_trigger_keys[] = { "paths", "command", "phase",
	"timeout", "profile", NULL };
const char *const releasefile_check_keys[] = { "command", "timeout", "attempts",
	"interval", "profile", NULL };

static int
read_command(const struct config_section *s, struct action *a, struct err *e)
{
	struct err why = ERR_INIT;
	const char *text = NULL;
	int ret = config_string(s, "command", &text, e);

	if (ret != 0)
		return ret;
	if (text == NULL)
		return config_complain(s, "command", e,
		    "missing in [%s %s]: the program to run", config_type(s),
		    a->name);
	if (words_command(text, &a->command, &why) != 0)
		return config_complain(s, "command", e, "%s", why.msg);
	return 0;
}

static int
read_number(const struct config_section *s, const char *key, uint64_t min,
    uint64_t max, uint64_t *v, struct err *e)
{
	int ret = strcmp(key, "attempts") == 0 ? config_u64(s, key, max, v, e)
	                                       : config_seconds(s, key, v, e);

	if (ret == 0 && (*v < min || *v > max))
		ret = config_complain(s, key, e, "not %llu to %llu",
		    (unsigned long long)min, (unsigned long long)max);
	return ret;
}

static int
by_index(const void *x, const void *y)
{
	const uint16_t *a = x, *b = y;

	return (*a > *b) - (*a < *b);
}

static int
add_profiles(const struct config_section *s, const struct release *r,
    const struct config_list *names, struct action *a, struct err *e)
{
	a->profiles = calloc(names->count, sizeof(*a->profiles));
	if (a->profiles == NULL)
		return err_memory(e);
	for (size_t i = 0; i < names->count; i++) {
		const struct release_profile *p =
		    release_find_profile(r, names->items[i]);

		if (p == NULL)
			return config_complain(s, "profile", e,
			    "there is no [profile %s]", names->items[i]);
		a->profiles[a->profile_count++] = (uint16_t)(p - r->profiles);
	}
	qsort(a->profiles, a->profile_count, sizeof(*a->profiles), by_index);
	for (size_t i = 1; i < a->profile_count; i++)
		if (a->profiles[i - 1] == a->profiles[i])
			return config_complain(s, "profile", e,
			    "%s is there twice",
			    r->profiles[a->profiles[i]].name);
	return 0;
}

static int
read_profiles(const struct config_section *s, const struct release *r,
    struct action *a, struct err *e)
{
	struct config_list names = { NULL, 0 };
	int ret = config_words(s, "profile", &names, e);

	if (ret == 0 && config_has(s, "profile") && names.count == 0)
		ret = config_complain(s, "profile", e, "no name");
	else if (ret == 0 && names.count > 0)
		ret = add_profiles(s, r, &names, a, e);
	config_list_release(&names);
	return ret;
}

static int
add_paths(const struct config_section *s, const struct config_list *words,
    struct action *a, struct err *e)
{
	if (words->count == 0)
		return config_complain(s, "paths", e,
		    "missing in [trigger %s]: the paths whose change runs it",
		    a->name);
	if (words->count > LIMIT_TRIGGER_PATHS)
		return config_complain(
		    s, "paths", e, "more than %d", LIMIT_TRIGGER_PATHS);
	a->paths = calloc(words->count, sizeof(*a->paths));
	if (a->paths == NULL)
		return err_memory(e);
	for (size_t i = 0; i < words->count; i++) {
		if (!action_is_pattern(words->items[i]))
			return config_complain(s, "paths", e,
			    "%.100s: not a pattern of absolute paths",
			    words->items[i]);
		a->paths[i] = strdup(words->items[i]);
		if (a->paths[i] == NULL)
			return err_memory(e);
		a->path_count++;
	}
	return 0;
}

static int
read_paths(const struct config_section *s, struct action *a, struct err *e)
{
	struct config_list words = { NULL, 0 };
	int ret = config_words(s, "paths", &words, e);

	if (ret == 0)
		ret = add_paths(s, &words, a, e);
	config_list_release(&words);
	return ret;
}

static int
read_phase(const struct config_section *s, struct action *a, struct err *e)
{
	const char *text = "after";
	int ret = config_string(s, "phase", &text, e);

	a->kind = ACTION_AFTER;
	if (ret == 0 && strcmp(text, "before") == 0)
		a->kind = ACTION_BEFORE;
	else if (ret == 0 && strcmp(text, "after") != 0)
		ret = config_complain(
		    s, "phase", e, "\"%s\" is neither before nor after", text);
	return ret;
}

static int
read_trigger(const struct config_section *s, struct action *a, struct err *e)
{
	int ret = read_phase(s, a, e);

	a->timeout_s = TRIGGER_TIMEOUT_S;
	if (ret == 0)
		ret = read_paths(s, a, e);
	return ret == 0
	    ? read_number(s, "timeout", 1, LIMIT_COMMAND_S, &a->timeout_s, e)
	    : ret;
}

static int
read_check(const struct config_section *s, struct action *a, struct err *e)
{
	int ret;

	a->kind = ACTION_CHECK;
	a->timeout_s = CHECK_TIMEOUT_S;
	a->attempts = CHECK_ATTEMPTS;
	a->interval_s = CHECK_INTERVAL_S;
	ret = read_number(s, "timeout", 1, LIMIT_COMMAND_S, &a->timeout_s, e);
	if (ret == 0)
		ret = read_number(
		    s, "attempts", 1, LIMIT_CHECK_ATTEMPTS, &a->attempts, e);
	return ret == 0 ? read_number(s, "interval", 0, LIMIT_CHECK_INTERVAL_S,
	                      &a->interval_s, e)
	                : ret;
}

/* All sections of one type, in the order of the file. */
static int
read_all(const struct config *c, const char *type, const struct release *r,
    struct actions *out, struct err *e)
{
	int ret = 0;

	out->list = calloc(config_count(c) + 1, sizeof(*out->list));
	if (out->list == NULL)
		return err_memory(e);
	for (size_t i = 0; ret == 0 && i < config_count(c); i++) {
		const struct config_section *s = config_at(c, i);
		struct action *a = &out->list[out->count];

		if (strcmp(config_type(s), type) != 0)
			continue;
		if (out->count == LIMIT_ACTIONS)
			return config_complain(s, "command", e,
			    "more than %d sections [%s]", LIMIT_ACTIONS, type);
		out->count++;
		(void)snprintf(a->name, sizeof(a->name), "%s", config_name(s));
		ret = out == &r->checks ? read_check(s, a, e)
		                        : read_trigger(s, a, e);
		if (ret == 0)
			ret = read_profiles(s, r, a, e);
		if (ret == 0)
			ret = read_command(s, a, e);
	}
	return ret;
}

int
releasefile_actions(const struct config *c, struct release *r, struct err *e)
{
	int ret = read_all(c, "trigger", r, &r->triggers, e);

	return ret == 0 ? read_all(c, "check", r, &r->checks, e) : ret;
}
