/* Triggers and checks against those of the release before. */
#include <assert.h>
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

/* Of those that were there before, as few as can be have moved: the others are
 * the longest list that is in both orders. */
static void
tell_moved(const struct publish *p, const char *what, const struct actions *was,
    const struct actions *now)
{
	const struct publish_options *o = p->options;
	const struct action *old[LIMIT_ACTIONS];
	size_t longest[LIMIT_ACTIONS] = { 0 }; /* from this one on */
	const struct action *last = NULL;
	size_t left = 0;

	assert(now->count <= LIMIT_ACTIONS);
	for (size_t i = now->count; i-- > 0;) {
		old[i] = actions_find(was, now->list[i].name);
		for (size_t j = i + 1; old[i] != NULL && j < now->count; j++)
			if (old[j] > old[i] && longest[j] > longest[i])
				longest[i] = longest[j];
		longest[i] += old[i] != NULL;
		left = longest[i] > left ? longest[i] : left;
	}
	for (size_t i = 0; i < now->count; i++) {
		if (old[i] == NULL)
			continue;
		if (longest[i] == left && (last == NULL || old[i] > last)) {
			last = old[i];
			left--;
		} else {
			o->action(
			    o->arg, what, PUBLISH_MOVED, now->list[i].name);
		}
	}
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
	if (ret == 0)
		tell_moved(p, what, was, now);
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
