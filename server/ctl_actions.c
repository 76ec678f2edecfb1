/* peciactl show: triggers and checks. */
#include <inttypes.h>
#include <stdio.h>

#include "common/json.h"
#include "server/ctl.h"
#include "transcripts/release.h"

static void
print_profiles(const struct release *r, const struct action *a)
{
	for (size_t i = 0; i < a->profile_count; i++)
		(void)printf("%s %s", i == 0 ? ", profile" : "",
		    r->profiles[a->profiles[i]].name);
	(void)printf("\n");
}

static void
print_command(const struct action *a)
{
	(void)printf("            command ");
	for (size_t i = 0; i < a->command.count; i++) {
		(void)printf(" ");
		ctl_print_text(a->command.list[i]);
	}
	(void)printf("\n");
}

void
ctl_print_actions(const struct release *r)
{
	for (size_t i = 0; i < r->triggers.count; i++) {
		const struct action *a = &r->triggers.list[i];

		(void)printf("trigger     %s: %s, %" PRIu64 " s", a->name,
		    action_phase(a), a->timeout_s);
		print_profiles(r, a);
		for (size_t k = 0; k < a->path_count; k++) {
			(void)printf("            path     ");
			ctl_print_text(a->paths[k]);
			(void)printf("\n");
		}
		print_command(a);
	}
	for (size_t i = 0; i < r->checks.count; i++) {
		const struct action *a = &r->checks.list[i];

		(void)printf("check       %s: %" PRIu64 " s, %" PRIu64
		             " attempts, %" PRIu64 " s between",
		    a->name, a->timeout_s, a->attempts, a->interval_s);
		print_profiles(r, a);
		print_command(a);
	}
}

static struct json *
action_json(const struct release *r, const struct action *a)
{
	struct json *j = json_object_new(), *paths = json_array_new(),
	            *command = json_array_new(), *profiles = json_array_new();

	json_set_string(j, "name", a->name);
	if (a->kind != ACTION_CHECK)
		json_set_string(j, "phase", action_phase(a));
	json_set_u64(j, "timeout", a->timeout_s);
	if (a->kind == ACTION_CHECK) {
		json_set_u64(j, "attempts", a->attempts);
		json_set_u64(j, "interval", a->interval_s);
	}
	for (size_t i = 0; i < a->profile_count; i++)
		json_append_string(profiles, r->profiles[a->profiles[i]].name);
	for (size_t i = 0; i < a->path_count; i++)
		json_append_string(paths, a->paths[i]);
	for (size_t i = 0; i < a->command.count; i++)
		json_append_string(command, a->command.list[i]);
	json_set_child(j, "profiles", profiles);
	if (a->kind != ACTION_CHECK)
		json_set_child(j, "paths", paths);
	else
		json_free(paths);
	json_set_child(j, "command", command);
	return j;
}

static struct json *
list_json(const struct release *r, const struct actions *list)
{
	struct json *j = json_array_new();

	for (size_t i = 0; i < list->count; i++)
		json_append(j, action_json(r, &list->list[i]));
	return j;
}

void
ctl_json_actions(struct json *j, const struct release *r)
{
	json_set_child(j, "triggers", list_json(r, &r->triggers));
	json_set_child(j, "checks", list_json(r, &r->checks));
}
