/* Triggers and checks against those of the release before. */
#include <string.h>

#include "server/publish_impl.h"

static int
is_same(const struct publish *p, const struct action *was,
    const struct action *now, bool *same, struct err *e)
{
	struct buf old, new;
	int ret;

	buf_init(&old, LIMIT_RELEASE_BYTES);
	buf_init(&new, LIMIT_RELEASE_BYTES);
	action_write(&old, &p->was, was);
	action_write(&new, &p->now, now);
	*same = old.len == new.len &&memcmp(old.data, new.data, new.len) == 0;
	ret = buf_check(&old, was->name, e);
	if (ret == 0)
		ret = buf_check(&new, now->name, e);
	buf_release(&old);
	buf_release(&new);
	return ret;
}

static int
tell_all(const struct publish *p, const char *what, const struct actions *was,
    const struct actions *now, struct err *e)
{
	const struct publish_options *o = p->options;
	int ret = 0;

	for (size_t i = 0; i < was->count; i++)
		if (actions_find(now, was->list[i].name) == NULL)
			o->action(
			    o->arg, what, PUBLISH_REMOVED, was->list[i].name);
	for (size_t i = 0; ret == 0 && i < now->count; i++) {
		const char *name = now->list[i].name;
		const struct action *old = actions_find(was, name);
		bool same = false;

		if (old != NULL)
			ret = is_same(p, old, &now->list[i], &same, e);
		if (ret == 0 && !same)
			o->action(o->arg, what,
			    old == NULL ? PUBLISH_ADDED : PUBLISH_CHANGED,
			    name);
	}
	return ret;
}

int
publish_actions(const struct publish *p, struct err *e)
{
	int ret;

	if (p->options->action == NULL)
		return 0;
	ret = tell_all(p, "trigger", &p->was.triggers, &p->now.triggers, e);
	return ret == 0
	    ? tell_all(p, "check", &p->was.checks, &p->now.checks, e)
	    : ret;
}
