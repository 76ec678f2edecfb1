/* The chain of releases.  Used by peciactl. */
#include "server/history.h"

/* The release before; *more is false where the chain is cut off. */
static int
step_back(
    struct origin *o, struct history_item *item, bool *more, struct err *e)
{
	struct history_item before;
	int ret;

	*more = false;
	if (!item->release.has_previous)
		return 0;
	release_init(&before.release);
	before.digest = item->release.previous;
	ret = origin_release_before(o, &item->release, &before.release, e);
	if (ret == ERR_NOT_FOUND)
		return 0;
	if (ret != 0)
		return ret;
	release_release(&item->release);
	*item = before;
	*more = true;
	return 0;
}

int
history_walk_from(struct origin *o, const struct head *head, history_fn fn,
    void *arg, struct err *e)
{
	struct history_item item;
	bool more = true;
	int ret;

	release_init(&item.release);
	item.digest = head->release;
	ret = origin_release_of(o, head, &item.release, e);
	while (ret == 0 && more) {
		ret = fn(arg, &item, &more, e);
		if (ret == 0 && more)
			ret = step_back(o, &item, &more, e);
	}
	release_release(&item.release);
	return ret;
}

int
history_walk(struct origin *o, const char *channel, history_fn fn, void *arg,
    struct err *e)
{
	struct head head;
	int ret = origin_head(o, channel, &head, e);

	if (ret == ERR_NOT_FOUND)
		return err_set(e, ERR_NOT_FOUND,
		    "channel %s: nothing was published there yet", channel);
	return ret == 0 ? history_walk_from(o, &head, fn, arg, e) : ret;
}
